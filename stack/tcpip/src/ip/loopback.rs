//! Packets from this stack to itself: a bounded queue of reused buffers.

use std::collections::VecDeque;

/// Spare buffers kept.
const SPARES_MAX: usize = 32;

/// A packet on its way to this stack.
pub(crate) struct Looped {
    pub(crate) bytes: Vec<u8>,
    /// Payload bytes of each segment it stands for; 0 for one.
    pub(crate) gso_size: u16,
}

pub(crate) struct Loopback {
    queue: VecDeque<Looped>,
    spares: Vec<Vec<u8>>,
    limit: usize,
}

impl Loopback {
    pub(crate) fn new(limit: usize) -> Self {
        Loopback {
            queue: VecDeque::new(),
            spares: Vec::new(),
            limit,
        }
    }

    /// Queues a packet of `len` bytes that `fill` writes; false when the queue is full.
    pub(crate) fn push(&mut self, len: usize, gso_size: u16, fill: impl FnOnce(&mut [u8])) -> bool {
        if self.queue.len() >= self.limit {
            return false;
        }
        let mut bytes = self.spares.pop().unwrap_or_default();
        bytes.resize(len, 0);
        fill(&mut bytes);
        self.queue.push_back(Looped { bytes, gso_size });
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Looped> {
        self.queue.pop_front()
    }

    /// Takes back the buffer of a packet that has been dealt with.
    pub(crate) fn recycle(&mut self, packet: Looped) {
        if self.spares.len() < SPARES_MAX {
            self.spares.push(packet.bytes);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
