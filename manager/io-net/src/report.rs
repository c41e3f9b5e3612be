//! What the manager tells of itself: the graph, counters, and interfaces.

use crate::config::Kind;
use crate::dispatch::{Drop, Reg};
use crate::graph::{Role, Way};
use crate::lifecycle::Manager;
use crate::registry::{Entry, Registry, State};
use io_net_abi::{
    DEVCTL_GET_CONFIG, DEVCTL_GET_STATS, NIC_LINK_DOWN, NIC_MULTICAST, NIC_PROMISCUOUS,
};
use io_net_proto::control::{self, Edge, Failure, Graph, Nic, Registrant, Stats};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

impl From<Kind> for control::Kind {
    fn from(kind: Kind) -> control::Kind {
        match kind {
            Kind::Driver => control::Kind::Driver,
            Kind::Filter => control::Kind::Filter,
            Kind::Converter => control::Kind::Converter,
            Kind::Protocol => control::Kind::Protocol,
        }
    }
}

impl From<control::Kind> for Kind {
    fn from(kind: control::Kind) -> Kind {
        match kind {
            control::Kind::Driver => Kind::Driver,
            control::Kind::Filter => Kind::Filter,
            control::Kind::Converter => Kind::Converter,
            control::Kind::Protocol => Kind::Protocol,
        }
    }
}

/// The graph as it is.
#[must_use]
pub fn graph(manager: &Manager) -> Graph {
    let registry = manager.shared().registry();
    let mut entries: Vec<&Entry> = registry.entries().collect();
    entries.sort_by_key(|entry| entry.node.order);
    let registrants = entries
        .iter()
        .filter_map(|entry| registrant(manager, entry));
    Graph {
        registrants: registrants.collect(),
        columns: registry.columns(),
        edges: edges(&registry),
    }
}

fn registrant(manager: &Manager, entry: &Entry) -> Option<Registrant> {
    let id = entry.reg.link().id();
    let instance = manager.instances().iter().find(|i| i.link.id() == id)?;
    let (cell, endpoint) = match entry.node.role {
        Role::Driver { cell, endpoint } => (cell, endpoint),
        Role::FilterAbove { cell, .. } | Role::FilterBelow { cell, .. } => (cell, 0),
        Role::Converter { top, .. } => (top, 0),
        Role::Protocol { bottom } => (bottom, 0),
    };
    let state = match entry.state {
        _ if instance.link.has_failed() => "poisoned",
        State::New | State::Joining => "starting",
        State::Live => "running",
        State::Leaving => "stopping",
    };
    Some(Registrant {
        name: entry.reg.name().into(),
        kind: instance.module.kind.into(),
        module: instance.path.display().to_string(),
        version: instance.module.version.clone(),
        options: instance.options.clone(),
        cell,
        endpoint,
        worker: entry.reg.home() as u32,
        state: state.into(),
    })
}

/// Edges between neighbours, the lower one first; those of several interfaces are added up.
fn edges(registry: &Registry) -> Vec<Edge> {
    let mut edges: Vec<Edge> = Vec::new();
    for edge in registry.edges() {
        let (Some(from), Some(to)) = (registry.entry(edge.from), registry.entry(edge.to)) else {
            continue;
        };
        let (lower, upper) = match edge.way {
            Way::Up => (from, to),
            Way::Down => (to, from),
        };
        let (from, to) = (lower.reg.name(), upper.reg.name());
        let at = edges.iter().position(|e| e.from == from && e.to == to);
        let at = at.unwrap_or_else(|| {
            edges.push(Edge {
                from: from.into(),
                to: to.into(),
                packet_type: registry.type_name(type_between(lower)).into(),
                up_packets: 0,
                down_packets: 0,
                drops: 0,
            });
            edges.len() - 1
        });
        let packets = edge.packets.load(Relaxed);
        match edge.way {
            Way::Up => edges[at].up_packets += packets,
            Way::Down => edges[at].down_packets += packets,
        }
        edges[at].drops += edge.drops.load(Relaxed);
    }
    edges
}

/// The type of the packets above a registrant.
fn type_between(lower: &Entry) -> u16 {
    match lower.node.role {
        Role::Driver { cell, .. }
        | Role::FilterAbove { cell, .. }
        | Role::FilterBelow { cell, .. } => cell,
        Role::Converter { top, .. } => top,
        Role::Protocol { bottom } => bottom,
    }
}

/// Every counter there is.
#[must_use]
pub fn stats(manager: &Manager) -> Stats {
    let mut counters = BTreeMap::new();
    counters.insert("io-net".into(), own_counters(manager));
    for entry in manager.shared().registry().entries() {
        counters.insert(entry.reg.name().into(), counters_of(&entry.reg));
    }
    Stats { counters }
}

