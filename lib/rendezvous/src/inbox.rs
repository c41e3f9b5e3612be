//! A channel's inbox: its sessions, and what they have sent in the order in which it is received.
//!
//! One thread at a time. Messages and pulses come out by priority, then in the order in which they
//! were found. A message stays in its session's memory, and the client's to withdraw, until it
//! comes out.
//!
//! The slot that was answered last is *watched*: as long as somebody polls, its client need not
//! mark anything to be seen.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use io_net_os::fork::PrivateFd;
use io_net_os::futex::{self, Sleep};
use io_net_os::{errno, futex_any, task};

use crate::dirty::{BITS, BY_FD, BY_FUTEX};
use crate::layout::{PULSES, Slot};
use crate::port::Port;
use crate::server::{Message, ServerEnd};
use crate::state::Generation;

/// What comes out.
#[derive(Debug)]
pub enum Item {
    /// A message, taken.
    Message(Arc<ServerEnd>, Message),
    /// A pulse of a client's, or one that was put in by [`Inbox::post`] (without a session).
    Pulse(Option<Arc<ServerEnd>>, Notice),
    /// A client wants its received message in this slot to be ended.
    Unblock(Arc<ServerEnd>, Slot),
}

/// A pulse as it is received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub code: i8,
    /// Its priority.
    pub priority: u8,
    /// An int or a pointer.
    pub value: u64,
    /// The server's number for the session that it is from or about; 0 for none.
    pub scoid: i32,
}

/// Ports that there may be: as many as one sleep can watch.
const PORTS_MAX: usize = futex_any::WORDS_MAX;

/// See the file's head.
#[derive(Debug)]
pub struct Inbox {
    ports: Vec<Seats>,
    messages: BinaryHeap<Entry<(Arc<ServerEnd>, Slot)>>,
    pulses: BinaryHeap<Entry<Post>>,
    found: u64,
    watched: Option<(Arc<ServerEnd>, Slot)>,
}

#[derive(Debug)]
enum Post {
    Pulse(Option<Arc<ServerEnd>>, Notice),
    Unblock(Arc<ServerEnd>, Slot, Generation),
}

/// A port and who marks what in it.
#[derive(Debug)]
struct Seats {
    port: Arc<Port>,
    memory: Arc<PrivateFd>,
    owner: u32,
    /// By bit.
    sessions: Vec<Place>,
    taken: usize,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Free,
    Reserved,
    Taken(Arc<ServerEnd>),
}

/// A place for one session.
#[derive(Debug)]
pub struct Seat {
    port: Arc<Port>,
    memory: Arc<PrivateFd>,
    bit: usize,
}

impl Seat {
    pub(crate) fn port(&self) -> &Arc<Port> {
        &self.port
    }

    pub(crate) fn bit(&self) -> usize {
        self.bit
    }

    /// The port's memory, for the client.
    pub(crate) fn memory(&self) -> io::Result<OwnedFd> {
        let fd = self.memory.get().ok_or(io::ErrorKind::NotConnected)?;
        fd.try_clone_to_owned()
    }
}

#[derive(Debug)]
struct Entry<T> {
    priority: u8,
    found: Reverse<u64>,
    what: T,
}

