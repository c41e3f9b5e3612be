//! The packet path: from one registrant to the next.
//!
//! A module's `tx_up` and `tx_down` come here. A burst is cut into runs with one destination, each
//! run is counted on its edge, and the next registrant is called at once where it lives on this
//! worker and is not running already. Else the run waits: in this worker's queue until the present
//! operation is over, or in the ring to the worker it belongs to. Nothing here allocates in steady
//! state, locks, logs or makes a system call.
//!
//! One of the homes of unsafe: modules' functions are called here, and packets are raw references
//! that are owned by whoever holds them.

mod crossing;
mod foreign;
mod ion;
mod offworker;
mod reg;
mod watches;

pub use crossing::{Crossed, Crossings};
pub use foreign::count_foreign;
pub use ion::{enlist, enter_thread, leave_thread, table};
pub use reg::{Drop, Reg, RegStats, Running, TIMERS_MAX, bump};
pub use watches::{Ready, Watches};

use crate::graph::pattern::Matcher;
use crate::graph::{Hop, Plan, Way};
use crate::shared::Shared;
use crate::worker::Worker;
use io_net_abi::{BURST_MAX, Npkt, RegHandle};
use io_net_os::cpu::cycles;
use io_net_pktbuf::Cache;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Packets that may wait on one worker for a registrant that is running.
const DEFERRED_MAX: usize = 16384;

/// Busy polls of which one is timed.
const TIMED_POLLS: u64 = 8;

/// Operations that hand packets to a registrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `rx_up`.
    RxUp,
    /// `rx_down`.
    RxDown,
    /// `tx_done`.
    TxDone,
}

impl From<Way> for Call {
    #[inline]
    fn from(way: Way) -> Call {
        match way {
            Way::Up => Call::RxUp,
            Way::Down => Call::RxDown,
        }
    }
}

/// A worker's part in the packet path. It never leaves its thread.
pub struct Lane {
    index: usize,
    shared: Arc<Shared>,
    /// Replaced only between operations, see [`Lane::adopt`].
    plan: UnsafeCell<Arc<Plan>>,
    cache: RefCell<Cache>,
    deferred: RefCell<VecDeque<Crossed>>,
    crossings: RefCell<Crossings>,
    /// Workers that have been sent packets and not yet been rung, a bit each.
    to_ring: Cell<u64>,
    /// Operations on the stack.
    depth: Cell<u32>,
    /// Cycles spent in operations that the present one called.
    inner_cycles: Cell<u64>,
    /// How many operations the one that is timed stands for; 0 while none is timed.
    weight: Cell<u64>,
}

thread_local! {
    static HERE: Cell<*const Worker> = const { Cell::new(std::ptr::null()) };
}

impl Lane {
    /// The part of worker `index`, with an empty graph.
    #[must_use]
    pub fn new(index: usize, shared: Arc<Shared>, crossings: Crossings) -> Lane {
        Lane {
            index,
            plan: UnsafeCell::new(Arc::new(Plan::empty())),
            cache: RefCell::new(shared.pool().cache()),
            shared,
            deferred: RefCell::default(),
            crossings: RefCell::new(crossings),
            to_ring: Cell::new(0),
            depth: Cell::new(0),
            inner_cycles: Cell::new(0),
            weight: Cell::new(1),
        }
    }

    /// Index of the worker.
    #[inline]
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Passes packets on from `from`.
    ///
    /// # Safety
    /// `pkts` are owned references to packets of this io-net's pool, given up by the call.
    #[inline]
    unsafe fn send(&self, from: RegHandle, way: Way, pkts: &mut [*mut Npkt]) {
        let plan = self.plan();
        let sender = match plan.reg(from) {
            Some(reg) if reg.home() == self.index => reg,
            _ => {
                self.shared.count_astray(pkts.len());
                // SAFETY: the caller's promise.
                return unsafe { self.release(pkts) };
            }
        };
        bump(&sender.stats.packets_out, pkts.len() as u64);
        bump(&sender.stats.bursts_out, 1);
        let hops = plan.hops(way, from);
        let mut rest = pkts;
        while let [first, ..] = rest {
            // SAFETY: we hold a reference to each packet.
            let endpoint = unsafe { (**first).endpoint };
            // SAFETY: as above.
            let differs = |pkt: &*mut Npkt| unsafe { (**pkt).endpoint } != endpoint;
            let n = rest.iter().position(differs).unwrap_or(rest.len());
            let (run, tail) = rest.split_at_mut(n);
            // SAFETY: the run is part of what we were given, and is passed on once.
            unsafe {
                match hops.get(usize::from(endpoint)) {
                    Some(&Hop::To { slot, edge }) => {
                        self.forward(plan, slot, edge, way.into(), run);
                    }
                    Some(&Hop::Top { top, edges }) => self.choose(plan, sender, top, edges, run),
                    _ if way == Way::Up => self.discard(sender, Drop::NoTaker, run),
                    _ => self.discard(sender, Drop::NoPath, run),
                }
            }
            rest = tail;
        }
    }

