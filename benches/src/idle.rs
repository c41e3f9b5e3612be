//! What io-net costs while nothing happens.

use crate::ends;
use crate::series::Comparison;
use io_net_e2e::{Lab, Outcome};
use serde_json::Value;
use std::time::Duration;

/// How long nothing happens.
const SPAN: Duration = Duration::from_secs(10);

/// `idle_cpu` in percent of a processor and `idle_rss` in MiB; the peer's values are the limits
/// that are set for them.
///
/// # Errors
/// io-net does not come up.
pub(crate) fn cost(lab: &Lab) -> Outcome<Vec<Value>> {
    ends::tap(lab, |_, ion| {
        std::thread::sleep(Duration::from_secs(2));
        let before = ion.program().cpu_time()?;
        std::thread::sleep(SPAN);
        let used = ion.program().cpu_time()?.saturating_sub(before);
        let percent = used.as_secs_f64() / SPAN.as_secs_f64() * 100.0;
        let mib = ion.program().resident_kib()? as f64 / 1024.0;
        let line = |bench, unit, ours, limit| {
            Value::Object(
                Comparison {
                    bench,
                    peer: "limit",
                    unit,
                }
                .line(ours, limit),
            )
        };
        Ok(vec![
            line("idle_cpu", "percent of a core", percent, 1.0),
            line("idle_rss", "MiB", mib, 64.0),
        ])
    })
}
