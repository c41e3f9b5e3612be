//! The messages of `sys/iomsg.h`, as they lie in memory.
//!
//! Numbers are in the byte order of the machine.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a message asks: its first word.
pub mod kind {
    /// The first number that belongs to files.
    pub const BASE: u16 = 0x100;
    /// The last one.
    pub const MAX: u16 = 0x1ff;
    /// Opens: a [`super::Connect`] and a path.
    pub const CONNECT: u16 = 0x100;
    /// Reads: a [`super::Transfer`].
    pub const READ: u16 = 0x101;
    /// Writes: a [`super::Transfer`] and the bytes.
    pub const WRITE: u16 = 0x102;
    /// Describes: a [`super::Plain`], answered by a [`super::StatReply`].
    pub const STAT: u16 = 0x104;
    /// Commands: a [`super::Devctl`] and data, answered by a [`super::DevctlReply`] and data.
    pub const DEVCTL: u16 = 0x106;
    /// Moves the offset: a [`super::Seek`], answered by the offset, 8 bytes.
    pub const LSEEK: u16 = 0x109;
    /// Whatever a manager understands: a `_io_msg`.
    pub const MSG: u16 = 0x113;
    /// Closes: a [`super::Plain`].
    pub const CLOSE: u16 = 0x116;
    /// Waits until all is written: a [`super::Plain`].
    pub const SYNC: u16 = 0x119;
}

/// [`Connect::subtype`]: opens the file.
pub const CONNECT_OPEN: u16 = 2;

/// [`Connect::ioflag`]: opened for reading.
pub const FLAG_READ: u32 = 1;
/// [`Connect::ioflag`]: opened for writing.
pub const FLAG_WRITE: u32 = 2;

/// [`Transfer::xtype`]: at the file's own offset.
pub const XTYPE_NONE: u32 = 0;
/// [`Transfer::xtype`]: an `i64` behind the header is the offset, and the file's own stays.
pub const XTYPE_OFFSET: u32 = 5;
/// [`Transfer::xtype`]: a directory's entries, as [`Dirent`]s.
pub const XTYPE_READDIR: u32 = 9;
/// The bits of [`Transfer::xtype`] that hold the type.
pub const XTYPE_MASK: u32 = 0xff;

/// The longest path of an open, in bytes, with its NUL.
pub const PATH_MAX: usize = 1024;

/// `struct _io_connect` up to its path.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Connect {
    /// [`kind::CONNECT`].
    pub kind: u16,
    /// [`CONNECT_OPEN`].
    pub subtype: u16,
    /// 0: any.
    pub file_type: u32,
    /// Bytes of room for the reply.
    pub reply_max: u16,
    /// 0.
    pub entry_max: u16,
    /// 0.
    pub key: u32,
    /// 0.
    pub handle: u32,
    /// `FLAG_*`, and the `O_*` of the open without its access mode.
    pub ioflag: u32,
    /// Permissions of a file that is made.
    pub mode: u32,
    /// 0.
    pub sflag: u16,
    /// 0.
    pub access: u16,
    /// 0.
    pub zero: u16,
    /// Bytes of the path, its NUL included.
    pub path_len: u16,
    /// 0.
    pub eflag: u8,
    /// 0.
    pub extra_type: u8,
    /// 0.
    pub extra_len: u16,
}

/// `struct _io_read` and `struct _io_write`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Transfer {
    /// [`kind::READ`] or [`kind::WRITE`].
    pub kind: u16,
    /// 0.
    pub combine_len: u16,
    /// Bytes.
    pub nbytes: i32,
    /// `XTYPE_*`.
    pub xtype: u32,
    /// 0.
    pub zero: u32,
}

/// `struct _io_lseek`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Seek {
    /// [`kind::LSEEK`].
    pub kind: u16,
    /// 0.
    pub combine_len: u16,
    /// SEEK_SET, SEEK_CUR or SEEK_END.
    pub whence: i16,
    /// 0.
    pub zero: u16,
    /// Bytes.
    pub offset: i64,
}

/// `struct _io_stat`, `struct _io_close`: a message that only has a type.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Plain {
    /// [`kind::STAT`], [`kind::CLOSE`], [`kind::SYNC`].
    pub kind: u16,
    /// 0.
    pub combine_len: u16,
    /// 0.
    pub zero: u32,
}

