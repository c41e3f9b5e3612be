//! A message that has been received and waits for its reply.

use std::io::{IoSlice, IoSliceMut};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::info::{ClientInfo, MsgInfo};

/// A received message. Its sender waits until it is replied to. One that is dropped instead
/// ends its sender's call with ECANCELED.
#[derive(Debug)]
pub struct Received(());

impl Received {
    /// `MsgInfo`.
    #[must_use]
    pub fn info(&self) -> MsgInfo {
        MsgInfo::default()
    }

    /// `ConnectClientInfo`: who sent it.
    #[must_use]
    pub fn client(&self) -> ClientInfo {
        ClientInfo::default()
    }

    /// Bytes of it that the receive put into its buffers.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Whether the receive put nothing into its buffers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its rcvid, which an UNBLOCK pulse names: above 0.
    #[must_use]
    pub fn rcvid(&self) -> i32 {
        0
    }

    /// Turns it into a number for [`crate::handle`]'s calls, to be replied to from anywhere.
    #[must_use]
    pub fn into_rcvid(self) -> i32 {
        0
    }

    /// `MsgRead`: copies the message's bytes from `offset` on; how many, less than asked for at the message's end.
    ///
    /// # Errors
    /// ESRCH when the sender has gone or given up, EFAULT when its memory cannot be read.
    pub fn read(&self, offset: usize, buf: &mut [u8]) -> Result<usize> {
        self.read_v(offset, &mut [IoSliceMut::new(buf)])
    }

    /// `MsgReadv`.
    ///
    /// # Errors
    /// As [`Received::read`].
    pub fn read_v(&self, offset: usize, parts: &mut [IoSliceMut<'_>]) -> Result<usize> {
        let _ = (offset, parts);
        Err(Error::NO_SYS)
    }

    /// `MsgWrite`: writes into the sender's reply buffer at `offset`; how many bytes, less than given at the buffer's
    /// end.
    ///
    /// # Errors
    /// As [`Received::read`].
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<usize> {
        self.write_v(offset, &[IoSlice::new(bytes)])
    }

    /// `MsgWritev`.
    ///
    /// # Errors
    /// As [`Received::read`].
    pub fn write_v(&self, offset: usize, parts: &[IoSlice<'_>]) -> Result<usize> {
        let _ = (offset, parts);
        Err(Error::NO_SYS)
    }

    /// `MsgReply`: ends the sender's call with `status` and, at the beginning of its reply buffer, as many of `bytes` as fit.
    ///
    /// # Errors
    /// ESRCH when the sender has gone or given up. EFAULT when its memory cannot be written; the
    /// sender's call has then ended with EFAULT too.
    pub fn reply(self, status: i64, bytes: &[u8]) -> Result<()> {
        self.reply_v(status, &[IoSlice::new(bytes)])
    }

    /// `MsgReplyv`.
    ///
    /// # Errors
    /// As [`Received::reply`].
    pub fn reply_v(self, status: i64, parts: &[IoSlice<'_>]) -> Result<()> {
        let _ = (status, parts);
        Err(Error::NO_SYS)
    }

    /// `MsgError`: ends the sender's call with an error.
    ///
    /// # Errors
    /// ESRCH when the sender has gone or given up.
    pub fn error(self, error: Error) -> Result<()> {
        let _ = error;
        Err(Error::NO_SYS)
    }

    /// `MsgDeliverEvent`, to the sender's process; may be called again after the reply by
    /// [`crate::handle::msg_deliver_event`].
    ///
    /// # Errors
    /// ESRCH when the client has gone, EAGAIN when it has too many not taken yet.
    pub fn deliver_event(&self, event: &Event) -> Result<()> {
        let _ = event;
        Err(Error::NO_SYS)
    }
}
