//! Wire formats of the hot path: Ethernet, ARP, IPv4, IPv6, ICMP, UDP, TCP, LWL4, and checksums.
//!
//! Each format is a plain struct with `parse`, which takes any bytes and never panics, and `emit`, which
//! writes the header into a slice of at least its length. Numbers are in host order. Nothing here owns
//! memory, allocates, or knows a device.
#![forbid(unsafe_code)]

pub mod arp;
pub mod checksum;
pub mod ethernet;
mod field;
pub mod gso;
pub mod icmpv4;
pub mod ipv4;
pub mod ipv6;
pub mod lwl4;
pub mod ndp;
pub mod tcp;
pub mod udp;

use core::fmt;

/// The bytes are not what they should be: too short, or a field contradicts another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed packet")
    }
}

impl core::error::Error for Malformed {}

/// IP protocol numbers (IANA).
pub mod protocol {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: u8 = 1;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// QNX's Qnet.
    pub const QNET: u8 = 106;
}

#[cfg(test)]
mod tests;
