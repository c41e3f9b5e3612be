//! Requests for files, and what is replied.
//!
//! A path is absolute, without links, `.` or `..`: who asks follows links himself.
//!
//! | request | of the head | body | reply: status, bytes |
//! | --- | --- | --- | --- |
//! | STAT | handle or 0 | path | 0, [`Attributes`] |
//! | LIST | offset: entries to skip | path | 1 if there is more, [`Entry`]s |
//! | READLINK | | path | 0, text |
//! | OPEN | flags, mode | path | handle, attributes |
//! | READ | handle, offset, length | | 0, bytes |
//! | WRITE | handle, offset | bytes | how many |
//! | SYNC, CLOSE | handle | | 0 |
//! | CHANGE | | [`Change`], path | 0, attributes |
//! | MKDIR | mode | path | 0 |
//! | UNLINK, RMDIR | | path | 0 |
//! | RENAME, LINK | length: of the first path; flags: 1 to replace nothing | path, new path | 0 |
//! | SYMLINK | length: of the text | text, path | 0 |

use crate::errno;
use io_net_msg::Result;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Requests.
pub mod op {
    #![allow(missing_docs, reason = "the table above")]
    pub const STAT: u32 = 1;
    pub const LIST: u32 = 2;
    pub const READLINK: u32 = 3;
    pub const OPEN: u32 = 4;
    pub const READ: u32 = 5;
    pub const WRITE: u32 = 6;
    pub const SYNC: u32 = 7;
    pub const CLOSE: u32 = 8;
    pub const CHANGE: u32 = 9;
    pub const MKDIR: u32 = 10;
    pub const UNLINK: u32 = 11;
    pub const RMDIR: u32 = 12;
    pub const RENAME: u32 = 13;
    pub const LINK: u32 = 14;
    pub const SYMLINK: u32 = 15;
}

/// How a file is opened.
pub mod open {
    #![allow(missing_docs, reason = "the names say it")]
    pub const READ: u32 = 1;
    pub const WRITE: u32 = 2;
    pub const APPEND: u32 = 4;
    pub const TRUNCATE: u32 = 8;
    pub const CREATE: u32 = 16;
    /// With CREATE: it must not be there.
    pub const EXCLUSIVE: u32 = 32;
}

/// The longest path, as the kernel's.
pub const PATH_MAX: usize = 4096;

/// What stat tells. Times are seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Attributes {
    /// Number in its file system.
    pub inode: U64,
    /// Bytes.
    pub size: U64,
    /// Of 512 bytes.
    pub blocks: U64,
    /// Type and permissions, as st_mode.
    pub mode: U32,
    /// Names.
    pub links: U32,
    /// Owner.
    pub uid: U32,
    /// Group.
    pub gid: U32,
    /// Last read, written, changed.
    pub seconds: [I64; 3],
    /// Their fractions.
    pub nanoseconds: [U32; 3],
    /// Zero.
    pub zero: U32,
}

/// What of a file is to change: where a bit of `what` is set.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Change {
    /// [`change`]'s bits.
    pub what: U32,
    /// Permissions.
    pub mode: U32,
    /// Owner.
    pub uid: U32,
    /// Group.
    pub gid: U32,
    /// Bytes.
    pub size: U64,
    /// Last read, written.
    pub seconds: [I64; 2],
    /// Their fractions.
    pub nanoseconds: [U32; 2],
}

/// Bits of [`Change::what`].
pub mod change {
    #![allow(missing_docs, reason = "the fields' names")]
    pub const MODE: u32 = 1;
    pub const UID: u32 = 2;
    pub const GID: u32 = 4;
    pub const SIZE: u32 = 8;
    pub const READ_TIME: u32 = 16;
    pub const WRITE_TIME: u32 = 32;
}

/// The type in st_mode.
pub mod kind {
    #![allow(missing_docs, reason = "the names say it")]
    pub const MASK: u32 = 0o170_000;
    pub const SOCKET: u32 = 0o140_000;
    pub const LINK: u32 = 0o120_000;
    pub const FILE: u32 = 0o100_000;
    pub const BLOCK: u32 = 0o060_000;
    pub const DIRECTORY: u32 = 0o040_000;
    pub const CHARACTER: u32 = 0o020_000;
    pub const FIFO: u32 = 0o010_000;
}

/// An entry of a directory: type (of st_mode, shifted by 12), length of the name, name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its type, as in st_mode.
    pub kind: u32,
    /// Its name.
    pub name: Vec<u8>,
}

