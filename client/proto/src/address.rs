//! Socket addresses, as messages and records carry them and as a slot shows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::atomic::{AtomicU32, Ordering, fence};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `family` of no address at all.
pub const FAMILY_NONE: u16 = 0;
/// `family` of IPv4: Linux's AF_INET.
pub const FAMILY_V4: u16 = 2;
/// `family` of IPv6: Linux's AF_INET6.
pub const FAMILY_V6: u16 = 10;

/// An IP address and a port. All zero: none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Address {
    /// [`FAMILY_V4`], [`FAMILY_V6`] or [`FAMILY_NONE`].
    pub family: u16,
    /// In the machine's byte order.
    pub port: u16,
    /// IPv6 scope (interface) id; 0 else.
    pub scope: u32,
    /// In network order; IPv4 uses the first four bytes, the rest is 0.
    pub ip: [u8; 16],
}

const _: () = assert!(size_of::<Address>() == 24);

impl Address {
    /// This as a standard socket address; None for any family but the two.
    #[must_use]
    pub fn to_std(self) -> Option<SocketAddr> {
        match self.family {
            FAMILY_V4 => {
                let [a, b, c, d, ..] = self.ip;
                Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), self.port).into())
            }
            FAMILY_V6 => {
                let ip = Ipv6Addr::from(self.ip);
                Some(SocketAddrV6::new(ip, self.port, 0, self.scope).into())
            }
            _ => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        let mut out = Self {
            port: addr.port(),
            ..Self::default()
        };
        match addr.ip() {
            IpAddr::V4(ip) => {
                out.family = FAMILY_V4;
                out.ip[..4].copy_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.family = FAMILY_V6;
                out.ip = ip.octets();
            }
        }
        if let SocketAddr::V6(v6) = addr {
            out.scope = v6.scope_id();
        }
        out
    }
}

io_net_ring::shared! {
    /// A socket's two addresses in its slot. io-net writes them, rarely; programs read them.
    #[repr(C, align(64))]
    #[derive(Default)]
    pub struct Addresses {
        /// Odd while they are being written; a reader that sees it odd or changed reads again.
        pub sequence: AtomicU32,
        /// Reserved, 0.
        pub reserved: [AtomicU32; 3],
        /// [`Address`]: its own.
        pub local: [AtomicU32; 6],
        /// [`Address`]: the peer's; all zero when there is none.
        pub remote: [AtomicU32; 6],
    }
}

const _: () = assert!(size_of::<Addresses>() == 64);

/// How often a reader tries again before it takes what it gets: the writer may have died half-way.
const READ_TRIES: u32 = 1000;

impl Addresses {
    /// io-net's side: shows both.
    pub fn set(&self, local: Address, remote: Address) {
        let sequence = self.sequence.load(Ordering::Relaxed) | 1;
        self.sequence.store(sequence, Ordering::Relaxed);
        fence(Ordering::Release);
        store(&self.local, local);
        store(&self.remote, remote);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Release);
    }

    /// The program's side: `(local, remote)`.
    #[must_use]
    pub fn get(&self) -> (Address, Address) {
        let mut tries = 0;
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            let both = (load(&self.local), load(&self.remote));
            fence(Ordering::Acquire);
            let after = self.sequence.load(Ordering::Relaxed);
            tries += 1;
            if (before == after && before.is_multiple_of(2)) || tries == READ_TRIES {
                return both;
            }
            std::hint::spin_loop();
        }
    }
}

fn store(words: &[AtomicU32; 6], address: Address) {
    for (word, bytes) in words.iter().zip(address.as_bytes().as_chunks::<4>().0) {
        word.store(u32::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
}

fn load(words: &[AtomicU32; 6]) -> Address {
    let words = words.each_ref().map(|w| w.load(Ordering::Relaxed));
    zerocopy::transmute!(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_trip() {
        for text in ["10.1.2.3:80", "[fe80::1%7]:8080", "0.0.0.0:0"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(Address::from(addr).to_std(), Some(addr));
            let shown = Addresses::default();
            shown.set(addr.into(), Address::default());
            assert_eq!(shown.get(), (addr.into(), Address::default()));
        }
        assert_eq!(Address::default().to_std(), None);
    }

    #[test]
    fn a_writer_that_died_half_way_does_not_hang_the_reader() {
        let shown = Addresses::default();
        shown.sequence.store(1, Ordering::Relaxed);
        assert_eq!(shown.get().0, Address::default());
        let addr = Address {
            family: FAMILY_V4,
            port: 1,
            ..Address::default()
        };
        shown.set(addr, addr);
        assert_eq!(shown.sequence.load(Ordering::Relaxed), 2);
        assert_eq!(shown.get(), (addr, addr));
    }
}
