//! A byte FIFO in shared memory: one producer, one consumer, each in a process of its own.
//!
//! Three words and a power-of-two stretch of bytes. `tail` (bytes ever put in) and `base` are
//! written by the producer alone, `head` (bytes ever taken out) by the consumer alone; both count
//! modulo 2^32. Position `p` lies at byte `(p - base) mod size`. A producer that finds the FIFO
//! empty may set `base` to `tail`, which starts again at byte 0: a FIFO that is emptied often stays
//! within a few warm cache lines, however large it is. That is safe because a consumer has no
//! position of its own to look up while the FIFO is empty, and reads `base` after `tail`.
//!
//! [`Producer`] and [`Consumer`] hold their side's positions privately: what the other process
//! writes over them in shared memory has no effect, and the one word taken from the other side is
//! checked at each look. Neither can reach outside the FIFO's bytes, whatever that word says.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::Corrupt;
use crate::shared::Bytes;

/// Where a FIFO is: its words and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Fifo<'m> {
    /// Bytes ever put in; the producer's.
    pub tail: &'m AtomicU32,
    /// The position that lies at byte 0; the producer's.
    pub base: &'m AtomicU32,
    /// Bytes ever taken out; the consumer's.
    pub head: &'m AtomicU32,
    /// The data.
    pub bytes: Bytes<'m>,
}

impl Fifo<'_> {
    /// The most bytes it holds.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.bytes.size()
    }

    /// Bytes in it at this moment, as seen by one that neither produces nor consumes; at most
    /// `size`.
    #[must_use]
    pub fn level(&self) -> u32 {
        let head = self.head.load(Ordering::Acquire);
        self.tail
            .load(Ordering::Acquire)
            .wrapping_sub(head)
            .min(self.size())
    }
}

/// The producer's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Producer {
    tail: u32,
    base: u32,
    head: u32,
}

impl Producer {
    /// Takes up a FIFO where its words say that the last producer left it. For a side that shares
    /// its end with other processes, under a lock. A new FIFO (all zero) starts with
    /// `Producer::default()`.
    #[must_use]
    pub fn attach(fifo: &Fifo<'_>) -> Self {
        Self {
            tail: fifo.tail.load(Ordering::Relaxed),
            base: fifo.base.load(Ordering::Relaxed),
            head: fifo.head.load(Ordering::Acquire),
        }
    }

    /// Bytes ever committed, modulo 2^32.
    #[must_use]
    pub fn tail(&self) -> u32 {
        self.tail
    }

    /// The consumer's position at the last look.
    #[must_use]
    pub fn head(&self) -> u32 {
        self.head
    }

    /// Looks at the consumer's position and returns how many bytes there is room for.
    ///
    /// # Errors
    /// [`Corrupt`] when the consumer claims to have taken more than was put in, or gone back.
    #[inline]
    pub fn free(&mut self, fifo: &Fifo<'_>) -> Result<u32, Corrupt> {
        let head = fifo.head.load(Ordering::Acquire);
        let used = self.tail.wrapping_sub(head);
        if used > self.tail.wrapping_sub(self.head) || used > fifo.size() {
            return Err(Corrupt);
        }
        self.head = head;
        Ok(fifo.size() - used)
    }

    /// Room at the last look, without touching shared memory.
    #[inline]
    #[must_use]
    pub fn free_seen(&self, fifo: &Fifo<'_>) -> u32 {
        fifo.size()
            .saturating_sub(self.tail.wrapping_sub(self.head))
    }

    /// Starts again at byte 0 if the FIFO was empty at the last look. Not to be called while bytes
    /// placed ahead of the tail wait to be committed: they would be lost.
    #[inline]
    pub fn rewind_if_empty(&mut self, fifo: &Fifo<'_>) {
        if self.head == self.tail && self.base != self.tail {
            self.base = self.tail;
            fifo.base.store(self.base, Ordering::Relaxed);
        }
    }

    /// Places `from` at `offset` bytes ahead of the tail, unseen by the consumer until committed.
    /// What does not fit in the room seen at the last look is left out; returns how much was
    /// placed.
    #[inline]
    pub fn write_at(&self, fifo: &Fifo<'_>, offset: u32, from: &[u8]) -> usize {
        let room = self.free_seen(fifo).saturating_sub(offset) as usize;
        let len = from.len().min(room);
        let position = self.tail.wrapping_sub(self.base).wrapping_add(offset);
        fifo.bytes.write(position, &from[..len]);
        len
    }

