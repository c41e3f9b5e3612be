//! The interfaces that Qnet speaks on, and the frames that go out over them.

use crate::options::Bind;
use crate::stats::Stats;
use io_net_ddk::abi::ADVERT_DYING;
use io_net_ddk::advert_name;
use io_net_ddk::prelude::*;
use io_net_qnet::Qnet;
use io_net_qnet::time::Instant;
use io_net_qnet::transport::{LinkAddr, LinkConfig, LinkId, Transmit};
use std::net::{IpAddr, Ipv4Addr};

/// Links of a node, at most.
const LINKS_MAX: usize = 16;
/// The lengths of frames that Qnet can use.
const MTU_MIN: u32 = 256;
const MTU_MAX: u32 = 65_536;

/// The packet pool is dry.
struct NoBuffer;

/// An interface that Qnet speaks on.
pub(crate) struct Link {
    pub(crate) name: String,
    /// Our own address there.
    pub(crate) addr: LinkAddr,
    pub(crate) mtu: u32,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    endpoint: u16,
    /// The layer below and the sub-interface, as down packets name them.
    cell: u16,
    iface: u16,
}

impl Bind {
    /// Whether an interface is meant.
    fn fits(&self, name: &str, addr: LinkAddr) -> bool {
        match self {
            Bind::Interface(wanted) => wanted == name && matches!(addr, LinkAddr::Mac(_)),
            Bind::Ip => matches!(addr, LinkAddr::Ip(_)),
        }
    }

    /// What it is called.
    fn name(&self) -> &str {
        match self {
            Bind::Interface(name) => name,
            Bind::Ip => "ip",
        }
    }
}

/// All of them.
pub(crate) struct Links {
    /// By link number.
    links: [Option<Link>; LINKS_MAX],
    /// Link numbers, by endpoint.
    by_endpoint: Vec<Option<LinkId>>,
    bind: Vec<Bind>,
    /// Frames have gone out since this was last taken back.
    pub(crate) has_sent: bool,
}

impl Links {
    pub(crate) fn new(bind: Vec<Bind>) -> Self {
        Links {
            links: Default::default(),
            by_endpoint: Vec::new(),
            bind,
            has_sent: false,
        }
    }

