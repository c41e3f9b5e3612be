//! Packets of the LAN resolver, layer 2 of LWL4: who is that node, and who is here.
//!
//! A header of 56 bytes in the sender's byte order: version, type and total length, then for the sender
//! and for the node that it speaks to three pairs of offset and length, counted from the header's end:
//! name, domain, address. An address is a length, a family (1: Ethernet) and six bytes.

use io_net_wire::Malformed;

use crate::node_name::NodeName;

/// Bytes of the header.
const HEADER_LEN: usize = 56;
const VERSION: u8 = 1;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const FAMILY_MAC: u8 = 1;
/// Bytes of an address with its length and family.
const ADDRESS_LEN: usize = 8;

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Who is `about`? Tell `sender`.
    Request,
    /// `sender` is here.
    Reply,
}

/// A packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) kind: Kind,
    /// Who speaks.
    pub(crate) sender: NodeName,
    /// Its station address; an answer may name another than the frame came from, which is not believed.
    pub(crate) address: [u8; 6],
    /// Who is looked for, or who asked; nobody where a node tells of itself unasked.
    pub(crate) about: Option<NodeName>,
}

impl Packet {
    /// Parses any bytes.
    pub(crate) fn parse(bytes: &[u8], big_endian: bool) -> Result<Self, Malformed> {
        let (header, names) = bytes.split_at_checked(HEADER_LEN).ok_or(Malformed)?;
        let kind = match (header[0], header[2]) {
            (VERSION, REQUEST) => Kind::Request,
            (VERSION, REPLY) => Kind::Reply,
            _ => return Err(Malformed),
        };
        let piece = |pair: usize| -> Result<&[u8], Malformed> {
            let number = |at: usize| {
                let field = header[at..].first_chunk::<4>().ok_or(Malformed)?;
                let number = if big_endian {
                    u32::from_be_bytes(*field)
                } else {
                    u32::from_le_bytes(*field)
                };
                Ok(number as usize)
            };
            let (from, len) = (number(8 + 8 * pair)?, number(12 + 8 * pair)?);
            let rest = names.get(from..).ok_or(Malformed)?;
            rest.get(..len).ok_or(Malformed)
        };
        let text = |pair| {
            // Texts of QNX end with a zero.
            let text = core::str::from_utf8(piece(pair)?).map_err(|_| Malformed)?;
            Ok(text.trim_end_matches('\0'))
        };
        let sender = NodeName::new(text(0)?, text(1)?).map_err(|_| Malformed)?;
        let about = match text(3)? {
            "" => None,
            name => Some(NodeName::new(name, text(4)?).map_err(|_| Malformed)?),
        };
        let [_, FAMILY_MAC, address @ ..] = piece(2)?.first_chunk::<8>().ok_or(Malformed)? else {
            return Err(Malformed);
        };
        Ok(Packet {
            kind,
            sender,
            address: *address,
            about,
        })
    }

    /// The packet's bytes, in this machine's order.
    pub(crate) fn emit(&self) -> Vec<u8> {
        let about = self.about.as_ref();
        let mut address = [0; ADDRESS_LEN];
        address[..2].copy_from_slice(&[ADDRESS_LEN as u8, FAMILY_MAC]);
        address[2..].copy_from_slice(&self.address);
        let pieces: [&[u8]; 5] = [
            &address,
            self.sender.name().as_bytes(),
            self.sender.domain().as_bytes(),
            about.map_or("", NodeName::name).as_bytes(),
            about.map_or("", NodeName::domain).as_bytes(),
        ];
        let mut names = Vec::new();
        let mut pairs = [(0, 0); 6];
        for (piece, pair) in pieces.into_iter().zip([2, 0, 1, 3, 4]) {
            pairs[pair] = (names.len() as u32, piece.len() as u32);
            names.extend_from_slice(piece);
        }
        // The last pair, of an address that nobody knows, points at the sender's: Wireshark looks there
        // before it looks at the length.
        let kind = match self.kind {
            Kind::Request => REQUEST,
            Kind::Reply => REPLY,
        };
        let mut bytes = vec![VERSION, 0, kind, 0];
        bytes.extend_from_slice(&((HEADER_LEN + names.len()) as u32).to_ne_bytes());
        for (from, len) in pairs {
            bytes.extend_from_slice(&from.to_ne_bytes());
            bytes.extend_from_slice(&len.to_ne_bytes());
        }
        bytes.extend_from_slice(&names);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: bool = cfg!(target_endian = "big");

    fn packet(about: Option<&str>) -> Packet {
        Packet {
            kind: Kind::Request,
            sender: "lab1.example.com".parse().unwrap(),
            address: [2, 0, 0, 0, 0, 1],
            about: about.map(|name| name.parse().unwrap()),
        }
    }

    #[test]
    fn what_is_emitted_is_parsed() {
        for about in [None, Some("lab2"), Some("lab2.example.com")] {
            let packet = packet(about);
            assert_eq!(Packet::parse(&packet.emit(), BIG), Ok(packet));
        }
    }

    #[test]
    fn no_bytes_are_read_beyond_the_end() {
        let whole = packet(Some("lab2")).emit();
        for len in 0..whole.len() {
            assert_eq!(Packet::parse(&whole[..len], BIG), Err(Malformed), "{len}");
        }
        for at in 8..48 {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            let parsed = Packet::parse(&bytes, BIG);
            assert_ne!(parsed, Ok(packet(Some("lab2"))), "{at}");
        }
    }

    #[test]
    fn the_other_byte_order_is_understood() {
        let mut bytes = packet(None).emit();
        for field in bytes[4..HEADER_LEN].chunks_exact_mut(4) {
            field.reverse();
        }
        assert_eq!(Packet::parse(&bytes, !BIG), Ok(packet(None)));
    }
}
