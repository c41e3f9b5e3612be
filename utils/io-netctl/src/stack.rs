//! ifconfig, route, arp and netstat: control calls in JSON to the registrants `tcpip` and `ip_en`.
//!
//! | to | request | answer |
//! | --- | --- | --- |
//! | tcpip | `{"cmd":"if-list"}` | `{"interfaces":[{"name","mtu","up","addresses":["10.0.0.1/24"]}]}` |
//! | tcpip | `{"cmd":"if-set","iface","up"}` | `{}` |
//! | tcpip | `{"cmd":"address-add","iface","address"}`, `address-delete` | `{}` |
//! | tcpip | `{"cmd":"route-list"}` | `{"routes":[{"destination","gateway","iface"}]}` |
//! | tcpip | `{"cmd":"route-add","destination","gateway"}`, `route-delete` | `{}` |
//! | tcpip | `{"cmd":"socket-list"}` | `{"sockets":[{"protocol","local","peer","state","receive_queue","send_queue"}],"total"}` |
//! | ip_en | `{"cmd":"arp-list"}` | `{"neighbours":[{"iface","address","mac","state"}]}` |
//! | ip_en | `{"cmd":"arp-add","iface","address","mac"}`, `arp-delete` | `{}` |

use crate::cli::{Arp, Ifconfig, Netstat, Route};
use crate::failure::Failure;
use crate::table::{Align, table};
use serde_json::{Value, json};

/// A call to a registrant, and how its answer is shown.
#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    /// The registrant.
    pub(crate) to: &'static str,
    /// The request.
    pub(crate) body: Value,
    /// How to show the answer to people.
    pub(crate) show: Show,
}

/// What an answer is.
#[derive(Debug, PartialEq)]
pub(crate) enum Show {
    /// Nothing to show: it was done.
    Nothing,
    /// Interfaces; one of them, where named.
    Interfaces(Option<String>),
    /// Rows under the key, with these columns: the head, and the key in a row.
    Rows(&'static str, &'static [(&'static str, &'static str)]),
    /// Sockets, also those that listen.
    Sockets {
        /// Listening ones too.
        all: bool,
    },
}

const ROUTES: Show = Show::Rows(
    "routes",
    &[
        ("DESTINATION", "destination"),
        ("GATEWAY", "gateway"),
        ("INTERFACE", "iface"),
    ],
);

const NEIGHBOURS: Show = Show::Rows(
    "neighbours",
    &[
        ("ADDRESS", "address"),
        ("MAC", "mac"),
        ("INTERFACE", "iface"),
        ("STATE", "state"),
    ],
);

fn tcpip(body: Value, show: Show) -> Call {
    Call {
        to: "tcpip",
        body,
        show,
    }
}

fn usage<T>(text: &str) -> Result<T, Failure> {
    Err(Failure::Usage(format!("usage: {text}")))
}

/// The call that an `ifconfig` line asks for.
///
/// # Errors
/// Settings that cannot be understood.
pub(crate) fn ifconfig(line: &Ifconfig) -> Result<Call, Failure> {
    let list = |name| Ok(tcpip(json!({"cmd": "if-list"}), Show::Interfaces(name)));
    let Some(iface) = line.interface.as_deref().filter(|_| !line.all) else {
        return list(None);
    };
    let settings: Vec<&str> = line.settings.iter().map(String::as_str).collect();
    let done = |body| Ok(tcpip(body, Show::Nothing));
    match settings[..] {
        [] => list(Some(iface.to_owned())),
        ["up"] => done(json!({"cmd": "if-set", "iface": iface, "up": true})),
        ["down"] => done(json!({"cmd": "if-set", "iface": iface, "up": false})),
        ["delete" | "-alias", address] => {
            done(json!({"cmd": "address-delete", "iface": iface, "address": address}))
        }
        [address, "netmask", mask] => {
            let Some(prefix) = prefix_of(mask) else {
                return Err(Failure::Usage(format!("{mask} is no netmask")));
            };
            let address = format!("{address}/{prefix}");
            done(json!({"cmd": "address-add", "iface": iface, "address": address}))
        }
        [address] | ["add" | "alias", address] if address.contains('/') => {
            done(json!({"cmd": "address-add", "iface": iface, "address": address}))
        }
        _ => usage(
            "ifconfig [INTERFACE [ADDRESS/PREFIX | ADDRESS netmask MASK | delete ADDRESS/PREFIX | up | down]]",
        ),
    }
}

