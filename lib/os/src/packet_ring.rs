//! The ring of an `AF_PACKET` socket: the kernel writes each frame into the next place of a shared
//! mapping and hands the place over by its first word (TPACKET_V2, packet(7)).
//!
//! One reader. Taking frames costs no system call.

use crate::map::SharedMap;
use crate::region::Region;
use std::io;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

/// Bytes that the kernel allocates in one piece. No place lies in two of them.
const BLOCK: usize = 512 << 10;
/// Bytes of a place before the frame: the kernel's header, an address and the virtio-net header.
const BEFORE: usize = 96;
const CACHE_LINE: usize = 64;

/// A socket's ring.
#[derive(Debug)]
pub struct ReceiveRing {
    memory: Region,
    /// Bytes of a place.
    slot: usize,
    /// Where the next place is.
    at: usize,
}

/// A frame in its place, until [`ReceiveRing::release`].
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Bytes of the frame.
    pub len: usize,
    /// Whether they are in the ring.
    pub stay: Stay,
    /// The 802.1Q tag that the kernel has taken out of the frame: type and control information.
    pub tag: Option<(u16, u16)>,
    /// When it came, `CLOCK_REALTIME` nanoseconds.
    pub time_ns: u64,
    /// Frames have been dropped since [`crate::packet::PacketSocket::take_drops`] was last asked.
    pub is_losing: bool,
    /// Where the frame begins.
    start: usize,
}

/// Where a frame's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// In the ring.
    Ring,
    /// Next in the socket's queue.
    Queue,
    /// Nowhere: the frame was too long for its place, and the queue full.
    Lost,
}

impl ReceiveRing {
    /// What to ask the kernel for: at least `count` places for frames of up to `longest` bytes.
    pub(crate) fn request(count: usize, longest: usize) -> libc::tpacket_req {
        // An odd number of cache lines: places do not all begin in the same sets of a cache.
        let lines = longest
            .min(BLOCK / 2)
            .saturating_add(BEFORE)
            .div_ceil(CACHE_LINE)
            | 1;
        let slot = lines * CACHE_LINE;
        let in_block = BLOCK / slot;
        let blocks = count.div_ceil(in_block).max(1);
        libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: slot as u32,
            tp_frame_nr: (blocks * in_block) as u32,
        }
    }

    /// Maps the ring that `socket` was given for `request`.
    pub(crate) fn map(socket: BorrowedFd<'_>, request: &libc::tpacket_req) -> io::Result<Self> {
        let len = BLOCK * request.tp_block_nr as usize;
        Ok(ReceiveRing {
            memory: Region::new(SharedMap::populated(socket, len)?),
            slot: request.tp_frame_size as usize,
            at: 0,
        })
    }

    /// The next frame, where there is one.
    #[inline]
    #[must_use]
    pub fn peek(&self) -> Option<Arrival> {
        let status = self.memory.word32(self.at)?.load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let mut bytes = [0; size_of::<libc::tpacket2_hdr>()];
        if !self.memory.read(self.at, &mut bytes) {
            return None;
        }
        self.memory.prefetch(self.after());
        let (len, kept) = (
            u32_at(&bytes, offset_of!(libc::tpacket2_hdr, tp_len)),
            u32_at(&bytes, offset_of!(libc::tpacket2_hdr, tp_snaplen)),
        );
        let stay = match status & libc::TP_STATUS_COPY != 0 {
            true => Stay::Queue,
            false if kept < len => Stay::Lost,
            false => Stay::Ring,
        };
        let seconds = u32_at(&bytes, offset_of!(libc::tpacket2_hdr, tp_sec));
        let nanoseconds = u32_at(&bytes, offset_of!(libc::tpacket2_hdr, tp_nsec));
        let mac = u16_at(&bytes, offset_of!(libc::tpacket2_hdr, tp_mac));
        Some(Arrival {
            len: len as usize,
            stay,
            tag: tag(status, &bytes),
            time_ns: u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds),
            is_losing: status & libc::TP_STATUS_LOSING != 0,
            start: self.at + usize::from(mac),
        })
    }

    /// Copies the virtio-net header and the bytes of a frame that is in the ring. False, with rubbish
    /// copied, where the place makes no sense.
    #[inline]
    #[must_use]
    pub fn read<const VNET: usize>(
        &self,
        arrival: &Arrival,
        header: &mut [u8; VNET],
        frame: &mut [u8],
    ) -> bool {
        let before = arrival.start.checked_sub(VNET);
        before.is_some_and(|at| self.memory.read(at, header))
            && self.memory.read(arrival.start, frame)
    }

    /// Gives the next frame's place back to the kernel and goes on to the one after it.
    #[inline]
    pub fn release(&mut self) {
        if let Some(status) = self.memory.word32(self.at) {
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
        self.at = self.after();
    }

    /// Where the place after the next one is.
    #[inline]
    fn after(&self) -> usize {
        let after = self.at + self.slot;
        let in_block = after % BLOCK;
        match in_block + self.slot <= BLOCK {
            true if after < self.memory.len() => after,
            // The rest of a block is left over.
            false if after - in_block + BLOCK < self.memory.len() => after - in_block + BLOCK,
            _ => 0,
        }
    }
}

#[inline]
fn tag(status: u32, bytes: &[u8; size_of::<libc::tpacket2_hdr>()]) -> Option<(u16, u16)> {
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let control = u16_at(bytes, offset_of!(libc::tpacket2_hdr, tp_vlan_tci));
    let kind = match status & libc::TP_STATUS_VLAN_TPID_VALID {
        0 => libc::ETH_P_8021Q as u16,
        _ => u16_at(bytes, offset_of!(libc::tpacket2_hdr, tp_vlan_tpid)),
    };
    Some((kind, control))
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    four.map_or(0, |four| u32::from_ne_bytes(*four))
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let two = bytes.get(at..).and_then(|rest| rest.first_chunk());
    two.map_or(0, |two| u16::from_ne_bytes(*two))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: usize, longest: usize) -> (libc::tpacket_req, Vec<usize>) {
        let request = ReceiveRing::request(count, longest);
        let len = BLOCK * request.tp_block_nr as usize;
        let mut ring = ReceiveRing {
            memory: Region::new(SharedMap::anonymous(len).unwrap()),
            slot: request.tp_frame_size as usize,
            at: 0,
        };
        let mut places = Vec::new();
        loop {
            places.push(ring.at);
            ring.release();
            if ring.at == 0 {
                return (request, places);
            }
        }
    }

    #[test]
    fn every_place_is_visited_where_the_kernel_puts_it() {
        for (count, longest) in [
            (2048, 1518),
            (512, 9018),
            (128, 65_553),
            (1, 64),
            (3, 262_000),
        ] {
            let (request, places) = places(count, longest);
            let slot = request.tp_frame_size as usize;
            assert!(places.len() >= count && slot >= longest + BEFORE);
            assert_eq!(places.len(), request.tp_frame_nr as usize);
            assert_eq!(slot % 128, 64, "an odd number of cache lines");
            let in_block = BLOCK / slot;
            for (n, place) in places.into_iter().enumerate() {
                assert_eq!(place, n / in_block * BLOCK + n % in_block * slot);
            }
        }
        let longest = usize::MAX;
        assert!(ReceiveRing::request(1, longest).tp_frame_nr >= 1);
    }
}
