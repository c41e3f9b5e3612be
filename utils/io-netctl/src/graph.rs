//! `io-netctl graph`: who is there, from the wire to the programs, and what passed between them.

use crate::table::{Align, table};
use io_net_proto::control::{Graph, Kind};
use std::fmt::Write;

/// Columns shown; more would not fit a screen.
const COLUMNS_MAX: usize = 64;

/// The graph on one screen.
pub(crate) fn show(graph: &Graph) -> String {
    if graph.registrants.is_empty() {
        return "nothing is mounted; io-netctl mount MODULE\n".into();
    }
    let mut text = String::from("wire -> programs\n");
    for column in columns(graph) {
        let _ = writeln!(text, "  {}", column.join(" -- "));
    }
    text.push('\n');
    text.push_str(&registrants(graph));
    if !graph.edges.is_empty() {
        text.push('\n');
        text.push_str(&edges(graph));
    }
    text
}

/// Every way up from a driver, and whoever is on none.
fn columns(graph: &Graph) -> Vec<Vec<&str>> {
    let shown = graph.columns.iter().take(COLUMNS_MAX);
    let mut columns: Vec<Vec<&str>> = shown
        .map(|column| column.iter().map(String::as_str).collect())
        .collect();
    let on_none = |name: &&str| !graph.columns.iter().flatten().any(|other| other == name);
    let alone = graph.registrants.iter().map(|r| r.name.as_str());
    columns.extend(alone.filter(on_none).map(|name| vec![name]));
    columns
}

fn registrants(graph: &Graph) -> String {
    let heads = [
        ("NAME", Align::Left),
        ("KIND", Align::Left),
        ("WORKER", Align::Right),
        ("STATE", Align::Left),
        ("MODULE", Align::Left),
        ("OPTIONS", Align::Left),
    ];
    let row = |r: &io_net_proto::control::Registrant| {
        let file = r.module.rsplit('/').next().unwrap_or_default();
        vec![
            r.name.clone(),
            kind(r.kind).into(),
            r.worker.to_string(),
            r.state.clone(),
            file.into(),
            r.options.clone(),
        ]
    };
    table(
        &heads,
        &graph.registrants.iter().map(row).collect::<Vec<_>>(),
    )
}

fn edges(graph: &Graph) -> String {
    let heads = [
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("TYPE", Align::Left),
        ("UP", Align::Right),
        ("DOWN", Align::Right),
        ("DROPS", Align::Right),
    ];
    let row = |e: &io_net_proto::control::Edge| {
        vec![
            e.from.clone(),
            e.to.clone(),
            e.packet_type.clone(),
            e.up_packets.to_string(),
            e.down_packets.to_string(),
            e.drops.to_string(),
        ]
    };
    table(&heads, &graph.edges.iter().map(row).collect::<Vec<_>>())
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Driver => "driver",
        Kind::Filter => "filter",
        Kind::Converter => "converter",
        Kind::Protocol => "protocol",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_net_proto::control::{Edge, Registrant};

    fn registrant(name: &str, kind: Kind) -> Registrant {
        Registrant {
            name: name.into(),
            kind,
            module: format!("/lib/io-net/{name}.so"),
            version: "1".into(),
            options: String::new(),
            cell: 0,
            endpoint: 0,
            worker: 0,
            state: "running".into(),
        }
    }

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.into(),
            to: to.into(),
            packet_type: "en".into(),
            up_packets: 1200,
            down_packets: 7,
            drops: 3,
        }
    }

    fn graph() -> Graph {
        let kinds = [
            ("en0", Kind::Driver),
            ("en1", Kind::Driver),
            ("bridge0", Kind::Filter),
            ("ip_en", Kind::Converter),
            ("tcpip", Kind::Protocol),
            ("lonely", Kind::Protocol),
        ];
        let edges = [
            ("en0", "bridge0"),
            ("en1", "bridge0"),
            ("bridge0", "ip_en"),
            ("ip_en", "tcpip"),
        ];
        Graph {
            registrants: kinds.map(|(name, kind)| registrant(name, kind)).into(),
            columns: vec![
                ["en0", "bridge0", "ip_en", "tcpip"]
                    .map(String::from)
                    .into(),
            ],
            edges: edges.map(|(from, to)| edge(from, to)).into(),
        }
    }

    #[test]
    fn whoever_is_in_no_column_stands_alone() {
        let graph = graph();
        let columns = columns(&graph);
        assert_eq!(columns[0], ["en0", "bridge0", "ip_en", "tcpip"]);
        assert_eq!(columns[1..], [["en1"], ["lonely"]]);
    }

    #[test]
    fn a_screen() {
        let text = show(&graph());
        assert!(
            text.contains("  en0 -- bridge0 -- ip_en -- tcpip\n"),
            "{text}"
        );
        assert!(
            text.contains("en0      driver          0  running  en0.so\n"),
            "{text}"
        );
        assert!(
            text.contains("en0      bridge0  en    1200     7      3\n"),
            "{text}"
        );
        assert!(show(&Graph::default()).contains("nothing is mounted"));
    }
}
