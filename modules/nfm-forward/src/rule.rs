//! What a rule is, and which rules contradict each other.

use crate::fields::Fields;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// The way that a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) address: IpAddr,
    pub(crate) bits: u8,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It goes out at this interface instead.
    Redirect(String),
    /// A copy goes out at this interface.
    Mirror(String),
    /// Nothing more.
    Drop,
    /// It goes on.
    Pass,
}

/// Which packets a rule is for; `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The interface that the packet came from or goes to.
    pub(crate) input: Option<String>,
    pub(crate) way: Option<Way>,
    pub(crate) ethertype: Option<u16>,
    pub(crate) vlan: Option<u16>,
    pub(crate) src_mac: Option<[u8; 6]>,
    pub(crate) dst_mac: Option<[u8; 6]>,
    pub(crate) src: Option<Prefix>,
    pub(crate) dst: Option<Prefix>,
    pub(crate) protocol: Option<u8>,
    pub(crate) sport: Option<RangeInclusive<u16>>,
    pub(crate) dport: Option<RangeInclusive<u16>>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) pattern: Pattern,
    pub(crate) action: Action,
    /// As it was written.
    pub(crate) text: String,
}

impl Prefix {
    #[inline]
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        let same =
            |own: u128, other: u128, width: u32| bits == 0 || (own ^ other) >> (width - bits) == 0;
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(own.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }

    /// Whether every address of `other` is one of these.
    fn covers(&self, other: &Prefix) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }
}

impl Pattern {
    /// Whether a frame with these fields is meant. The interface and the way are not looked at.
    #[inline]
    pub(crate) fn matches(&self, fields: &Fields) -> bool {
        fn is<T: PartialEq>(wanted: Option<T>, found: Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let within = |prefix: Option<Prefix>, address: Option<IpAddr>| {
            prefix.is_none_or(|prefix| address.is_some_and(|address| prefix.contains(address)))
        };
        let among = |range: &Option<RangeInclusive<u16>>, port: Option<u16>| {
            let port = |range: &RangeInclusive<u16>| port.is_some_and(|port| range.contains(&port));
            range.as_ref().is_none_or(port)
        };
        is(self.ethertype, fields.ethertype)
            && is(self.vlan, fields.vlan)
            && is(self.src_mac, fields.src_mac)
            && is(self.dst_mac, fields.dst_mac)
            && within(self.src, fields.src)
            && within(self.dst, fields.dst)
            && is(self.protocol, fields.protocol)
            && among(&self.sport, fields.ports.map(|(sport, _)| sport))
            && among(&self.dport, fields.ports.map(|(_, dport)| dport))
    }

    /// Whether the frame itself matters.
    pub(crate) fn looks_inside(&self) -> bool {
        let anything = Pattern {
            input: self.input.clone(),
            way: self.way,
            ..Pattern::default()
        };
        *self != anything
    }

    /// Whether every packet that `other` is for is one that this is for.
    pub(crate) fn covers(&self, other: &Pattern) -> bool {
        fn covers<T>(own: &Option<T>, other: &Option<T>, holds: impl Fn(&T, &T) -> bool) -> bool {
            match (own, other) {
                (None, _) => true,
                (Some(own), Some(other)) => holds(own, other),
                (Some(_), None) => false,
            }
        }
        let range = |own: &RangeInclusive<u16>, other: &RangeInclusive<u16>| {
            own.start() <= other.start() && other.end() <= own.end()
        };
        covers(&self.input, &other.input, PartialEq::eq)
            && covers(&self.way, &other.way, PartialEq::eq)
            && covers(&self.ethertype, &other.implied_type(), PartialEq::eq)
            && covers(&self.vlan, &other.vlan, PartialEq::eq)
            && covers(&self.src_mac, &other.src_mac, PartialEq::eq)
            && covers(&self.dst_mac, &other.dst_mac, PartialEq::eq)
            && covers(&self.src, &other.src, Prefix::covers)
            && covers(&self.dst, &other.dst, Prefix::covers)
            && covers(&self.protocol, &other.protocol, PartialEq::eq)
            && covers(&self.sport, &other.sport, range)
            && covers(&self.dport, &other.dport, range)
    }

    /// The type, also where an address says it.
    pub(crate) fn implied_type(&self) -> Option<u16> {
        let version = |prefix: Prefix| {
            if prefix.address.is_ipv4() {
                0x0800
            } else {
                0x86dd
            }
        };
        self.ethertype
            .or_else(|| self.src.or(self.dst).map(version))
    }
}

impl Action {
    /// The interface that it leads to.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Action::Redirect(name) | Action::Mirror(name) => Some(name),
            Action::Drop | Action::Pass => None,
        }
    }
}

impl Rule {
    /// Whether the rule can decide anything that `other`, which comes later, is for. A rule
    /// without an interface does not concern the packets of the one that it leads to.
    pub(crate) fn shadows(&self, other: &Rule) -> bool {
        let spared = self
            .action
            .target()
            .filter(|_| self.pattern.input.is_none());
        let all = match (spared, &other.pattern.input) {
            (None, _) => true,
            (Some(spared), Some(input)) => spared != input,
            (Some(spared), None) => other.action.target() == Some(spared),
        };
        all && self.pattern.covers(&other.pattern)
    }
}