    /// Makes the next `len` bytes visible to the consumer; at most the room seen at the last look.
    #[inline]
    pub fn commit(&mut self, fifo: &Fifo<'_>, len: u32) {
        self.tail = self.tail.wrapping_add(len.min(self.free_seen(fifo)));
        fifo.tail.store(self.tail, Ordering::Release);
    }
}

/// The consumer's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumer {
    head: u32,
    tail: u32,
    base: u32,
}

impl Consumer {
    /// Takes up a FIFO where its words say that the last consumer left it. For a side that shares
    /// its end with other processes, under a lock. A new FIFO (all zero) starts with
    /// `Consumer::default()`.
    #[must_use]
    pub fn attach(fifo: &Fifo<'_>) -> Self {
        let head = fifo.head.load(Ordering::Relaxed);
        Self {
            head,
            tail: head,
            base: 0,
        }
    }

    /// Bytes ever consumed, modulo 2^32.
    #[must_use]
    pub fn head(&self) -> u32 {
        self.head
    }

    /// Looks at the producer's position and returns how many bytes there are to read.
    ///
    /// # Errors
    /// [`Corrupt`] when there are more than fit, or fewer than at the last look.
    #[inline]
    pub fn used(&mut self, fifo: &Fifo<'_>) -> Result<u32, Corrupt> {
        let tail = fifo.tail.load(Ordering::Acquire);
        let used = tail.wrapping_sub(self.head);
        if used > fifo.size() || used < self.used_seen() {
            return Err(Corrupt);
        }
        self.tail = tail;
        self.base = fifo.base.load(Ordering::Relaxed);
        Ok(used)
    }

