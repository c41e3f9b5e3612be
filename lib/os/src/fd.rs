//! File descriptors as numbers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Moves `fd` to the lowest free number from `min` on, close-on-exec; leaves it where it is if that
/// is beyond the process's limit. Keeps a library's descriptors out of the range that its program
/// counts on.
#[must_use]
pub fn move_above(fd: OwnedFd, min: i32) -> OwnedFd {
    // SAFETY: F_DUPFD_CLOEXEC touches no memory.
    let high = unsafe {
        libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, min) as i32
    };
    if high < 0 {
        return fd;
    }
    // SAFETY: the kernel has just returned it, and nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(high) }
}

/// Sets or clears O_NONBLOCK of the open file description.
///
/// # Errors
/// EBADF.
pub fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    let raw = fd.as_raw_fd();
    // SAFETY: F_GETFL and F_SETFL touch no memory.
    let rc = unsafe {
        match libc::syscall(libc::SYS_fcntl, raw, libc::F_GETFL) as i32 {
            flags if flags < 0 => -1,
            flags => {
                let off = flags & !libc::O_NONBLOCK;
                let flags = if on { off | libc::O_NONBLOCK } else { off };
                libc::syscall(libc::SYS_fcntl, raw, libc::F_SETFL, flags)
            }
        }
    };
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Whether O_NONBLOCK is set; false for a closed fd.
#[must_use]
pub fn is_nonblocking(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: F_GETFL touches no memory.
    let flags = unsafe { libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_GETFL) } as i32;
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

/// Raises the soft limit on open descriptors to the hard one, and returns it.
///
/// # Errors
/// Never in practice: a process may always do so.
pub fn raise_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for writing, then for reading.
    let failed = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 || {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0
        }
    };
    match failed {
        true => Err(io::Error::last_os_error()),
        false => Ok(limit.rlim_cur),
    }
}

/// The most descriptors that this process may have open: its soft limit.
///
/// # Errors
/// Never in practice.
pub fn limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for writing.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => Ok(limit.rlim_cur),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn moved_up_or_left_in_place() {
        let fd = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let fd = move_above(fd, 200);
        assert!(fd.as_raw_fd() >= 200);
        let at = fd.as_raw_fd();
        set_nonblocking(fd.as_fd(), true).unwrap();
        assert!(is_nonblocking(fd.as_fd()));
        set_nonblocking(fd.as_fd(), false).unwrap();
        assert!(!is_nonblocking(fd.as_fd()));
        assert_eq!(move_above(fd, i32::MAX).as_raw_fd(), at);
        assert_eq!(raise_limit().unwrap(), limit().unwrap());
    }
}
