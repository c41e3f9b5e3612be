//! A lock in shared memory for the processes and threads that share one end of a socket.
//!
//! It is held for a copy, never across a sleep. Its owner may be killed while holding it, so a
//! waiter that has waited long checks that the owner exists and takes the lock over if not: what it
//! protects are FIFO positions, each a single store, valid at every moment.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use io_net_os::{futex, task};

use crate::shared::Shared;

/// Somebody waits and must be woken; the other bits are the owner's thread id.
const CONTENDED: u32 = 1 << 31;

/// How long a waiter waits before it doubts that the owner lives.
const DOUBT: Duration = Duration::from_millis(50);

/// Spins before the first sleep: an owner on the other core is done within a copy.
const SPINS: u32 = 100;

/// The lock: 0 when free.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct SharedLock(AtomicU32);

// SAFETY: an atomic only.
unsafe impl Shared for SharedLock {}

/// The calling thread holds the lock already: it interrupted itself, in a signal handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reentered;

/// Holds the lock until dropped.
#[derive(Debug)]
pub struct Guard<'l>(&'l SharedLock);

impl SharedLock {
    /// Takes the lock for the thread with id `me` (not 0, below 2^31), waiting as long as a living
    /// owner holds it.
    ///
    /// # Errors
    /// [`Reentered`] when `me` holds it.
    #[inline]
    pub fn lock(&self, me: u32) -> Result<Guard<'_>, Reentered> {
        match self
            .0
            .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Ok(Guard(self)),
            Err(_) => self.lock_contended(me),
        }
    }

    #[cold]
    fn lock_contended(&self, me: u32) -> Result<Guard<'_>, Reentered> {
        for _ in 0..SPINS {
            let word = self.0.load(Ordering::Relaxed);
            if word & !CONTENDED == me {
                return Err(Reentered);
            }
            if word == 0 && self.exchange(0, me) {
                return Ok(Guard(self));
            }
            std::hint::spin_loop();
        }
        loop {
            let word = self.0.load(Ordering::Relaxed);
            // Whoever takes the lock here cannot know whether it was the last to wait.
            if word == 0 {
                if self.exchange(0, me | CONTENDED) {
                    return Ok(Guard(self));
                }
            } else if (word & CONTENDED != 0 || self.exchange(word, word | CONTENDED))
                && !futex::wait(&self.0, word | CONTENDED, Some(DOUBT))
                && !task::thread_exists(word & !CONTENDED)
                && self.exchange(word | CONTENDED, me | CONTENDED)
            {
                return Ok(Guard(self));
            }
        }
    }

    fn exchange(&self, from: u32, to: u32) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.0.swap(0, Ordering::Release) & CONTENDED != 0 {
            futex::wake(&self.0.0, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::UnsafeCell;

    struct Counter(SharedLock, UnsafeCell<u64>);
    // SAFETY: the cell is only touched under the lock.
    unsafe impl Sync for Counter {}

    #[test]
    fn it_excludes() {
        let counter = Counter(SharedLock::default(), UnsafeCell::new(0));
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let (counter, me) = (&counter, task::thread_id());
                    for _ in 0..20_000 {
                        let _guard = counter.0.lock(me).unwrap();
                        // SAFETY: the lock is held.
                        unsafe { *counter.1.get() += 1 };
                    }
                });
            }
        });
        assert_eq!(counter.1.into_inner(), 80_000);
        assert_eq!(counter.0.0.into_inner(), 0);
    }

    #[test]
    fn a_dead_owners_lock_is_taken_over_and_a_living_ones_is_not() {
        let lock = SharedLock::default();
        let dead = std::thread::spawn(task::thread_id).join().unwrap();
        std::mem::forget(lock.lock(dead).unwrap());
        let guard = lock.lock(task::thread_id()).unwrap();
        assert_eq!(lock.lock(task::thread_id()).unwrap_err(), Reentered);
        std::thread::scope(|s| {
            let waiter = s.spawn(|| drop(lock.lock(task::thread_id()).unwrap()));
            std::thread::sleep(DOUBT * 3);
            assert!(!waiter.is_finished());
            drop(guard);
        });
    }
}
