//! Working for another user: the calling thread's identity towards file systems.

use std::io;

/// Runs `work` with the rights that `uid` and `gid` have to files, and no other groups. Only the
/// calling thread is another meanwhile.
///
/// # Errors
/// EPERM where this process may not be that user; `work` has not run then.
pub fn as_user<T>(uid: u32, gid: u32, work: impl FnOnce() -> T) -> io::Result<T> {
    let before = (fs_uid(uid), fs_gid(gid));
    // Given back when this is left, by a panic too.
    let _guard = Guard(before);
    // The calls do not tell whether they did it.
    if (fs_uid(NOBODY_AT_ALL), fs_gid(NOBODY_AT_ALL)) != (uid, gid) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(work())
}

/// Takes the calling thread out of all groups but its first, where it has the right to.
pub fn leave_groups() {
    // SAFETY: no group is read. The system call, because the C library's function changes all threads.
    unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) };
}

/// The effective group id of this process.
#[must_use]
pub fn group_id() -> u32 {
    // SAFETY: getegid has no argument and cannot fail.
    unsafe { libc::getegid() }
}

/// An id that nobody can have: asking for it changes nothing.
const NOBODY_AT_ALL: u32 = u32::MAX;

/// Sets the user, and gives the one before.
fn fs_uid(uid: u32) -> u32 {
    // SAFETY: no memory argument.
    unsafe { libc::setfsuid(uid) }.cast_unsigned()
}

/// Sets the group, and gives the one before.
fn fs_gid(gid: u32) -> u32 {
    // SAFETY: no memory argument.
    unsafe { libc::setfsgid(gid) }.cast_unsigned()
}

struct Guard((u32, u32));

impl Drop for Guard {
    fn drop(&mut self) {
        let (uid, gid) = self.0;
        fs_uid(uid);
        fs_gid(gid);
        if (fs_uid(NOBODY_AT_ALL), fs_gid(NOBODY_AT_ALL)) != self.0 {
            // The next request on this thread would be somebody else's.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::user_id;

    #[test]
    fn oneself_one_may_always_be() {
        assert_eq!(as_user(user_id(), group_id(), || 7).unwrap(), 7);
    }

    #[test]
    fn another_user_has_his_own_rights() {
        let file = std::env::temp_dir().join(format!("io-net-os-identity-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, private).unwrap();
        let read = || std::fs::read(&file).map_err(|e| e.raw_os_error());
        match user_id() {
            0 => assert_eq!(
                as_user(65534, 65534, read).unwrap(),
                Err(Some(libc::EACCES))
            ),
            _ => assert!(as_user(0, 0, read).is_err()),
        }
        assert_eq!(read(), Ok(vec![]));
        assert!(as_user(u32::MAX, u32::MAX, read).is_err());
        std::fs::remove_file(&file).unwrap();
    }
}
