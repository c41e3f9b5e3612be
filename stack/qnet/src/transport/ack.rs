//! The payload of acknowledgements: which frames of one of the other node's links have come.
//!
//! Little-endian: the sender's own limit of a frame on the link that this leaves by (u32); the other
//! node's link (u8); the number of ranges (u8); two zero bytes; microseconds since the highest frame came
//! (u32); and for each range, from the highest down, its highest and its lowest number (u32 each).

use core::time::Duration;

use super::ranges::RangeSet;

/// Most ranges in one acknowledgement.
pub(crate) const RANGES_MAX: usize = 16;

const FIXED_LEN: usize = 12;
const RANGE_LEN: usize = 8;

/// Frames that one range speaks of at most, far more than may be under way: the wire has only the low
/// halves of their numbers.
const SPAN_MAX: u64 = 1 << 24;

/// Longest acknowledgement.
pub(crate) const ACK_MAX: usize = FIXED_LEN + RANGES_MAX * RANGE_LEN;

/// Writes an acknowledgement of the highest ranges in `seen`; its length.
pub(crate) fn emit(
    out: &mut [u8; ACK_MAX],
    mtu: usize,
    link: u8,
    delay: Duration,
    seen: &RangeSet,
) -> usize {
    let mut end = FIXED_LEN;
    let mut count = 0;
    for (start, past) in seen.descending().take(RANGES_MAX) {
        let start = start.max(past.saturating_sub(SPAN_MAX));
        out[end..end + 4].copy_from_slice(&((past - 1) as u32).to_le_bytes());
        out[end + 4..end + 8].copy_from_slice(&(start as u32).to_le_bytes());
        end += RANGE_LEN;
        count += 1;
    }
    let micros = u32::try_from(delay.as_micros()).unwrap_or(u32::MAX);
    out[..4].copy_from_slice(&(mtu as u32).to_le_bytes());
    out[4..8].copy_from_slice(&[link, count, 0, 0]);
    out[8..12].copy_from_slice(&micros.to_le_bytes());
    end
}

/// An acknowledgement that was received; its form has been checked, its numbers have not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ack<'a> {
    pub(crate) mtu: usize,
    pub(crate) link: u8,
    pub(crate) delay: Duration,
    ranges: &'a [[u8; RANGE_LEN]],
}

impl<'a> Ack<'a> {
    /// Reads the payload of an acknowledgement.
    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk::<FIXED_LEN>()?;
        let (ranges, odd) = rest.as_chunks::<RANGE_LEN>();
        let [m0, m1, m2, m3, link, count, _, _, d0, d1, d2, d3] = *fixed;
        if !odd.is_empty() || ranges.len() != usize::from(count) || ranges.len() > RANGES_MAX {
            return None;
        }
        let delay = u32::from_le_bytes([d0, d1, d2, d3]);
        Some(Ack {
            mtu: u32::from_le_bytes([m0, m1, m2, m3]) as usize,
            link,
            delay: Duration::from_micros(u64::from(delay)),
            ranges,
        })
    }

    /// The ranges as highest and lowest number, the highest range first as honest senders write them.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u32, u32)> {
        self.ranges.iter().map(|range| {
            let [a, b, c, d, e, f, g, h] = *range;
            (
                u32::from_le_bytes([a, b, c, d]),
                u32::from_le_bytes([e, f, g, h]),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut seen = RangeSet::default();
        for at in 0..20 {
            seen.insert(at * 10, at * 10 + 5);
        }
        let mut out = [0; ACK_MAX];
        let len = emit(&mut out, 1500, 3, Duration::from_micros(77), &seen);
        assert_eq!(len, ACK_MAX);
        let ack = Ack::parse(&out).unwrap();
        assert_eq!((ack.mtu, ack.link), (1500, 3));
        assert_eq!(ack.delay, Duration::from_micros(77));
        let ranges: Vec<_> = ack.ranges().collect();
        assert_eq!(ranges.len(), RANGES_MAX);
        assert_eq!(ranges[0], (194, 190));
        for len in 0..out.len() {
            assert_eq!(Ack::parse(&out[..len]), None);
        }
    }
}
