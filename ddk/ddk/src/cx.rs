//! What a registrant can ask of io-net during a call.

use crate::{Counter, Failure};
use io_net_abi::{Advert, BYTE_PAT_ALL, Ion, PoolInfo, RegHandle, Text};
use io_net_pktbuf::{Burst, SharedPacket};
use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

/// io-net, as one registrant sees it.
///
/// It is lent to every call. It stays on the home worker: it cannot be sent to another thread.
pub struct Cx {
    pub(crate) ion: *const Ion,
    pub(crate) reg: RegHandle,
    pub(crate) cell: u16,
    pub(crate) endpoint: u16,
}

/// Makes a registrant's worker poll it, from any thread.
#[derive(Clone, Copy)]
pub struct Waker {
    ion: *const Ion,
    reg: RegHandle,
}

// SAFETY: `wake` may be called from any thread, and a module's threads end before its instance.
unsafe impl Send for Waker {}
// SAFETY: as above.
unsafe impl Sync for Waker {}

impl Waker {
    /// Has `poll` called soon.
    pub fn wake(&self) {
        // SAFETY: the table outlives the instance that this belongs to.
        unsafe { ((*self.ion).wake)((*self.ion).ctx, self.reg) }
    }
}

/// A registrant of this instance, as another one of it uses it to pass packets on in its name.
///
/// All registrants of an instance live on one worker. What is passed on anywhere else is counted by
/// io-net as astray, and released.
#[derive(Clone, Copy, Debug)]
pub struct Mate {
    ion: *const Ion,
    reg: RegHandle,
}

// SAFETY: io-net checks on which thread each call comes, and a module's threads end before its
// instance.
unsafe impl Send for Mate {}
// SAFETY: as above.
unsafe impl Sync for Mate {}

impl Mate {
    /// Passes packets on upward, as from this registrant.
    #[inline]
    pub fn tx_up(&self, burst: Burst) {
        let (pkts, n) = burst.into_raw();
        if n > 0 {
            // SAFETY: io-net's table outlives the instance; `n` owned references, given up here.
            unsafe { ((*self.ion).tx_up)((*self.ion).ctx, self.reg, pkts, n as u32) }
        }
    }

    /// Passes packets on downward, as from this registrant.
    #[inline]
    pub fn tx_down(&self, burst: Burst) {
        let (pkts, n) = burst.into_raw();
        if n > 0 {
            // SAFETY: as in `tx_up`.
            unsafe { ((*self.ion).tx_down)((*self.ion).ctx, self.reg, pkts, n as u32) }
        }
    }

    /// Tells the layers above of this registrant's interface.
    pub fn dl_advert(&self, advert: &Advert) {
        // SAFETY: as in `tx_up`; `advert` is borrowed for the call.
        unsafe { ((*self.ion).dl_advert)((*self.ion).ctx, self.reg, advert) };
    }
}

impl Cx {
    #[inline]
    fn ion(&self) -> &Ion {
        // SAFETY: io-net's table outlives the instance, which outlives its registrants' calls.
        unsafe { &*self.ion }
    }

    /// Passes packets on upward.
    #[inline]
    pub fn tx_up(&self, burst: Burst) {
        self.mate().tx_up(burst);
    }

    /// Passes packets on downward.
    #[inline]
    pub fn tx_down(&self, burst: Burst) {
        self.mate().tx_down(burst);
    }

    /// This registrant, for the others of the instance.
    #[inline]
    pub fn mate(&self) -> Mate {
        Mate {
            ion: self.ion,
            reg: self.reg,
        }
    }

    /// Passes one packet on upward.
    pub fn tx_up_one(&self, packet: impl Into<SharedPacket>) {
        let mut pkts = [packet.into().into_raw()];
        // SAFETY: one owned reference, given up to the burst.
        self.tx_up(unsafe { Burst::from_raw(&mut pkts) });
    }

    /// Passes one packet on downward.
    pub fn tx_down_one(&self, packet: impl Into<SharedPacket>) {
        let mut pkts = [packet.into().into_raw()];
        // SAFETY: one owned reference, given up to the burst.
        self.tx_down(unsafe { Burst::from_raw(&mut pkts) });
    }

