//! The pcap format (draft-ietf-opsawg-pcap): a header, and a record for each frame.

use crate::format::{FRAME_MAX, Order, Record, Unreadable, append, begin};
use std::io::Read;

/// The first word, where times are in microseconds or nanoseconds.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Bytes of the header after that, and of a record's header after its first word.
const HEADER_REST: usize = 20;
const RECORD_REST: usize = 12;
/// Bytes of a record's header.
pub(crate) const RECORD_HEADER: usize = 16;
/// Link type of Ethernet frames.
pub(crate) const ETHERNET: u32 = 1;

/// A capture that is being read.
pub(crate) struct Pcap<R> {
    input: R,
    order: Order,
    /// Nanoseconds in a unit of the records' fractions.
    unit_ns: u64,
    is_ethernet: bool,
}

impl<R: Read> Pcap<R> {
    /// Reads the header, which begins with `magic`.
    pub(crate) fn open(magic: [u8; 4], mut input: R) -> Result<Self, Unreadable> {
        let of = |order: Order| match order.u32(&magic) {
            MICROSECONDS => Some((order, 1000)),
            NANOSECONDS => Some((order, 1)),
            _ => None,
        };
        let (order, unit_ns) = of(Order::Little)
            .or_else(|| of(Order::Big))
            .ok_or(Unreadable::Malformed("it is neither pcap nor pcapng"))?;
        let mut rest = [0; HEADER_REST];
        input.read_exact(&mut rest)?;
        // The upper bits tell of a frame check sequence.
        let link = order.u32(&rest[16..]) & 0xffff;
        Ok(Pcap {
            input,
            order,
            unit_ns,
            is_ethernet: link == ETHERNET,
        })
    }

    /// As [`crate::format::Capture::next`].
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Record>, Unreadable> {
        let Some(seconds) = begin(&mut self.input)? else {
            return Ok(None);
        };
        let mut rest = [0; RECORD_REST];
        self.input.read_exact(&mut rest)?;
        let number = |at: usize| self.order.u32(&rest[at..]);
        let (fraction, kept, len) = (number(0), number(4) as usize, number(8) as usize);
        if kept > FRAME_MAX {
            return Err(Unreadable::Malformed(
                "a frame in it is longer than 256 KiB",
            ));
        }
        let seconds = u64::from(self.order.u32(&seconds));
        append(&mut self.input, kept, out)?;
        Ok(Some(Record {
            time_ns: seconds * 1_000_000_000 + u64::from(fraction) * self.unit_ns,
            is_ethernet: self.is_ethernet,
            is_whole: kept >= len,
        }))
    }
}

/// Appends the header of a capture of Ethernet frames with nanoseconds, in native byte order.
pub(crate) fn write_header(out: &mut Vec<u8>) {
    out.extend(NANOSECONDS.to_ne_bytes());
    out.extend(2_u16.to_ne_bytes());
    out.extend(4_u16.to_ne_bytes());
    out.extend([0; 8]);
    out.extend((FRAME_MAX as u32).to_ne_bytes());
    out.extend(ETHERNET.to_ne_bytes());
}

/// The header of a record of `len` bytes at `time_ns`.
pub(crate) fn record_header(time_ns: u64, len: usize) -> [u8; RECORD_HEADER] {
    let mut header = [0; RECORD_HEADER];
    let numbers = [
        (time_ns / 1_000_000_000) as u32,
        (time_ns % 1_000_000_000) as u32,
        len as u32,
        len as u32,
    ];
    for (to, number) in header.chunks_exact_mut(4).zip(numbers) {
        to.copy_from_slice(&number.to_ne_bytes());
    }
    header
}
