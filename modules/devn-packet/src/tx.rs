//! Bursts to the interface: one call for up to [`SEND_MAX`] packets, whatever their size. Home worker.

use io_net_ddk::abi::NPKT_MSG;
use io_net_ddk::pktbuf::SharedPacket;
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, errno, offload, vlan, vnet};
use io_net_os::packet::{PacketSocket, SEND_MAX};
use std::io::{self, IoSlice};

/// Header, and the frame in one piece, or with a tag put in between.
const PARTS: usize = 4;
/// Packets of a small burst, such as a request or an acknowledgement.
const FEW: usize = 4;

/// What has been sent and lost.
#[derive(Clone, Copy)]
pub(crate) struct TxCounters {
    pub(crate) nic: NicCounters,
    /// Packets not sent because the interface was down or gone.
    pub(crate) link_down: Counter,
    /// Frames longer than the interface's MTU.
    pub(crate) too_long: Counter,
}

/// What the interface does for us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ability {
    /// `CAP_*`.
    pub(crate) caps: u32,
    pub(crate) mtu: u32,
}

/// Sends all of `burst`. What cannot be sent is counted and released.
pub(crate) fn burst(socket: &PacketSocket, burst: Burst, ability: Ability, counters: &TxCounters) {
    let Some(any) = burst.iter().next() else {
        return;
    };
    let mut tally = Tally::default();
    // Those from `n` on are of no meaning.
    let (mut ready, mut n) = ([any; SEND_MAX], 0);
    for packet in burst.iter() {
        let plain = is_plain(packet, ability);
        if plain {
            ready[n] = packet;
            n += 1;
        }
        if !plain || n == SEND_MAX {
            // What came before goes before.
            send(socket, &ready[..n], &mut tally, counters);
            n = 0;
        }
        if !plain {
            rework(socket, packet, ability, &mut tally, counters);
        }
    }
    send(socket, &ready[..n], &mut tally, counters);
    counters.nic.sent(&tally);
}

/// Whether the kernel takes the packet as it is.
#[inline]
fn is_plain(packet: &SharedPacket, ability: Ability) -> bool {
    !packet.is_chained()
        && packet.flags() & NPKT_MSG == 0
        && !offload::is_needed(packet, ability.caps)
}

/// Sends a packet in several fragments, or with work left that the kernel does not do.
#[cold]
fn rework(
    socket: &PacketSocket,
    packet: &SharedPacket,
    ability: Ability,
    tally: &mut Tally,
    counters: &TxCounters,
) {
    if packet.flags() & NPKT_MSG != 0 {
        return;
    }
    let whole = match packet.is_chained() {
        true => packet.copy().map(SharedPacket::from),
        false => Some(packet.share()),
    };
    let Some(whole) = whole else {
        return counters.nic.tx_no_room.add(1);
    };
    let mut out = |piece: SharedPacket| send(socket, &[&piece], tally, counters);
    match offload::finish(whole, ability.caps, ability.mtu, &mut out) {
        Ok(()) => {}
        Err(offload::Unfinished::NoBuffer) => counters.nic.tx_no_room.add(1),
        Err(offload::Unfinished::TooLong) => counters.too_long.add(1),
        Err(offload::Unfinished::Malformed) => counters.nic.tx_errors.add(1),
    }
}

/// Sends up to [`SEND_MAX`] packets in one piece each.
#[inline]
fn send(
    socket: &PacketSocket,
    packets: &[&SharedPacket],
    tally: &mut Tally,
    counters: &TxCounters,
) {
    match packets.len() {
        0 => {}
        // Little to lay out.
        1..=FEW => send_with::<FEW>(socket, packets, tally, counters),
        _ => send_with::<SEND_MAX>(socket, packets, tally, counters),
    }
}

/// Sends up to `N` packets.
#[inline]
fn send_with<const N: usize>(
    socket: &PacketSocket,
    packets: &[&SharedPacket],
    tally: &mut Tally,
    counters: &TxCounters,
) {
    let mut headers = [[0; vnet::SIZE]; N];
    let mut tags = [[0; vlan::TAG]; N];
    for ((packet, header), tag) in packets.iter().zip(&mut headers).zip(&mut tags) {
        let mut shift = 0;
        if let Some(tci) = packet.vlan_tci() {
            *tag = vlan::tag(vlan::CUSTOMER, tci);
            shift = vlan::TAG as u16;
        }
        *header = vnet::format(packet.vnet(), shift);
    }
    let mut parts = [[IoSlice::new(&[]); PARTS]; N];
    let mut frames: [&[IoSlice<'_>]; N] = [&[]; N];
    for (index, parts) in parts.iter_mut().enumerate().take(packets.len()) {
        frames[index] = outline(packets[index], &headers[index], &tags[index], parts);
    }
    let mut done = 0;
    while done < packets.len() {
        match socket.send(&frames[done..packets.len()]) {
            Ok(sent) => {
                for packet in &packets[done..done + sent] {
                    tally.packet(packet);
                }
                done += sent;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                count(&error, counters);
                done += 1;
            }
        }
    }
}

/// The pieces of a frame, in order. A tag that is beside the frame goes into it.
#[inline]
fn outline<'a>(
    packet: &'a SharedPacket,
    header: &'a vnet::Bytes,
    tag: &'a [u8; vlan::TAG],
    parts: &'a mut [IoSlice<'a>; PARTS],
) -> &'a [IoSlice<'a>] {
    let frame = packet.data();
    parts[0] = IoSlice::new(header);
    match (packet.vlan_tci(), frame.split_at_checked(vlan::TAG_AT)) {
        (Some(_), Some((addresses, rest))) => {
            parts[1..].copy_from_slice(&[addresses, tag, rest].map(IoSlice::new));
            parts
        }
        // The kernel refuses what is too short for a tag: it is too short for a frame.
        _ => {
            parts[1] = IoSlice::new(frame);
            &parts[..2]
        }
    }
}

#[cold]
fn count(error: &io::Error, counters: &TxCounters) {
    let counter = match error.raw_os_error() {
        Some(errno::ENETDOWN | errno::ENXIO | errno::ENODEV) => counters.link_down,
        Some(errno::EMSGSIZE) => counters.too_long,
        Some(errno::EAGAIN | errno::ENOBUFS | errno::ENOMEM) => counters.nic.tx_no_room,
        _ => counters.nic.tx_errors,
    };
    counter.add(1);
}
