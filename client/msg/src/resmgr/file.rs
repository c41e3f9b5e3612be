//! A file by message, as an object.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::call;
use super::message::StatReply;
use crate::error::Result;

/// What a resource manager serves, opened. Closed when dropped.
#[derive(Debug)]
pub struct File {
    coid: i32,
}

impl File {
    /// Opens a path. `oflag` as for open(2), such as `libc::O_RDWR`.
    ///
    /// # Errors
    /// As [`call::open`].
    pub fn open(path: &str, oflag: i32) -> Result<Self> {
        call::open(path, oflag, 0o666).map(|coid| Self { coid })
    }

    /// Its connection, for messages of other kinds.
    #[must_use]
    pub fn coid(&self) -> i32 {
        self.coid
    }

    /// Reads at an offset, and leaves the file's own.
    ///
    /// # Errors
    /// As [`call::read`].
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        call::read_at(self.coid, buf, offset.cast_signed())
    }

    /// Writes at an offset, and leaves the file's own.
    ///
    /// # Errors
    /// As [`call::write`].
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        call::write_at(self.coid, bytes, offset.cast_signed())
    }

    /// Its size, owner and so on.
    ///
    /// # Errors
    /// As [`call::stat`].
    pub fn stat(&self) -> Result<StatReply> {
        call::stat(self.coid)
    }

    /// The names in it, where it is a directory.
    ///
    /// # Errors
    /// As [`call::read_entry`].
    pub fn entries(&self) -> Result<Vec<String>> {
        call::seek(self.coid, 0, libc::SEEK_SET)?;
        let mut names = Vec::new();
        while let Some((_, name)) = call::read_entry(self.coid)? {
            names.push(name);
        }
        Ok(names)
    }

    /// A command of the manager's.
    ///
    /// # Errors
    /// As [`call::devctl`].
    pub fn devctl(&self, dcmd: u32, data: &mut [u8]) -> Result<i32> {
        call::devctl(self.coid, dcmd, data)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = call::close(self.coid);
    }
}

impl Read for &File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(call::read(self.coid, buf)?)
    }
}

impl Write for &File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(call::write(self.coid, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(at) => (at.cast_signed(), libc::SEEK_SET),
            SeekFrom::Current(by) => (by, libc::SEEK_CUR),
            SeekFrom::End(by) => (by, libc::SEEK_END),
        };
        Ok(call::seek(self.coid, offset, whence)?)
    }
}

impl Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}
