//! Interfaces as they come and go below, and the addresses and routes that they are to have.
//!
//! What was asked for outlives an interface: when a driver is taken out and another comes under
//! the same name, its addresses and routes return with it.

use crate::options::{WantedAddress, WantedRoute};
use crate::shell::Shell;
use io_net_ddk::abi::{
    ADVERT_DYING, ADVERT_LINK_UP, CAP_CSUM, CAP_MULTICAST, CAP_TSO4, CAP_TSO6, CAP_USO, LOG_WARNING,
};
use io_net_ddk::prelude::*;
use io_net_ddk::{InterfaceAddress, addresses_message, advert_name};
use io_net_proto::session::Interface;
use io_net_tcpip::{IfaceAddr, IfaceConfig, IfaceError, IfaceId, Offload, Route, Stack};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Linux's IFF_* flags.
const IFF_UP: u32 = 0x1;
const IFF_BROADCAST: u32 = 0x2;
const IFF_RUNNING: u32 = 0x40;
const IFF_MULTICAST: u32 = 0x1000;

/// An interface that is there.
struct Present {
    name: String,
    /// The layer `ip`, as io-net numbers it, and the sub-interface.
    way: (u16, u16),
    config: IfaceConfig,
    link_up: bool,
    /// Put down by the operator.
    held_down: bool,
    multicast: bool,
    mac: [u8; 6],
    addresses: Vec<InterfaceAddress>,
}

/// The interfaces.
pub(crate) struct Interfaces {
    wanted: Vec<WantedAddress>,
    routes: Vec<WantedRoute>,
    mtu: u32,
    present: BTreeMap<IfaceId, Present>,
}

impl Interfaces {
    pub(crate) fn new(wanted: Vec<WantedAddress>, routes: Vec<WantedRoute>, mtu: u32) -> Self {
        Interfaces {
            wanted,
            routes,
            mtu,
            present: BTreeMap::new(),
        }
    }

    /// Takes an advert of an `ip` interface.
    pub(crate) fn advert(
        &mut self,
        advert: &Advert,
        stack: &mut Stack<Shell>,
        shell: &mut Shell,
        cx: &Cx,
    ) {
        let id = advert.endpoint;
        if advert.flags & ADVERT_DYING != 0 {
            shell.outbox.set_way(id, None);
            if self.present.remove(&id).is_some() {
                // It was there, so the stack knows it.
                let _ = stack.remove_iface(id);
            }
            return;
        }
        let fresh = !self.present.contains_key(&id);
        let way = (advert.cell, advert.iface);
        let entry = self.present.entry(id).or_insert_with(|| Present {
            name: advert_name(advert).to_owned(),
            way,
            config: IfaceConfig::default(),
            link_up: false,
            held_down: false,
            multicast: false,
            mac: [0; 6],
            addresses: Vec::new(),
        });
        entry.way = way;
        entry.link_up = advert.flags & ADVERT_LINK_UP != 0;
        entry.multicast = advert.caps & CAP_MULTICAST != 0;
        let [m0, m1, m2, m3, m4, m5, ..] = advert.mac;
        entry.mac = [m0, m1, m2, m3, m4, m5];
        entry.config = IfaceConfig {
            mtu: advert.mtu.min(self.mtu) as u16,
            offload: offload(advert),
            up: entry.link_up && !entry.held_down,
        };
        shell.outbox.set_way(id, Some(way));
        let config = entry.config;
        let result = if fresh {
            stack.add_iface(id, config)
        } else {
            stack.update_iface(id, config)
        };
        if let Err(error) = result {
            let name = advert_name(advert);
            cx.log(LOG_WARNING, format_args!("{name} cannot be used: {error}"));
        }
        if fresh {
            self.settle_in(id, stack, cx);
        }
        self.announce(id, cx);
    }

