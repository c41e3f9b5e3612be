//! The bytes of a read or a write, on their way between client and device.

use crate::Received;
use crate::error::{Error, Result};

/// Bytes that are gathered for the reply; what goes beyond is written to the client at once.
const GATHERED_MAX: usize = 4096;

/// Where a read's bytes go.
///
/// Few bytes are gathered and travel with the reply. Many are written straight into the client's
/// buffer.
#[derive(Debug)]
pub struct Output {
    /// None: answered later.
    message: Option<Received>,
    room: usize,
    written: usize,
    gathered: Vec<u8>,
}

/// A read that is answered later: see [`Output::later`]. Dropping it fails the client's read with
/// ECANCELED.
#[derive(Debug)]
pub struct Later {
    message: Received,
    room: usize,
}

impl Output {
    pub(super) fn new(message: Received, nbytes: usize) -> Self {
        let room = nbytes.min(usize::try_from(message.info().dstmsglen).unwrap_or(usize::MAX));
        Self {
            message: Some(message),
            room,
            written: 0,
            gathered: Vec::new(),
        }
    }

    /// Bytes that the client can still take.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room - self.len()
    }

    /// Bytes put so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.written + self.gathered.len()
    }

    /// Whether nothing was put.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives the client these bytes, as far as there is room; how many.
    ///
    /// # Errors
    /// ESRCH where the client has gone, EFAULT where its buffer cannot be written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let bytes = &bytes[..bytes.len().min(self.room())];
        if self.gathered.len() + bytes.len() <= GATHERED_MAX {
            self.gathered.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        self.flush()?;
        let message = self.message.as_ref().ok_or(Error::SRCH)?;
        let n = message.write(self.written, bytes)?;
        self.written += n;
        Ok(n)
    }

    /// Leaves the client waiting, until [`Later::answer`]. Nothing may have been put; the offset does
    /// not move. None when it was called before.
    pub fn later(&mut self) -> Option<Later> {
        let room = self.room();
        self.message.take().map(|message| Later { message, room })
    }

    fn flush(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let message = self.message.as_ref().ok_or(Error::SRCH)?;
        message.write(self.written, &self.gathered)?;
        self.written += self.gathered.len();
        self.gathered.clear();
        Ok(())
    }

    /// Ends the client's read. How many bytes it got; None if it is answered later.
    pub(super) fn finish(mut self, result: Result<()>) -> Option<usize> {
        let message = self.message.take()?;
        let len = self.len();
        let result = result.and_then(|()| {
            // A reply's bytes go to the beginning of the client's buffer.
            if self.written > 0 && !self.gathered.is_empty() {
                message.write(self.written, &self.gathered)?;
                self.gathered.clear();
            }
            Ok(())
        });
        let answered = match result {
            Ok(()) => message.reply(len as i64, &self.gathered),
            Err(error) => message.error(error),
        };
        // A client that has gone has read nothing.
        Some(answered.and(result).map_or(0, |()| len))
    }
}

impl Later {
    /// Bytes that the client can take.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room
    }

    /// The number that [`super::Device::unblock`] names it by.
    #[must_use]
    pub fn rcvid(&self) -> i32 {
        self.message.rcvid()
    }

    /// Ends the client's read with these bytes, as far as there is room; how many.
    ///
    /// # Errors
    /// ESRCH where the client has gone, EFAULT where its buffer cannot be written.
    pub fn answer(self, bytes: &[u8]) -> Result<usize> {
        let bytes = &bytes[..bytes.len().min(self.room)];
        self.message.reply(bytes.len() as i64, bytes)?;
        Ok(bytes.len())
    }

    /// Ends the client's read with an error.
    ///
    /// # Errors
    /// ESRCH where the client has gone.
    pub fn fail(self, error: Error) -> Result<()> {
        self.message.error(error)
    }
}

/// Where a write's bytes come from: what was received with the message, and the rest out of the
/// client's buffer.
#[derive(Debug)]
pub struct Input<'m> {
    message: &'m Received,
    /// The message as received, header included.
    received: &'m [u8],
    /// Where the data begins in the message.
    start: usize,
    len: usize,
    taken: usize,
}

impl<'m> Input<'m> {
    /// The `nbytes` of data from `start` of the message, or fewer where the client sent fewer.
    pub(super) fn new(
        message: &'m Received,
        received: &'m [u8],
        start: usize,
        nbytes: usize,
    ) -> Self {
        let sent = usize::try_from(message.info().srcmsglen).unwrap_or(usize::MAX);
        Self {
            message,
            received,
            start,
            len: nbytes.min(sent.saturating_sub(start)),
            taken: 0,
        }
    }

    /// Bytes that are left to take.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len - self.taken
    }

    /// Whether all is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next bytes, as many as fit; how many.
    ///
    /// # Errors
    /// ESRCH where the client has gone, EFAULT where its buffer cannot be read.
    pub fn take(&mut self, to: &mut [u8]) -> Result<usize> {
        let want = to.len().min(self.len());
        let at = self.start + self.taken;
        let here = self.received.get(at..).unwrap_or_default();
        let near = want.min(here.len());
        to[..near].copy_from_slice(&here[..near]);
        let mut done = near;
        while done < want {
            match self.message.read(at + done, &mut to[done..want])? {
                0 => break,
                n => done += n,
            }
        }
        self.taken += done;
        Ok(done)
    }

    /// Counts what is left as written.
    pub fn skip_all(&mut self) {
        self.taken = self.len;
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }
}
