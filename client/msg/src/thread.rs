//! What the library keeps for each thread that uses it: its kernel id, its priority, its timeout,
//! and whether it waits.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use io_net_os::{fork, sched, task};

use crate::event::Event;
use crate::flags::CHF_THREAD_DEATH;
use crate::process::{Process, lock};
use crate::pulse::CODE_THREADDEATH;

/// The priority of a thread that has no realtime one: QNX's default.
pub(crate) const DEFAULT: u16 = 10;
/// Set in a priority that is a realtime one.
pub(crate) const REALTIME: u16 = 0x100;

struct Me {
    tid: Cell<u32>,
    forks: Cell<u32>,
    priority: Cell<u16>,
    /// Whether the kernel has refused to change this thread's priority.
    refused: Cell<bool>,
    timeout: Cell<Option<Timeout>>,
    shared: Arc<Shared>,
    /// The fork count with which `shared` was made known to the process; None: never.
    known: Cell<Option<u32>>,
}

/// A timeout of the next blocking call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    /// The states in which it counts.
    pub(crate) mask: u32,
    /// From the call's start on.
    pub(crate) time: Duration,
    /// What is to happen then; [`Event::Unblock`]: the call ends.
    pub(crate) event: Event,
}

/// What other threads of the process know of a thread, and tell it.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Whether it waits.
    wait: AtomicU32,
    /// Its kernel id.
    tid: AtomicU32,
    /// The key of the channel that it received from last, unless receivers keep their priority there;
    /// 0: none.
    channel: AtomicU64,
    /// The highest priority of a message that waits for it to receive again; 0: none.
    urged: AtomicU32,
}

/// The thread does not wait.
const RUNS: u32 = 0;
/// It waits, or is about to.
const WAITS: u32 = 1;
/// It waits, and has been asked to end that.
const ASKED: u32 = 2;

thread_local! {
    static ME: Me = Me::new();
}

impl Me {
    fn new() -> Self {
        let priority =
            sched::realtime_priority().map_or(DEFAULT, |level| u16::from(level) | REALTIME);
        Self {
            tid: Cell::new(task::thread_id()),
            forks: Cell::new(fork::count()),
            priority: Cell::new(priority),
            refused: Cell::new(false),
            timeout: Cell::new(None),
            shared: Arc::default(),
            known: Cell::new(None),
        }
    }
}

impl Drop for Me {
    /// The thread ends.
    fn drop(&mut self) {
        let Some(process) = Process::peek() else {
            return;
        };
        self.shared.channel.store(0, Ordering::Relaxed);
        lock(&process.waits).remove(&self.tid.get());
        for core in process.channels_with(CHF_THREAD_DEATH) {
            let value = self.tid.get().into();
            core.post(CODE_THREADDEATH, DEFAULT as u8, value, 0);
        }
    }
}

/// The calling thread's kernel id.
#[inline]
pub(crate) fn id() -> u32 {
    ME.try_with(|me| {
        if me.forks.get() != fork::count() {
            me.forks.set(fork::count());
            me.tid.set(task::thread_id());
        }
        me.tid.get()
    })
    .unwrap_or_else(|_| task::thread_id())
}

/// The priority with which the calling thread sends: QNX's number, and whether it is a realtime
/// one. Its own, or that of a message that waits for it, if that is more urgent.
#[inline]
pub(crate) fn priority() -> u16 {
    let most = |me: &Me| match me.shared.urged.load(Ordering::Relaxed) as u16 {
        0 => me.priority.get(),
        urged => higher(me.priority.get(), urged),
    };
    ME.try_with(most).unwrap_or(DEFAULT)
}

/// The more urgent of two.
fn higher(a: u16, b: u16) -> u16 {
    if b as u8 > a as u8 { b } else { a }
}

/// Sets it: the thread's messages, and what it does for them, come before those of a lower one. A
/// thread with a realtime priority gets it from the kernel too, if that allows it.
pub(crate) fn set_priority(level: u8) {
    // A thread that ends needs none.
    let _ = ME.try_with(|me| {
        me.priority
            .set(me.priority.get() & REALTIME | u16::from(level));
        me.shared.urged.store(0, Ordering::Relaxed);
    });
    apply();
}

/// Takes on the priority of a message's sender.
pub(crate) fn inherit(priority: u16) {
    // A thread that ends needs none.
    let _ = ME.try_with(|me| take_on(me, priority));
}

