//! ARP for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use crate::Malformed;
use crate::ethernet::{ETHERTYPE_IPV4, Mac};
use crate::field::{put_u16, u16_at};

/// Bytes of a packet.
pub const PACKET_LEN: usize = 28;

/// What an ARP packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender's address.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// Hardware address of the sender.
    pub sender_mac: Mac,
    /// Protocol address of the sender; unspecified in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// Hardware address of the target; zero in a request.
    pub target_mac: Mac,
    /// Protocol address of the target.
    pub target: Ipv4Addr,
}

impl Packet {
    /// Reads an ARP packet; trailing bytes (Ethernet padding) are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Packet, Malformed> {
        let packet: &[u8; PACKET_LEN] = bytes.first_chunk().ok_or(Malformed)?;
        let hardware_and_lengths = (u16_at(packet, 0), packet[4], packet[5]);
        if hardware_and_lengths != (1, 6, 4) || u16_at(packet, 2) != ETHERTYPE_IPV4 {
            return Err(Malformed);
        }
        let operation = match u16_at(packet, 6) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Malformed),
        };
        Ok(Packet {
            operation,
            sender_mac: mac_at(packet, 8),
            sender: addr_at(packet, 14),
            target_mac: mac_at(packet, 18),
            target: addr_at(packet, 24),
        })
    }

    /// Writes the packet into the first [`PACKET_LEN`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    pub fn emit(&self, out: &mut [u8]) {
        put_u16(out, 0, 1);
        put_u16(out, 2, ETHERTYPE_IPV4);
        out[4] = 6;
        out[5] = 4;
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        put_u16(out, 6, operation);
        out[8..14].copy_from_slice(&self.sender_mac.0);
        out[14..18].copy_from_slice(&self.sender.octets());
        out[18..24].copy_from_slice(&self.target_mac.0);
        out[24..28].copy_from_slice(&self.target.octets());
    }
}

fn mac_at(packet: &[u8; PACKET_LEN], at: usize) -> Mac {
    let mut mac = [0; 6];
    mac.copy_from_slice(&packet[at..at + 6]);
    Mac(mac)
}

fn addr_at(packet: &[u8; PACKET_LEN], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3])
}