impl<T> Entry<T> {
    fn rank(&self) -> (u8, Reverse<u64>) {
        (self.priority, self.found)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

// ---- Receiving ----

impl Inbox {
    /// What is to be received next, if there is anything.
    #[inline]
    pub fn poll(&mut self) -> Option<Item> {
        // Looked at first: pulses that its client sent before are marked by now, and come before
        // it.
        let sent = self.watched_has_sent();
        if self.any_dirty() {
            self.drain();
        } else if self.messages.is_empty() && self.pulses.is_empty() {
            let (end, slot) = self.watched.as_ref().filter(|_| sent)?;
            let message = end.take(*slot)?;
            return Some(Item::Message(end.clone(), message));
        }
        if sent {
            self.enqueue_watched();
        }
        self.pop()
    }

    /// The next pulse, if there is one; messages stay.
    pub fn poll_pulse(&mut self) -> Option<Item> {
        if self.any_dirty() {
            self.drain();
        }
        self.pop_pulse()
    }

    #[inline]
    fn any_dirty(&self) -> bool {
        self.ports.iter().any(|seats| seats.port.dirty().any())
    }

    fn pop(&mut self) -> Option<Item> {
        loop {
            let pulse = self.pulses.peek().map(Entry::rank);
            if self.messages.peek().map(Entry::rank) <= pulse {
                match self.pop_pulse() {
                    None if !self.messages.is_empty() => continue,
                    item => return item,
                }
            }
            let (end, slot) = self.messages.pop()?.what;
            end.queued.fetch_and(!slot.bit(), Ordering::Relaxed);
            // It may have been withdrawn meanwhile.
            if let Some(message) = end.take(slot) {
                return Some(Item::Message(end, message));
            }
        }
    }

    fn pop_pulse(&mut self) -> Option<Item> {
        loop {
            match self.pulses.pop()?.what {
                Post::Unblock(end, slot, generation) => {
                    // It may have been replied to meanwhile, and another one have come.
                    if !end.state(slot).is_gone(generation) {
                        return Some(Item::Unblock(end, slot));
                    }
                }
                Post::Pulse(from, notice) => {
                    if let Some(end) = &from {
                        let queued = end.pulses_queued.fetch_sub(1, Ordering::Relaxed);
                        if queued as usize == PULSES {
                            self.drain_pulses(end);
                        }
                    }
                    return Some(Item::Pulse(from, notice));
                }
            }
        }
    }

    #[inline]
    fn watched_has_sent(&self) -> bool {
        let watched = self.watched.as_ref();
        watched.is_some_and(|(end, slot)| end.sent(*slot).is_some())
    }

    fn enqueue_watched(&mut self) {
        if let Some((end, slot)) = &self.watched {
            let (end, slot) = (end.clone(), *slot);
            self.enqueue(&end, slot);
        }
    }

    /// Finds all that sessions say they have.
    fn drain(&mut self) {
        for p in 0..self.ports.len() {
            let seats = &self.ports[p];
            if !seats.port.dirty().any() {
                continue;
            }
            let mut dirty = Vec::new();
            let sessions = &seats.sessions;
            seats.port.dirty().take(|bit| {
                if let Some(Place::Taken(end)) = sessions.get(bit) {
                    dirty.push(end.clone());
                }
            });
            for end in dirty {
                self.drain_session(&end);
            }
        }
    }

    fn drain_session(&mut self, end: &Arc<ServerEnd>) {
        let header = end.memory.header();
        let pending = header.pending.swap(0, Ordering::Acquire);
        // Who sent a pulse and then a message of the same priority has them received in this order:
        // the pulses of those whose messages were just seen are in the ring.
        self.drain_pulses(end);
        for slot in slots(pending) {
            if end.sent(slot).is_some() {
                self.enqueue(end, slot);
            }
        }
        if header.unblocks.load(Ordering::Relaxed) != 0 {
            for slot in slots(header.unblocks.swap(0, Ordering::Acquire)) {
                let priority = end.priority(slot) as u8;
                let generation = end.state(slot).generation();
                self.push_pulse(priority, Post::Unblock(end.clone(), slot, generation));
            }
        }
    }

    fn drain_pulses(&mut self, end: &Arc<ServerEnd>) {
        // What is beyond stays in the ring, and the client is told when that is full.
        while (end.pulses_queued.load(Ordering::Relaxed) as usize) < PULSES {
            let Some(pulse) = end.next_pulse() else { break };
            end.pulses_queued.fetch_add(1, Ordering::Relaxed);
            let notice = Notice {
                code: pulse.code.max(0),
                priority: pulse.priority,
                value: pulse.value,
                scoid: end.scoid(),
            };
            self.push_pulse(pulse.priority, Post::Pulse(Some(end.clone()), notice));
        }
    }

    fn enqueue(&mut self, end: &Arc<ServerEnd>, slot: Slot) {
        let queued = end.queued.fetch_or(slot.bit(), Ordering::Relaxed);
        if queued & slot.bit() == 0 {
            self.found += 1;
            self.messages.push(Entry {
                priority: end.priority(slot) as u8,
                found: Reverse(self.found),
                what: (end.clone(), slot),
            });
        }
    }

    fn push_pulse(&mut self, priority: u8, what: Post) {
        self.found += 1;
        self.pulses.push(Entry {
            priority,
            found: Reverse(self.found),
            what,
        });
    }

    /// Puts a pulse of this process's own in. The caller then wakes a receiver: [`Inbox::rouse`].
    pub fn post(&mut self, notice: Notice) {
        self.push_pulse(notice.priority, Post::Pulse(None, notice));
    }

    /// Whether more is known to be there already.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.messages.is_empty() || !self.pulses.is_empty()
    }
}

fn slots(mut bits: u64) -> impl Iterator<Item = Slot> {
    std::iter::from_fn(move || {
        let n = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (n < u64::BITS).then(|| Slot::new(n as usize))
    })
}

// ---- Watching and sleeping ----

impl Inbox {
    /// The slot whose client need not mark anything, as (session's bit and port in one word, slot).
    #[inline]
    #[must_use]
    pub fn is_watched(&self, end: &ServerEnd, slot: Slot) -> bool {
        let same = |(watched, of): &(Arc<ServerEnd>, Slot)| {
            std::ptr::eq(Arc::as_ptr(watched), end) && *of == slot
        };
        self.watched.as_ref().is_some_and(same)
    }

