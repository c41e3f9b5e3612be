//! The registrant: IPv4 packets up, Qnet packets down.

use crate::options::{Address, Routes};
use crate::stats::Stats;
use io_net_ddk::abi::{ADVERT_DYING, LOG_WARNING, NPKT_LINK_ADDR, NPKT_UP, VnetHdr};
use io_net_ddk::prelude::*;
use io_net_ddk::{InterfaceAddress, addresses_message, advert, advert_name};
use io_net_wire::ipv4::{self, HEADER_LEN, Header};
use io_net_wire::protocol::QNET;
use std::net::{IpAddr, Ipv4Addr};

const TTL: u8 = 64;

/// An `ip` interface below that has an address of ours.
#[derive(Clone, Copy)]
struct Iface {
    address: Address,
    /// The layer below and the sub-interface, as down packets name them.
    cell: u16,
    iface: u16,
}

/// The converter.
pub(crate) struct Converter {
    /// By endpoint number.
    ifaces: Vec<Option<Iface>>,
    routes: Routes,
    stats: Stats,
}

impl Registrant for Converter {
    fn rx_up(&mut self, mut burst: Burst, cx: &Cx) {
        let mut up = BurstBuf::new();
        while let Some(packet) = burst.next() {
            burst.prefetch(4);
            // A burst holds no more than the buffer.
            if let Some(packet) = self.decapsulate(packet, cx.cell()) {
                let _ = up.push(packet);
            }
        }
        self.stats.up.add(up.len() as u64);
        cx.tx_up(up.take());
    }

    fn rx_down(&mut self, mut burst: Burst, cx: &Cx) {
        let mut down = BurstBuf::new();
        while let Some(packet) = burst.next() {
            burst.prefetch(4);
            if let Some(packet) = self.encapsulate(packet) {
                let _ = down.push(packet);
            }
        }
        self.stats.down.add(down.len() as u64);
        cx.tx_down(down.take());
    }

    fn dl_advert(&mut self, below: &Advert, cx: &Cx) {
        if below.up_type[..3] != *b"ip\0" {
            return;
        }
        let at = usize::from(below.endpoint);
        if self.ifaces.len() <= at {
            self.ifaces.resize(at + 1, None);
        }
        let was = self.ifaces[at].take();
        if below.flags & ADVERT_DYING == 0 {
            self.ifaces[at] = self.appear(below, was.is_some(), cx);
        }
        if let Some(Iface { address, .. }) = self.ifaces[at].or(was) {
            cx.dl_advert(&shown(below, address.address, cx.cell()));
        }
    }

    fn quiesce(&mut self, _cx: &Cx) {
        self.ifaces.clear();
    }
}

impl Converter {
    pub(crate) fn new(routes: Routes, cx: &Cx) -> Self {
        Converter {
            ifaces: Vec::new(),
            routes,
            stats: Stats::new(cx),
        }
    }

    #[inline]
    fn iface(&self, endpoint: u16) -> Option<Iface> {
        self.ifaces.get(usize::from(endpoint)).copied().flatten()
    }

    /// An interface came or changed: gives it its address, and tells the layer below when it is new.
    fn appear(&mut self, below: &Advert, known: bool, cx: &Cx) -> Option<Iface> {
        let name = advert_name(below);
        let Some(address) = self.routes.claim(name) else {
            let text =
                format_args!("{name}: Qnet has no address there; give addr={name}:ADDRESS/PREFIX");
            cx.log(LOG_WARNING, text);
            return None;
        };
        let iface = Iface {
            address,
            cell: below.cell,
            iface: below.iface,
        };
        let ours = InterfaceAddress {
            address: IpAddr::V4(address.address),
            prefix: address.prefix,
        };
        match addresses_message(&[ours]).filter(|_| !known) {
            Some(mut message) => {
                message.set_way(below.cell, below.endpoint, below.iface);
                cx.tx_down_one(message);
            }
            None if !known => self.stats.drop_no_buffer.add(1),
            None => {}
        }
        Some(iface)
    }

