//! Futexes on words that processes share.
//!
//! Any thread. All waits here may return early; the caller re-reads its word in a loop.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// How a [`sleep`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Woken, or the word was not what was expected: look again.
    Woken,
    /// The time ran out.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps while `*word == expected`, until woken, interrupted, or `timeout` (for ever when None) has
/// passed.
pub fn sleep(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Sleep {
    let spec = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: t.subsec_nanos().into(),
    });
    let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let (word, op) = (word.as_ptr(), libc::FUTEX_WAIT);
    // SAFETY: `word` and `spec` are valid for the call; the kernel only reads the word.
    if unsafe { libc::syscall(libc::SYS_futex, word, op, expected, spec) } == 0 {
        return Sleep::Woken;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Sleep::TimedOut,
        Some(libc::EINTR) => Sleep::Interrupted,
        _ => Sleep::Woken,
    }
}

/// As [`sleep`], for those whom signals do not concern. Returns false only when the time ran out.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    sleep(word, expected, timeout) != Sleep::TimedOut
}

/// Wakes up to `count` sleepers on `word`, in any process that maps it.
pub fn wake(word: &AtomicU32, count: u32) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: FUTEX_WAKE uses the address as a key and does not write to it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_wait_ends_by_value_by_time_or_by_wake() {
        let word = AtomicU32::new(1);
        assert!(wait(&word, 0, None));
        assert!(!wait(&word, 1, Some(Duration::from_millis(5))));
        std::thread::scope(|s| {
            s.spawn(|| {
                word.store(2, Ordering::SeqCst);
                wake(&word, 1);
            });
            while word.load(Ordering::SeqCst) == 1 {
                wait(&word, 1, Some(Duration::from_secs(10)));
            }
        });
    }
}
