//! What a device tells of itself, and who may open it.

use std::time::{SystemTime, UNIX_EPOCH};

use super::message::{FLAG_READ, FLAG_WRITE, StatReply};
use crate::ClientInfo;
use crate::error::{Error, Result};

/// A device's owner, permissions, size and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Type and permissions: `S_IFCHR | 0o666`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Last read, in seconds since 1970.
    pub atime: i64,
    /// Last written.
    pub mtime: i64,
    /// Last changed otherwise.
    pub ctime: i64,
}

impl Attributes {
    /// A device that has no size, of root's, with these permissions.
    #[must_use]
    pub fn device(permissions: u32) -> Self {
        Self::new(libc::S_IFCHR | permissions & 0o7777, 0)
    }

    /// A file of so many bytes, of root's, with these permissions.
    #[must_use]
    pub fn file(permissions: u32, size: u64) -> Self {
        Self::new(libc::S_IFREG | permissions & 0o7777, size)
    }

    /// A directory of root's, with these permissions.
    #[must_use]
    pub fn directory(permissions: u32) -> Self {
        Self::new(libc::S_IFDIR | permissions & 0o7777, 0)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    fn new(mode: u32, size: u64) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            size,
            atime: 0,
            mtime: 0,
            ctime: 0,
        }
    }

    /// Whether the client may open it with these `FLAG_*`, as the kernel would judge.
    ///
    /// # Errors
    /// EACCES.
    pub fn permit(&self, client: &ClientInfo, ioflag: u32) -> Result<()> {
        let class = if client.uid == self.uid {
            self.mode >> 6
        } else if client.is_in(self.gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        let want = |flag, bit| if ioflag & flag != 0 { bit } else { 0 };
        let wanted = want(FLAG_READ, 0o4) | want(FLAG_WRITE, 0o2);
        // On this node, that is: who comes from another is mapped before.
        if client.uid == 0 || class & wanted == wanted {
            Ok(())
        } else {
            Err(Error(libc::EACCES))
        }
    }

    /// As `_IO_STAT` is answered.
    #[must_use]
    pub fn reply(&self) -> StatReply {
        StatReply {
            ino: 1,
            size: self.size,
            rdev: 0,
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
            mode: self.mode,
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
        }
    }
}

/// Now, in seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_judged_by_the_first_class_that_fits() {
        let device = Attributes {
            uid: 5,
            gid: 6,
            ..Attributes::device(0o246)
        };
        let may = |uid, gid, ioflag| {
            let client = ClientInfo {
                uid,
                gid,
                ..ClientInfo::default()
            };
            device.permit(&client, ioflag).is_ok()
        };
        // The owner writes, its group reads, others do both, root does anything.
        assert!(may(5, 6, FLAG_WRITE) && !may(5, 6, FLAG_READ));
        assert!(may(7, 6, FLAG_READ) && !may(7, 6, FLAG_READ | FLAG_WRITE));
        assert!(may(7, 8, FLAG_READ | FLAG_WRITE));
        assert!(may(0, 0, FLAG_READ | FLAG_WRITE));
    }
}
