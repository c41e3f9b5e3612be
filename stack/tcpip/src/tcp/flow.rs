//! What names a connection: its four addresses (RFC 9293, 3.3.1).

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flow {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl Flow {
    pub(crate) const NONE: Flow = Flow {
        local: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        remote: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        local_port: 0,
        remote_port: 0,
    };

    pub(crate) fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(self.local, self.local_port)
    }

    pub(crate) fn remote_addr(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.remote_port)
    }

    /// The flow as words, for keyed hashes.
    pub(crate) fn words(&self) -> [u64; 5] {
        let [l0, l1] = addr_words(self.local);
        let [r0, r1] = addr_words(self.remote);
        [l0, l1, r0, r1, self.port_word()]
    }

    fn port_word(&self) -> u64 {
        u64::from(self.local_port) << 16 | u64::from(self.remote_port)
    }
}

impl Hash for Flow {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let (IpAddr::V4(local), IpAddr::V4(remote)) = (self.local, self.remote) {
            state.write_u64(u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits()));
            state.write_u64(self.port_word());
        } else {
            self.words()
                .into_iter()
                .for_each(|word| state.write_u64(word));
        }
    }
}

fn addr_words(addr: IpAddr) -> [u64; 2] {
    match addr {
        IpAddr::V4(v4) => [0, u64::from(v4.to_bits())],
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [(bits >> 64) as u64, bits as u64]
        }
    }
}
