//! Which nodes there are, as Qnet knows them.

use io_net_msg::{Error, Result, netmgr, timeout};
use io_net_proto::control::{LINE_MAX, Reply, Request, SOCKET_NAME};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long io-net may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The names of the nodes that Qnet has met, this one among them; none without Qnet.
#[must_use]
pub fn known(run: &Path) -> Vec<String> {
    let nodes = ask(run).unwrap_or_default();
    let nodes = nodes.get("nodes").and_then(Value::as_array);
    let names = nodes.into_iter().flatten().filter_map(|node| {
        let name = node.get("name")?.as_str()?;
        is_name(name).then(|| name.to_owned())
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// Whether there is a node that this text, all of it, names: `lab2`, `lab2~preferred:en0`.
///
/// # Errors
/// ENOENT where there is none; EIO, ENOTSUP where Qnet cannot be asked.
pub fn check(text: &str) -> Result<()> {
    timeout::set(timeout::SEND | timeout::REPLY, Some(PATIENCE));
    let (_, len) = netmgr::strtond(text)?;
    match is_name(text) && len == text.len() {
        true => Ok(()),
        false => Err(crate::errno::NOENT),
    }
}

fn is_name(name: &str) -> bool {
    crate::files::message::is_name(name.as_bytes())
}

fn ask(run: &Path) -> io::Result<Value> {
    let mut stream = UnixStream::connect(run.join(SOCKET_NAME))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = Request::Devctl {
        name: "qnet".into(),
        body: r#"{"cmd":"nodes"}"#.into(),
    };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    let mut limited = BufReader::new(stream).take(LINE_MAX as u64);
    limited.read_until(b'\n', &mut answer)?;
    match serde_json::from_slice(&answer)? {
        Reply::Devctl { body } => Ok(serde_json::from_str(&body)?),
        _ => Err(Error::NO_SYS.into()),
    }
}
