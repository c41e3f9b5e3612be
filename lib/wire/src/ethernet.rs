//! Ethernet II frames and 802.1Q tags.

use crate::Malformed;
use crate::field::{put_u16, u16_at};

/// Bytes of the header without a tag.
pub const HEADER_LEN: usize = 14;
/// Bytes of a VLAN tag.
pub const VLAN_TAG_LEN: usize = 4;
/// Offset of the EtherType.
pub const ETHERTYPE_OFFSET: usize = 12;

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of an 802.1Q tag.
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of an 802.1ad service tag.
pub const ETHERTYPE_QINQ: u16 = 0x88a8;
/// EtherType of QNX's Qnet.
pub const ETHERTYPE_QNET: u16 = 0x8204;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// A 48-bit hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of everyone.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether it names a group (broadcast included).
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl core::fmt::Display for Mac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An Ethernet header without tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Destination.
    pub dest: Mac,
    /// Source.
    pub source: Mac,
    /// EtherType, or below 0x600 the length of an 802.3 frame.
    pub ethertype: u16,
}

impl Header {
    /// Reads the header of a frame; the payload follows at [`HEADER_LEN`].
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Header, Malformed> {
        let header: &[u8; HEADER_LEN] = frame.first_chunk().ok_or(Malformed)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        Ok(Header {
            dest: Mac([d0, d1, d2, d3, d4, d5]),
            source: Mac([s0, s1, s2, s3, s4, s5]),
            ethertype: u16::from_be_bytes([t0, t1]),
        })
    }

    /// Writes the header into the first [`HEADER_LEN`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    #[inline]
    pub fn emit(&self, out: &mut [u8]) {
        out[0..6].copy_from_slice(&self.dest.0);
        out[6..12].copy_from_slice(&self.source.0);
        put_u16(out, ETHERTYPE_OFFSET, self.ethertype);
    }
}

/// An 802.1Q tag, as it follows the EtherType [`ETHERTYPE_VLAN`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VlanTag {
    /// Priority, 0 to 7.
    pub priority: u8,
    /// May be dropped first.
    pub drop_eligible: bool,
    /// VLAN, 0 to 4095; 0 is a mere priority tag.
    pub vlan: u16,
    /// EtherType of what follows.
    pub ethertype: u16,
}

impl VlanTag {
    /// Reads the four bytes after the tag's EtherType.
    pub fn parse(bytes: &[u8]) -> Result<VlanTag, Malformed> {
        let tag: &[u8; VLAN_TAG_LEN] = bytes.first_chunk().ok_or(Malformed)?;
        let tci = u16_at(tag, 0);
        Ok(VlanTag {
            priority: (tci >> 13) as u8,
            drop_eligible: tci & 0x1000 != 0,
            vlan: tci & 0x0fff,
            ethertype: u16_at(tag, 2),
        })
    }

    /// Writes the four bytes after the tag's EtherType.
    ///
    /// # Panics
    /// When `out` is shorter than [`VLAN_TAG_LEN`].
    pub fn emit(&self, out: &mut [u8]) {
        let tci = (u16::from(self.priority & 7) << 13)
            | (u16::from(self.drop_eligible) << 12)
            | (self.vlan & 0x0fff);
        put_u16(out, 0, tci);
        put_u16(out, 2, self.ethertype);
    }
}