    /// From now on looks at this slot instead of the one before, until [`Inbox::unwatch`]. To be
    /// called only by who polls.
    pub fn watch(&mut self, end: &Arc<ServerEnd>, slot: Slot) {
        if !self.is_watched(end, slot) {
            self.unwatch();
            end.watch(slot, true);
            self.watched = Some((end.clone(), slot));
        }
    }

    /// Stops watching. What was sent meanwhile is in the queue.
    pub fn unwatch(&mut self) {
        let Some((end, slot)) = self.watched.take() else {
            return;
        };
        end.watch(slot, false);
        // Either the client sees that nobody watches and marks, or its message is seen here.
        crate::sync::fence(Ordering::SeqCst);
        if end.sent(slot).is_some() {
            // Its client's pulses come first.
            if self.any_dirty() {
                self.drain();
            }
            self.enqueue(&end, slot);
        }
    }

    /// Is about to sleep by futex. What to sleep on, without the inbox's lock; None: there is
    /// something to receive.
    pub fn arm(&mut self) -> Option<Sleeper> {
        self.arm_by(BY_FUTEX).map(Sleeper)
    }

    /// As [`Inbox::arm`], for who wants pulses only.
    pub fn arm_for_pulses(&mut self) -> Option<Sleeper> {
        self.unwatch();
        if !self.pulses.is_empty() {
            return None;
        }
        self.arm_ports(BY_FUTEX).map(Sleeper)
    }

    /// Is about to wait for the ports' bells. False: there is something to receive.
    pub fn arm_bells(&mut self) -> bool {
        self.arm_by(BY_FD).is_some()
    }

    fn arm_by(&mut self, how: u32) -> Option<Vec<(Arc<Port>, u32)>> {
        self.unwatch();
        if self.has_more() {
            return None;
        }
        self.arm_ports(how)
    }

    fn arm_ports(&self, how: u32) -> Option<Vec<(Arc<Port>, u32)>> {
        let arm = |seats: &Seats| Some((seats.port.clone(), seats.port.dirty().arm(how)?));
        self.ports.iter().map(arm).collect()
    }

    /// Lowers all bells.
    pub fn lower_bells(&self) {
        self.ports.iter().for_each(|seats| seats.port.lower());
    }

    /// Nobody sleeps: clients need not wake anybody. To be called when that is certain.
    pub fn disarm(&self) {
        self.ports
            .iter()
            .for_each(|seats| seats.port.dirty().disarm());
    }

    /// The caller leaves while others sleep: from now on clients wake them, or one is woken now.
    pub fn pass_on(&mut self) {
        if self.arm().is_none() {
            self.rouse_one();
        }
    }

    /// Wakes one receiver that sleeps, whatever the ports say.
    pub fn rouse_one(&self) {
        if let Some(seats) = self.ports.first() {
            seats.port.rouse_one();
        }
    }

    /// Wakes one receiver that sleeps.
    pub fn rouse(&self) {
        // Each sleeps on all ports.
        if let Some(seats) = self.ports.first() {
            seats.port.rouse();
        }
    }

    /// Wakes all receivers.
    pub fn rouse_all(&self) {
        self.ports.iter().for_each(|seats| seats.port.rouse_all());
    }

