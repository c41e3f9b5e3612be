//! epoll over any mixture of io-net's sockets and other descriptors.
//!
//! Each instance is a real epoll instance of the kernel's and a table here. What the kernel can
//! watch (other descriptors, listeners, whose doorbell is readable when a connection waits) it
//! watches; io-net's other sockets are only in the table. Their events are found by comparing event
//! counters, and the segments' bells, watched edge-triggered by the kernel's instance, end a sleep.
//! An instance is locked for as long as the table is looked at, never while asleep.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use io_net_os::epoll::{self, EDGE, Event, HUP, IN, ONESHOT, RDHUP};
use io_net_os::{clock, cpu, eventfd};

use crate::endpoint::Endpoint;
use crate::errno::{Errno, Result};
use crate::table::{self, Entry};
use crate::wait::{SPINS, Until};
use crate::{mapped, session};

/// EPOLL_CTL_ADD, EPOLL_CTL_DEL and EPOLL_CTL_MOD.
pub use libc::{EPOLL_CTL_ADD as ADD, EPOLL_CTL_DEL as DEL, EPOLL_CTL_MOD as MOD};

const INSTANCES_MAX: usize = 4096;

static INSTANCES: [AtomicPtr<Instance>; INSTANCES_MAX] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; INSTANCES_MAX];

/// Held to take an instance into use.
static CREATING: Mutex<()> = Mutex::new(());

/// Kernel tokens that are no descriptor's.
const BELL: u64 = 1 << 63;
const LIFELINE: u64 = BELL | 1;

/// While shared memory has events, the kernel is asked no more often than this, in nanoseconds.
const KERNEL_TURN_NS: u64 = 20_000;

/// An epoll instance.
#[derive(Debug)]
pub struct Instance {
    number: u32,
    /// Descriptors of this process that are this instance; 0: free for use.
    descriptors: AtomicU32,
    kernel_asked_ns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    items: Vec<Option<Item>>,
    by_fd: HashMap<RawFd, usize>,
    /// Items that may have something to report.
    queue: VecDeque<usize>,
    segments: Vec<Seen>,
    lifeline: Option<RawFd>,
    natives: usize,
    sleepers: usize,
}

#[derive(Debug)]
struct Seen {
    number: u16,
    total: u32,
    dead: bool,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    watched: Watched,
    events: u32,
    data: u64,
    armed: bool,
    queued: bool,
}

#[derive(Clone, Copy, Debug)]
enum Watched {
    /// By the kernel.
    Native,
    /// By the kernel, but its readiness may also be in shared memory.
    Inner(&'static Instance),
    /// By its event counter, last seen at this value.
    Socket(Endpoint, u32),
}

/// The instance with this number, if in use.
#[must_use]
pub(crate) fn instance(number: u32) -> Option<&'static Instance> {
    let place = INSTANCES.get(number as usize)?.load(Ordering::Acquire);
    // SAFETY: entries are null or leaked boxes.
    unsafe { place.as_ref() }.filter(|i| i.descriptors.load(Ordering::Relaxed) > 0)
}

fn instances() -> impl Iterator<Item = &'static Instance> {
    let place = |n: &AtomicPtr<Instance>| n.load(Ordering::Acquire);
    // SAFETY: entries are null or leaked boxes, filled in order.
    INSTANCES
        .iter()
        .map(place)
        .map_while(|p| unsafe { p.as_ref() })
}

/// An instance for a new epoll descriptor. None: there are too many; the kernel alone serves that
/// one.
#[must_use]
pub fn create() -> Option<&'static Instance> {
    let _creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(free) = instances().find(|i| i.descriptors.load(Ordering::Relaxed) == 0) {
        *free.lock() = State::default();
        free.descriptors.store(1, Ordering::Relaxed);
        return Some(free);
    }
    let number = instances().count();
    let place = INSTANCES.get(number)?;
    let new = Instance {
        number: number as u32,
        descriptors: AtomicU32::new(1),
        kernel_asked_ns: AtomicU64::new(0),
        state: Mutex::default(),
    };
    let new = Box::into_raw(Box::new(new));
    place.store(new, Ordering::Release);
    instance(number as u32)
}

