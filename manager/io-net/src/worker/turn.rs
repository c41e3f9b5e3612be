//! The worker's loop: look for work while there is some, for a short while after, then sleep.
//!
//! Asleep, a worker waits in epoll for a descriptor, the bell or the next timer, whichever comes
//! first: an idle io-net does not run.

use super::Worker;
use crate::dispatch::{Ready, Reg, TIMERS_MAX, bump};
use io_net_os::clock::monotonic_ns;
use io_net_os::cpu::{cycles, pause};
use io_net_os::epoll::Event;
use std::sync::Arc;
use std::time::Duration;

/// How long descriptors may go unlooked at while pollers are busy.
const EPOLL_INTERVAL_NS: u64 = 30_000;
/// The same while there is no work, and descriptors were ready lately: what comes next may come by
/// one of them.
const EPOLL_IDLE_INTERVAL_NS: u64 = 2_000;
/// How long ago that may be.
const READY_LATELY_NS: u64 = 1_000_000;
/// Busy turns between two looks at the clock.
const CLOCK_TURNS: u32 = 8;
/// How long a worker without work keeps its core for itself, unless it knows better.
const KEEP_NS: u64 = 300;
/// The same once it has offered it to others, and has it again.
const KEEP_AGAIN_NS: u64 = 2_000;
/// The longest that it keeps it on a module's word.
const KEEP_MAX_NS: u32 = 20_000;
/// Descriptors reported at once.
const EVENTS: usize = 64;

/// What a worker remembers from turn to turn.
struct Memory {
    now_ns: u64,
    /// Turns since `now_ns` was read.
    age: u32,
    /// When there last was work.
    worked_ns: u64,
    /// There was, in the last turn.
    worked: bool,
    /// Until when it keeps its core for itself.
    keep_ns: u64,
    /// When descriptors were last looked at.
    epolled_ns: u64,
    /// When one was ready.
    ready_ns: u64,
    /// A descriptor's owner said that there is more.
    more: bool,
    /// Cycle counter at the end of the last turn.
    cycles: u64,
}

impl Memory {
    /// Whether there has been no work for so long.
    fn is_idle_for(&self, time_ns: u64) -> bool {
        self.now_ns.saturating_sub(self.worked_ns) >= time_ns
    }
}

impl Worker {
    /// Works until [`Worker::stop`].
    pub(super) fn run(&self) {
        let now_ns = monotonic_ns();
        let mut memory = Memory {
            now_ns,
            age: 0,
            worked_ns: now_ns,
            worked: false,
            keep_ns: now_ns,
            epolled_ns: now_ns,
            ready_ns: now_ns,
            more: false,
            cycles: cycles(),
        };
        while !self.stopping.get() {
            let worked = self.turn(&mut memory);
            self.count(&mut memory, worked);
            if worked {
                memory.worked_ns = memory.now_ns;
                memory.worked = true;
            } else if !self.pace.poll && memory.is_idle_for(self.pace.spin.as_nanos() as u64) {
                self.sleep(&mut memory);
            } else if self.pace.poll || self.keeps_core(&mut memory) {
                pause();
            } else {
                // What it waits for may have to come from a program that waits for this core.
                std::thread::yield_now();
                memory.now_ns = monotonic_ns();
                memory.keep_ns = memory.now_ns + KEEP_AGAIN_NS;
                memory.cycles = cycles();
            }
        }
        // The graph is empty by now: what is still under way is released.
        while self.lane.settle() + self.lane.take_crossed() > 0 {}
    }

    /// Whether a worker without work keeps its core for itself yet.
    #[inline]
    fn keeps_core(&self, memory: &mut Memory) -> bool {
        if std::mem::take(&mut memory.worked) {
            let expected = self.expected_ns.take();
            let keep = expected.map_or(KEEP_NS, |ns| ns.min(KEEP_MAX_NS).into());
            memory.keep_ns = memory.now_ns + keep;
        }
        memory.now_ns < memory.keep_ns
    }

    /// Looks at everything once; true where there was work.
    fn turn(&self, memory: &mut Memory) -> bool {
        let mut worked = self.poll_pollers();
        worked |= self.shared.worker_count() > 1 && self.lane.take_crossed() > 0;
        worked |= self.run_jobs();
        worked |= self.lane.settle() > 0;
        memory.age += 1;
        if !worked || memory.age >= CLOCK_TURNS || memory.more {
            memory.now_ns = monotonic_ns();
            memory.age = 0;
            worked |= self.run_timers(memory.now_ns);
            let interval_ns = match worked {
                true => EPOLL_INTERVAL_NS,
                false if self.pollers.borrow().is_empty() => 0,
                false if memory.now_ns - memory.ready_ns > READY_LATELY_NS => EPOLL_INTERVAL_NS,
                false => EPOLL_IDLE_INTERVAL_NS,
            };
            if memory.more || memory.now_ns - memory.epolled_ns >= interval_ns {
                worked |= self.look_at_descriptors(memory);
            }
        }
        worked
    }

    fn count(&self, memory: &mut Memory, worked: bool) {
        let now = cycles();
        if worked {
            bump(&self.stats.busy_turns, 1);
            bump(&self.stats.busy_cycles, now.wrapping_sub(memory.cycles));
        } else {
            bump(&self.stats.idle_turns, 1);
        }
        memory.cycles = now;
    }

