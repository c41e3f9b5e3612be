//! What a server remembers of the messages that it has received and not yet replied to.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::layout::{SLOTS, Slot};
use crate::server::Message;

/// One session's received messages, by slot.
#[derive(Debug)]
pub struct Records {
    held: [Mutex<Option<Message>>; SLOTS],
    /// Who is at a client's memory; one at a time for each message.
    turns: [Mutex<()>; SLOTS],
    unblocks: AtomicU64,
    /// The thread whose message was received last in each slot.
    senders: [AtomicU32; SLOTS],
}

impl Default for Records {
    fn default() -> Self {
        Self {
            held: std::array::from_fn(|_| Mutex::new(None)),
            turns: std::array::from_fn(|_| Mutex::new(())),
            unblocks: AtomicU64::new(0),
            senders: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Records {
    /// A message has been received.
    #[inline]
    pub fn put(&self, message: Message) {
        *lock(&self.held[message.slot.index()]) = Some(message);
        self.senders[message.slot.index()].store(message.tid, Ordering::Relaxed);
        if self.unblocks.load(Ordering::Relaxed) & message.slot.bit() != 0 {
            self.unblocks
                .fetch_and(!message.slot.bit(), Ordering::Relaxed);
        }
    }

    /// The message in `slot`.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<Message> {
        *lock(&self.held[slot.index()])
    }

    /// The thread that sent the last message in `slot`, which may have been replied to; 0: none.
    #[must_use]
    pub fn last_sender(&self, slot: Slot) -> u32 {
        self.senders[slot.index()].load(Ordering::Relaxed)
    }

    /// As much of `message` has been received as `len` says.
    pub fn set_received(&self, message: &Message, len: u64) {
        if let Some(held) = lock(&self.held[message.slot.index()]).as_mut() {
            held.received = len;
        }
    }

    /// Takes `message` out, to reply to it; false: somebody else has.
    #[inline]
    #[must_use]
    pub fn remove(&self, message: &Message) -> bool {
        let mut held = lock(&self.held[message.slot.index()]);
        let same = held.is_some_and(|held| held.generation == message.generation);
        if same {
            *held = None;
        }
        same
    }

    /// All that are there.
    pub fn all(&self) -> impl Iterator<Item = Message> {
        self.held.iter().filter_map(|held| *lock(held))
    }

    /// The client wants the message in `slot` to be ended.
    pub fn ask_unblock(&self, slot: Slot) {
        self.unblocks.fetch_or(slot.bit(), Ordering::Relaxed);
    }

    /// Whether it does.
    #[must_use]
    pub fn unblock_asked(&self, slot: Slot) -> bool {
        self.unblocks.load(Ordering::Relaxed) & slot.bit() != 0
    }

    /// Waits for the turn at the memory of who sent the message in `slot`.
    pub fn turn(&self, slot: Slot) -> MutexGuard<'_, ()> {
        lock(&self.turns[slot.index()])
    }
}