    /// Passes a run on along one edge.
    ///
    /// # Safety
    /// As [`Lane::send`].
    #[inline]
    unsafe fn forward(&self, plan: &Plan, slot: u16, edge: u32, call: Call, run: &mut [*mut Npkt]) {
        let (to, edge) = (&plan.regs[usize::from(slot)], &plan.edges[edge as usize]);
        bump(&edge.packets, run.len() as u64);
        // SAFETY: the caller's promise.
        let lost = unsafe {
            match to {
                Some(to) => self.deliver(to, call, run),
                None => {
                    self.release(run);
                    run.len()
                }
            }
        };
        if lost > 0 {
            bump(&edge.drops, lost as u64);
        }
    }

    /// Gives packets at the top of a column to those who ask for them.
    ///
    /// # Safety
    /// As [`Lane::send`].
    unsafe fn choose(
        &self,
        plan: &Plan,
        sender: &Reg,
        top: u16,
        edges: u32,
        run: &mut [*mut Npkt],
    ) {
        let top = &plan.tops[usize::from(top)];
        let mut rest = run;
        while !rest.is_empty() {
            // SAFETY: we hold a reference to each packet.
            let (takers, n) = unsafe { same_takers(&top.matcher, rest) };
            let (part, tail) = rest.split_at_mut(n);
            let mut left = takers;
            while left != 0 {
                let taker = left.trailing_zeros();
                left &= left - 1;
                let (slot, edge) = (top.entries[taker as usize], edges + taker);
                // SAFETY: each taker gets a reference of its own, the last one ours.
                unsafe {
                    if left == 0 {
                        self.forward(plan, slot, edge, Call::RxUp, part);
                    } else {
                        self.forward(plan, slot, edge, Call::RxUp, &mut share(part)[..n]);
                    }
                }
            }
            if takers == 0 {
                // SAFETY: nobody was given this part.
                unsafe { self.discard(sender, Drop::NoTaker, part) };
            }
            rest = tail;
        }
    }

    /// Calls `to` with a run, or has the run wait. Returns how many packets could not wait.
    ///
    /// # Safety
    /// As [`Lane::send`].
    #[inline]
    unsafe fn deliver(&self, to: &Reg, call: Call, run: &mut [*mut Npkt]) -> usize {
        // SAFETY: the caller's promise.
        unsafe {
            if to.home() != self.index {
                self.cross(to, call, run)
            } else if to.is_free() {
                self.enter(to, |running| self.hand_over(to, running, call, run));
                0
            } else {
                self.defer(to, call, run)
            }
        }
    }

    /// # Safety
    /// As [`Lane::send`].
    #[inline]
    unsafe fn hand_over(&self, to: &Reg, running: &Running, call: Call, run: &mut [*mut Npkt]) {
        bump(&to.stats.packets_in, run.len() as u64);
        bump(&to.stats.bursts_in, 1);
        // SAFETY: the caller's promise; what the registrant does not take is still ours.
        unsafe {
            if running.packets(call, run) {
                return;
            }
            match call {
                Call::TxDone => self.shared.count_orphans(run.len()),
                _ => self.discard(to, Drop::NoPath, run),
            }
        }
    }

