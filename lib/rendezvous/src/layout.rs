//! Where everything lies in the memory of a session and of a port.
//!
//! A session's memory: a header page, the ring of pulses, the slots, the windows. Its size is fixed
//! and sealed, and its pages come when they are first touched. Each part of a slot has one writer,
//! named below; a 64-byte message and its reply each lie in one pair of cache lines with what
//! describes them.

use std::sync::atomic::{AtomicU32, AtomicU64};

use io_net_os::map::SharedMap;
use io_net_os::region::Region;
use io_net_ring::shared::{self, Shared};

use crate::dirty::{Dirty, WORDS};

/// Messages that one process has under way on one channel at a time.
pub const SLOTS: usize = 64;
/// Bytes of a message, or of a reply, that lie in the slot itself.
pub const INLINE: usize = 4096;
/// Bytes of a slot's window, through which what is longer is copied where memory cannot be reached
/// directly.
pub const WINDOW: usize = 1024 * 1024;
/// Pulses in a session's ring.
pub const PULSES: usize = 256;
/// The largest message and reply: what addresses and QNX's lengths allow, and no more than a
/// system call copies.
pub const MESSAGE_MAX: u64 = 1 << 40;

const PULSES_AT: usize = 4096;
const SLOTS_AT: usize = PULSES_AT + PULSES * size_of::<PulseEntry>();
const HALF: usize = 64 + INLINE + 64;
const WINDOWS_AT: usize = SLOTS_AT + SLOTS * 2 * HALF;
/// Bytes of a session's memory.
pub const SESSION_LEN: usize = WINDOWS_AT + SLOTS * WINDOW;
/// Bytes of a port's memory.
pub const PORT_LEN: usize = 4096;

const _: () = assert!(WINDOWS_AT.is_multiple_of(4096) && HALF.is_multiple_of(128));

io_net_ring::shared! {
    /// A session's header.
    #[repr(C, align(64))]
    pub struct Header {
        /// Client: slots with a message that the server has not looked at.
        pub pending: AtomicU64,
        /// Client: slots whose client wants to be unblocked.
        pub unblocks: AtomicU64,
        /// Client: where the next pulse goes.
        pub pulse_tail: AtomicU32,
        /// Client: not 0: its bell is to be raised with the next answer, by who puts 0 here.
        pub wants_bell: AtomicU32,
        /// Keeps the server's word in another line.
        pub reserved: [AtomicU32; 10],
        /// Server: slots with an answer, for a client with a bell.
        pub answered: AtomicU64,
    }
}

io_net_ring::shared! {
    /// A pulse in the ring. Written by the client, but for `turn`, which the server writes when it
    /// has taken the pulse.
    #[repr(C, align(32))]
    pub struct PulseEntry {
        /// Whose turn it is: see [`crate::pulse`].
        pub turn: AtomicU32,
        /// Code, and priority shifted by 8.
        pub code: AtomicU32,
        /// The client's connection.
        pub coid: AtomicU32,
        /// 0.
        pub reserved: AtomicU32,
        /// The pulse's value.
        pub value: AtomicU64,
    }
}

io_net_ring::shared! {
    /// A message. All but `state` is the client's.
    #[repr(C, align(64))]
    pub struct Call {
        /// [`crate::state::State`].
        pub state: AtomicU32,
        /// The sending thread's kernel id.
        pub tid: AtomicU32,
        /// Its priority, and the processor it runs on shifted by 16.
        pub sched: AtomicU32,
        /// Its connection.
        pub coid: AtomicU32,
        /// Bytes of the message.
        pub message_len: AtomicU64,
        /// Bytes that it has room for in reply.
        pub reply_room: AtomicU64,
        /// Bytes of the message's beginning that are in the slot (up to [`INLINE`]) or, if more, in
        /// the window.
        pub staged: AtomicU32,
        /// Bytes that the client has copied when it was asked for help.
        pub helped: AtomicU32,
        /// Parts of the message in the low half, of the reply buffer in the high one: see
        /// `message_at`.
        pub parts: AtomicU64,
        /// In the client's address space: with 1 part the message, with more an array of iovec.
        pub message_at: AtomicU64,
        /// The same for the reply buffer.
        pub reply_at: AtomicU64,
    }
}

io_net_ring::shared! {
    /// An answer to a message. All of it is the server's, but for the client's announcement in
    /// `word` that it sleeps.
    #[repr(C, align(64))]
    pub struct Response {
        /// [`crate::answer::Answer`].
        pub word: AtomicU32,
        /// Not 0: the server looks at the slot's state itself; its bits need not be marked.
        pub watched: AtomicU32,
        /// Reply: status.
        pub status: AtomicU64,
        /// Reply: bytes in all. Help: bytes wanted.
        pub len: AtomicU64,
        /// Reply: where in the reply buffer the bytes in `piece` go. Help: where in the message, or
        /// in the reply buffer, it is.
        pub offset: AtomicU64,
        /// Reply: bytes that the client has to copy, from the slot (up to [`INLINE`]) or, if more,
        /// from the window. Help: 0: into the window; 1: out of it.
        pub piece: AtomicU32,
        /// Reply: 0 or an errno.
        pub error: AtomicU32,
        /// The processor that the server ran on.
        pub cpu: AtomicU32,
    }
}

