//! What io-net offers a module: the table that [`crate::Module::init`] is given.

use crate::{Advert, Npkt, Registrant, Text};
use core::ffi::{c_char, c_void};
use core::sync::atomic::AtomicU64;

/// [`Ion::log`] levels, in syslog's order.
pub const LOG_ERROR: u32 = 3;
/// Something is wrong, and io-net goes on.
pub const LOG_WARNING: u32 = 4;
/// What an operator wants to see once.
pub const LOG_INFO: u32 = 6;
/// Only with `-v`.
pub const LOG_DEBUG: u32 = 7;

/// [`Ion::reg_byte_pat`]: every up packet matches; `offset` and `len` are ignored.
pub const BYTE_PAT_ALL: u32 = 1;

/// A registrant in the graph. Handles are not reused while io-net runs.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegHandle(pub u32);

/// Where the packet memory is, for drivers that hand it to hardware or to another process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PoolInfo {
    /// First byte of the mapping: the descriptors, then the buffers.
    pub base: *mut u8,
    /// Bytes of the mapping.
    pub size: u64,
    /// memfd of the mapping. OWNERSHIP: the manager's; duplicate it to keep it.
    pub fd: i32,
    /// Descriptors of small buffers, first in the array.
    pub n_small: u32,
    /// Descriptors of large buffers, after them.
    pub n_large: u32,
    /// Bytes of a small buffer.
    pub small_size: u32,
    /// Bytes of a large buffer.
    pub large_size: u32,
    /// Offset in the mapping of the first small buffer.
    pub small_off: u64,
    /// Offset in the mapping of the first large buffer.
    pub large_off: u64,
}

/// io-net's side of the boundary, one table for each module instance.
///
/// THREAD: `log`, `fail`, `now_ns`, `alloc`, `tx_done` and `wake` from any thread. `tx_up` and
/// `tx_down` inside an operation, on the worker that runs it. The rest there too, or inside `init`.
#[repr(C)]
pub struct Ion {
    /// `sizeof` this structure in io-net.
    pub size: u32,
    /// [`crate::ABI_MAJOR`] of io-net.
    pub abi_major: u16,
    /// [`crate::ABI_MINOR`] of io-net.
    pub abi_minor: u16,
    /// First argument of every call; the instance's identity within io-net.
    pub ctx: *mut c_void,

    /// Passes packets on upward from `reg`. OWNERSHIP: all `n` packets are io-net's on return.
    pub tx_up: unsafe extern "C" fn(ctx: *mut c_void, reg: RegHandle, pkts: *mut *mut Npkt, n: u32),
    /// Passes packets on downward from `reg`. OWNERSHIP: as `tx_up`.
    pub tx_down:
        unsafe extern "C" fn(ctx: *mut c_void, reg: RegHandle, pkts: *mut *mut Npkt, n: u32),
    /// Releases one reference to each packet (and to its chained fragments). `ctx` may be null.
    pub tx_done: unsafe extern "C" fn(ctx: *mut c_void, pkts: *mut *mut Npkt, n: u32),
    /// Allocates up to `n` packets that hold `size` bytes beside [`crate::HEADROOM`]. Each comes
    /// with one reference, no data (`len` 0, `data_off` [`crate::HEADROOM`] or more) and clear metadata.
    /// Returns how many: fewer than `n` where the pool is exhausted, 0 where `size` is too large.
    /// `ctx` may be null. Off the workers it works too, slower.
    pub alloc:
        unsafe extern "C" fn(ctx: *mut c_void, size: u32, pkts: *mut *mut Npkt, n: u32) -> u32,
    /// `CLOCK_MONOTONIC` in nanoseconds; cheap.
    pub now_ns: unsafe extern "C" fn(ctx: *mut c_void) -> u64,

    /// Says something to the operator.
    pub log: unsafe extern "C" fn(ctx: *mut c_void, level: u32, text: Text),
    /// Says why `init` is about to return `-code`, an errno: what, why and what to do.
    pub fail: unsafe extern "C" fn(ctx: *mut c_void, code: i32, text: Text),
    /// Enters a registrant into the graph; it takes effect when `init` returns 0. Fills `reg`, and
    /// `cell` and `endpoint` where it is a producer up. Returns 0 or a negative errno
    /// (`-EEXIST`: the name is taken).
    pub reg: unsafe extern "C" fn(
        ctx: *mut c_void,
        registrant: *const Registrant,
        reg: *mut RegHandle,
        cell: *mut u16,
        endpoint: *mut u16,
    ) -> i32,
    /// Asks for the up packets whose bytes at `offset` are `pat[..len]`, or with
    /// [`BYTE_PAT_ALL`] for all. Of a converter or protocol. `len` is 16 at most.
    pub reg_byte_pat: unsafe extern "C" fn(
        ctx: *mut c_void,
        reg: RegHandle,
        offset: u32,
        pat: *const u8,
        len: u32,
        flags: u32,
    ) -> i32,
    /// Tells the layers above of an interface. `advert.cell` and `endpoint` name it. io-net keeps
    /// the newest and gives it to those who come later.
    pub dl_advert:
        unsafe extern "C" fn(ctx: *mut c_void, reg: RegHandle, advert: *const Advert) -> i32,
    /// A counter with a name, made at the first call. Only the registrant's home worker adds to
    /// it; anybody reads it. OWNERSHIP: io-net's; valid until `shutdown` returns.
    pub counter: unsafe extern "C" fn(
        ctx: *mut c_void,
        reg: RegHandle,
        name: *const c_char,
    ) -> *const AtomicU64,
    /// Calls `timer` at `deadline_ns` of `CLOCK_MONOTONIC`, once; 0 cancels. Ids below 16.
    pub timer:
        unsafe extern "C" fn(ctx: *mut c_void, reg: RegHandle, id: u32, deadline_ns: u64) -> i32,
    /// Watches `fd` for epoll's `events` (0: no longer), calling `event` with `cookie`.
    /// OWNERSHIP: the module's; stop watching before closing it.
    pub watch: unsafe extern "C" fn(
        ctx: *mut c_void,
        reg: RegHandle,
        fd: i32,
        events: u32,
        cookie: u64,
    ) -> i32,
    /// Turns the calling of `poll` and `arm` on (1) or off (0).
    pub poller: unsafe extern "C" fn(ctx: *mut c_void, reg: RegHandle, on: u32) -> i32,
    /// Makes the home worker of `reg` call `poll` soon, from any thread.
    pub wake: unsafe extern "C" fn(ctx: *mut c_void, reg: RegHandle),
    /// Fills `info`.
    pub pool_info: unsafe extern "C" fn(ctx: *mut c_void, info: *mut PoolInfo),
    /// The directory where this io-net keeps its sockets (`/run/io-net`). Static text.
    pub run_dir: unsafe extern "C" fn(ctx: *mut c_void) -> Text,
    /// Says what the present operation leads to: more work within `within_ns`, from another
    /// processor, so that a worker with nothing else to do had better keep its own; or with 0 work
    /// for whoever waits for this processor. A hint; without it io-net guesses. Since 1.1.
    pub expect: unsafe extern "C" fn(ctx: *mut c_void, within_ns: u32),
}

// SAFETY: the table is immutable; each call states the threads it may come from.
unsafe impl Sync for Ion {}
// SAFETY: as above.
unsafe impl Send for Ion {}
