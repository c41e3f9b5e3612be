//! The module's options, checked.

use io_net_ddk::{Failure, Options, errno::EINVAL};
use io_net_os::ports::BLOCK;
use std::ops::RangeInclusive;

/// Largest packets, in bytes; 68 is what IPv4 asks for (RFC 791).
const MTU: RangeInclusive<u32> = 68..=1500;
/// Multicast addresses that are taken by name.
const GROUPS_MAX: usize = 64;
const VERBOSE_MAX: u32 = 2;

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeOptions {
    pub(crate) place: Place,
    /// None: as the card is wired.
    pub(crate) irq: Option<i32>,
    /// None: the card's own.
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) mtu: u32,
    pub(crate) promiscuous: bool,
    /// Multicast addresses to take; none for all.
    pub(crate) groups: Vec<[u8; 6]>,
    pub(crate) verbose: u32,
}

/// Which cards to drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// All that are found.
    Any,
    /// The one at this port.
    Port(u16),
    /// The PCI card of this number.
    Pci(usize),
}

impl NeOptions {
    /// Reads option text.
    ///
    /// # Errors
    /// EINVAL for what cannot be.
    pub(crate) fn parse(options: Options<'_>) -> Result<Self, Failure> {
        let place = match (options.number::<u16>("ioport")?, options.number("pci")?) {
            (None, None) => Place::Any,
            (Some(port), None) if port != 0 && port.is_multiple_of(BLOCK) => Place::Port(port),
            (Some(port), None) => {
                return wrong(format!(
                    "option ioport={port:#x}: give the card's first port, a multiple of {BLOCK:#x} \
                     such as 0x300"
                ));
            }
            (None, Some(index)) => Place::Pci(index),
            (Some(_), Some(_)) => {
                return wrong("options ioport= and pci= both name a card: give one of them");
            }
        };
        let irq = options.number::<u8>("irq")?.map(i32::from);
        let mac = options.mac("mac")?;
        if mac.is_some_and(|mac| !is_station(mac)) {
            return wrong("option mac=: give a unicast address such as 02:00:00:00:00:01");
        }
        let mtu = options.number("mtu")?.unwrap_or(*MTU.end());
        if !MTU.contains(&mtu) {
            let (low, high) = (MTU.start(), MTU.end());
            return wrong(format!(
                "option mtu={mtu}: give a number from {low} to {high}"
            ));
        }
        let verbose = options.number("verbose")?.unwrap_or(0);
        if verbose > VERBOSE_MAX {
            return wrong(format!(
                "option verbose={verbose}: give a number from 0 to {VERBOSE_MAX}"
            ));
        }
        Ok(NeOptions {
            place,
            irq,
            mac,
            mtu,
            promiscuous: options.flag("promiscuous"),
            groups: groups(options)?,
            verbose,
        })
    }
}

/// Whether `mac` can be one station's address.
pub(crate) fn is_station(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 0 && mac != [0; 6]
}

fn groups(options: Options<'_>) -> Result<Vec<[u8; 6]>, Failure> {
    let mut groups = Vec::new();
    for text in options.all("multicast") {
        let one = format!("mac={text}");
        let group = Options::new(&one).mac("mac").ok().flatten();
        match group {
            Some(group) if group[0] & 1 != 0 => groups.push(group),
            _ => {
                return wrong(format!(
                    "option multicast={text:.40}: give a multicast address such as 01:00:5e:00:00:01"
                ));
            }
        }
    }
    if groups.len() > GROUPS_MAX {
        return wrong(format!(
            "option multicast=: give at most {GROUPS_MAX} of them, or none for all multicasts"
        ));
    }
    Ok(groups)
}

fn wrong<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::new(EINVAL, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NeOptions, Failure> {
        NeOptions::parse(Options::new(text))
    }

    #[test]
    fn everything_has_a_default() {
        let options = parse("").unwrap();
        assert_eq!((options.place, options.irq), (Place::Any, None));
        assert_eq!((options.mac, options.mtu), (None, 1500));
        assert!(!options.promiscuous && options.groups.is_empty());
    }

    #[test]
    fn what_is_given_is_kept() {
        let options =
            parse("ioport=0x300,irq=9,mac=02:00:00:00:00:09,mtu=576,promiscuous,verbose=2");
        let options = options.unwrap();
        assert_eq!((options.place, options.irq), (Place::Port(0x300), Some(9)));
        assert_eq!((options.mac.unwrap()[5], options.mtu), (9, 576));
        assert!(options.promiscuous && options.verbose == 2);
        let options = parse("pci=1,multicast=01005e000001,multicast=33:33:00:00:00:01").unwrap();
        assert_eq!((options.place, options.groups.len()), (Place::Pci(1), 2));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in [
            "ioport=0",
            "ioport=0x310",
            "ioport=0x10300",
            "ioport=0x300,pci=0",
            "irq=256",
            "mac=01:00:00:00:00:00",
            "mac=00:00:00:00:00:00",
            "mtu=67",
            "mtu=1501",
            "multicast=02:00:00:00:00:01",
            "multicast=x",
            "verbose=3",
        ] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{bad}");
            let (name, _) = bad.split_once('=').unwrap();
            assert!(failure.text.contains(name), "{failure}");
        }
        let many = "multicast=010000000000,".repeat(GROUPS_MAX + 1);
        assert!(parse(&many).unwrap_err().text.contains("64"));
    }
}
