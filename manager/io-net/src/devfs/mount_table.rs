//! The kernel's table of mounts, as far as it concerns one directory.
//!
//! That a mount has left the tree shows here at once. The end of its FUSE session does not: it waits
//! until copies of the mount in other mount namespaces are gone too.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// What tells io-net's mounts from others of FUSE.
pub(super) const SUBTYPE: &str = "io-net";

/// `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
pub(super) struct MountTable {
    file: File,
    dir: PathBuf,
}

impl MountTable {
    /// The mounts below `dir`.
    pub(super) fn open(dir: &Path) -> io::Result<MountTable> {
        Ok(MountTable {
            file: File::open("/proc/self/mountinfo")?,
            dir: dir.canonicalize()?,
        })
    }

    /// A descriptor that epoll reports with `ERR` when the table has changed.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Names of io-net's mounts that are there now.
    pub(super) fn read(&mut self) -> io::Result<Vec<String>> {
        let mut table = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut table)?;
        let table = String::from_utf8_lossy(&table);
        Ok(table.lines().filter_map(|line| self.name(line)).collect())
    }

    /// `43 27 0:40 / /dev/io-net/en0 ro,... - fuse.io-net io-net ...`
    fn name(&self, line: &str) -> Option<String> {
        let (mount, kind) = line.split_once(" - ")?;
        let subtype = kind.split(' ').next()?.strip_prefix("fuse.")?;
        let place = PathBuf::from(unescaped(mount.split(' ').nth(4)?));
        let name = place.strip_prefix(&self.dir).ok()?.to_str()?;
        (subtype == SUBTYPE && !name.is_empty() && !name.contains('/')).then(|| name.to_owned())
    }
}

/// Blanks and backslashes are written as a backslash and three octal digits.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        rest = match code {
            Some(code) => {
                plain.push(char::from(code));
                &after[3..]
            }
            None => {
                plain.push('\\');
                after
            }
        };
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table() {
        let table = MountTable {
            file: File::open("/proc/self/mountinfo").unwrap(),
            dir: "/dev/io net".into(),
        };
        let line = |place: &str| format!("43 27 0:40 / {place} ro,nosuid - fuse.io-net io-net ro");
        let name = table.name(&line("/dev/io\\040net/en0"));
        assert_eq!(name.as_deref(), Some("en0"));
        for other in [
            "/",
            "/dev/io\\040net",
            "/dev/io\\040net/en0/x",
            "/dev/io-net/en0",
            "\\04",
        ] {
            assert_eq!(table.name(&line(other)), None, "{other}");
        }
        assert_eq!(table.name(""), None);
    }

    #[test]
    fn other_file_systems_are_none_of_ours() {
        let mut table = MountTable::open(Path::new("/")).unwrap();
        assert!(!table.read().unwrap().contains(&"proc".to_owned()));
        assert_eq!(table.name("22 1 0:21 / /proc rw - proc proc rw"), None);
        assert_eq!(
            table.name("22 1 0:21 / /mnt rw - fuse.sshfs host: rw"),
            None
        );
        let ours = table.name("22 1 0:21 / /en0 rw shared:2 - fuse.io-net io-net ro");
        assert_eq!(ours.as_deref(), Some("en0"));
    }
}
