//! Error numbers: what a call fails with, here, on the wire between nodes, and at the program.
//!
//! They are Linux's, as both ends of every conversation are.

use core::fmt;

/// An error number, never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

impl Errno {
    /// The caller may not do that.
    pub const EPERM: Errno = Errno(1);
    /// No such name.
    pub const ENOENT: Errno = Errno(2);
    /// No such process, channel, connection or blocked thread; or the server died meanwhile.
    pub const ESRCH: Errno = Errno(3);
    /// The call was interrupted.
    pub const EINTR: Errno = Errno(4);
    /// A message was taken back for its client, which knows why: its time was up, or a signal came. No
    /// server says this (Linux's ERESTART, which programs never see).
    pub const TAKEN_BACK: Errno = Errno(85);
    /// A table or a queue is full for now.
    pub const EAGAIN: Errno = Errno(11);
    /// The other side's memory could not be read or written.
    pub const EFAULT: Errno = Errno(14);
    /// An argument is out of range.
    pub const EINVAL: Errno = Errno(22);
    /// A name or a message is too long.
    pub const EMSGSIZE: Errno = Errno(90);
    /// A link was named that this node does not have.
    pub const ENETUNREACH: Errno = Errno(101);
    /// Time ran out.
    pub const ETIMEDOUT: Errno = Errno(110);
    /// The node does not answer.
    pub const EHOSTUNREACH: Errno = Errno(113);
    /// A key is not the one that was pinned.
    pub const EKEYREJECTED: Errno = Errno(129);
    /// Bytes that the protocol does not allow.
    pub const EPROTO: Errno = Errno(71);

    /// The error of that number; what is not a positive error number becomes `EPROTO`.
    pub fn new(number: i32) -> Errno {
        if (1..4096).contains(&number) {
            Errno(number)
        } else {
            Errno::EPROTO
        }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Errno::EPERM => "EPERM",
            Errno::ENOENT => "ENOENT",
            Errno::ESRCH => "ESRCH",
            Errno::EINTR => "EINTR",
            Errno::TAKEN_BACK => "taken back",
            Errno::EAGAIN => "EAGAIN",
            Errno::EFAULT => "EFAULT",
            Errno::EINVAL => "EINVAL",
            Errno::EMSGSIZE => "EMSGSIZE",
            Errno::ENETUNREACH => "ENETUNREACH",
            Errno::ETIMEDOUT => "ETIMEDOUT",
            Errno::EHOSTUNREACH => "EHOSTUNREACH",
            Errno::EKEYREJECTED => "EKEYREJECTED",
            Errno::EPROTO => "EPROTO",
            Errno(number) => return write!(f, "errno {number}"),
        };
        f.write_str(name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Errno {}