    /// `CLOCK_MONOTONIC`, nanoseconds.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        let ion = self.ion();
        // SAFETY: callable from any thread.
        unsafe { (ion.now_ns)(ion.ctx) }
    }

    /// The number of this producer's packet type.
    #[inline]
    pub fn cell(&self) -> u16 {
        self.cell
    }

    /// The number of this producer's interface.
    #[inline]
    pub fn endpoint(&self) -> u16 {
        self.endpoint
    }

    /// Says something to the operator, at a level of `io_net_abi::LOG_*`.
    pub fn log(&self, level: u32, text: fmt::Arguments<'_>) {
        log(self.ion(), level, text);
    }

    /// A counter called `name`.
    pub fn counter(&self, name: &CStr) -> Counter {
        let ion = self.ion();
        // SAFETY: the cell is valid until the instance has been shut down, after which no
        // registrant of it exists.
        unsafe { Counter::from_raw((ion.counter)(ion.ctx, self.reg, name.as_ptr())) }
    }

    /// Has `timer(id)` called at `deadline_ns` of `CLOCK_MONOTONIC`, once. `id` is below 16.
    #[inline]
    pub fn timer(&self, id: u32, deadline_ns: u64) {
        let ion = self.ion();
        // SAFETY: called within an operation. 0 would cancel, so a deadline of 0 becomes 1.
        unsafe { (ion.timer)(ion.ctx, self.reg, id, deadline_ns.max(1)) };
    }

    /// Forgets timer `id`.
    pub fn cancel_timer(&self, id: u32) {
        let ion = self.ion();
        // SAFETY: called within an operation.
        unsafe { (ion.timer)(ion.ctx, self.reg, id, 0) };
    }

    /// Watches `fd` for epoll's `events`; 0 stops, which must come before closing it.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn watch(&self, fd: BorrowedFd<'_>, events: u32, cookie: u64) -> Result<(), Failure> {
        let ion = self.ion();
        // SAFETY: called within an operation or init, with an open descriptor.
        let result = unsafe { (ion.watch)(ion.ctx, self.reg, fd.as_raw_fd(), events, cookie) };
        check(result, || {
            format!("cannot watch descriptor {}", fd.as_raw_fd())
        })
    }

    /// Says that more work is expected within `within_ns`, from another processor; 0: others may
    /// wait for this one. A hint to a worker that has nothing else to do.
    #[inline]
    pub fn expect(&self, within_ns: u32) {
        let ion = self.ion();
        // SAFETY: called within an operation.
        unsafe { (ion.expect)(ion.ctx, within_ns) };
    }

    /// Turns the calling of `poll` and `arm` on or off.
    pub fn poller(&self, on: bool) {
        let ion = self.ion();
        // SAFETY: called within an operation or init.
        unsafe { (ion.poller)(ion.ctx, self.reg, u32::from(on)) };
    }

    /// A handle by which other threads have `poll` called.
    pub fn waker(&self) -> Waker {
        Waker {
            ion: self.ion,
            reg: self.reg,
        }
    }

    /// Tells the layers above of an interface.
    pub fn dl_advert(&self, advert: &Advert) {
        self.mate().dl_advert(advert);
    }

    /// Asks for the up packets that hold `pattern` at `offset`; at most 16 bytes.
    ///
    /// # Errors
    /// EINVAL where the pattern is empty or too long, ENOMEM where there are too many.
    pub fn byte_pattern(&self, offset: u32, pattern: &[u8]) -> Result<(), Failure> {
        let ion = self.ion();
        let len = pattern.len() as u32;
        // SAFETY: `pattern` is borrowed for the call.
        let result =
            unsafe { (ion.reg_byte_pat)(ion.ctx, self.reg, offset, pattern.as_ptr(), len, 0) };
        check(result, || {
            format!("cannot ask for packets with {pattern:02x?} at {offset}")
        })
    }

    /// Asks for every up packet.
    ///
    /// # Errors
    /// ENOMEM where there are too many patterns.
    pub fn all_packets(&self) -> Result<(), Failure> {
        let ion = self.ion();
        let nothing = std::ptr::null();
        // SAFETY: no pattern is read with this flag.
        let result = unsafe { (ion.reg_byte_pat)(ion.ctx, self.reg, 0, nothing, 0, BYTE_PAT_ALL) };
        check(result, || "cannot ask for all packets".into())
    }

    /// Where the packet memory is.
    pub fn pool_info(&self) -> PoolInfo {
        pool_info(self.ion())
    }
}

pub(crate) fn pool_info(ion: &Ion) -> PoolInfo {
    let mut info = std::mem::MaybeUninit::uninit();
    // SAFETY: io-net fills the whole of `info`.
    unsafe {
        (ion.pool_info)(ion.ctx, info.as_mut_ptr());
        info.assume_init()
    }
}

pub(crate) fn log(ion: &Ion, level: u32, text: fmt::Arguments<'_>) {
    let text = text.to_string();
    // SAFETY: the text is borrowed for the call; any thread may log.
    unsafe {
        (ion.log)(
            ion.ctx,
            level,
            Text {
                ptr: text.as_ptr(),
                len: text.len(),
            },
        )
    };
}

pub(crate) fn fail(ion: &Ion, failure: &Failure) {
    let text = Text {
        ptr: failure.text.as_ptr(),
        len: failure.text.len(),
    };
    // SAFETY: the text is borrowed for the call; any thread may fail.
    unsafe { (ion.fail)(ion.ctx, failure.errno, text) };
}

pub(crate) fn check(result: i32, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if result >= 0 {
        return Ok(());
    }
    let error = std::io::Error::from_raw_os_error(result.saturating_neg());
    Err(Failure::io(what(), &error))
}
