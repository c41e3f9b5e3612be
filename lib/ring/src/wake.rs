//! Who must be woken: the protocols by which two sides that poll shared memory also sleep.
//!
//! Each is the same store-load handshake. The side with news stores it, fences, then reads whether
//! the other sleeps; the side that goes to sleep says so, fences, then looks for news once more. In
//! every interleaving at least one of them sees the other.

use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// How many bits a [`DirtySet`] has.
pub const DIRTY_BITS: usize = 448;

/// Many producers' news for one consumer: a bit each, and whether the consumer sleeps. One cache
/// line, so that marking touches that line only.
///
/// A producer can set its bit as often as it likes: it costs the consumer one look, never memory.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct DirtySet {
    words: [AtomicU64; DIRTY_BITS / 64],
    sleeping: AtomicU32,
    #[cfg(not(loom))]
    reserved: AtomicU32,
}

// SAFETY: atomics only.
#[cfg(not(loom))]
unsafe impl crate::shared::Shared for DirtySet {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<DirtySet>() == 64);

impl Default for DirtySet {
    fn default() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            sleeping: AtomicU32::new(0),
            #[cfg(not(loom))]
            reserved: AtomicU32::new(0),
        }
    }
}

impl DirtySet {
    /// Says that there is news at `bit`, stored before this call. True: the consumer sleeps and
    /// must be kicked. A bit out of range marks nothing.
    #[inline]
    #[must_use]
    pub fn mark(&self, bit: usize) -> bool {
        let Some(word) = self.words.get(bit / 64) else {
            return false;
        };
        word.fetch_or(1 << (bit % 64), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.sleeping.load(Ordering::Relaxed) != 0
    }

    /// Takes the marks of bits `64 * index` to `64 * index + 63`; their news is visible from now
    /// on. 0 for an index out of range.
    #[inline]
    #[must_use]
    pub fn take(&self, index: usize) -> u64 {
        match self.words.get(index) {
            // The plain load keeps an idle line shared.
            Some(word) if word.load(Ordering::Relaxed) != 0 => word.swap(0, Ordering::SeqCst),
            _ => 0,
        }
    }

    /// Says that the consumer is about to sleep. True: nothing is marked, it may. False: something
    /// is, and the consumer counts as awake again.
    #[must_use]
    pub fn sleep(&self) -> bool {
        self.sleeping.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.words.iter().all(|w| w.load(Ordering::Relaxed) == 0) {
            return true;
        }
        self.awake();
        false
    }

    /// Says that the consumer is awake.
    pub fn awake(&self) {
        self.sleeping.store(0, Ordering::Relaxed);
    }
}

/// Bits of consumers that sleep, each until rung.
///
/// A sleeper sets its bit; whoever has news takes the bits that concern it, and with them the duty
/// to ring: so one sleep gets one ring, however much news there is.
#[derive(Debug)]
#[repr(transparent)]
pub struct SleepSet(AtomicU64);

// SAFETY: an atomic only.
#[cfg(not(loom))]
unsafe impl crate::shared::Shared for SleepSet {}

impl Default for SleepSet {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl SleepSet {
    /// Announces sleepers. The caller looks for news once more after this, and only then sleeps.
    pub fn sleep(&self, bits: u64) {
        self.0.fetch_or(bits, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Takes back an announcement, when nobody else can be sleeping under the same bits.
    pub fn awake(&self, bits: u64) {
        self.0.fetch_and(!bits, Ordering::Relaxed);
    }

    /// Those of `bits` that sleep and whom the caller must ring now. To be called with a SeqCst
    /// fence between it and the store of the news.
    #[inline]
    #[must_use]
    pub fn take(&self, bits: u64) -> u64 {
        match self.0.load(Ordering::Relaxed) & bits {
            0 => 0,
            asleep => self.0.fetch_and(!asleep, Ordering::SeqCst) & asleep,
        }
    }
}

/// Whether a position that went from `old` to `new` has reached `mark` on the way: `mark` is in
/// `(old, new]`, modulo 2^32. What tells a consumer when the other side wants to hear of its
/// progress.
#[inline]
#[must_use]
pub fn reached(mark: u32, old: u32, new: u32) -> bool {
    mark.wrapping_sub(old).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_once() {
        let set = DirtySet::default();
        assert!(!set.mark(3));
        assert!(!set.mark(3));
        assert!(!set.mark(447));
        assert!(!set.mark(448), "out of range");
        assert!(!set.sleep(), "there is news");
        assert_eq!(
            (set.take(0), set.take(0), set.take(6), set.take(7)),
            (8, 0, 1 << 63, 0)
        );
        assert!(set.sleep());
        assert!(set.mark(64), "the consumer sleeps");
        set.awake();
        assert!(!set.mark(65));
        assert_eq!(set.take(1), 3);
    }

    #[test]
    fn one_sleep_one_ring() {
        let set = SleepSet::default();
        assert_eq!(set.take(!0), 0);
        set.sleep(0b11);
        assert_eq!(set.take(0b10), 0b10);
        assert_eq!(set.take(!0), 0b01);
        set.sleep(1);
        set.awake(1);
        assert_eq!(set.take(!0), 0);
    }

    #[test]
    fn reached_is_half_open_and_wraps() {
        assert!(!reached(10, 10, 20));
        assert!(reached(11, 10, 20));
        assert!(reached(20, 10, 20));
        assert!(!reached(21, 10, 20));
        assert!(!reached(10, 10, 10));
        assert!(reached(2, u32::MAX - 2, 4));
        assert!(!reached(u32::MAX - 2, u32::MAX - 2, 4));
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;

    #[test]
    fn a_sleeping_consumer_is_kicked_or_sees_the_mark() {
        loom::model(|| {
            let set = Arc::new(DirtySet::default());
            let producer = loom::thread::spawn({
                let set = set.clone();
                move || set.mark(5)
            });
            let slept = set.sleep();
            let kicked = producer.join().unwrap();
            assert!(!slept || kicked, "asleep with news and no kick");
            assert_eq!(set.take(0), 1 << 5);
        });
    }

    #[test]
    fn a_sleeper_is_rung_or_sees_the_news() {
        loom::model(|| {
            let set = Arc::new((SleepSet::default(), AtomicU32::new(0)));
            let producer = loom::thread::spawn({
                let set = set.clone();
                move || {
                    set.1.store(1, Ordering::Release);
                    fence(Ordering::SeqCst);
                    set.0.take(1) != 0
                }
            });
            set.0.sleep(1);
            let seen = set.1.load(Ordering::Acquire) == 1;
            let rung = producer.join().unwrap();
            assert!(seen || rung);
        });
    }
}
