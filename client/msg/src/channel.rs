//! A channel: where messages and pulses are received.

use std::io::IoSliceMut;
use std::os::fd::RawFd;

use crate::error::{Error, Result};
use crate::pulse::Pulse;
use crate::received::Received;

/// A channel of this process, destroyed when dropped.
///
/// Any number of threads may receive on it; each message goes to one of them.
#[derive(Debug)]
pub struct Channel(());

/// What a receive brings.
#[derive(Debug)]
pub enum Incoming {
    /// A message; its sender waits for the reply.
    Message(Received),
    /// A pulse.
    Pulse(Pulse),
}

impl Channel {
    /// `ChannelCreate`. `flags` are [`crate::flags`]' `CHF_`.
    ///
    /// # Errors
    /// EINVAL for flags that there are not; EAGAIN, EMFILE, ENOMEM; EACCES where the directory of
    /// channels cannot be written.
    pub fn create(flags: u32) -> Result<Self> {
        let _ = flags;
        Err(Error::NO_SYS)
    }

    /// Its number in this process, from 1.
    #[must_use]
    pub fn chid(&self) -> i32 {
        0
    }

    /// Gives it to the table of handles: it lives until [`crate::handle::channel_destroy`].
    #[must_use]
    pub fn into_chid(self) -> i32 {
        0
    }

    /// `MsgReceive`: waits for a message or a pulse. The message's first bytes, as many as fit, are
    /// in `buf` ([`Received::len`]); the rest is there for [`Received::read`].
    ///
    /// # Errors
    /// ETIMEDOUT ([`crate::timeout`]), EINTR, ESRCH when the channel is destroyed meanwhile.
    pub fn receive(&self, buf: &mut [u8]) -> Result<Incoming> {
        self.receive_v(&mut [IoSliceMut::new(buf)])
    }

    /// `MsgReceivev`.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive_v(&self, parts: &mut [IoSliceMut<'_>]) -> Result<Incoming> {
        let _ = parts;
        Err(Error::NO_SYS)
    }

    /// What is there already, without waiting; None for nothing.
    ///
    /// # Errors
    /// ESRCH when the channel is destroyed.
    pub fn try_receive(&self, buf: &mut [u8]) -> Result<Option<Incoming>> {
        let _ = buf;
        Err(Error::NO_SYS)
    }

    /// `MsgReceivePulse`: waits for a pulse; messages stay queued.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive_pulse(&self) -> Result<Pulse> {
        Err(Error::NO_SYS)
    }

    /// A descriptor that is readable while [`Channel::try_receive`] may find something: for epoll,
    /// poll and select, level- or edge-triggered. Who is told by it receives with `try_receive` until None. It is made when
    /// first asked for and closed with the channel.
    ///
    /// # Errors
    /// EMFILE.
    pub fn fd(&self) -> Result<RawFd> {
        Err(Error::NO_SYS)
    }
}
