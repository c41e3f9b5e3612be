//! Devctl requests in JSON: the neighbour table.
//!
//! - `{"cmd":"arp-list"}` gives `{"neighbours":[{"iface","address","mac","state"},...]}`;
//! - `{"cmd":"arp-add","iface","address","mac"}` enters a neighbour for good;
//! - `{"cmd":"arp-delete","iface","address"}` forgets one.
//!
//! The last two give `{}`.

use crate::iface::Iface;
use crate::neighbours::State;
use crate::options::parse_mac;
use io_net_ddk::Failure;
use io_net_ddk::errno::{EINVAL, ENODEV, ENOENT, ENOMEM};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Serves one request.
///
/// # Errors
/// EINVAL for a request that makes no sense, ENODEV for an unknown interface, ENOENT for an unknown
/// neighbour, ENOMEM where the table is full.
pub(crate) fn request<'i, P: 'i>(
    text: &[u8],
    now_ns: u64,
    mut ifaces: impl Iterator<Item = &'i mut Iface<P>>,
) -> Result<String, Failure> {
    let request: Value = serde_json::from_slice(text)
        .map_err(|error| Failure::new(EINVAL, format!("the request is not JSON: {error}")))?;
    let text_of = |name: &str| {
        let value = request.get(name).and_then(Value::as_str);
        value.ok_or_else(|| Failure::new(EINVAL, format!("the request lacks \"{name}\"")))
    };
    let cmd = text_of("cmd")?;
    if cmd == "arp-list" {
        let neighbours: Vec<Value> = ifaces.flat_map(|iface| list(iface, now_ns)).collect();
        return Ok(json!({ "neighbours": neighbours }).to_string());
    }
    if !matches!(cmd, "arp-add" | "arp-delete") {
        let text = format!("unknown command {cmd}: give arp-list, arp-add or arp-delete");
        return Err(Failure::new(EINVAL, text));
    }
    let name = text_of("iface")?;
    let unknown = || Failure::new(ENODEV, format!("there is no interface {name} below ip_en"));
    let iface = ifaces.find(|i| i.name == name).ok_or_else(unknown)?;
    let address = text_of("address")?;
    let address: IpAddr = address
        .parse()
        .map_err(|_| Failure::new(EINVAL, format!("{address} is no IP address")))?;
    if cmd == "arp-add" {
        let mac = text_of("mac")?;
        let mac = parse_mac(mac)
            .ok_or_else(|| Failure::new(EINVAL, format!("{mac} is no unicast MAC address")))?;
        let fixed = match address {
            IpAddr::V4(v4) => iface.neighbours.fix(v4, mac),
            IpAddr::V6(v6) => iface.six.neighbours.fix(v6, mac),
        };
        if !fixed {
            let text = "the neighbour table is full of static entries: raise cache=";
            return Err(Failure::new(ENOMEM, text));
        }
        return Ok("{}".into());
    }
    let forgotten = match address {
        IpAddr::V4(v4) => iface.neighbours.forget(v4),
        IpAddr::V6(v6) => iface.six.neighbours.forget(v6),
    };
    if forgotten.is_none() {
        let text = format!("{address} is not in the table of {name}");
        return Err(Failure::new(ENOENT, text));
    }
    Ok("{}".into())
}

fn list<P>(iface: &Iface<P>, now_ns: u64) -> Vec<Value> {
    let four = iface.neighbours.iter();
    let four = four.map(|(address, entry)| (IpAddr::V4(address), entry));
    let six = iface.six.neighbours.iter();
    let six = six.map(|(address, entry)| (IpAddr::V6(address), entry));
    let mut entries: Vec<_> = four.chain(six).collect();
    entries.sort_by_key(|(address, _)| *address);
    let row = |(address, entry): (IpAddr, &crate::neighbours::Neighbour<P>)| {
        json!({
            "iface": iface.name,
            "address": address.to_string(),
            "mac": entry.mac.to_string(),
            "state": state_name(entry.state, now_ns),
        })
    };
    entries.into_iter().map(row).collect()
}

fn state_name(state: State, now_ns: u64) -> &'static str {
    match state {
        State::Incomplete { .. } => "incomplete",
        State::Reachable { until_ns } if now_ns < until_ns => "reachable",
        State::Reachable { .. } | State::Stale => "stale",
        State::Probe { .. } => "probe",
        State::Static => "static",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Limits;
    use io_net_ddk::advert;

    #[test]
    fn neighbours_are_listed_added_and_deleted() {
        let mut iface: Iface<u32> = Iface::new(&advert("en0", "en"), Limits::default());
        let mut ask = |text: &str| request(text.as_bytes(), 0, std::iter::once(&mut iface));
        let add =
            r#"{"cmd":"arp-add","iface":"en0","address":"10.0.0.5","mac":"02:00:00:00:00:05"}"#;
        assert_eq!(ask(add).unwrap(), "{}");
        let listed: Value = serde_json::from_str(&ask(r#"{"cmd":"arp-list"}"#).unwrap()).unwrap();
        let expected = json!({"neighbours": [{
            "iface": "en0", "address": "10.0.0.5", "mac": "02:00:00:00:00:05", "state": "static",
        }]});
        assert_eq!(listed, expected);
        let delete = r#"{"cmd":"arp-delete","iface":"en0","address":"10.0.0.5"}"#;
        assert_eq!(ask(delete).unwrap(), "{}");
        assert_eq!(ask(delete).unwrap_err().errno, ENOENT);
    }

    #[test]
    fn nonsense_is_refused() {
        let mut iface: Iface<u32> = Iface::new(&advert("en0", "en"), Limits::default());
        for (text, errno) in [
            ("", EINVAL),
            ("[]", EINVAL),
            (r#"{"cmd":"x"}"#, EINVAL),
            (r#"{"cmd":"arp-add"}"#, EINVAL),
            (r#"{"cmd":"arp-add","iface":"en1"}"#, ENODEV),
            (r#"{"cmd":"arp-add","iface":"en0","address":"x"}"#, EINVAL),
            (
                r#"{"cmd":"arp-add","iface":"en0","address":"1.2.3.4","mac":"x"}"#,
                EINVAL,
            ),
        ] {
            let result = request(text.as_bytes(), 0, std::iter::once(&mut iface));
            assert_eq!(result.unwrap_err().errno, errno, "{text}");
        }
    }
}