/// The length of the prefix that a netmask (`255.255.255.0`) stands for.
fn prefix_of(mask: &str) -> Option<u32> {
    let bits = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
    (bits.leading_ones() + bits.trailing_zeros() == 32).then(|| bits.leading_ones())
}

/// The call that a `route` line asks for.
///
/// # Errors
/// Words that cannot be understood.
pub(crate) fn route(line: &Route) -> Result<Call, Failure> {
    let words: Vec<&str> = line
        .words
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "gw")
        .collect();
    let network = |name: &str| match name {
        "default" => "0.0.0.0/0".to_owned(),
        name if name.contains('/') => name.to_owned(),
        host => format!("{host}/32"),
    };
    match words[..] {
        [] | ["show"] => Ok(tcpip(json!({"cmd": "route-list"}), ROUTES)),
        ["add", to, gateway] => {
            let body = json!({"cmd": "route-add", "destination": network(to), "gateway": gateway});
            Ok(tcpip(body, Show::Nothing))
        }
        ["delete" | "del", to] => {
            let body = json!({"cmd": "route-delete", "destination": network(to)});
            Ok(tcpip(body, Show::Nothing))
        }
        _ => usage("route [show | add DESTINATION GATEWAY | delete DESTINATION]"),
    }
}

/// The call that an `arp` line asks for.
pub(crate) fn arp(line: &Arp) -> Call {
    let iface = &line.interface;
    let (body, show) = if let Some([address, mac]) = line.set.as_deref() {
        let body = json!({"cmd": "arp-add", "iface": iface, "address": address, "mac": mac});
        (body, Show::Nothing)
    } else if let Some(address) = &line.delete {
        let body = json!({"cmd": "arp-delete", "iface": iface, "address": address});
        (body, Show::Nothing)
    } else {
        (json!({"cmd": "arp-list"}), NEIGHBOURS)
    };
    Call {
        to: "ip_en",
        body,
        show,
    }
}

/// The call that a `netstat` line asks for; counters are not had by a call.
pub(crate) fn netstat(line: &Netstat) -> Call {
    if line.routes {
        tcpip(json!({"cmd": "route-list"}), ROUTES)
    } else {
        tcpip(
            json!({"cmd": "socket-list"}),
            Show::Sockets { all: line.all },
        )
    }
}

/// An answer for people.
pub(crate) fn show(answer: &Value, how: &Show) -> String {
    match how {
        Show::Nothing => String::new(),
        Show::Rows(key, columns) => rows(list(answer, key), columns),
        Show::Sockets { all } => {
            let sockets = list(answer, "sockets").iter();
            let idle = |socket: &&Value| {
                let state = cell(socket, "state").to_lowercase();
                matches!(state.as_str(), "listen" | "closed" | "unconnected")
            };
            let shown: Vec<Value> = sockets.filter(|s| *all || !idle(s)).cloned().collect();
            let columns = [
                ("PROTOCOL", "protocol"),
                ("LOCAL", "local"),
                ("PEER", "peer"),
                ("STATE", "state"),
                ("RECEIVE-Q", "receive_queue"),
                ("SEND-Q", "send_queue"),
            ];
            let listed = list(answer, "sockets").len() as u64;
            let total = answer
                .get("total")
                .and_then(Value::as_u64)
                .unwrap_or(listed);
            let unlisted = match total.saturating_sub(listed) {
                0 => String::new(),
                more => format!("and {more} more\n"),
            };
            rows(&shown, &columns) + &unlisted
        }
        Show::Interfaces(only) => list(answer, "interfaces")
            .iter()
            .filter(|iface| {
                only.as_ref()
                    .is_none_or(|only| *only == cell(iface, "name"))
            })
            .map(interface)
            .collect(),
    }
}

fn interface(iface: &Value) -> String {
    let up = iface.get("up").and_then(Value::as_bool).unwrap_or(false);
    let (name, state) = (cell(iface, "name"), if up { "up" } else { "down" });
    let mut text = format!("{name}: {state} mtu {}\n", cell(iface, "mtu"));
    for address in list(iface, "addresses") {
        text.push_str(&format!("    inet {}\n", plain(address)));
    }
    text
}

