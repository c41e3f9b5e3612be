//! Bit errors.

use crate::dice::Dice;
use io_net_ddk::abi::{GSO_NONE, VNET_NEEDS_CSUM, VnetHdr};
use io_net_ddk::offload::complete_checksum;
use io_net_ddk::pktbuf::{Packet, SharedPacket};

/// Turns one bit of `packet` over. What is computed from its bytes further on is computed first,
/// so that the error is there to be found. `None` where the pool is dry.
pub(crate) fn damage(packet: SharedPacket, dice: &mut Dice) -> Option<SharedPacket> {
    let place = dice.next();
    // Its checksums do not exist yet: an error would be made good when they are computed.
    if packet.vnet().gso_type != GSO_NONE {
        return Some(packet);
    }
    let mut packet = match packet.is_chained() {
        true => packet.copy()?,
        false => packet.into_unique()?,
    };
    if packet.vnet().flags & VNET_NEEDS_CSUM != 0 {
        // Where the metadata makes no sense there is no checksum to complete.
        let _ = complete_checksum(&mut packet);
    }
    *packet.vnet_mut() = VnetHdr::default();
    turn_over(&mut packet, place);
    Some(packet.into())
}

fn turn_over(packet: &mut Packet, place: u64) {
    let bits = packet.len() as u128 * 8;
    let at = ((u128::from(place) * bits) >> 64) as usize;
    if let Some(byte) = packet.data_mut().get_mut(at / 8) {
        *byte ^= 1 << (at % 8);
    }
}
