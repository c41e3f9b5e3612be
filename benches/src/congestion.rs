//! The kernel's congestion controls: the peer is given its best.

use crate::ends::{End, Ends};
use io_net_e2e::Outcome;
use std::fs;

const DIR: &str = "/proc/sys/net/ipv4";

/// While it lives, every namespace may use every congestion control of the kernel's.
#[derive(Debug)]
pub(crate) struct AllAllowed {
    before: String,
    names: Vec<String>,
}

impl AllAllowed {
    /// Allows them all; without root, those that are allowed have to do.
    pub(crate) fn new() -> Self {
        let read = |name: &str| fs::read_to_string(format!("{DIR}/{name}")).unwrap_or_default();
        let before = read("tcp_allowed_congestion_control");
        let all = read("tcp_available_congestion_control");
        let _ = fs::write(format!("{DIR}/tcp_allowed_congestion_control"), all.trim());
        let allowed = read("tcp_allowed_congestion_control");
        let names = allowed.split_whitespace().map(str::to_owned).collect();
        Self { before, names }
    }

    /// Sets at the kernel's ends of `ends` the one with which `rate` is highest.
    ///
    /// # Errors
    /// As `rate`'s.
    pub(crate) fn set_best(
        &self,
        ends: Ends<'_>,
        mut rate: impl FnMut(Ends<'_>) -> Outcome<f64>,
    ) -> Outcome {
        let mut best = (0.0, "cubic");
        for name in &self.names {
            set(ends, name)?;
            let value = rate(ends)?;
            if value > best.0 {
                best = (value, name);
            }
        }
        eprintln!("the kernel's best congestion control here: {}", best.1);
        set(ends, best.1)
    }
}

impl Drop for AllAllowed {
    fn drop(&mut self) {
        let _ = fs::write(
            format!("{DIR}/tcp_allowed_congestion_control"),
            self.before.trim(),
        );
    }
}

fn set(ends: Ends<'_>, name: &str) -> Outcome {
    for end in [ends.server, ends.client] {
        if let End::Kernel(net) = end {
            let script = format!("echo {name} > {DIR}/tcp_congestion_control");
            let out = net.command("sh").args(["-c", &script]).output();
            let out = out.map_err(|e| format!("sh does not start: {e}"))?;
            if !out.status.success() {
                return Err(format!("{name}: {}", String::from_utf8_lossy(&out.stderr)));
            }
        }
    }
    Ok(())
}