    /// The links with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        let numbered = self.links.iter().enumerate();
        numbered.filter_map(|(at, link)| Some((LinkId(at as u8), link.as_ref()?)))
    }

    /// What Qnet is to speak on and that is not there.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &str> {
        let absent = |bind: &&Bind| {
            !self
                .iter()
                .any(|(_, link)| bind.fits(&link.name, link.addr))
        };
        self.bind.iter().filter(absent).map(Bind::name)
    }

    /// Our addresses on links over IP.
    pub(crate) fn ip_addresses(&self) -> Vec<IpAddr> {
        let of = |(_, link): (LinkId, &Link)| match link.addr {
            LinkAddr::Ip(address) => Some(address),
            LinkAddr::Mac(_) => None,
        };
        self.iter().filter_map(of).collect()
    }

    /// The ways to a node with these addresses: each, over every link over IP.
    pub(crate) fn paths(&self, addresses: &[IpAddr]) -> Vec<(LinkId, LinkAddr)> {
        let over_ip = |link: &Link| matches!(link.addr, LinkAddr::Ip(_));
        let links = self.iter().filter(|(_, link)| over_ip(link));
        links
            .flat_map(|(id, _)| addresses.iter().map(move |&ip| (id, LinkAddr::Ip(ip))))
            .collect()
    }

    /// The link that a packet came over, and who sent it.
    #[inline]
    pub(crate) fn origin(&mut self, packet: &SharedPacket) -> Option<(LinkId, LinkAddr)> {
        let id = (*self.by_endpoint.get(usize::from(packet.endpoint()))?)?;
        let link = self.links[usize::from(id.0)].as_mut()?;
        link.received += 1;
        let addr = packet.link_addr()?;
        Some((id, link.addr_like_ours(addr)))
    }

    /// An interface came, changed or goes. Returns false where there is no place for it.
    pub(crate) fn take_advert(&mut self, now: Instant, advert: &Advert, qnet: &mut Qnet) -> bool {
        let endpoint = usize::from(advert.endpoint);
        if self.by_endpoint.len() <= endpoint {
            self.by_endpoint.resize(endpoint + 1, None);
        }
        let known = self.by_endpoint[endpoint];
        let Some(addr) = own_addr(advert).filter(|_| advert.flags & ADVERT_DYING == 0) else {
            self.by_endpoint[endpoint] = None;
            if let Some(id) = known {
                self.links[usize::from(id.0)] = None;
                qnet.remove_link(now, id);
            }
            return true;
        };
        let name = advert_name(advert);
        if !self.is_bound(name, addr) {
            return true;
        }
        let free = || self.links.iter().position(Option::is_none);
        let Some(id) = known.or_else(|| Some(LinkId(free()? as u8))) else {
            return false;
        };
        self.by_endpoint[endpoint] = Some(id);
        let mtu = advert.mtu.clamp(MTU_MIN, MTU_MAX);
        let link = self.links[usize::from(id.0)].get_or_insert_with(|| Link::new(name));
        (link.addr, link.mtu) = (addr, mtu);
        (link.endpoint, link.cell, link.iface) = (advert.endpoint, advert.cell, advert.iface);
        let config = LinkConfig { mtu: mtu as usize };
        qnet.add_link(now, id, name, addr, config);
        true
    }

    fn is_bound(&self, name: &str, addr: LinkAddr) -> bool {
        self.bind.is_empty() || self.bind.iter().any(|bind| bind.fits(name, addr))
    }

    /// Sends all frames that Qnet has ready. Returns false where packet buffers ran out before the end.
    pub(crate) fn send(&mut self, now: Instant, qnet: &mut Qnet, stats: &Stats, cx: &Cx) -> bool {
        let Some(mut transmit) = qnet.poll_transmit(now) else {
            return true;
        };
        self.has_sent = true;
        let mut down = BurstBuf::new();
        loop {
            match self.frame(now, &transmit, qnet, stats) {
                Err(NoBuffer) => {
                    cx.tx_down(down.take());
                    return false;
                }
                Ok(None) => {}
                Ok(Some(packet)) => {
                    if down.is_full() {
                        cx.tx_down(down.take());
                    }
                    // There is room: a full burst has just left.
                    let _ = down.push(packet);
                }
            }
            let Some(next) = qnet.poll_transmit(now) else {
                break;
            };
            transmit = next;
        }
        cx.tx_down(down.take());
        true
    }

    /// Makes the next frame. `None` where there is no need of it any more, or its link has gone.
    #[inline]
    fn frame(
        &mut self,
        now: Instant,
        transmit: &Transmit,
        qnet: &mut Qnet,
        stats: &Stats,
    ) -> Result<Option<Packet>, NoBuffer> {
        let mut packet = alloc_one(transmit.len as u32);
        let room = packet.as_mut().and_then(|p| p.append(transmit.len));
        let Some(room) = room else {
            stats.tx_no_buffer.add(1);
            return Err(NoBuffer);
        };
        let (Some(len), Some(mut packet)) = (qnet.emit(now, room), packet) else {
            return Ok(None);
        };
        packet.truncate(len);
        if !self.address(&mut packet, transmit) {
            stats.drop_no_link.add(1);
            return Ok(None);
        }
        Ok(Some(packet))
    }

    /// Says in the descriptor where a packet goes.
    #[inline]
    fn address(&mut self, packet: &mut Packet, transmit: &Transmit) -> bool {
        let link = self.links.get_mut(usize::from(transmit.link.0));
        let Some(link) = link.and_then(Option::as_mut) else {
            return false;
        };
        link.sent += 1;
        packet.set_link_addr(to_bytes(transmit.to));
        packet.set_way(link.cell, link.endpoint, link.iface);
        true
    }

    /// Forgets all interfaces.
    pub(crate) fn clear(&mut self, now: Instant, qnet: &mut Qnet) {
        for (at, link) in self.links.iter_mut().enumerate() {
            if link.take().is_some() {
                qnet.remove_link(now, LinkId(at as u8));
            }
        }
        self.by_endpoint.clear();
    }
}

impl Link {
    fn new(name: &str) -> Self {
        Link {
            name: name.to_owned(),
            addr: LinkAddr::BROADCAST,
            mtu: 0,
            sent: 0,
            received: 0,
            endpoint: 0,
            cell: 0,
            iface: 0,
        }
    }

    /// The address in a descriptor, which is of the kind of our own.
    #[inline]
    fn addr_like_ours(&self, bytes: [u8; 16]) -> LinkAddr {
        let [a, b, c, d, e, f, ..] = bytes;
        match self.addr {
            LinkAddr::Mac(_) => LinkAddr::Mac([a, b, c, d, e, f]),
            LinkAddr::Ip(IpAddr::V4(_)) => LinkAddr::Ip(Ipv4Addr::new(a, b, c, d).into()),
            LinkAddr::Ip(IpAddr::V6(_)) => LinkAddr::Ip(IpAddr::V6(bytes.into())),
        }
    }
}

/// Our address on an interface of type `qnet`; its length tells the kind.
fn own_addr(advert: &Advert) -> Option<LinkAddr> {
    let [a, b, c, d, e, f, ..] = advert.mac;
    match advert.mac_len {
        6 => Some(LinkAddr::Mac([a, b, c, d, e, f])),
        4 => Some(LinkAddr::Ip(Ipv4Addr::new(a, b, c, d).into())),
        _ => None,
    }
}

fn to_bytes(addr: LinkAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match addr {
        LinkAddr::Mac(mac) => bytes[..6].copy_from_slice(&mac),
        LinkAddr::Ip(IpAddr::V4(v4)) => bytes[..4].copy_from_slice(&v4.octets()),
        LinkAddr::Ip(IpAddr::V6(v6)) => bytes = v6.octets(),
    }
    bytes
}
