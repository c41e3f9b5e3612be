//! Why something could not be done, in words for the operator and a number for programs.

use std::fmt;
use std::io;

/// Errnos of Linux that modules answer with.
pub mod errno {
    /// Operation not permitted.
    pub const EPERM: i32 = 1;
    /// No such file, directory or interface.
    pub const ENOENT: i32 = 2;
    /// Input or output error.
    pub const EIO: i32 = 5;
    /// No such device or address: it has gone.
    pub const ENXIO: i32 = 6;
    /// Try again.
    pub const EAGAIN: i32 = 11;
    /// Out of memory or of a bounded table.
    pub const ENOMEM: i32 = 12;
    /// Busy.
    pub const EBUSY: i32 = 16;
    /// It exists already.
    pub const EEXIST: i32 = 17;
    /// No such device.
    pub const ENODEV: i32 = 19;
    /// Invalid argument.
    pub const EINVAL: i32 = 22;
    /// Message too long.
    pub const EMSGSIZE: i32 = 90;
    /// The protocol has no such option.
    pub const ENOPROTOOPT: i32 = 92;
    /// Not supported.
    pub const EOPNOTSUPP: i32 = 95;
    /// No such address family.
    pub const EAFNOSUPPORT: i32 = 97;
    /// The network is down.
    pub const ENETDOWN: i32 = 100;
    /// No room in a queue.
    pub const ENOBUFS: i32 = 105;
}

/// An errno, and a sentence that says what failed, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A positive errno.
    pub errno: i32,
    /// One line, no full stop needed.
    pub text: String,
}

impl Failure {
    /// A failure in words.
    pub fn new(errno: i32, text: impl Into<String>) -> Self {
        Failure {
            errno,
            text: text.into(),
        }
    }

    /// A failure of the system, with what was being done.
    pub fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        Failure::new(
            error.raw_os_error().unwrap_or(errno::EIO),
            format!("{doing}: {error}"),
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
