//! Byte patterns: how the top of a column chooses who gets a packet.

/// The longest pattern, in bytes.
pub const PATTERN_MAX: usize = 16;

/// Up packets that a registrant asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Every one.
    All,
    /// Those with these bytes at this offset.
    Bytes {
        /// From the packet's first byte.
        offset: u32,
        /// How many of `bytes` count.
        len: u8,
        /// The bytes.
        bytes: [u8; PATTERN_MAX],
    },
}

impl Pattern {
    /// A pattern of 1 to 16 bytes; `None` for another length or an absurd offset.
    #[must_use]
    pub fn bytes(offset: u32, pattern: &[u8]) -> Option<Pattern> {
        const OFFSET_MAX: u32 = 65536;
        if pattern.is_empty() || pattern.len() > PATTERN_MAX || offset > OFFSET_MAX {
            return None;
        }
        let mut bytes = [0; PATTERN_MAX];
        bytes[..pattern.len()].copy_from_slice(pattern);
        Some(Pattern::Bytes {
            offset,
            len: pattern.len() as u8,
            bytes,
        })
    }

    /// Whether a packet that begins with `data` matches.
    #[inline]
    #[must_use]
    pub fn matches(&self, data: &[u8]) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Bytes { offset, len, bytes } => {
                let (start, len) = (*offset as usize, usize::from(*len));
                data.get(start..start + len) == Some(&bytes[..len])
            }
        }
    }
}

/// The patterns of all takers of one type, compiled for the packet path.
#[derive(Clone, Debug)]
pub struct Matcher {
    tests: Vec<(Pattern, u64)>,
    key: Key,
}

/// The bytes on which the takers depend: packets with equal keys have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// None: all packets have the same takers.
    Nothing,
    /// Those of the word at `start` that are set in `mask`.
    Word { start: usize, mask: u64 },
    /// More than a word holds.
    Wide,
}

impl Matcher {
    /// The most takers that one type can have: a bit each in the result.
    pub const TAKERS_MAX: usize = 64;

    /// Compiles the patterns of the takers in turn; those after the 64th get nothing.
    pub fn new<'p>(takers: impl IntoIterator<Item = &'p [Pattern]>) -> Matcher {
        let mut tests = Vec::new();
        for (taker, patterns) in takers.into_iter().take(Self::TAKERS_MAX).enumerate() {
            tests.extend(patterns.iter().map(|pattern| (*pattern, 1 << taker)));
        }
        let key = key_of(&tests);
        Matcher { tests, key }
    }

    /// Bit n is set where the n-th taker asks for a packet that begins with `data`.
    #[inline]
    #[must_use]
    pub fn takers(&self, data: &[u8]) -> u64 {
        let mut takers = 0;
        for (pattern, bit) in &self.tests {
            takers |= if pattern.matches(data) { *bit } else { 0 };
        }
        takers
    }

    /// How many of `packets` from the first on have the same takers as the first, whose data is
    /// `first` and whose takers are `takers`. `data` gives a packet's bytes.
    #[inline]
    pub fn run<'d, P>(
        &self,
        first: &[u8],
        takers: u64,
        packets: &[P],
        data: impl Fn(&P) -> &'d [u8],
    ) -> usize {
        let end = match self.key {
            Key::Nothing => None,
            Key::Word { start, mask } if first.len() >= start + 8 => {
                let key = word(first, start).map(|word| word & mask);
                let differs = |packet| word(data(packet), start).map(|word| word & mask) != key;
                packets.iter().position(differs)
            }
            _ => packets
                .iter()
                .position(|packet| self.takers(data(packet)) != takers),
        };
        end.unwrap_or(packets.len())
    }
}

#[inline]
fn word(data: &[u8], start: usize) -> Option<u64> {
    let bytes = data.get(start..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// What all tests look at.
fn key_of(tests: &[(Pattern, u64)]) -> Key {
    let spans = tests.iter().filter_map(|(pattern, _)| match pattern {
        Pattern::All => None,
        Pattern::Bytes { offset, len, .. } => {
            Some((*offset as usize, *offset as usize + usize::from(*len)))
        }
    });
    let (start, end) = spans.fold((usize::MAX, 0), |(s, e), (start, end)| {
        (s.min(start), e.max(end))
    });
    match end.checked_sub(start) {
        None => Key::Nothing,
        Some(len @ 1..=8) => Key::Word {
            start,
            mask: u64::MAX >> (64 - 8 * len),
        },
        Some(_) => Key::Wide,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ethertype: u16) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        frame
    }

    fn pattern(ethertype: u16) -> Pattern {
        Pattern::bytes(12, &ethertype.to_be_bytes()).unwrap()
    }

    #[test]
    fn takers_are_those_whose_pattern_matches() {
        let ip = [pattern(0x0800), pattern(0x0806)];
        let (qnet, all) = ([pattern(0x8204)], [Pattern::All]);
        let matcher = Matcher::new([&ip[..], &qnet[..], &all[..], &[]]);
        assert_eq!(matcher.takers(&frame(0x0800)), 0b101);
        assert_eq!(matcher.takers(&frame(0x0806)), 0b101);
        assert_eq!(matcher.takers(&frame(0x8204)), 0b110);
        assert_eq!(matcher.takers(&frame(0x86dd)), 0b100);
        assert_eq!(matcher.takers(&[0; 13]), 0b100);
    }

    /// The length of each run of equal takers in `frames`.
    fn runs(matcher: &Matcher, frames: &[Vec<u8>]) -> Vec<usize> {
        let frames: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
        let (mut rest, mut runs) = (&frames[..], Vec::new());
        while let Some(first) = rest.first() {
            let n = matcher.run(first, matcher.takers(first), rest, |frame| *frame);
            runs.push(n);
            rest = &rest[n..];
        }
        runs
    }

    #[test]
    fn runs_have_the_same_takers() {
        let ip = [pattern(0x0800)];
        let far = [pattern(0x0800), Pattern::bytes(30, &[1; 6]).unwrap()];
        let [near, wide] = [&ip[..], &far[..]].map(|patterns| Matcher::new([patterns]));
        let all = Matcher::new([&[Pattern::All][..]]);
        let short = vec![0; 13];
        let just_long_enough = frame(0x0800)[..14].to_vec();
        let frames = [
            frame(0x0800),
            frame(0x0800),
            frame(0x0806),
            short,
            just_long_enough.clone(),
            just_long_enough,
            frame(0x0800),
        ];
        assert_eq!(runs(&all, &frames), [7]);
        assert_eq!(runs(&wide, &frames), [2, 2, 3]);
        // A short frame ends a run, whatever its takers.
        assert_eq!(runs(&near, &frames), [2, 1, 1, 3]);
        assert_eq!(runs(&Matcher::new([]), &frames), [7]);
    }

    #[test]
    fn absurd_patterns_are_refused() {
        assert_eq!(Pattern::bytes(0, &[]), None);
        assert_eq!(Pattern::bytes(0, &[0; 17]), None);
        assert_eq!(Pattern::bytes(u32::MAX, &[0; 4]), None);
    }
}