    /// Takes the header off a packet for us; the sender's address goes into the descriptor.
    #[inline]
    fn decapsulate(&self, packet: SharedPacket, cell: u16) -> Option<Packet> {
        let Some(iface) = self.iface(packet.endpoint()) else {
            self.stats.drop_iface.add(1);
            return None;
        };
        let sound = Header::parse(packet.data()).ok().filter(|header| {
            let header_bytes = &packet.data()[..usize::from(header.header_len)];
            header.protocol == QNET && ipv4::checksum_ok(header_bytes) && is_host(header.source)
        });
        let Some(header) = sound else {
            self.stats.drop_malformed.add(1);
            return None;
        };
        if header.dest != iface.address.address {
            self.stats.drop_not_ours.add(1);
            return None;
        }
        if header.is_fragment() {
            self.stats.drop_fragment.add(1);
            return None;
        }
        let Some(mut packet) = packet.into_unique() else {
            self.stats.drop_no_buffer.add(1);
            return None;
        };
        packet.truncate(usize::from(header.total_len));
        packet.pull(usize::from(header.header_len));
        packet.set_link_addr(link_addr(header.source));
        *packet.vnet_mut() = VnetHdr::default();
        let (endpoint, sub) = (packet.endpoint(), packet.iface());
        packet.set_way(cell, endpoint, sub);
        Some(packet)
    }

    /// Puts the header before a packet for the host that its descriptor names.
    #[inline]
    fn encapsulate(&self, packet: SharedPacket) -> Option<Packet> {
        let Some(iface) = self.iface(packet.endpoint()) else {
            self.stats.drop_iface.add(1);
            return None;
        };
        let dest = packet
            .link_addr()
            .map(|[a, b, c, d, ..]| Ipv4Addr::new(a, b, c, d));
        let Some(dest) = dest.filter(|&dest| is_host(dest)) else {
            self.stats.drop_no_address.add(1);
            return None;
        };
        let near = iface.address.is_near(dest).then_some(dest);
        let Some(next_hop) = near.or(self.routes.gateway) else {
            self.stats.drop_no_route.add(1);
            return None;
        };
        let Some(mut packet) = packet.into_unique() else {
            self.stats.drop_no_buffer.add(1);
            return None;
        };
        let Ok(total_len) = u16::try_from(packet.total_len() + HEADER_LEN) else {
            self.stats.drop_too_long.add(1);
            return None;
        };
        let Some(room) = packet.prepend(HEADER_LEN) else {
            self.stats.drop_headroom.add(1);
            return None;
        };
        header(iface.address.address, dest, total_len).emit(room);
        let endpoint = packet.endpoint();
        packet.set_flags(0, NPKT_UP | NPKT_LINK_ADDR);
        packet.set_next_hop4(next_hop);
        packet.set_way(iface.cell, endpoint, iface.iface);
        Some(packet)
    }
}

/// The header of a packet that is never cut: Qnet's are no longer than the interface's MTU.
fn header(source: Ipv4Addr, dest: Ipv4Addr, total_len: u16) -> Header {
    Header {
        header_len: HEADER_LEN as u8,
        tos: 0,
        total_len,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: TTL,
        protocol: QNET,
        source,
        dest,
    }
}

/// The interface as it is shown upward: its address there is that of the host.
fn shown(below: &Advert, address: Ipv4Addr, cell: u16) -> Advert {
    let mut mac = [0; 8];
    mac[..4].copy_from_slice(&address.octets());
    Advert {
        size: size_of::<Advert>() as u32,
        cell,
        mtu: below
            .mtu
            .min(u32::from(u16::MAX))
            .saturating_sub(HEADER_LEN as u32),
        caps: 0,
        gso_max: 0,
        mac,
        mac_len: 4,
        up_type: advert(advert_name(below), "qnet").up_type,
        ..*below
    }
}

/// Whether a single host can have this address.
fn is_host(address: Ipv4Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
}

fn link_addr(address: Ipv4Addr) -> [u8; 16] {
    let mut addr = [0; 16];
    addr[..4].copy_from_slice(&address.octets());
    addr
}