/// A socket's descriptor was closed: it leaves every instance.
pub fn forget(fd: RawFd) {
    for instance in instances().filter(|i| i.descriptors.load(Ordering::Relaxed) > 0) {
        let mut state = instance.lock();
        let is_socket = |item: &Item| !matches!(item.watched, Watched::Native);
        if state.find(fd).is_some_and(|(_, item)| is_socket(&item)) {
            state.remove(fd);
        }
    }
}

/// A socket began to listen: instances that have it leave it to the kernel from now on.
pub(crate) fn became_listener(endpoint: Endpoint, doorbell: BorrowedFd<'_>) {
    let fd = doorbell.as_raw_fd();
    for number in 0..INSTANCES_MAX as RawFd {
        let Some(instance) = instance(number.cast_unsigned()) else {
            break;
        };
        let mut state = instance.lock();
        let Some((index, item)) = state.find(fd) else {
            continue;
        };
        if !matches!(item.watched, Watched::Socket(e, _) if e == endpoint) {
            continue;
        }
        for epfd in table::known(0, RawFd::MAX) {
            if matches!(table::get(epfd), Some(Entry::Epoll(i)) if std::ptr::eq(i, instance)) {
                let _ = kernel_ctl(epfd, ADD, fd, item.events);
                state.natives += 1;
                if let Some(item) = &mut state.items[index] {
                    item.watched = Watched::Native;
                }
                break;
            }
        }
    }
}

/// All instances locked, for as long as this lives.
pub(crate) struct AllLocked {
    _creating: MutexGuard<'static, ()>,
    _states: Vec<MutexGuard<'static, State>>,
}

/// Locks all instances.
pub(crate) fn lock_all() -> AllLocked {
    let creating = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    AllLocked {
        _creating: creating,
        _states: instances().map(Instance::lock).collect(),
    }
}

fn kernel_ctl(epfd: RawFd, op: i32, fd: RawFd, events: u32) -> Result<()> {
    Ok(epoll::ctl(
        epfd,
        op,
        fd,
        Event::new(events, u64::from(fd.cast_unsigned())),
    )?)
}

impl Instance {
    /// Its number in this process.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// One more descriptor is this instance.
    pub fn add_descriptor(&self) {
        self.descriptors.fetch_add(1, Ordering::Relaxed);
    }

