//! Data-link adverts: what a producer tells the layers above of an interface.

/// [`Advert::caps`]: the driver completes checksums (`VNET_NEEDS_CSUM`).
pub const CAP_CSUM: u32 = 0x01;
/// [`Advert::caps`]: the driver cuts TCP segments over IPv4.
pub const CAP_TSO4: u32 = 0x02;
/// [`Advert::caps`]: the driver cuts TCP segments over IPv6.
pub const CAP_TSO6: u32 = 0x04;
/// [`Advert::caps`]: the driver cuts runs of UDP datagrams.
pub const CAP_USO: u32 = 0x08;
/// [`Advert::caps`]: the interface takes multicast.
pub const CAP_MULTICAST: u32 = 0x10;

/// [`Advert::flags`]: the link is up.
pub const ADVERT_LINK_UP: u32 = 0x01;
/// [`Advert::flags`]: the interface is going away; it must not be used after the call.
pub const ADVERT_DYING: u32 = 0x02;

/// The state of one interface at one layer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// `sizeof` this structure where the module was built.
    pub size: u32,
    /// `ADVERT_*`.
    pub flags: u32,
    /// The layer, as in [`crate::Npkt::cell`].
    pub cell: u16,
    /// The interface.
    pub endpoint: u16,
    /// Sub-interface.
    pub iface: u16,
    /// Bytes used of `mac`.
    pub mac_len: u16,
    /// Largest packet at this layer, in bytes; at layer `en` without the Ethernet header.
    pub mtu: u32,
    /// Largest super-segment that may be sent, in bytes, where a `CAP_TSO*` or `CAP_USO` is set.
    pub gso_max: u32,
    /// `CAP_*`.
    pub caps: u32,
    /// 0.
    pub reserved: u32,
    /// Present link-layer address.
    pub mac: [u8; 8],
    /// Name of the interface (`en0`), NUL-padded.
    pub name: [u8; 16],
    /// Type of the packets at this layer (`en`, `ip`), NUL-padded.
    pub up_type: [u8; 8],
}
