//! The module's options: the addresses to speak from, and the way to other networks.

use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options};
use std::net::Ipv4Addr;

/// An address of ours and the bits of its network part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
}

impl Address {
    /// Whether `other` is in the same network.
    pub(crate) fn is_near(self, other: Ipv4Addr) -> bool {
        let mask = u32::MAX
            .checked_shl(32 - u32::from(self.prefix))
            .unwrap_or(0);
        (self.address.to_bits() ^ other.to_bits()) & mask == 0
    }
}

/// Addresses wanted, and the router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routes {
    /// With the interface's name, or none for the first that comes.
    pub(crate) addresses: Vec<(Option<String>, Address)>,
    pub(crate) gateway: Option<Ipv4Addr>,
}

impl Routes {
    /// Reads the options.
    ///
    /// # Errors
    /// EINVAL, naming the value that makes no sense.
    pub(crate) fn parse(options: Options) -> Result<Self, Failure> {
        let addresses = options
            .all("addr")
            .map(|text| parse_address(text).ok_or_else(|| wrong_address(text)));
        let gateway = options.text("gw").map(|text| {
            let wanted = || format!("option gw={text}: give an address, as 10.0.0.254");
            text.parse().map_err(|_| Failure::new(EINVAL, wanted()))
        });
        Ok(Routes {
            addresses: addresses.collect::<Result<_, _>>()?,
            gateway: gateway.transpose()?,
        })
    }

    /// The address for interface `name`, which has none yet; taken from those that are wanted.
    pub(crate) fn claim(&mut self, name: &str) -> Option<Address> {
        let by_name = |wanted: &(Option<String>, Address)| wanted.0.as_deref() == Some(name);
        let unnamed = |wanted: &(Option<String>, Address)| wanted.0.is_none();
        let mut all = self.addresses.iter();
        let at = all
            .position(by_name)
            .or_else(|| self.addresses.iter().position(unnamed))?;
        let (wanted, address) = &mut self.addresses[at];
        // From now on it is this interface's, also when it goes and comes back.
        *wanted = Some(name.to_owned());
        Some(*address)
    }
}

fn parse_address(text: &str) -> Option<(Option<String>, Address)> {
    let (iface, network) = match text.split_once(':') {
        Some(("", _)) => return None,
        Some((iface, network)) => (Some(iface.to_owned()), network),
        None => (None, text),
    };
    let (address, prefix) = network.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let prefix = prefix.parse().ok().filter(|&prefix: &u8| prefix <= 32)?;
    let ours = !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast();
    ours.then_some((iface, Address { address, prefix }))
}

fn wrong_address(text: &str) -> Failure {
    let text = format!("option addr={text}: give [enN:]ADDRESS/PREFIX, as 10.0.0.1/24");
    Failure::new(EINVAL, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_addresses_find_their_interfaces() {
        let text = "addr=10.0.0.1/24,addr=en1:10.1.0.1/16,gw=10.0.0.254";
        let mut routes = Routes::parse(Options::new(text)).unwrap();
        assert_eq!(routes.gateway, Some(Ipv4Addr::new(10, 0, 0, 254)));
        let address = |routes: &mut Routes, name| routes.claim(name).map(|a| a.address);
        assert_eq!(
            address(&mut routes, "en1"),
            Some(Ipv4Addr::new(10, 1, 0, 1))
        );
        assert_eq!(
            address(&mut routes, "en4"),
            Some(Ipv4Addr::new(10, 0, 0, 1))
        );
        assert_eq!(address(&mut routes, "en5"), None);
        assert_eq!(
            address(&mut routes, "en4"),
            Some(Ipv4Addr::new(10, 0, 0, 1))
        );
    }

    #[test]
    fn networks() {
        let near = |prefix, other| {
            let address = Ipv4Addr::new(10, 0, 0, 1);
            Address { address, prefix }.is_near(other)
        };
        assert!(near(24, Ipv4Addr::new(10, 0, 0, 200)));
        assert!(!near(24, Ipv4Addr::new(10, 0, 1, 1)));
        assert!(near(0, Ipv4Addr::new(1, 1, 1, 1)));
        assert!(!near(32, Ipv4Addr::new(10, 0, 0, 2)));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "addr=10.0.0.1",
            "addr=10.0.0.1/33",
            "addr=:10.0.0.1/8",
            "addr=0.0.0.0/8",
            "addr=224.0.0.1/8",
            "gw=x",
        ] {
            let failure = Routes::parse(Options::new(text)).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{text}");
        }
    }
}
