//! What rules look at in a frame.

use io_net_wire::protocol::{TCP, UDP};
use std::net::IpAddr;

const HEADER: usize = 14;
const TAG: usize = 4;
/// VLAN tags that are skipped to find the type.
const TAGS_MAX: usize = 2;
/// IPv6 extension headers that are followed.
const EXTENSIONS_MAX: usize = 8;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// The fields; `None` where the frame has no such thing, or is malformed there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) dst_mac: Option<[u8; 6]>,
    pub(crate) src_mac: Option<[u8; 6]>,
    /// The outermost VLAN's number.
    pub(crate) vlan: Option<u16>,
    /// Behind the tags.
    pub(crate) ethertype: Option<u16>,
    pub(crate) src: Option<IpAddr>,
    pub(crate) dst: Option<IpAddr>,
    pub(crate) protocol: Option<u8>,
    /// Source and destination, where the packet holds the beginning of the datagram.
    pub(crate) ports: Option<(u16, u16)>,
}

impl Fields {
    /// Reads a frame; `tci` is the tag beside it.
    #[inline]
    pub(crate) fn of(frame: &[u8], tci: Option<u16>) -> Fields {
        let mut fields = Fields::default();
        let Some(header) = frame.first_chunk::<HEADER>() else {
            return fields;
        };
        fields.dst_mac = header[..6].try_into().ok();
        fields.src_mac = header[6..12].try_into().ok();
        fields.vlan = tci.map(number);
        let mut at = HEADER;
        let mut ethertype = Some(u16::from_be_bytes([header[12], header[13]]));
        for _ in 0..TAGS_MAX {
            if !matches!(ethertype, Some(0x8100 | 0x88a8)) {
                break;
            }
            let tag = word(frame, at);
            fields.vlan = fields.vlan.or(tag.map(number));
            ethertype = word(frame, at + 2);
            at += TAG;
        }
        // Below 1536 it is a length (IEEE 802.3-2018, 3.2.6).
        fields.ethertype = ethertype.filter(|&ethertype| ethertype >= 1536);
        match (fields.ethertype, frame.get(at..)) {
            (Some(IPV4), Some(packet)) => fields.read_ipv4(packet),
            (Some(IPV6), Some(packet)) => fields.read_ipv6(packet),
            _ => None,
        };
        fields
    }

    /// RFC 791, 3.1.
    fn read_ipv4(&mut self, packet: &[u8]) -> Option<()> {
        let header = packet.first_chunk::<20>()?;
        let len = usize::from(header[0] & 15) * 4;
        if header[0] >> 4 != 4 || len < 20 {
            return None;
        }
        let address = |at: usize| {
            header[at..at + 4]
                .first_chunk::<4>()
                .map(|&a| IpAddr::from(a))
        };
        (self.src, self.dst) = (address(12), address(16));
        self.protocol = Some(header[9]);
        let first = u16::from_be_bytes([header[6], header[7]]) & 0x1fff == 0;
        if first {
            self.read_ports(header[9], packet.get(len..)?);
        }
        Some(())
    }

    /// RFC 8200, 3 and 4.
    fn read_ipv6(&mut self, packet: &[u8]) -> Option<()> {
        let header = packet.first_chunk::<40>()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let address = |at: usize| {
            header[at..at + 16]
                .first_chunk::<16>()
                .map(|&a| IpAddr::from(a))
        };
        (self.src, self.dst) = (address(8), address(24));
        let (mut next, mut rest) = (header[6], &packet[40..]);
        for _ in 0..EXTENSIONS_MAX {
            let units = match next {
                0 | 43 | 60 => usize::from(*rest.get(1)?) + 1,
                44 => {
                    let later = word(rest, 2)? & 0xfff8 != 0;
                    if later {
                        self.protocol = rest.first().copied();
                        return Some(());
                    }
                    1
                }
                // Of the authentication header the length is in words (RFC 4302, 2.2).
                51 => (usize::from(*rest.get(1)?) + 2).div_ceil(2),
                _ => break,
            };
            next = *rest.first()?;
            rest = rest.get(units * 8..)?;
        }
        self.protocol = Some(next);
        self.read_ports(next, rest);
        Some(())
    }