    /// Runs an operation of `reg`, timed or not.
    #[inline]
    fn enter<R>(&self, reg: &Reg, op: impl FnOnce(&Running) -> R) -> R {
        self.depth.set(self.depth.get() + 1);
        let result = match self.weight.get() {
            0 => op(&reg.begin()),
            weight => self.time(reg, weight, op),
        };
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// Runs an operation of `reg` and counts its own cycles.
    fn time<R>(&self, reg: &Reg, weight: u64, op: impl FnOnce(&Running) -> R) -> R {
        let outer = self.inner_cycles.replace(0);
        let start = cycles();
        let result = op(&reg.begin());
        let spent = cycles().wrapping_sub(start);
        let own = spent.saturating_sub(self.inner_cycles.get());
        bump(&reg.stats.cycles, own * weight);
        self.inner_cycles.set(outer + spent);
        result
    }

    /// Keeps a run until the registrant, which is running, is free. Returns how many packets were
    /// dropped for want of room.
    ///
    /// # Safety
    /// As [`Lane::send`].
    #[cold]
    unsafe fn defer(&self, to: &Reg, call: Call, run: &mut [*mut Npkt]) -> usize {
        let mut queue = self.deferred.borrow_mut();
        let room = if to.is_over() {
            0
        } else {
            DEFERRED_MAX.saturating_sub(queue.len()).min(run.len())
        };
        let (kept, lost) = run.split_at_mut(room);
        to.add_waiting(kept.len() as u32);
        queue.extend(kept.iter().map(|&pkt| Crossed::new(to.handle(), call, pkt)));
        drop(queue);
        if !lost.is_empty() {
            let reason = if to.is_over() {
                Drop::Dead
            } else {
                Drop::DeferredFull
            };
            // SAFETY: these were not kept.
            unsafe { self.discard(to, reason, lost) };
        }
        lost.len()
    }

    /// Sends a run to the worker where `to` lives. Returns how many packets were dropped for want
    /// of room.
    ///
    /// # Safety
    /// As [`Lane::send`].
    unsafe fn cross(&self, to: &Reg, call: Call, run: &mut [*mut Npkt]) -> usize {
        let mut crossings = self.crossings.borrow_mut();
        let sent = crossings.send(to.home(), to.handle(), call, run);
        drop(crossings);
        self.to_ring.set(self.to_ring.get() | 1 << to.home());
        let lost = &mut run[sent..];
        if !lost.is_empty() {
            // SAFETY: these were not sent.
            unsafe { self.discard(to, Drop::CrossingFull, lost) };
        }
        lost.len()
    }

    /// Drops packets and says why.
    ///
    /// # Safety
    /// As [`Lane::send`].
    #[cold]
    unsafe fn discard(&self, at: &Reg, reason: Drop, pkts: &mut [*mut Npkt]) {
        at.count_drop(reason, pkts.len());
        // SAFETY: the caller's promise.
        unsafe { self.release(pkts) };
    }

    /// Releases one reference to each packet.
    ///
    /// # Safety
    /// As [`Lane::send`].
    #[inline]
    unsafe fn release(&self, pkts: &[*mut Npkt]) {
        let foreign = |pkt| self.send_home(pkt);
        // SAFETY: the caller's promise.
        unsafe { self.cache.borrow_mut().release(pkts, foreign) };
    }

    /// Has a packet over a module's own memory given back to it, after the present operation.
    #[cold]
    fn send_home(&self, pkt: *mut Npkt) {
        // SAFETY: the last reference has just been dropped; the descriptor is ours alone.
        let owner = unsafe { (*pkt).owner };
        let owner = self.plan().regs.get(usize::from(owner));
        let Some(owner) = owner.and_then(Option::as_ref) else {
            return self.shared.count_orphans(1);
        };
        let crossed = Crossed::new(owner.handle(), Call::TxDone, pkt);
        if owner.home() == self.index {
            self.wait_for(owner, crossed);
        } else {
            let home = self.shared.worker(owner.home());
            home.post(move |worker| worker.lane.come_home(crossed));
        }
    }

    /// Takes a packet that another thread has sent home.
    pub(crate) fn come_home(&self, crossed: Crossed) {
        match self.plan().reg(crossed.to) {
            Some(owner) => self.wait_for(owner, crossed),
            None => self.shared.count_orphans(1),
        }
    }

    /// Puts one packet in the queue, however long it is: buffers that come home are as many as the
    /// module lent, and must not be lost.
    fn wait_for(&self, owner: &Reg, crossed: Crossed) {
        owner.add_waiting(1);
        self.deferred.borrow_mut().push_back(crossed);
    }

    /// Delivers all that has been sent here so far, which fills the rings to this worker at most.
    pub fn settle_crossed(&self) {
        for _ in 0..=crossing::RING / BURST_MAX {
            if self.take_crossed() + self.settle() == 0 {
                return;
            }
        }
    }

    /// Delivers what still waits at the top of the loop. Returns how many packets.
    pub fn settle(&self) -> usize {
        let n = self.drain();
        if self.to_ring.get() != 0 {
            self.ring_others();
        }
        n
    }

    /// Delivers what waits in this worker's queue. Returns how many packets.
    #[inline]
    fn drain(&self) -> usize {
        if self.deferred.borrow().is_empty() {
            return 0;
        }
        self.drain_some()
    }

    /// One pass: what is put in the queue meanwhile waits for the next.
    #[cold]
    fn drain_some(&self) -> usize {
        let waiting = self.deferred.borrow().len();
        let mut left = waiting;
        let mut run = Run::new();
        while left > 0 {
            {
                let mut queue = self.deferred.borrow_mut();
                while left > 0 && queue.front().is_some_and(|next| run.accepts(next)) {
                    run.extend(queue.pop_front());
                    left -= 1;
                }
            }
            self.deliver_run(&mut run, true);
        }
        waiting
    }

    /// Delivers what other workers have sent. Returns how many packets.
    pub fn take_crossed(&self) -> usize {
        if !self.crossings.borrow().has_incoming() {
            return 0;
        }
        let mut total = 0;
        let mut words = [0; BURST_MAX];
        let mut run = Run::new();
        for sender in 0..self.shared.worker_count() {
            let n = self.crossings.borrow_mut().receive(sender, &mut words);
            for &word in &words[..n] {
                let next = self.crossings.borrow().unpack(word);
                if !run.accepts(&next) {
                    self.deliver_run(&mut run, false);
                }
                run.extend(Some(next));
            }
            self.deliver_run(&mut run, false);
            total += n;
        }
        if total > 0 {
            self.after_operation();
        }
        total
    }

    /// Delivers a run that waited and empties it.
    fn deliver_run(&self, run: &mut Run, deferred: bool) {
        let Some((handle, call)) = run.to.take() else {
            return;
        };
        let n = std::mem::take(&mut run.len);
        let pkts = &mut run.pkts[..n];
        let to = self.plan().reg(handle);
        if let (Some(to), true) = (to, deferred) {
            to.sub_waiting(n as u32);
        }
        // SAFETY: the run holds owned references, and has just given them up.
        unsafe {
            match to {
                Some(to) if !to.is_over() || call == Call::TxDone && !to.is_dead() => {
                    if deferred || to.waiting() == 0 {
                        self.enter(to, |running| self.hand_over(to, running, call, pkts));
                    } else {
                        // Its own counter is all there is: the edge is not known here.
                        self.defer(to, call, pkts);
                    }
                }
                _ if call == Call::TxDone => self.shared.count_orphans(n),
                Some(dead) => self.discard(dead, Drop::Dead, pkts),
                None => {
                    self.shared.count_astray(n);
                    self.release(pkts);
                }
            }
        }
    }

    /// Quiesces a registrant, then delivers what it passed on. It is called no more.
    pub fn quiesce(&self, reg: &Reg) {
        self.run(reg, |running| running.quiesce());
        reg.hush();
    }

    /// Runs one operation from the top of the worker's loop, then what it left waiting. `None`
    /// where the registrant has failed or been quiesced.
    pub fn run<R>(&self, reg: &Reg, op: impl FnOnce(&Running) -> R) -> Option<R> {
        debug_assert_eq!((self.depth.get(), reg.home()), (0, self.index));
        if reg.is_over() {
            return None;
        }
        let result = self.enter(reg, op);
        self.after_operation();
        Some(result)
    }

    /// Polls `reg`. One busy poll in [`TIMED_POLLS`] is timed, with all that it calls, and stands
    /// for the others: reading the cycle counter would else be a twentieth of the work. Cycles of
    /// a poll that found nothing are not counted. Returns the work done.
    #[inline]
    pub fn poll(&self, reg: &Reg) -> u32 {
        if reg.is_over() {
            return 0;
        }
        let timed = reg
            .stats
            .busy_polls
            .load(Ordering::Relaxed)
            .is_multiple_of(TIMED_POLLS);
        self.weight.set(if timed { TIMED_POLLS } else { 0 });
        let before = reg.stats.cycles.load(Ordering::Relaxed);
        let work = self.enter(reg, |running| running.poll(BURST_MAX as u32));
        if work == 0 {
            reg.stats.cycles.store(before, Ordering::Relaxed);
            bump(&reg.stats.idle_polls, 1);
        } else {
            bump(&reg.stats.busy_polls, 1);
        }
        self.weight.set(1);
        self.after_operation();
        work
    }

    #[inline]
    fn after_operation(&self) {
        self.settle();
    }

    /// Wakes the workers that have been sent packets and sleep.
    #[cold]
    fn ring_others(&self) {
        // Pairs with the fence of a worker that goes to sleep: either it sees the packets, or we
        // see it asleep.
        fence(Ordering::SeqCst);
        let mut left = self.to_ring.replace(0);
        while left != 0 {
            self.shared
                .worker(left.trailing_zeros() as usize)
                .ring_if_asleep();
            left &= left - 1;
        }
    }

    /// Whether packets wait here, from this worker or from others.
    pub fn has_waiting(&self) -> bool {
        !self.deferred.borrow().is_empty() || self.crossings.borrow().has_incoming()
    }

    /// The present version of the graph.
    #[inline]
    pub fn plan(&self) -> &Plan {
        // SAFETY: replaced by `adopt` only, which runs on this thread while no reference is held.
        unsafe { &*self.plan.get() }
    }

    /// Goes over to a new version of the graph.
    ///
    /// # Panics
    /// Within an operation.
    pub fn adopt(&self, plan: Arc<Plan>) {
        assert_eq!(self.depth.get(), 0, "a plan is replaced between operations");
        // SAFETY: no operation is on the stack, and the loop keeps no reference to the plan across
        // jobs, which are where this is called; this thread alone uses the cell.
        let old = unsafe { std::mem::replace(&mut *self.plan.get(), plan) };
        drop(old);
    }
}

/// Packets for one destination that are gathered from a queue.
struct Run {
    to: Option<(RegHandle, Call)>,
    pkts: [*mut Npkt; BURST_MAX],
    len: usize,
}

impl Run {
    fn new() -> Run {
        Run {
            to: None,
            pkts: [std::ptr::null_mut(); BURST_MAX],
            len: 0,
        }
    }

