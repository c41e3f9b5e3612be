//! QNX's calls over numbers: chid, coid, scoid, rcvid. A thin layer over the typed objects, for C
//! and for programs written as QNX's are.
//!
//! All objects are in these tables, whoever made them: a [`crate::Channel`]'s chid and a
//! [`crate::Connection`]'s coid work here while it lives. A child of fork starts with empty tables.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::RawFd;

use crate::connection::Reply;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::info::{ClientInfo, MsgInfo};
use crate::pulse::Pulse;

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
    let _ = flags;
    Err(Error::NO_SYS)
}

/// `ChannelDestroy`. Waiting clients get ESRCH, and so do this process's receiving threads.
///
/// # Errors
/// EINVAL when there is no such channel.
pub fn channel_destroy(chid: i32) -> Result<()> {
    let _ = chid;
    Err(Error::NO_SYS)
}

/// The channel's descriptor for epoll, see [`crate::Channel::fd`].
///
/// # Errors
/// EINVAL when there is no such channel, EMFILE.
pub fn channel_fd(chid: i32) -> Result<RawFd> {
    let _ = chid;
    Err(Error::NO_SYS)
}

/// `ConnectAttach`. The coid.
///
/// # Errors
/// As [`crate::Connection::attach`].
pub fn connect_attach(nd: u32, pid: i32, chid: i32, index: u32, flags: u32) -> Result<i32> {
    let _ = (nd, pid, chid, index, flags);
    Err(Error::NO_SYS)
}

/// `ConnectDetach`, of a coid, or of a server's scoid after a DISCONNECT pulse.
///
/// # Errors
/// EINVAL when there is no such connection.
pub fn connect_detach(coid: i32) -> Result<()> {
    let _ = coid;
    Err(Error::NO_SYS)
}

/// `ConnectFlags`: sets the bits of `mask` to `bits` and returns the flags before.
///
/// # Errors
/// EINVAL when there is no such connection.
pub fn connect_flags(coid: i32, mask: u32, bits: u32) -> Result<u32> {
    let _ = (coid, mask, bits);
    Err(Error::NO_SYS)
}

/// `ConnectServerInfo`: nd, pid, chid, scoid and coid of this process's connection `coid` or, when there is
/// none, of the next one above it.
///
/// # Errors
/// EINVAL when there is none.
pub fn connect_server_info(coid: i32) -> Result<MsgInfo> {
    let _ = coid;
    Err(Error::NO_SYS)
}

/// `ConnectClientInfo`: who is at the other end of a `scoid`.
///
/// # Errors
/// EINVAL when there is no such client.
pub fn connect_client_info(scoid: i32) -> Result<ClientInfo> {
    let _ = scoid;
    Err(Error::NO_SYS)
}

/// `MsgSendv`.
///
/// # Errors
/// EBADF when there is no such connection; as [`crate::Connection::send`].
pub fn msg_send(coid: i32, message: &[IoSlice<'_>], reply: &mut [IoSliceMut<'_>]) -> Result<Reply> {
    let _ = (coid, message, reply);
    Err(Error::BADF)
}

/// `MsgSendPulse`.
///
/// # Errors
/// EBADF when there is no such connection; as [`crate::Connection::pulse`].
pub fn msg_send_pulse(coid: i32, priority: i32, code: i8, value: u64) -> Result<()> {
    let _ = (coid, priority, code, value);
    Err(Error::BADF)
}

/// `MsgReceivev`. For a pulse nothing is put into `parts`.
///
/// # Errors
/// ESRCH when there is no such channel; as [`crate::Channel::receive`].
pub fn msg_receive(chid: i32, parts: &mut [IoSliceMut<'_>]) -> Result<Incoming> {
    let _ = (chid, parts);
    Err(Error::SRCH)
}

/// `MsgReceivePulse`.
///
/// # Errors
/// As [`msg_receive`].
pub fn msg_receive_pulse(chid: i32) -> Result<Pulse> {
    let _ = chid;
    Err(Error::SRCH)
}

/// `MsgReplyv`.
///
/// # Errors
/// ESRCH when no message with this rcvid waits; as [`crate::Received::reply`].
pub fn msg_reply(rcvid: i32, status: i64, parts: &[IoSlice<'_>]) -> Result<()> {
    let _ = (rcvid, status, parts);
    Err(Error::SRCH)
}

/// `MsgError`. Error 0 is a reply with status 0.
///
/// # Errors
/// As [`msg_reply`].
pub fn msg_error(rcvid: i32, error: i32) -> Result<()> {
    let _ = (rcvid, error);
    Err(Error::SRCH)
}

/// `MsgReadv`.
///
/// # Errors
/// As [`msg_reply`] and [`crate::Received::read`].
pub fn msg_read(rcvid: i32, parts: &mut [IoSliceMut<'_>], offset: usize) -> Result<usize> {
    let _ = (rcvid, parts, offset);
    Err(Error::SRCH)
}

/// `MsgWritev`.
///
/// # Errors
/// As [`msg_reply`] and [`crate::Received::write`].
pub fn msg_write(rcvid: i32, parts: &[IoSlice<'_>], offset: usize) -> Result<usize> {
    let _ = (rcvid, parts, offset);
    Err(Error::SRCH)
}

/// `MsgInfo`.
///
/// # Errors
/// ESRCH when no message with this rcvid waits.
pub fn msg_info(rcvid: i32) -> Result<MsgInfo> {
    let _ = rcvid;
    Err(Error::SRCH)
}

/// `MsgDeliverEvent`. The message may have been replied to: the rcvid names its client then.
///
/// # Errors
/// ESRCH when the client has gone, EAGAIN when it has too many not taken yet.
pub fn msg_deliver_event(rcvid: i32, event: &Event) -> Result<()> {
    let _ = (rcvid, event);
    Err(Error::SRCH)
}

/// `MsgVerifyEvent`: whether the event could be delivered to the client: fields in range, client
/// alive. With rcvid 0: to this process itself, its coid included.
///
/// # Errors
/// EINVAL for an event that cannot be, EBADF for a coid that is none, ESRCH when the client has gone, EREMOTE for a remote client.
pub fn msg_verify_event(rcvid: i32, event: &Event) -> Result<()> {
    let _ = (rcvid, event);
    Err(Error::SRCH)
}
