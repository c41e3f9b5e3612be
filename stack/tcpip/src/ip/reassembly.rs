//! Fragments put together (RFC 791, 3.2; RFC 815), bounded in memory, count and time.
//!
//! A datagram whose fragments overlap is thrown away whole (the rule of RFC 5722, which is as wise for
//! IPv4); an exact repetition is harmless. Ranges are kept sorted, so a hole is what lies between two.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::VecDeque;

use io_net_wire::ipv4;

use crate::stats::Stats;
use crate::time::Instant;

/// Most datagrams under reassembly.
const DATAGRAMS_MAX: usize = 256;
/// Most separate ranges in one datagram: more is an attack, or hopeless.
const RANGES_MAX: usize = 64;
/// Longest payload of a datagram.
const PAYLOAD_MAX: usize = 65_535 - ipv4::HEADER_LEN;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    source: Ipv4Addr,
    dest: Ipv4Addr,
    protocol: u8,
    id: u16,
}

struct Partial {
    key: Key,
    expires: Instant,
    /// Payload length, once the last fragment is here.
    total: Option<usize>,
    /// Ranges that are here: sorted, disjoint, merged where they touch.
    ranges: Vec<(usize, usize)>,
    bytes: Vec<u8>,
    /// Fragments overlapped: all that is still to come is dropped.
    poisoned: bool,
}

pub(crate) struct Reassembly {
    /// Oldest first: all have the same lifetime.
    partials: VecDeque<Partial>,
    held: usize,
    held_max: usize,
    timeout: Duration,
}

impl Reassembly {
    pub(crate) fn new(held_max: usize, timeout: Duration) -> Self {
        Reassembly {
            partials: VecDeque::new(),
            held: 0,
            held_max,
            timeout,
        }
    }

    /// Takes a fragment. Returns the whole payload when it was the last one missing.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        header: &ipv4::Header,
        payload: &[u8],
        stats: &mut Stats,
    ) -> Option<Vec<u8>> {
        stats.frag_in += 1;
        self.expire(now, stats);
        let start = usize::from(header.fragment_offset);
        let end = start + payload.len();
        // All but the last are multiples of eight bytes; none reaches past the longest datagram.
        let ragged = header.more_fragments && !payload.len().is_multiple_of(8);
        if payload.is_empty() || ragged || end > PAYLOAD_MAX {
            stats.frag_drop_malformed += 1;
            return None;
        }
        let key = Key {
            source: header.source,
            dest: header.dest,
            protocol: header.protocol,
            id: header.id,
        };
        let at = self.find_or_make(now, key, stats);
        let partial = &mut self.partials[at];
        if partial.poisoned {
            stats.frag_drop_overlap += 1;
            return None;
        }
        let before = partial.bytes.len();
        let outcome = partial.add(start, payload, !header.more_fragments);
        self.held += self.partials[at].bytes.len();
        self.held -= before;
        match outcome {
            Added::Incomplete => self.make_room(stats),
            Added::Repeated => {}
            Added::Overlap => {
                stats.frag_drop_overlap += 1;
                // Kept empty until it expires, so that its remaining fragments do not start anew.
                let partial = &mut self.partials[at];
                self.held -= partial.bytes.len();
                partial.bytes = Vec::new();
                partial.poisoned = true;
            }
            Added::Complete => {
                let whole = self.partials.remove(at)?;
                self.held -= whole.bytes.len();
                stats.frag_reassembled += 1;
                return Some(whole.bytes);
            }
        }
        None
    }

    /// When the oldest incomplete datagram is to be given up.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.partials.front().map(|oldest| oldest.expires)
    }

    pub(crate) fn expire(&mut self, now: Instant, stats: &mut Stats) {
        while let Some(oldest) = self.partials.front()
            && oldest.expires <= now
        {
            self.held -= oldest.bytes.len();
            self.partials.pop_front();
            stats.frag_drop_timeout += 1;
        }
    }

    fn find_or_make(&mut self, now: Instant, key: Key, stats: &mut Stats) -> usize {
        if let Some(at) = self.partials.iter().position(|partial| partial.key == key) {
            return at;
        }
        if self.partials.len() >= DATAGRAMS_MAX {
            self.evict(stats);
        }
        self.partials.push_back(Partial {
            key,
            expires: now + self.timeout,
            total: None,
            ranges: Vec::new(),
            bytes: Vec::new(),
            poisoned: false,
        });
        self.partials.len() - 1
    }

    fn make_room(&mut self, stats: &mut Stats) {
        while self.held > self.held_max && !self.partials.is_empty() {
            self.evict(stats);
        }
    }

    fn evict(&mut self, stats: &mut Stats) {
        if let Some(oldest) = self.partials.pop_front() {
            self.held -= oldest.bytes.len();
            stats.frag_drop_memory += 1;
        }
    }
}

enum Added {
    Incomplete,
    Repeated,
    Overlap,
    Complete,
}