    /// Gives a new interface the addresses that it is to have.
    fn settle_in(&mut self, id: IfaceId, stack: &mut Stack<Shell>, cx: &Cx) {
        let Some(name) = self.present.get(&id).map(|p| p.name.clone()) else {
            return;
        };
        for wanted in self.wanted.clone() {
            let here = match &wanted.iface {
                Some(iface) => *iface == name,
                None => !self.has_address(wanted.address),
            };
            if !here {
                continue;
            }
            if let Err(error) = self.put_address(id, wanted.address, stack) {
                let address = wanted.address.address;
                cx.log(LOG_WARNING, format_args!("{name}: {address}: {error}"));
            }
        }
    }

    fn has_address(&self, address: InterfaceAddress) -> bool {
        let mut present = self.present.values();
        present.any(|p| p.addresses.contains(&address))
    }

    fn put_address(
        &mut self,
        id: IfaceId,
        address: InterfaceAddress,
        stack: &mut Stack<Shell>,
    ) -> Result<(), IfaceError> {
        let present = self.present.get_mut(&id).ok_or(IfaceError::Unknown)?;
        stack.add_address(id, to_stack(address))?;
        present.addresses.push(address);
        for route in self.routes.clone() {
            if within(route.gateway, address) {
                // Refused where another of its addresses brought the same route.
                let _ = stack.add_route(route_over(id, &route));
            }
        }
        Ok(())
    }

    /// Tells the layer below which addresses an interface has.
    fn announce(&self, id: IfaceId, cx: &Cx) {
        let Some(present) = self.present.get(&id) else {
            return;
        };
        if let Some(mut message) = addresses_message(&present.addresses) {
            message.set_way(present.way.0, id, present.way.1);
            cx.tx_down_one(message);
        }
    }

    /// Gives interface `name` an address, for good.
    ///
    /// # Errors
    /// Unknown where there is no such interface, or the stack's.
    pub(crate) fn add_address(
        &mut self,
        name: &str,
        address: InterfaceAddress,
        stack: &mut Stack<Shell>,
        cx: &Cx,
    ) -> Result<(), IfaceError> {
        let id = self.find(name).ok_or(IfaceError::Unknown)?;
        self.put_address(id, address, stack)?;
        let iface = Some(name.to_owned());
        self.wanted.push(WantedAddress { iface, address });
        self.announce(id, cx);
        Ok(())
    }

    /// Takes an address from interface `name`, for good. Its prefix does not matter.
    ///
    /// # Errors
    /// As [`Interfaces::add_address`].
    pub(crate) fn delete_address(
        &mut self,
        name: &str,
        address: IpAddr,
        stack: &mut Stack<Shell>,
        cx: &Cx,
    ) -> Result<(), IfaceError> {
        let id = self.find(name).ok_or(IfaceError::Unknown)?;
        stack.remove_address(id, address)?;
        if let Some(present) = self.present.get_mut(&id) {
            present.addresses.retain(|a| a.address != address);
        }
        self.wanted.retain(|wanted| {
            let here = wanted.iface.as_deref().is_none_or(|iface| iface == name);
            !(here && wanted.address.address == address)
        });
        self.announce(id, cx);
        Ok(())
    }

    /// Adds a route, over whichever interface has its gateway as a neighbour.
    ///
    /// # Errors
    /// Gateway where none has, or the stack's.
    pub(crate) fn add_route(
        &mut self,
        route: WantedRoute,
        stack: &mut Stack<Shell>,
    ) -> Result<(), IfaceError> {
        let reaches = |p: &Present| p.addresses.iter().any(|&a| within(route.gateway, a));
        let over = self.present.iter().find(|(_, p)| reaches(p));
        let (&id, _) = over.ok_or(IfaceError::Gateway)?;
        stack.add_route(route_over(id, &route))?;
        self.routes.push(route);
        Ok(())
    }

    /// Removes the routes to a destination that go by a gateway.
    ///
    /// # Errors
    /// Unknown where there is none.
    pub(crate) fn delete_route(
        &mut self,
        dest: IpAddr,
        prefix: u8,
        stack: &mut Stack<Shell>,
    ) -> Result<(), IfaceError> {
        let there: Vec<Route> = stack
            .routes()
            .into_iter()
            .filter(|r| r.dest == dest && r.prefix == prefix && r.gateway.is_some())
            .collect();
        if there.is_empty() {
            return Err(IfaceError::Unknown);
        }
        for route in there {
            stack.remove_route(&route)?;
        }
        self.routes.retain(|r| r.dest != dest || r.prefix != prefix);
        Ok(())
    }