    /// One of its descriptors was closed.
    pub fn remove_descriptor(&self) {
        let descriptors = &self.descriptors;
        let less = |n: u32| n.checked_sub(1);
        let _ = descriptors.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// epoll_ctl(2); `epfd` is one of its descriptors.
    ///
    /// # Errors
    /// EEXIST, ENOENT, or the kernel's others.
    pub fn ctl(&self, epfd: RawFd, op: i32, fd: RawFd, event: Event) -> Result<()> {
        let socket = table::socket(fd).filter(|endpoint| !endpoint.is_listener());
        let mut state = self.lock();
        if let Some(orphan) = socket.filter(Endpoint::is_orphan) {
            state.take_orphan(epfd, fd, orphan);
        }
        // The number was closed where we did not see it, and means another file now.
        if let Some((_, item)) = state.find(fd)
            && match (item.watched, socket) {
                (Watched::Socket(then, _), now) => now != Some(then),
                (_, now) => now.is_some(),
            }
        {
            state.remove(fd);
        }
        match (socket, op) {
            (None, _) => state.native_ctl(epfd, op, fd, event),
            (Some(endpoint), ADD) => {
                if state.by_fd.contains_key(&fd) {
                    return Err(Errno(libc::EEXIST));
                }
                state.watch_segment(epfd, endpoint)?;
                let counter = endpoint.events().load(Ordering::Acquire);
                state.insert(fd, Watched::Socket(endpoint, counter), event);
                state.wake_sleepers(endpoint);
                Ok(())
            }
            (Some(endpoint), MOD) => {
                state.modify(fd, event)?;
                state.wake_sleepers(endpoint);
                Ok(())
            }
            (Some(_), DEL) => state.remove(fd).map(drop).ok_or(Errno(libc::ENOENT)),
            _ => Err(Errno::INVALID),
        }
    }

    /// epoll_wait(2); `epfd` is one of its descriptors. Returns how many events it wrote.
    ///
    /// # Errors
    /// EINTR, or the kernel's others.
    pub fn wait(
        &self,
        epfd: BorrowedFd<'_>,
        events: &mut [Event],
        until: Until,
        mask: Option<&u64>,
    ) -> Result<usize> {
        loop {
            let (n, natives, sockets) = self.collect(events);
            if n > 0 || until == Until::Now {
                let turn = n == 0 || self.is_kernels_turn();
                if mask.is_none() && (natives == 0 || n == events.len() || !turn) {
                    return Ok(n);
                }
                let more = self.ask_kernel(epfd, &mut events[n..], Some(Duration::ZERO), mask);
                return match more {
                    Ok(more) => Ok(n + more),
                    Err(_) if n > 0 => Ok(n),
                    Err(e) => Err(e),
                };
            }
            if sockets && self.spin() {
                continue;
            }
            if !self.fall_asleep(epfd.as_raw_fd(), sockets) {
                continue;
            }
            let n = self.ask_kernel(epfd, events, until.left(), mask);
            self.lock().sleepers -= 1;
            match n {
                Ok(0) if until.left() != Some(Duration::ZERO) => {}
                Ok(0) => return self.wait(epfd, events, Until::Now, None),
                other => return other,
            }
        }
    }

    /// Whether an event is to be had from shared memory.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        let mut state = self.lock();
        state.queue_changed();
        state
            .queue
            .iter()
            .any(|&index| state.items[index].is_some_and(|item| item.ready() != 0))
    }

    /// Writes events from shared memory. Returns how many, how many descriptors the kernel watches,
    /// and whether there are others.
    fn collect(&self, events: &mut [Event]) -> (usize, usize, bool) {
        let mut state = self.lock();
        state.queue_changed();
        let mut n = 0;
        for _ in 0..state.queue.len() {
            if n == events.len() {
                break;
            }
            let Some(index) = state.queue.pop_front() else {
                break;
            };
            if let Some(event) = state.report(index) {
                events[n] = event;
                n += 1;
            }
        }
        (n, state.natives, !state.segments.is_empty())
    }

    fn is_kernels_turn(&self) -> bool {
        let now = clock::monotonic_ns();
        if now.wrapping_sub(self.kernel_asked_ns.load(Ordering::Relaxed)) < KERNEL_TURN_NS {
            return false;
        }
        self.kernel_asked_ns.store(now, Ordering::Relaxed);
        true
    }

    /// Looks for changes for a short while. True: there are some.
    fn spin(&self) -> bool {
        for looks in 0..SPINS {
            if self.lock().has_changed() {
                return true;
            }
            cpu::pause_after(looks);
        }
        false
    }

    /// Announces a sleep. True: still nothing to report, so sleep.
    fn fall_asleep(&self, epfd: RawFd, sockets: bool) -> bool {
        if sockets {
            // No session means no io-net, which the endpoints' own state will tell. The session's lock
            // comes before an instance's, as in a fork.
            let _ = session::ensure();
        }
        let mut state = self.lock();
        if !state.segments.is_empty() {
            state.watch_lifeline(epfd);
            for seen in &state.segments {
                if let Some(mapped) = mapped::get(seen.number) {
                    mapped.segment().header().sleepers.sleep(1);
                }
            }
            if state.has_changed() {
                return false;
            }
        }
        state.sleepers += 1;
        true
    }

