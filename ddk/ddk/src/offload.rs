//! Offloads in software, for drivers whose device has none: the rest of a checksum, and the cutting
//! of super-packets. Done as late as possible, so that a segment that stays within io-net is
//! never cut.
//!
//! Packets are Ethernet frames. The metadata is virtio's (VIRTIO 1.2, 5.1.6.2): `csum_start` is
//! where TCP or UDP begins, and a super-packet always asks for its checksum too. Metadata that
//! contradicts the frame is an error here, never a panic.

use io_net_abi::{
    CAP_CSUM, CAP_TSO4, CAP_TSO6, CAP_USO, GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4,
    VNET_NEEDS_CSUM, VnetHdr,
};
use io_net_pktbuf::{Packet, SharedPacket, alloc_one};
use io_net_wire::checksum::Sum;

const ETHERNET_LEN: usize = 14;
const VLAN_TAG_LEN: usize = 4;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;

/// Pieces that one super-packet may be cut into: 64 KiB in the smallest segments in use.
const PIECES_MAX: usize = 1024;

const TCP: u8 = 6;
const UDP: u8 = 17;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// Why a packet, which has been released, was not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The metadata contradicts the frame.
    Malformed,
    /// The frame or a piece of it is longer than the MTU.
    TooLong,
    /// The pool is dry; pieces made before that were given out.
    NoBuffer,
}

/// Whether a device with `caps` (`CAP_*`) cannot send `packet` as it is.
#[inline]
pub fn is_needed(packet: &SharedPacket, caps: u32) -> bool {
    let vnet = packet.vnet();
    // Nearly always nothing is asked for at all.
    if vnet.flags & VNET_NEEDS_CSUM == 0 && vnet.gso_type == GSO_NONE {
        return false;
    }
    let cap = match vnet.gso_type & !GSO_ECN {
        GSO_NONE => CAP_CSUM,
        GSO_TCPV4 => CAP_CSUM | CAP_TSO4,
        GSO_TCPV6 => CAP_CSUM | CAP_TSO6,
        GSO_UDP_L4 => CAP_CSUM | CAP_USO,
        _ => return true,
    };
    caps & cap != cap
}

/// Gives `out` the frames that a device with `caps` can send in place of `packet`, in order: the
/// packet itself where nothing is to do. `mtu` is without the Ethernet header and VLAN tags.
///
/// # Errors
/// [`Unfinished`]; the packet is then released.
pub fn finish(
    packet: SharedPacket,
    caps: u32,
    mtu: u32,
    out: &mut impl FnMut(SharedPacket),
) -> Result<(), Unfinished> {
    if !is_needed(&packet, caps) {
        out(packet);
        return Ok(());
    }
    // Both need the bytes in one piece, and the checksum needs to write.
    let packet = match packet.is_chained() {
        true => packet.copy(),
        false => packet.into_unique(),
    };
    let mut packet = packet.ok_or(Unfinished::NoBuffer)?;
    if packet.vnet().gso_type == GSO_NONE {
        complete_checksum(&mut packet)?;
        out(packet.into());
        return Ok(());
    }
    segment(&packet, mtu as usize, out)
}

/// Completes the checksum that `packet`'s metadata asks for, in place.
///
/// # Errors
/// [`Unfinished::Malformed`] where it is to lie outside the packet's first fragment.
pub fn complete_checksum(packet: &mut Packet) -> Result<(), Unfinished> {
    let vnet = *packet.vnet();
    let start = usize::from(vnet.csum_start);
    let at = usize::from(vnet.csum_offset);
    let body = packet.data_mut().get_mut(start..);
    let body = body
        .filter(|body| at + 2 <= body.len())
        .ok_or(Unfinished::Malformed)?;
    // The field holds the pseudo-header's sum, which so enters this one.
    let sum = not_zero(Sum::of(body).checksum());
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    *packet.vnet_mut() = VnetHdr::default();
    Ok(())
}

/// A computed UDP checksum of 0 is sent as all ones (RFC 768), which is as good for others.
fn not_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// Where a super-packet's headers are.
struct Headers {
    v4: bool,
    l3: usize,
    l4: usize,
    /// Payload begins here.
    end: usize,
    protocol: u8,
}

impl Headers {
    fn find(frame: &[u8], vnet: &VnetHdr) -> Option<Headers> {
        let l3 = network_offset(frame)?;
        let l4 = usize::from(vnet.csum_start);
        let kind = vnet.gso_type & !GSO_ECN;
        let version = frame.get(l3)? >> 4;
        let v4 = version == 4;
        let fits = match kind {
            GSO_TCPV4 => v4,
            GSO_TCPV6 => version == 6,
            GSO_UDP_L4 => v4 || version == 6,
            _ => false,
        };
        let ip_len = match v4 {
            true => usize::from(frame[l3] & 15) * 4,
            false => IPV6_LEN,
        };
        // IPv6 may have extension headers before the transport's.
        let follows = match v4 {
            true => ip_len >= 20 && l4 == l3 + ip_len,
            false => l4 >= l3 + ip_len,
        };
        let (protocol, sum_at, l4_len) = match kind {
            GSO_UDP_L4 => (UDP, 6, UDP_LEN),
            _ => (TCP, 16, usize::from(frame.get(l4 + 12)? >> 4) * 4),
        };
        let least = if protocol == TCP { 20 } else { UDP_LEN };
        let end = l4 + l4_len;
        let sound = fits
            && follows
            && l4_len >= least
            && end <= frame.len()
            && vnet.flags & VNET_NEEDS_CSUM != 0
            && usize::from(vnet.csum_offset) == sum_at
            && vnet.gso_size != 0;
        sound.then_some(Headers {
            v4,
            l3,
            l4,
            end,
            protocol,
        })
    }