    /// Puts interface `name` up or down.
    ///
    /// # Errors
    /// Unknown where there is no such interface.
    pub(crate) fn set_up(
        &mut self,
        name: &str,
        up: bool,
        stack: &mut Stack<Shell>,
    ) -> Result<(), IfaceError> {
        let id = self.find(name).ok_or(IfaceError::Unknown)?;
        let present = self.present.get_mut(&id).ok_or(IfaceError::Unknown)?;
        present.held_down = !up;
        present.config.up = up && present.link_up;
        stack.update_iface(id, present.config)
    }

    /// The interface called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<IfaceId> {
        let found = self.present.iter().find(|(_, p)| p.name == name);
        found.map(|(&id, _)| id)
    }

    /// The name of an interface.
    pub(crate) fn name(&self, id: IfaceId) -> Option<&str> {
        self.present.get(&id).map(|p| p.name.as_str())
    }

    /// Each interface: its name, properties, and addresses.
    pub(crate) fn iter(
        &self,
    ) -> impl Iterator<Item = (&str, &IfaceConfig, &[InterfaceAddress])> + '_ {
        let present = self.present.values();
        present.map(|p| (p.name.as_str(), &p.config, p.addresses.as_slice()))
    }

    /// An interface as programs see it: by its index, from 1, or where that is 0 by its name.
    pub(crate) fn describe(&self, index: u32, name: &[u8]) -> Option<Interface> {
        let mut present = self.present.iter();
        let (&id, p) = match index {
            0 => present.find(|(_, p)| p.name.as_bytes() == name)?,
            index => present.find(|(id, _)| u32::from(**id) + 1 == index)?,
        };
        let set = |bit: u32, on: bool| if on { bit } else { 0 };
        let mut interface = Interface {
            index: u32::from(id) + 1,
            flags: IFF_BROADCAST
                | set(IFF_UP, !p.held_down)
                | set(IFF_RUNNING, p.link_up)
                | set(IFF_MULTICAST, p.multicast),
            mtu: p.config.mtu.into(),
            hardware: p.mac,
            ..Interface::default()
        };
        let len = p.name.len().min(interface.name.len() - 1);
        interface.name[..len].copy_from_slice(&p.name.as_bytes()[..len]);
        let first = p.addresses.iter().find_map(|a| match a.address {
            IpAddr::V4(address) => Some((address, mask(a.prefix))),
            IpAddr::V6(_) => None,
        });
        if let Some((address, mask)) = first {
            interface.address = address.octets();
            interface.netmask = mask.octets();
            interface.broadcast = (address | !mask).octets();
        }
        Some(interface)
    }
}

fn offload(advert: &Advert) -> Offload {
    let has = |cap: u32| advert.caps & cap != 0;
    Offload {
        checksum: has(CAP_CSUM),
        tso4: has(CAP_TSO4),
        tso6: has(CAP_TSO6),
        uso: has(CAP_USO),
    }
}

fn to_stack(address: InterfaceAddress) -> IfaceAddr {
    IfaceAddr {
        addr: address.address,
        prefix: address.prefix,
    }
}

fn route_over(iface: IfaceId, route: &WantedRoute) -> Route {
    Route {
        dest: route.dest,
        prefix: route.prefix,
        gateway: Some(route.gateway),
        iface,
        metric: 0,
    }
}

fn mask(prefix: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Ipv4Addr::from_bits(!hosts)
}

/// Whether `address` is on the network of an interface's address.
fn within(address: IpAddr, network: InterfaceAddress) -> bool {
    match (address, network.address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a & mask(network.prefix) == b & mask(network.prefix),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_a_network() {
        let network = |prefix| InterfaceAddress {
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            prefix,
        };
        let host = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1));
        assert!(within(host, network(16)) && within(host, network(0)));
        assert!(!within(host, network(24)) && !within(host, network(32)));
    }
}
