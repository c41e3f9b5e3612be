//! Devctl requests in JSON: interfaces, routes, sockets, counters.
//!
//! | request | answer |
//! | --- | --- |
//! | `{"cmd":"if-list"}` | `{"interfaces":[{"name","mtu","up","addresses":["10.0.0.1/24"]}]}` |
//! | `{"cmd":"if-set","iface","up"}` | `{}` |
//! | `{"cmd":"address-add","iface","address"}`, `address-delete` | `{}` |
//! | `{"cmd":"route-list"}` | `{"routes":[{"destination","gateway","iface"}]}` |
//! | `{"cmd":"route-add","destination","gateway"}`, `route-delete` | `{}` |
//! | `{"cmd":"socket-list"}` | `{"sockets":[{"protocol","local","peer","state",...}]}` |
//! | `{"cmd":"stats"}` | `{"counters":{name: value}}` |

use crate::options::{WantedRoute, parse_address, parse_route};
use crate::server::Server;
use io_net_ddk::errno::{EEXIST, EINVAL, ENODEV, ENOENT, ENOMEM};
use io_net_ddk::prelude::*;
use io_net_tcpip::{IfaceError, SocketId, State, TcpInfo, Transport};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};

/// Sockets in one listing, at most: what fits in a devctl's buffer.
const LISTED_MAX: usize = 300;

/// Serves one request.
///
/// # Errors
/// EINVAL for a request that makes no sense; ENODEV, ENOENT, EEXIST for what is not there or is
/// there already.
pub(crate) fn request(text: &[u8], server: &mut Server, cx: &Cx) -> Result<String, Failure> {
    let request: Value = serde_json::from_slice(text)
        .map_err(|error| Failure::new(EINVAL, format!("the request is not JSON: {error}")))?;
    let Server {
        stack, interfaces, ..
    } = &mut *server;
    match text_of(&request, "cmd")? {
        "if-list" => Ok(interface_list(server)),
        "if-set" => {
            let name = text_of(&request, "iface")?;
            let up = request.get("up").and_then(Value::as_bool);
            let up = up.ok_or_else(|| lacks("up"))?;
            done(interfaces.set_up(name, up, stack), name)
        }
        "address-add" => {
            let name = text_of(&request, "iface")?;
            let address = parse_address(text_of(&request, "address")?)?.address;
            done(interfaces.add_address(name, address, stack, cx), name)
        }
        "address-delete" => {
            let name = text_of(&request, "iface")?;
            let address = ip(text_of(&request, "address")?)?;
            done(interfaces.delete_address(name, address, stack, cx), name)
        }
        "route-list" => Ok(route_list(server)),
        "route-add" => {
            let destination = text_of(&request, "destination")?;
            let gateway = text_of(&request, "gateway")?;
            let route = parse_route(&format!("{destination}:{gateway}"))?;
            done(interfaces.add_route(route, stack), destination)
        }
        "route-delete" => {
            let destination = text_of(&request, "destination")?;
            let WantedRoute { dest, prefix, .. } = parse_route(&format!("{destination}:0.0.0.0"))?;
            done(interfaces.delete_route(dest, prefix, stack), destination)
        }
        "socket-list" => Ok(socket_list(server)),
        "stats" => {
            let stats = stack.stats();
            let counters: Map<String, Value> =
                stats.iter().map(|(k, v)| (k.into(), v.into())).collect();
            Ok(json!({ "counters": counters }).to_string())
        }
        other => {
            let text = format!("unknown command {other}: see io-netctl's ifconfig, route, netstat");
            Err(Failure::new(EINVAL, text))
        }
    }
}

fn lacks(name: &str) -> Failure {
    Failure::new(EINVAL, format!("the request lacks \"{name}\""))
}

fn text_of<'r>(request: &'r Value, name: &str) -> Result<&'r str, Failure> {
    let value = request.get(name).and_then(Value::as_str);
    value.ok_or_else(|| lacks(name))
}