impl Entry {
    /// Appends it to a reply of at most `room` bytes; false where it does not fit.
    pub fn write(&self, reply: &mut Vec<u8>, room: usize) -> bool {
        let Ok(length) = u16::try_from(self.name.len()) else {
            return true;
        };
        let fits = reply.len() + 3 + self.name.len() <= room;
        if fits {
            reply.push((self.kind >> 12) as u8);
            reply.extend(length.to_le_bytes());
            reply.extend(&self.name);
        }
        fits
    }

    /// Takes the first of a reply off; None at its end. One without a name only counts.
    ///
    /// # Errors
    /// EIO for what is none.
    pub fn read(reply: &mut &[u8]) -> Result<Option<Self>> {
        let Some((head, rest)) = reply.split_first_chunk::<3>() else {
            return if reply.is_empty() {
                Ok(None)
            } else {
                Err(errno::IO)
            };
        };
        let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
        let (name, rest) = rest.split_at_checked(length).ok_or(errno::IO)?;
        *reply = rest;
        let kind = u32::from(head[0]) << 12;
        let name = name.to_vec();
        match name.is_empty() || is_name(&name) {
            true => Ok(Some(Self { kind, name })),
            false => Err(errno::IO),
        }
    }
}

/// Whether a file may be called so.
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    (1..=255).contains(&name.len())
        && !matches!(name, b"." | b"..")
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

/// The path in a body.
///
/// # Errors
/// ENAMETOOLONG, EINVAL for what is not absolute, or has `.`, `..` or NUL in it.
pub fn path(body: &[u8]) -> Result<&Path> {
    if body.len() > PATH_MAX {
        return Err(errno::NAMETOOLONG);
    }
    let path = Path::new(OsStr::from_bytes(body));
    let below = body.strip_prefix(b"/").ok_or(errno::INVAL)?;
    let plain = |name: &[u8]| is_name(name);
    match below.is_empty() || below.split(|byte| *byte == b'/').all(plain) {
        true => Ok(path),
        // Of its length only the kernel need know.
        false if path.components().any(too_long) => Err(errno::NAMETOOLONG),
        false => Err(errno::INVAL),
    }
}

fn too_long(component: Component<'_>) -> bool {
    component.as_os_str().len() > 255
}

/// The two parts of a body whose first has `length` bytes.
///
/// # Errors
/// EINVAL where it has not.
pub fn two(body: &[u8], length: U32) -> Result<(&[u8], &[u8])> {
    body.split_at_checked(length.get() as usize)
        .ok_or(errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_plain() {
        for good in ["/", "/a", "/a/b c/..d"] {
            assert_eq!(path(good.as_bytes()), Ok(Path::new(good)));
        }
        for bad in [
            "", "a", "/a/", "//", "/a//b", "/..", "/a/../b", "/./a", "/a\0",
        ] {
            assert_eq!(path(bad.as_bytes()), Err(errno::INVAL), "{bad:?}");
        }
        let long = format!("/{}", "a".repeat(256));
        assert_eq!(path(long.as_bytes()), Err(errno::NAMETOOLONG));
        assert_eq!(path(&[b'/'; 5000]), Err(errno::NAMETOOLONG));
    }

    #[test]
    fn entries_go_over_and_hostile_ones_do_not() {
        let entry = |name: &[u8]| Entry {
            kind: kind::FILE,
            name: name.to_vec(),
        };
        let mut reply = Vec::new();
        assert!(entry(b"one").write(&mut reply, 12));
        assert!(entry(b"two").write(&mut reply, 12));
        assert!(!entry(b"").write(&mut reply, 14));
        let mut rest = &reply[..];
        assert_eq!(Entry::read(&mut rest), Ok(Some(entry(b"one"))));
        assert_eq!(Entry::read(&mut rest), Ok(Some(entry(b"two"))));
        assert_eq!(Entry::read(&mut rest), Ok(None));
        for name in [&b".."[..], b"a/b", b"a\0"] {
            let mut reply = Vec::new();
            entry(name).write(&mut reply, 100);
            assert_eq!(Entry::read(&mut &reply[..]), Err(errno::IO));
        }
        assert_eq!(Entry::read(&mut &[8, 200, 0, 1][..]), Err(errno::IO));
        assert_eq!(Entry::read(&mut &[8][..]), Err(errno::IO));
    }
}
