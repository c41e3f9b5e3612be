//! The registrant: frames up, packets down.
//!
//! On the wire, two bytes of padding follow the EtherType, so that what follows begins at a multiple
//! of four. They are the protocol's: a Qnet packet begins with them.

use crate::stats::Stats;
use io_net_ddk::abi::{
    ADVERT_DYING, CAP_MULTICAST, NPKT_BCAST, NPKT_LINK_ADDR, NPKT_MCAST, NPKT_UP, VnetHdr,
};
use io_net_ddk::prelude::*;
use io_net_ddk::{advert, advert_name};
use io_net_wire::ethernet::{ETHERTYPE_QNET, HEADER_LEN, Header as EthernetHeader, Mac};

/// An `en` interface below.
#[derive(Clone, Copy)]
struct Iface {
    mac: Mac,
    /// The layer below and the sub-interface, as down packets name them.
    cell: u16,
    iface: u16,
}

/// The converter.
pub(crate) struct Converter {
    /// By endpoint number.
    ifaces: Vec<Option<Iface>>,
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
            if let Some(frame) = self.encapsulate(packet) {
                let _ = down.push(frame);
            }
        }
        self.stats.down.add(down.len() as u64);
        cx.tx_down(down.take());
    }

    fn dl_advert(&mut self, below: &Advert, cx: &Cx) {
        if below.up_type[..3] != *b"en\0" {
            return;
        }
        let at = usize::from(below.endpoint);
        if self.ifaces.len() <= at {
            self.ifaces.resize(at + 1, None);
        }
        let [m0, m1, m2, m3, m4, m5, ..] = below.mac;
        self.ifaces[at] = (below.flags & ADVERT_DYING == 0).then_some(Iface {
            mac: Mac([m0, m1, m2, m3, m4, m5]),
            cell: below.cell,
            iface: below.iface,
        });
        cx.dl_advert(&Advert {
            size: size_of::<Advert>() as u32,
            cell: cx.cell(),
            caps: below.caps & CAP_MULTICAST,
            gso_max: 0,
            up_type: advert(advert_name(below), "qnet").up_type,
            ..*below
        });
    }

    fn quiesce(&mut self, _cx: &Cx) {
        self.ifaces.clear();
    }
}

impl Converter {
    pub(crate) fn new(cx: &Cx) -> Self {
        Converter {
            ifaces: Vec::new(),
            stats: Stats::new(cx),
        }
    }

    #[inline]
    fn iface(&self, endpoint: u16) -> Option<Iface> {
        self.ifaces.get(usize::from(endpoint)).copied().flatten()
    }

    /// Takes the header off a frame for us; the sender's address goes into the descriptor.
    #[inline]
    fn decapsulate(&self, packet: SharedPacket, cell: u16) -> Option<Packet> {
        let Some(iface) = self.iface(packet.endpoint()) else {
            self.stats.drop_iface.add(1);
            return None;
        };
        let Ok(header) = EthernetHeader::parse(packet.data()) else {
            self.stats.drop_malformed.add(1);
            return None;
        };
        if header.dest != iface.mac && !header.dest.is_multicast() {
            self.stats.drop_not_ours.add(1);
            return None;
        }
        if header.source == iface.mac {
            self.stats.drop_own.add(1);
            return None;
        }
        if header.source.is_multicast() {
            self.stats.drop_malformed.add(1);
            return None;
        }
        let Some(mut packet) = packet.into_unique() else {
            self.stats.drop_no_buffer.add(1);
            return None;
        };
        packet.pull(HEADER_LEN);
        packet.set_flags(group_flag(header.dest), 0);
        packet.set_link_addr(link_addr(header.source));
        *packet.vnet_mut() = VnetHdr::default();
        let (endpoint, sub) = (packet.endpoint(), packet.iface());
        packet.set_way(cell, endpoint, sub);
        Some(packet)
    }

    /// Puts the header before a packet for the station that its descriptor names.
    #[inline]
    fn encapsulate(&self, packet: SharedPacket) -> Option<Packet> {
        let Some(iface) = self.iface(packet.endpoint()) else {
            self.stats.drop_iface.add(1);
            return None;
        };
        let Some([m0, m1, m2, m3, m4, m5, ..]) = packet.link_addr() else {
            self.stats.drop_no_address.add(1);
            return None;
        };
        let Some(mut packet) = packet.into_unique() else {
            self.stats.drop_no_buffer.add(1);
            return None;
        };
        let Some(room) = packet.prepend(HEADER_LEN) else {
            self.stats.drop_headroom.add(1);
            return None;
        };
        let header = EthernetHeader {
            dest: Mac([m0, m1, m2, m3, m4, m5]),
            source: iface.mac,
            ethertype: ETHERTYPE_QNET,
        };
        header.emit(room);
        let endpoint = packet.endpoint();
        packet.set_flags(0, NPKT_UP | NPKT_LINK_ADDR);
        packet.set_way(iface.cell, endpoint, iface.iface);
        Some(packet)
    }
}

fn link_addr(mac: Mac) -> [u8; 16] {
    let mut addr = [0; 16];
    addr[..6].copy_from_slice(&mac.0);
    addr
}

fn group_flag(dest: Mac) -> u16 {
    match dest {
        Mac::BROADCAST => NPKT_BCAST,
        mac if mac.is_multicast() => NPKT_MCAST,
        _ => 0,
    }
}
