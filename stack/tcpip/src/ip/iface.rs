//! Interfaces and the host's own addresses.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::HashMap;

use super::LOOPBACK;
use super::route::{mask, same_network};
use crate::config::{IfaceAddr, IfaceConfig, IfaceId};
use crate::error::IfaceError;
use crate::hash::TableHash;

/// Most addresses of one interface.
const ADDRS_MAX: usize = 256;

pub(crate) struct Iface {
    pub(crate) config: IfaceConfig,
    pub(crate) addrs: Vec<IfaceAddr>,
}

/// The table of interfaces, indexed by their numbers, which are small.
pub(crate) struct Ifaces {
    slots: Vec<Option<Iface>>,
    /// How many interfaces have each own address.
    local: HashMap<u32, u32, TableHash>,
}

impl Ifaces {
    pub(crate) fn new(hash: TableHash) -> Self {
        Ifaces {
            slots: Vec::new(),
            local: HashMap::with_hasher(hash),
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: IfaceId) -> Option<&Iface> {
        self.slots.get(usize::from(id))?.as_ref()
    }

    fn get_mut(&mut self, id: IfaceId) -> Result<&mut Iface, IfaceError> {
        let slot = self.slots.get_mut(usize::from(id));
        slot.and_then(Option::as_mut).ok_or(IfaceError::Unknown)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (IfaceId, &Iface)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter_map(|(id, slot)| Some((id as IfaceId, slot.as_ref()?)))
    }

    pub(crate) fn add(
        &mut self,
        id: IfaceId,
        config: IfaceConfig,
        limit: usize,
    ) -> Result<(), IfaceError> {
        check(&config)?;
        if self.get(id).is_some() {
            return Err(IfaceError::Exists);
        }
        if id == LOOPBACK || self.iter().count() >= limit {
            return Err(IfaceError::Limit);
        }
        if self.slots.len() <= usize::from(id) {
            self.slots.resize_with(usize::from(id) + 1, || None);
        }
        self.slots[usize::from(id)] = Some(Iface {
            config,
            addrs: Vec::new(),
        });
        Ok(())
    }

    pub(crate) fn update(&mut self, id: IfaceId, config: IfaceConfig) -> Result<(), IfaceError> {
        check(&config)?;
        self.get_mut(id)?.config = config;
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: IfaceId) -> Result<(), IfaceError> {
        self.get_mut(id)?;
        if let Some(iface) = self.slots[usize::from(id)].take() {
            for addr in iface.addrs {
                self.forget(addr.addr);
            }
        }
        Ok(())
    }

    pub(crate) fn add_address(&mut self, id: IfaceId, addr: IfaceAddr) -> Result<(), IfaceError> {
        let IpAddr::V4(v4) = addr.addr else {
            return Err(IfaceError::Address);
        };
        let unusable = v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast();
        if unusable || v4.is_loopback() || addr.prefix > 32 {
            return Err(IfaceError::Address);
        }
        let iface = self.get_mut(id)?;
        if iface.addrs.iter().any(|own| own.addr == addr.addr) {
            return Err(IfaceError::Exists);
        }
        if iface.addrs.len() >= ADDRS_MAX {
            return Err(IfaceError::Limit);
        }
        iface.addrs.push(addr);
        *self.local.entry(v4.to_bits()).or_insert(0) += 1;
        Ok(())
    }

    pub(crate) fn remove_address(
        &mut self,
        id: IfaceId,
        addr: IpAddr,
    ) -> Result<IfaceAddr, IfaceError> {
        let iface = self.get_mut(id)?;
        let at = iface.addrs.iter().position(|own| own.addr == addr);
        let removed = iface.addrs.remove(at.ok_or(IfaceError::Unknown)?);
        self.forget(addr);
        Ok(removed)
    }

    fn forget(&mut self, addr: IpAddr) {
        let IpAddr::V4(v4) = addr else { return };
        if let Some(count) = self.local.get_mut(&v4.to_bits()) {
            *count -= 1;
            if *count == 0 {
                self.local.remove(&v4.to_bits());
            }
        }
    }

    /// Whether `addr` is one of this host's, on any interface (the weak host model of RFC 1122, 3.3.4.2).
    #[inline]
    pub(crate) fn is_local(&self, addr: Ipv4Addr) -> bool {
        self.local.contains_key(&addr.to_bits())
    }

    /// Whether `addr` is a neighbour on the interface.
    pub(crate) fn on_network(&self, id: IfaceId, addr: IpAddr) -> bool {
        let Some(iface) = self.get(id) else {
            return false;
        };
        iface.addrs.iter().any(|own| same_network(addr, *own))
    }

    /// Whether `addr` is the broadcast address of a network on the interface (RFC 1122, 3.2.1.3 d).
    pub(crate) fn is_broadcast(&self, id: IfaceId, addr: Ipv4Addr) -> bool {
        if addr.is_broadcast() {
            return true;
        }
        let Some(iface) = self.get(id) else {
            return false;
        };
        iface.addrs.iter().any(|own| {
            own.prefix < 31
                && same_network(addr.into(), *own)
                && addr.to_bits() | mask(own.prefix) == u32::MAX
        })
    }
}

impl Iface {
    /// The source address towards a neighbour: one in its network, else the first.
    pub(crate) fn source_for(&self, next_hop: IpAddr) -> Ipv4Addr {
        let near = self.addrs.iter().find(|own| same_network(next_hop, **own));
        match near.or(self.addrs.first()) {
            Some(IfaceAddr {
                addr: IpAddr::V4(v4),
                ..
            }) => *v4,
            _ => Ipv4Addr::UNSPECIFIED,
        }
    }
}

fn check(config: &IfaceConfig) -> Result<(), IfaceError> {
    let mtu_ok = config.mtu >= io_net_wire::ipv4::MTU_MIN;
    mtu_ok.then_some(()).ok_or(IfaceError::Mtu)
}
