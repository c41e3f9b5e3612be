//! The network layer: interfaces, addresses, routes, and packets in and out. IPv4 (RFC 791, RFC 1122).

pub(crate) mod iface;
pub(crate) mod input;
pub(crate) mod limiter;
pub(crate) mod loopback;
pub(crate) mod output;
pub(crate) mod reassembly;
pub(crate) mod route;

use core::net::{IpAddr, Ipv4Addr};

use crate::config::{Config, IfaceAddr, IfaceConfig, IfaceId, Offload, Route};
use crate::error::IfaceError;
use crate::hash::{SecretHash, TableHash};
use crate::stats::Stats;
use iface::Ifaces;
use limiter::Limiter;
use loopback::Loopback;
use reassembly::Reassembly;
use route::RouteTable;

/// The pseudo-interface of packets that do not leave the stack.
pub(crate) const LOOPBACK: IfaceId = IfaceId::MAX;

/// State of the network layer, and what all layers above share.
pub(crate) struct Net {
    pub(crate) config: Config,
    pub(crate) stats: Stats,
    pub(crate) secret: SecretHash,
    pub(crate) table_hash: TableHash,
    pub(crate) ifaces: Ifaces,
    pub(crate) routes: RouteTable,
    pub(crate) loopback: Loopback,
    pub(crate) reassembly: Reassembly,
    pub(crate) icmp_limit: Limiter,
    pub(crate) challenge_limit: Limiter,
    /// Changes whenever a cached [`Path`] may have become wrong.
    pub(crate) generation: u32,
    packet_id: u16,
}

/// How packets reach a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Path {
    pub(crate) iface: IfaceId,
    pub(crate) next_hop: IpAddr,
    /// The local address to use when none is chosen.
    pub(crate) source: Ipv4Addr,
    pub(crate) mtu: u16,
    pub(crate) offload: Offload,
    pub(crate) generation: u32,
}

impl Net {
    pub(crate) fn new(config: Config, seed: [u64; 4]) -> Self {
        let table_hash = TableHash::new(seed[0]);
        Net {
            stats: Stats::default(),
            secret: SecretHash::new(seed[1], seed[2]),
            table_hash,
            ifaces: Ifaces::new(table_hash),
            routes: RouteTable::new(table_hash),
            loopback: Loopback::new(config.loopback_packets_max),
            reassembly: Reassembly::new(config.reassembly_bytes_max, config.reassembly_timeout),
            icmp_limit: Limiter::new(config.icmp_errors_per_s),
            challenge_limit: Limiter::new(config.challenge_acks_per_s),
            generation: 0,
            packet_id: seed[3] as u16,
            config,
        }
    }

    fn changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    pub(crate) fn add_iface(&mut self, id: IfaceId, config: IfaceConfig) -> Result<(), IfaceError> {
        self.ifaces.add(id, config, self.config.ifaces_max)?;
        self.changed();
        Ok(())
    }

    pub(crate) fn update_iface(
        &mut self,
        id: IfaceId,
        config: IfaceConfig,
    ) -> Result<(), IfaceError> {
        self.ifaces.update(id, config)?;
        self.changed();
        Ok(())
    }

    pub(crate) fn remove_iface(&mut self, id: IfaceId) -> Result<(), IfaceError> {
        self.ifaces.remove(id)?;
        self.routes.remove_iface(id);
        self.changed();
        Ok(())
    }

    /// Adds an address and the route to its network.
    pub(crate) fn add_address(&mut self, id: IfaceId, addr: IfaceAddr) -> Result<(), IfaceError> {
        self.ifaces.add_address(id, addr)?;
        if addr.prefix < 32 {
            // An equal route may be there already, by hand or by a second address of the network.
            let _ = self
                .routes
                .add(network_route(id, addr), self.config.routes_max);
        }
        self.changed();
        Ok(())
    }

    /// Removes an address, and the route to its network unless another address is in it.
    pub(crate) fn remove_address(&mut self, id: IfaceId, addr: IpAddr) -> Result<(), IfaceError> {
        let removed = self.ifaces.remove_address(id, addr)?;
        let route = network_route(id, removed);
        let shared = self.ifaces.get(id).is_some_and(|iface| {
            iface.addrs.iter().any(|other| {
                other.prefix == removed.prefix && route::same_network(other.addr, removed)
            })
        });
        if !shared && removed.prefix < 32 {
            let _ = self.routes.remove(&route);
        }
        self.changed();
        Ok(())
    }

    pub(crate) fn add_route(&mut self, route: Route) -> Result<(), IfaceError> {
        if self.ifaces.get(route.iface).is_none() {
            return Err(IfaceError::Unknown);
        }
        if let Some(gateway) = route.gateway
            && !self.ifaces.on_network(route.iface, gateway)
        {
            return Err(IfaceError::Gateway);
        }
        self.routes.add(route, self.config.routes_max)?;
        self.changed();
        Ok(())
    }

    pub(crate) fn remove_route(&mut self, route: &Route) -> Result<(), IfaceError> {
        self.routes.remove(route)?;
        self.changed();
        Ok(())
    }

    /// The way to `dest`, over `only` if that is given. Own addresses lead to the loopback.
    pub(crate) fn path(&self, dest: Ipv4Addr, only: Option<IfaceId>) -> Option<Path> {
        if dest.is_loopback() || self.ifaces.is_local(dest) {
            return Some(Path {
                iface: LOOPBACK,
                next_hop: dest.into(),
                source: dest,
                mtu: u16::MAX,
                offload: Offload {
                    checksum: true,
                    tso4: true,
                    tso6: true,
                    uso: false,
                },
                generation: self.generation,
            });
        }
        let usable = |id: IfaceId| {
            only.is_none_or(|only| only == id)
                && self.ifaces.get(id).is_some_and(|iface| iface.config.up)
        };
        let route = self.routes.lookup(dest, usable);
        let (id, gateway) = match (route, only) {
            (Some(route), _) => (route.iface, route.gateway),
            // The limited broadcast needs no route (RFC 1122, 3.3.6).
            (None, Some(only)) if dest.is_broadcast() && usable(only) => (only, None),
            _ => return None,
        };
        let iface = self.ifaces.get(id)?;
        let next_hop = gateway.unwrap_or(dest.into());
        Some(Path {
            iface: id,
            next_hop,
            source: iface.source_for(next_hop),
            mtu: iface.config.mtu,
            offload: iface.config.offload,
            generation: self.generation,
        })
    }

    /// An identification for a datagram that may be fragmented; hard to guess for third parties.
    pub(crate) fn next_packet_id(&mut self, source: Ipv4Addr, dest: Ipv4Addr) -> u16 {
        self.packet_id = self.packet_id.wrapping_add(1);
        let flow = u64::from(source.to_bits()) << 32 | u64::from(dest.to_bits());
        (self.secret.of(&[flow, 0x6964]) as u16).wrapping_add(self.packet_id)
    }
}

fn network_route(id: IfaceId, addr: IfaceAddr) -> Route {
    Route {
        dest: addr.addr,
        prefix: addr.prefix,
        gateway: None,
        iface: id,
        metric: 0,
    }
}
