//! eventfd: a wake-up that counts, cheap to raise from any thread or process that holds it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A non-blocking, close-on-exec eventfd.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new eventfd with nothing raised.
    ///
    /// # Errors
    /// The kernel's error: out of fds.
    pub fn new() -> io::Result<Self> {
        let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
        // SAFETY: a plain call that touches no memory.
        let fd = unsafe { libc::eventfd(0, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this fd, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Raises it: whoever polls it sees it readable. One that is full already stays raised.
    pub fn raise(&self) {
        raise(self.as_fd());
    }

    /// Lowers it and says whether it was raised.
    pub fn lower(&self) -> bool {
        lower(self.as_fd())
    }

    /// Gives the fd away.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

/// An eventfd received from another process. Nothing checks that it is one.
impl From<OwnedFd> for EventFd {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Raises an eventfd that somebody else owns.
pub fn raise(fd: BorrowedFd<'_>) {
    let one = 1_u64;
    // SAFETY: writes the 8 bytes of `one`. A failure (EAGAIN) means that it is raised already.
    unsafe {
        libc::syscall(
            libc::SYS_write,
            fd.as_raw_fd(),
            &raw const one,
            size_of::<u64>(),
        )
    };
}

/// Lowers an eventfd that somebody else owns, and says whether it was raised.
pub fn lower(fd: BorrowedFd<'_>) -> bool {
    let mut count = 0_u64;
    let (raw, to) = (fd.as_raw_fd(), &raw mut count);
    // SAFETY: reads at most 8 bytes into `count`.
    let n = unsafe { libc::syscall(libc::SYS_read, raw, to, size_of::<u64>()) };
    n == 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raised_until_lowered() {
        let e = EventFd::new().unwrap();
        assert!(!e.lower());
        e.raise();
        raise(e.as_fd());
        assert!(e.lower());
        assert!(!e.lower());
    }
}
