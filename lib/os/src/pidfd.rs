//! Processes by descriptor: what it names stays the same process, whoever gets its number later.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A process.
#[derive(Debug)]
pub struct Pidfd(OwnedFd);

impl Pidfd {
    /// Process `pid`.
    ///
    /// # Errors
    /// ESRCH where there is none, EINVAL for a number that none can have, EMFILE.
    pub fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: no memory argument.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match i32::try_from(fd) {
            // SAFETY: the kernel gave this descriptor, which nobody else owns.
            Ok(fd) if fd >= 0 => Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) })),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Sends it signal `signo`; 0: only looks whether it lives.
    ///
    /// # Errors
    /// ESRCH when it has ended, EPERM, EINVAL.
    pub fn signal(&self, signo: i32) -> io::Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: without a siginfo_t the kernel reads no memory.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signo,
                none,
                0,
            )
        };
        match rc {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_there_until_it_ends() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = Pidfd::open(child.id().cast_signed()).unwrap();
        process.signal(0).unwrap();
        process.signal(libc::SIGTERM).unwrap();
        child.wait().unwrap();
        let ended = process.signal(0).unwrap_err();
        assert_eq!(ended.raw_os_error(), Some(libc::ESRCH));
        assert!(Pidfd::open(-1).is_err());
    }
}
