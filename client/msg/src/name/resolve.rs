//! From a path to a channel: this node's names are files, those of others are asked of gns and of Qnet.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use io_net_proto::name::{DIRECTORY, Entry};
use io_net_rendezvous::path as rendezvous;

use super::gns;
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

/// Finds the channel that has a name. A global name that this node has not may be another's.
///
/// # Errors
/// ENOENT where nobody has it, EACCES, ENOTSUP for another node without Qnet; EHOSTUNREACH where
/// nobody answers who would know; what Qnet says.
pub fn resolve(path: &Path<'_>) -> Result<Place> {
    match (path.node, path.scope) {
        (Some(node), _) => there(node, path),
        (None, Scope::Local) => here(path.scope, path.name).ok_or(NONE),
        (None, Scope::Global) => here(path.scope, path.name).map_or_else(|| elsewhere(path), Ok),
    }
}

/// On this node: the channel of a living process.
#[must_use]
pub fn here(scope: Scope, name: &str) -> Option<Place> {
    let run = rendezvous::run();
    let file = run.join(DIRECTORY).join(scope.directory()).join(name);
    let entry = read(&file).filter(|entry| serves(&run, entry))?;
    Some(Place {
        nd: flags::ND_LOCAL_NODE,
        pid: entry.pid,
        chid: entry.chid,
    })
}

/// On the node that was named, which may be this one.
fn there(node: &str, path: &Path<'_>) -> Result<Place> {
    let (nd, len) = netmgr::strtond(node)?;
    if len != node.len() {
        return Err(NONE);
    }
    if nd == flags::ND_LOCAL_NODE {
        here(path.scope, path.name).ok_or(NONE)
    } else {
        ask(nd, path)
    }
}

/// A global name on other nodes: on those that gns knows to have it, or without gns on those that
/// Qnet has met. Whether a node still has it only that node can say.
fn elsewhere(path: &Path<'_>) -> Result<Place> {
    let Some(gns) = gns::connect() else {
        return match ask(flags::ND_LOCAL_NODE, path) {
            Err(Error(libc::ENOTSUP)) => Err(NONE),
            other => other,
        };
    };
    let nodes = gns::find(&gns, path.name)?;
    let mut found = nodes.iter().map(|node| there(node, path));
    found.find_map(Result::ok).ok_or(NONE)
}

fn ask(nd: u32, path: &Path<'_>) -> Result<Place> {
    netmgr::resolve(nd, &path.below_dev_name())
}

/// Whether the channel of an entry is there: its process lives, and has not destroyed it.
pub(super) fn serves(run: &std::path::Path, entry: &Entry) -> bool {
    let channel = rendezvous::channel(run, entry.pid, entry.chid);
    if entry.is_alive() {
        return channel.exists();
    }
    entry.is_elsewhere(rendezvous::listener(&channel))
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
