//! The registrant: frames up, packets down, and the interfaces between.

use crate::control;
use crate::iface::{Conflict, Iface, Outgoing, sender_is_possible};
use crate::neighbours::Queued;
use crate::options::Limits;
use crate::stats::Stats;
use crate::unreachable;
use io_net_ddk::abi::{
    ADVERT_DYING, ADVERT_LINK_UP, DEVCTL_JSON, GSO_NONE, LOG_WARNING, NPKT_BCAST, NPKT_MCAST,
    NPKT_MSG, NPKT_NEXT_HOP4, NPKT_NEXT_HOP6, NPKT_UP, VNET_NEEDS_CSUM,
};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;
use io_net_ddk::{advert, advert_name, answer, read_addresses};
use io_net_wire::arp::{PACKET_LEN as ARP_LEN, Packet as Arp};
use io_net_wire::ethernet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, HEADER_LEN, Header as EthernetHeader, Mac,
};
use io_net_wire::ndp::{self, Packet as Ndp};
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

/// The one timer: what is due next on any interface.
const TIMER: u32 = 0;
/// Addresses remembered as ours of old, at most.
const HELD_MAX: usize = 4096;

/// The converter.
pub(crate) struct Converter {
    /// By endpoint number.
    ifaces: Vec<Option<Box<Iface<SharedPacket>>>>,
    /// Addresses that were ours on any interface: they need no probing when they return.
    held: HashSet<IpAddr>,
    limits: Limits,
    stats: Stats,
    armed_ns: u64,
}

impl Registrant for Converter {
    fn rx_up(&mut self, mut burst: Burst, cx: &Cx) {
        let mut up = BurstBuf::new();
        while let Some(packet) = burst.next() {
            burst.prefetch(4);
            let kept = self.take_frame(packet, cx);
            // A burst holds no more than the buffer.
            if let Some(packet) = kept {
                let _ = up.push(packet);
            }
        }
        cx.tx_up(up.take());
        self.rearm(cx);
    }

    fn rx_down(&mut self, mut burst: Burst, cx: &Cx) {
        let now_ns = cx.now_ns();
        let mut down = BurstBuf::new();
        let mut last = None;
        while let Some(packet) = burst.next() {
            burst.prefetch(4);
            let (endpoint, next_hop) = (packet.endpoint(), next_hop(&packet));
            let Some(next_hop) = next_hop else {
                self.take_message(now_ns, &packet);
                continue;
            };
            let Some(Some(iface)) = self.ifaces.get_mut(usize::from(endpoint)) else {
                self.stats.drop_iface.add(1);
                continue;
            };
            let mac = match last {
                Some((e, hop, mac)) if e == endpoint && hop == next_hop => Some(mac),
                _ => match next_hop {
                    IpAddr::V4(v4) => iface.resolve(now_ns, v4),
                    IpAddr::V6(v6) => iface.six.resolve(now_ns, v6),
                },
            };
            let Some(mac) = mac else {
                queue(iface, now_ns, next_hop, packet, &self.stats);
                continue;
            };
            last = Some((endpoint, next_hop, mac));
            if let Some(frame) = encapsulate(packet, iface, mac, &self.stats) {
                let _ = down.push(frame);
            }
        }
        cx.tx_down(down.take());
        self.run_due(now_ns, cx);
    }

    fn timer(&mut self, _id: u32, now_ns: u64, cx: &Cx) {
        self.armed_ns = u64::MAX;
        self.run_due(now_ns, cx);
    }

    fn dl_advert(&mut self, below: &Advert, cx: &Cx) {
        if below.up_type[..3] != *b"en\0" {
            return;
        }
        let at = usize::from(below.endpoint);
        if self.ifaces.len() <= at {
            self.ifaces.resize_with(at + 1, || None);
        }
        if below.flags & ADVERT_DYING != 0 {
            self.ifaces[at] = None;
        } else {
            let limits = &self.limits;
            let iface =
                self.ifaces[at].get_or_insert_with(|| Box::new(Iface::new(below, limits.clone())));
            let [m0, m1, m2, m3, m4, m5, ..] = below.mac;
            let mac = Mac([m0, m1, m2, m3, m4, m5]);
            iface.update(cx.now_ns(), mac, below.flags & ADVERT_LINK_UP != 0);
            (iface.cell, iface.iface) = (below.cell, below.iface);
        }
        cx.dl_advert(&Advert {
            size: size_of::<Advert>() as u32,
            cell: cx.cell(),
            name: below.name,
            ..Advert {
                up_type: advert(advert_name(below), "ip").up_type,
                ..*below
            }
        });
        self.rearm(cx);
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        if cmd != DEVCTL_JSON {
            let text = format!("devctl {cmd} is not one of ip_en's");
            return Err(Failure::new(EOPNOTSUPP, text));
        }
        let now_ns = cx.now_ns();
        let ifaces = self.ifaces.iter_mut().flatten().map(Box::as_mut);
        let text = control::request(&data[..len], now_ns, ifaces)?;
        answer(data, text.as_bytes())
    }

