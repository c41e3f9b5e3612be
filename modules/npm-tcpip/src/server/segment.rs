//! A segment as io-net holds it: its memory, its eventfds, and whose its slots are.

use super::slab::Key;
use crate::buffers::{Memory, Place};
use crate::options::Limits;
use io_net_os::eventfd::EventFd;
use io_net_os::futex;
use io_net_proto::address::FAMILY_V4;
use io_net_proto::segment::Geometry;
use io_net_proto::session::SegmentInfo;
use io_net_proto::slot::{State, kind};
use io_net_proto::view::Segment;
use io_net_tcpip::Transport;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Linux's SOCK_STREAM.
pub(crate) const STREAM: u32 = 1;
/// Linux's SOCK_DGRAM.
pub(crate) const DATAGRAM: u32 = 2;
/// Linux's IPPROTO_TCP.
pub(crate) const IPPROTO_TCP: u32 = 6;
/// Linux's IPPROTO_UDP.
pub(crate) const IPPROTO_UDP: u32 = 17;

/// The most bells of a segment: the bits of a slot's `watchers`.
const BELLS_MAX: usize = 64;
/// A slot through which more bytes than this went one way gives its memory back when freed.
const KEPT_BYTES: u32 = 64 << 10;

/// A segment.
pub(crate) struct SharedSegment {
    pub(crate) memory: Arc<Memory>,
    memfd: OwnedFd,
    pub(crate) kick: EventFd,
    bells: Vec<EventFd>,
    /// The session that it was made for.
    pub(crate) session: Key,
    /// Each slot's socket.
    tenants: Vec<Option<Key>>,
    free: Vec<u32>,
    /// Bells to raise when the present work is done.
    rung: u64,
    retired: bool,
}

impl SharedSegment {
    /// Makes a segment for `session`, all slots free.
    ///
    /// # Errors
    /// The kernel's, when it has no memory or descriptors left.
    pub(crate) fn new(id: u64, session: Key, limits: &Limits) -> io::Result<Self> {
        let capacity = limits.receive_buffer.max(limits.send_buffer);
        let geometry = Geometry::new(limits.slots, capacity)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let (segment, memfd) = Segment::create(geometry, id)?;
        Ok(SharedSegment {
            memory: Memory::new(segment),
            memfd,
            kick: EventFd::new()?,
            bells: vec![EventFd::new()?],
            session,
            tenants: vec![None; limits.slots as usize],
            free: (0..limits.slots).rev().collect(),
            rung: 0,
            retired: false,
        })
    }

    /// No slot will be taken again: io-net ends. From now on a slot that is freed goes on showing how
    /// its socket ended, to programs that have it still.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    /// As it is told to programs.
    pub(crate) fn info(&self) -> SegmentInfo {
        let segment = &self.memory.segment;
        segment.geometry().info(segment.id())
    }

