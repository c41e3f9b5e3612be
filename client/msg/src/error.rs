//! Errors: errnos, as QNX's calls return them.

/// A positive errno.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Error(pub i32);

/// What every call here returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// No such channel, process or message; or it died meanwhile.
    pub const SRCH: Self = Self(libc::ESRCH);
    /// No such connection.
    pub const BADF: Self = Self(libc::EBADF);
    /// No such channel of this process, or an argument that cannot be.
    pub const INVALID: Self = Self(libc::EINVAL);
    /// A signal handler ran.
    pub const INTERRUPTED: Self = Self(libc::EINTR);
    /// The time that [`crate::timeout`] set ran out.
    pub const TIMED_OUT: Self = Self(libc::ETIMEDOUT);
    /// No room for now: too many messages under way, or too many pulses not received yet.
    pub const AGAIN: Self = Self(libc::EAGAIN);
    /// The other side's memory, or what it says about it, cannot be used.
    pub const FAULT: Self = Self(libc::EFAULT);
    /// Not yours to do.
    pub const NOT_PERMITTED: Self = Self(libc::EPERM);
    /// The other node's part is to be done by Qnet, and there is none here. QNX: ENOREMOTE.
    pub const NO_REMOTE: Self = Self(libc::EREMOTE);
    /// The other side speaks another version of the protocol.
    pub const PROTOCOL: Self = Self(libc::EPROTO);
    /// The server let go of the message without a reply.
    pub const CANCELED: Self = Self(libc::ECANCELED);
    /// A server that fails a message with it has it sent again, from the beginning. No call fails with
    /// it.
    pub const RESTART: Self = Self(libc::ERESTART);
    /// Not supported.
    pub const NO_SYS: Self = Self(libc::ENOSYS);
    /// A name or a message too long.
    pub const TOO_BIG: Self = Self(libc::EMSGSIZE);

    /// The number.
    #[must_use]
    pub fn errno(self) -> i32 {
        self.0
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::from_raw_os_error(error.0)
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Error {}
