//! A registrant as the packet path sees it: its operations, its gate and its counts.
//!
//! Any thread may hold a [`Reg`]; its operations run through [`Running`] alone, which exists only on
//! the home worker, one at a time for each registrant.

use super::Call;
use crate::instance::Link;
use io_net_abi::{Advert, Npkt, RegHandle, RegistrantOps};
use std::ffi::c_void;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Timers of one registrant.
pub const TIMERS_MAX: usize = 16;
/// Counters of one registrant.
const COUNTERS_MAX: usize = 256;

/// [`Reg::gate`]: an operation is running.
const ACTIVE: u32 = 1 << 31;
/// [`Reg::gate`]: no operation runs any more.
const DEAD: u32 = 1 << 30;
/// [`Reg::gate`]: it has been quiesced: only its own memory still comes home to it.
const QUIET: u32 = 1 << 29;

/// Why io-net dropped a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Nobody asks for it.
    NoTaker,
    /// No way leads to its interface.
    NoPath,
    /// Too many wait for a registrant that is running already.
    DeferredFull,
    /// Too many wait for another worker.
    CrossingFull,
    /// The registrant has failed or been quiesced, and is about to be taken out.
    Dead,
}

impl Drop {
    /// Every reason.
    pub const ALL: [Drop; 5] = [
        Drop::NoTaker,
        Drop::NoPath,
        Drop::DeferredFull,
        Drop::CrossingFull,
        Drop::Dead,
    ];

    /// The counter's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Drop::NoTaker => "no_taker",
            Drop::NoPath => "no_path",
            Drop::DeferredFull => "deferred_full",
            Drop::CrossingFull => "crossing_full",
            Drop::Dead => "dead",
        }
    }
}

/// What is counted of every registrant. Written by the home worker alone, except `drops`.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct RegStats {
    /// Packets given to it.
    pub packets_in: AtomicU64,
    /// In how many bursts.
    pub bursts_in: AtomicU64,
    /// Packets that it passed on or made.
    pub packets_out: AtomicU64,
    /// In how many bursts.
    pub bursts_out: AtomicU64,
    /// Cycles in its own code, without those of whom it called: measured, except that one busy
    /// poll in eight is and stands for the others.
    pub cycles: AtomicU64,
    /// Polls that found work.
    pub busy_polls: AtomicU64,
    /// Polls that found none.
    pub idle_polls: AtomicU64,
    /// Packets dropped on the way to or from it, by [`Drop`].
    pub drops: [AtomicU64; Drop::ALL.len()],
}

/// Adds to a counter that one thread writes.
#[inline]
pub fn bump(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// One registrant.
pub struct Reg {
    handle: RegHandle,
    home: usize,
    name: String,
    link: Arc<Link>,
    hdl: *mut c_void,
    ops: RegistrantOps,
    /// What it did.
    pub stats: RegStats,
    /// 0 where a packet may be delivered at once; else [`ACTIVE`], [`DEAD`], [`QUIET`], and how many
    /// wait.
    gate: AtomicU32,
    woken: AtomicBool,
    timers: [AtomicU64; TIMERS_MAX],
    counters: Mutex<Vec<(String, Box<AtomicU64>)>>,
}

// SAFETY: `hdl` is only used by the operations, which run on the home worker; everything else in it
// is Send and Sync.
unsafe impl Send for Reg {}
// SAFETY: as above.
unsafe impl Sync for Reg {}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", self.name, self.handle.0)
    }
}

impl Reg {
    /// A registrant with a module's table of operations, of which fields that the module's version
    /// does not have are taken as null.
    ///
    /// # Safety
    /// `ops` is null or points to a table that begins with its size; the functions in it may be
    /// called with `hdl` on one thread at a time until the instance behind `link` is shut down.
    pub unsafe fn new(
        handle: RegHandle,
        home: usize,
        name: String,
        link: Arc<Link>,
        hdl: *mut c_void,
        ops: *const RegistrantOps,
    ) -> Option<Reg> {
        const SIZE_MIN: usize = std::mem::offset_of!(RegistrantOps, rx_up);
        if ops.is_null() {
            return None;
        }
        // SAFETY: not null, so the caller promises that the size can be read.
        let size = unsafe { (*ops).size } as usize;
        if size < SIZE_MIN {
            return None;
        }
        let mut table = MaybeUninit::<RegistrantOps>::zeroed();
        // SAFETY: both have at least that many bytes; all-zero bytes are valid: functions are optional.
        let ops = unsafe {
            let n = size.min(size_of::<RegistrantOps>());
            std::ptr::copy_nonoverlapping(ops.cast::<u8>(), table.as_mut_ptr().cast::<u8>(), n);
            table.assume_init()
        };
        Some(Reg {
            handle,
            home,
            name,
            link,
            hdl,
            ops,
            stats: RegStats::default(),
            gate: AtomicU32::new(0),
            woken: AtomicBool::new(false),
            timers: Default::default(),
            counters: Mutex::default(),
        })
    }