io_net_ring::shared! {
    /// A port's words.
    #[repr(C, align(64))]
    pub struct PortWords {
        /// See [`Dirty`].
        pub summary: AtomicU64,
        /// The futex that receivers sleep on.
        pub asleep: AtomicU32,
        /// Fills the line.
        pub reserved: [AtomicU32; 13],
        /// See [`Dirty`].
        pub words: [AtomicU64; WORDS],
    }
}

impl PortWords {
    /// As what they are.
    #[inline]
    #[must_use]
    pub fn dirty(&self) -> Dirty<'_> {
        Dirty {
            summary: &self.summary,
            words: &self.words,
            asleep: &self.asleep,
        }
    }
}

const _: () = {
    assert!(size_of::<Header>() == 128 && size_of::<PulseEntry>() == 32);
    assert!(size_of::<Call>() == 64 && size_of::<Response>() == 64);
    assert!(size_of::<PortWords>() <= PORT_LEN);
};

/// A slot's number: below [`SLOTS`], whatever it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u8);

impl Slot {
    /// Slot `n` modulo [`SLOTS`].
    #[inline]
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self((n % SLOTS) as u8)
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Its bit in a set of slots.
    #[inline]
    #[must_use]
    pub fn bit(self) -> u64 {
        1 << self.0
    }

    /// Where its message's first [`INLINE`] bytes lie.
    #[inline]
    #[must_use]
    pub fn message_at(self) -> usize {
        SLOTS_AT + self.index() * 2 * HALF + 64
    }

    /// Where its reply's first [`INLINE`] bytes lie.
    #[inline]
    #[must_use]
    pub fn reply_at(self) -> usize {
        self.message_at() + HALF
    }

    /// Where its window lies.
    #[inline]
    #[must_use]
    pub fn window_at(self) -> usize {
        WINDOWS_AT + self.index() * WINDOW
    }
}

/// A session's memory, mapped. Whatever the other side writes there is a value.
#[derive(Debug)]
pub struct Memory(Region);

impl Memory {
    /// `map` as a session's memory; None if it is too small.
    #[must_use]
    pub fn new(map: SharedMap) -> Option<Self> {
        (map.len() >= SESSION_LEN).then(|| Self(Region::new(map)))
    }

    #[inline]
    fn view<T: Shared>(&self, offset: usize) -> &T {
        // All offsets come from the constants above, and `new` has checked the length.
        shared::view(self.0.map(), offset).expect("within the session's memory")
    }

    /// The header.
    #[inline]
    #[must_use]
    pub fn header(&self) -> &Header {
        self.view(0)
    }

    /// An entry of the ring of pulses, `n` modulo [`PULSES`].
    #[inline]
    #[must_use]
    pub fn pulse(&self, n: u32) -> &PulseEntry {
        self.view(PULSES_AT + n as usize % PULSES * size_of::<PulseEntry>())
    }

    /// A slot's message.
    #[inline]
    #[must_use]
    pub fn call(&self, slot: Slot) -> &Call {
        self.view(slot.message_at() - size_of::<Call>())
    }

    /// A slot's answer.
    #[inline]
    #[must_use]
    pub fn response(&self, slot: Slot) -> &Response {
        self.view(slot.reply_at() - size_of::<Response>())
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &Region {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn the_parts_do_not_overlap_and_end_with_the_memory() {
        let map = SharedMap::anonymous(SESSION_LEN).unwrap();
        let memory = Memory::new(map).unwrap();
        for n in 0..SLOTS {
            let slot = Slot::new(n);
            let whole = vec![0xff; INLINE];
            assert!(memory.bytes().write(slot.message_at(), &whole));
            assert!(memory.bytes().write(slot.reply_at(), &whole));
            assert!(memory.bytes().write(slot.window_at(), &vec![0xff; WINDOW]));
        }
        for n in 0..SLOTS {
            let slot = Slot::new(n);
            assert_eq!(memory.call(slot).state.load(Ordering::Relaxed), 0);
            assert_eq!(memory.call(slot).reply_at.load(Ordering::Relaxed), 0);
            assert_eq!(memory.response(slot).word.load(Ordering::Relaxed), 0);
            assert_eq!(memory.response(slot).cpu.load(Ordering::Relaxed), 0);
        }
        assert_eq!(memory.pulse(255).value.load(Ordering::Relaxed), 0);
        assert_eq!(Slot::new(SLOTS - 1).window_at() + WINDOW, SESSION_LEN);
        assert!(Memory::new(SharedMap::anonymous(4096).unwrap()).is_none());
    }
}
