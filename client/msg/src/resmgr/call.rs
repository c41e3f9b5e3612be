//! The client's side: open, read, write and the others, over a coid.

use std::io::{IoSlice, IoSliceMut};

use zerocopy::{FromZeros, IntoBytes};

use super::message::{
    CONNECT_OPEN, Connect, Devctl, DevctlReply, Dirent, FLAG_READ, FLAG_WRITE, NAME_MAX, Plain,
    Seek, StatReply, Transfer, XTYPE_NONE, XTYPE_OFFSET, XTYPE_READDIR, kind,
};
use crate::error::{Error, Result};
use crate::{Connection, handle, name};

/// The most bytes of one read or write; a longer one is cut, as the kernel does.
const TRANSFER_MAX: usize = 1 << 30;

/// `_POSIX_DEVDIR_TO`: the command takes data.
const DEVDIR_TO: u32 = 0x8000_0000;
/// `_POSIX_DEVDIR_FROM`: the command gives data.
const DEVDIR_FROM: u32 = 0x4000_0000;

/// Opens what has this path ([`name::path::file`]). `oflag` and `mode` as for open(2).
///
/// # Errors
/// ENOENT, EINVAL for what cannot be a path, EACCES, what the manager says; as
/// [`crate::Connection::attach`].
pub fn open(path: &str, oflag: i32, mode: u32) -> Result<i32> {
    let access = match oflag & libc::O_ACCMODE {
        libc::O_RDONLY => FLAG_READ,
        libc::O_WRONLY => FLAG_WRITE,
        libc::O_RDWR => FLAG_READ | FLAG_WRITE,
        _ => return Err(Error::INVALID),
    };
    let path = name::path::file(path)?;
    let below = path.below_dev_name();
    let connect = Connect {
        kind: kind::CONNECT,
        subtype: CONNECT_OPEN,
        ioflag: access | (oflag & !libc::O_ACCMODE).cast_unsigned(),
        mode,
        path_len: u16::try_from(below.len() + 1).map_err(|_| Error(libc::ENAMETOOLONG))?,
        ..Connect::new_zeroed()
    };
    let connection = connect_to(path)?;
    let message = [connect.as_bytes(), below.as_bytes(), b"\0"].concat();
    connection.send(&message, &mut [])?;
    Ok(connection.into_coid())
}

/// Connects to the manager of a path: who has it for a name, or the nearest directory above it.
fn connect_to(mut path: name::Path<'_>) -> Result<Connection> {
    loop {
        match (name::connect(&path), path.name.rsplit_once('/')) {
            (Err(Error(libc::ENOENT)), Some((parent, _))) => path.name = parent,
            (connected, _) => return connected,
        }
    }
}

/// An entry of a directory: a number for the file, and its name. None: there are no more.
///
/// # Errors
/// ENOTDIR; as [`read`].
pub fn read_entry(coid: i32) -> Result<Option<(u64, String)>> {
    let mut buf = [0; size_of::<Dirent>() + (NAME_MAX + 1).next_multiple_of(8)];
    let message = transfer(kind::READ, buf.len(), XTYPE_READDIR);
    let status = send(coid, &[message.as_bytes()], &mut [&mut buf])?;
    let got = &buf[..count(status, buf.len())?];
    if got.is_empty() {
        return Ok(None);
    }
    // A device that is none does not know better than to send bytes.
    let (entry, name, more) = Dirent::parse(got).ok_or(Error(libc::ENOTDIR))?;
    if !more.is_empty() {
        let next = i64::try_from(entry.next).map_err(|_| Error::PROTOCOL)?;
        seek(coid, next, libc::SEEK_SET)?;
    }
    Ok(Some((entry.ino, name.to_owned())))
}

/// Closes.
///
/// # Errors
/// EBADF where it is not open.
pub fn close(coid: i32) -> Result<()> {
    let message = plain(kind::CLOSE);
    // What the manager says of it changes nothing.
    let _ = send(coid, &[message.as_bytes()], &mut []);
    handle::connect_detach(coid).map_err(|_| Error::BADF)
}

/// Reads at the file's offset; how many bytes, 0 at its end.
///
/// # Errors
/// EBADF, EINTR, ESRCH where the manager has gone, what the manager says.
pub fn read(coid: i32, buf: &mut [u8]) -> Result<usize> {
    let len = buf.len().min(TRANSFER_MAX);
    let message = transfer(kind::READ, len, XTYPE_NONE);
    count(send(coid, &[message.as_bytes()], &mut [buf])?, len)
}