    /// A registrant without operations.
    #[cfg(test)]
    pub fn inert(handle: RegHandle, name: String, link: Arc<Link>) -> Option<Reg> {
        // SAFETY: all-zero bytes are a table without functions.
        let mut ops: RegistrantOps = unsafe { std::mem::zeroed() };
        ops.size = size_of::<RegistrantOps>() as u32;
        // SAFETY: the table has its size and no functions.
        unsafe { Reg::new(handle, 0, name, link, std::ptr::null_mut(), &ops) }
    }

    /// Its handle.
    #[inline]
    #[must_use]
    pub fn handle(&self) -> RegHandle {
        self.handle
    }

    /// Index of its home worker.
    #[inline]
    #[must_use]
    pub fn home(&self) -> usize {
        self.home
    }

    /// Its name in the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instance it belongs to.
    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Whether a packet can be delivered at once.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.gate.load(Relaxed) == 0
    }

    /// Whether no operation may run any more.
    #[inline]
    pub(super) fn is_dead(&self) -> bool {
        self.gate.load(Relaxed) & DEAD != 0
    }

    /// Whether no operation may run any more but the return of its own memory.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.gate.load(Relaxed) & (DEAD | QUIET) != 0
    }

    /// Ends its operations. Home worker.
    pub(super) fn hush(&self) {
        self.gate.store(self.gate.load(Relaxed) | QUIET, Relaxed);
    }

    /// Packets that wait until it is free.
    pub(super) fn waiting(&self) -> u32 {
        self.gate.load(Relaxed) & !(ACTIVE | DEAD | QUIET)
    }

    /// Notes `n` more packets that wait. Home worker.
    pub(super) fn add_waiting(&self, n: u32) {
        self.gate.store(self.gate.load(Relaxed) + n, Relaxed);
    }

    /// Notes `n` fewer packets that wait. Home worker.
    pub(super) fn sub_waiting(&self, n: u32) {
        self.gate.store(self.gate.load(Relaxed) - n, Relaxed);
    }

    /// Begins an operation. Home worker.
    #[inline]
    pub(super) fn begin(&self) -> Running<'_> {
        self.gate.store(self.gate.load(Relaxed) | ACTIVE, Relaxed);
        Running(self)
    }

    /// Counts dropped packets; any thread.
    #[cold]
    pub fn count_drop(&self, reason: Drop, n: usize) {
        self.stats.drops[reason as usize].fetch_add(n as u64, Relaxed);
    }

    /// Asks for a poll; true where none was asked for yet. Any thread.
    pub fn ask_poll(&self) -> bool {
        !self.woken.swap(true, std::sync::atomic::Ordering::AcqRel)
    }

    /// Takes the request for a poll back, before it is met.
    pub(crate) fn poll_asked_met(&self) {
        self.woken
            .store(false, std::sync::atomic::Ordering::Release);
    }

    /// Sets a timer, 0 for none. Home worker.
    pub(crate) fn set_timer(&self, id: usize, deadline_ns: u64) {
        self.timers[id].store(deadline_ns, Relaxed);
    }

    /// The next deadline of its timers; `u64::MAX` for none.
    pub(crate) fn next_deadline(&self) -> u64 {
        let set = self.timers.iter().map(|timer| timer.load(Relaxed));
        set.filter(|&deadline| deadline != 0)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Takes a timer that has run out by `now_ns`. Home worker.
    pub(crate) fn take_due(&self, now_ns: u64) -> Option<u32> {
        let due = |timer: &AtomicU64| (1..=now_ns).contains(&timer.load(Relaxed));
        let id = self.timers.iter().position(due)?;
        self.set_timer(id, 0);
        Some(id as u32)
    }

    fn counters(&self) -> MutexGuard<'_, Vec<(String, Box<AtomicU64>)>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counter called `name`, made where it does not exist; `None` where there are too many.
    /// The address is valid as long as the registrant.
    pub fn counter(&self, name: &str) -> Option<*const AtomicU64> {
        let mut counters = self.counters();
        if let Some((_, counter)) = counters.iter().find(|(own, _)| own == name) {
            return Some(std::ptr::from_ref(&**counter));
        }
        if counters.len() >= COUNTERS_MAX {
            return None;
        }
        let counter = Box::new(AtomicU64::new(0));
        let address = std::ptr::from_ref(&*counter);
        counters.push((name.into(), counter));
        Some(address)
    }

    /// Its counters and their values.
    pub fn counter_values(&self) -> Vec<(String, u64)> {
        let counters = self.counters();
        let value =
            |(name, counter): &(String, Box<AtomicU64>)| (name.clone(), counter.load(Relaxed));
        counters.iter().map(value).collect()
    }
}

