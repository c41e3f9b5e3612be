//! Workers: threads that poll, wait and carry packets through the graph.
//!
//! Everything of a [`Worker`] is used on its own thread; others reach it by its [`mailbox`]. Its
//! packet path is [`crate::dispatch::Lane`]; here is what calls registrants in the first place:
//! pollers, descriptors, timers and jobs. The loop is in `turn.rs`.

pub mod mailbox;
mod turn;

use crate::dispatch::{self, Crossings, Lane, Reg, TIMERS_MAX, Watches};
use crate::graph::Plan;
use crate::instance::Wish;
use crate::shared::Shared;
use io_net_abi::{BURST_MAX, RegHandle};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a worker waits.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long it looks for work before it sleeps.
    pub spin: Duration,
    /// It never sleeps.
    pub poll: bool,
}

/// What a worker counts of itself. Written by it alone.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct WorkerStats {
    /// Turns of the loop that found work.
    pub busy_turns: AtomicU64,
    /// Cycles of those turns.
    pub busy_cycles: AtomicU64,
    /// Turns that found none.
    pub idle_turns: AtomicU64,
    /// How often it went to sleep.
    pub sleeps: AtomicU64,
}

/// One worker.
pub struct Worker {
    /// The packet path.
    pub lane: Lane,
    shared: Arc<Shared>,
    stats: Arc<WorkerStats>,
    pace: Pace,
    watches: RefCell<Watches>,
    pollers: RefCell<Vec<Arc<Reg>>>,
    /// No timer runs out before this.
    next_timer_ns: Cell<u64>,
    /// How soon work is expected after that of this turn, in nanoseconds, where it has been said.
    expected_ns: Cell<Option<u32>>,
    stopping: Cell<bool>,
}

/// A running worker, as the control thread holds it.
pub struct Handle {
    /// What it counts.
    pub stats: Arc<WorkerStats>,
    thread: JoinHandle<()>,
}

impl Handle {
    /// Whether its thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until its thread has ended.
    pub fn join(self) {
        // A worker that panicked has said so; there is nothing to add.
        let _ = self.thread.join();
    }
}

/// Starts the workers of an io-net. Worker n is pinned to the n-th of `cpus`, round and round.
///
/// # Errors
/// The kernel's: no thread, no descriptors, or no such processor.
pub fn start(shared: &Arc<Shared>, pace: Pace, cpus: &[usize]) -> io::Result<Vec<Handle>> {
    let base = shared.pool().info().base.cast();
    let crossings = Crossings::between(shared.worker_count(), base);
    let spawn = |(index, crossings)| {
        let cpu = cpus.get(index % cpus.len().max(1)).copied();
        spawn(shared, index, crossings, pace, cpu)
    };
    crossings.into_iter().enumerate().map(spawn).collect()
}

