//! `io-netctl stats`: every counter, by registrant, with what was lost standing out.

use io_net_proto::control::Stats;
use std::fmt::Write;

/// Turns bold red on and off on a terminal.
const ALARM: (&str, &str) = ("\x1b[1;31m", "\x1b[0m");

/// The counters. One of lost packets that is not 0 is marked with `!`, and in colour where
/// `colour`.
pub(crate) fn show(stats: &Stats, colour: bool) -> String {
    let all = || stats.counters.values().flatten();
    let names = all().map(|(name, _)| name.len()).max().unwrap_or(0);
    let values = all()
        .map(|(_, value)| value.to_string().len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (registrant, counters) in &stats.counters {
        let _ = writeln!(text, "{registrant}");
        for (name, &value) in counters {
            let line = format!("{name:<names$}  {value:>values$}");
            let _ = match (value > 0 && tells_loss(name), colour) {
                (false, _) => writeln!(text, "    {line}"),
                (true, false) => writeln!(text, "  ! {line}"),
                (true, true) => writeln!(text, "  ! {}{line}{}", ALARM.0, ALARM.1),
            };
        }
    }
    text
}

/// Whether a counter of this name counts packets or requests that were lost.
fn tells_loss(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "drop",
        "error",
        "fail",
        "lost",
        "leak",
        "bad",
        "refused",
        "corrupt",
        "no_buffer",
        "no_room",
        "link_down",
        "orphaned",
        "astray",
        "twice",
    ];
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn stats() -> Stats {
        let of = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
            pairs
                .iter()
                .map(|&(name, value)| (name.into(), value))
                .collect()
        };
        let en0 = of(&[
            ("rx_packets", 123_456),
            ("drop_no_buffer", 2),
            ("drop_no_link", 0),
        ]);
        let counters = [
            ("en0".into(), en0),
            ("tcpip".into(), of(&[("segments", 5)])),
        ];
        Stats {
            counters: counters.into(),
        }
    }

    #[test]
    fn losses_stand_out() {
        let text = show(&stats(), false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "en0",
                "  ! drop_no_buffer       2",
                "    drop_no_link         0",
                "    rx_packets      123456",
                "tcpip",
                "    segments             5",
            ]
        );
        assert!(show(&stats(), true).contains("\x1b[1;31mdrop_no_buffer"));
    }
}
