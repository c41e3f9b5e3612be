//! `io-netctl qnet`: control calls in JSON to the registrant `qnet`.
//!
//! | request | answer |
//! | --- | --- |
//! | `{"cmd":"nodes"}` | `{"nodes":[{"nd","name","state","links","rtt_us"}]}` |
//! | `{"cmd":"links"}` | `{"links":[{"name","state","address","mtu","sent","received"}]}` |
//! | `{"cmd":"connections"}` | `{"connections":[{"side","node","pid","chid","client","waiting"}],"total"}` |
//! | `{"cmd":"forget","node"}` | `{}` |

use crate::cli::Qnet;
use crate::stack::{Call, Show};
use serde_json::{Value, json};

const NODES: Show = Show::Rows(
    "nodes",
    &[
        ("ND", "nd"),
        ("NAME", "name"),
        ("STATE", "state"),
        ("LINKS", "links"),
        ("RTT-US", "rtt_us"),
    ],
);

const LINKS: Show = Show::Rows(
    "links",
    &[
        ("LINK", "name"),
        ("STATE", "state"),
        ("ADDRESS", "address"),
        ("MTU", "mtu"),
        ("SENT", "sent"),
        ("RECEIVED", "received"),
    ],
);

const CONNECTIONS: Show = Show::Rows(
    "connections",
    &[
        ("SIDE", "side"),
        ("NODE", "node"),
        ("PID", "pid"),
        ("CHID", "chid"),
        ("CLIENT", "client"),
        ("WAITING", "waiting"),
    ],
);

/// The call that a `qnet` line asks for.
pub(crate) fn qnet(line: &Qnet) -> Call {
    let (body, show): (Value, Show) = match line {
        Qnet::Nodes => (json!({"cmd": "nodes"}), NODES),
        Qnet::Links => (json!({"cmd": "links"}), LINKS),
        Qnet::Connections => (json!({"cmd": "connections"}), CONNECTIONS),
        Qnet::Forget { node } => (json!({"cmd": "forget", "node": node}), Show::Nothing),
    };
    Call {
        to: "qnet",
        body,
        show,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::stack;
    use clap::Parser;

    fn call(line: &str) -> Call {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Qnet { what } => qnet(&what),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_become_calls_and_answers_become_text() {
        let nodes = call("io-netctl qnet nodes");
        assert_eq!((nodes.to, &nodes.body), ("qnet", &json!({"cmd": "nodes"})));
        let answer = json!({"nodes": [
            {"nd": 0, "name": "lab1", "state": "here", "links": "en0"},
            {"nd": 7, "name": "lab2.net", "state": "up", "links": "en0 en1", "rtt_us": "42 50"},
        ]});
        assert_eq!(
            stack::show(&answer, &nodes.show),
            "ND  NAME      STATE  LINKS    RTT-US\n\
             0   lab1      here   en0      -\n\
             7   lab2.net  up     en0 en1  42 50\n"
        );
        let links = call("io-netctl qnet links");
        assert_eq!(links.body, json!({"cmd": "links"}));
        let forget = call("io-netctl qnet forget lab2");
        assert_eq!(forget.body, json!({"cmd": "forget", "node": "lab2"}));
        assert_eq!(forget.show, Show::Nothing);
    }
}
