//! A client of etcd's JSON interface (the gateway to its version 3 API, at `/v3/`): what nodes and names
//! need of it, which is keys that last as long as their owner says so.
//!
//! Any thread; every call waits for a server, no longer than its patience. A call goes to the server that
//! answered the last one, or else to the next that answers.
//!
//! | file | what it holds |
//! | --- | --- |
//! | this | requests and what they come to |
//! | `http` | one request to one server |
#![forbid(unsafe_code)]

mod http;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A cluster's servers.
#[derive(Debug)]
pub struct Etcd {
    servers: Vec<SocketAddr>,
    /// Which of them answered last.
    last: AtomicUsize,
    patience: Duration,
}

/// Keys that are put under it go when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease(i64);

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

impl Etcd {
    /// The cluster of these servers, each of which may take `patience` to connect, and to answer.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>, patience: Duration) -> Self {
        Self {
            servers,
            last: AtomicUsize::new(0),
            patience,
        }
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// As all requests here: no server answers, or not as etcd does; or what etcd says against it.
    pub fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let answer = self.post("kv/range", &json!({ "key": STANDARD.encode(key) }))?;
        Ok(entries(&answer)?.pop().map(|(_, value)| value))
    }

    /// All keys from `first` on and before `end`, with their values, oldest first.
    ///
    /// # Errors
    /// As [`Etcd::get`].
    pub fn range(&self, first: &[u8], end: &[u8]) -> io::Result<Vec<Entry>> {
        let wanted = json!({
            "key": STANDARD.encode(first),
            "range_end": STANDARD.encode(end),
            "sort_target": "CREATE",
            "sort_order": "ASCEND",
        });
        entries(&self.post("kv/range", &wanted)?)
    }

    /// Sets `key`, for as long as `lease` lasts.
    ///
    /// # Errors
    /// As [`Etcd::get`]; the lease may have ended.
    pub fn put(&self, key: &[u8], value: &[u8], lease: Lease) -> io::Result<()> {
        let entry = json!({
            "key": STANDARD.encode(key),
            "value": STANDARD.encode(value),
            "lease": lease.0.to_string(),
        });
        self.post("kv/put", &entry).map(drop)
    }

    /// Takes `key` away, if it is there.
    ///
    /// # Errors
    /// As [`Etcd::get`].
    pub fn delete(&self, key: &[u8]) -> io::Result<()> {
        let entry = json!({ "key": STANDARD.encode(key) });
        self.post("kv/deleterange", &entry).map(drop)
    }

    /// A lease that ends `seconds` after it was last kept alive.
    ///
    /// # Errors
    /// As [`Etcd::get`].
    pub fn grant(&self, seconds: u64) -> io::Result<Lease> {
        let answer = self.post("lease/grant", &json!({ "TTL": seconds.to_string() }))?;
        number(answer.get("ID")).map(Lease).ok_or_else(strange)
    }

    /// Keeps a lease alive. Returns false where it has ended.
    ///
    /// # Errors
    /// As [`Etcd::get`].
    pub fn keep_alive(&self, lease: Lease) -> io::Result<bool> {
        let wanted = json!({ "ID": lease.0.to_string() });
        let answer = self.post("lease/keepalive", &wanted)?;
        let result = answer.get("result").ok_or_else(strange)?;
        Ok(number(result.get("TTL")).is_some_and(|left| left > 0))
    }

    /// Ends a lease, and takes its keys away.
    ///
    /// # Errors
    /// As [`Etcd::get`].
    pub fn revoke(&self, lease: Lease) -> io::Result<()> {
        let wanted = json!({ "ID": lease.0.to_string() });
        self.post("lease/revoke", &wanted).map(drop)
    }

    /// Asks the servers in turn, from the one that answered last on, until one answers.
    fn post(&self, request: &str, body: &Value) -> io::Result<Value> {
        let first = self.last.load(Ordering::Relaxed);
        let mut failed = io::Error::from(ErrorKind::NotConnected);
        for at in (0..self.servers.len()).map(|n| (first + n) % self.servers.len()) {
            let server = self.servers[at];
            match http::post(server, &format!("/v3/{request}"), body, self.patience) {
                Ok(answer) => {
                    self.last.store(at, Ordering::Relaxed);
                    return answer.map_err(|why| io::Error::other(format!("{server}: {why}")));
                }
                Err(error) => {
                    let text = format!("{server} does not answer: {error}");
                    failed = io::Error::new(error.kind(), text);
                }
            }
        }
        Err(failed)
    }
}

/// Keys and values in the answer to a range request.
fn entries(answer: &Value) -> io::Result<Vec<Entry>> {
    let Some(listed) = answer.get("kvs") else {
        return Ok(Vec::new());
    };
    let bytes = |entry: &Value, what: &str| match entry.get(what) {
        // Empty ones are left out.
        None => Some(Vec::new()),
        Some(text) => STANDARD.decode(text.as_str()?).ok(),
    };
    let of = |entry: &Value| Some((bytes(entry, "key")?, bytes(entry, "value")?));
    let listed = listed.as_array().ok_or_else(strange)?;
    let entries: Option<Vec<Entry>> = listed.iter().map(of).collect();
    entries.ok_or_else(strange)
}

/// A number of 64 bits, which JSON of etcd has as a text.
fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

fn strange() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the answer is not etcd's")
}

#[cfg(test)]
mod tests;
