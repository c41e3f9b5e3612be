//! What stat tells, between the messages and FUSE. What another node says may be anything.

use crate::errno;
use crate::files::message::{Attributes, Change, change, kind};
use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use io_net_msg::Result;
use std::time::{Duration, SystemTime};

/// Seconds from 1970 that a time may be away: some 35,000 years.
const SECONDS_MAX: u64 = 1 << 40;

/// For FUSE, as file number `number`.
///
/// # Errors
/// EIO for what no file can be.
pub fn attr(number: u64, told: &Attributes) -> Result<FileAttr> {
    let size = told.size.get();
    if i64::try_from(size).is_err() || told.blocks.get() > u64::MAX / 512 {
        return Err(errno::IO);
    }
    let [atime, mtime, ctime] =
        [0, 1, 2].map(|n| time(told.seconds[n].get(), told.nanoseconds[n].get()));
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: told.blocks.get(),
        atime,
        mtime,
        ctime,
        crtime: SystemTime::UNIX_EPOCH,
        kind: file_type(told.mode.get()).ok_or(errno::IO)?,
        perm: (told.mode.get() & 0o7777) as u16,
        nlink: told.links.get(),
        uid: told.uid.get(),
        gid: told.gid.get(),
        rdev: 0,
        blksize: 1 << 20,
        flags: 0,
    })
}

/// A directory that everybody may look at.
#[must_use]
pub fn directory(number: u64) -> FileAttr {
    let plain = Attributes {
        mode: (kind::DIRECTORY | 0o555).into(),
        links: 2.into(),
        ..Attributes::default()
    };
    FileAttr {
        kind: FileType::Directory,
        ..attr(number, &plain).unwrap_or_else(|_| unreachable!("a directory is a file"))
    }
}

/// The type in st_mode.
#[must_use]
pub fn file_type(mode: u32) -> Option<FileType> {
    Some(match mode & kind::MASK {
        kind::FILE => FileType::RegularFile,
        kind::DIRECTORY => FileType::Directory,
        kind::LINK => FileType::Symlink,
        kind::FIFO => FileType::NamedPipe,
        kind::SOCKET => FileType::Socket,
        kind::BLOCK => FileType::BlockDevice,
        kind::CHARACTER => FileType::CharDevice,
        _ => return None,
    })
}

/// A time; 1970 for one that no file has.
fn time(seconds: i64, nanoseconds: u32) -> SystemTime {
    if seconds.unsigned_abs() > SECONDS_MAX {
        return SystemTime::UNIX_EPOCH;
    }
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let at = match seconds < 0 {
        true => SystemTime::UNIX_EPOCH - whole,
        false => SystemTime::UNIX_EPOCH + whole,
    };
    at + Duration::from_nanos(nanoseconds.min(999_999_999).into())
}

/// Adds a time to a change: `which` is READ_TIME or WRITE_TIME.
pub fn set_time(to: &mut Change, which: u32, at: TimeOrNow) {
    let at = match at {
        TimeOrNow::SpecificTime(at) => at,
        TimeOrNow::Now => SystemTime::now(),
    };
    let n = usize::from(which == change::WRITE_TIME);
    let (seconds, nanoseconds) = match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (since.as_secs().cast_signed(), since.subsec_nanos()),
        Err(before) => match (
            before.duration().as_secs(),
            before.duration().subsec_nanos(),
        ) {
            (s, 0) => (-s.cast_signed(), 0),
            (s, n) => (-s.cast_signed() - 1, 1_000_000_000 - n),
        },
    };
    to.what = (to.what.get() | which).into();
    to.seconds[n] = seconds.into();
    to.nanoseconds[n] = nanoseconds.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_file_can_be_is_refused() {
        let told = |mode: u32, size: u64, seconds: i64| Attributes {
            mode: mode.into(),
            size: size.into(),
            seconds: [seconds.into(); 3],
            nanoseconds: [u32::MAX.into(); 3],
            ..Attributes::default()
        };
        assert!(attr(2, &told(kind::FILE, 1, 0)).is_ok());
        assert!(attr(2, &told(0, 1, 0)).is_err());
        assert!(attr(2, &told(kind::FILE, u64::MAX, 0)).is_err());
        for seconds in [i64::MIN, i64::MAX] {
            let attr = attr(2, &told(kind::FILE, 1, seconds)).unwrap();
            assert_eq!(attr.mtime, SystemTime::UNIX_EPOCH);
        }
        assert_eq!(directory(5).ino, INodeNo(5));
    }

    #[test]
    fn times_survive_both_ways() {
        for at in [-1.5_f64, 0.0, 3.25] {
            let moment = match at < 0.0 {
                true => SystemTime::UNIX_EPOCH - Duration::from_secs_f64(-at),
                false => SystemTime::UNIX_EPOCH + Duration::from_secs_f64(at),
            };
            let mut to = Change::default();
            set_time(&mut to, change::WRITE_TIME, TimeOrNow::SpecificTime(moment));
            assert_eq!(time(to.seconds[1].get(), to.nanoseconds[1].get()), moment);
        }
    }
}