    /// What a program needs to use it: its memory, its kick and its first bell.
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 3] {
        [self.memfd.as_fd(), self.kick.as_fd(), self.bells[0].as_fd()]
    }

    /// One more bell and its number; `None` where there are enough.
    pub(crate) fn add_bell(&mut self) -> Option<(u32, BorrowedFd<'_>)> {
        if self.bells.len() == BELLS_MAX {
            return None;
        }
        self.bells.push(EventFd::new().ok()?);
        let number = self.bells.len() - 1;
        Some((number as u32, self.bells[number].as_fd()))
    }

    /// Whether no slot is in use.
    pub(crate) fn is_unused(&self) -> bool {
        self.free.len() == self.tenants.len()
    }

    /// Whether every slot is in use.
    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Slots that have news, as one word of them after the other.
    #[inline]
    pub(crate) fn take_dirty(&self, word: usize) -> u64 {
        self.memory.segment.header().dirty.take(word)
    }

    /// Words of dirty bits.
    #[inline]
    pub(crate) fn dirty_words(&self) -> usize {
        self.tenants.len().div_ceil(64)
    }

    /// The socket in `slot`.
    #[inline]
    pub(crate) fn tenant(&self, slot: u32) -> Option<Key> {
        *self.tenants.get(slot as usize)?
    }

    /// All sockets in it.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = Key> + '_ {
        self.tenants.iter().flatten().copied()
    }

    /// Takes a slot for `socket`, clean, in state `state`.
    pub(crate) fn take_slot(
        &mut self,
        socket: Key,
        state: State,
        transport: Transport,
        limits: &Limits,
    ) -> Option<u32> {
        let index = self.free.pop()?;
        self.memory.segment.clear_slot(index);
        let slot = self.memory.segment.slot(index)?;
        let domain = u32::from(FAMILY_V4);
        let kind = match transport {
            Transport::Tcp => kind(domain, STREAM, IPPROTO_TCP),
            Transport::Udp => kind(domain, DATAGRAM, IPPROTO_UDP),
        };
        let server = &slot.server;
        server.kind.store(kind, Ordering::Relaxed);
        server.tx_size.store(limits.send_buffer, Ordering::Relaxed);
        server
            .rx_size
            .store(limits.receive_buffer, Ordering::Relaxed);
        server.state.store(state as u32, Ordering::Release);
        self.tenants[index as usize] = Some(socket);
        Some(index)
    }

    /// Gives a slot back. Whoever still looks at it sees that it is another's.
    pub(crate) fn free_slot(&mut self, index: u32) {
        let Some(tenant) = self.tenants.get_mut(index as usize) else {
            return;
        };
        if tenant.take().is_none() {
            return;
        }
        self.free.push(index);
        if self.retired {
            return self.publish(index);
        }
        let segment = &self.memory.segment;
        let Some(slot) = segment.slot(index) else {
            return;
        };
        slot.server
            .state
            .store(State::Free as u32, Ordering::Release);
        slot.server.generation.fetch_add(1, Ordering::Release);
        let used = |word: &AtomicU32| word.load(Ordering::Relaxed) > KEPT_BYTES;
        if used(&slot.server.rx_tail) || used(&slot.program.tx_tail) {
            // Where the kernel keeps the memory, the next tenant's program has it.
            let _ = segment.discard_fifos(index);
        }
        self.publish(index);
    }

    /// The generation of a slot's present use.
    pub(crate) fn generation(&self, index: u32) -> u32 {
        let slot = self.memory.segment.slot(index);
        slot.map_or(0, |slot| slot.server.generation.load(Ordering::Relaxed))
    }

    /// Tells the program that something happened to a slot's socket; see [`SharedSegment::ring`].
    #[inline]
    pub(crate) fn publish(&mut self, index: u32) {
        let wake = self.memory.segment.publish(index);
        self.rung |= wake.bells;
        if wake.futex
            && let Some(counter) = self.memory.segment.event_counter(index)
        {
            futex::wake(counter, u32::MAX);
        }
    }

    /// Raises the bells of those who sleep and whom [`SharedSegment::publish`] concerned.
    #[inline]
    pub(crate) fn ring(&mut self) {
        let mut rung = std::mem::take(&mut self.rung);
        while rung != 0 {
            if let Some(bell) = self.bells.get(rung.trailing_zeros() as usize) {
                bell.raise();
            }
            rung &= rung - 1;
        }
    }

    /// The FIFOs of a slot: (tx, rx).
    pub(crate) fn places(&self, slot: u32, limits: &Limits) -> (Place, Place) {
        let place = |size| Place {
            memory: self.memory.clone(),
            slot,
            size,
        };
        (place(limits.send_buffer), place(limits.receive_buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Key = Key {
        index: 0,
        generation: 0,
    };

    fn segment() -> SharedSegment {
        let limits = Limits {
            slots: 2,
            receive_buffer: 131_072,
            send_buffer: 131_072,
            ..Limits::default()
        };
        SharedSegment::new(1, SESSION, &limits).unwrap()
    }

    #[test]
    fn slots_come_clean_and_with_a_new_generation() {
        let (mut segment, limits) = (segment(), Limits::default());
        let socket = SESSION;
        let first = segment
            .take_slot(socket, State::Open, Transport::Tcp, &limits)
            .unwrap();
        let memory = segment.memory.clone();
        let slot = memory.segment.slot(first).unwrap();
        slot.program.tx_tail.store(100_000, Ordering::Relaxed);
        slot.program.watchers.store(3, Ordering::Relaxed);
        slot.options[0].store(9, Ordering::Relaxed);
        let generation = segment.generation(first);
        segment.free_slot(first);
        segment.free_slot(first);
        assert!(segment.is_unused());
        assert_ne!(segment.generation(first), generation);
        let again = segment
            .take_slot(socket, State::Open, Transport::Tcp, &limits)
            .unwrap();
        assert_eq!(again, first);
        assert_eq!(slot.program.tx_tail.load(Ordering::Relaxed), 0);
        assert_eq!(slot.program.watchers.load(Ordering::Relaxed), 0);
        assert_eq!(slot.options[0].load(Ordering::Relaxed), 0);
        assert_eq!(segment.tenant(again), Some(socket));
    }

    #[test]
    fn a_retired_segment_shows_how_its_sockets_ended() {
        let (mut segment, limits) = (segment(), Limits::default());
        let slot = segment
            .take_slot(SESSION, State::Closed, Transport::Tcp, &limits)
            .unwrap();
        let (memory, generation) = (segment.memory.clone(), segment.generation(slot));
        segment.retire();
        segment.free_slot(slot);
        let state = &memory.segment.slot(slot).unwrap().server.state;
        let state = State::of(state.load(Ordering::Relaxed));
        assert_eq!(state, Some(State::Closed));
        assert_eq!(segment.generation(slot), generation);
    }

    #[test]
    fn a_full_segment_has_no_slot() {
        let (mut segment, limits) = (segment(), Limits::default());
        for _ in 0..2 {
            assert!(
                segment
                    .take_slot(SESSION, State::Open, Transport::Tcp, &limits)
                    .is_some()
            );
        }
        assert!(segment.is_full());
        let third = segment.take_slot(SESSION, State::Open, Transport::Tcp, &limits);
        assert_eq!(third, None);
        segment.free_slot(99);
    }

    #[test]
    fn bells_are_bounded() {
        let mut segment = segment();
        for number in 1..64 {
            assert_eq!(segment.add_bell().unwrap().0, number);
        }
        assert!(segment.add_bell().is_none());
    }
}
