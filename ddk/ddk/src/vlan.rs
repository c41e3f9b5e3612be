//! Tags of frames, in them and beside them (IEEE 802.1Q-2018, 9.3).

use crate::vnet;
use io_net_pktbuf::{Packet, SharedPacket};

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

/// The control information of a frame's 802.1Q tag: the one beside it, else the one in it.
#[inline]
pub fn control(packet: &SharedPacket) -> Option<u16> {
    packet.vlan_tci().or_else(|| in_frame(packet.data()))
}

fn in_frame(frame: &[u8]) -> Option<u16> {
    match frame.get(TAG_AT..TAG_AT + TAG)? {
        &[0x81, 0x00, a, b] => Some(u16::from_be_bytes([a, b])),
        _ => None,
    }
}

/// Leaves a frame with the 802.1Q tag `control` in it, or with none, whatever it had; a further tag
/// behind that one is payload. None for want of headroom, or where the frame is too short; it may
/// then have lost the tag beside it.
#[inline]
pub fn set(packet: &mut Packet, control: Option<u16>) -> Option<()> {
    let beside = packet.vlan_tci().is_some();
    if beside {
        packet.set_vlan_tci(None);
    }
    match (in_frame(packet.data()).filter(|_| !beside), control) {
        (None, None) => {}
        (None, Some(control)) => insert(packet, tag(CUSTOMER, control))?,
        (Some(_), Some(control)) => {
            packet.data_mut()[TAG_AT + 2..TAG_AT + TAG].copy_from_slice(&control.to_be_bytes());
        }
        (Some(_), None) => remove(packet),
    }
    Some(())
}

/// Takes the first tag, of any sort, out of a frame that has one, and moves the offsets of its
/// metadata. Nothing is done where the frame is too short to have one.
#[inline]
pub fn remove(packet: &mut Packet) {
    if packet.len() < TAG_AT + TAG {
        return;
    }
    packet.data_mut().copy_within(..TAG_AT, TAG);
    packet.pull(TAG);
    let vnet = packet.vnet_mut();
    vnet.hdr_len = vnet.hdr_len.saturating_sub(TAG as u16);
    vnet.csum_start = vnet.csum_start.saturating_sub(TAG as u16);
}
