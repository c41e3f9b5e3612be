//! Which VLANs a port carries, and in which form (IEEE 802.1Q-2018, 6.9 and 8.8).

use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options};

/// The highest number of a VLAN (IEEE 802.1Q-2018, 9.6).
pub(crate) const VLAN_MAX: u16 = 4094;

/// The VLANs of one port. Those of a bridge that knows none are the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vlans {
    /// The VLAN of frames without a tag, 0 for none.
    untagged: u16,
    /// A bit for each VLAN whose frames have tags.
    tagged: Box<[u64; 64]>,
}

impl Default for Vlans {
    fn default() -> Self {
        Vlans {
            untagged: 0,
            tagged: Box::new([0; 64]),
        }
    }
}

impl Vlans {
    /// The VLAN of a frame that comes in with this tag; None where the port does not carry it. A
    /// tag for VLAN 0 is a priority only.
    pub(crate) fn admit(&self, control: Option<u16>) -> Option<u16> {
        let vlan = control.unwrap_or(0) & 0x0fff;
        match vlan {
            0 => (self.untagged != 0).then_some(self.untagged),
            _ => self.has_tagged(vlan).then_some(vlan),
        }
    }

    /// Whether frames of `vlan` go out there.
    pub(crate) fn carries(&self, vlan: u16) -> bool {
        vlan == self.untagged || self.has_tagged(vlan)
    }

    /// Whether they go out with a tag.
    pub(crate) fn tags(&self, vlan: u16) -> bool {
        vlan != self.untagged
    }

    fn has_tagged(&self, vlan: u16) -> bool {
        let word = self.tagged.get(usize::from(vlan / 64));
        word.is_some_and(|word| word & 1 << (vlan % 64) != 0)
    }

    /// The form of a probe: the VLAN without tags, else the lowest with. None for no VLAN.
    pub(crate) fn first(&self) -> Option<u16> {
        let tagged = || (1..=VLAN_MAX).find(|&vlan| self.has_tagged(vlan));
        Some(self.untagged)
            .filter(|&vlan| vlan != 0)
            .or_else(tagged)
    }
}

/// The VLANs of each port that an option names; empty for a bridge that knows none.
///
/// # Errors
/// EINVAL for what is malformed or contradicts itself.
pub(crate) fn parse(options: Options) -> Result<Vec<(String, Vlans)>, Failure> {
    let mut ports: Vec<(String, Vlans)> = Vec::new();
    for value in options.all("trunk") {
        let (port, list) = port_and(value, "trunk", "en1:10+20-29")?;
        let vlans = of(&mut ports, port);
        for range in list.split('+') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (number("trunk", first)?, number("trunk", last)?);
            if first > last {
                return Err(refused(format!(
                    "option trunk={value}: {first} is above {last}"
                )));
            }
            for vlan in first..=last {
                vlans.tagged[usize::from(vlan / 64)] |= 1 << (vlan % 64);
            }
        }
    }
    for (name, with_tags) in [("native", true), ("access", false)] {
        for value in options.all(name) {
            let (port, vlan) = port_and(value, name, "en0:10")?;
            let vlan = number(name, vlan)?;
            let known = ports.iter().any(|(other, _)| other == port);
            if known != with_tags {
                let why = match with_tags {
                    true => "which no trunk= names; give its VLANs with tags too, or access=",
                    false => "which has VLANs already; a port is either access= or trunk=",
                };
                return Err(refused(format!(
                    "option {name}={value} is about {port}, {why}"
                )));
            }
            let vlans = of(&mut ports, port);
            if vlans.untagged != 0 || vlans.has_tagged(vlan) {
                let why = "a port has one VLAN without tags, and that one without tags only";
                return Err(refused(format!("option {name}={value}: {why}")));
            }
            vlans.untagged = vlan;
        }
    }
    Ok(ports)
}

fn of<'a>(ports: &'a mut Vec<(String, Vlans)>, port: &str) -> &'a mut Vlans {
    let at = ports.iter().position(|(other, _)| other == port);
    let at = at.unwrap_or_else(|| {
        ports.push((port.to_owned(), Vlans::default()));
        ports.len() - 1
    });
    &mut ports[at].1
}

fn port_and<'a>(value: &'a str, name: &str, such: &str) -> Result<(&'a str, &'a str), Failure> {
    let parts = value.split_once(':').filter(|(port, _)| !port.is_empty());
    parts.ok_or_else(|| refused(format!("option {name}={value}: give it as {name}={such}")))
}

/// A VLAN's number in the text of option `name`.
///
/// # Errors
/// EINVAL where it is none.
pub(crate) fn number(name: &str, text: &str) -> Result<u16, Failure> {
    let number = text.parse().ok();
    let number = number.filter(|vlan| (1..=VLAN_MAX).contains(vlan));
    number.ok_or_else(|| {
        refused(format!(
            "option {name}: \"{text}\" is no VLAN; give a number from 1 to {VLAN_MAX}"
        ))
    })
}

fn refused(text: String) -> Failure {
    Failure::new(EINVAL, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_carry_what_the_options_say() {
        let text = "access=en0:10,trunk=en1:10+20-22,native=en1:5,trunk=en2:4094,trunk=en1:30";
        let ports = parse(Options::new(text)).unwrap();
        let of = |name: &str| &ports.iter().find(|(port, _)| port == name).unwrap().1;
        let access = of("en0");
        assert_eq!(
            (access.admit(None), access.admit(Some(0xe000))),
            (Some(10), Some(10))
        );
        assert_eq!(access.admit(Some(10)), None);
        assert!(access.carries(10) && !access.tags(10) && !access.carries(20));
        let trunk = of("en1");
        assert_eq!(
            (trunk.admit(None), trunk.admit(Some(0x2015))),
            (Some(5), Some(21))
        );
        assert_eq!((trunk.admit(Some(23)), trunk.admit(Some(5))), (None, None));
        assert!(trunk.tags(30) && !trunk.tags(5));
        assert_eq!((trunk.first(), of("en2").first()), (Some(5), Some(4094)));
        assert_eq!(of("en2").admit(None), None);
    }

    #[test]
    fn without_vlans_everything_passes_as_it_is() {
        let none = Vlans::default();
        assert!(none.carries(0) && !none.tags(0) && !none.carries(1));
        assert_eq!((none.admit(None), none.first()), (None, None));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            "access=en0",
            "access=:1",
            "access=en0:0",
            "access=en0:4095",
            "access=en0:x",
            "access=en0:1,access=en0:2",
            "trunk=en0:1,access=en0:2",
            "native=en0:1",
            "trunk=en0:1,native=en0:1",
            "trunk=en0:9-3",
            "trunk=en0:",
            "trunk=en0:1+",
            "trunk=en0:1,native=en0:2,native=en0:3",
        ] {
            assert!(parse(Options::new(bad)).is_err(), "{bad}");
        }
    }
}
