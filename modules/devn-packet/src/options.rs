//! The module's options, checked.

use io_net_ddk::{Failure, Options, errno::EINVAL};
use std::ops::RangeInclusive;

/// The least MTU that carries IPv4 (RFC 791, 3.2).
const MTU_MIN: u32 = 68;
const QUEUES: RangeInclusive<usize> = 1..=16;

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PacketOptions {
    /// The kernel's interface.
    pub(crate) interface: String,
    /// None: as the interface has it.
    pub(crate) mac: Option<[u8; 6]>,
    /// None: as the interface has it, which is the most in any case.
    pub(crate) mtu: Option<u32>,
    pub(crate) queues: usize,
    pub(crate) promiscuous: bool,
    pub(crate) bypass: bool,
}

impl PacketOptions {
    /// Reads option text.
    ///
    /// # Errors
    /// EINVAL for a missing interface, a number out of range or an address that no interface can
    /// have.
    pub(crate) fn parse(options: Options<'_>) -> Result<Self, Failure> {
        let wrong = |text: String| Err(Failure::new(EINVAL, text));
        let interface = options.text("if").unwrap_or_default();
        if interface.is_empty() {
            return wrong(
                "option if= is missing: name an interface of `ip link`, as if=eth0".into(),
            );
        }
        let mac = options.mac("mac")?;
        if mac.is_some_and(|mac| mac[0] & 1 != 0 || mac == [0; 6]) {
            return wrong("option mac=: give a unicast address such as 02:00:00:00:00:01".into());
        }
        let mtu = options.number("mtu")?;
        if let Some(mtu) = mtu.filter(|&mtu| mtu < MTU_MIN) {
            return wrong(format!("option mtu={mtu}: give {MTU_MIN} or more"));
        }
        let queues = options.number("queues")?.unwrap_or(1);
        if !QUEUES.contains(&queues) {
            let (low, high) = (QUEUES.start(), QUEUES.end());
            return wrong(format!(
                "option queues={queues}: give a number from {low} to {high}"
            ));
        }
        Ok(PacketOptions {
            interface: interface.into(),
            mac,
            mtu,
            queues,
            promiscuous: options.flag("promiscuous"),
            bypass: options.flag("bypass"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PacketOptions, Failure> {
        PacketOptions::parse(Options::new(text))
    }

    #[test]
    fn all_but_the_interface_have_defaults() {
        let options = parse("if=eth0").unwrap();
        assert_eq!((options.mac, options.mtu, options.queues), (None, None, 1));
        assert!(!options.promiscuous && !options.bypass);
        let options = parse("if=eth0,mac=02:00:00:00:00:09,mtu=0x5dc,queues=4,promiscuous,bypass");
        let options = options.unwrap();
        assert_eq!(options.interface, "eth0");
        assert_eq!(options.mac, Some([2, 0, 0, 0, 0, 9]));
        assert_eq!((options.mtu, options.queues), (Some(1500), 4));
        assert!(options.promiscuous && options.bypass);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (bad, named) in [
            ("", "if="),
            ("if=", "if="),
            ("if=eth0,mtu=67", "mtu=67"),
            ("if=eth0,queues=0", "queues=0"),
            ("if=eth0,queues=17", "queues=17"),
            ("if=eth0,mac=01:00:00:00:00:00", "mac="),
            ("if=eth0,mac=00:00:00:00:00:00", "mac="),
        ] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{bad}");
            assert!(failure.text.contains(named), "{failure}");
        }
    }
}
