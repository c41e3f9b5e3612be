//! How long to look before sleeping.
//!
//! Looking is worth it when the answer comes from another processor within microseconds. So a place
//! where looking was in vain looks for a shorter time next, one where it was not gets its full time
//! back, and nobody looks for what must come from the processor it runs on.

use std::sync::atomic::{AtomicU32, Ordering};

use io_net_os::{cpu, sched};

/// Looks at most: a few microseconds.
const MOST: u32 = 400;
/// Looks at least, where looking is worth trying again.
const LEAST: u32 = 25;
/// How often a place where others come first gives its processor away before it sleeps.
const YIELDS: u32 = 6;
/// Waits without looking between two trials.
const PAUSES: u32 = 30;

/// What a waiting place has learnt.
#[derive(Debug)]
pub(crate) struct Spin {
    looks: AtomicU32,
    pause: AtomicU32,
}

impl Default for Spin {
    fn default() -> Self {
        Self {
            looks: AtomicU32::new(MOST),
            pause: AtomicU32::new(0),
        }
    }
}

impl Spin {
    /// Whether looking is worth it for what comes from processor `other`.
    #[inline]
    pub(crate) fn is_worth_it(&self, other: u32) -> bool {
        self.looks.load(Ordering::Relaxed) >= LEAST && sched::current_cpu() != other
    }

    /// Looks until `look` sees something, for as long as is worth it for what comes from processor
    /// `other` and takes `times` as long as usual.
    #[inline]
    pub(crate) fn run<T>(
        &self,
        other: u32,
        times: u32,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        if sched::current_cpu() == other {
            return None;
        }
        let mut looks = self.looks.load(Ordering::Relaxed);
        if looks < LEAST {
            looks = self.tries_again()?;
        }
        for _ in 0..looks * times {
            if let Some(seen) = look() {
                if looks != MOST {
                    self.looks.store(MOST, Ordering::Relaxed);
                }
                return Some(seen);
            }
            cpu::pause();
        }
        self.looks.store(looks / 2, Ordering::Relaxed);
        None
    }

    /// As [`Spin::run`], for what takes its time and may have to come from this very processor:
    /// others have it first, and between looks.
    pub(crate) fn run_aside<T>(
        &self,
        other: u32,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let mut looks = self.looks.load(Ordering::Relaxed);
        if looks < LEAST {
            looks = self.tries_again()?;
        }
        let (yields, at_once) = match sched::current_cpu() == other {
            true => (YIELDS * 3, LEAST / 5),
            false => (YIELDS, looks),
        };
        for _ in 0..yields {
            std::thread::yield_now();
            for _ in 0..at_once {
                if let Some(seen) = look() {
                    if looks != MOST {
                        self.looks.store(MOST, Ordering::Relaxed);
                    }
                    return Some(seen);
                }
                cpu::pause();
            }
        }
        self.looks.store(looks / 2, Ordering::Relaxed);
        None
    }

    /// After some waits without, looking is tried again for a short time.
    #[cold]
    fn tries_again(&self) -> Option<u32> {
        let waits = self.pause.fetch_add(1, Ordering::Relaxed) % PAUSES;
        (waits == PAUSES - 1).then_some(LEAST * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_in_vain_is_given_up_and_tried_again() {
        let spin = Spin::default();
        let elsewhere = u32::MAX;
        let mut looks = Vec::new();
        for _ in 0..200 {
            let mut n = 0;
            assert_eq!(
                spin.run(elsewhere, 1, || {
                    n += 1;
                    None::<()>
                }),
                None
            );
            looks.push(n);
        }
        assert_eq!(looks[0], MOST);
        assert!(looks.iter().filter(|&&n| n == 0).count() > 150);
        assert!(looks[100..].iter().any(|&n| n > 0));
        while spin.run(elsewhere, 1, || Some(())).is_none() {}
        assert!(spin.is_worth_it(elsewhere));
        assert_eq!(spin.looks.load(Ordering::Relaxed), MOST);
    }
}