    /// Whether `next` can go with the packets gathered.
    #[inline]
    fn accepts(&self, next: &Crossed) -> bool {
        self.len < BURST_MAX && self.to.is_none_or(|to| to == (next.to, next.call))
    }

    #[inline]
    fn extend(&mut self, next: Option<Crossed>) {
        if let Some(next) = next {
            self.to = Some((next.to, next.call));
            self.pkts[self.len] = next.into_raw();
            self.len += 1;
        }
    }
}

/// The takers of the first packet, and how many packets from there have the same.
///
/// # Safety
/// The caller holds a reference to each packet; there is one at least.
#[inline]
unsafe fn same_takers(matcher: &Matcher, pkts: &[*mut Npkt]) -> (u64, usize) {
    // SAFETY: the caller's promise.
    let data = |pkt: &*mut Npkt| unsafe { data_of(*pkt) };
    let first = data(&pkts[0]);
    let takers = matcher.takers(first);
    (takers, matcher.run(first, takers, pkts, data))
}

/// The bytes of a packet's first fragment.
///
/// # Safety
/// The caller holds a reference for as long as it uses the bytes.
#[inline]
unsafe fn data_of<'p>(pkt: *mut Npkt) -> &'p [u8] {
    // SAFETY: the descriptor is live, and its fields stay within its buffer.
    unsafe {
        let start = pkt
            .cast::<u8>()
            .offset((*pkt).buf as isize)
            .add((*pkt).data_off as usize);
        std::slice::from_raw_parts(start, (*pkt).len as usize)
    }
}

/// A second reference to each packet of `part`, which has [`BURST_MAX`] at most.
///
/// # Safety
/// The caller holds a reference to each.
unsafe fn share(part: &[*mut Npkt]) -> [*mut Npkt; BURST_MAX] {
    let mut copies = [std::ptr::null_mut(); BURST_MAX];
    copies[..part.len()].copy_from_slice(part);
    for &pkt in part {
        // SAFETY: the caller's promise.
        unsafe { (*pkt).refs.fetch_add(1, Ordering::Relaxed) };
    }
    copies
}

#[cfg(test)]
mod tests;
