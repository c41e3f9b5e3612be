//! Which of many sessions have news for the one channel that looks after them, and whether that
//! sleeps.
//!
//! Two levels of bits, so that one look tells whether there is anything. A producer can set its bit
//! as often as it likes: it costs the consumer one look, never memory. The sleep is the usual
//! store-load handshake: news, fence, look for sleepers; say asleep, fence, look for news.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Words below the summary.
pub const WORDS: usize = 64;
/// Bits in all.
pub const BITS: usize = WORDS * 64;

/// Somebody sleeps on the [`Dirty::asleep`] word (futex).
pub const BY_FUTEX: u32 = 1;
/// Somebody waits for the port's eventfd.
pub const BY_FD: u32 = 2;

/// A view of a port's words.
#[derive(Clone, Copy, Debug)]
pub struct Dirty<'w> {
    /// A bit for each word of `words` that is not 0.
    pub summary: &'w AtomicU64,
    /// A bit for each session; [`WORDS`] of them.
    pub words: &'w [AtomicU64],
    /// Who sleeps: [`BY_FUTEX`], [`BY_FD`].
    pub asleep: &'w AtomicU32,
}

impl Dirty<'_> {
    /// Producer: there is news at `bit`. Returns who sleeps and must be woken by the caller.
    #[inline]
    #[must_use]
    pub fn mark(self, bit: usize) -> u32 {
        let Some(word) = self.words.get(bit / 64) else {
            return 0;
        };
        word.fetch_or(1 << (bit % 64), Ordering::SeqCst);
        self.summary.fetch_or(1 << (bit / 64), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.rouse()
    }

    /// Takes the duty to wake those who sleep.
    #[inline]
    #[must_use]
    pub fn rouse(self) -> u32 {
        match self.asleep.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.asleep.swap(0, Ordering::SeqCst),
        }
    }

    /// Consumer: whether there is news.
    #[inline]
    #[must_use]
    pub fn any(self) -> bool {
        self.summary.load(Ordering::Relaxed) != 0
    }

    /// Consumer: takes the marks of all bits and calls `each` with those that were set.
    pub fn take(self, mut each: impl FnMut(usize)) {
        let mut summary = self.summary.swap(0, Ordering::SeqCst);
        while summary != 0 {
            let w = summary.trailing_zeros() as usize;
            summary &= summary - 1;
            let mut bits = match self.words.get(w) {
                Some(word) => word.swap(0, Ordering::SeqCst),
                None => 0,
            };
            while bits != 0 {
                each(w * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }

    /// Consumer: is about to sleep in the way that `how` says. The value of the `asleep` word to
    /// sleep on; None: there is news. (The word may then still say asleep, which costs one wake for
    /// nothing.)
    #[must_use]
    pub fn arm(self, how: u32) -> Option<u32> {
        let asleep = self.asleep.fetch_or(how, Ordering::SeqCst) | how;
        fence(Ordering::SeqCst);
        (!self.any()).then_some(asleep)
    }

    /// Consumer: nobody sleeps.
    pub fn disarm(self) {
        self.asleep.store(0, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_once_and_wake_once() {
        let (summary, asleep) = (AtomicU64::new(0), AtomicU32::new(0));
        let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let dirty = Dirty {
            summary: &summary,
            words: &words,
            asleep: &asleep,
        };
        let taken = || {
            let mut bits = Vec::new();
            dirty.take(|bit| bits.push(bit));
            bits
        };
        assert_eq!(dirty.arm(BY_FUTEX), Some(BY_FUTEX));
        assert_eq!(dirty.arm(BY_FD), Some(BY_FUTEX | BY_FD));
        assert_eq!(dirty.mark(4095), BY_FUTEX | BY_FD);
        assert_eq!((dirty.mark(3), dirty.mark(3), dirty.mark(BITS)), (0, 0, 0));
        assert_eq!(dirty.arm(BY_FD), None);
        dirty.disarm();
        assert_eq!(taken(), [3, 4095]);
        assert!(!dirty.any() && taken().is_empty());
        // What only a liar sets.
        summary.store(2, Ordering::Relaxed);
        assert!(dirty.any() && taken().is_empty());
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::state::State;
    use loom::sync::Arc;

    struct Shared {
        summary: AtomicU64,
        words: [AtomicU64; 1],
        asleep: AtomicU32,
        state: AtomicU32,
        watched: AtomicU32,
    }

    impl Shared {
        fn new(watched: u32) -> Arc<Self> {
            Arc::new(Self {
                summary: AtomicU64::new(0),
                words: [AtomicU64::new(0)],
                asleep: AtomicU32::new(0),
                state: AtomicU32::new(0),
                watched: AtomicU32::new(watched),
            })
        }

        fn dirty(&self) -> Dirty<'_> {
            Dirty {
                summary: &self.summary,
                words: &self.words,
                asleep: &self.asleep,
            }
        }
    }

    #[test]
    fn a_sleeper_is_woken_or_sees_the_mark() {
        loom::model(|| {
            let shared = Shared::new(0);
            let producer = loom::thread::spawn({
                let shared = shared.clone();
                move || shared.dirty().mark(5)
            });
            let slept = shared.dirty().arm(BY_FUTEX).is_some();
            let woken = producer.join().unwrap();
            assert!(!slept || woken == BY_FUTEX);
            let mut bits = Vec::new();
            shared.dirty().take(|bit| bits.push(bit));
            assert_eq!(bits, [5]);
        });
    }

    /// The sender of a watched slot marks nothing; the receiver that stops watching, and then
    /// sleeps, has seen the message or is woken.
    #[test]
    fn what_is_sent_as_the_watch_ends_is_seen() {
        loom::model(|| {
            let shared = Shared::new(1);
            let sender = loom::thread::spawn({
                let shared = shared.clone();
                move || {
                    let _ = State(&shared.state).send();
                    match shared.watched.load(Ordering::SeqCst) {
                        0 => shared.dirty().mark(0),
                        _ => 0,
                    }
                }
            });
            shared.watched.store(0, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let seen = State(&shared.state).sent().is_some();
            let slept = !seen && shared.dirty().arm(BY_FUTEX).is_some();
            let woken = sender.join().unwrap();
            assert!(!slept || woken == BY_FUTEX);
        });
    }
}
