//! Devctl requests in JSON.
//!
//! - `{"cmd":"mac-list"}` gives `{"ports":[{"port","mac","link","closed"},...],"stations":[{"mac",
//!   "vlan","port","age_s"},...],"statics":[{"mac","vlan","port"},...],"total":N}`, with `vlan` 0
//!   where the bridge knows none, and `total` stations beside those that fit;
//! - `{"cmd":"mac-flush"}` forgets every station, with `"port"` those behind it, and gives
//!   `{"forgotten":N}`.

use crate::bridge::Bridge;
use io_net_ddk::Failure;
use io_net_ddk::errno::{EINVAL, ENODEV};
use serde_json::{Value, json};

/// Stations in one answer, at most: what fits a devctl's buffer.
const LIST_MAX: usize = 800;

/// Serves one request.
///
/// # Errors
/// EINVAL for a request that makes no sense, ENODEV for a port that is not there.
pub(crate) fn request(bridge: &mut Bridge, text: &[u8], now_s: u32) -> Result<String, Failure> {
    let request: Value = serde_json::from_slice(text)
        .map_err(|error| Failure::new(EINVAL, format!("the request is not JSON: {error}")))?;
    let answer = match request.get("cmd").and_then(Value::as_str) {
        Some("mac-list") => list(bridge, now_s),
        Some("mac-flush") => flush(bridge, request.get("port").and_then(Value::as_str))?,
        _ => {
            let text = "give {\"cmd\":\"mac-list\"} or {\"cmd\":\"mac-flush\"}";
            return Err(Failure::new(EINVAL, text));
        }
    };
    Ok(answer.to_string())
}

fn list(bridge: &Bridge, now_s: u32) -> Value {
    let ports = bridge.ports.iter().map(|(_, port)| {
        json!({
            "port": port.name,
            "mac": port.mac.to_string(),
            "link": if port.up { "up" } else { "down" },
            "closed": port.closed_until_s.is_some(),
        })
    });
    let name = |port: u8| bridge.ports.get(port).map_or("?", |port| &port.name);
    let stations = bridge.table.stations().take(LIST_MAX).map(|station| {
        json!({
            "mac": station.mac.to_string(),
            "vlan": station.mac.vlan(),
            "port": name(station.port),
            "age_s": now_s.saturating_sub(station.seen_s),
        })
    });
    let statics = bridge.statics.iter().map(|one| {
        json!({
            "mac": one.mac.to_string(),
            "vlan": one.mac.vlan(),
            "port": one.port,
        })
    });
    json!({
        "ports": ports.collect::<Vec<_>>(),
        "stations": stations.collect::<Vec<_>>(),
        "statics": statics.take(LIST_MAX).collect::<Vec<_>>(),
        "total": bridge.table.stations().count(),
    })
}

fn flush(bridge: &mut Bridge, port: Option<&str>) -> Result<Value, Failure> {
    let forgotten = match port {
        None => bridge.table.forget(|_| true),
        Some(name) => {
            let unknown = || Failure::new(ENODEV, format!("the bridge has no port {name}"));
            let port = bridge.ports.by_name(name).ok_or_else(unknown)?;
            bridge.table.forget(|station| station.port == port)
        }
    };
    bridge.stats.forgotten.add(forgotten as u64);
    Ok(json!({ "forgotten": forgotten }))
}
