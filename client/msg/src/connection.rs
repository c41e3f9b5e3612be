//! A connection: what messages and pulses are sent over.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use io_net_os::{fork, task};
use io_net_rendezvous::pulse::Pulse;

use crate::error::{Error, Result};
use crate::process::Process;
use crate::session::Session;
use crate::thread;

/// A connection of this process to a channel, detached when dropped. Any number of threads may send
/// over it at once.
#[derive(Debug)]
pub struct Connection {
    link: Arc<Link>,
    forks: u32,
}

/// What a coid stands for.
#[derive(Debug)]
pub(crate) struct Link {
    coid: i32,
    session: Arc<Session>,
    flags: AtomicU32,
}

/// How a message was replied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the server gave as `status`.
    pub status: i64,
    /// Bytes of the server's reply in the reply buffers. (QNX does not tell.) What MsgWrite put
    /// there does not count.
    pub len: usize,
}

impl Connection {
    /// `ConnectAttach` to channel `chid` of process `pid` (0: this one) on node `nd` (0: this one).
    /// `index` is the lowest coid wanted, perhaps with [`crate::flags::SIDE_CHANNEL`].
    ///
    /// # Errors
    /// ESRCH when there is no such channel, EREMOTE for another node without Qnet, EAGAIN when
    /// either side has too many connections, ETIMEDOUT when the server does not answer.
    pub fn attach(nd: u32, pid: i32, chid: i32, index: u32, flags: u32) -> Result<Self> {
        let link = Link::attach(nd, pid, chid, index, flags)?;
        let forks = fork::count();
        Ok(Self { link, forks })
    }

    /// Its number in this process.
    #[must_use]
    pub fn coid(&self) -> i32 {
        self.link.coid
    }

    /// Gives it to the table of handles: it lives until [`crate::handle::connect_detach`].
    #[must_use]
    pub fn into_coid(mut self) -> i32 {
        // Nothing is detached with a fork count that cannot be.
        self.forks = u32::MAX;
        self.link.coid
    }

    /// `MsgSend`: sends `message` and waits for the reply.
    ///
    /// # Errors
    /// The server's error; ESRCH when the server has gone, before or after it received the
    /// message; ETIMEDOUT ([`crate::timeout`]); EINTR; EMSGSIZE; EBADF in a child of fork.
    #[inline]
    pub fn send(&self, message: &[u8], reply: &mut [u8]) -> Result<Reply> {
        self.send_v(&[IoSlice::new(message)], &mut [IoSliceMut::new(reply)])
    }

    /// `MsgSendv`.
    ///
    /// # Errors
    /// As [`Connection::send`].
    #[inline]
    pub fn send_v(&self, message: &[IoSlice<'_>], reply: &mut [IoSliceMut<'_>]) -> Result<Reply> {
        self.link.send(message, reply)
    }

    /// `MsgSendPulse`. Priority -1: the calling thread's. Codes below 0 are the library's.
    ///
    /// # Errors
    /// ESRCH when the channel has gone, EAGAIN when too many are not received yet, EINVAL for a
    /// code below 0 or a priority beyond 255.
    pub fn pulse(&self, priority: i32, code: i8, value: u64) -> Result<()> {
        self.link.pulse(priority, code, value)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.forks == fork::count()
            && let Some(process) = Process::peek()
        {
            process.remove_connection(self.link.coid);
        }
    }
}

impl Link {
    /// Attaches, and puts the connection into the table.
    pub(crate) fn attach(
        nd: u32,
        pid: i32,
        chid: i32,
        index: u32,
        flags: u32,
    ) -> Result<Arc<Self>> {
        let lowest = i32::try_from(index).map_err(|_| Error::INVALID)?;
        let pid = match (nd, pid) {
            (0, 0) => task::process_id().cast_signed(),
            _ => pid,
        };
        let session = Session::attach((nd, pid, chid))?;
        Process::get().add_connection(lowest, |coid| {
            Arc::new(Self {
                coid,
                session,
                flags: AtomicU32::new(flags),
            })
        })
    }

    #[inline]
    pub(crate) fn send(
        &self,
        message: &[IoSlice<'_>],
        reply: &mut [IoSliceMut<'_>],
    ) -> Result<Reply> {
        self.session.send(self.coid, message, reply)
    }

    pub(crate) fn pulse(&self, priority: i32, code: i8, value: u64) -> Result<()> {
        let priority = match priority {
            -1 => thread::priority() as u8,
            other => u8::try_from(other).map_err(|_| Error::INVALID)?,
        };
        if code < 0 {
            return Err(Error::INVALID);
        }
        self.session.pulse(Pulse {
            code,
            priority,
            value,
            coid: self.coid,
        })
    }

    pub(crate) fn coid(&self) -> i32 {
        self.coid
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Sets the bits of `mask` to `bits`; the flags before.
    pub(crate) fn set_flags(&self, mask: u32, bits: u32) -> u32 {
        let set = |flags: u32| Some(flags & !mask | bits & mask);
        let before = self
            .flags
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, set);
        before.unwrap_or_else(|flags| flags)
    }
}
