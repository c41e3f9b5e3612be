//! What a device does to an outgoing packet: checksums and segmentation.

use io_net_tcpip::{GSO_NONE, GSO_UDP_L4};
use io_net_wire::checksum::{Sum, pseudo_v4};
use io_net_wire::{ipv4, protocol, tcp, udp};

use crate::host::Sent;

/// The packets that go on the wire for a packet of the stack, with all checksums made.
pub fn to_wire(sent: &Sent) -> Vec<Vec<u8>> {
    if sent.meta.gso_type == GSO_NONE {
        let mut bytes = sent.bytes.clone();
        if sent.meta.needs_csum {
            finish_checksum(&mut bytes, sent);
        }
        return vec![bytes];
    }
    let header_len = usize::from(sent.meta.hdr_len);
    let (headers, payload) = sent.bytes.split_at(header_len);
    let size = usize::from(sent.meta.gso_size);
    let count = payload.len().div_ceil(size);
    let pieces = payload.chunks(size).enumerate();
    let make = |(index, piece): (usize, &[u8])| {
        let mut packet = [headers, piece].concat();
        let len = packet.len() as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        if sent.meta.gso_type == GSO_UDP_L4 {
            packet[24..26].copy_from_slice(&(len - 20).to_be_bytes());
        } else {
            advance_tcp(&mut packet, index * size, index + 1 == count);
        }
        packet[10..12].fill(0);
        let sum = Sum::of(&packet[..ipv4::HEADER_LEN]).checksum();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        finish_checksum(&mut packet, sent);
        packet
    };
    pieces.map(make).collect()
}

fn advance_tcp(packet: &mut [u8], offset: usize, last: bool) {
    let seq = u32::from_be_bytes(packet[24..28].try_into().expect("four bytes"));
    packet[24..28].copy_from_slice(&seq.wrapping_add(offset as u32).to_be_bytes());
    if !last {
        packet[33] &= !(tcp::FIN | tcp::PSH);
    }
}

fn finish_checksum(packet: &mut [u8], sent: &Sent) {
    let field = usize::from(sent.meta.csum_start + sent.meta.csum_offset);
    packet[field..field + 2].fill(0);
    let sum = transport_checksum(packet);
    packet[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The transport checksum of a packet whose field for it is zero.
pub fn transport_checksum(packet: &[u8]) -> u16 {
    let header = ipv4::Header::parse(packet).expect("a packet of the stack");
    let body = &packet[usize::from(header.header_len)..];
    let pseudo = pseudo_v4(header.source, header.dest, header.protocol, body.len());
    match pseudo.and(Sum::of(body)).checksum() {
        0 if header.protocol == protocol::UDP => 0xffff,
        sum => sum,
    }
}

/// Checks that a packet on the wire is well formed, with right checksums.
pub fn assert_valid(packet: &[u8]) {
    let header = ipv4::Header::parse(packet).expect("a valid IP header");
    let header_len = usize::from(header.header_len);
    assert_eq!(usize::from(header.total_len), packet.len());
    assert!(ipv4::checksum_ok(&packet[..header_len]));
    if header.is_fragment() {
        return;
    }
    let body = &packet[header_len..];
    let pseudo = pseudo_v4(header.source, header.dest, header.protocol, body.len());
    match header.protocol {
        protocol::TCP => {
            tcp::Header::parse(body).expect("a valid TCP header");
            assert!(pseudo.and(Sum::of(body)).is_valid(), "TCP checksum");
        }
        protocol::UDP => {
            udp::Header::parse(body).expect("a valid UDP header");
            assert!(pseudo.and(Sum::of(body)).is_valid(), "UDP checksum");
        }
        _ => assert!(Sum::of(body).is_valid(), "ICMP checksum"),
    }
}
