//! Segmentation and checksum metadata, with virtio-net's values (VIRTIO 1.2, 5.1.6).

/// The packet is one segment.
pub const GSO_NONE: u8 = 0;
/// A TCP super-segment over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// One UDP datagram to be sent in IP fragments (not UDP segmentation).
pub const GSO_UDP: u8 = 3;
/// A TCP super-segment over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// Several UDP datagrams of `gso_size` bytes each.
pub const GSO_UDP_L4: u8 = 5;
/// Flag beside the type: the CWR bit goes only on the first segment (RFC 3168).
pub const GSO_ECN: u8 = 0x80;

/// Header flag: the checksum from `csum_start` on is still to be computed.
pub const FLAG_NEEDS_CSUM: u8 = 1;
/// Header flag: the checksum has been verified.
pub const FLAG_DATA_VALID: u8 = 2;

/// Longest super-segment, IP header included.
pub const SEGMENT_LEN_MAX: usize = 65_535;
