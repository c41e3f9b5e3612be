//! Sleeping on several futexes at once: futex_waitv(2).

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::clock;
use crate::futex::Sleep;

/// The most words that one sleep may watch.
pub const WORDS_MAX: usize = 128;

/// As [`crate::futex::sleep`], on all of `words` (at most [`WORDS_MAX`]; further ones are not
/// watched), each with the value that it is expected to have.
pub fn sleep(words: &[(&AtomicU32, u32)], timeout: Option<Duration>) -> Sleep {
    let waiters: Vec<libc::futex_waitv> = words.iter().take(WORDS_MAX).map(waiter).collect();
    // This call takes a point in time.
    let until = timeout.map(|t| {
        let at = Duration::from_nanos(clock::monotonic_ns()).saturating_add(t);
        libc::timespec {
            tv_sec: at.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: at.subsec_nanos().into(),
        }
    });
    let until = until.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let (at, count) = (waiters.as_ptr(), waiters.len());
    // SAFETY: the kernel reads `count` waiters, the words that they name, and `until`; all of them
    // outlive the call.
    let rc = unsafe {
        let clock = libc::CLOCK_MONOTONIC;
        libc::syscall(libc::SYS_futex_waitv, at, count, 0_usize, until, clock)
    };
    if rc >= 0 {
        return Sleep::Woken;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Sleep::TimedOut,
        Some(libc::EINTR) => Sleep::Interrupted,
        _ => Sleep::Woken,
    }
}

fn waiter(&(word, expected): &(&AtomicU32, u32)) -> libc::futex_waitv {
    // SAFETY: all-zero bytes are a valid futex_waitv; its reserved field must be zero.
    let mut waiter: libc::futex_waitv = unsafe { std::mem::zeroed() };
    waiter.val = expected.into();
    waiter.uaddr = word.as_ptr().expose_provenance() as u64;
    waiter.flags = libc::FUTEX2_SIZE_U32 as u32;
    waiter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::futex;
    use std::sync::atomic::Ordering;

    #[test]
    fn either_word_ends_the_sleep() {
        let words = [AtomicU32::new(1), AtomicU32::new(1)];
        let both = [(&words[0], 1), (&words[1], 1)];
        assert_eq!(
            sleep(&both, Some(Duration::from_millis(5))),
            Sleep::TimedOut
        );
        std::thread::scope(|s| {
            s.spawn(|| {
                words[1].store(2, Ordering::SeqCst);
                futex::wake(&words[1], 1);
            });
            while words[1].load(Ordering::SeqCst) == 1 {
                sleep(&both, Some(Duration::from_secs(10)));
            }
        });
        assert_eq!(sleep(&both, None), Sleep::Woken);
    }
}
