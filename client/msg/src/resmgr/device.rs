//! What a device is.

use super::attributes::Attributes;
use super::data::{Input, Output};
use super::message::FLAG_WRITE;
use crate::error::{Error, Result};
use crate::{ClientInfo, Pulse, Received};

/// One open of a device by one client: QNX's open control block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ocb {
    /// Which of the manager's names it was opened by: what [`super::Manager::also`] returned, 0 for the
    /// first.
    pub name: usize,
    /// What follows that name in the path, without its slash; empty for the name itself.
    pub path: String,
    /// Where the next read or write begins.
    pub offset: u64,
    /// `FLAG_*` and `O_*` of the open.
    pub ioflag: u32,
    /// Who opened it.
    pub client: ClientInfo,
}

impl Ocb {
    /// Whether it was opened for writing.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.ioflag & FLAG_WRITE != 0
    }
}

/// A device. Its methods run one at a time, on the thread that calls [`super::Manager::run`]; the
/// offset is kept by the manager, which adds to it what was read or written.
///
/// A method that fails with an [`Error`] fails the client's call with it.
pub trait Device {
    /// Owner, permissions, size and times. Default: anybody may read and write it.
    fn attributes(&self) -> Attributes {
        Attributes::device(0o666)
    }

    /// What is at `ocb.path`, below one of the names. Default: the device itself, and nothing below it.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR: what the client's open shall fail with.
    fn lookup(&self, ocb: &Ocb) -> Result<Attributes> {
        if ocb.path.is_empty() {
            Ok(self.attributes())
        } else {
            Err(Error(libc::ENOENT))
        }
    }

    /// A client opens with `O_CREAT` what [`Device::lookup`] does not find. Default: it cannot.
    ///
    /// # Errors
    /// What the client's open shall fail with.
    fn create(&mut self, ocb: &Ocb, mode: u32) -> Result<()> {
        let _ = (ocb, mode);
        Err(Error(libc::ENOENT))
    }

    /// The names in the directory at `ocb.path`; a client may ask again for what did not fit. Default:
    /// none.
    ///
    /// # Errors
    /// What the client's read shall fail with.
    fn list(&mut self, ocb: &Ocb) -> Result<Vec<String>> {
        let _ = ocb;
        Ok(Vec::new())
    }

    /// A client that may opens it. Default: it can.
    ///
    /// # Errors
    /// What the client's open shall fail with.
    fn open(&mut self, ocb: &mut Ocb) -> Result<()> {
        let _ = ocb;
        Ok(())
    }

    /// A client reads from offset `at`. Default: the end of the file.
    ///
    /// # Errors
    /// What the client's read shall fail with.
    fn read(&mut self, ocb: &mut Ocb, at: u64, to: &mut Output) -> Result<()> {
        let _ = (ocb, at, to);
        Ok(())
    }

    /// A client writes at offset `at`. What is not taken of it counts as not written. Default: all
    /// is taken and forgotten.
    ///
    /// # Errors
    /// What the client's write shall fail with.
    fn write(&mut self, ocb: &mut Ocb, at: u64, from: &mut Input<'_>) -> Result<()> {
        let _ = (ocb, at);
        from.skip_all();
        Ok(())
    }

    /// A client's command. `data` holds what it sent, and afterwards what it is to get; the result is
    /// the number that devctl returns. Default: ENOTTY.
    ///
    /// # Errors
    /// What the client's devctl shall fail with.
    fn devctl(&mut self, ocb: &mut Ocb, dcmd: u32, data: &mut Vec<u8>) -> Result<i32> {
        let _ = (ocb, dcmd, data);
        Err(Error(libc::ENOTTY))
    }

    /// A client has closed it, or has gone.
    fn close(&mut self, ocb: Ocb) {
        let _ = ocb;
    }

    /// A client whose request is kept ([`Output::later`]) wants to be unblocked: a signal came, or its
    /// time is up. It waits until the request with this rcvid is answered.
    fn unblock(&mut self, rcvid: i32) {
        let _ = rcvid;
    }

    /// A pulse came that is not the manager's.
    fn pulse(&mut self, pulse: Pulse) {
        let _ = pulse;
    }

    /// Another message came, which begins with `bytes`. Default: ENOSYS.
    fn message(&mut self, message: Received, bytes: &[u8]) {
        let _ = bytes;
        // It fails where the client has gone, who then needs no answer.
        let _ = message.error(Error::NO_SYS);
    }
}
