//! A set of numbers as ascending ranges, cheap where most additions extend the last range.

/// Half-open ranges, ascending, neither overlapping nor touching.
#[derive(Clone, Default, Debug)]
pub(crate) struct RangeSet {
    ranges: Vec<(u64, u64)>,
}

impl RangeSet {
    /// Adds `start..end`; how many of its numbers are new.
    #[inline]
    pub(crate) fn insert(&mut self, start: u64, end: u64) -> u64 {
        match self.ranges.last_mut() {
            Some(last) if start == last.1 && start < end => {
                last.1 = end;
                end - start
            }
            Some(last) if start <= last.1 => self.insert_among(start, end),
            _ if start < end => {
                self.ranges.push((start, end));
                end - start
            }
            _ => 0,
        }
    }

    fn insert_among(&mut self, start: u64, end: u64) -> u64 {
        if start >= end {
            return 0;
        }
        let first = self.ranges.partition_point(|range| range.1 < start);
        let after = self.ranges.partition_point(|range| range.0 <= end);
        let merged = &self.ranges[first..after];
        let held: u64 = merged.iter().map(|range| range.1 - range.0).sum();
        let (low, high) = match (merged.first(), merged.last()) {
            (Some(low), Some(high)) => (start.min(low.0), end.max(high.1)),
            _ => (start, end),
        };
        self.ranges.splice(first..after, [(low, high)]);
        high - low - held
    }

    /// Whether all of `start..end` is in the set.
    pub(crate) fn covers(&self, start: u64, end: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 <= start);
        start >= end
            || self
                .ranges
                .get(at)
                .is_some_and(|range| range.0 <= start && end <= range.1)
    }

    /// Whether `number` is in the set.
    #[inline]
    pub(crate) fn contains(&self, number: u64) -> bool {
        match self.ranges.last() {
            Some(last) if number >= last.0 => number < last.1,
            _ => self.covers(number, number + 1),
        }
    }

    /// The ranges, the highest first.
    pub(crate) fn descending(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().rev().copied()
    }

    /// Drops the lowest ranges until at most `max` are left; the end of the highest one dropped.
    pub(crate) fn keep_highest(&mut self, max: usize) -> Option<u64> {
        let surplus = self.ranges.len().checked_sub(max + 1)?;
        self.ranges
            .drain(..=surplus)
            .next_back()
            .map(|range| range.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_set_that_bits_say() {
        let mut lcg = 12345_u64;
        let mut next = |below: u64| {
            lcg = lcg.wrapping_mul(6364136223846793005).wrapping_add(1);
            (lcg >> 33) % below
        };
        for _ in 0..200 {
            let mut set = RangeSet::default();
            let mut bits = [false; 64];
            for _ in 0..20 {
                let (a, b) = (next(60), next(60));
                let (start, end) = (a.min(b), a.max(b).min(a.min(b) + 9));
                let fresh = (start..end).filter(|at| !bits[*at as usize]).count() as u64;
                assert_eq!(set.insert(start, end), fresh);
                bits[start as usize..end as usize].fill(true);
                for at in 0..64 {
                    assert_eq!(set.contains(at), bits[at as usize]);
                }
                let (from, to) = (next(60), next(60));
                let all = (from..to).all(|at| bits[at as usize]);
                assert_eq!(set.covers(from, to), all);
            }
            let ranges: Vec<_> = set.descending().collect();
            assert!(ranges.windows(2).all(|pair| pair[1].1 < pair[0].0));
        }
    }

    #[test]
    fn the_lowest_are_forgotten() {
        let mut set = RangeSet::default();
        for at in 0..5 {
            set.insert(at * 10, at * 10 + 1);
        }
        assert_eq!(set.keep_highest(5), None);
        assert_eq!(set.keep_highest(2), Some(21));
        assert_eq!(set.descending().count(), 2);
        assert!(set.contains(30) && !set.contains(20));
    }
}
