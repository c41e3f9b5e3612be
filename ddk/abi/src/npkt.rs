//! The packet descriptor.

use core::sync::atomic::AtomicU32;

/// Packets handed on in one call, at most.
pub const BURST_MAX: usize = 256;

/// Bytes a fresh packet leaves free before its data, for headers that lower layers prepend.
pub const HEADROOM: u32 = 128;

/// [`Npkt::flags`]: travels toward programs; else toward the wire.
pub const NPKT_UP: u16 = 0x0001;
/// [`Npkt::flags`]: the link-layer destination was broadcast.
pub const NPKT_BCAST: u16 = 0x0002;
/// [`Npkt::flags`]: the link-layer destination was multicast.
pub const NPKT_MCAST: u16 = 0x0004;
/// [`Npkt::flags`]: seen only because the adaptor is promiscuous.
pub const NPKT_PROMISC: u16 = 0x0008;
/// [`Npkt::flags`]: `vlan_tci` holds a tag that is not in the frame.
pub const NPKT_VLAN: u16 = 0x0010;
/// [`Npkt::flags`]: the buffer belongs to registrant `owner`, which gets it back by `tx_done`.
pub const NPKT_EXT: u16 = 0x0020;
/// [`Npkt::flags`]: the buffer must not be written, whatever the reference count.
pub const NPKT_READONLY: u16 = 0x0040;
/// [`Npkt::flags`]: `rx.tstamp_ns` is set.
pub const NPKT_TSTAMP: u16 = 0x0080;
/// [`Npkt::flags`]: `rx.hash` is set.
pub const NPKT_HASH: u16 = 0x0100;
/// [`Npkt::flags`]: `next_hop` is set, and is an IPv4 address in its first four bytes.
pub const NPKT_NEXT_HOP4: u16 = 0x0200;
/// [`Npkt::flags`]: `next_hop` is set, and is an IPv6 address.
pub const NPKT_NEXT_HOP6: u16 = 0x0400;
/// [`Npkt::flags`]: a message between registrants, such as [`crate::MSG_ADDRESSES`], not data.
pub const NPKT_MSG: u16 = 0x0800;
/// [`Npkt::flags`]: `next_hop` is set, and is a link-layer address in its first bytes: of a down
/// packet where it goes, of an up packet where it came from.
pub const NPKT_LINK_ADDR: u16 = 0x1000;

/// [`VnetHdr::flags`]: the checksum field holds the pseudo-header sum; the rest is to be added.
pub const VNET_NEEDS_CSUM: u8 = 1;
/// [`VnetHdr::flags`]: the checksum has been verified.
pub const VNET_DATA_VALID: u8 = 2;
/// [`VnetHdr::gso_type`]: one wire packet.
pub const GSO_NONE: u8 = 0;
/// [`VnetHdr::gso_type`]: a TCP segment over IPv4 to be cut into `gso_size` pieces.
pub const GSO_TCPV4: u8 = 1;
/// [`VnetHdr::gso_type`]: a TCP segment over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// [`VnetHdr::gso_type`]: a run of UDP datagrams of `gso_size` bytes each.
pub const GSO_UDP_L4: u8 = 5;
/// [`VnetHdr::gso_type`], or-ed: TCP with ECN CWR on the first piece only.
pub const GSO_ECN: u8 = 0x80;

/// Checksum and segmentation metadata: the fields of virtio's `virtio_net_hdr`, native endian,
/// with its meaning to the letter (Virtio 1.2, section 5.1.6).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHdr {
    /// `VNET_*` bits.
    pub flags: u8,
    /// `GSO_*`.
    pub gso_type: u8,
    /// Bytes of headers before the payload that is cut, where `gso_type` is set.
    pub hdr_len: u16,
    /// Payload bytes in a piece.
    pub gso_size: u16,
    /// Where checksumming starts, from the first byte of the packet's data.
    pub csum_start: u16,
    /// Where the sum goes, from `csum_start`.
    pub csum_offset: u16,
}

/// What the receiving side knows of an up packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NpktRx {
    /// Nanoseconds of `CLOCK_REALTIME` at which the frame arrived.
    pub tstamp_ns: u64,
    /// Flow hash.
    pub hash: u32,
    /// For the modules' free use on the way up.
    pub mark: u32,
}

/// The part of a descriptor whose meaning depends on the packet's direction.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NpktWay {
    /// Up packets.
    pub rx: NpktRx,
    /// Down packets of a network-layer type: the neighbour to send to. Up packets with
    /// [`NPKT_LINK_ADDR`]: the neighbour that sent.
    pub next_hop: [u8; 16],
}

/// A packet descriptor: one cache line, in an array of its own, so that a burst's descriptors
/// lie side by side whatever the buffers' size.
///
/// Descriptors and buffers are one mapping, and every distance is relative: the same bytes are
/// valid in any process that maps the pool.
#[repr(C, align(64))]
pub struct Npkt {
    /// Distance from this descriptor to its buffer, in bytes.
    pub buf: i64,
    /// First byte of data, from the buffer's start.
    pub data_off: u32,
    /// Bytes of data in this fragment.
    pub len: u32,
    /// Distance to the next fragment's descriptor, in descriptors; 0 in the last.
    pub next: i32,
    /// References held; the packet may be written only where it is 1.
    pub refs: AtomicU32,
    /// `NPKT_*` bits.
    pub flags: u16,
    /// Registrant that owns the buffer of an `NPKT_EXT` packet.
    pub owner: u16,
    /// The buffer's length, in units of 64 bytes.
    pub buf_units: u16,
    /// The packet type at its present layer, as a number that io-net gave (`en`, `ip`, ...).
    pub cell: u16,
    /// The interface it came from or goes to.
    pub endpoint: u16,
    /// Sub-interface, 0 where there is none.
    pub iface: u16,
    /// IEEE 802.1Q tag control information, where `NPKT_VLAN` is set.
    pub vlan_tci: u16,
    /// Offloads asked for or done.
    pub vnet: VnetHdr,
    /// Direction-dependent metadata.
    pub way: NpktWay,
}

const _: () = assert!(size_of::<VnetHdr>() == 10);
const _: () = assert!(size_of::<Npkt>() == 64);
