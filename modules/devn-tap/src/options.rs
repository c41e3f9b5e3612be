//! The module's options, checked.

use io_net_ddk::{Failure, Options, errno::EINVAL, random_mac};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// MTUs that the kernel's TAP driver takes.
const MTU: RangeInclusive<u32> = 68..=65_521;
const QUEUES: RangeInclusive<usize> = 1..=16;

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TapOptions {
    /// None: the kernel chooses.
    pub(crate) name: Option<String>,
    pub(crate) mac: [u8; 6],
    /// None: as the device has it.
    pub(crate) mtu: Option<u32>,
    pub(crate) queues: usize,
    pub(crate) persist: bool,
    pub(crate) up: bool,
    pub(crate) address: Option<(Ipv4Addr, u8)>,
}

impl TapOptions {
    /// Reads option text.
    ///
    /// # Errors
    /// EINVAL for a number out of range or an address that no interface can have.
    pub(crate) fn parse(options: Options<'_>) -> Result<Self, Failure> {
        let mac = options.mac("mac")?.unwrap_or_else(random_mac);
        if mac[0] & 1 != 0 || mac == [0; 6] {
            let text = "option mac=: give a unicast address such as 02:00:00:00:00:01";
            return Err(Failure::new(EINVAL, text));
        }
        let mtu = options.number("mtu")?;
        if let Some(mtu) = mtu {
            within("mtu", mtu, &MTU)?;
        }
        let queues = options.number("queues")?.unwrap_or(1);
        within("queues", queues, &QUEUES)?;
        let address = options.ipv4_all("addr")?.pop();
        Ok(TapOptions {
            name: options.text("name").map(Into::into),
            mac,
            mtu,
            queues,
            persist: options.flag("persist"),
            up: options.flag("up") || address.is_some(),
            address,
        })
    }
}

fn within<T>(name: &str, value: T, range: &RangeInclusive<T>) -> Result<(), Failure>
where
    T: PartialOrd + std::fmt::Display,
{
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = (range.start(), range.end());
    let text = format!("option {name}={value}: give a number from {low} to {high}");
    Err(Failure::new(EINVAL, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TapOptions, Failure> {
        TapOptions::parse(Options::new(text))
    }

    #[test]
    fn defaults() {
        let options = parse("").unwrap();
        assert_eq!((options.name, options.mtu, options.queues), (None, None, 1));
        assert!(!options.up && !options.persist);
        assert_eq!(options.mac[0] & 3, 2);
    }

    #[test]
    fn an_address_implies_up() {
        let options = parse("name=t0,addr=10.1.2.3/24,mac=02:00:00:00:00:09,persist").unwrap();
        assert!(options.up && options.persist);
        assert_eq!(options.address, Some((Ipv4Addr::new(10, 1, 2, 3), 24)));
        assert_eq!(options.mac, [2, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in [
            "mtu=67",
            "mtu=65522",
            "queues=0",
            "queues=17",
            "mac=01:00:00:00:00:00",
        ] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{bad}");
            assert!(
                failure.text.contains(bad.split('=').next().unwrap()),
                "{failure}"
            );
        }
    }
}
