//! A registrant: an instance of a module in the graph, and what io-net calls on it.

use crate::{Advert, Npkt};
use core::ffi::{c_char, c_void};

/// [`Registrant::flags`]: sees packets above an up-producer.
pub const REG_FILTER_ABOVE: u32 = 0x01;
/// [`Registrant::flags`]: sees packets below a down-producer.
pub const REG_FILTER_BELOW: u32 = 0x02;
/// [`Registrant::flags`]: joins its bottom type to its top type.
pub const REG_CONVERTER: u32 = 0x04;
/// [`Registrant::flags`]: a driver: makes up packets of its top type, has no bottom.
pub const REG_PRODUCER_UP: u32 = 0x08;
/// [`Registrant::flags`]: a protocol: makes down packets of its bottom type, has no top.
pub const REG_PRODUCER_DOWN: u32 = 0x10;

/// What a module tells of a registrant.
#[repr(C)]
pub struct Registrant {
    /// `sizeof` this structure where the module was built.
    pub size: u32,
    /// `REG_*`.
    pub flags: u32,
    /// Name in the graph, NUL-terminated. A driver gives the stem (`en`), and io-net appends the
    /// first free number or the one that the option `lan=` asks for; a stem that ends in a number
    /// (`en0.10`) is the whole name.
    pub name: *const c_char,
    /// Type of the packets above, NUL-terminated, or null.
    pub top_type: *const c_char,
    /// Type of the packets below, NUL-terminated, or null.
    pub bot_type: *const c_char,
    /// First argument of every call in `ops`.
    pub func_hdl: *mut c_void,
    /// OWNERSHIP: static; outlives the registrant.
    pub ops: *const RegistrantOps,
}

/// What io-net calls on a registrant; any may be null where it does not apply.
///
/// THREAD: all on the registrant's home worker, one at a time; never re-entered, even when a
/// packet that it sends comes back to it.
/// OWNERSHIP: `rx_up` and `rx_down` own every packet they are given; the array itself is borrowed.
#[repr(C)]
pub struct RegistrantOps {
    /// `sizeof` this structure where the module was built.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Packets on their way up reach this registrant (filters, converters, protocols).
    pub rx_up: Option<unsafe extern "C" fn(func_hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32)>,
    /// Packets on their way down reach this registrant (drivers, filters, converters).
    pub rx_down: Option<unsafe extern "C" fn(func_hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32)>,
    /// The last references to `NPKT_EXT` packets of this registrant have gone: the buffers are
    /// its own again, and so are the descriptors, to reuse or to release.
    pub tx_done: Option<unsafe extern "C" fn(func_hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32)>,
    /// Called over and over while the worker is busy, where [`crate::Ion::poller`] asked for it:
    /// take what has arrived, up to `budget` packets, and pass it on.
    /// Returns how much work there was; 0 lets the worker go to sleep.
    pub poll: Option<unsafe extern "C" fn(func_hdl: *mut c_void, budget: u32) -> u32>,
    /// A poller's worker is about to sleep (`sleeping` 1) or has woken (0): ask the peer to ring,
    /// or to stop ringing, then look again. Returns non-zero where work is there: no sleep then.
    pub arm: Option<unsafe extern "C" fn(func_hdl: *mut c_void, sleeping: u32) -> i32>,
    /// A watched descriptor is ready. `events` are epoll's bits. Level-triggered.
    /// Returns non-zero where there may be more to do at once.
    pub event: Option<unsafe extern "C" fn(func_hdl: *mut c_void, cookie: u64, events: u32) -> i32>,
    /// A timer has run out. `now_ns` is `CLOCK_MONOTONIC`.
    pub timer: Option<unsafe extern "C" fn(func_hdl: *mut c_void, id: u32, now_ns: u64)>,
    /// An interface below (or above) came up, changed or is going. Duplicates are to be borne.
    /// OWNERSHIP: `advert` is borrowed for the call.
    pub dl_advert: Option<unsafe extern "C" fn(func_hdl: *mut c_void, advert: *const Advert)>,
    /// An out-of-band call. Reads and writes `data` in place, up to `size` bytes, and returns how
    /// many of them are the answer, or a negative errno (`-EOPNOTSUPP` for an unknown `cmd`).
    pub devctl: Option<
        unsafe extern "C" fn(
            func_hdl: *mut c_void,
            cmd: u32,
            data: *mut c_void,
            size: u32,
            len: u32,
        ) -> i32,
    >,
    /// The registrant is leaving the graph: give back every packet that is kept, cancel what is
    /// under way, pass nothing on after returning. A driver stops receiving. Only `tx_done` may be
    /// called afterwards, while others still hold packets over the registrant's own memory.
    pub quiesce: Option<unsafe extern "C" fn(func_hdl: *mut c_void)>,
    /// Reserved for handing state to a new version of the module. Null.
    pub save: Option<unsafe extern "C" fn(func_hdl: *mut c_void, fd: i32) -> i32>,
    /// Reserved, as `save`. Null.
    pub restore: Option<unsafe extern "C" fn(func_hdl: *mut c_void, fd: i32) -> i32>,
}

// SAFETY: the table is immutable and holds only function pointers.
unsafe impl Sync for RegistrantOps {}
