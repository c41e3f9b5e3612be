//! `nicinfo`: an adaptor as QNX's utility of that name shows it.

use io_net_proto::control::Nic;

/// Where values stand, after the labels and their dots.
const VALUE_COLUMN: usize = 48;

/// Counters in QNX's order, in its groups, with its labels.
const COUNTERS: &[&[(&str, &str)]] = &[
    &[
        ("txed_ok", "Packets Transmitted OK"),
        ("octets_txed_ok", "Bytes Transmitted OK"),
        ("txed_broadcast", "Broadcast Packets Transmitted OK"),
        ("txed_multicast", "Multicast Packets Transmitted OK"),
        ("tx_failed_allocs", "Memory Allocation Failures on Transmit"),
    ],
    &[
        ("rxed_ok", "Packets Received OK"),
        ("octets_rxed_ok", "Bytes Received OK"),
        ("rxed_broadcast", "Broadcast Packets Received OK"),
        ("rxed_multicast", "Multicast Packets Received OK"),
        ("rx_failed_allocs", "Memory Allocation Failures on Receive"),
    ],
    &[
        ("tx_errors", "Transmit Errors"),
        ("rx_errors", "Receive Errors"),
    ],
];

/// Every adaptor in turn.
pub(crate) fn show(nics: &[Nic]) -> String {
    match nics {
        [] => "no interface is up; io-netctl mount devn-tap.so makes one\n".into(),
        nics => nics.iter().map(one).collect::<Vec<_>>().join("\n"),
    }
}

fn one(nic: &Nic) -> String {
    let mut text = format!("{}: {}\n", nic.name, nic.description);
    let mut line = |label: &str, value: &str| text.push_str(&labelled(label, value));
    line("Physical Node ID", &node_id(&nic.permanent_node_id));
    line("Current Physical Node ID", &node_id(&nic.current_node_id));
    line("Current Operation Rate", &rate(nic));
    line("Link State", if nic.link_up { "Up" } else { "Down" });
    line("Maximum Transmittable data Unit", &unit(nic.mtu));
    line("Maximum Receivable data Unit", &unit(nic.mru));
    if let Some(irq) = nic.irq {
        line("Hardware Interrupt", &format!("{irq:#x}"));
    }
    if let Some(port) = nic.io_port {
        line("I/O Aperture", &format!("{port:#x}"));
    }
    line(
        "Promiscuous Mode",
        if nic.promiscuous { "On" } else { "Off" },
    );
    line(
        "Multicast Support",
        if nic.multicast { "Enabled" } else { "Disabled" },
    );
    for group in COUNTERS {
        let kept = group.iter().filter_map(|(name, label)| {
            let value = nic.counters.get(*name)?;
            Some(labelled(label, &value.to_string()))
        });
        let lines: String = kept.collect();
        if !lines.is_empty() {
            text.push('\n');
            text.push_str(&lines);
        }
    }
    text
}

/// `  Label ....... value`
fn labelled(label: &str, value: &str) -> String {
    let dots = ".".repeat(VALUE_COLUMN.saturating_sub(label.len() + 4));
    format!("  {label} {dots} {value}\n")
}

/// `02:00:00:00:00:0a` in QNX's form, `020000 00000A`.
fn node_id(address: &str) -> String {
    let digits: String = address.chars().filter(|c| *c != ':').collect();
    let digits = digits.to_uppercase();
    match digits.split_at_checked(6) {
        Some((maker, number)) if !number.is_empty() => format!("{maker} {number}"),
        _ if digits.is_empty() => "none".into(),
        _ => digits,
    }
}

fn rate(nic: &Nic) -> String {
    if nic.media_rate_kbps == 0 {
        return "Unknown".into();
    }
    let duplex = if nic.full_duplex {
        "full-duplex"
    } else {
        "half-duplex"
    };
    format!("{:.2} Mb/s {duplex}", nic.media_rate_kbps as f64 / 1000.0)
}

fn unit(bytes: u32) -> String {
    match bytes {
        0 => "Unknown".into(),
        bytes => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qnx_layout() {
        let counters = [
            ("txed_ok", 588),
            ("octets_txed_ok", 103_721),
            ("rx_errors", 0),
        ];
        let nic = Nic {
            name: "en0".into(),
            description: "TAP tap0".into(),
            link_up: true,
            current_node_id: "02:00:00:00:00:0a".into(),
            permanent_node_id: "02:00:00:00:00:0a".into(),
            media_rate_kbps: 100_000,
            mtu: 1514,
            mru: 1514,
            full_duplex: true,
            multicast: true,
            counters: counters.map(|(name, value)| (name.into(), value)).into(),
            ..Nic::default()
        };
        let expected = "\
en0: TAP tap0
  Physical Node ID ............................ 020000 00000A
  Current Physical Node ID .................... 020000 00000A
  Current Operation Rate ...................... 100.00 Mb/s full-duplex
  Link State .................................. Up
  Maximum Transmittable data Unit ............. 1514
  Maximum Receivable data Unit ................ 1514
  Promiscuous Mode ............................ Off
  Multicast Support ........................... Enabled

  Packets Transmitted OK ...................... 588
  Bytes Transmitted OK ........................ 103721

  Receive Errors .............................. 0
";
        assert_eq!(show(&[nic]), expected);
    }

    #[test]
    fn odd_addresses() {
        assert_eq!(node_id(""), "none");
        assert_eq!(node_id("0a:0b"), "0A0B");
        assert_eq!(
            node_id("\u{fc}\u{fc}\u{fc}\u{fc}"),
            "\u{dc}\u{dc}\u{dc} \u{dc}"
        );
    }
}
