//! A comparison: ours and the peer alternating, medians of runs that may be compared.

use crate::spin::{Mode, Spin};
use io_net_e2e::Outcome;
use serde_json::{Map, Value, json};

/// Runs of each side that a result is made of.
const RUNS: usize = 5;

/// Pairs that are tried before fewer runs have to do.
const PAIRS_MAX: usize = 10;

/// A run in which a thread waited for a processor for a greater share of the time is thrown away.
const WAITED_MAX: f64 = 0.02;

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// In the comparison's unit.
    pub(crate) value: f64,
    /// Share of the time that the worst thread waited for a processor; 0 where it cannot be told
    /// apart, as with more busy programs than processors.
    pub(crate) waited: f64,
}

impl Run {
    /// A run in which waiting is part of what is measured.
    pub(crate) fn of(value: f64) -> Self {
        Self { value, waited: 0.0 }
    }
}

/// What is compared with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    /// Name of the bench.
    pub(crate) bench: &'static str,
    /// Who the peer is.
    pub(crate) peer: &'static str,
    /// Unit of both values.
    pub(crate) unit: &'static str,
}

impl Comparison {
    /// Alternates `ours` and `peer` until each has enough runs of one mode; returns the result's
    /// line.
    ///
    /// # Errors
    /// A run fails, or none is left.
    pub(crate) fn alternate(
        &self,
        mut ours: impl FnMut() -> Outcome<Run>,
        mut peer: impl FnMut() -> Outcome<Run>,
    ) -> Outcome<Value> {
        let mut runs = Runs::default();
        for _ in 0..PAIRS_MAX {
            runs.take(Side::Ours, Spin::measure(), ours()?);
            runs.take(Side::Peer, Spin::measure(), peer()?);
            let (count, mode) = runs.best_mode();
            if count >= RUNS && mode != Mode::Disturbed {
                break;
            }
        }
        self.result(&runs)
    }

    fn result(&self, runs: &Runs) -> Outcome<Value> {
        let (count, mode) = runs.best_mode();
        if count == 0 {
            return Err(format!(
                "{}: no two runs can be compared ({} thrown away because a thread waited)",
                self.bench, runs.thrown
            ));
        }
        let ours = median(runs.values(Side::Ours, mode));
        let peer = median(runs.values(Side::Peer, mode));
        let mut line = self.line(ours, peer);
        line.insert("runs".into(), json!(count));
        line.insert("thrown".into(), json!(runs.thrown));
        line.insert("spin_ns".into(), json!(round(median(runs.spins(mode)))));
        Ok(Value::Object(line))
    }

    /// A result of values that were had otherwise.
    pub(crate) fn line(&self, ours: f64, peer: f64) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("bench".into(), json!(self.bench));
        line.insert("ours".into(), json!(round(ours)));
        line.insert("peer".into(), json!(self.peer));
        line.insert("peer_value".into(), json!(round(peer)));
        line.insert("unit".into(), json!(self.unit));
        line.insert("ratio".into(), json!(round(ours / peer)));
        line
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Peer,
}

/// The runs kept so far.
#[derive(Default)]
struct Runs {
    kept: Vec<(Side, Spin, f64)>,
    thrown: usize,
}

impl Runs {
    fn take(&mut self, side: Side, spin: Spin, run: Run) {
        if run.waited > WAITED_MAX {
            self.thrown += 1;
        } else {
            self.kept.push((side, spin, run.value));
        }
    }

    /// The mode with most runs of both sides, and how many.
    fn best_mode(&self) -> (usize, Mode) {
        let count = |mode| {
            let of = |side| self.values(side, mode).len();
            of(Side::Ours).min(of(Side::Peer))
        };
        let modes = Mode::ALL.iter().rev().map(|mode| (count(*mode), *mode));
        modes
            .max_by_key(|(count, _)| *count)
            .unwrap_or((0, Mode::Near))
    }

    fn values(&self, side: Side, mode: Mode) -> Vec<f64> {
        let of_side = self.kept.iter().filter(|(s, ..)| *s == side);
        let fits = of_side.filter(|(_, spin, _)| spin.mode() == mode);
        fits.map(|(_, _, value)| *value).collect()
    }

    fn spins(&self, mode: Mode) -> Vec<f64> {
        let fits = self.kept.iter().filter(|(_, spin, _)| spin.mode() == mode);
        fits.map(|(_, spin, _)| spin.ns).collect()
    }
}

/// The middle value, or the mean of the two middle ones; NaN of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// To four significant digits, so that lines stay readable.
fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Comparison = Comparison {
        bench: "b",
        peer: "p",
        unit: "u",
    };

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn only_runs_of_one_mode_are_compared() {
        let mut runs = Runs::default();
        let (near, far) = (Spin { ns: 100.0 }, Spin { ns: 400.0 });
        for (spin, ours, peer) in [(near, 10.0, 5.0), (near, 12.0, 6.0), (far, 1.0, 1.0)] {
            runs.take(Side::Ours, spin, Run::of(ours));
            runs.take(Side::Peer, spin, Run::of(peer));
        }
        let line = TEST.result(&runs).expect("runs");
        assert_eq!(line["ours"], 11.0);
        assert_eq!(line["ratio"], 2.0);
        assert_eq!(line["runs"], 2);
        assert_eq!(line["spin_ns"], 100.0);
    }

    #[test]
    fn runs_that_waited_are_thrown_and_counted() {
        let mut runs = Runs::default();
        let spin = Spin { ns: 100.0 };
        runs.take(
            Side::Ours,
            spin,
            Run {
                value: 1.0,
                waited: 0.5,
            },
        );
        runs.take(Side::Peer, spin, Run::of(1.0));
        assert!(TEST.result(&runs).unwrap_err().contains("1 thrown"));
    }

    #[test]
    fn four_digits() {
        assert_eq!(round(12_345.678), 12_350.0);
        assert_eq!(round(0.012_345_6), 0.01235);
        assert_eq!(round(0.0), 0.0);
    }
}