fn own_counters(manager: &Manager) -> BTreeMap<String, u64> {
    let pool = manager.shared().pool();
    let mut counters = BTreeMap::from([
        ("pool_packets".to_string(), pool.count() as u64),
        ("pool_free".to_string(), pool.count_free() as u64),
        (
            "pool_released_twice".to_string(),
            pool.count_released_twice(),
        ),
        ("packets_orphaned".to_string(), manager.shared().orphans()),
        ("packets_astray".to_string(), manager.shared().astray()),
    ]);
    for (index, worker) in manager.workers().iter().enumerate() {
        let stats = &worker.stats;
        for (name, counter) in [
            ("busy_turns", &stats.busy_turns),
            ("busy_cycles", &stats.busy_cycles),
            ("idle_turns", &stats.idle_turns),
            ("sleeps", &stats.sleeps),
        ] {
            counters.insert(format!("worker{index}_{name}"), counter.load(Relaxed));
        }
    }
    counters
}

fn counters_of(reg: &Reg) -> BTreeMap<String, u64> {
    let stats = &reg.stats;
    let own = [
        ("packets_in", &stats.packets_in),
        ("bursts_in", &stats.bursts_in),
        ("packets_out", &stats.packets_out),
        ("bursts_out", &stats.bursts_out),
        ("cycles", &stats.cycles),
        ("busy_polls", &stats.busy_polls),
        ("idle_polls", &stats.idle_polls),
    ];
    let mut counters: BTreeMap<String, u64> = own
        .iter()
        .map(|(name, counter)| ((*name).into(), counter.load(Relaxed)))
        .collect();
    for reason in Drop::ALL {
        let dropped = stats.drops[reason as usize].load(Relaxed);
        counters.insert(format!("drop_{}", reason.name()), dropped);
    }
    counters.extend(reg.counter_values());
    counters
}

/// The interfaces, or the one called `name`.
///
/// # Errors
/// ENOENT where there is none of that name.
pub fn nics(manager: &Manager, name: Option<&str>) -> Result<Vec<Nic>, Failure> {
    let mut names: Vec<(u16, String)> = Vec::new();
    for entry in manager.shared().registry().entries() {
        if let Role::Driver { endpoint, .. } = entry.node.role
            && name.is_none_or(|name| name == entry.reg.name())
        {
            names.push((endpoint, entry.reg.name().into()));
        }
    }
    if let (Some(name), true) = (name, names.is_empty()) {
        return Err(Failure {
            errno: 2,
            what: format!("cannot tell about {name}"),
            why: "there is no such interface".into(),
            help: "io-netctl graph shows those there are".into(),
        });
    }
    names.sort_unstable();
    names.iter().map(|(_, name)| nic(manager, name)).collect()
}

/// One interface. A driver that cannot tell leaves the fields empty.
fn nic(manager: &Manager, name: &str) -> Result<Nic, Failure> {
    const EOPNOTSUPP: i32 = 95;
    let ask = |cmd| match manager.devctl(name, cmd, &[]) {
        Err(failure) if failure.errno == EOPNOTSUPP => Ok(Vec::new()),
        other => other,
    };
    let mut nic = Nic {
        name: name.into(),
        ..Nic::default()
    };
    if let Some(config) = fields::config(&ask(DEVCTL_GET_CONFIG)?) {
        nic.description = config.description;
        nic.link_up = config.flags & NIC_LINK_DOWN == 0;
        nic.promiscuous = config.flags & NIC_PROMISCUOUS != 0;
        nic.multicast = config.flags & NIC_MULTICAST != 0;
        nic.current_node_id = config.current_address;
        nic.permanent_node_id = config.permanent_address;
        nic.media_rate_kbps = config.media_rate.map_or(0, u64::from);
        nic.mtu = config.mtu;
        nic.mru = config.mru;
        nic.full_duplex = config.duplex == 1;
        nic.irq = u32::try_from(config.irq).ok();
        nic.io_port = Some(config.io_port).filter(|port| *port != 0);
    }
    nic.counters = fields::stats(&ask(DEVCTL_GET_STATS)?);
    Ok(nic)
}

/// Reading the structures that drivers answer with, field by field: their bytes are a module's.
mod fields {
    use io_net_abi::{NicConfig, NicStats};
    use std::collections::BTreeMap;
    use std::mem::offset_of;

    /// [`NicConfig`] in this crate's types.
    pub(super) struct Config {
        pub(super) flags: u32,
        pub(super) mtu: u32,
        pub(super) mru: u32,
        pub(super) media_rate: Option<u32>,
        pub(super) duplex: i32,
        pub(super) irq: i32,
        pub(super) io_port: u64,
        pub(super) permanent_address: String,
        pub(super) current_address: String,
        pub(super) description: String,
    }

    fn bytes<const N: usize>(answer: &[u8], at: usize) -> Option<[u8; N]> {
        answer.get(at..at + N)?.try_into().ok()
    }

    fn word(answer: &[u8], at: usize) -> Option<u32> {
        bytes(answer, at).map(u32::from_ne_bytes)
    }