    /// epoll_wait of the kernel's instance, without what is only for us.
    fn ask_kernel(
        &self,
        epfd: BorrowedFd<'_>,
        events: &mut [Event],
        timeout: Option<Duration>,
        mask: Option<&u64>,
    ) -> Result<usize> {
        let n = epoll::wait_on(epfd, events, timeout, mask)?;
        let (mut kept, mut ended) = (0, false);
        let mut state = self.lock();
        for i in 0..n {
            let event = events[i];
            ended |= event.token() == LIFELINE;
            let fd = RawFd::try_from(event.token()).unwrap_or(-1);
            if let Some((_, item)) = state.find(fd) {
                events[kept] = Event::new(event.events(), item.data);
                kept += 1;
                if event.events() & HUP != 0
                    && let Some(listener) = table::socket(fd)
                {
                    // Only io-net's end hangs up a doorbell.
                    listener.mapped().set_dead();
                    state.take_orphan(epfd.as_raw_fd(), fd, listener);
                }
            }
        }
        drop(state);
        if ended {
            session::check_lifeline();
        }
        Ok(kept)
    }
}

impl Item {
    fn ready(&self) -> u32 {
        match self.watched {
            _ if !self.armed => 0,
            Watched::Native => 0,
            Watched::Inner(inner) if inner.has_ready() => IN & self.events,
            Watched::Inner(_) => 0,
            Watched::Socket(endpoint, _) => endpoint.ready(self.events),
        }
    }
}

impl State {
    fn find(&self, fd: RawFd) -> Option<(usize, Item)> {
        let index = *self.by_fd.get(&fd)?;
        self.items[index].map(|item| (index, item))
    }

    fn insert(&mut self, fd: RawFd, watched: Watched, event: Event) {
        let (events, data) = (event.events(), event.token());
        let item = Item {
            watched,
            events,
            data,
            armed: true,
            queued: false,
        };
        let index = match self.items.iter().position(Option::is_none) {
            Some(free) if self.by_fd.len() < self.items.len() => free,
            _ => {
                self.items.push(None);
                self.items.len() - 1
            }
        };
        self.items[index] = Some(item);
        self.by_fd.insert(fd, index);
        self.enqueue(index);
    }

    fn modify(&mut self, fd: RawFd, event: Event) -> Result<()> {
        let (index, item) = self.find(fd).ok_or(Errno(libc::ENOENT))?;
        let (events, data) = (event.events(), event.token());
        self.items[index] = Some(Item {
            events,
            data,
            armed: true,
            ..item
        });
        self.enqueue(index);
        Ok(())
    }

    fn remove(&mut self, fd: RawFd) -> Option<Item> {
        let index = self.by_fd.remove(&fd)?;
        let item = self.items[index].take()?;
        if item.queued {
            self.queue.retain(|&i| i != index);
        }
        if !matches!(item.watched, Watched::Socket(..)) {
            self.natives = self.natives.saturating_sub(1);
        }
        Some(item)
    }

    fn enqueue(&mut self, index: usize) {
        if let Some(item) = &mut self.items[index]
            && !item.queued
            && !matches!(item.watched, Watched::Native)
        {
            item.queued = true;
            self.queue.push_back(index);
        }
    }

    /// Takes a listener over from the kernel, which would report the hang-up of its doorbell for
    /// ever. From here it is reported no more.
    fn take_orphan(&mut self, epfd: RawFd, fd: RawFd, endpoint: Endpoint) {
        let item = self.by_fd.get(&fd).and_then(|&i| self.items[i].as_mut());
        if let Some(item) = item.filter(|item| matches!(item.watched, Watched::Native)) {
            item.watched = Watched::Socket(endpoint, 0);
            self.natives = self.natives.saturating_sub(1);
            let _ = kernel_ctl(epfd, DEL, fd, 0);
        }
    }

