//! The module's options, checked.

use io_net_ddk::{Failure, Options, errno::EINVAL, random_mac};
use std::ops::RangeInclusive;

const MTU: RangeInclusive<u32> = 68..=65_535;

/// What the user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoopOptions {
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
}

impl LoopOptions {
    /// Reads option text.
    ///
    /// # Errors
    /// EINVAL for a number out of range or an address that no interface can have.
    pub(crate) fn parse(options: Options<'_>) -> Result<Self, Failure> {
        let wrong = |text: String| Err(Failure::new(EINVAL, text));
        let mac = options.mac("mac")?.unwrap_or_else(random_mac);
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return wrong("option mac=: give a unicast address such as 02:00:00:00:00:01".into());
        }
        let mtu = options.number("mtu")?.unwrap_or(*MTU.end());
        if !MTU.contains(&mtu) {
            let (low, high) = (MTU.start(), MTU.end());
            return wrong(format!(
                "option mtu={mtu}: give a number from {low} to {high}"
            ));
        }
        Ok(LoopOptions { mac, mtu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let parse = |text| LoopOptions::parse(Options::new(text));
        assert_eq!(parse("").unwrap().mtu, 65_535);
        let options = parse("mac=02:00:00:00:00:09,mtu=68").unwrap();
        assert_eq!((options.mac[5], options.mtu), (9, 68));
        for bad in ["mtu=67", "mtu=65536", "mac=01:00:00:00:00:00"] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{bad}");
            assert!(failure.text.contains(&bad[..4]), "{failure}");
        }
    }
}
