//! Bursts to the device: one write a packet, whatever its size. Home worker.

use io_net_ddk::abi::NPKT_MSG;
use io_net_ddk::pktbuf::SharedPacket;
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, errno, vnet};
use io_net_os::tun::Tap;
use std::io::{self, ErrorKind, IoSlice};

/// Fragments that are written without copying.
const FRAGMENTS: usize = 16;
/// Bytes before a VLAN tag, and of the tag (IEEE 802.1Q-2018, 9.3).
const TAG_AT: usize = 12;
const TAG: usize = 4;
const TAG_TYPE: [u8; 2] = [0x81, 0x00];

/// Sends all of `burst`. What cannot be sent is counted and released.
pub(crate) fn burst(taps: &[Tap], burst: Burst, counters: &NicCounters, down: Counter) {
    let mut tally = Tally::default();
    for packet in burst {
        if packet.flags() & NPKT_MSG != 0 {
            continue;
        }
        let tap = &taps[queue_of(&packet, taps.len())];
        match write(tap, &packet) {
            Ok(_) => tally.packet(&packet),
            Err(error) => count(&error, counters, down),
        }
    }
    counters.sent(&tally);
}

#[inline]
fn write(tap: &Tap, packet: &SharedPacket) -> io::Result<usize> {
    if packet.is_chained() || packet.vlan_tci().is_some() {
        return write_parts(tap, packet);
    }
    let header = vnet::format(packet.vnet(), 0);
    tap.write(&[IoSlice::new(&header), IoSlice::new(packet.data())])
}

/// Writes a packet of several fragments, or with a tag that is not in its frame.
fn write_parts(tap: &Tap, packet: &SharedPacket) -> io::Result<usize> {
    if packet.fragments().nth(FRAGMENTS).is_some() {
        let whole = packet.copy().ok_or(ErrorKind::WouldBlock)?;
        return write_parts(tap, &whole);
    }
    let tci = packet.vlan_tci();
    let header = vnet::format(packet.vnet(), if tci.is_some() { TAG as u16 } else { 0 });
    let mut tag = [TAG_TYPE[0], TAG_TYPE[1], 0, 0];
    let mut parts = [IoSlice::new(&[]); FRAGMENTS + 3];
    let mut fragments = packet.fragments();
    let first = fragments.next().unwrap_or_default();
    parts[0] = IoSlice::new(&header);
    let used = match tci {
        Some(tci) => {
            let (addresses, rest) = first
                .split_at_checked(TAG_AT)
                .ok_or(ErrorKind::InvalidData)?;
            tag[2..].copy_from_slice(&tci.to_be_bytes());
            parts[1..4].copy_from_slice(&[addresses, &tag, rest].map(IoSlice::new));
            4
        }
        None => {
            parts[1] = IoSlice::new(first);
            2
        }
    };
    let mut end = used;
    for (part, fragment) in parts[used..].iter_mut().zip(fragments) {
        *part = IoSlice::new(fragment);
        end += 1;
    }
    tap.write(&parts[..end])
}

/// The queue for a packet: the same for all of one flow, and so the one by which the kernel
/// answers it.
#[inline]
fn queue_of(packet: &SharedPacket, queues: usize) -> usize {
    if queues == 1 {
        return 0;
    }
    flow_hash(packet.data()) as usize % queues
}

/// A number that is the same for all frames of a flow: of the addresses and ports of TCP and UDP
/// over IPv4 without options, else of the frame's first bytes.
fn flow_hash(frame: &[u8]) -> u32 {
    const ADDRESSES_AND_PORTS: std::ops::Range<usize> = 26..38;
    let bytes = frame.get(ADDRESSES_AND_PORTS).unwrap_or(frame);
    // FNV-1a, with the high bits, which are the best mixed, brought down.
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash >> 16
}

#[cold]
fn count(error: &io::Error, counters: &NicCounters, down: Counter) {
    match error.raw_os_error() {
        Some(errno::EIO) => down.add(1),
        _ if error.kind() == ErrorKind::WouldBlock => counters.tx_no_room.add(1),
        _ => counters.tx_errors.add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_spread_and_stay() {
        let frame = |port: u16| {
            let mut frame = vec![0x45; 80];
            frame[34..36].copy_from_slice(&port.to_be_bytes());
            frame
        };
        let mut later = frame(7);
        later[50] = 9;
        assert_eq!(flow_hash(&frame(7)), flow_hash(&later));
        let used: std::collections::BTreeSet<u32> =
            (0..64).map(|port| flow_hash(&frame(port)) % 4).collect();
        assert_eq!(used.len(), 4);
        let _ = flow_hash(&[]);
    }
}
