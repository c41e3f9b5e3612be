//! The options, checked.

use crate::statics::{self, Static};
use crate::vlans::{self, Vlans};
use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options};

/// How the bridge is to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BridgeOptions {
    /// Names of the interfaces; empty for all.
    pub(crate) ports: Vec<String>,
    /// Seconds after which a silent station is forgotten; 0 for never.
    pub(crate) age_s: u32,
    /// Stations to remember.
    pub(crate) table: usize,
    /// The VLANs of the ports that have any; empty where the bridge knows none.
    pub(crate) vlans: Vec<(String, Vlans)>,
    /// Stations whose port is given.
    pub(crate) statics: Vec<Static>,
    /// Seconds for which the loop guard closes a port; 0 for no guard.
    pub(crate) loop_guard_s: u32,
}

impl BridgeOptions {
    pub(crate) fn parse(options: Options) -> Result<Self, Failure> {
        let table = options.number("table")?.unwrap_or(4096);
        if !(8..=1 << 20).contains(&table) {
            let text = format!("option table={table}: give a number from 8 to 1048576");
            return Err(Failure::new(EINVAL, text));
        }
        let names = options.all("ports").flat_map(|list| list.split(':'));
        let ports: Vec<String> = names.map(str::to_owned).collect();
        if ports.iter().any(|name| name.is_empty() || name.len() > 15) {
            let text = "option ports: give names of interfaces with colons between, en0:en1";
            return Err(Failure::new(EINVAL, text));
        }
        let vlans = vlans::parse(options)?;
        let statics = statics::parse(options, !vlans.is_empty())?;
        let named = vlans.iter().map(|(port, _)| port);
        let mut named = named.chain(statics.iter().map(|one| &one.port));
        if let Some(port) = named.find(|port| !ports.is_empty() && !ports.contains(port)) {
            let text = format!("an option is about {port}, which ports= does not name");
            return Err(Failure::new(EINVAL, text));
        }
        Ok(BridgeOptions {
            vlans,
            statics,
            loop_guard_s: options.number("loop_guard")?.unwrap_or(0),
            ports,
            age_s: options.number("age")?.unwrap_or(300),
            table,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BridgeOptions, Failure> {
        BridgeOptions::parse(Options::new(text))
    }

    #[test]
    fn defaults_and_lists() {
        let options = parse("ports=en0:en1,ports=en7,age=0").unwrap();
        assert_eq!(options.ports, ["en0", "en1", "en7"]);
        assert_eq!((options.age_s, options.table), (0, 4096));
        assert!(parse("").unwrap().ports.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "table=7",
            "table=1048577",
            "ports=",
            "ports=en0:",
            "age=x",
            "loop_guard=-1",
            "ports=en0:en1,access=en2:5",
            "ports=en0:en1,static=02:00:00:00:00:01=en2",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