    fn quiesce(&mut self, cx: &Cx) {
        cx.cancel_timer(TIMER);
        self.ifaces.clear();
    }
}

impl Converter {
    pub(crate) fn new(limits: Limits, cx: &Cx) -> Self {
        Converter {
            ifaces: Vec::new(),
            held: HashSet::new(),
            limits,
            stats: Stats::new(cx),
            armed_ns: u64::MAX,
        }
    }

    /// Takes a frame on its way up; gives it back as an IP packet where that is what it holds.
    #[inline]
    fn take_frame(&mut self, packet: SharedPacket, cx: &Cx) -> Option<Packet> {
        let Some(Some(iface)) = self.ifaces.get_mut(usize::from(packet.endpoint())) else {
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
        if header.ethertype != ETHERTYPE_IPV4 {
            if header.ethertype == ETHERTYPE_ARP {
                self.take_arp(&packet, cx);
                return None;
            }
            if ndp::is_for(&packet.data()[HEADER_LEN..]) {
                self.take_ndp(&packet, header.source, cx);
                return None;
            }
        }
        let Some(mut packet) = packet.into_unique() else {
            self.stats.drop_no_buffer.add(1);
            return None;
        };
        if !decapsulate(&mut packet, header.dest, cx.cell()) {
            self.stats.drop_malformed.add(1);
            return None;
        }
        Some(packet)
    }

    #[cold]
    fn take_arp(&mut self, packet: &SharedPacket, cx: &Cx) {
        let Some(Some(iface)) = self.ifaces.get_mut(usize::from(packet.endpoint())) else {
            return;
        };
        let arp = Arp::parse(&packet.data()[HEADER_LEN..]);
        let Some(arp) = arp.ok().filter(sender_is_possible) else {
            self.stats.drop_arp_malformed.add(1);
            return;
        };
        self.stats.arp_in.add(1);
        let now_ns = cx.now_ns();
        let heard = iface.handle_arp(now_ns, &arp);
        self.stats.arp_changed.add(u64::from(heard.changed));
        if let Some(conflict) = heard.conflict {
            self.stats.arp_conflicts.add(1);
            self.report(&conflict, packet.endpoint(), cx);
        }
        if let Some(outgoing) = heard.answer {
            self.stats.arp_out.add(1);
            self.send_questions(packet.endpoint(), &[outgoing], cx);
        }
        self.send_ready(packet.endpoint(), heard.mac, heard.ready, cx);
    }

    #[cold]
    fn take_ndp(&mut self, packet: &SharedPacket, from: Mac, cx: &Cx) {
        let Some(Some(iface)) = self.ifaces.get_mut(usize::from(packet.endpoint())) else {
            return;
        };
        let parsed = Ndp::parse(&packet.data()[HEADER_LEN..]);
        let Some(ndp) = parsed.ok().filter(|_| !from.is_multicast()) else {
            self.stats.drop_ndp_malformed.add(1);
            return;
        };
        self.stats.ndp_in.add(1);
        let heard = iface.six.handle(cx.now_ns(), iface.mac, from, &ndp);
        self.stats.ndp_changed.add(u64::from(heard.changed));
        if let Some(conflict) = heard.conflict {
            self.stats.ndp_conflicts.add(1);
            self.report(&conflict, packet.endpoint(), cx);
        }
        if let Some(outgoing) = heard.answer {
            self.stats.ndp_out.add(1);
            self.send_questions(packet.endpoint(), &[outgoing], cx);
        }
        self.send_ready(packet.endpoint(), heard.mac, heard.ready, cx);
    }

    fn report(&self, conflict: &Conflict, endpoint: u16, cx: &Cx) {
        let Some(Some(iface)) = self.ifaces.get(usize::from(endpoint)) else {
            return;
        };
        if conflict.report {
            let (name, address, mac) = (&iface.name, conflict.address, conflict.mac);
            let text = format_args!(
                "{name}: {mac} claims our address {address}; give one of the two another address"
            );
            cx.log(LOG_WARNING, text);
        }
    }

    /// Takes a packet without a next hop: our addresses, or nothing for us.
    #[cold]
    fn take_message(&mut self, now_ns: u64, packet: &SharedPacket) {
        if packet.flags() & NPKT_MSG == 0 {
            self.stats.drop_no_next_hop.add(1);
            return;
        }
        let iface = self.ifaces.get_mut(usize::from(packet.endpoint()));
        let (Some(addresses), Some(Some(iface))) = (read_addresses(packet), iface) else {
            return;
        };
        let held = &self.held;
        let four = |a| held.contains(&IpAddr::V4(a));
        iface.claims.set(now_ns, &addresses, four);
        let six = |a| held.contains(&IpAddr::V6(a));
        iface.six.claims.set(now_ns, &addresses, six);
        if self.held.len() < HELD_MAX {
            self.held.extend(addresses.iter().map(|a| a.address));
        }
    }

    /// Sends what is due on any interface, and sets the timer.
    fn run_due(&mut self, now_ns: u64, cx: &Cx) {
        for at in 0..self.ifaces.len() {
            let Some(iface) = self.ifaces[at].as_mut().filter(|i| i.next_ns() <= now_ns) else {
                continue;
            };
            let (mut arps, mut ndps, mut lost) = (Vec::new(), Vec::new(), VecDeque::new());
            iface.poll(now_ns, &mut arps, &mut lost);
            iface.six.poll(now_ns, iface.mac, &mut ndps, &mut lost);
            self.stats.drop_unresolved.add(lost.len() as u64);
            for packet in &lost {
                if let Some(report) = unreachable::report(packet, cx.cell()) {
                    cx.tx_up_one(report);
                }
            }
            self.stats.arp_out.add(arps.len() as u64);
            self.stats.ndp_out.add(ndps.len() as u64);
            self.send_questions(at as u16, &arps, cx);
            self.send_questions(at as u16, &ndps, cx);
        }
        self.rearm(cx);
    }

    fn rearm(&mut self, cx: &Cx) {
        let times = self.ifaces.iter().flatten().map(|iface| iface.next_ns());
        let next_ns = times.min().unwrap_or(u64::MAX);
        if next_ns < self.armed_ns {
            self.armed_ns = next_ns;
            cx.timer(TIMER, next_ns);
        }
    }

    fn send_questions<Q: Question>(&mut self, endpoint: u16, outgoing: &[Outgoing<Q>], cx: &Cx) {
        let Some(Some(iface)) = self.ifaces.get_mut(usize::from(endpoint)) else {
            return;
        };
        let mut down = BurstBuf::new();
        for (question, to) in outgoing {
            let Some(packet) = question_frame(question, *to, iface) else {
                self.stats.drop_no_buffer.add(1);
                continue;
            };
            if down.is_full() {
                cx.tx_down(down.take());
            }
            let _ = down.push(packet);
        }
        cx.tx_down(down.take());
    }

    /// Sends the packets that waited for a neighbour; they are no more than a burst holds.
    fn send_ready(&mut self, endpoint: u16, mac: Mac, ready: VecDeque<SharedPacket>, cx: &Cx) {
        let Some(Some(iface)) = self.ifaces.get_mut(usize::from(endpoint)) else {
            return;
        };
        let mut down = BurstBuf::new();
        for packet in ready {
            if let Some(frame) = encapsulate(packet, iface, mac, &self.stats) {
                if down.is_full() {
                    cx.tx_down(down.take());
                }
                let _ = down.push(frame);
            }
        }
        cx.tx_down(down.take());
    }
}

/// Takes the Ethernet header off. False where the metadata does not fit the frame.
#[inline]
fn decapsulate(packet: &mut Packet, dest: Mac, cell: u16) -> bool {
    if !packet.pull(HEADER_LEN) {
        return false;
    }
    if dest.is_multicast() {
        let kind = if dest == Mac::BROADCAST {
            NPKT_BCAST
        } else {
            NPKT_MCAST
        };
        packet.set_flags(kind, 0);
    }
    let (endpoint, iface) = (packet.endpoint(), packet.iface());
    packet.set_way(cell, endpoint, iface);
    let vnet = packet.vnet_mut();
    if vnet.flags & VNET_NEEDS_CSUM != 0 {
        let Some(start) = vnet.csum_start.checked_sub(HEADER_LEN as u16) else {
            return false;
        };
        vnet.csum_start = start;
    }
    if vnet.gso_type != GSO_NONE {
        vnet.hdr_len = vnet.hdr_len.saturating_sub(HEADER_LEN as u16);
    }
    true
}

/// The neighbour that a down packet goes to.
#[inline]
fn next_hop(packet: &SharedPacket) -> Option<IpAddr> {
    match packet.next_hop4() {
        Some(v4) => Some(IpAddr::V4(v4)),
        None => packet.next_hop6().map(IpAddr::V6),
    }
}

/// Puts the Ethernet header before an IP packet.
#[inline]
fn encapsulate(
    packet: SharedPacket,
    iface: &Iface<SharedPacket>,
    mac: Mac,
    stats: &Stats,
) -> Option<Packet> {
    let Some(mut packet) = packet.into_unique() else {
        stats.drop_no_buffer.add(1);
        return None;
    };
    let ethertype = match packet.flags() & NPKT_NEXT_HOP6 {
        0 => ETHERTYPE_IPV4,
        _ => ETHERTYPE_IPV6,
    };
    let Some(room) = packet.prepend(HEADER_LEN) else {
        stats.drop_headroom.add(1);
        return None;
    };
    let header = EthernetHeader {
        dest: mac,
        source: iface.mac,
        ethertype,
    };
    header.emit(room);
    packet.set_flags(0, NPKT_UP | NPKT_NEXT_HOP4 | NPKT_NEXT_HOP6);
    packet.set_way(iface.cell, iface.endpoint, iface.iface);
    let vnet = packet.vnet_mut();
    if vnet.flags & VNET_NEEDS_CSUM != 0 {
        vnet.csum_start = vnet.csum_start.saturating_add(HEADER_LEN as u16);
    }
    if vnet.gso_type != GSO_NONE {
        vnet.hdr_len = vnet.hdr_len.saturating_add(HEADER_LEN as u16);
    }
    Some(packet)
}

/// What asks after neighbours and answers: a packet of ARP or of neighbour discovery.
trait Question {
    const ETHERTYPE: u16;
    fn len(&self) -> usize;
    fn emit(&self, out: &mut [u8]);
}

impl Question for Arp {
    const ETHERTYPE: u16 = ETHERTYPE_ARP;