    /// Polls everybody who asked for it.
    #[inline]
    fn poll_pollers(&self) -> bool {
        let mut work = 0;
        let mut at = 0;
        // A poll may change the list.
        while let Some(reg) = self.poller(at) {
            work += self.lane.poll(&reg);
            at += 1;
        }
        work > 0
    }

    fn poller(&self, at: usize) -> Option<Arc<Reg>> {
        self.pollers.borrow().get(at).cloned()
    }

    fn run_jobs(&self) -> bool {
        let mailbox = self.shared.worker(self.lane.index());
        if !mailbox.any() {
            return false;
        }
        for job in mailbox.take() {
            job(self);
        }
        true
    }

    /// Calls the timers that have run out; true where there were any.
    fn run_timers(&self, now_ns: u64) -> bool {
        if now_ns < self.next_timer_ns.get() {
            return false;
        }
        let mut any = false;
        // Set anew by what is called, and by the look at all timers afterwards.
        self.next_timer_ns.set(u64::MAX);
        for reg in self.own_registrants() {
            // One that is set to the past anew waits for the next turn.
            for _ in 0..TIMERS_MAX {
                let Some(id) = reg.take_due(now_ns) else {
                    break;
                };
                any = true;
                self.lane.run(&reg, |running| running.timer(id, now_ns));
            }
        }
        self.next_timer_ns.set(self.exact_next_timer());
        any
    }

    fn own_registrants(&self) -> Vec<Arc<Reg>> {
        let regs = self.lane.plan().regs.iter().flatten();
        regs.filter(|reg| reg.home() == self.lane.index())
            .cloned()
            .collect()
    }

    fn exact_next_timer(&self) -> u64 {
        let regs = self.lane.plan().regs.iter().flatten();
        regs.filter(|reg| reg.home() == self.lane.index())
            .map(|reg| reg.next_deadline())
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Looks which descriptors are ready, without waiting; true where some were.
    fn look_at_descriptors(&self, memory: &mut Memory) -> bool {
        memory.epolled_ns = memory.now_ns;
        memory.more = false;
        if self.watches.borrow().is_empty() {
            return false;
        }
        let mut events = [Event::default(); EVENTS];
        let n = self.wait(&mut events, Some(Duration::ZERO));
        self.report(&events[..n], memory)
    }

    fn wait(&self, events: &mut [Event], timeout: Option<Duration>) -> usize {
        let watches = self.watches.borrow();
        match watches.wait(events, timeout) {
            Ok(events) => events.len(),
            Err(e) => {
                drop(watches);
                self.shared
                    .log
                    .error(format_args!("worker {}: epoll: {e}", self.lane.index()));
                // Never spin on an error that stays.
                std::thread::sleep(Duration::from_millis(10));
                0
            }
        }
    }

    /// Tells registrants of their ready descriptors; true where there were any.
    fn report(&self, events: &[Event], memory: &mut Memory) -> bool {
        let mut any = false;
        for event in events {
            // Asked one by one: an earlier call may have ended the watch.
            let ready = self.watches.borrow().ready(event);
            let Some(Ready { to, cookie, events }) = ready else {
                continue;
            };
            let Some(reg) = self.lane.plan().reg(to).cloned() else {
                continue;
            };
            any = true;
            memory.ready_ns = memory.now_ns;
            let more = self.lane.run(&reg, |running| running.event(cookie, events));
            memory.more |= more.unwrap_or(false);
        }
        // As many as there was room for: there may be others.
        memory.more |= events.len() == EVENTS;
        any
    }

    /// Waits in epoll for something to do.
    fn sleep(&self, memory: &mut Memory) {
        let mailbox = self.shared.worker(self.lane.index());
        let armed: Vec<Arc<Reg>> = self.pollers.borrow().clone();
        let mut work = false;
        for reg in &armed {
            work |= self.lane.run(reg, |running| running.arm(true)) == Some(true);
        }
        let mut events = [Event::default(); EVENTS];
        let mut n = 0;
        if !work {
            mailbox.fall_asleep();
            if !mailbox.any() && !self.lane.has_waiting() {
                bump(&self.stats.sleeps, 1);
                let next = self.exact_next_timer();
                self.next_timer_ns.set(next);
                n = self.wait(&mut events, timeout(next));
            }
            mailbox.wake_up();
        }
        for reg in &armed {
            self.lane.run(reg, |running| running.arm(false));
        }
        memory.now_ns = monotonic_ns();
        memory.cycles = cycles();
        (memory.age, memory.epolled_ns) = (0, memory.now_ns);
        let worked = self.report(&events[..n], memory) | self.run_timers(memory.now_ns) | work;
        self.count(memory, worked);
        // What woke it, if nothing else, is worth a look.
        memory.worked_ns = memory.now_ns;
    }
}

/// How long to wait for a deadline; for ever where there is none.
fn timeout(deadline_ns: u64) -> Option<Duration> {
    (deadline_ns != u64::MAX)
        .then(|| Duration::from_nanos(deadline_ns.saturating_sub(monotonic_ns())))
}
