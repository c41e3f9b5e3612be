//! Packets out: the header, the checksum that is left to the device or not, and fragments.

use core::net::Ipv4Addr;

use io_net_wire::checksum::{Sum, pseudo_v4};
use io_net_wire::{ipv4, protocol};

use super::{LOOPBACK, Net, Path};
use crate::env::{Env, GSO_NONE, TxMeta};

/// What the IP header of a packet says.
#[derive(Clone, Copy)]
pub(crate) struct IpMeta {
    pub(crate) source: Ipv4Addr,
    pub(crate) dest: Ipv4Addr,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
}

impl IpMeta {
    /// The header of a packet that is not to be fragmented, with `payload` bytes after it.
    #[inline]
    pub(crate) fn header(&self, payload: usize) -> ipv4::Header {
        ipv4::Header {
            header_len: ipv4::HEADER_LEN as u8,
            tos: self.tos,
            total_len: (ipv4::HEADER_LEN + payload) as u16,
            id: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: self.ttl,
            protocol: self.protocol,
            source: self.source,
            dest: self.dest,
        }
    }
}

/// How the payload's checksum and segments are to be made.
#[derive(Clone, Copy, Default)]
pub(crate) struct Segmentation {
    pub(crate) gso_type: u8,
    pub(crate) gso_size: u16,
    /// Bytes of the transport header.
    pub(crate) header_len: u16,
    /// Offset of the transport checksum; `None` when the payload carries its own (ICMP).
    pub(crate) csum_offset: Option<u16>,
}

/// Sends a packet of `payload` bytes after the IP header. `fill` writes them, the transport checksum
/// field zero; it is completed here, or left to the device. Returns false when there was no buffer.
#[inline]
pub(crate) fn send<E: Env, F: FnOnce(&mut [u8])>(
    net: &mut Net,
    env: &mut E,
    path: &Path,
    ip: &IpMeta,
    payload: usize,
    segmentation: Segmentation,
    fill: F,
) -> bool {
    let header = ip.header(payload);
    send_with(net, env, path, &header, payload, segmentation, fill)
}

fn send_with<E: Env, F: FnOnce(&mut [u8])>(
    net: &mut Net,
    env: &mut E,
    path: &Path,
    header: &ipv4::Header,
    payload: usize,
    segmentation: Segmentation,
    fill: F,
) -> bool {
    let offloaded = path.offload.checksum && segmentation.csum_offset.is_some();
    let meta = TxMeta {
        needs_csum: offloaded,
        csum_start: ipv4::HEADER_LEN as u16,
        csum_offset: segmentation.csum_offset.unwrap_or(0),
        gso_type: segmentation.gso_type,
        gso_size: if segmentation.gso_type == GSO_NONE {
            0
        } else {
            segmentation.gso_size
        },
        hdr_len: ipv4::HEADER_LEN as u16 + segmentation.header_len,
    };
    let len = ipv4::HEADER_LEN + payload;
    let write = |packet: &mut [u8]| {
        if packet.len() != len {
            return;
        }
        header.emit(packet);
        let body = &mut packet[ipv4::HEADER_LEN..];
        fill(body);
        if let Some(offset) = segmentation.csum_offset {
            let pseudo = pseudo_v4(header.source, header.dest, header.protocol, payload);
            put_checksum(
                body,
                usize::from(offset),
                pseudo,
                offloaded,
                header.protocol,
            );
        }
    };
    let sent = if path.iface == LOOPBACK {
        net.stats.ip_loopback += 1;
        net.loopback.push(len, segmentation.gso_size, write)
    } else {
        env.transmit(path.iface, path.next_hop, &meta, len, write)
    };
    match (sent, path.iface) {
        (true, _) => net.stats.ip_out += 1,
        (false, LOOPBACK) => net.stats.ip_drop_loopback_full += 1,
        (false, _) => net.stats.ip_out_no_buffer += 1,
    }
    sent
}

#[inline]
fn put_checksum(body: &mut [u8], offset: usize, pseudo: Sum, offloaded: bool, protocol: u8) {
    let value = if offloaded {
        pseudo.partial()
    } else {
        let sum = pseudo.and(Sum::of(body)).checksum();
        // A computed zero goes out as all ones, because zero says "none" (RFC 768).
        if sum == 0 && protocol == protocol::UDP {
            0xffff
        } else {
            sum
        }
    };
    if let Some(field) = body.get_mut(offset..offset + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// Sends `payload`, which is longer than the path's MTU allows, in fragments (RFC 791, 3.2).
/// False when a buffer was missing: the rest is not sent, and the datagram is lost.
pub(crate) fn send_fragments<E: Env>(
    net: &mut Net,
    env: &mut E,
    path: &Path,
    ip: &IpMeta,
    payload: &[u8],
) -> bool {
    let id = net.next_packet_id(ip.source, ip.dest);
    let piece_len = (usize::from(path.mtu) - ipv4::HEADER_LEN) & !7;
    for (index, piece) in payload.chunks(piece_len).enumerate() {
        let offset = index * piece_len;
        let header = ipv4::Header {
            id,
            dont_fragment: false,
            more_fragments: offset + piece.len() < payload.len(),
            fragment_offset: offset as u16,
            ..ip.header(piece.len())
        };
        let none = Segmentation::default();
        let fill = |out: &mut [u8]| out.copy_from_slice(piece);
        if !send_with(net, env, path, &header, piece.len(), none, fill) {
            return false;
        }
        net.stats.frag_out += 1;
    }
    true
}
