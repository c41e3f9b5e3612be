//! QNX's calls over numbers: chid, coid, scoid, rcvid. A thin layer over the typed objects, for C
//! and for programs written as QNX's are.
//!
//! All objects are in these tables, whoever made them: a [`crate::Channel`]'s chid and a
//! [`crate::Connection`]'s coid work here while it lives. A child of fork starts with empty tables.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::RawFd;
use std::sync::Arc;

use crate::channel::{self, Core};
use crate::connection::{Link, Reply};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::flags::COF_DEAD;
use crate::info::{ClientInfo, MsgInfo};
use crate::process::{Process, SCOID_FIRST};
use crate::pulse::Pulse;
use crate::{deliver, received, thread, transfer};

/// The channel with this number, for those who receive on it.
fn channel(chid: i32) -> Result<Arc<Core>> {
    Process::get().channel(chid).ok_or(Error::SRCH)
}

#[inline]
fn connection(coid: i32) -> Result<Arc<Link>> {
    Process::get().connection(coid).ok_or(Error::BADF)
}

/// What [`msg_receive`] brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message: its rcvid, above 0, and its info.
    Message(i32, MsgInfo),
    /// A pulse (rcvid 0).
    Pulse(Pulse),
}

/// `ChannelCreate`. The chid, from 1.
///
/// # Errors
/// As [`crate::Channel::create`].
pub fn channel_create(flags: u32) -> Result<i32> {
    Core::create(flags).map(|core| core.chid())
}

/// `ChannelDestroy`. Waiting clients get ESRCH, and so do this process's receiving threads.
///
/// # Errors
/// EINVAL when there is no such channel.
pub fn channel_destroy(chid: i32) -> Result<()> {
    let core = channel(chid).map_err(|_| Error::INVALID)?;
    match core.destroy() {
        true => Ok(()),
        false => Err(Error::INVALID),
    }
}

/// The channel's descriptor for epoll, see [`crate::Channel::fd`].
///
/// # Errors
/// EINVAL when there is no such channel, EMFILE.
pub fn channel_fd(chid: i32) -> Result<RawFd> {
    channel(chid).map_err(|_| Error::INVALID)?.fd()
}

/// `ConnectAttach`. The coid.
///
/// # Errors
/// As [`crate::Connection::attach`].
pub fn connect_attach(nd: u32, pid: i32, chid: i32, index: u32, flags: u32) -> Result<i32> {
    Link::attach(nd, pid, chid, index, flags).map(|link| link.coid())
}

/// `ConnectDetach`, of a coid, or of a server's scoid after a DISCONNECT pulse.
///
/// # Errors
/// EINVAL when there is no such connection.
pub fn connect_detach(coid: i32) -> Result<()> {
    let process = Process::get();
    let found = match coid >= SCOID_FIRST {
        // A living client's number is taken only with the client: here it ends its session.
        true => process.remove_client(coid, None).map(|end| end.die()),
        false => process.remove_connection(coid).map(drop),
    };
    found.ok_or(Error::INVALID)
}

/// `ConnectFlags`: sets the bits of `mask` to `bits` and returns the flags before.
///
/// # Errors
/// EINVAL when there is no such connection.
pub fn connect_flags(coid: i32, mask: u32, bits: u32) -> Result<u32> {
    let link = Process::get().connection(coid).ok_or(Error::INVALID)?;
    Ok(link.set_flags(mask, bits))
}

/// `ConnectServerInfo`: nd, pid, chid, scoid, coid and flags ([`crate::flags`]' `COF_`) of this
/// process's connection `coid` or, when there is none, of the next one above it.
///
/// # Errors
/// EINVAL when there is none.
pub fn connect_server_info(coid: i32) -> Result<MsgInfo> {
    let link = Process::get().connection_from(coid);
    let link = link.ok_or(Error::INVALID)?;
    let (nd, pid, chid) = link.session().target();
    let dead = if link.session().end().is_dead() {
        COF_DEAD
    } else {
        0
    };
    Ok(MsgInfo {
        flags: (link.flags() | dead) as i16,
        nd,
        pid,
        chid,
        scoid: link.session().end().scoid(),
        coid: link.coid(),
        ..MsgInfo::default()
    })
}

/// `ConnectClientInfo`: who is at the other end of a `scoid`.
///
/// # Errors
/// EINVAL when there is no such client.
pub fn connect_client_info(scoid: i32) -> Result<ClientInfo> {
    let end = Process::get().client(scoid).ok_or(Error::INVALID)?;
    Ok(received::client(&end))
}

/// `MsgSendv`.
///
/// # Errors
/// EBADF when there is no such connection; as [`crate::Connection::send`].
pub fn msg_send(coid: i32, message: &[IoSlice<'_>], reply: &mut [IoSliceMut<'_>]) -> Result<Reply> {
    connection(coid)?.send(message, reply)
}

