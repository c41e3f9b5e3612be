//! IPv6 headers (RFC 8200): read only, until the stack speaks it.

use core::net::Ipv6Addr;

use crate::Malformed;
use crate::field::{u16_at, u32_at};

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// The fixed header. Extension headers follow it and are not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Bytes after the fixed header.
    pub payload_len: u16,
    /// Type of what follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source.
    pub source: Ipv6Addr,
    /// Destination.
    pub dest: Ipv6Addr,
}

impl Header {
    /// Reads the fixed header. The packet may be longer than it says, not shorter.
    pub fn parse(packet: &[u8]) -> Result<Header, Malformed> {
        let fixed: &[u8; HEADER_LEN] = packet.first_chunk().ok_or(Malformed)?;
        let first = u32_at(fixed, 0);
        let payload_len = u16_at(fixed, 4);
        if first >> 28 != 6 || HEADER_LEN + usize::from(payload_len) > packet.len() {
            return Err(Malformed);
        }
        Ok(Header {
            traffic_class: (first >> 20) as u8,
            flow_label: first & 0x000f_ffff,
            payload_len,
            next_header: fixed[6],
            hop_limit: fixed[7],
            source: addr_at(fixed, 8),
            dest: addr_at(fixed, 24),
        })
    }
}

fn addr_at(header: &[u8; HEADER_LEN], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&header[at..at + 16]);
    Ipv6Addr::from(octets)
}
