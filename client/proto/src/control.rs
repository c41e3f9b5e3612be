//! The manager's control protocol: `io-netctl` and friends talk to `SOCK/control`.
//!
//! `control` is a Unix stream socket; peers with uid 0 or io-net's own may use it. Each side writes
//! JSON, one message a line. The client sends one [`Request`] and reads one [`Reply`], any number
//! of times; only [`Request::Log`] with `follow` gets replies until either side closes. Unknown
//! fields are an error, so that a misspelt one is not ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// File name of the control socket in the runtime directory.
pub const SOCKET_NAME: &str = "control";

/// The longest line that either side accepts, in bytes.
pub const LINE_MAX: usize = 1 << 20;

/// A kind of module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `devn-`
    Driver,
    /// `nfm-`
    Filter,
    /// `ncm-`
    Converter,
    /// `npm-`
    Protocol,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Load a module and start it: answered by [`Reply::Mounted`].
    Mount {
        /// What it must be; absent: what the module says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<Kind>,
        /// A short name (`tap`), a file name (`devn-tap.so`) or a path.
        path: String,
        /// Comma-separated, as on the command line.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        options: String,
    },
    /// Stop and unload a registrant: answered by [`Reply::Done`], or EBUSY with the names of those
    /// that depend on it.
    Umount {
        /// `en0`, `tcpip`, `bridge0`, ..., also as `/dev/io-net/en0`.
        name: String,
    },
    /// The graph: answered by [`Reply::Graph`].
    Graph,
    /// All counters: answered by [`Reply::Stats`].
    Stats,
    /// Interfaces as QNX's `nicinfo` tells them: answered by [`Reply::Nics`].
    Nicinfo {
        /// One of them; absent: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The log: answered by [`Reply::Log`].
    Log {
        /// Go on sending lines as they come.
        #[serde(default)]
        follow: bool,
    },
    /// A control call to a registrant, whose meaning is the module's (ifconfig, route, arp, netstat
    /// of `npm-tcpip`): answered by [`Reply::Devctl`].
    Devctl {
        /// The registrant.
        name: String,
        /// JSON text.
        body: String,
    },
    /// Stop io-net: answered by [`Reply::Done`] before it ends.
    Shutdown,
}

/// What the manager answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "lowercase")]
pub enum Reply {
    /// It is done.
    Done,
    /// A module was mounted.
    Mounted {
        /// The names of what it registered: `["en0"]`.
        names: Vec<String>,
    },
    /// See [`Graph`].
    Graph(Graph),
    /// See [`Stats`].
    Stats(Stats),
    /// Interfaces.
    Nics {
        /// In order of their numbers.
        nics: Vec<Nic>,
    },
    /// Lines of the log, oldest first.
    Log {
        /// Without their line ends.
        lines: Vec<String>,
    },
    /// A registrant's answer.
    Devctl {
        /// JSON text.
        body: String,
    },
    /// It was not done.
    Error(Failure),
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Linux's error number, positive.
    pub errno: i32,
    /// What could not be done: "cannot mount devn-tap.so".
    pub what: String,
    /// Why: "no permission to open /dev/net/tun".
    pub why: String,
    /// What to do about it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if self.help.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.help)
        }
    }
}

impl std::error::Error for Failure {}

/// Registrants and what joins them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// In order of registration.
    pub registrants: Vec<Registrant>,
    /// Every way up from an interface: names of registrants, from the wire to the programs.
    #[serde(default)]
    pub columns: Vec<Vec<String>>,
    /// In order of interface, then from the wire up.
    pub edges: Vec<Edge>,
}

/// An instance of a module in the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrant {
    /// Unique: `en0`, `tcpip`, `ip_en`, ...
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The file that it came from.
    pub module: String,
    /// The module's version.
    pub version: String,
    /// The options that it was mounted with.
    pub options: String,
    /// Its cell and endpoint.
    pub cell: u16,
    /// See `cell`.
    pub endpoint: u16,
    /// The worker on which it runs.
    pub worker: u32,
    /// "running", "stopping", "poisoned".
    pub state: String,
}

/// Where packets cross from one registrant to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The giver.
    pub from: String,
    /// The taker.
    pub to: String,
    /// The packet type: `en`, `ip`.
    pub packet_type: String,
    /// Packets handed up.
    pub up_packets: u64,
    /// Packets handed down.
    pub down_packets: u64,
    /// Packets dropped between the two.
    pub drops: u64,
}

/// All counters, by registrant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Counter values by registrant, then by counter; "io-net" holds the manager's own (pool,
    /// workers).
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
}

/// An interface, with what `nicinfo` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// `en0`
    pub name: String,
    /// A line about the adaptor: "TAP tap0".
    pub description: String,
    /// Whether the link is up.
    pub link_up: bool,
    /// Ethernet address now, as `02:00:00:00:00:01`.
    pub current_node_id: String,
    /// The adaptor's own.
    pub permanent_node_id: String,
    /// In kbit/s; 0 unknown.
    pub media_rate_kbps: u64,
    /// The longest frame that it sends, in bytes, Ethernet header included.
    pub mtu: u32,
    /// The longest frame that it receives, likewise.
    #[serde(default)]
    pub mru: u32,
    /// Whether it takes frames for others.
    pub promiscuous: bool,
    /// Whether it takes multicast.
    #[serde(default)]
    pub multicast: bool,
    /// Its interrupt, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irq: Option<u32>,
    /// Its first I/O port, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_port: Option<u64>,
    /// Full duplex.
    pub full_duplex: bool,
    /// Counters that the driver keeps, named as the fields of `io_net_abi::NicStats`.
    pub counters: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_on_the_wire() {
        let mount = r#"{"request":"mount","path":"devn-tap.so","options":"name=tap0"}"#;
        let parsed: Request = serde_json::from_str(mount).unwrap();
        assert!(
            matches!(&parsed, Request::Mount { kind: None, path, .. } if path == "devn-tap.so")
        );
        assert_eq!(serde_json::to_string(&parsed).unwrap(), mount);
        assert_eq!(
            serde_json::to_string(&Request::Graph).unwrap(),
            r#"{"request":"graph"}"#
        );
        for wrong in [
            r#"{"request":"mount"}"#,
            r#"{"request":"umount","name":"a","x":1}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let text = r#"{"reply":"error","errno":1,"what":"cannot a","why":"b","help":"do c"}"#;
        let Reply::Error(failure) = serde_json::from_str(text).unwrap() else {
            panic!("{text}")
        };
        assert_eq!(failure.to_string(), "cannot a: b; do c");
        assert_eq!(serde_json::to_string(&Reply::Error(failure)).unwrap(), text);
    }
}
