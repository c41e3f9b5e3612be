//! Making and reading messages that travel the packet path.

use io_net_abi::{MSG_ADDRESSES, MsgAddress, MsgHead, NPKT_MSG};
use io_net_pktbuf::{Packet, SharedPacket, alloc_one};
use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address of an interface and the bits of its network part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// At most 32 or 128.
    pub prefix: u8,
}

/// A message with all `addresses` of an interface, `MSG_ADDRESSES`; its way is still to be set.
/// `None` where the pool is dry or they are too many for one packet.
pub fn addresses_message(addresses: &[InterfaceAddress]) -> Option<Packet> {
    let size = size_of::<MsgHead>() + size_of_entries(addresses.len());
    let mut packet = alloc_one(u32::try_from(size).ok()?)?;
    write_addresses(addresses, packet.append(size)?);
    packet.set_flags(NPKT_MSG, 0);
    Some(packet)
}

/// The addresses in a message, where `packet` is one of them.
pub fn read_addresses(packet: &SharedPacket) -> Option<Vec<InterfaceAddress>> {
    let message = packet.flags() & NPKT_MSG != 0;
    message.then(|| parse_addresses(packet.data())).flatten()
}

fn size_of_entries(count: usize) -> usize {
    count * size_of::<MsgAddress>()
}

fn write_addresses(addresses: &[InterfaceAddress], out: &mut [u8]) {
    let (head, rest) = out.split_at_mut(size_of::<MsgHead>());
    head[offset_of!(MsgHead, kind)..][..4].copy_from_slice(&MSG_ADDRESSES.to_ne_bytes());
    let count = addresses.len() as u32;
    head[offset_of!(MsgHead, count)..][..4].copy_from_slice(&count.to_ne_bytes());
    let entries = rest.chunks_exact_mut(size_of::<MsgAddress>());
    for (entry, address) in entries.zip(addresses) {
        let mut bytes = [0; 16];
        let version: u16 = match address.address {
            IpAddr::V4(v4) => {
                bytes[..4].copy_from_slice(&v4.octets());
                4
            }
            IpAddr::V6(v6) => {
                bytes = v6.octets();
                6
            }
        };
        let prefix = u16::from(address.prefix);
        entry[offset_of!(MsgAddress, version)..][..2].copy_from_slice(&version.to_ne_bytes());
        entry[offset_of!(MsgAddress, prefix)..][..2].copy_from_slice(&prefix.to_ne_bytes());
        entry[offset_of!(MsgAddress, address)..][..16].copy_from_slice(&bytes);
    }
}

fn parse_addresses(data: &[u8]) -> Option<Vec<InterfaceAddress>> {
    let u32_at = |at: usize| Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?));
    if u32_at(offset_of!(MsgHead, kind))? != MSG_ADDRESSES {
        return None;
    }
    let count = u32_at(offset_of!(MsgHead, count))? as usize;
    let entries = data
        .get(size_of::<MsgHead>()..)?
        .chunks_exact(size_of::<MsgAddress>());
    if entries.len() < count {
        return None;
    }
    entries.take(count).map(parse_address).collect()
}

fn parse_address(entry: &[u8]) -> Option<InterfaceAddress> {
    let u16_at = |at: usize| u16::from_ne_bytes([entry[at], entry[at + 1]]);
    let bytes: [u8; 16] = entry[offset_of!(MsgAddress, address)..][..16]
        .try_into()
        .ok()?;
    let prefix = u8::try_from(u16_at(offset_of!(MsgAddress, prefix))).ok()?;
    let (address, longest) = match u16_at(offset_of!(MsgAddress, version)) {
        4 => {
            let v4 = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
            (IpAddr::V4(v4), 32)
        }
        6 => (IpAddr::V6(Ipv6Addr::from(bytes)), 128),
        _ => return None,
    };
    (prefix <= longest).then_some(InterfaceAddress { address, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way() {
        let sent = [
            InterfaceAddress {
                address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
                prefix: 24,
            },
            InterfaceAddress {
                address: IpAddr::V6(Ipv6Addr::LOCALHOST),
                prefix: 128,
            },
        ];
        let mut bytes = vec![0; size_of::<MsgHead>() + size_of_entries(2)];
        write_addresses(&sent, &mut bytes);
        assert_eq!(parse_addresses(&bytes).as_deref(), Some(&sent[..]));
    }

    #[test]
    fn rubbish_is_no_message() {
        let mut bytes = vec![0; size_of::<MsgHead>() + size_of_entries(1)];
        let one = InterfaceAddress {
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            prefix: 24,
        };
        write_addresses(&[one], &mut bytes);
        assert_eq!(parse_addresses(&bytes[..bytes.len() - 1]), None);
        assert_eq!(parse_addresses(&[]), None);
        let mut long_prefix = bytes.clone();
        long_prefix[size_of::<MsgHead>() + offset_of!(MsgAddress, prefix)..][..2]
            .copy_from_slice(&33u16.to_ne_bytes());
        assert_eq!(parse_addresses(&long_prefix), None);
        let mut other_kind = bytes;
        other_kind[0] ^= 0x40;
        assert_eq!(parse_addresses(&other_kind), None);
    }
}