fn rows(rows: &[Value], columns: &[(&str, &str)]) -> String {
    let heads: Vec<_> = columns
        .iter()
        .map(|(head, _)| (*head, Align::Left))
        .collect();
    let row = |row: &Value| columns.iter().map(|(_, key)| cell(row, key)).collect();
    table(&heads, &rows.iter().map(row).collect::<Vec<_>>())
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A field as text, `-` where it is missing.
fn cell(row: &Value, key: &str) -> String {
    row.get(key).map_or_else(|| "-".into(), plain)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn call(line: &str) -> Result<Call, Failure> {
        let line = format!("io-netctl {line}");
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Ifconfig(line) => ifconfig(&line),
            Command::Route(line) => route(&line),
            Command::Arp(line) => Ok(arp(&line)),
            Command::Netstat(line) => Ok(netstat(&line)),
            other => panic!("{other:?}"),
        }
    }

    fn body(line: &str) -> String {
        call(line).unwrap().body.to_string()
    }

    #[test]
    fn lines_become_calls() {
        assert_eq!(body("ifconfig -a"), r#"{"cmd":"if-list"}"#);
        let add = r#"{"address":"10.0.0.1/24","cmd":"address-add","iface":"en0"}"#;
        assert_eq!(body("ifconfig en0 10.0.0.1/24"), add);
        assert_eq!(body("ifconfig en0 10.0.0.1 netmask 255.255.255.0"), add);
        let default = r#"{"cmd":"route-add","destination":"0.0.0.0/0","gateway":"10.0.0.9"}"#;
        assert_eq!(body("route add default 10.0.0.9"), default);
        let delete = r#"{"cmd":"route-delete","destination":"10.1.0.5/32"}"#;
        assert_eq!(body("route -n delete 10.1.0.5"), delete);
        let add =
            r#"{"address":"10.0.0.5","cmd":"arp-add","iface":"en1","mac":"02:00:00:00:00:05"}"#;
        assert_eq!(body("arp -I en1 -s 10.0.0.5 02:00:00:00:00:05"), add);
        assert_eq!(call("arp -a").unwrap().to, "ip_en");
        assert_eq!(body("netstat -rn"), r#"{"cmd":"route-list"}"#);
        for wrong in [
            "ifconfig en0 nonsense",
            "ifconfig en0 10.0.0.1 netmask 255.0.255.0",
            "route add",
            "route flush",
        ] {
            assert!(matches!(call(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn answers_become_text() {
        let interfaces = json!({"interfaces": [
            {"name": "en0", "mtu": 1500, "up": true, "addresses": ["10.0.0.1/24", "10.0.1.1/24"]},
            {"name": "en1", "mtu": 9000, "up": false, "addresses": []},
        ]});
        let text = show(&interfaces, &Show::Interfaces(None));
        assert_eq!(
            text,
            "en0: up mtu 1500\n    inet 10.0.0.1/24\n    inet 10.0.1.1/24\nen1: down mtu 9000\n"
        );
        assert_eq!(
            show(&interfaces, &Show::Interfaces(Some("en1".into()))),
            "en1: down mtu 9000\n"
        );
        let routes = json!({"routes": [
            {"destination": "0.0.0.0/0", "gateway": "10.0.0.9", "iface": "en0"},
            {"destination": "10.0.0.0/24", "gateway": null, "iface": "en0"},
        ]});
        assert_eq!(
            show(&routes, &ROUTES),
            "DESTINATION  GATEWAY   INTERFACE\n0.0.0.0/0    10.0.0.9  en0\n10.0.0.0/24  -         en0\n"
        );
        let sockets = json!({"sockets": [
            {"protocol": "tcp", "local": "0.0.0.0:80", "peer": null, "state": "LISTEN"},
            {"protocol": "tcp", "local": "10.0.0.1:80", "peer": "10.0.0.2:4000", "state": "ESTABLISHED"},
        ], "total": 2});
        let more = json!({"sockets": [], "total": 7});
        assert!(show(&more, &Show::Sockets { all: true }).ends_with("and 7 more\n"));
        assert_eq!(
            show(&sockets, &Show::Sockets { all: true }).lines().count(),
            3
        );
        assert_eq!(
            show(&sockets, &Show::Sockets { all: false })
                .lines()
                .count(),
            2
        );
        assert_eq!(show(&Value::Null, &NEIGHBOURS).lines().count(), 1);
    }
}
