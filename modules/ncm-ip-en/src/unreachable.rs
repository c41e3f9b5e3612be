//! Telling the protocol above that a neighbour did not answer: an ICMP "host unreachable" about the
//! packet that could not be sent (RFC 1122, 2.4 and 3.2.2.1), as a router would send it, or "address
//! unreachable" of IPv6 (RFC 4443, 3.1).
//!
//! It comes from the neighbour's own address, since nobody is there to object, and since a packet
//! from an address of ours cannot have come from outside.

use io_net_ddk::abi::{NPKT_UP, VNET_DATA_VALID};
use io_net_ddk::prelude::*;
use io_net_wire::checksum::{Sum, pseudo_v6};
use io_net_wire::icmpv4::{self, CODE_HOST, UNREACHABLE};
use io_net_wire::protocol::{ICMP, ICMPV6};
use io_net_wire::{ipv4, ipv6};
use std::net::Ipv6Addr;

const IPV4_LEN: usize = 20;
/// Bytes of the lost packet's payload that the report quotes (RFC 792).
const QUOTED: usize = 8;
/// Bytes of a lost IPv6 packet in all: what keeps the report within the least MTU (RFC 4443, 2.4).
const QUOTED_V6: usize = 1280 - 40 - 8;
/// Code of "address unreachable" (RFC 4443, 3.1).
const ADDRESS_UNREACHABLE: u8 = 3;

/// The report about `lost`, on its way up at layer `cell`. `None` where there is no packet buffer,
/// or `lost` is itself an ICMP message, about which nothing is reported.
pub(crate) fn report(lost: &SharedPacket, cell: u16) -> Option<Packet> {
    let mut report = match lost.next_hop6() {
        Some(next_hop) => report6(lost, next_hop)?,
        None => report4(lost)?,
    };
    report.set_rx(None, None);
    report.set_flags(NPKT_UP, 0);
    report.vnet_mut().flags = VNET_DATA_VALID;
    report.set_way(cell, lost.endpoint(), lost.iface());
    Some(report)
}

fn report6(lost: &SharedPacket, next_hop: Ipv6Addr) -> Option<Packet> {
    let bytes = lost.data();
    // The packet may be longer than what is here, and its extension headers are not looked into.
    let source: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
    let source = Ipv6Addr::from(source);
    if bytes[6] == ICMPV6 {
        return None;
    }
    let quoted = bytes.len().min(QUOTED_V6);
    let message_len = icmpv4::HEADER_LEN + quoted;
    let len = ipv6::HEADER_LEN + message_len;
    let mut report = alloc_one(len as u32)?;
    let (ip, message) = report.append(len)?.split_at_mut(ipv6::HEADER_LEN);
    ip.fill(0);
    ip[0] = 6 << 4;
    ip[4..6].copy_from_slice(&(message_len as u16).to_be_bytes());
    (ip[6], ip[7]) = (ICMPV6, 64);
    ip[8..24].copy_from_slice(&next_hop.octets());
    ip[24..40].copy_from_slice(&source.octets());
    message[..icmpv4::HEADER_LEN].copy_from_slice(&[1, ADDRESS_UNREACHABLE, 0, 0, 0, 0, 0, 0]);
    message[icmpv4::HEADER_LEN..].copy_from_slice(&bytes[..quoted]);
    let sum = pseudo_v6(next_hop, source, ICMPV6, message_len).and(Sum::of(message));
    message[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
    Some(report)
}

fn report4(lost: &SharedPacket) -> Option<Packet> {
    let next_hop = lost.next_hop4()?;
    let bytes = lost.data();
    let header = ipv4::Header::parse_quoted(bytes).ok()?;
    if header.protocol == ICMP || header.fragment_offset != 0 {
        return None;
    }
    let quoted = bytes.len().min(usize::from(header.header_len) + QUOTED);
    let message_len = icmpv4::HEADER_LEN + quoted;
    let len = IPV4_LEN + message_len;
    let mut report = alloc_one(len as u32)?;
    let out = report.append(len)?;
    let (ip, message) = out.split_at_mut(IPV4_LEN);
    ipv4::Header {
        header_len: IPV4_LEN as u8,
        tos: 0,
        total_len: len as u16,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: ICMP,
        source: next_hop,
        dest: header.source,
    }
    .emit(ip);
    message[icmpv4::HEADER_LEN..].copy_from_slice(&bytes[..quoted]);
    icmpv4::Header {
        kind: UNREACHABLE,
        code: CODE_HOST,
        rest: 0,
    }
    .emit(message);
    Some(report)
}
