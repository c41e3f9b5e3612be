//! Named counters.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that io-net keeps and shows. One thread adds, the registrant's home worker; so adding
/// is a load and a store, with no locked instruction.
#[derive(Clone, Copy)]
pub struct Counter(&'static AtomicU64);

impl Counter {
    /// # Safety
    /// `cell` stays valid as long as the registrant that was given it.
    pub(crate) unsafe fn from_raw(cell: *const AtomicU64) -> Self {
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        // SAFETY: the caller's promise; null where io-net could not make one.
        Counter(unsafe { cell.as_ref() }.unwrap_or(&NOWHERE))
    }

    /// Adds `n`.
    #[inline]
    pub fn add(self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// The count so far.
    #[inline]
    pub fn get(self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
