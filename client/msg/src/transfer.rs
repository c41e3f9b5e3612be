//! A received message's bytes: those in shared memory, those in the client's, and those that the
//! client is asked for.

use std::io::{IoSlice, IoSliceMut};
use std::time::{Duration, Instant};

use io_net_rendezvous::layout::WINDOW;
use io_net_rendezvous::scatter;
use io_net_rendezvous::server::{AccessError, Message, ServerEnd};

use crate::error::{Error, Result};

/// How long a client may take to copy one window: it waits in its call anyway. One that takes
/// longer is stopped or hostile, and loses its session.
const PATIENCE: Duration = Duration::from_secs(5);

/// Copies the message's bytes from `offset` on to `parts`: all that there are and fit.
#[inline]
pub(crate) fn read(
    end: &ServerEnd,
    message: &Message,
    offset: usize,
    parts: &mut [IoSliceMut<'_>],
) -> Result<usize> {
    let left = message.len.saturating_sub(offset as u64);
    let wanted = scatter::room(parts).min(left as usize);
    match end.read(message, offset as u64, parts) {
        Ok(n) if n == wanted => Ok(n),
        first => read_more(end, message, offset, parts, wanted, first),
    }
}

#[cold]
fn read_more(
    end: &ServerEnd,
    message: &Message,
    offset: usize,
    parts: &mut [IoSliceMut<'_>],
    wanted: usize,
    first: std::result::Result<usize, AccessError>,
) -> Result<usize> {
    let _turn = end.records().turn(message.slot);
    let mut done = match first {
        // Another thread was at it.
        Err(AccessError::Gone) if end.is_waiting(message) => {
            end.read(message, offset as u64, parts)
        }
        first => first,
    }
    .or_else(without_help)?;
    // What cannot be read in one's memory cannot be asked for either.
    while done < wanted && !end.peer_memory() {
        let len = (wanted - done).min(WINDOW);
        let at = (offset + done) as u64;
        end.ask_message(message, at, len).map_err(error)?;
        let got = await_help(end, message)?.min(len);
        let copied = end.read_window(message, got, parts, done);
        done += copied;
        if copied == 0 {
            break;
        }
    }
    Ok(done)
}

/// Writes `parts` into the reply buffer at `offset`: as much as there is room for.
pub(crate) fn write(
    end: &ServerEnd,
    message: &Message,
    offset: usize,
    parts: &[IoSlice<'_>],
) -> Result<usize> {
    let _turn = end.records().turn(message.slot);
    let left = message.room.saturating_sub(offset as u64);
    let wanted = scatter::len(parts).min(left as usize);
    match end.write(message, offset as u64, parts) {
        Err(AccessError::Help) => ask_reply(end, message, offset, parts, wanted, 0),
        written => written.map_err(error),
    }
}

/// Ends the message, which nobody else has ended.
#[inline]
pub(crate) fn reply(
    end: &ServerEnd,
    message: &Message,
    status: i64,
    error: i32,
    parts: &[IoSlice<'_>],
) -> Result<()> {
    if !end.records().remove(message) {
        return Err(Error::SRCH);
    }
    match end.reply(message, status, error, parts) {
        Ok(()) => Ok(()),
        Err(first) => reply_slowly(end, message, status, error, parts, first),
    }
}

#[cold]
fn reply_slowly(
    end: &ServerEnd,
    message: &Message,
    status: i64,
    errno: i32,
    parts: &[IoSlice<'_>],
    first: AccessError,
) -> Result<()> {
    let _turn = end.records().turn(message.slot);
    let again = match first {
        AccessError::Gone if end.is_waiting(message) => end.reply(message, status, errno, parts),
        first => Err(first),
    };
    if again != Err(AccessError::Help) {
        return again.map_err(error);
    }
    let len = scatter::len(parts).min(message.room as usize);
    let first = len.saturating_sub(WINDOW);
    let done = ask_reply(end, message, 0, parts, first, 0)?;
    let rest = end.reply_rest(message, status, errno, done, parts);
    rest.map_err(error)
}

/// Has the client copy `parts`, beyond their first `skip` bytes, into its reply buffer at `offset`:
/// `wanted` bytes.
fn ask_reply(
    end: &ServerEnd,
    message: &Message,
    offset: usize,
    parts: &[IoSlice<'_>],
    wanted: usize,
    skip: usize,
) -> Result<usize> {
    let mut done = 0;
    while done < wanted {
        let at = (offset + done) as u64;
        let n = end
            .ask_reply(message, at, parts, skip + done)
            .map_err(error)?;
        let copied = await_help(end, message)?.min(n);
        if copied == 0 {
            break;
        }
        done += copied;
    }
    Ok(done.min(wanted))
}

/// Waits until the client has copied.
fn await_help(end: &ServerEnd, message: &Message) -> Result<usize> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(n) = end.helped(message).map_err(error)? {
            return Ok(n);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            end.die();
            return Err(Error::FAULT);
        }
        end.sleep_for_help(message, left);
    }
}

fn without_help(access: AccessError) -> Result<usize> {
    match access {
        AccessError::Help => Ok(0),
        other => Err(error(other)),
    }
}

fn error(access: AccessError) -> Error {
    match access {
        AccessError::Gone => Error::SRCH,
        AccessError::Fault | AccessError::Help => Error::FAULT,
    }
}