    /// The sum of the pseudo-header for a segment of `len` bytes (RFC 9293, 3.1; RFC 8200, 8.1).
    fn pseudo(&self, frame: &[u8], len: usize) -> Sum {
        let addresses = match self.v4 {
            true => &frame[self.l3 + 12..self.l3 + 20],
            false => &frame[self.l3 + 8..self.l3 + 40],
        };
        Sum::of(addresses)
            .and(Sum::of(&(len as u32).to_be_bytes()))
            .add_u16(self.protocol.into())
    }
}

/// Where the network header begins: after the Ethernet header and up to two VLAN tags.
fn network_offset(frame: &[u8]) -> Option<usize> {
    let mut at = ETHERNET_LEN;
    for _ in 0..2 {
        match frame.get(at - 2..at)? {
            [0x81, 0x00] | [0x88, 0xa8] => at += VLAN_TAG_LEN,
            _ => break,
        }
    }
    Some(at)
}

/// Cuts a super-packet in one fragment into wire packets of `gso_size` payload bytes each.
fn segment(
    packet: &Packet,
    mtu: usize,
    out: &mut impl FnMut(SharedPacket),
) -> Result<(), Unfinished> {
    let frame = packet.data();
    let vnet = packet.vnet();
    let headers = Headers::find(frame, vnet).ok_or(Unfinished::Malformed)?;
    let (head, payload) = frame.split_at(headers.end);
    let size = usize::from(vnet.gso_size);
    let pieces = payload.len().div_ceil(size).max(1);
    if pieces > PIECES_MAX {
        return Err(Unfinished::Malformed);
    }
    if head.len() - headers.l3 + size.min(payload.len()) > mtu {
        return Err(Unfinished::TooLong);
    }
    let (cell, endpoint, iface) = (packet.cell(), packet.endpoint(), packet.iface());
    for index in 0..pieces {
        let start = index * size;
        let part = &payload[start..payload.len().min(start + size)];
        let len = head.len() + part.len();
        let mut piece = alloc_one(len as u32).ok_or(Unfinished::NoBuffer)?;
        let bytes = piece.append(len).ok_or(Unfinished::NoBuffer)?;
        bytes[..head.len()].copy_from_slice(head);
        bytes[head.len()..].copy_from_slice(part);
        fix_network(bytes, &headers, index);
        match headers.protocol {
            TCP => fix_tcp(bytes, &headers, start, index == 0, index + 1 == pieces),
            _ => put(bytes, headers.l4 + 4, (len - headers.l4) as u16),
        }
        fix_checksum(bytes, &headers);
        piece.set_way(cell, endpoint, iface);
        piece.set_vlan_tci(packet.vlan_tci());
        out(piece.into());
    }
    Ok(())
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Lengths; in IPv4 also an identification of its own for each piece, and the header's checksum
/// (RFC 791, 3.1).
fn fix_network(bytes: &mut [u8], headers: &Headers, index: usize) {
    let l3 = headers.l3;
    let len = bytes.len() - l3;
    if !headers.v4 {
        return put(bytes, l3 + 4, (len - IPV6_LEN) as u16);
    }
    put(bytes, l3 + 2, len as u16);
    let id = get(bytes, l3 + 4).wrapping_add(index as u16);
    put(bytes, l3 + 4, id);
    put(bytes, l3 + 10, 0);
    let sum = Sum::of(&bytes[l3..headers.l4]).checksum();
    put(bytes, l3 + 10, sum);
}

/// The sequence number; FIN and PSH belong to the last piece (RFC 9293, 3.9.1), CWR to the first
/// (RFC 3168, 6.1.2).
fn fix_tcp(bytes: &mut [u8], headers: &Headers, start: usize, first: bool, last: bool) {
    let (seq_at, flags_at) = (headers.l4 + 4, headers.l4 + 13);
    let field = &mut bytes[seq_at..seq_at + 4];
    let seq = field.iter().fold(0, |seq: u32, &b| seq << 8 | u32::from(b));
    field.copy_from_slice(&seq.wrapping_add(start as u32).to_be_bytes());
    if !last {
        bytes[flags_at] &= !(FIN | PSH);
    }
    if !first {
        bytes[flags_at] &= !CWR;
    }
}

fn fix_checksum(bytes: &mut [u8], headers: &Headers) {
    let at = headers.l4 + if headers.protocol == TCP { 16 } else { 6 };
    put(bytes, at, 0);
    let body = &bytes[headers.l4..];
    let sum = headers.pseudo(bytes, body.len()).and(Sum::of(body));
    put(bytes, at, not_zero(sum.checksum()));
}

#[cfg(test)]
mod tests;