    fn long(answer: &[u8], at: usize) -> Option<u64> {
        bytes(answer, at).map(u64::from_ne_bytes)
    }

    fn address(bytes: [u8; 8], len: u32) -> String {
        let hex: Vec<String> = bytes
            .iter()
            .take(len as usize)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        hex.join(":")
    }

    pub(super) fn config(answer: &[u8]) -> Option<Config> {
        let len = word(answer, offset_of!(NicConfig, mac_length))?;
        let text: [u8; 64] = bytes(answer, offset_of!(NicConfig, device_description))?;
        let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        let rate = word(answer, offset_of!(NicConfig, media_rate))?;
        Some(Config {
            flags: word(answer, offset_of!(NicConfig, flags))?,
            mtu: word(answer, offset_of!(NicConfig, mtu))?,
            mru: word(answer, offset_of!(NicConfig, mru))?,
            media_rate: Some(rate).filter(|rate| *rate != u32::MAX),
            duplex: word(answer, offset_of!(NicConfig, duplex))?.cast_signed(),
            irq: word(answer, offset_of!(NicConfig, irq))?.cast_signed(),
            io_port: long(answer, offset_of!(NicConfig, io_port))?,
            permanent_address: address(
                bytes(answer, offset_of!(NicConfig, permanent_address))?,
                len,
            ),
            current_address: address(bytes(answer, offset_of!(NicConfig, current_address))?, len),
            description: String::from_utf8_lossy(&text[..end]).into_owned(),
        })
    }

    pub(super) fn stats(answer: &[u8]) -> BTreeMap<String, u64> {
        const ALWAYS: [(&str, usize); 4] = [
            ("txed_ok", offset_of!(NicStats, txed_ok)),
            ("rxed_ok", offset_of!(NicStats, rxed_ok)),
            ("octets_txed_ok", offset_of!(NicStats, octets_txed_ok)),
            ("octets_rxed_ok", offset_of!(NicStats, octets_rxed_ok)),
        ];
        const BY_BIT: [(&str, usize); 8] = [
            ("txed_broadcast", offset_of!(NicStats, txed_broadcast)),
            ("rxed_broadcast", offset_of!(NicStats, rxed_broadcast)),
            ("txed_multicast", offset_of!(NicStats, txed_multicast)),
            ("rxed_multicast", offset_of!(NicStats, rxed_multicast)),
            ("tx_failed_allocs", offset_of!(NicStats, tx_failed_allocs)),
            ("rx_failed_allocs", offset_of!(NicStats, rx_failed_allocs)),
            ("rx_errors", offset_of!(NicStats, rx_errors)),
            ("tx_errors", offset_of!(NicStats, tx_errors)),
        ];
        let valid = long(answer, offset_of!(NicStats, valid)).unwrap_or(0);
        let kept = BY_BIT
            .iter()
            .enumerate()
            .filter(|(bit, _)| valid >> bit & 1 != 0)
            .map(|(_, field)| field);
        ALWAYS
            .iter()
            .chain(kept)
            .filter_map(|(name, at)| Some(((*name).to_string(), long(answer, *at)?)))
            .collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn short_answers_have_no_fields() {
            assert!(config(&[]).is_none());
            assert!(config(&[0; size_of::<NicConfig>() - 1 - 16]).is_none());
            assert!(stats(&[0; 7]).is_empty());
        }

        #[test]
        fn fields_are_where_the_structures_have_them() {
            let mut answer = vec![0; size_of::<NicConfig>()];
            let mut put =
                |at: usize, bytes: &[u8]| answer[at..at + bytes.len()].copy_from_slice(bytes);
            put(offset_of!(NicConfig, mtu), &1514_u32.to_ne_bytes());
            put(offset_of!(NicConfig, mac_length), &6_u32.to_ne_bytes());
            put(
                offset_of!(NicConfig, current_address),
                &[2, 0, 0, 0, 0, 0xab],
            );
            put(offset_of!(NicConfig, device_description), b"a TAP");
            put(offset_of!(NicConfig, irq), &(-1_i32).to_ne_bytes());
            let config = config(&answer).unwrap();
            assert_eq!(config.mtu, 1514);
            assert_eq!(config.current_address, "02:00:00:00:00:ab");
            assert_eq!(config.description, "a TAP");
            assert_eq!(config.irq, -1);
        }

        #[test]
        fn counters_not_kept_are_left_out() {
            let mut answer = vec![0; size_of::<NicStats>()];
            answer[..8].copy_from_slice(&0b10_u64.to_ne_bytes());
            let at = offset_of!(NicStats, rxed_broadcast);
            answer[at..at + 8].copy_from_slice(&7_u64.to_ne_bytes());
            let stats = stats(&answer);
            assert_eq!(stats.get("rxed_broadcast"), Some(&7));
            assert_eq!(stats.get("txed_ok"), Some(&0));
            assert!(!stats.contains_key("tx_errors"));
        }
    }
}