impl Partial {
    fn add(&mut self, start: usize, payload: &[u8], last: bool) -> Added {
        let end = start + payload.len();
        let too_long = self
            .total
            .is_some_and(|total| end > total || (last && end != total));
        let cuts_short = last && self.bytes.len() > end;
        if too_long || cuts_short {
            return Added::Overlap;
        }
        let at = self.ranges.partition_point(|range| range.1 <= start);
        if let Some(&(next_start, next_end)) = self.ranges.get(at)
            && next_start < end
        {
            let within = next_start <= start && end <= next_end;
            let same = within && self.bytes[start..end] == *payload;
            return if same {
                Added::Repeated
            } else {
                Added::Overlap
            };
        }
        if last {
            self.total = Some(end);
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(payload);
        self.ranges.insert(at, (start, end));
        self.merge(at);
        if self.ranges.len() > RANGES_MAX {
            return Added::Overlap;
        }
        match self.total {
            Some(total) if self.ranges[..] == [(0, total)] => Added::Complete,
            _ => Added::Incomplete,
        }
    }

    /// Joins the range at `at` with neighbours that it touches.
    fn merge(&mut self, at: usize) {
        if at + 1 < self.ranges.len() && self.ranges[at].1 == self.ranges[at + 1].0 {
            self.ranges[at].1 = self.ranges.remove(at + 1).1;
        }
        if at > 0 && self.ranges[at - 1].1 == self.ranges[at].0 {
            self.ranges[at - 1].1 = self.ranges.remove(at).1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(id: u16, offset: u16, more: bool) -> ipv4::Header {
        ipv4::Header {
            header_len: 20,
            tos: 0,
            total_len: 0,
            id,
            dont_fragment: false,
            more_fragments: more,
            fragment_offset: offset,
            ttl: 64,
            protocol: 17,
            source: Ipv4Addr::new(10, 0, 0, 1),
            dest: Ipv4Addr::new(10, 0, 0, 2),
        }
    }

    fn reassembly() -> (Reassembly, Stats) {
        (
            Reassembly::new(200_000, Duration::from_secs(30)),
            Stats::default(),
        )
    }

    #[test]
    fn every_order_of_four_pieces_gives_the_datagram() {
        let payload: Vec<u8> = (0..60).collect();
        let pieces = [(0, 16), (16, 40), (40, 48), (48, 60)];
        for order in 0..256usize {
            let picks: Vec<usize> = (0..4).map(|i| order >> (2 * i) & 3).collect();
            if (0..4).any(|piece| !picks.contains(&piece)) {
                continue;
            }
            let (mut reassembly, mut stats) = reassembly();
            let mut whole = None;
            for pick in picks {
                assert!(whole.is_none());
                let (start, end) = pieces[pick];
                let header = fragment(1, start as u16, end < 60);
                whole = reassembly.insert(Instant::ZERO, &header, &payload[start..end], &mut stats);
            }
            assert_eq!(whole.as_deref(), Some(&payload[..]));
            assert_eq!((reassembly.held, reassembly.partials.len()), (0, 0));
        }
    }

    #[test]
    fn overlap_spoils_the_datagram_and_a_repetition_does_not() {
        let (mut reassembly, mut stats) = reassembly();
        let mut put = |id, offset, more, bytes: &[u8]| {
            reassembly.insert(
                Instant::ZERO,
                &fragment(id, offset, more),
                bytes,
                &mut stats,
            )
        };
        assert!(put(1, 0, true, &[1; 16]).is_none());
        assert!(put(1, 0, true, &[1; 16]).is_none());
        assert_eq!(
            put(1, 16, false, &[2; 5]).map(|whole| whole.len()),
            Some(21)
        );
        assert!(put(2, 0, true, &[1; 16]).is_none());
        assert!(put(2, 8, true, &[9; 16]).is_none());
        assert!(put(2, 16, false, &[2; 5]).is_none());
        assert!(put(3, 32, false, &[1; 8]).is_none());
        assert!(put(3, 16, false, &[1; 8]).is_none());
        assert!(put(3, 0, true, &[1; 16]).is_none());
        assert_eq!(stats.frag_drop_overlap, 4);
    }

    #[test]
    fn memory_time_and_shape_are_bounded() {
        let (mut reassembly, mut stats) = reassembly();
        for id in 0..1000 {
            let header = fragment(id, 64_000, true);
            reassembly.insert(Instant::ZERO, &header, &[0; 800], &mut stats);
            assert!(reassembly.held <= 200_000 && reassembly.partials.len() <= DATAGRAMS_MAX);
        }
        assert!(stats.frag_drop_memory > 900);
        reassembly.expire(Instant::from_millis(30_000), &mut stats);
        assert_eq!((reassembly.held, reassembly.partials.len()), (0, 0));
        for (offset, more, len) in [(65_528, false, 8), (0, true, 7), (0, true, 0)] {
            let header = fragment(1, offset, more);
            assert!(
                reassembly
                    .insert(Instant::ZERO, &header, &vec![0; len], &mut stats)
                    .is_none()
            );
        }
        assert_eq!(stats.frag_drop_malformed, 3);
    }
}