    fn native_ctl(&mut self, epfd: RawFd, op: i32, fd: RawFd, event: Event) -> Result<()> {
        kernel_ctl(epfd, op, fd, event.events())?;
        match op {
            ADD => {
                self.remove(fd);
                let watched = match table::get(fd) {
                    Some(Entry::Epoll(inner)) => Watched::Inner(inner),
                    _ => Watched::Native,
                };
                self.insert(fd, watched, event);
                self.natives += 1;
                Ok(())
            }
            MOD => self.modify(fd, event),
            _ => {
                self.remove(fd);
                Ok(())
            }
        }
    }

    /// Has the kernel's instance watch the bell of the endpoint's segment.
    fn watch_segment(&mut self, epfd: RawFd, endpoint: Endpoint) -> Result<()> {
        let mapped = endpoint.mapped();
        let number = mapped.number();
        if self.segments.iter().any(|seen| seen.number == number) {
            return Ok(());
        }
        let bell = mapped.bell().as_raw_fd();
        match epoll::ctl(epfd, ADD, bell, Event::new(IN | EDGE, BELL)) {
            // Inherited over fork with the instance.
            Err(e) if e.raw_os_error() != Some(libc::EEXIST) => return Err(e.into()),
            _ => {}
        }
        let total = mapped
            .segment()
            .header()
            .events_total
            .load(Ordering::Acquire);
        self.segments.push(Seen {
            number,
            total,
            dead: false,
        });
        Ok(())
    }

    /// Has the kernel's instance watch for io-net's end.
    fn watch_lifeline(&mut self, epfd: RawFd) {
        if let Some(line) = session::lifeline().filter(|&line| self.lifeline != Some(line)) {
            let _ = epoll::ctl(epfd, ADD, line, Event::new(RDHUP | EDGE, LIFELINE));
            self.lifeline = Some(line);
        }
    }

    /// Threads asleep in this instance look again.
    fn wake_sleepers(&self, endpoint: Endpoint) {
        if self.sleepers > 0 {
            eventfd::raise(endpoint.mapped().bell());
        }
    }

    fn has_changed(&self) -> bool {
        self.segments.iter().any(|seen| {
            mapped::get(seen.number).is_some_and(|m| {
                let total = m.segment().header().events_total.load(Ordering::Acquire);
                total != seen.total || m.is_dead() != seen.dead
            })
        }) || self
            .queue
            .iter()
            .any(|&i| self.items[i].is_some_and(|item| item.ready() != 0))
    }

    /// Queues the items whose event counters have moved.
    fn queue_changed(&mut self) {
        let mut changed = false;
        for seen in &mut self.segments {
            let Some(mapped) = mapped::get(seen.number) else {
                continue;
            };
            let total = mapped
                .segment()
                .header()
                .events_total
                .load(Ordering::Acquire);
            changed |= total != seen.total || mapped.is_dead() != seen.dead;
            (seen.total, seen.dead) = (total, mapped.is_dead());
        }
        for index in 0..self.items.len() {
            match &mut self.items[index] {
                Some(Item {
                    watched: Watched::Socket(endpoint, counter),
                    ..
                }) if changed => {
                    let now = endpoint.events().load(Ordering::Acquire);
                    if now != *counter || endpoint.mapped().is_dead() {
                        *counter = now;
                        self.enqueue(index);
                    }
                }
                Some(Item {
                    watched: Watched::Inner(_),
                    ..
                }) => self.enqueue(index),
                _ => {}
            }
        }
    }

    /// What the item just taken from the queue has to report. A level-triggered one goes back in,
    /// to be looked at again next time; an edge-triggered one waits for its next event.
    fn report(&mut self, index: usize) -> Option<Event> {
        let item = self.items[index].as_mut()?;
        item.queued = false;
        let ready = item.ready();
        if ready == 0 {
            return None;
        }
        let (data, flags) = (item.data, item.events);
        if flags & ONESHOT != 0 {
            item.armed = false;
        } else if flags & EDGE == 0 {
            self.enqueue(index);
        }
        Some(Event::new(ready, data))
    }
}
