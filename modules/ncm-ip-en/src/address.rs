//! What the two versions of IP have in common, so that claims and neighbours are written once.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address of one version of IP.
pub(crate) trait Address: Copy + Eq + Ord + Hash + Debug + Display {
    /// Nobody's.
    const UNSPECIFIED: Self;

    /// `address`, where it is of this version.
    fn of(address: IpAddr) -> Option<Self>;

    /// Whether the two are of one network of `prefix` bits.
    fn is_near(self, other: Self, prefix: u8) -> bool;
}

impl Address for Ipv4Addr {
    const UNSPECIFIED: Self = Ipv4Addr::UNSPECIFIED;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        }
    }

    fn is_near(self, other: Self, prefix: u8) -> bool {
        let differs = self.to_bits() ^ other.to_bits();
        differs.leading_zeros() >= prefix.into()
    }
}

impl Address for Ipv6Addr {
    const UNSPECIFIED: Self = Ipv6Addr::UNSPECIFIED;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(v6),
        }
    }

    fn is_near(self, other: Self, prefix: u8) -> bool {
        let differs = self.to_bits() ^ other.to_bits();
        differs.leading_zeros() >= prefix.into()
    }
}
