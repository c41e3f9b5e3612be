//! Packets in: which are for us, and which cannot be what they say (RFC 1122, 3.2.1.3).

use core::net::Ipv4Addr;

use io_net_wire::ipv4::{self, Header};

use super::{LOOPBACK, Net};
use crate::config::IfaceId;

/// A packet that is for this host.
pub(crate) struct Inbound<'a> {
    pub(crate) header: Header,
    pub(crate) payload: &'a [u8],
    /// Sent to everyone, not to us alone: gets no ICMP error and no TCP (RFC 1122, 3.2.2, 4.2.3.10).
    pub(crate) broadcast: bool,
}

/// Checks the header of a packet and whether it is for us; counts it if dropped.
#[inline]
pub(crate) fn accept<'a>(net: &mut Net, iface: IfaceId, packet: &'a [u8]) -> Option<Inbound<'a>> {
    net.stats.ip_in += 1;
    if iface != LOOPBACK && !net.ifaces.get(iface).is_some_and(|iface| iface.config.up) {
        net.stats.ip_drop_iface += 1;
        return None;
    }
    let Ok(header) = Header::parse(packet) else {
        if packet.first().is_some_and(|byte| byte >> 4 == 6) {
            net.stats.ip_drop_version += 1;
        } else {
            net.stats.ip_drop_header += 1;
        }
        return None;
    };
    let header_len = usize::from(header.header_len);
    if !ipv4::checksum_ok(&packet[..header_len]) {
        net.stats.ip_drop_checksum += 1;
        return None;
    }
    if is_martian(net, iface, &header) {
        net.stats.ip_drop_martian += 1;
        return None;
    }
    let ours = iface == LOOPBACK || net.ifaces.is_local(header.dest);
    let broadcast = !ours && net.ifaces.is_broadcast(iface, header.dest);
    if !ours && !broadcast {
        net.stats.ip_drop_not_ours += 1;
        return None;
    }
    Some(Inbound {
        header,
        payload: &packet[header_len..usize::from(header.total_len)],
        broadcast,
    })
}

/// Whether the addresses cannot have come over that interface.
fn is_martian(net: &Net, iface: IfaceId, header: &Header) -> bool {
    let (source, dest) = (header.source, header.dest);
    if iface == LOOPBACK {
        return false;
    }
    source.is_loopback()
        || dest.is_loopback()
        || source.is_multicast()
        || source.octets()[0] >= 240
        || source.octets()[0] == 0
        || dest == Ipv4Addr::UNSPECIFIED
        || net.ifaces.is_local(source)
        || net.ifaces.is_broadcast(iface, source)
}