    /// The ports: each has a bell. There may be more later.
    pub fn ports(&self) -> impl Iterator<Item = &Arc<Port>> {
        self.ports.iter().map(|seats| &seats.port)
    }
}

/// What a receiver sleeps on.
#[derive(Debug)]
pub struct Sleeper(Vec<(Arc<Port>, u32)>);

impl Sleeper {
    /// Sleeps until there may be something to receive. May return early.
    #[must_use]
    pub fn sleep(&self, timeout: Option<Duration>) -> Sleep {
        if let [(port, asleep)] = self.0.as_slice() {
            return futex::sleep(port.asleep(), *asleep, timeout);
        }
        let words: Vec<(&AtomicU32, u32)> = self
            .0
            .iter()
            .map(|(port, asleep)| (port.asleep(), *asleep))
            .collect();
        futex_any::sleep(&words, timeout)
    }
}

// ---- Sessions ----

impl Inbox {
    /// An empty one, with a port for this process's own user.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            ports: vec![Seats::new(task::user_id())?],
            messages: BinaryHeap::new(),
            pulses: BinaryHeap::new(),
            found: 0,
            watched: None,
        })
    }

    /// A seat for a session of user `owner`'s; true: in a new port, so that all receivers are to be
    /// woken ([`Inbox::rouse_all`]) and its bell to be watched.
    ///
    /// # Errors
    /// EAGAIN for too many sessions of one user's or too many users; EMFILE, ENOMEM.
    pub fn reserve(&mut self, owner: u32) -> Result<(Seat, bool), i32> {
        let mut new = false;
        let p = match self.ports.iter().position(|seats| seats.owner == owner) {
            Some(p) => p,
            None => {
                let number = |error: io::Error| error.raw_os_error().unwrap_or(errno::ENOMEM);
                let seats = Seats::new(owner).map_err(number)?;
                new = true;
                self.place(seats).ok_or(errno::EAGAIN)?
            }
        };
        let seat = self.ports[p].reserve().ok_or(errno::EAGAIN)?;
        Ok((seat, new))
    }

    /// Where a new port goes: at the end, or in the place of one that nobody uses any more.
    fn place(&mut self, seats: Seats) -> Option<usize> {
        if self.ports.len() < PORTS_MAX {
            self.ports.push(seats);
            return Some(self.ports.len() - 1);
        }
        // Not the first: that is this process's own.
        let empty = self
            .ports
            .iter()
            .skip(1)
            .position(|seats| seats.taken == 0)?
            + 1;
        self.ports[empty] = seats;
        Some(empty)
    }

    /// Takes a session in, before its client is welcomed.
    pub fn admit(&mut self, end: Arc<ServerEnd>) {
        if let Some(place) = self.place_of(&end.port, end.bit) {
            *place = Place::Taken(end);
        }
    }

    /// Gives a seat back that came to nothing.
    pub fn cancel(&mut self, seat: &Seat) {
        self.vacate(&seat.port, seat.bit);
    }

    /// Lets a session go. What it has sent and nobody has received is dropped, but for its pulses.
    pub fn remove(&mut self, end: &ServerEnd) {
        if self
            .watched
            .as_ref()
            .is_some_and(|(w, _)| std::ptr::eq(Arc::as_ptr(w), end))
        {
            self.watched = None;
        }
        self.vacate(&end.port, end.bit);
        self.messages
            .retain(|entry| !std::ptr::eq(Arc::as_ptr(&entry.what.0), end));
    }

    /// Before a session is let go: takes out what it sent, and looks at all others of its port
    /// whatever the port says, as the session may have written rubbish there. The caller then wakes
    /// a receiver ([`Inbox::rouse_one`]) for the same reason.
    pub fn collect(&mut self, end: &Arc<ServerEnd>) {
        self.drain_pulses(end);
        let Some(seats) = self.ports.iter().find(|s| Arc::ptr_eq(&s.port, &end.port)) else {
            return;
        };
        let others: Vec<_> = seats
            .sessions
            .iter()
            .filter_map(Place::session)
            .cloned()
            .collect();
        for other in others {
            if other.memory.header().pending.load(Ordering::Relaxed) != 0 {
                self.drain_session(&other);
            }
        }
    }

    fn place_of(&mut self, port: &Arc<Port>, bit: usize) -> Option<&mut Place> {
        let seats = self.ports.iter_mut().find(|s| Arc::ptr_eq(&s.port, port))?;
        seats.sessions.get_mut(bit)
    }

    fn vacate(&mut self, port: &Arc<Port>, bit: usize) {
        let Some(seats) = self.ports.iter_mut().find(|s| Arc::ptr_eq(&s.port, port)) else {
            return;
        };
        if let Some(place) = seats.sessions.get_mut(bit)
            && !matches!(place, Place::Free)
        {
            *place = Place::Free;
            seats.taken -= 1;
        }
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &Arc<ServerEnd>> {
        let places = self.ports.iter().flat_map(|seats| &seats.sessions);
        places.filter_map(Place::session)
    }
}

impl Place {
    fn session(&self) -> Option<&Arc<ServerEnd>> {
        match self {
            Self::Taken(end) => Some(end),
            _ => None,
        }
    }
}

impl Seats {
    fn new(owner: u32) -> io::Result<Self> {
        let (port, memory) = Port::create()?;
        Ok(Self {
            port: Arc::new(port),
            memory: Arc::new(PrivateFd::new(memory)),
            owner,
            sessions: Vec::new(),
            taken: 0,
        })
    }

    fn reserve(&mut self) -> Option<Seat> {
        let free = |place: &Place| matches!(place, Place::Free);
        let bit = match self.taken < self.sessions.len() {
            true => self.sessions.iter().position(free)?,
            false => self.sessions.len(),
        };
        if bit == BITS {
            return None;
        }
        match self.sessions.get_mut(bit) {
            Some(place) => *place = Place::Reserved,
            None => self.sessions.push(Place::Reserved),
        }
        self.taken += 1;
        Some(Seat {
            port: self.port.clone(),
            memory: self.memory.clone(),
            bit,
        })
    }
}
