//! Where channels are found: `RUN/msg/PID.CHID`, and Qnet at `RUN/msg/qnet`.
//!
//! RUN is io-net's runtime directory, so a node is a directory. `SOCK` names it. Without `SOCK` it
//! is `/run/io-net` for root, and for everybody once it has a `msg` that everybody may write; else
//! the user's own.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use io_net_os::unix;

/// Instance 0's runtime directory.
const SYSTEM: &str = "/run/io-net";
/// Everybody makes files, and only who made one takes it away.
const SHARED_MODE: u32 = 0o1777;

/// io-net's runtime directory as this process sees it.
#[must_use]
pub fn run() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    if let Some(dir) = set("SOCK") {
        return dir.into();
    }
    let uid = io_net_os::task::user_id();
    if uid == 0 || is_shared(&Path::new(SYSTEM).join("msg")) {
        return SYSTEM.into();
    }
    match set("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("io-net"),
        None => format!("/tmp/io-net-{uid}").into(),
    }
}

fn is_shared(dir: &Path) -> bool {
    let shared = |meta: std::fs::Metadata| {
        meta.is_dir() && meta.uid() == 0 && meta.mode() & SHARED_MODE == SHARED_MODE
    };
    dir.symlink_metadata().is_ok_and(shared)
}

/// The directory of the channels under `run`.
#[must_use]
pub fn channels(run: &Path) -> PathBuf {
    run.join("msg")
}

/// A channel's socket under `run`.
#[must_use]
pub fn channel(run: &Path, pid: i32, chid: i32) -> PathBuf {
    channels(run).join(format!("{pid}.{chid}"))
}

/// Qnet's socket under `run`.
#[must_use]
pub fn qnet(run: &Path) -> PathBuf {
    channels(run).join("qnet")
}

/// Makes the directory of the channels, for everybody.
///
/// # Errors
/// The kernel's: EACCES, EROFS, ...
pub fn make(run: &Path) -> io::Result<()> {
    let dir = channels(run);
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(run)?;
    match std::fs::create_dir(&dir) {
        // The umask takes bits off what mkdir is given.
        Ok(()) => std::fs::set_permissions(&dir, PermissionsExt::from_mode(SHARED_MODE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The process that listens on a channel's socket, as this process's PID namespace numbers it: 0 for
/// one of a namespace that this one does not see. None: nobody listens. The server takes the look for
/// a client that hangs up at once.
#[must_use]
pub fn listener(channel: &Path) -> Option<i32> {
    match unix::try_connect_seqpacket(channel) {
        Ok(fd) => unix::peer_credentials(fd.as_fd()).ok().map(|peer| peer.pid),
        // Too many clients wait there already.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
        Err(_) => None,
    }
}

/// Removes the sockets of processes that there are no more. Processes of other PID namespaces may have
/// any numbers: whose socket is listened on lives.
pub fn sweep(run: &Path) {
    let Ok(entries) = channels(run).read_dir() else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.split_once('.')?.0.parse().ok());
        if pid.is_some_and(|pid| !io_net_os::task::thread_exists(pid))
            && listener(&entry.path()).is_none()
        {
            // Another user's, or gone already.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_for_everybody_without_what_is_stale() {
        let run = std::env::temp_dir().join(format!("io-net-rendezvous-{}", std::process::id()));
        make(&run).unwrap();
        make(&run).unwrap();
        let mode = channels(&run).metadata().unwrap().mode();
        assert_eq!(mode & 0o7777, SHARED_MODE);
        let own = channel(&run, std::process::id().cast_signed(), 3);
        let stale = channel(&run, i32::MAX, 3);
        for path in [&own, &stale, &qnet(&run)] {
            std::fs::write(path, "").unwrap();
        }
        sweep(&run);
        assert!(own.exists() && !stale.exists() && qnet(&run).exists());
        std::fs::remove_dir_all(&run).unwrap();
    }
}
