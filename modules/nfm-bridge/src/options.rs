//! The options, checked.

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
        Ok(BridgeOptions {
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
        for bad in ["table=7", "table=1048577", "ports=", "ports=en0:", "age=x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
