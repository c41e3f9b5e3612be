//! The module's options, checked.

use crate::steering::Steering;
use io_net_ddk::{Failure, Options, errno::EINVAL};
use io_net_os::xdp::CopyMode;
use std::ops::RangeInclusive;

/// The least MTU that carries IPv4 (RFC 791, 3.2).
const MTU_MIN: u32 = 68;
pub(crate) const QUEUES: RangeInclusive<usize> = 1..=64;
/// Microseconds.
const BUSY_POLL: RangeInclusive<u32> = 1..=10_000;

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct XdpOptions {
    /// The kernel's interface.
    pub(crate) interface: String,
    pub(crate) steering: Steering,
    /// None: as the interface has it.
    pub(crate) mac: Option<[u8; 6]>,
    /// None: as the interface has it, which is the most in any case.
    pub(crate) mtu: Option<u32>,
    /// None: all that the interface has.
    pub(crate) queues: Option<usize>,
    pub(crate) mode: CopyMode,
    /// Run the program behind the driver at once.
    pub(crate) generic: bool,
    /// Microseconds of busy polling a call.
    pub(crate) busy_poll: Option<u32>,
    pub(crate) promiscuous: bool,
}

impl XdpOptions {
    /// Reads option text.
    ///
    /// # Errors
    /// EINVAL for a missing interface, nothing to take, a number out of range or an address that no
    /// interface can have.
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
        let mode = match options.text("mode") {
            None | Some("auto") => CopyMode::Auto,
            Some("copy") => CopyMode::Copy,
            Some("zerocopy") => CopyMode::ZeroCopy,
            Some(other) => {
                return wrong(format!("option mode={other}: give auto, copy or zerocopy"));
            }
        };
        Ok(XdpOptions {
            interface: interface.into(),
            steering: Steering::parse(options)?,
            mac,
            mtu,
            queues: within(options, "queues", QUEUES)?,
            mode,
            generic: options.flag("generic"),
            busy_poll: within(options, "busy_poll", BUSY_POLL)?,
            promiscuous: options.flag("promiscuous"),
        })
    }
}

fn within<T>(
    options: Options<'_>,
    name: &str,
    range: RangeInclusive<T>,
) -> Result<Option<T>, Failure>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display,
{
    match options.number::<T>(name)? {
        Some(number) if !range.contains(&number) => {
            let (low, high) = (range.start(), range.end());
            let text = format!("option {name}={number}: give a number from {low} to {high}");
            Err(Failure::new(EINVAL, text))
        }
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<XdpOptions, Failure> {
        XdpOptions::parse(Options::new(text))
    }

    #[test]
    fn all_but_the_interface_and_the_rules_have_defaults() {
        let options = parse("if=eth0,all").unwrap();
        assert_eq!(
            (options.mac, options.mtu, options.queues),
            (None, None, None)
        );
        assert_eq!((options.mode, options.busy_poll), (CopyMode::Auto, None));
        assert!(!options.promiscuous && !options.generic);
        let text = "if=eth0,port=80,mac=02:00:00:00:00:09,mtu=1400,queues=4,mode=copy,generic,\
                    busy_poll=50,promiscuous";
        let options = parse(text).unwrap();
        assert_eq!((options.queues, options.mtu), (Some(4), Some(1400)));
        assert_eq!(
            (options.mode, options.busy_poll),
            (CopyMode::Copy, Some(50))
        );
        assert!(options.promiscuous && options.generic && !options.steering.all);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (bad, named) in [
            ("all", "if="),
            ("if=eth0", "all"),
            ("if=eth0,all,mtu=67", "mtu=67"),
            ("if=eth0,all,queues=0", "queues=0"),
            ("if=eth0,all,queues=65", "queues=65"),
            ("if=eth0,all,busy_poll=0", "busy_poll=0"),
            ("if=eth0,all,mode=fast", "mode=fast"),
            ("if=eth0,all,mac=01:00:00:00:00:00", "mac="),
        ] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{bad}");
            assert!(failure.text.contains(named), "{failure}");
        }
    }
}
