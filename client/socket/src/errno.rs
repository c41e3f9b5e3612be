//! Linux's error numbers.

/// A positive `errno`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

/// What every call here returns.
pub type Result<T> = std::result::Result<T, Errno>;

impl Errno {
    /// Would have to wait.
    pub const AGAIN: Self = Self(libc::EAGAIN);
    /// A signal handler ran.
    pub const INTERRUPTED: Self = Self(libc::EINTR);
    /// Nobody will read it.
    pub const PIPE: Self = Self(libc::EPIPE);
    /// Not possible with these arguments or now.
    pub const INVALID: Self = Self(libc::EINVAL);
    /// The connection is lost, or io-net is.
    pub const RESET: Self = Self(libc::ECONNRESET);
    /// Not connected.
    pub const NOT_CONNECTED: Self = Self(libc::ENOTCONN);
    /// Shared memory holds what cannot be.
    pub const CORRUPT: Self = Self(libc::EIO);
    /// io-net does not answer.
    pub const NET_DOWN: Self = Self(libc::ENETDOWN);

    /// 0 is success, anything else the error.
    pub(crate) fn check(errno: u32) -> Result<()> {
        if errno == 0 {
            Ok(())
        } else {
            Err(Self(errno.cast_signed()))
        }
    }
}

impl From<std::io::Error> for Errno {
    fn from(e: std::io::Error) -> Self {
        Self(e.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl From<io_net_ring::Corrupt> for Errno {
    fn from(_: io_net_ring::Corrupt) -> Self {
        Self::CORRUPT
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Errno {}
