//! A connection: what messages and pulses are sent over.

use std::io::{IoSlice, IoSliceMut};

use crate::error::{Error, Result};

/// A connection of this process to a channel, detached when dropped. Any number of threads may send over it at once.
#[derive(Debug)]
pub struct Connection(());

/// How a message was replied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the server gave as `status`.
    pub status: i64,
    /// Bytes of the server's reply in the reply buffers. (QNX does not tell.) What MsgWrite put there does not count.
    pub len: usize,
}

impl Connection {
    /// `ConnectAttach` to channel `chid` of process `pid` (0: this one) on node `nd` (0: this one). `index` is the lowest
    /// coid wanted, perhaps with [`crate::flags::SIDE_CHANNEL`].
    ///
    /// # Errors
    /// ESRCH when there is no such channel, EREMOTE for another node without Qnet, EAGAIN when
    /// either side has too many connections.
    pub fn attach(nd: u32, pid: i32, chid: i32, index: u32, flags: u32) -> Result<Self> {
        let _ = (nd, pid, chid, index, flags);
        Err(Error::NO_SYS)
    }

    /// Its number in this process.
    #[must_use]
    pub fn coid(&self) -> i32 {
        0
    }

    /// Gives it to the table of handles: it lives until [`crate::handle::connect_detach`].
    #[must_use]
    pub fn into_coid(self) -> i32 {
        0
    }

    /// `MsgSend`: sends `message` and waits for the reply.
    ///
    /// # Errors
    /// The server's error; ESRCH when the server has gone, before or after it received the
    /// message; ETIMEDOUT ([`crate::timeout`]); EINTR; EAGAIN when too many threads send at once;
    /// EBADF in a child of fork.
    pub fn send(&self, message: &[u8], reply: &mut [u8]) -> Result<Reply> {
        self.send_v(&[IoSlice::new(message)], &mut [IoSliceMut::new(reply)])
    }

    /// `MsgSendv`.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_v(&self, message: &[IoSlice<'_>], reply: &mut [IoSliceMut<'_>]) -> Result<Reply> {
        let _ = (message, reply);
        Err(Error::NO_SYS)
    }

    /// `MsgSendPulse`. Priority -1: the calling thread's. Codes below 0 are the library's.
    ///
    /// # Errors
    /// ESRCH when the channel has gone, EAGAIN when too many are not received yet, EINVAL for a
    /// code below 0 or a priority beyond 255.
    pub fn pulse(&self, priority: i32, code: i8, value: u64) -> Result<()> {
        let _ = (priority, code, value);
        Err(Error::NO_SYS)
    }
}
