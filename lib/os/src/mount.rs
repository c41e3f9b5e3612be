//! Taking mounts away.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Takes what is mounted at `path` out of the tree at once. It ends when the last who has something
/// open in it closes that. Links are not followed.
///
/// # Errors
/// EPERM without the right to unmount, EINVAL where nothing is mounted, ENOENT.
pub fn detach(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the kernel reads the NUL-terminated path during the call.
    match unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mount_is_refused() {
        let error = detach(Path::new("/nonexistent/place")).unwrap_err();
        assert!(matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
        ));
        assert!(detach(Path::new("with\0nul")).is_err());
    }
}
