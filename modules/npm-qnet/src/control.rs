//! Control calls in JSON: what `io-netctl qnet` shows.
//!
//! - `{"cmd":"nodes"}` gives `{"nodes":[{"nd","name","state","links","rtt_us"},...]}`;
//! - `{"cmd":"links"}` gives `{"links":[{"name","state","address","mtu","sent","received"},...]}`, those
//!   that are not there yet, but bound, among them;
//! - `{"cmd":"forget","node"}` gives `{}`: the node's key is no longer known;
//! - `{"cmd":"connections"}` gives `{"connections":[{"side","node","pid","chid","client","waiting"},...],"total"}`.

use crate::node::Node;
use io_net_ddk::Failure;
use io_net_ddk::errno::{EINVAL, ENOENT};
use io_net_qnet::transport::{LinkId, PathInfo};
use io_net_qnet::{Nd, NodeInfo, NodeName, Qnet};
use serde_json::{Value, json};

/// Connections that are listed, at most; an answer has room for so many.
const LISTED_MAX: usize = 200;

/// Serves one request.
///
/// # Errors
/// EINVAL for a request that makes no sense.
pub(crate) fn request(text: &[u8], node: &mut Node) -> Result<String, Failure> {
    let request: Value = serde_json::from_slice(text)
        .map_err(|error| Failure::new(EINVAL, format!("the request is not JSON: {error}")))?;
    let answer = match request.get("cmd").and_then(Value::as_str) {
        Some("nodes") => nodes(node),
        Some("links") => links(node),
        Some("connections") => connections(node),
        Some("forget") => forget(request.get("node"), node)?,
        _ => {
            let text = "unknown command: give nodes, links, connections or forget";
            return Err(Failure::new(EINVAL, text));
        }
    };
    Ok(answer.to_string())
}

fn nodes(node: &Node) -> Value {
    let names: Vec<&str> = node.links.iter().map(|(_, link)| &*link.name).collect();
    let own = json!({
        "nd": 0,
        "name": node.qnet.name().to_string(),
        "state": "here",
        "links": names.join(" "),
    });
    let others = node.qnet.nodes().into_iter().map(|info| {
        let paths = paths(node, &info);
        json!({
            "nd": info.nd.0,
            "name": info.name.to_string(),
            "state": if info.up { "up" } else { "down" },
            "links": column(paths.iter().map(|(name, _)| name.clone())),
            "rtt_us": column(paths.iter().map(|(_, rtt_us)| rtt_us.clone())),
        })
    });
    let nodes: Vec<Value> = std::iter::once(own)
        .chain(others.take(LISTED_MAX))
        .collect();
    json!({ "nodes": nodes })
}

/// The links over which a node is reached or was found, and the round-trip times over them.
fn paths(node: &Node, info: &NodeInfo) -> Vec<(String, String)> {
    let name_of = |id: LinkId| {
        let mut links = node.links.iter().filter(|(at, _)| *at == id);
        links
            .next()
            .map_or_else(|| "?".into(), |(_, link)| link.name.clone())
    };
    let Some(peer) = info.peer else {
        let found = info.paths.iter();
        return found.map(|(id, _)| (name_of(*id), "-".into())).collect();
    };
    let shown = |path: PathInfo| match path.is_up {
        true => (name_of(path.link), path.rtt.as_micros().to_string()),
        false => (format!("{}(down)", name_of(path.link)), "-".into()),
    };
    let paths = node.qnet.transport().paths(peer);
    paths.into_iter().map(shown).collect()
}

fn column(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

fn links(node: &Node) -> Value {
    let links = node.links.iter().map(|(_, link)| {
        json!({
            "name": link.name,
            "state": "up",
            "address": link.addr.to_string(),
            "mtu": link.mtu,
            "sent": link.sent,
            "received": link.received,
        })
    });
    let waiting = node.links.waiting();
    let absent = waiting.map(|name| json!({ "name": name, "state": "waits" }));
    json!({ "links": links.chain(absent).collect::<Vec<Value>>() })
}

/// Forgets the key of a node, in memory and in the file.
fn forget(name: Option<&Value>, node: &mut Node) -> Result<Value, Failure> {
    let name = name.and_then(Value::as_str).unwrap_or_default();
    let name = NodeName::parse_in(name, node.qnet.name().domain())
        .map_err(|why| Failure::new(EINVAL, format!("{name:?} is no node: {why}")))?;
    let path = node.known.path().display().to_string();
    let listed = node.known.forget(&name);
    let listed = listed.map_err(|e| Failure::io(format!("cannot change {path}"), &e))?;
    match node.qnet.forget_key(&name) || listed {
        true => Ok(json!({})),
        false => {
            let text = format!("no key of {name} is known, here or in {path}");
            Err(Failure::new(ENOENT, text))
        }
    }
}

/// Who is connected to whom.
pub(crate) struct Connection {
    /// Where the server is, where the client is.
    pub(crate) side: &'static str,
    /// The other node.
    pub(crate) nd: u32,
    /// The server's process and channel.
    pub(crate) pid: i32,
    pub(crate) chid: i32,
    /// The client's process.
    pub(crate) client: i32,
    /// Messages not replied to.
    pub(crate) waiting: usize,
}

fn connections(node: &Node) -> Value {
    let all = node.clients.list().chain(node.servers.list());
    let all: Vec<Connection> = all.collect();
    let shown = all.iter().take(LISTED_MAX).map(|connection| {
        json!({
            "side": connection.side,
            "node": name_of(&node.qnet, Nd(connection.nd)),
            "pid": connection.pid,
            "chid": connection.chid,
            "client": connection.client,
            "waiting": connection.waiting,
        })
    });
    json!({ "connections": shown.collect::<Vec<Value>>(), "total": all.len() })
}

fn name_of(qnet: &Qnet, nd: Nd) -> String {
    qnet.ndtostr(0, nd).unwrap_or_else(|| nd.0.to_string())
}
