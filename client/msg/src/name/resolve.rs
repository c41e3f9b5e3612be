//! From a path to a channel: this node's names are files, those of others are asked of Qnet.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use io_net_proto::name::{DIRECTORY, Entry};
use io_net_rendezvous::path as rendezvous;

use super::path::{Path, Scope};
use crate::error::{Error, Result};
use crate::{flags, netmgr};

/// Nobody serves the name.
const NONE: Error = Error(libc::ENOENT);

/// Where a channel is, as `ConnectAttach` wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Node.
    pub nd: u32,
    /// Process.
    pub pid: i32,
    /// Channel.
    pub chid: i32,
}

/// Finds the channel that has a name.
///
/// # Errors
/// ENOENT where nobody has it, EACCES, ENOTSUP for another node without Qnet; what Qnet says.
pub fn resolve(path: &Path<'_>) -> Result<Place> {
    match path.node {
        None => here(path),
        Some(node) => there(node, path),
    }
}

/// On this node; a global name that is not here may be on another.
fn here(path: &Path<'_>) -> Result<Place> {
    let run = rendezvous::run();
    let file = run
        .join(DIRECTORY)
        .join(path.scope.directory())
        .join(path.name);
    let found = read(&file)
        .filter(|entry| serves(&run, entry))
        .map(|entry| Place {
            nd: flags::ND_LOCAL_NODE,
            pid: entry.pid,
            chid: entry.chid,
        });
    match (found, path.scope) {
        (Some(place), _) => Ok(place),
        (None, Scope::Local) => Err(NONE),
        (None, Scope::Global) => match ask(flags::ND_LOCAL_NODE, path) {
            Err(Error(libc::ENOTSUP)) => Err(NONE),
            other => other,
        },
    }
}

/// On the node that was named, which may be this one.
fn there(node: &str, path: &Path<'_>) -> Result<Place> {
    let (nd, len) = netmgr::strtond(node)?;
    if len != node.len() {
        return Err(NONE);
    }
    if nd == flags::ND_LOCAL_NODE {
        here(path)
    } else {
        ask(nd, path)
    }
}

fn ask(nd: u32, path: &Path<'_>) -> Result<Place> {
    netmgr::resolve(nd, &path.below_dev_name())
}

/// Whether the channel of an entry is there: its process lives, and has not destroyed it.
pub(super) fn serves(run: &std::path::Path, entry: &Entry) -> bool {
    entry.is_alive() && rendezvous::channel(run, entry.pid, entry.chid).exists()
}

/// Reads an entry. Others may write to the directory: whatever is there, this neither waits nor
/// reads on for ever.
pub(super) fn read(file: &std::path::Path) -> Option<Entry> {
    let opened = std::fs::File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(file)
        .ok()?;
    if !opened.metadata().ok()?.is_file() {
        return None;
    }
    let mut line = String::new();
    opened.take(100).read_to_string(&mut line).ok()?;
    Entry::parse(&line)
}
