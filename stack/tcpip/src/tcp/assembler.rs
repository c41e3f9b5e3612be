//! Which bytes ahead of the next expected one have arrived.

/// Most separate ranges kept: more is an attack, or a network beyond help.
const RANGES_MAX: usize = 64;

/// Ranges of bytes received out of order, as offsets from the next expected byte: sorted, disjoint,
/// not touching one another, none starting at zero.
#[derive(Default)]
pub(crate) struct Assembler {
    ranges: Vec<(usize, usize)>,
}

impl Assembler {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Notes that the bytes `start..end` have arrived, with `start` above zero. False when that would
    /// make too many ranges.
    pub(crate) fn add(&mut self, start: usize, end: usize) -> bool {
        if start >= end {
            return true;
        }
        let first = self.ranges.partition_point(|range| range.1 < start);
        let after = self.ranges.partition_point(|range| range.0 <= end);
        if first == after {
            if self.ranges.len() >= RANGES_MAX {
                return false;
            }
            self.ranges.insert(first, (start, end));
            return true;
        }
        let joined = (
            self.ranges[first].0.min(start),
            self.ranges[after - 1].1.max(end),
        );
        self.ranges[first] = joined;
        self.ranges.drain(first + 1..after);
        true
    }

    /// Whether [`Assembler::add`] would take that range.
    pub(crate) fn has_room(&self, start: usize, end: usize) -> bool {
        self.ranges.len() < RANGES_MAX
            || self
                .ranges
                .iter()
                .any(|range| range.0 <= end && range.1 >= start)
    }

    /// The `arrived` bytes at the front are here. Returns how far the front moves: over them, and over
    /// ranges that they reach.
    pub(crate) fn advance(&mut self, arrived: usize) -> usize {
        let mut front = arrived;
        let mut reached = 0;
        for &(start, end) in &self.ranges {
            if start > front {
                break;
            }
            front = front.max(end);
            reached += 1;
        }
        self.ranges.drain(..reached);
        for range in &mut self.ranges {
            range.0 -= front;
            range.1 -= front;
        }
        front
    }

    /// The ranges: what a SACK option would report.
    #[cfg(test)]
    pub(crate) fn ranges(&self) -> &[(usize, usize)] {
        &self.ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_what_touches() {
        let mut assembler = Assembler::default();
        for (start, end) in [(10, 20), (30, 40), (50, 60), (20, 25), (26, 30)] {
            assert!(assembler.add(start, end));
        }
        assert_eq!(assembler.ranges(), [(10, 25), (26, 40), (50, 60)]);
        assert!(assembler.add(15, 55));
        assert_eq!(assembler.ranges(), [(10, 60)]);
        assert_eq!(assembler.advance(5), 5);
        assert_eq!(assembler.ranges(), [(5, 55)]);
        assert_eq!(assembler.advance(7), 55);
        assert!(assembler.is_empty());
    }

    #[test]
    fn agrees_with_a_bitmap() {
        let mut state = 7u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(99);
            (state >> 33) as usize % below
        };
        let mut assembler = Assembler::default();
        let mut bitmap = vec![false; 4000];
        for _ in 0..5000 {
            if next(4) == 0 {
                let arrived = 1 + next(30);
                bitmap[..arrived].fill(true);
                let front = bitmap.iter().position(|bit| !bit).unwrap_or(bitmap.len());
                assert_eq!(assembler.advance(arrived), front);
                bitmap.drain(..front);
                bitmap.resize(4000, false);
            } else {
                let start = 1 + next(900);
                let end = start + 1 + next(60);
                if assembler.has_room(start, end) {
                    assert!(assembler.add(start, end));
                    bitmap[start..end].fill(true);
                } else {
                    assert!(!assembler.add(start, end));
                }
            }
        }
    }

    #[test]
    fn bounded() {
        let mut assembler = Assembler::default();
        let taken = (1..1000)
            .filter(|i| assembler.add(i * 10, i * 10 + 1))
            .count();
        assert_eq!(taken, RANGES_MAX);
        assert!(assembler.has_room(10, 12) && !assembler.has_room(5, 6));
    }
}
