//! Neighbour discovery for IPv6 over Ethernet: solicitations and advertisements (RFC 4861, 4.3 and
//! 4.4), with the IPv6 header that they come in.

use core::net::Ipv6Addr;

use crate::Malformed;
use crate::checksum::pseudo_v6;
use crate::ethernet::Mac;
use crate::field::put_u16;
use crate::ipv6::{HEADER_LEN, Header};
use crate::protocol::ICMPV6;

/// Bytes of the longest packet that [`Packet::emit`] writes.
pub const PACKET_MAX: usize = HEADER_LEN + MESSAGE_LEN + OPTION_LEN;
/// All nodes of a link (RFC 4291, 2.7.1).
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Type, code, checksum, flags, target.
const MESSAGE_LEN: usize = 24;
/// An option with a link-layer address: type, length, six bytes.
const OPTION_LEN: usize = 8;
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
/// What shows that a packet was sent on this link (RFC 4861, 7.1.1).
const HOP_LIMIT: u8 = 255;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A packet of neighbour discovery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Who sends; unspecified in a search for duplicates (RFC 4862, 5.4.2).
    pub source: Ipv6Addr,
    /// Whom to.
    pub dest: Ipv6Addr,
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// Of the sender in a solicitation, of the target in an advertisement.
    pub mac: Option<Mac>,
    /// Which of the two.
    pub message: Message,
}

/// What a packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// Who has the target address?
    Solicitation,
    /// Somebody has it.
    Advertisement {
        /// In answer to a solicitation.
        solicited: bool,
        /// The link-layer address counts even where another is known.
        overrides: bool,
    },
}

/// Whether an IPv6 packet is one that [`Packet::parse`] is for: a solicitation or an advertisement
/// behind no extension headers.
#[inline]
#[must_use]
pub fn is_for(packet: &[u8]) -> bool {
    packet.get(6) == Some(&ICMPV6)
        && matches!(
            packet.get(HEADER_LEN),
            Some(&(SOLICITATION | ADVERTISEMENT))
        )
}

/// The group of those who have addresses like this one (RFC 4291, 2.7.1).
#[must_use]
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

/// The link-layer address of an IPv6 multicast group (RFC 2464, 7).
#[must_use]
pub fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

impl Packet {
    /// Reads a packet for which [`is_for`] holds, and checks it as RFC 4861, 7.1 asks. Bytes behind
    /// it (Ethernet padding) are ignored.
    pub fn parse(packet: &[u8]) -> Result<Packet, Malformed> {
        let header = Header::parse(packet)?;
        let message = &packet[HEADER_LEN..HEADER_LEN + usize::from(header.payload_len)];
        let fixed: &[u8; MESSAGE_LEN] = message.first_chunk().ok_or(Malformed)?;
        let sum = pseudo_v6(header.source, header.dest, ICMPV6, message.len());
        let sum = sum.and(crate::checksum::Sum::of(message));
        if header.hop_limit != HOP_LIMIT || fixed[1] != 0 || !sum.is_valid() {
            return Err(Malformed);
        }
        let mut target = [0; 16];
        target.copy_from_slice(&fixed[8..]);
        let solicitation = fixed[0] == SOLICITATION;
        let option = if solicitation { SOURCE_MAC } else { TARGET_MAC };
        let parsed = Packet {
            source: header.source,
            dest: header.dest,
            target: target.into(),
            mac: link_address(&message[MESSAGE_LEN..], option)?,
            message: match solicitation {
                true => Message::Solicitation,
                false => Message::Advertisement {
                    solicited: fixed[4] & SOLICITED != 0,
                    overrides: fixed[4] & OVERRIDE != 0,
                },
            },
        };
        match parsed.is_possible() {
            true => Ok(parsed),
            false => Err(Malformed),
        }
    }

    fn is_possible(&self) -> bool {
        let nobody = self.source.is_unspecified();
        let fits = match self.message {
            Message::Solicitation => {
                !nobody || self.mac.is_none() && self.dest == solicited_node(self.target)
            }
            Message::Advertisement { solicited, .. } => {
                !(nobody || solicited && self.dest.is_multicast())
            }
        };
        fits && !self.target.is_multicast() && !self.source.is_multicast()
    }

