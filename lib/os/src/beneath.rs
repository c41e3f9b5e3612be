//! A directory out of which no path leads: openat2 (Linux 5.6).
//!
//! No link is followed, not even one that stays inside: who serves files to others by path lets them
//! follow links themselves.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A directory, and what is below it.
#[derive(Debug)]
pub struct Beneath(OwnedFd);

impl Beneath {
    /// Opens the directory; links on the way to it are followed.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, EACCES.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        openat2(libc::AT_FDCWD, dir, flags, 0, 0).map(Self)
    }

    /// What is at `path` below it, itself for an empty one; only to be named by [`path_of`] and
    /// looked at, not opened. A link in the last place is found, not followed.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, EACCES; ELOOP for a link on the way, EXDEV for a path that leads out.
    pub fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        self.at(path, libc::O_PATH | libc::O_NOFOLLOW, 0)
    }

    /// Makes a file at `path` that was not there, to be read and written. The umask applies.
    ///
    /// # Errors
    /// EEXIST, and as [`Beneath::find`].
    pub fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        self.at(path, flags, mode).map(File::from)
    }

    fn at(&self, path: &Path, flags: i32, mode: u32) -> io::Result<OwnedFd> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let resolve =
            libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
        openat2(self.0.as_raw_fd(), path, flags, mode, resolve)
    }
}

/// The path by which this process may use what a descriptor is, whatever its name is by now.
#[must_use]
pub fn path_of(fd: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

fn openat2(dir: i32, path: &Path, flags: i32, mode: u32, resolve: u64) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all-zero bytes are a valid open_how.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    how.mode = mode.into();
    how.resolve = resolve;
    let (path, how, size) = (path.as_ptr(), &raw const how, size_of::<libc::open_how>());
    // SAFETY: the kernel reads the NUL-terminated path and `size` bytes of `how` during the call.
    let fd = unsafe { libc::syscall(libc::SYS_openat2, dir, path, how, size) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this fd, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn errno(result: io::Result<impl std::fmt::Debug>) -> Option<i32> {
        result.unwrap_err().raw_os_error()
    }

    #[test]
    fn no_path_leads_out() {
        let dir = std::env::temp_dir().join(format!("io-net-os-beneath-{}", std::process::id()));
        fs::create_dir_all(dir.join("in/deep")).unwrap();
        fs::write(dir.join("in/deep/file"), "here").unwrap();
        fs::write(dir.join("secret"), "").unwrap();
        symlink("../secret", dir.join("in/out")).unwrap();
        symlink("deep", dir.join("in/link")).unwrap();
        let beneath = Beneath::open(&dir.join("in")).unwrap();
        let at = |path: &str| beneath.find(Path::new(path));
        let file = at("deep/file").unwrap();
        assert_eq!(fs::read_to_string(path_of(&file)).unwrap(), "here");
        assert!(at("").is_ok());
        assert_eq!(errno(at("../secret")), Some(libc::EXDEV));
        assert_eq!(errno(at("/etc/passwd")), Some(libc::EXDEV));
        assert_eq!(errno(at("link/file")), Some(libc::ELOOP));
        let link = File::from(at("out").unwrap());
        assert!(link.metadata().unwrap().is_symlink());
        let made = |path: &str| beneath.create(Path::new(path), 0o600);
        assert_eq!(errno(made("out")), Some(libc::EEXIST));
        assert_eq!(errno(made("../new")), Some(libc::EXDEV));
        assert!(made("deep/new").is_ok());
        fs::remove_dir_all(&dir).unwrap();
    }
}
