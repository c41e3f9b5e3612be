//! A message that has been received and waits for its reply.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

use io_net_os::unix;
use io_net_rendezvous::layout::Slot;
use io_net_rendezvous::server::{Message, ServerEnd};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::info::{ClientInfo, Groups, MI_UNBLOCK_REQ, MsgInfo};
use crate::process::{Process, SCOID_FIRST, SCOIDS_MAX};
use crate::{deliver, transfer};

/// A received message. Its sender waits until it is replied to. One that is dropped instead ends
/// its sender's call with ECANCELED.
#[derive(Debug)]
pub struct Received {
    end: Arc<ServerEnd>,
    message: Message,
    /// Nothing is left to do when this is dropped.
    done: bool,
}

impl Received {
    #[inline]
    pub(crate) fn new(end: Arc<ServerEnd>, message: Message) -> Self {
        Self {
            end,
            message,
            done: false,
        }
    }

    /// `MsgInfo`.
    #[must_use]
    pub fn info(&self) -> MsgInfo {
        info(&self.end, &self.message)
    }

    /// `ConnectClientInfo`: who sent it.
    #[must_use]
    pub fn client(&self) -> ClientInfo {
        client(&self.end)
    }

    /// Bytes of it that the receive put into its buffers.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.message.received as usize
    }

    /// Whether the receive put nothing into its buffers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its rcvid, which an UNBLOCK pulse names: above 0.
    #[must_use]
    pub fn rcvid(&self) -> i32 {
        rcvid(&self.end, &self.message)
    }

    /// Turns it into a number for [`crate::handle`]'s calls, to be replied to from anywhere.
    #[must_use]
    pub fn into_rcvid(mut self) -> i32 {
        self.done = true;
        let records = self.end.records();
        records.set_received(&self.message, self.message.received);
        self.rcvid()
    }

    /// `MsgRead`: copies the message's bytes from `offset` on; how many, less than asked for at the
    /// message's end.
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
        transfer::read(&self.end, &self.message, offset, parts)
    }

    /// `MsgWrite`: writes into the sender's reply buffer at `offset`; how many bytes, less than
    /// given at the buffer's end.
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
        transfer::write(&self.end, &self.message, offset, parts)
    }

    /// `MsgReply`: ends the sender's call with `status` and, at the beginning of its reply buffer,
    /// as many of `bytes` as fit.
    ///
    /// # Errors
    /// ESRCH when the sender has gone or given up. EFAULT when its memory cannot be written; the
    /// sender's call has then ended with EFAULT too.
    #[inline]
    pub fn reply(self, status: i64, bytes: &[u8]) -> Result<()> {
        self.reply_v(status, &[IoSlice::new(bytes)])
    }

    /// `MsgReplyv`.
    ///
    /// # Errors
    /// As [`Received::reply`].
    #[inline]
    pub fn reply_v(mut self, status: i64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.done = true;
        transfer::reply(&self.end, &self.message, status, 0, parts)
    }

    /// `MsgError`: ends the sender's call with an error.
    ///
    /// # Errors
    /// ESRCH when the sender has gone or given up.
    pub fn error(mut self, error: Error) -> Result<()> {
        self.done = true;
        transfer::reply(&self.end, &self.message, 0, error.errno(), &[])
    }

    /// `MsgDeliverEvent`, to the sender's process; may be called again after the reply by
    /// [`crate::handle::msg_deliver_event`].
    ///
    /// # Errors
    /// ESRCH when the client has gone, EAGAIN when it has too many not taken yet.
    pub fn deliver_event(&self, event: &Event) -> Result<()> {
        deliver::send(&self.end, self.message.tid, event)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if !self.done {
            // The sender may have gone.
            let error = Error::CANCELED.errno();
            let _ = transfer::reply(&self.end, &self.message, 0, error, &[]);
        }
    }
}

/// `MsgInfo`'s answer.
pub(crate) fn info(end: &ServerEnd, message: &Message) -> MsgInfo {
    let identity = end.identity();
    let unblock = end.records().unblock_asked(message.slot);
    MsgInfo {
        nd: identity.nd,
        srcnd: identity.srcnd,
        pid: identity.pid,
        tid: message.tid.cast_signed(),
        chid: end.target().2,
        scoid: end.scoid(),
        coid: message.coid,
        msglen: message.received,
        srcmsglen: message.len,
        dstmsglen: message.room,
        priority: (message.priority & 0xff).cast_signed(),
        flags: if unblock { MI_UNBLOCK_REQ } else { 0 },
    }
}

/// `ConnectClientInfo`'s answer.
pub(crate) fn client(end: &ServerEnd) -> ClientInfo {
    let identity = end.identity();
    let sid = match identity.nd {
        0 => io_net_os::task::session_id(identity.pid),
        _ => None,
    };
    // A process that speaks for another has groups of its own.
    let itself = end.doorbell().filter(|doorbell| {
        let peer = unix::peer_credentials(*doorbell);
        peer.is_ok_and(|peer| (peer.pid, peer.uid) == (identity.pid, identity.uid))
    });
    let groups = itself.and_then(|doorbell| unix::peer_groups(doorbell).ok());
    ClientInfo {
        nd: identity.nd,
        pid: identity.pid,
        sid: sid.unwrap_or(-1),
        uid: identity.uid,
        gid: identity.gid,
        groups: Groups::new(&groups.unwrap_or_default()),
    }
}

// ---- The numbers of received messages ----

// From the top: 0, the generation's low 12 bits, 6 bits of slot, 13 bits of scoid.
const SLOT_SHIFT: u32 = SCOIDS_MAX.trailing_zeros();
const GENERATION_SHIFT: u32 = SLOT_SHIFT + 6;
const GENERATION_MASK: u32 = (1 << (31 - GENERATION_SHIFT)) - 1;

/// A message's rcvid: above 0, and another one for the next 4095 messages in the same slot.
pub(crate) fn rcvid(end: &ServerEnd, message: &Message) -> i32 {
    let scoid = end.scoid().wrapping_sub(SCOID_FIRST).cast_unsigned() % SCOIDS_MAX as u32;
    let generation = message.generation.number() & GENERATION_MASK;
    let word = generation << GENERATION_SHIFT | (message.slot.index() as u32) << SLOT_SHIFT | scoid;
    word.cast_signed()
}

/// The client that an rcvid names, whose message may have been replied to.
pub(crate) fn find_client(rcvid: i32) -> Result<Arc<ServerEnd>> {
    let scoid = rcvid.cast_unsigned() % SCOIDS_MAX as u32;
    let scoid = SCOID_FIRST.wrapping_add(scoid.cast_signed());
    let client = Process::get().client(scoid).filter(|_| rcvid > 0);
    client.ok_or(Error::SRCH)
}

/// The client that an rcvid names, and its thread that sent that message; or, where it was replied
/// to and others of its threads have sent since, perhaps one of those.
pub(crate) fn find_sender(rcvid: i32) -> Result<(Arc<ServerEnd>, u32)> {
    let end = find_client(rcvid)?;
    let tid = end.records().last_sender(slot_of(rcvid));
    Ok((end, tid))
}

fn slot_of(rcvid: i32) -> Slot {
    Slot::new((rcvid >> SLOT_SHIFT) as usize)
}

/// The message that an rcvid names.
pub(crate) fn find(rcvid: i32) -> Result<(Arc<ServerEnd>, Message)> {
    let end = find_client(rcvid)?;
    let message = end.records().get(slot_of(rcvid)).ok_or(Error::SRCH)?;
    match self::rcvid(&end, &message) == rcvid {
        true => Ok((end, message)),
        false => Err(Error::SRCH),
    }
}