    #[inline]
    fn read_ports(&mut self, protocol: u8, segment: &[u8]) {
        if has_ports(protocol) {
            self.ports = word(segment, 0).zip(word(segment, 2));
        }
    }
}

/// Whether segments of a protocol begin with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite (IANA's
/// numbers).
pub(crate) fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | 33 | 132 | 136)
}

/// A VLAN's number in its tag (IEEE 802.1Q-2018, 9.6).
fn number(tci: u16) -> u16 {
    tci & 0x0fff
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ethernet(ethertype: &[u8], payload: &[u8]) -> Vec<u8> {
        [&[2; 6][..], &[4; 6], ethertype, payload].concat()
    }

    fn ipv4(protocol: u8, offset: u16, segment: &[u8]) -> Vec<u8> {
        let mut packet = vec![
            0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        packet[6..8].copy_from_slice(&offset.to_be_bytes());
        [packet, segment.to_vec()].concat()
    }

    fn ipv6(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = [0; 40];
        (header[0], header[6]) = (0x60, next);
        (header[23], header[39]) = (1, 2);
        [&header[..], rest].concat()
    }

    #[test]
    fn ports_are_found_behind_tags_and_extensions() {
        let segment = [0x12, 0x34, 0, 80, 0, 0, 0, 0];
        let want = Some((0x1234, 80));
        let plain = Fields::of(&ethernet(&[8, 0], &ipv4(6, 0, &segment)), None);
        assert_eq!(
            (plain.ports, plain.protocol, plain.vlan),
            (want, Some(6), None)
        );
        let tagged = [0x88, 0xa8, 0x20, 7, 0x81, 0, 0, 9, 8, 0];
        let tagged = Fields::of(&ethernet(&tagged, &ipv4(17, 0, &segment)), None);
        assert_eq!((tagged.ports, tagged.vlan), (want, Some(7)));
        assert_eq!(tagged.ethertype, Some(IPV4));
        let beside = Fields::of(&ethernet(&[0x81, 0, 0, 9, 8, 0], &[]), Some(0x6005));
        assert_eq!(beside.vlan, Some(5));
        // Hop-by-hop options, a first fragment, an authentication header of 24 bytes.
        let mut chain = vec![44, 0, 0, 0, 0, 0, 0, 0];
        chain.extend([51, 0, 0, 1, 0, 0, 0, 0]);
        chain.extend([17, 4, 0, 0].into_iter().chain([0; 20]));
        chain.extend(segment);
        let six = Fields::of(&ethernet(&[0x86, 0xdd], &ipv6(0, &chain)), None);
        assert_eq!((six.ports, six.protocol), (want, Some(17)));
        assert_eq!(six.dst, Some("::2".parse().unwrap()));
    }

    #[test]
    fn later_fragments_have_no_ports() {
        let fields = Fields::of(&ethernet(&[8, 0], &ipv4(6, 100, &[0; 8])), None);
        assert_eq!((fields.ports, fields.protocol), (None, Some(6)));
        let fragment = [6, 0, 0, 8, 0, 0, 0, 0, 1, 2, 3, 4];
        let fields = Fields::of(&ethernet(&[0x86, 0xdd], &ipv6(44, &fragment)), None);
        assert_eq!((fields.ports, fields.protocol), (None, Some(6)));
        let icmp = Fields::of(&ethernet(&[8, 0], &ipv4(1, 0, &[8; 8])), None);
        assert_eq!(icmp.ports, None);
    }

    #[test]
    fn cut_off_anywhere_it_is_read_as_far_as_it_goes() {
        let whole = ethernet(&[0x81, 0, 0, 9, 8, 0], &ipv4(6, 0, &[1; 20]));
        for len in 0..whole.len() {
            let fields = Fields::of(&whole[..len], None);
            assert_eq!(fields.src_mac.is_some(), len >= 14, "{len}");
            assert_eq!(fields.src.is_some(), len >= 38, "{len}");
            assert_eq!(fields.ports.is_some(), len >= 42, "{len}");
        }
        assert_eq!(
            Fields::of(&ethernet(&[0, 46], &[0; 46]), None).ethertype,
            None
        );
        let endless = [0; 2000];
        let fields = Fields::of(&ethernet(&[0x86, 0xdd], &ipv6(0, &endless)), None);
        assert_eq!(fields.ports, None);
    }
}