/// Reads at `offset`, and leaves the file's own.
///
/// # Errors
/// As [`read`].
pub fn read_at(coid: i32, buf: &mut [u8], offset: i64) -> Result<usize> {
    let len = buf.len().min(TRANSFER_MAX);
    let message = transfer(kind::READ, len, XTYPE_OFFSET);
    let parts = [message.as_bytes(), offset.as_bytes()];
    count(send(coid, &parts, &mut [buf])?, len)
}

/// Writes at the file's offset; how many bytes.
///
/// # Errors
/// As [`read`].
pub fn write(coid: i32, bytes: &[u8]) -> Result<usize> {
    let bytes = &bytes[..bytes.len().min(TRANSFER_MAX)];
    let message = transfer(kind::WRITE, bytes.len(), XTYPE_NONE);
    let parts = [message.as_bytes(), bytes];
    count(send(coid, &parts, &mut [])?, bytes.len())
}

/// Writes at `offset`, and leaves the file's own.
///
/// # Errors
/// As [`read`].
pub fn write_at(coid: i32, bytes: &[u8], offset: i64) -> Result<usize> {
    let bytes = &bytes[..bytes.len().min(TRANSFER_MAX)];
    let message = transfer(kind::WRITE, bytes.len(), XTYPE_OFFSET);
    let parts = [message.as_bytes(), offset.as_bytes(), bytes];
    count(send(coid, &parts, &mut [])?, bytes.len())
}

/// Moves the file's offset; `whence` is SEEK_SET, SEEK_CUR or SEEK_END. Where it is then.
///
/// # Errors
/// EINVAL; as [`read`].
pub fn seek(coid: i32, offset: i64, whence: i32) -> Result<u64> {
    let message = Seek {
        kind: kind::LSEEK,
        whence: i16::try_from(whence).map_err(|_| Error::INVALID)?,
        offset,
        ..Seek::default()
    };
    let mut at = 0_u64;
    send(coid, &[message.as_bytes()], &mut [at.as_mut_bytes()])?;
    Ok(at)
}

/// Describes.
///
/// # Errors
/// As [`read`].
pub fn stat(coid: i32) -> Result<StatReply> {
    let mut stat = StatReply::default();
    let message = plain(kind::STAT);
    send(coid, &[message.as_bytes()], &mut [stat.as_mut_bytes()])?;
    Ok(stat)
}

/// A command, with data to or from the manager as its number says. The number that it returns.
///
/// # Errors
/// ENOTTY for a command that the manager does not know; as [`read`].
pub fn devctl(coid: i32, dcmd: u32, data: &mut [u8]) -> Result<i32> {
    let message = Devctl {
        kind: kind::DEVCTL,
        combine_len: 0,
        dcmd,
        nbytes: i32::try_from(data.len()).map_err(|_| Error::INVALID)?,
        zero: 0,
    };
    let sent: Vec<u8> = if dcmd & DEVDIR_TO == 0 {
        Vec::new()
    } else {
        data.to_vec()
    };
    let mut reply = DevctlReply::default();
    let got: &mut [u8] = if dcmd & DEVDIR_FROM == 0 {
        &mut []
    } else {
        data
    };
    let parts = [message.as_bytes(), &sent];
    send(coid, &parts, &mut [reply.as_mut_bytes(), got])?;
    Ok(reply.ret_val)
}

fn plain(kind: u16) -> Plain {
    Plain {
        kind,
        ..Plain::default()
    }
}

fn transfer(kind: u16, len: usize, xtype: u32) -> Transfer {
    Transfer {
        kind,
        combine_len: 0,
        nbytes: len as i32,
        xtype,
        zero: 0,
    }
}

fn send<const N: usize, const M: usize>(
    coid: i32,
    parts: &[&[u8]; N],
    reply: &mut [&mut [u8]; M],
) -> Result<i64> {
    let parts = parts.map(IoSlice::new);
    let mut reply = reply.each_mut().map(|part| IoSliceMut::new(part));
    handle::msg_send(coid, &parts, &mut reply).map(|reply| reply.status)
}

/// The status of a read or a write, which must be within what was asked for.
fn count(status: i64, asked: usize) -> Result<usize> {
    usize::try_from(status)
        .ok()
        .filter(|&n| n <= asked)
        .ok_or(Error::PROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_cannot_claim_more_than_was_asked_for() {
        assert_eq!(count(3, 3), Ok(3));
        assert_eq!(count(4, 3), Err(Error::PROTOCOL));
        assert_eq!(count(-1, 3), Err(Error::PROTOCOL));
    }
}
