//! Telling the protocol above that a neighbour did not answer: an ICMP "host unreachable" about the
//! packet that could not be sent (RFC 1122, 2.4 and 3.2.2.1), as a router would send it.
//!
//! It comes from the neighbour's own address, since nobody is there to object, and since a packet
//! from an address of ours cannot have come from outside.

use io_net_ddk::abi::{NPKT_UP, VNET_DATA_VALID};
use io_net_ddk::prelude::*;
use io_net_wire::icmpv4::{self, CODE_HOST, UNREACHABLE};
use io_net_wire::ipv4;
use io_net_wire::protocol::ICMP;

const IPV4_LEN: usize = 20;
/// Bytes of the lost packet's payload that the report quotes (RFC 792).
const QUOTED: usize = 8;

/// The report about `lost`, on its way up at layer `cell`. `None` where there is no packet buffer,
/// or `lost` is itself an ICMP message, about which nothing is reported.
pub(crate) fn report(lost: &SharedPacket, cell: u16) -> Option<Packet> {
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
    report.set_rx(None, None);
    report.set_flags(NPKT_UP, 0);
    report.vnet_mut().flags = VNET_DATA_VALID;
    report.set_way(cell, lost.endpoint(), lost.iface());
    Some(report)
}
