//! The route table: longest prefix first, then lowest metric. One hash table over all prefix lengths.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::HashMap;

use crate::config::{IfaceAddr, IfaceId, Route};
use crate::error::IfaceError;
use crate::hash::TableHash;

/// The mask of a prefix of that many bits.
pub(crate) fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// Whether `addr` lies in the network of `own`.
pub(crate) fn same_network(addr: IpAddr, own: IfaceAddr) -> bool {
    match (addr, own.addr) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()) & mask(own.prefix) == 0,
        _ => false,
    }
}

pub(crate) struct RouteTable {
    /// By prefix length and masked destination; each list in the order of its metrics.
    routes: HashMap<(u8, u32), Vec<Route>, TableHash>,
    /// Routes of each prefix length.
    counts: [u32; 33],
}

impl RouteTable {
    pub(crate) fn new(hash: TableHash) -> Self {
        RouteTable {
            routes: HashMap::with_hasher(hash),
            counts: [0; 33],
        }
    }

    pub(crate) fn add(&mut self, route: Route, limit: usize) -> Result<(), IfaceError> {
        let key = key(&route)?;
        let total: u32 = self.counts.iter().sum();
        let list = self.routes.entry(key).or_default();
        let same = |other: &Route| {
            (other.iface, other.gateway, other.metric) == (route.iface, route.gateway, route.metric)
        };
        if list.iter().any(same) {
            return Err(IfaceError::Exists);
        }
        if total as usize >= limit {
            return Err(IfaceError::Limit);
        }
        let at = list.partition_point(|other| other.metric <= route.metric);
        list.insert(at, route);
        self.counts[usize::from(route.prefix)] += 1;
        Ok(())
    }

    /// Removes the route with that destination, prefix, interface and gateway.
    pub(crate) fn remove(&mut self, route: &Route) -> Result<(), IfaceError> {
        let key = key(route)?;
        let list = self.routes.get_mut(&key).ok_or(IfaceError::Unknown)?;
        let same = |other: &Route| (other.iface, other.gateway) == (route.iface, route.gateway);
        let at = list.iter().position(same).ok_or(IfaceError::Unknown)?;
        list.remove(at);
        self.counts[usize::from(route.prefix)] -= 1;
        if list.is_empty() {
            self.routes.remove(&key);
        }
        Ok(())
    }

    pub(crate) fn remove_iface(&mut self, id: IfaceId) {
        let counts = &mut self.counts;
        self.routes.retain(|(prefix, _), list| {
            let before = list.len();
            list.retain(|route| route.iface != id);
            counts[usize::from(*prefix)] -= (before - list.len()) as u32;
            !list.is_empty()
        });
    }

    /// The best route to `dest` over an interface that `usable` accepts.
    pub(crate) fn lookup(
        &self,
        dest: Ipv4Addr,
        usable: impl Fn(IfaceId) -> bool,
    ) -> Option<&Route> {
        (0..=32u8)
            .rev()
            .filter(|prefix| self.counts[usize::from(*prefix)] > 0)
            .find_map(|prefix| {
                let list = self.routes.get(&(prefix, dest.to_bits() & mask(prefix)))?;
                list.iter().find(|route| usable(route.iface))
            })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().flatten()
    }
}

fn key(route: &Route) -> Result<(u8, u32), IfaceError> {
    match route.dest {
        IpAddr::V4(dest) if route.prefix <= 32 => {
            Ok((route.prefix, dest.to_bits() & mask(route.prefix)))
        }
        _ => Err(IfaceError::Address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(dest: [u8; 4], prefix: u8, iface: IfaceId, metric: u32) -> Route {
        Route {
            dest: IpAddr::from(dest),
            prefix,
            gateway: None,
            iface,
            metric,
        }
    }

    #[test]
    fn longest_prefix_then_metric_then_what_is_up() {
        let mut table = RouteTable::new(TableHash::new(1));
        for entry in [
            route([0; 4], 0, 1, 10),
            route([10, 0, 0, 0], 8, 2, 10),
            route([10, 1, 0, 0], 16, 3, 20),
            route([10, 1, 0, 0], 16, 4, 5),
        ] {
            table.add(entry, 10).unwrap();
        }
        let best = |dest: [u8; 4], down: IfaceId| {
            table
                .lookup(dest.into(), |id| id != down)
                .map(|route| route.iface)
        };
        assert_eq!(best([10, 1, 2, 3], 0), Some(4));
        assert_eq!(best([10, 1, 2, 3], 4), Some(3));
        assert_eq!(best([10, 2, 2, 3], 0), Some(2));
        assert_eq!(best([11, 2, 2, 3], 0), Some(1));
        assert_eq!(best([11, 2, 2, 3], 1), None);
    }

    #[test]
    fn removal_and_limits() {
        let mut table = RouteTable::new(TableHash::new(1));
        table.add(route([10, 0, 0, 1], 24, 1, 0), 1).unwrap();
        let twice = table.add(route([10, 0, 0, 2], 24, 1, 0), 2);
        assert_eq!(twice, Err(IfaceError::Exists));
        assert_eq!(table.add(route([0; 4], 0, 1, 0), 1), Err(IfaceError::Limit));
        assert_eq!(
            table.add(route([0; 4], 33, 1, 0), 9),
            Err(IfaceError::Address)
        );
        table.remove_iface(1);
        assert_eq!(
            table.remove(&route([10, 0, 0, 0], 24, 1, 0)),
            Err(IfaceError::Unknown)
        );
        assert_eq!(table.iter().count(), 0);
        assert_eq!((mask(0), mask(8), mask(32)), (0, 0xff00_0000, u32::MAX));
    }
}