/// Has received something of this priority from the channel with this key, whose `receivers` are urged by
/// what waits there.
#[inline]
pub(crate) fn receive(priority: u16, key: u64, receivers: &Mutex<Vec<Weak<Shared>>>) {
    // As above.
    let _ = ME.try_with(|me| {
        take_on(me, priority);
        if me.shared.channel.load(Ordering::Relaxed) != key {
            join(me, key, receivers);
        }
    });
}

#[inline]
fn take_on(me: &Me, priority: u16) {
    let urged = me.shared.urged.load(Ordering::Relaxed) != 0;
    if me.priority.get() != priority || urged {
        let before = if urged { calm(me) } else { me.priority.get() };
        me.priority.set(priority);
        if (before | priority) & REALTIME != 0 && !me.refused.get() {
            apply();
        }
    }
}

/// What waited is being received. What the thread was urged to, and had by itself.
#[cold]
fn calm(me: &Me) -> u16 {
    me.shared.urged.swap(0, Ordering::Relaxed) as u16 | me.priority.get()
}

#[cold]
fn join(me: &Me, key: u64, receivers: &Mutex<Vec<Weak<Shared>>>) {
    me.shared.tid.store(id(), Ordering::Relaxed);
    me.shared.channel.store(key, Ordering::Relaxed);
    let mut receivers = lock(receivers);
    let own = Arc::downgrade(&me.shared);
    receivers.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&own));
    receivers.push(own);
}

/// A message of this priority waits on the channel with this key: those who received there last hurry, as far as
/// the kernel lets them.
pub(crate) fn urge(key: u64, receivers: &Mutex<Vec<Weak<Shared>>>, priority: u16) {
    let receivers = lock(receivers).clone();
    for thread in receivers.iter().filter_map(Weak::upgrade) {
        if thread.channel.load(Ordering::Relaxed) != key {
            continue;
        }
        let most = |urged: u32| Some(higher(urged as u16, priority).into());
        let _ = (thread.urged).fetch_update(Ordering::Relaxed, Ordering::Relaxed, most);
        if priority & REALTIME != 0 {
            let tid = thread.tid.load(Ordering::Relaxed);
            // Without the right to it, or where it has ended, it goes on as it is.
            let _ = sched::raise_realtime_priority_of(tid, priority as u8);
        }
    }
}

/// Asks the kernel to run the calling thread with its priority.
#[cold]
fn apply() {
    // As above.
    let _ = ME.try_with(|me| {
        let priority = me.priority.get();
        let level = (priority & REALTIME != 0).then_some(priority as u8);
        if level.is_some() || sched::realtime_priority().is_some() {
            me.refused.set(sched::set_realtime_priority(level).is_err());
        }
    });
}

/// Sets the next blocking call's timeout and returns the one before.
pub(crate) fn set_timeout(timeout: Option<Timeout>) -> Option<Timeout> {
    ME.try_with(|me| me.timeout.replace(timeout)).ok().flatten()
}

/// Uses it up.
#[inline]
pub(crate) fn take_timeout() -> Option<Timeout> {
    ME.try_with(|me| me.timeout.take()).ok().flatten()
}

// ---- Waits to receive, which SIGEV_UNBLOCK ends ----

/// The calling thread is about to sleep: from now on [`unblock`] finds it.
pub(crate) fn begin_wait() {
    // A thread that ends is not found.
    let _ = ME.try_with(|me| {
        if me.known.get() != Some(fork::count()) {
            me.known.set(Some(fork::count()));
            lock(&Process::get().waits).insert(id(), me.shared.clone());
        }
        me.shared.wait.store(WAITS, Ordering::Relaxed);
    });
}

/// Whether the calling thread's wait is to end. Once it is awake, or is certain to be woken.
pub(crate) fn is_asked() -> bool {
    ME.try_with(|me| me.shared.wait.load(Ordering::Relaxed) == ASKED)
        .unwrap_or(false)
}

/// The calling thread sleeps no longer. Whether its wait was to end.
pub(crate) fn end_wait() -> bool {
    ME.try_with(|me| me.shared.wait.swap(RUNS, Ordering::Relaxed) == ASKED)
        .unwrap_or(false)
}

/// Asks thread `tid` to end its wait for something to receive, or for a slot. Whether it is in one,
/// and to be woken.
pub(crate) fn unblock(tid: u32) -> bool {
    let thread = lock(&Process::get().waits).get(&tid).cloned();
    thread.is_some_and(|thread| {
        let asked =
            (thread.wait).compare_exchange(WAITS, ASKED, Ordering::SeqCst, Ordering::Relaxed);
        asked.is_ok()
    })
}