    /// Bytes of the packet.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        HEADER_LEN + MESSAGE_LEN + self.mac.map_or(0, |_| OPTION_LEN)
    }

    /// Writes the packet into the first [`Packet::packet_len`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    pub fn emit(&self, out: &mut [u8]) {
        let (ip, message) = out[..self.packet_len()].split_at_mut(HEADER_LEN);
        ip.fill(0);
        message.fill(0);
        ip[0] = 6 << 4;
        put_u16(ip, 4, message.len() as u16);
        (ip[6], ip[7]) = (ICMPV6, HOP_LIMIT);
        ip[8..24].copy_from_slice(&self.source.octets());
        ip[24..40].copy_from_slice(&self.dest.octets());
        let option = match self.message {
            Message::Solicitation => {
                message[0] = SOLICITATION;
                SOURCE_MAC
            }
            Message::Advertisement {
                solicited,
                overrides,
            } => {
                message[0] = ADVERTISEMENT;
                message[4] = if solicited { SOLICITED } else { 0 };
                message[4] |= if overrides { OVERRIDE } else { 0 };
                TARGET_MAC
            }
        };
        message[8..24].copy_from_slice(&self.target.octets());
        if let Some(mac) = self.mac {
            (message[24], message[25]) = (option, 1);
            message[26..32].copy_from_slice(&mac.0);
        }
        let sum = pseudo_v6(self.source, self.dest, ICMPV6, message.len());
        let sum = sum.and(crate::checksum::Sum::of(message)).checksum();
        put_u16(message, 2, sum);
    }
}

/// The link-layer address among the options; an option of length 0 spoils them all (RFC 4861, 4.6).
fn link_address(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, Malformed> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let len = usize::from(units) * 8;
        if len == 0 || len > options.len() {
            return Err(Malformed);
        }
        if kind == wanted
            && let Some(&[_, _, a, b, c, d, e, f]) = options.first_chunk()
        {
            found = found.or(Some(Mac([a, b, c, d, e, f])));
        }
        options = &options[len..];
    }
    match options.is_empty() {
        true => Ok(found),
        false => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456);
    const THEM: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn ask() -> Packet {
        Packet {
            source: THEM,
            dest: solicited_node(US),
            target: US,
            mac: Some(MAC),
            message: Message::Solicitation,
        }
    }

    fn bytes(packet: &Packet) -> Vec<u8> {
        let mut out = vec![0xff; packet.packet_len()];
        packet.emit(&mut out);
        out
    }

    #[test]
    fn both_messages_come_back_as_they_were() {
        let answer = Packet {
            source: US,
            dest: THEM,
            message: Message::Advertisement {
                solicited: true,
                overrides: false,
            },
            ..ask()
        };
        let search = Packet {
            source: Ipv6Addr::UNSPECIFIED,
            mac: None,
            ..ask()
        };
        for packet in [ask(), answer, search] {
            let mut out = bytes(&packet);
            assert!(is_for(&out));
            out.extend([0; 10]);
            assert_eq!(Packet::parse(&out), Ok(packet));
        }
    }

    #[test]
    fn what_did_not_come_from_this_link_unharmed_is_refused() {
        let good = bytes(&ask());
        for at in 4..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(Packet::parse(&bad).is_err() || !is_for(&bad), "byte {at}");
        }
        for len in 0..good.len() {
            assert_eq!(Packet::parse(&good[..len]), Err(Malformed));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let nobody = Ipv6Addr::UNSPECIFIED;
        let spread = Message::Advertisement {
            solicited: true,
            overrides: true,
        };
        for packet in [
            Packet {
                source: nobody,
                ..ask()
            },
            Packet {
                source: nobody,
                mac: None,
                dest: US,
                ..ask()
            },
            Packet {
                source: ALL_NODES,
                ..ask()
            },
            Packet {
                target: ALL_NODES,
                ..ask()
            },
            Packet {
                message: spread,
                dest: ALL_NODES,
                ..ask()
            },
        ] {
            assert_eq!(Packet::parse(&bytes(&packet)), Err(Malformed), "{packet:?}");
        }
    }

    #[test]
    fn options() {
        let other = [14, 1, 0, 0, 0, 0, 0, 0];
        let mac = [1, 1, 2, 0, 0, 0, 0, 7];
        let both = [other, mac].concat();
        assert_eq!(link_address(&both, SOURCE_MAC), Ok(Some(MAC)));
        assert_eq!(link_address(&both, TARGET_MAC), Ok(None));
        for bad in [&[1, 0][..], &[1, 2, 0, 0, 0, 0, 0, 0], &[1]] {
            assert_eq!(link_address(bad, SOURCE_MAC), Err(Malformed));
        }
    }

    #[test]
    fn groups() {
        let group = solicited_node(US);
        assert_eq!(group.to_string(), "ff02::1:ff12:3456");
        assert_eq!(
            multicast_mac(group),
            Mac([0x33, 0x33, 0xff, 0x12, 0x34, 0x56])
        );
    }
}