/// An address, whose prefix length may be there.
fn ip(text: &str) -> Result<IpAddr, Failure> {
    let address = text.split('/').next().unwrap_or(text);
    address
        .parse()
        .map_err(|_| Failure::new(EINVAL, format!("{text} is no address")))
}

fn done(result: Result<(), IfaceError>, of: &str) -> Result<String, Failure> {
    result.map(|()| "{}".into()).map_err(|error| {
        let errno = match error {
            IfaceError::Exists => EEXIST,
            IfaceError::Unknown => ENOENT,
            IfaceError::Gateway => ENODEV,
            IfaceError::Limit => ENOMEM,
            IfaceError::Mtu | IfaceError::Address => EINVAL,
        };
        Failure::new(errno, format!("{of}: {error}"))
    })
}

fn interface_list(server: &Server) -> String {
    let row = |(name, config, addresses): (&str, &io_net_tcpip::IfaceConfig, &[_])| {
        let text = |a: &io_net_ddk::InterfaceAddress| format!("{}/{}", a.address, a.prefix);
        let addresses: Vec<String> = addresses.iter().map(text).collect();
        json!({ "name": name, "mtu": config.mtu, "up": config.up, "addresses": addresses })
    };
    let rows: Vec<Value> = server.interfaces.iter().map(row).collect();
    json!({ "interfaces": rows }).to_string()
}

fn route_list(server: &Server) -> String {
    let routes = server.stack.routes().into_iter().map(|route| {
        json!({
            "destination": format!("{}/{}", route.dest, route.prefix),
            "gateway": route.gateway.map(|gateway| gateway.to_string()),
            "iface": server.interfaces.name(route.iface),
        })
    });
    json!({ "routes": routes.collect::<Vec<_>>() }).to_string()
}

fn socket_list(server: &mut Server) -> String {
    let mut ids = server.stack.sockets();
    let total = ids.len();
    ids.truncate(LISTED_MAX);
    let rows: Vec<Value> = ids.into_iter().map(|id| socket(server, id)).collect();
    json!({ "sockets": rows, "total": total }).to_string()
}

fn socket(server: &mut Server, id: SocketId) -> Value {
    let text = |address: Option<SocketAddr>| address.map(|a| a.to_string());
    let (local, peer) = (server.stack.local_addr(id), server.stack.peer_addr(id));
    let mut row = json!({ "local": text(local), "peer": text(peer) });
    match id.transport() {
        Transport::Udp => {
            row["protocol"] = "udp".into();
            let connected = peer.is_some();
            row["state"] = if connected {
                "CONNECTED"
            } else {
                "UNCONNECTED"
            }
            .into();
        }
        Transport::Tcp => {
            row["protocol"] = "tcp".into();
            if let Some(info) = server.stack.tcp_info(id) {
                describe(&mut row, &info);
            }
            if let Some((half_open, waiting, backlog)) = server.stack.tcp_backlog(id) {
                row["half_open"] = half_open.into();
                row["waiting"] = waiting.into();
                row["backlog"] = backlog.into();
            }
        }
    }
    row
}

fn describe(row: &mut Value, info: &TcpInfo) {
    row["state"] = state_name(info.state).into();
    row["receive_queue"] = info.recv_queued.into();
    row["send_queue"] = info.send_queued.into();
    row["congestion_window"] = info.cwnd.into();
    row["send_window"] = info.send_window.into();
    row["in_flight"] = info.in_flight.into();
    row["retransmits"] = info.retransmits.into();
    row["rtt_us"] = info.srtt.map(|rtt| rtt.as_micros() as u64).into();
}

/// A state as netstat(8) shows it.
fn state_name(state: State) -> &'static str {
    match state {
        State::Closed => "CLOSED",
        State::Listen => "LISTEN",
        State::SynSent => "SYN_SENT",
        State::SynReceived => "SYN_RECV",
        State::Established => "ESTABLISHED",
        State::FinWait1 => "FIN_WAIT1",
        State::FinWait2 => "FIN_WAIT2",
        State::CloseWait => "CLOSE_WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST_ACK",
        State::TimeWait => "TIME_WAIT",
    }
}
