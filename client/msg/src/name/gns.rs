//! The global name service, where this node has one: the program that knows which nodes have a name.

use std::time::Duration;

pub(super) use io_net_proto::gns::NAME;
use io_net_proto::gns::{LEN_MAX, question, subtype, texts};

use super::path::Scope;
use super::resolve;
use crate::error::{Error, Result};
use crate::{Connection, flags, timeout};

/// How long it may take to tell other nodes. It gives up before this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to this node's gns; nothing where it has none.
pub(super) fn connect() -> Option<Connection> {
    let place = resolve::here(Scope::Global, NAME)?;
    let index = flags::SIDE_CHANNEL;
    Connection::attach(place.nd, place.pid, place.chid, index, flags::COF_CLOEXEC).ok()
}

/// Has it look whether this node has a name.
pub(super) fn changed(gns: &Connection, name: &str) -> Result<()> {
    timeout::set(timeout::SEND | timeout::REPLY, Some(PATIENCE));
    let asked = gns.send(&question(subtype::CHANGED, [name]), &mut []);
    asked.map(drop)
}

/// The nodes that have a global name, best first.
pub(super) fn find(gns: &Connection, name: &str) -> Result<Vec<String>> {
    let mut reply = vec![0; LEN_MAX];
    timeout::set(timeout::SEND | timeout::REPLY, Some(PATIENCE));
    let message = question(subtype::FIND, [name]);
    let len = gns.send(&message, &mut reply)?.len.min(LEN_MAX);
    let nodes = texts(&reply[..len]).ok_or(Error::PROTOCOL)?;
    Ok(nodes.into_iter().map(str::to_owned).collect())
}