    /// Bytes to read at the last look, without touching shared memory.
    #[inline]
    #[must_use]
    pub fn used_seen(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    /// Copies out from `offset` bytes past the head, taking nothing. Returns how many bytes were
    /// there, at most those seen at the last look.
    #[inline]
    pub fn read_at(&self, fifo: &Fifo<'_>, offset: u32, to: &mut [u8]) -> usize {
        let there = self.used_seen().saturating_sub(offset) as usize;
        let len = to.len().min(there);
        let position = self.head.wrapping_sub(self.base).wrapping_add(offset);
        fifo.bytes.read(position, &mut to[..len]);
        len
    }

    /// Takes `len` bytes out for good; at most those seen at the last look.
    #[inline]
    pub fn consume(&mut self, fifo: &Fifo<'_>, len: u32) {
        self.head = self.head.wrapping_add(len.min(self.used_seen()));
        fifo.head.store(self.head, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_os::map::SharedMap;

    fn fifo(map: &SharedMap) -> Fifo<'_> {
        let word = |at| crate::shared::view(map, at).unwrap();
        let bytes = Bytes::new(map, 64, 64).unwrap();
        Fifo {
            tail: word(0),
            base: word(4),
            head: word(8),
            bytes,
        }
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let map = SharedMap::anonymous(4096).unwrap();
        let f = fifo(&map);
        let (mut p, mut c) = (Producer::default(), Consumer::default());
        let (mut next_in, mut next_out) = (0_u8, 0_u8);
        for round in 0..10_000_u32 {
            let room = p.free(&f).unwrap();
            let len = (round * 7 % 67).min(room);
            if round % 3 == 0 {
                p.rewind_if_empty(&f);
            }
            let chunk: Vec<u8> = (0..len).map(|i| next_in.wrapping_add(i as u8)).collect();
            assert_eq!(p.write_at(&f, 0, &chunk), len as usize);
            p.commit(&f, len);
            next_in = next_in.wrapping_add(len as u8);
            let want = (round * 11 % 53).min(c.used(&f).unwrap());
            let mut out = vec![0; want as usize];
            assert_eq!(c.read_at(&f, 0, &mut out), out.len());
            c.consume(&f, want);
            for byte in out {
                assert_eq!(byte, next_out);
                next_out = next_out.wrapping_add(1);
            }
        }
    }

    #[test]
    fn a_rewound_fifo_starts_at_byte_zero() {
        let map = SharedMap::anonymous(4096).unwrap();
        let f = fifo(&map);
        let (mut p, mut c) = (Producer::default(), Consumer::default());
        for _ in 0..100 {
            assert_eq!(p.free(&f).unwrap(), 64);
            p.rewind_if_empty(&f);
            p.write_at(&f, 0, b"hello");
            p.commit(&f, 5);
            let first = crate::shared::view::<AtomicU32>(&map, 64).unwrap();
            assert_eq!(&first.load(Ordering::Relaxed).to_ne_bytes(), b"hell");
            let mut out = [0; 9];
            assert_eq!(c.used(&f).unwrap(), 5);
            assert_eq!(c.read_at(&f, 0, &mut out), 5);
            c.consume(&f, 5);
        }
        assert_eq!(Producer::attach(&f).tail(), 500);
    }

    #[test]
    fn out_of_order_pieces_and_rereads() {
        let map = SharedMap::anonymous(4096).unwrap();
        let f = fifo(&map);
        let (mut p, mut c) = (Producer::default(), Consumer::default());
        p.free(&f).unwrap();
        assert_eq!(p.write_at(&f, 3, b"def"), 3);
        assert_eq!(c.used(&f).unwrap(), 0);
        assert_eq!(p.write_at(&f, 0, b"abc"), 3);
        p.commit(&f, 6);
        assert_eq!(c.used(&f).unwrap(), 6);
        let mut out = [0; 3];
        assert_eq!(c.read_at(&f, 2, &mut out), 3);
        assert_eq!(&out, b"cde");
        assert_eq!(c.read_at(&f, 5, &mut out), 1);
        assert_eq!(c.read_at(&f, 6, &mut out), 0);
        assert_eq!(c.read_at(&f, u32::MAX, &mut out), 0);
        assert_eq!(
            p.write_at(&f, 60, b"x"),
            0,
            "the six bytes are not consumed yet"
        );
        assert_eq!(p.write_at(&f, u32::MAX, b"x"), 0);
    }

    #[test]
    fn no_value_of_the_other_sides_words_does_harm() {
        let map = SharedMap::anonymous(4096).unwrap();
        let f = fifo(&map);
        let mut p = Producer::default();
        p.free(&f).unwrap();
        p.commit(&f, 10);
        for head in [11, 64, u32::MAX, 1 << 31] {
            f.head.store(head, Ordering::Relaxed);
            assert_eq!(p.free(&f), Err(Corrupt), "head {head}");
        }
        f.head.store(4, Ordering::Relaxed);
        assert_eq!(p.free(&f), Ok(58));
        f.head.store(3, Ordering::Relaxed);
        assert_eq!(p.free(&f), Err(Corrupt), "went back");

        let mut c = Consumer::default();
        for tail in [65, u32::MAX, 1 << 31] {
            f.tail.store(tail, Ordering::Relaxed);
            assert_eq!(c.used(&f), Err(Corrupt), "tail {tail}");
        }
        let mut out = [0; 128];
        for base in [0, 1, 63, 64, u32::MAX, 1 << 31] {
            f.tail.store(64, Ordering::Relaxed);
            f.base.store(base, Ordering::Relaxed);
            assert_eq!(c.used(&f), Ok(64));
            assert_eq!(c.read_at(&f, 0, &mut out), 64);
        }
        f.tail.store(63, Ordering::Relaxed);
        assert_eq!(c.used(&f), Err(Corrupt), "went back");
    }

    #[test]
    fn a_million_bytes_between_two_threads() {
        let map = SharedMap::anonymous(4096).unwrap();
        let f = fifo(&map);
        const TOTAL: u32 = 1_000_000;
        std::thread::scope(|s| {
            s.spawn(|| {
                let mut p = Producer::default();
                let mut sent = 0_u32;
                while sent < TOTAL {
                    let room = p.free(&f).unwrap().min(TOTAL - sent).min(23);
                    p.rewind_if_empty(&f);
                    let chunk: Vec<u8> = (sent..sent + room).map(|i| (i % 251) as u8).collect();
                    p.write_at(&f, 0, &chunk);
                    p.commit(&f, room);
                    sent += room;
                    if room == 0 {
                        std::thread::yield_now();
                    }
                }
            });
            let mut c = Consumer::default();
            let mut got = 0_u32;
            let mut buf = [0; 37];
            while got < TOTAL {
                c.used(&f).unwrap();
                let n = c.read_at(&f, 0, &mut buf);
                for (i, byte) in buf[..n].iter().enumerate() {
                    assert_eq!(u32::from(*byte), (got + i as u32) % 251);
                }
                c.consume(&f, n as u32);
                got += n as u32;
                if n == 0 {
                    std::thread::yield_now();
                }
            }
        });
    }
}