/// The right to run operations of a registrant: there is one at a time, on its home worker.
pub struct Running<'r>(&'r Reg);

impl std::ops::Drop for Running<'_> {
    #[inline]
    fn drop(&mut self) {
        let reg = self.0;
        let dead = if reg.link.has_failed() { DEAD } else { 0 };
        reg.gate
            .store(reg.gate.load(Relaxed) & !ACTIVE | dead, Relaxed);
    }
}

impl Running<'_> {
    /// Hands packets over. False where it has no such operation: they are still the caller's.
    ///
    /// # Safety
    /// `pkts` are owned references; they are given up where the result is true.
    #[inline]
    pub(super) unsafe fn packets(&self, call: Call, pkts: &mut [*mut Npkt]) -> bool {
        let ops = &self.0.ops;
        let op = match call {
            Call::RxUp => ops.rx_up,
            Call::RxDown => ops.rx_down,
            Call::TxDone => ops.tx_done,
        };
        let Some(op) = op else { return false };
        // SAFETY: home worker, one operation at a time; ownership goes with the call.
        unsafe { op(self.0.hdl, pkts.as_mut_ptr(), pkts.len() as u32) };
        true
    }

    /// Polls; returns how much work there was.
    #[inline]
    pub fn poll(&self, budget: u32) -> u32 {
        // SAFETY: home worker, one operation at a time.
        self.0
            .ops
            .poll
            .map_or(0, |op| unsafe { op(self.0.hdl, budget) })
    }

    /// Tells that the worker sleeps or has woken; true where there is work already.
    pub fn arm(&self, sleeping: bool) -> bool {
        // SAFETY: home worker, one operation at a time.
        let op = |op: unsafe extern "C" fn(_, _) -> i32| unsafe {
            op(self.0.hdl, u32::from(sleeping)) != 0
        };
        self.0.ops.arm.is_some_and(op)
    }

    /// Reports a ready descriptor; true where there may be more to do at once.
    pub fn event(&self, cookie: u64, events: u32) -> bool {
        // SAFETY: home worker, one operation at a time.
        let op = |op: unsafe extern "C" fn(_, _, _) -> i32| unsafe {
            op(self.0.hdl, cookie, events) != 0
        };
        self.0.ops.event.is_some_and(op)
    }

    /// Reports that a timer has run out.
    pub fn timer(&self, id: u32, now_ns: u64) {
        if let Some(op) = self.0.ops.timer {
            // SAFETY: home worker, one operation at a time.
            unsafe { op(self.0.hdl, id, now_ns) };
        }
    }

    /// Tells of an interface.
    pub fn dl_advert(&self, advert: &Advert) {
        if let Some(op) = self.0.ops.dl_advert {
            // SAFETY: home worker, one operation at a time; the advert is borrowed for the call.
            unsafe { op(self.0.hdl, advert) };
        }
    }

    /// Has it give back what it keeps.
    pub fn quiesce(&self) {
        if let Some(op) = self.0.ops.quiesce {
            // SAFETY: home worker, one operation at a time.
            unsafe { op(self.0.hdl) };
        }
    }

    /// An out-of-band call with `data[..len]`; the result as the module gave it.
    pub fn devctl(&self, cmd: u32, data: &mut [u8], len: usize) -> i32 {
        const EOPNOTSUPP: i32 = 95;
        let Some(op) = self.0.ops.devctl else {
            return -EOPNOTSUPP;
        };
        let (size, len) = (data.len() as u32, len as u32);
        // SAFETY: home worker, one operation at a time; `data` is lent for the call.
        unsafe { op(self.0.hdl, cmd, data.as_mut_ptr().cast(), size, len) }
    }
}
