//! A ring of `u64` from one thread to another of the same process: how packets cross between
//! workers.
//!
//! The producer's and the consumer's positions lie on separate cache lines, and each side keeps the
//! other's position as it last saw it, so that a burst costs one shared line a side. Nothing here
//! blocks.

use std::sync::Arc;

use crate::sync::{AtomicU64, AtomicUsize, Ordering};

#[repr(align(128))]
struct Line(AtomicUsize);

struct Ring {
    /// Items ever taken; the consumer's.
    head: Line,
    /// Items ever put in; the producer's.
    tail: Line,
    /// A power of two of them. Atomic only to need no unsafe; the accesses are plain moves.
    items: Box<[AtomicU64]>,
}

impl Ring {
    fn item(&self, position: usize) -> &AtomicU64 {
        &self.items[position & (self.items.len() - 1)]
    }
}

/// The end that puts in.
pub struct Sender {
    ring: Arc<Ring>,
    tail: usize,
    head_seen: usize,
}

/// The end that takes out.
pub struct Receiver {
    ring: Arc<Ring>,
    head: usize,
    tail_seen: usize,
}

/// Makes a ring that holds `capacity` items, rounded up to a power of two.
#[must_use]
pub fn channel(capacity: usize) -> (Sender, Receiver) {
    let items = (0..capacity.next_power_of_two())
        .map(|_| AtomicU64::new(0))
        .collect();
    let (head, tail) = (Line(AtomicUsize::new(0)), Line(AtomicUsize::new(0)));
    let ring = Arc::new(Ring { head, tail, items });
    (
        Sender {
            ring: ring.clone(),
            tail: 0,
            head_seen: 0,
        },
        Receiver {
            ring,
            head: 0,
            tail_seen: 0,
        },
    )
}

impl Sender {
    /// Puts in as many of `items` as there is room for, in order, and returns how many those were.
    pub fn push(&mut self, items: &[u64]) -> usize {
        let capacity = self.ring.items.len();
        if capacity - (self.tail - self.head_seen) < items.len() {
            self.head_seen = self.ring.head.0.load(Ordering::Acquire);
        }
        let count = items.len().min(capacity - (self.tail - self.head_seen));
        for (i, item) in items[..count].iter().enumerate() {
            self.ring
                .item(self.tail + i)
                .store(*item, Ordering::Relaxed);
        }
        if count > 0 {
            self.tail += count;
            self.ring.tail.0.store(self.tail, Ordering::Release);
        }
        count
    }
}

impl Receiver {
    /// Takes out up to `items.len()` items, in order, and returns how many those were.
    pub fn pop(&mut self, items: &mut [u64]) -> usize {
        if self.tail_seen - self.head < items.len() {
            self.tail_seen = self.ring.tail.0.load(Ordering::Acquire);
        }
        let count = items.len().min(self.tail_seen - self.head);
        for (i, item) in items[..count].iter_mut().enumerate() {
            *item = self.ring.item(self.head + i).load(Ordering::Relaxed);
        }
        if count > 0 {
            self.head += count;
            self.ring.head.0.store(self.head, Ordering::Release);
        }
        count
    }

    /// Whether there is nothing to take at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.tail.0.load(Ordering::Acquire) == self.head
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn takes_what_was_put_in_and_no_more() {
        let (mut tx, mut rx) = channel(3);
        let mut out = [0; 8];
        assert_eq!(rx.pop(&mut out), 0);
        assert_eq!(tx.push(&[1, 2, 3, 4, 5]), 4, "3 rounds up to 4");
        assert_eq!(tx.push(&[6]), 0);
        assert!(!rx.is_empty());
        assert_eq!(rx.pop(&mut out[..2]), 2);
        assert_eq!(tx.push(&[5, 6, 7]), 2);
        assert_eq!(rx.pop(&mut out[2..]), 4);
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 0, 0]);
        assert!(rx.is_empty());
    }

    #[test]
    fn a_million_items_between_two_threads() {
        let (mut tx, mut rx) = channel(64);
        std::thread::scope(|s| {
            s.spawn(move || {
                let mut next = 0_u64;
                while next < 1_000_000 {
                    let burst: Vec<u64> = (next..(next + 17).min(1_000_000)).collect();
                    next += tx.push(&burst) as u64;
                }
            });
            let (mut expected, mut out) = (0_u64, [0; 23]);
            while expected < 1_000_000 {
                let n = rx.pop(&mut out);
                for item in &out[..n] {
                    assert_eq!(*item, expected);
                    expected += 1;
                }
            }
        });
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;

    #[test]
    fn items_arrive_whole_and_in_order() {
        loom::model(|| {
            let (mut tx, mut rx) = channel(2);
            let producer = loom::thread::spawn(move || {
                let mut sent = 0;
                for round in [[1, 2], [3, 4]] {
                    sent += tx.push(&round);
                }
                sent
            });
            let (mut got, mut out) = (Vec::new(), [0; 2]);
            for _ in 0..2 {
                let n = rx.pop(&mut out);
                got.extend_from_slice(&out[..n]);
            }
            let sent = producer.join().unwrap();
            let n = rx.pop(&mut out);
            got.extend_from_slice(&out[..n]);
            let n = rx.pop(&mut out);
            got.extend_from_slice(&out[..n]);
            assert_eq!(got.len(), sent);
            let all: &[u64] = if sent == 3 { &[1, 2, 3] } else { &[1, 2, 3, 4] };
            assert_eq!(got, all[..sent]);
        });
    }
}