    fn len(&self) -> usize {
        ARP_LEN
    }

    fn emit(&self, out: &mut [u8]) {
        self.emit(out);
    }
}

impl Question for Ndp {
    const ETHERTYPE: u16 = ETHERTYPE_IPV6;

    fn len(&self) -> usize {
        self.packet_len()
    }

    fn emit(&self, out: &mut [u8]) {
        self.emit(out);
    }
}

fn question_frame<Q: Question>(
    question: &Q,
    to: Mac,
    iface: &Iface<SharedPacket>,
) -> Option<Packet> {
    let mut packet = alloc_one((HEADER_LEN + question.len()) as u32)?;
    let room = packet.append(HEADER_LEN + question.len())?;
    let header = EthernetHeader {
        dest: to,
        source: iface.mac,
        ethertype: Q::ETHERTYPE,
    };
    header.emit(room);
    question.emit(&mut room[HEADER_LEN..]);
    packet.set_way(iface.cell, iface.endpoint, iface.iface);
    Some(packet)
}

#[cold]
fn queue(
    iface: &mut Iface<SharedPacket>,
    now_ns: u64,
    next_hop: IpAddr,
    packet: SharedPacket,
    stats: &Stats,
) {
    let queued = match next_hop {
        IpAddr::V4(v4) => iface.neighbours.enqueue(now_ns, v4, packet),
        IpAddr::V6(v6) => iface.six.neighbours.enqueue(now_ns, v6, packet),
    };
    match queued {
        Queued::Waits => {}
        Queued::Displaced(_) | Queued::Refused(_) => stats.drop_queue_full.add(1),
    }
    stats.arp_evicted.add(iface.neighbours.take_evicted());
    stats.ndp_evicted.add(iface.six.neighbours.take_evicted());
}
