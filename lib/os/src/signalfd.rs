//! Signals as a descriptor, for a thread that waits on others anyway.
//!
//! [`Signals::new`] is called before any thread starts, since threads inherit what is blocked.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// SIGINT: Ctrl-C.
pub const INT: i32 = libc::SIGINT;
/// SIGTERM: end in order.
pub const TERM: i32 = libc::SIGTERM;

/// Signals that are blocked, and reported here instead.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    set: libc::sigset_t,
}

impl Signals {
    /// Blocks `signals` in the calling thread, and in those that it starts from now on.
    ///
    /// # Errors
    /// EINVAL for what is no signal, or the kernel's error.
    pub fn new(signals: &[i32]) -> io::Result<Signals> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset writes the whole set; it cannot fail.
        let mut set: libc::sigset_t = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        for &signal in signals {
            // SAFETY: `set` is an initialised set.
            if unsafe { libc::sigaddset(&raw mut set, signal) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        change(libc::SIG_BLOCK, &set)?;
        // SAFETY: `set` is an initialised set, only read.
        let fd =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this fd, and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Signals { fd, set })
    }

    /// Takes a signal that has come.
    pub fn take(&self) -> Option<i32> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: reads at most `size` bytes into `info`.
        let n = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        // SAFETY: a read that gave all bytes has initialised it.
        (n == size as isize).then(|| unsafe { info.assume_init() }.ssi_signo as i32)
    }

    /// Gives the signals their usual effect back, in the calling thread.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn unblock(&self) -> io::Result<()> {
        change(libc::SIG_UNBLOCK, &self.set)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn change(how: i32, set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `set` is an initialised set, only read; the old one is not asked for.
    match unsafe { libc::pthread_sigmask(how, set, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read() {
        std::thread::spawn(|| {
            let signals = Signals::new(&[libc::SIGUSR1]).unwrap();
            assert_eq!(signals.take(), None);
            // SAFETY: the signal is blocked in this thread, to which it goes.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
            assert_eq!(signals.take(), Some(libc::SIGUSR1));
            assert_eq!(signals.take(), None);
            signals.unblock().unwrap();
        })
        .join()
        .unwrap();
        assert!(Signals::new(&[-1]).is_err());
    }
}