fn spawn(
    shared: &Arc<Shared>,
    index: usize,
    crossings: Crossings,
    pace: Pace,
    cpu: Option<usize>,
) -> io::Result<Handle> {
    let stats = Arc::new(WorkerStats::default());
    let (its_shared, its_stats) = (shared.clone(), stats.clone());
    let (started, start) = std::sync::mpsc::sync_channel(1);
    let run = move || {
        let made = cpu
            .map_or(Ok(()), io_net_os::cpu::pin_thread)
            .and_then(|()| Worker::new(its_shared, its_stats, index, crossings, pace));
        match made {
            Ok(worker) => {
                let _ = started.send(Ok(()));
                dispatch::enter_thread(&worker);
                worker.run();
                dispatch::leave_thread();
            }
            Err(e) => {
                let _ = started.send(Err(e));
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name(format!("io-net-w{index}"))
        .spawn(run)?;
    start
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the worker ended at its start")))?;
    Ok(Handle { stats, thread })
}

impl Worker {
    fn new(
        shared: Arc<Shared>,
        stats: Arc<WorkerStats>,
        index: usize,
        crossings: Crossings,
        pace: Pace,
    ) -> io::Result<Worker> {
        let watches = Watches::new(shared.worker(index).bell())?;
        Ok(Worker {
            lane: Lane::new(index, shared.clone(), crossings),
            shared,
            stats,
            pace,
            watches: RefCell::new(watches),
            pollers: RefCell::default(),
            next_timer_ns: Cell::new(u64::MAX),
            expected_ns: Cell::default(),
            stopping: Cell::new(false),
        })
    }

    /// Ends the loop after this turn.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// Goes over to a new version of the graph.
    pub fn adopt(&self, plan: Arc<Plan>) {
        self.lane.adopt(plan);
    }

    /// Delivers what crosses to this worker and does nothing else until `over`.
    pub fn stand_by(&self, over: &AtomicBool) {
        while !over.load(Ordering::Acquire) {
            self.lane.settle_crossed();
            std::thread::yield_now();
        }
        self.lane.settle_crossed();
    }

    /// Sets a timer of a registrant; 0 cancels.
    #[inline]
    pub fn set_timer(&self, reg: &Reg, id: u32, deadline_ns: u64) {
        if (id as usize) < TIMERS_MAX {
            reg.set_timer(id as usize, deadline_ns);
            if deadline_ns != 0 && deadline_ns < self.next_timer_ns.get() {
                self.next_timer_ns.set(deadline_ns);
            }
        }
    }

    /// Sets what a descriptor is watched for; 0 for nothing.
    ///
    /// # Errors
    /// The kernel's: it is not open, or cannot be polled.
    pub fn watch(&self, reg: &Reg, fd: RawFd, events: u32, cookie: u64) -> io::Result<()> {
        let mut watches = self.watches.borrow_mut();
        watches.set(reg.handle(), fd, events, cookie)
    }

    /// Takes a registrant's word for how soon there is more work, which comes from another processor;
    /// 0: for this one others may wait.
    #[inline]
    pub fn expect(&self, within_ns: u32) {
        self.expected_ns.set(Some(within_ns));
    }

    /// Turns the polling of a registrant on or off.
    pub fn set_poller(&self, reg: &Arc<Reg>, on: bool) {
        let mut pollers = self.pollers.borrow_mut();
        pollers.retain(|other| other.handle() != reg.handle());
        if on {
            pollers.push(reg.clone());
        }
    }

    /// Has a registrant polled soon, from its own thread.
    pub fn wake(&self, reg: &Reg) {
        if reg.ask_poll() {
            let handle = reg.handle();
            let home = self.shared.worker(reg.home());
            home.post(move |worker| worker.poll_asked(handle));
        }
    }

    /// Polls a registrant that asked for it.
    pub fn poll_asked(&self, handle: RegHandle) {
        let plan = self.lane.plan();
        let Some(reg) = plan.reg(handle).cloned() else {
            return;
        };
        reg.poll_asked_met();
        let more = self.lane.poll(&reg) >= BURST_MAX as u32;
        if more && !self.is_poller(handle) {
            self.wake(&reg);
        }
    }

    fn is_poller(&self, handle: RegHandle) -> bool {
        let pollers = self.pollers.borrow();
        pollers.iter().any(|reg| reg.handle() == handle)
    }

    /// Fulfils what a registrant asked for during `init`. Adverts are the control thread's.
    pub fn fulfil(&self, wish: &Wish) -> io::Result<()> {
        let find = |handle| self.lane.plan().reg(handle).cloned();
        match *wish {
            Wish::Watch(handle, fd, events, cookie) => match find(handle) {
                Some(reg) => self.watch(&reg, fd, events, cookie),
                None => Ok(()),
            },
            Wish::Timer(handle, id, deadline_ns) => {
                if let Some(reg) = find(handle) {
                    self.set_timer(&reg, id, deadline_ns);
                }
                Ok(())
            }
            Wish::Poller(handle, on) => {
                if let Some(reg) = find(handle) {
                    self.set_poller(&reg, on);
                }
                Ok(())
            }
            Wish::Wake(handle) => {
                if let Some(reg) = find(handle) {
                    self.wake(&reg);
                }
                Ok(())
            }
            Wish::Advert(..) => Ok(()),
        }
    }

    /// Has a registrant give back what it keeps, and forgets what it asked for.
    pub fn quiesce(&self, reg: &Arc<Reg>) {
        self.set_poller(reg, false);
        self.watches.borrow_mut().forget(reg.handle());
        // What was on its way to it when it left the graph still arrives.
        self.lane.settle_crossed();
        self.lane.quiesce(reg);
        // What it asked for while it was told is void too.
        self.set_poller(reg, false);
        self.watches.borrow_mut().forget(reg.handle());
        for id in 0..TIMERS_MAX {
            reg.set_timer(id, 0);
        }
    }
}
