//! One copy from or to the memory of a client that waits for its reply, in as many steps as it takes.
//!
//! Where the client's memory is reached directly there is one step. Elsewhere the client is asked for
//! help with a window's worth at a time.

use io_net_qnet::{Errno, Payload};
use io_net_rendezvous::layout::WINDOW;
use io_net_rendezvous::server::{AccessError, Message, ServerEnd};
use std::io::{IoSlice, IoSliceMut};

/// A transfer, and how far it has come.
pub(crate) struct Transfer {
    what: What,
    offset: u64,
    data: Payload,
    /// Bytes of `data` that are where they belong.
    done: usize,
    /// The client has been asked for help.
    asked: bool,
}

enum What {
    /// From the message into `data`.
    Read,
    /// From `data` into the reply buffer.
    Write,
    /// The same, and then the client's call ends: status, or an error.
    Finish(Result<i32, Errno>),
}

/// What came of a step.
pub(crate) enum Progress {
    /// The client has to help first.
    NeedsHelp,
    /// The bytes of the message.
    Read(Result<Payload, Errno>),
    /// All that there is room for is in the reply buffer.
    Written,
    /// The client's call has ended.
    Finished,
}

impl Transfer {
    /// `length` bytes of the message from `offset` on are to be read.
    pub(crate) fn read(offset: u32, length: u32) -> Self {
        Self::new(What::Read, offset, Payload::zeroed(length as usize))
    }

    /// `data` is to be written into the reply buffer at `offset`.
    pub(crate) fn write(offset: u32, data: Payload) -> Self {
        Self::new(What::Write, offset, data)
    }

    /// The same, and then the client's call is to end.
    pub(crate) fn finish(result: Result<i32, Errno>, offset: u32, data: Payload) -> Self {
        Self::new(What::Finish(result), offset, data)
    }

    fn new(what: What, offset: u32, data: Payload) -> Self {
        Transfer {
            what,
            offset: offset.into(),
            data,
            done: 0,
            asked: false,
        }
    }

    /// Goes as far as possible without help.
    pub(crate) fn advance(&mut self, end: &ServerEnd, message: &mut Message) -> Progress {
        match self.what {
            What::Read => match self.copy_in(end, message) {
                Err(AccessError::Help) => Progress::NeedsHelp,
                Err(_) => Progress::Read(Err(Errno::EFAULT)),
                Ok(()) => {
                    self.data.truncate(self.done);
                    Progress::Read(Ok(std::mem::take(&mut self.data)))
                }
            },
            What::Write => match self.copy_out(end, message, self.data.len()) {
                Err(AccessError::Help) => Progress::NeedsHelp,
                // A client that has gone, or gave an address where it has no memory.
                Ok(()) | Err(_) => Progress::Written,
            },
            What::Finish(result) => self.finish_call(end, message, result),
        }
    }

    fn copy_in(&mut self, end: &ServerEnd, message: &mut Message) -> Result<(), AccessError> {
        let left = message.len.saturating_sub(self.offset);
        let wanted = self
            .data
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        if self.asked {
            let helped = end.helped(message)?.ok_or(AccessError::Help)?;
            self.asked = false;
            let parts = &mut [IoSliceMut::new(&mut self.data.as_mut_slice()[..wanted])];
            let got = end.read_window(message, helped, parts, self.done);
            self.done += got;
            if got == 0 {
                return Err(AccessError::Fault);
            }
        }
        while self.done < wanted {
            let at = self.offset + self.done as u64;
            let rest = &mut self.data.as_mut_slice()[self.done..wanted];
            let rest_len = rest.len();
            match end.read(message, at, &mut [IoSliceMut::new(rest)]) {
                Ok(0) => return Err(AccessError::Fault),
                Ok(got) => self.done += got,
                Err(AccessError::Help) => {
                    end.ask_message(message, at, rest_len.min(WINDOW))?;
                    self.asked = true;
                    return Err(AccessError::Help);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Brings the first `until` bytes of the data to where they belong.
    fn copy_out(
        &mut self,
        end: &ServerEnd,
        message: &mut Message,
        until: usize,
    ) -> Result<(), AccessError> {
        if self.asked {
            let helped = end.helped(message)?.ok_or(AccessError::Help)?;
            self.asked = false;
            self.done += helped;
            if helped == 0 {
                return Err(AccessError::Fault);
            }
        }
        let room = message.room.saturating_sub(self.offset);
        let until = until.min(usize::try_from(room).unwrap_or(usize::MAX));
        while self.done < until {
            let at = self.offset + self.done as u64;
            let parts = [IoSlice::new(&self.data.as_slice()[self.done..until])];
            match end.write(message, at, &parts) {
                Ok(0) => return Err(AccessError::Fault),
                Ok(put) => self.done += put,
                Err(AccessError::Help) => {
                    end.ask_reply(message, at, &parts, 0)?;
                    self.asked = true;
                    return Err(AccessError::Help);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn finish_call(
        &mut self,
        end: &ServerEnd,
        message: &mut Message,
        result: Result<i32, Errno>,
    ) -> Progress {
        let status = match result {
            Ok(status) => i64::from(status),
            Err(errno) => {
                // A client that has gone meanwhile misses nothing, here and below.
                let _ = end.reply(message, 0, errno.get(), &[]);
                return Progress::Finished;
            }
        };
        if self.offset == 0 && self.done == 0 && !self.asked {
            let parts = [IoSlice::new(self.data.as_slice())];
            match end.reply(message, status, 0, &parts) {
                Err(AccessError::Help) => {}
                Ok(()) | Err(_) => return Progress::Finished,
            }
        }
        // The last bytes go with the reply.
        let before = self.data.len().saturating_sub(WINDOW);
        match self.copy_out(end, message, before) {
            Err(AccessError::Help) => return Progress::NeedsHelp,
            Err(AccessError::Gone) => return Progress::Finished,
            Err(AccessError::Fault) => {
                let _ = end.reply(message, 0, Errno::EFAULT.get(), &[]);
                return Progress::Finished;
            }
            Ok(()) => {}
        }
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let mut parts = skipped(offset);
        parts.push(IoSlice::new(self.data.as_slice()));
        let _ = end.reply_rest(message, status, 0, offset + self.done, &parts);
        Progress::Finished
    }
}

/// Parts of `len` bytes that stand for what is in the reply buffer already.
fn skipped(len: usize) -> Vec<IoSlice<'static>> {
    static BLANK: [u8; WINDOW] = [0; WINDOW];
    let whole = std::iter::repeat_n(IoSlice::new(&BLANK), len / WINDOW);
    whole
        .chain([IoSlice::new(&BLANK[..len % WINDOW])])
        .collect()
}
