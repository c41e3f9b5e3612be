//! Tags that are beside their frame (IEEE 802.1Q-2018, 9.3).

use crate::vnet;
use io_net_pktbuf::Packet;

/// Bytes before a tag.
pub const TAG_AT: usize = 12;
/// Bytes of a tag.
pub const TAG: usize = 4;
/// The EtherType of 802.1Q.
pub const CUSTOMER: u16 = 0x8100;

/// The bytes of a tag with EtherType `kind` and control information `control`.
#[inline]
pub const fn tag(kind: u16, control: u16) -> [u8; TAG] {
    let ([k0, k1], [c0, c1]) = (kind.to_be_bytes(), control.to_be_bytes());
    [k0, k1, c0, c1]
}

/// Puts `tag` into the frame after the addresses, and moves the offsets of its metadata. None, and
/// nothing done, where the frame is too short or has no headroom.
#[inline]
pub fn insert(packet: &mut Packet, tag: [u8; TAG]) -> Option<()> {
    if packet.len() < TAG_AT {
        return None;
    }
    packet.prepend(TAG)?;
    let frame = packet.data_mut();
    frame.copy_within(TAG..TAG + TAG_AT, 0);
    frame[TAG_AT..TAG_AT + TAG].copy_from_slice(&tag);
    let moved = vnet::shifted(packet.vnet(), TAG as u16);
    *packet.vnet_mut() = moved;
    Some(())
}