/// `struct _io_stat_reply`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct StatReply {
    /// A number for the file.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// The device that it is.
    pub rdev: u64,
    /// Last read, in seconds since 1970.
    pub atime: i64,
    /// Last written.
    pub mtime: i64,
    /// Last changed otherwise.
    pub ctime: i64,
    /// Type and permissions.
    pub mode: u32,
    /// Names that it has.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// `struct _io_dirent` up to its name, which ends with a NUL.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Dirent {
    /// A number for the file, not 0.
    pub ino: u64,
    /// The directory's offset at which the next entry is.
    pub next: u64,
    /// Bytes of this entry, a multiple of 8.
    pub reclen: u16,
    /// Bytes of the name, without its NUL.
    pub namelen: u16,
    /// 0.
    pub zero: u32,
}

/// The longest name of an entry, without its NUL.
pub const NAME_MAX: usize = 255;

impl Dirent {
    /// An entry with its name, padded; None for a name that cannot be one.
    #[must_use]
    pub fn with_name(ino: u64, next: u64, name: &str) -> Option<Vec<u8>> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > NAME_MAX || bytes.iter().any(|b| [0, b'/'].contains(b))
        {
            return None;
        }
        let len = (size_of::<Self>() + bytes.len() + 1).next_multiple_of(8);
        let head = Self {
            ino,
            next,
            reclen: len as u16,
            namelen: bytes.len() as u16,
            zero: 0,
        };
        let mut record = head.as_bytes().to_vec();
        record.extend_from_slice(bytes);
        record.resize(len, 0);
        Some(record)
    }

    /// The first entry of what a manager has said, its name, and what follows it.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &str, &[u8])> {
        let (head, rest) = Self::read_from_prefix(bytes).ok()?;
        let name = rest.get(..head.namelen.into())?;
        let whole = size_of::<Self>() + name.len();
        let later = bytes.get(usize::from(head.reclen).max(whole)..)?;
        Some((head, std::str::from_utf8(name).ok()?, later))
    }
}

/// `struct _io_devctl`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Devctl {
    /// [`kind::DEVCTL`].
    pub kind: u16,
    /// 0.
    pub combine_len: u16,
    /// The command.
    pub dcmd: u32,
    /// Bytes of data.
    pub nbytes: i32,
    /// 0.
    pub zero: i32,
}

/// `struct _io_devctl_reply`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DevctlReply {
    /// 0.
    pub zero: u32,
    /// What the command returns.
    pub ret_val: i32,
    /// Bytes of data.
    pub nbytes: i32,
    /// 0.
    pub zero2: i32,
}

const _: () = {
    assert!(size_of::<Connect>() == 40);
    assert!(size_of::<Transfer>() == 16);
    assert!(size_of::<Seek>() == 16);
    assert!(size_of::<Plain>() == 8);
    assert!(size_of::<StatReply>() == 64);
    assert!(size_of::<Devctl>() == 16);
    assert!(size_of::<DevctlReply>() == 16);
    assert!(size_of::<Dirent>() == 24);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_one_behind_the_other() {
        let names = ["a", "sixteen bytes on", "x"];
        let records = (1..)
            .zip(names)
            .map(|(n, name)| Dirent::with_name(n, n, name).unwrap());
        let bytes = records.collect::<Vec<_>>().concat();
        let (mut rest, mut found) = (&bytes[..], Vec::new());
        while let Some((head, name, later)) = Dirent::parse(rest) {
            assert_eq!(head.ino, head.next);
            found.push(name);
            rest = later;
        }
        assert_eq!(found, names);
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_no_entry_is_none() {
        assert_eq!(Dirent::with_name(1, 1, ""), None);
        assert_eq!(Dirent::with_name(1, 1, "a/b"), None);
        assert_eq!(Dirent::with_name(1, 1, &"n".repeat(256)), None);
        let record = Dirent::with_name(1, 1, "name").unwrap();
        for len in 0..record.len() {
            assert!(Dirent::parse(&record[..len]).is_none(), "{len}");
        }
    }
}
