//! What the files say: a name and a value a line, for people and for scripts.

use io_net_proto::control::{Graph, Kind, Nic};
use std::collections::BTreeMap;

/// The file `config` of registrant `name`, which is also an adaptor where there is a `nic`.
pub(super) fn config(graph: &Graph, name: &str, nic: Option<&Nic>) -> Option<String> {
    let registrant = graph.registrants.iter().find(|r| r.name == name)?;
    let kind = match registrant.kind {
        Kind::Driver => "driver",
        Kind::Filter => "filter",
        Kind::Converter => "converter",
        Kind::Protocol => "protocol",
    };
    let mut lines = vec![
        ("name", registrant.name.clone()),
        ("kind", kind.into()),
        ("module", registrant.module.clone()),
        ("version", registrant.version.clone()),
        ("options", registrant.options.clone()),
        ("worker", registrant.worker.to_string()),
        ("state", registrant.state.clone()),
    ];
    if let Some(nic) = nic {
        lines.extend([
            ("description", nic.description.clone()),
            ("address", nic.current_node_id.clone()),
            ("permanent_address", nic.permanent_node_id.clone()),
            ("mtu", nic.mtu.to_string()),
            ("mru", nic.mru.to_string()),
            ("promiscuous", yes(nic.promiscuous).into()),
            ("multicast", yes(nic.multicast).into()),
        ]);
    }
    Some(aligned(lines))
}

/// The file `stats`.
pub(super) fn stats(counters: &BTreeMap<String, u64>) -> String {
    let lines = counters.iter();
    let lines = lines.map(|(name, value)| (name.as_str(), value.to_string()));
    aligned(lines.collect())
}

/// The file `link`.
pub(super) fn link(nic: &Nic) -> String {
    let state = if nic.link_up { "up" } else { "down" };
    let mut lines = vec![("link", state.to_owned())];
    if nic.media_rate_kbps > 0 {
        let duplex = if nic.full_duplex { "full" } else { "half" };
        lines.push(("rate_kbps", nic.media_rate_kbps.to_string()));
        lines.push(("duplex", duplex.to_owned()));
    }
    aligned(lines)
}

fn yes(set: bool) -> &'static str {
    if set { "yes" } else { "no" }
}

fn aligned(lines: Vec<(&str, String)>) -> String {
    let widest = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): (&str, String)| {
        let line = format!("{name:<widest$}  {value}");
        format!("{}\n", line.trim_end())
    };
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_proto::control::Registrant;

    #[test]
    fn a_driver_tells_more() {
        let graph = Graph {
            registrants: vec![Registrant {
                name: "en0".into(),
                kind: Kind::Driver,
                module: "/lib/devn-tap.so".into(),
                version: "1".into(),
                options: String::new(),
                cell: 0,
                endpoint: 0,
                worker: 1,
                state: "running".into(),
            }],
            ..Graph::default()
        };
        let nic = Nic {
            mtu: 1500,
            link_up: true,
            media_rate_kbps: 1000,
            full_duplex: true,
            ..Nic::default()
        };
        let plain = config(&graph, "en0", None).unwrap();
        assert_eq!(plain.lines().next(), Some("name     en0"));
        assert!(plain.contains("\noptions\nworker   1\n"), "{plain}");
        assert!(
            config(&graph, "en0", Some(&nic))
                .unwrap()
                .contains("\nmtu                1500\n")
        );
        assert_eq!(config(&graph, "en1", None), None);
        assert_eq!(
            link(&nic),
            "link       up\nrate_kbps  1000\nduplex     full\n"
        );
        let counters = BTreeMap::from([("drop".into(), 2), ("rx_packets".into(), 10)]);
        assert_eq!(stats(&counters), "drop        2\nrx_packets  10\n");
    }
}
