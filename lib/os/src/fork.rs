//! What belongs to one process only: descriptors that a child of fork must not keep open, and state
//! that it must not share.
//!
//! A child made by fork(3) closes the descriptors at once and makes its state anew. One made by
//! vfork or posix_spawn is nothing but a prelude to exec, over which these descriptors close.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Descriptors from this number on are not closed in a child.
const TRACKED: usize = 1 << 20;

static FORKS: AtomicU32 = AtomicU32::new(0);
static PRIVATE: [AtomicU64; TRACKED / 64] = [const { AtomicU64::new(0) }; TRACKED / 64];
/// Words of `PRIVATE` that have been used, so that fork looks at no more.
static USED: AtomicUsize = AtomicUsize::new(0);
static HANDLER: AtomicBool = AtomicBool::new(false);

/// A number that is another one in each child of fork than in its parent.
#[inline]
#[must_use]
pub fn count() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// In the child, before fork returns there: it has one thread.
extern "C" fn child() {
    let used = USED.load(Ordering::Relaxed);
    for (i, word) in PRIVATE.iter().enumerate().take(used) {
        let mut bits = word.load(Ordering::Relaxed);
        while bits != 0 {
            let fd = i * 64 + bits.trailing_zeros() as usize;
            // SAFETY: a `PrivateFd` of the parent's time owns it, and does nothing with it any more
            // once the count below has changed.
            unsafe { libc::syscall(libc::SYS_close, fd) };
            bits &= bits - 1;
        }
        if word.load(Ordering::Relaxed) != 0 {
            word.store(0, Ordering::Relaxed);
        }
    }
    FORKS.fetch_add(1, Ordering::Relaxed);
}

fn watch_forks() {
    // A thread may fork while another is in here. So this is not a Once, for which the child would
    // wait for ever; and the word is set last, or the child would believe in a handler that it has
    // not. Two threads may both put the handler in: the second run of it finds nothing to close.
    if !HANDLER.load(Ordering::Acquire) {
        // SAFETY: the handler is a function of this library. Where the library is unloaded, glibc
        // takes the handler out.
        unsafe { libc::pthread_atfork(None, None, Some(child)) };
        HANDLER.store(true, Ordering::Release);
    }
}

/// A descriptor that children of fork do not inherit. In a child it is closed, and this object
/// stands for nothing.
#[derive(Debug)]
pub struct PrivateFd {
    fd: Option<OwnedFd>,
    forks: u32,
}

impl PrivateFd {
    /// Makes `fd` private.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        watch_forks();
        mark(fd.as_raw_fd(), true);
        Self {
            fd: Some(fd),
            forks: count(),
        }
    }

    /// The descriptor; None in a child.
    #[must_use]
    pub fn get(&self) -> Option<BorrowedFd<'_>> {
        let fd = self.fd.as_ref().filter(|_| self.forks == count());
        fd.map(AsFd::as_fd)
    }
}

impl Drop for PrivateFd {
    fn drop(&mut self) {
        let Some(fd) = self.fd.take() else { return };
        if self.forks == count() {
            mark(fd.as_raw_fd(), false);
        } else {
            // Its number is closed here, or somebody else's by now.
            std::mem::forget(fd);
        }
    }
}

fn mark(fd: RawFd, private: bool) {
    let at = usize::try_from(fd).unwrap_or(TRACKED);
    let Some(word) = PRIVATE.get(at / 64) else {
        return;
    };
    let bit = 1 << (at % 64);
    USED.fetch_max(at / 64 + 1, Ordering::Relaxed);
    match private {
        true => word.fetch_or(bit, Ordering::Relaxed),
        false => word.fetch_and(!bit, Ordering::Relaxed),
    };
}

/// State that each process makes for itself when it first asks. What a child's parent had stays
/// where it is in the child's memory, untouched: locks in it may be held by threads that the child
/// has not.
#[derive(Debug)]
pub struct PerProcess<T: Sync + 'static> {
    state: AtomicPtr<Made<T>>,
}

#[derive(Debug)]
struct Made<T> {
    forks: u32,
    value: T,
}

impl<T: Sync + 'static> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Sync + 'static> PerProcess<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: AtomicPtr::new(null_mut()),
        }
    }

    /// This process's value, made now if there is none. Two threads may make one each at the same
    /// time; one of the two is then dropped, and both get the other.
    pub fn get(&'static self, make: impl FnOnce() -> T) -> &'static T {
        match self.peek() {
            Some(value) => value,
            None => self.make(make()),
        }
    }

    /// This process's value, if it has been made.
    #[inline]
    pub fn peek(&'static self) -> Option<&'static T> {
        // SAFETY: null or from `Box::into_raw` in `make`, and never freed once stored.
        let made = unsafe { self.state.load(Ordering::Acquire).as_ref() }?;
        (made.forks == count()).then_some(&made.value)
    }

    #[cold]
    fn make(&'static self, value: T) -> &'static T {
        watch_forks();
        let forks = count();
        let new = Box::into_raw(Box::new(Made { forks, value }));
        let mut old = self.state.load(Ordering::Acquire);
        loop {
            // SAFETY: as in `peek`.
            if let Some(made) = unsafe { old.as_ref() }.filter(|made| made.forks == forks) {
                // SAFETY: `new` has not been stored, so this is its only pointer.
                drop(unsafe { Box::from_raw(new) });
                return &made.value;
            }
            match (self.state).compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: from `Box::into_raw`, and never freed from now on.
                Ok(_) => return unsafe { &(*new).value },
                Err(now) => old = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    static STATE: PerProcess<Mutex<u32>> = PerProcess::new();

    /// What `check` says in a child of fork. It must do little: other threads' locks stay locked
    /// there.
    fn in_a_child(check: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child runs `check` and ends.
        unsafe {
            match libc::fork() {
                0 => libc::_exit(if check() { 7 } else { 1 }),
                child => {
                    let mut status = 0;
                    assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7
                }
            }
        }
    }

    #[test]
    fn a_child_has_neither_the_descriptors_nor_the_state() {
        let (ours, theirs) = crate::unix::seqpacket_pair(true).unwrap();
        let ours = PrivateFd::new(ours);
        let _held = STATE.get(|| Mutex::new(5)).lock().unwrap();
        assert!(std::ptr::eq(
            STATE.peek().unwrap(),
            STATE.get(Mutex::default)
        ));
        let forks = count();
        assert!(in_a_child(|| {
            // Anything may get the descriptor's old number; dropping must not close that.
            let number = ours.fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
            // SAFETY: a plain call.
            let closed = unsafe { libc::fcntl(number, libc::F_GETFD) } == -1;
            let gone = ours.get().is_none() && STATE.peek().is_none();
            let anew = *STATE.get(|| Mutex::new(6)).lock().unwrap() == 6;
            closed && gone && anew && count() != forks
        }));
        assert!(ours.get().is_some());
        drop(ours);
        let mut buf = [0];
        let end = crate::unix::recv_fds(theirs.as_fd(), &mut buf, crate::unix::Wait::DontWait);
        assert_eq!(end.unwrap().len, 0, "closed, and no child holds it");
    }
}