/// `MsgSendPulse`.
///
/// # Errors
/// EBADF when there is no such connection; as [`crate::Connection::pulse`].
pub fn msg_send_pulse(coid: i32, priority: i32, code: i8, value: u64) -> Result<()> {
    connection(coid)?.pulse(priority, code, value)
}

/// `MsgReceivev`. For a pulse nothing is put into `parts`.
///
/// # Errors
/// ESRCH when there is no such channel; as [`crate::Channel::receive`].
pub fn msg_receive(chid: i32, parts: &mut [IoSliceMut<'_>]) -> Result<Incoming> {
    match channel(chid)?.receive(parts)? {
        channel::Incoming::Pulse(pulse) => Ok(Incoming::Pulse(pulse)),
        channel::Incoming::Message(received) => {
            let info = received.info();
            Ok(Incoming::Message(received.into_rcvid(), info))
        }
    }
}

/// `MsgReceivePulse`.
///
/// # Errors
/// As [`msg_receive`].
pub fn msg_receive_pulse(chid: i32) -> Result<Pulse> {
    channel(chid)?.receive_pulse()
}

/// `MsgReplyv`.
///
/// # Errors
/// ESRCH when no message with this rcvid waits; as [`crate::Received::reply`].
pub fn msg_reply(rcvid: i32, status: i64, parts: &[IoSlice<'_>]) -> Result<()> {
    let (end, message) = received::find(rcvid)?;
    transfer::reply(&end, &message, status, 0, parts)
}

/// `MsgError`. Error 0 is a reply with status 0.
///
/// # Errors
/// As [`msg_reply`].
pub fn msg_error(rcvid: i32, error: i32) -> Result<()> {
    let (end, message) = received::find(rcvid)?;
    transfer::reply(&end, &message, 0, error, &[])
}

/// `MsgReadv`.
///
/// # Errors
/// As [`msg_reply`] and [`crate::Received::read`].
pub fn msg_read(rcvid: i32, parts: &mut [IoSliceMut<'_>], offset: usize) -> Result<usize> {
    let (end, message) = received::find(rcvid)?;
    transfer::read(&end, &message, offset, parts)
}

/// `MsgWritev`.
///
/// # Errors
/// As [`msg_reply`] and [`crate::Received::write`].
pub fn msg_write(rcvid: i32, parts: &[IoSlice<'_>], offset: usize) -> Result<usize> {
    let (end, message) = received::find(rcvid)?;
    transfer::write(&end, &message, offset, parts)
}

/// `MsgInfo`.
///
/// # Errors
/// ESRCH when no message with this rcvid waits.
pub fn msg_info(rcvid: i32) -> Result<MsgInfo> {
    let (end, message) = received::find(rcvid)?;
    match end.is_waiting(&message) {
        true => Ok(received::info(&end, &message)),
        false => Err(Error::SRCH),
    }
}

/// `MsgDeliverEvent`. The message may have been replied to: the rcvid names its client then.
///
/// # Errors
/// ESRCH when the client has gone, EAGAIN when it has too many not taken yet.
pub fn msg_deliver_event(rcvid: i32, event: &Event) -> Result<()> {
    let (end, tid) = received::find_sender(rcvid)?;
    deliver::send(&end, tid, event)
}

/// `MsgCurrent`: the calling thread takes on the priority of the message's sender.
///
/// # Errors
/// ESRCH when no message with this rcvid waits.
pub fn msg_current(rcvid: i32) -> Result<()> {
    let (_, message) = received::find(rcvid)?;
    thread::inherit(message.priority);
    Ok(())
}

/// `MsgRegisterEvent`: whether the server behind `coid` could deliver this event to this process.
///
/// # Errors
/// EBADF when there is no such connection; as [`msg_verify_event`].
pub fn msg_register_event(event: &Event, coid: i32) -> Result<()> {
    connection(coid)?;
    msg_verify_event(0, event)
}

/// `MsgVerifyEvent`: whether the event could be delivered to the client: fields in range, client
/// alive. With rcvid 0: to this process itself, its coid included.
///
/// # Errors
/// EINVAL for an event that cannot be, EBADF for a coid that is none, ESRCH when the client has
/// gone, EREMOTE for a remote client.
pub fn msg_verify_event(rcvid: i32, event: &Event) -> Result<()> {
    deliver::check(event)?;
    if rcvid != 0 {
        let end = received::find_client(rcvid)?;
        return match (end.is_dead(), end.identity().nd) {
            (true, _) => Err(Error::SRCH),
            (_, 0) => Ok(()),
            _ => Err(Error::NO_REMOTE),
        };
    }
    match *event {
        Event::Pulse { coid, .. } => connection(coid).map(drop),
        _ => Ok(()),
    }
}
