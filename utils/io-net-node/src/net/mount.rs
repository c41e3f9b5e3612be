//! The mount: made, tuned, and taken away when it is dropped.

use super::filesystem::Net;
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// ENOTCONN: whoever served this mount is gone.
const NOT_CONNECTED: i32 = 107;
/// Read ahead of a program that reads in order: the pieces that are under way at once.
const READ_AHEAD_KIB: u32 = 4096;

/// Other nodes' files, mounted.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
    session: Option<BackgroundSession>,
    /// Whether the directory was made for it.
    made: bool,
}

impl Mount {
    /// Mounts at `at`, which is made if it is not there, for the node whose io-net runs in `run`.
    ///
    /// # Errors
    /// Where something is mounted already, or nothing can be.
    pub fn new(at: &Path, run: &Path) -> io::Result<Self> {
        let (at, made) = make_place(at)?;
        let net = Net::new(&at, run)?;
        let session = Session::new(net, &at, &config()).and_then(Session::spawn)?;
        tune(&at);
        Ok(Self {
            at,
            session: Some(session),
            made,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // At once, even with somebody inside: nobody serves it any more.
        let _ = io_net_os::mount::detach(&self.at);
        drop(self.session.take());
        if self.made {
            let _ = fs::remove_dir(&self.at);
        }
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("net".into()),
        MountOption::Subtype("io-net-node".into()),
        // What another node says of a file gives no rights here.
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
    ];
    // Another user is let in only to what root has mounted.
    config.acl = match io_net_os::task::user_id() {
        0 => SessionACL::All,
        _ => SessionACL::Owner,
    };
    config
}

/// Makes the directory to mount at, and says whether it was not there. A mount that is dead is
/// taken away first; one that lives is somebody else's.
fn make_place(at: &Path) -> io::Result<(PathBuf, bool)> {
    if matches!(fs::metadata(at), Err(e) if e.raw_os_error() == Some(NOT_CONNECTED)) {
        io_net_os::mount::detach(at)?;
    }
    let made = match fs::create_dir(at) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    let at = at.canonicalize()?;
    let parent = at.parent().unwrap_or(&at);
    if fs::metadata(&at)?.dev() != fs::metadata(parent)?.dev() {
        return Err(io::Error::other("something is mounted there already"));
    }
    Ok((at, made))
}

/// Has the kernel read further ahead than on a disk, where it lets us.
fn tune(at: &Path) {
    if let Ok(meta) = fs::metadata(at) {
        // A device number's parts as the kernel's new encoding has them; a mount without a device
        // has major 0.
        let minor = meta.dev() & 0xff | meta.dev() >> 12 & 0xf_ff00;
        let file = format!("/sys/class/bdi/0:{minor}/read_ahead_kb");
        let _ = fs::write(file, READ_AHEAD_KIB.to_string());
    }
}
