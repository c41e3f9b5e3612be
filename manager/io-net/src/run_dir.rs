//! The directory where an io-net keeps its sockets.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Where instance `instance` keeps its sockets, unless told otherwise: `/run/io-net[N]` for root;
/// else in the user's runtime directory, or in `/tmp`.
#[must_use]
pub fn usual(instance: u32, uid: u32, user_dir: Option<&Path>) -> PathBuf {
    let number = |dash: &str| match instance {
        0 => String::new(),
        n => format!("{dash}{n}"),
    };
    match (uid, user_dir) {
        (0, _) => format!("/run/io-net{}", number("")).into(),
        (_, Some(dir)) => dir.join(format!("io-net{}", number(""))),
        (_, None) => format!("/tmp/io-net-{uid}{}", number("-")).into(),
    }
}

/// Makes the directory where it does not exist. Root's may be entered by all, others' by their
/// owner alone.
///
/// # Errors
/// It cannot be made, or somebody else's is in its place.
pub fn make(dir: &Path, uid: u32) -> Result<(), String> {
    let at = dir.display();
    let mode = if uid == 0 { 0o755 } else { 0o700 };
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(dir)
        .map_err(|e| format!("cannot make {at}: {e}; choose another with --run-dir"))?;
    let about = dir
        .symlink_metadata()
        .map_err(|e| format!("cannot look at {at}: {e}"))?;
    if !about.is_dir() || about.uid() != uid {
        return Err(format!(
            "{at} is not a directory of this user's; remove it, or choose another with --run-dir"
        ));
    }
    // Whoever may write there could put a socket in the place of ours.
    if about.mode() & 0o022 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(mode))
            .map_err(|e| format!("cannot close {at} to others: {e}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_and_user_has_its_own() {
        for (instance, uid, user_dir, dir) in [
            (0, 0, None, "/run/io-net"),
            (1, 0, Some("/run/user/0"), "/run/io-net1"),
            (0, 7, Some("/run/user/7"), "/run/user/7/io-net"),
            (2, 7, Some("/run/user/7"), "/run/user/7/io-net2"),
            (0, 7, None, "/tmp/io-net-7"),
            (2, 7, None, "/tmp/io-net-7-2"),
        ] {
            let got = usual(instance, uid, user_dir.map(Path::new));
            assert_eq!(got, Path::new(dir));
        }
    }

    #[test]
    fn it_is_made_and_closed_to_others() {
        let uid = io_net_os::task::user_id();
        let dir = std::env::temp_dir().join(format!("io-net-run-dir-{}", std::process::id()));
        make(&dir, uid).unwrap();
        std::fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        make(&dir, uid).unwrap();
        assert_eq!(dir.metadata().unwrap().mode() & 0o022, 0);
        assert!(make(&dir, uid + 1).is_err());
        std::fs::remove_dir(&dir).unwrap();
        std::fs::write(&dir, "").unwrap();
        assert!(make(&dir, uid).is_err());
        std::fs::remove_file(&dir).unwrap();
    }
}
