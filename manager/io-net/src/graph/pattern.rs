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
    /// Bytes that all tests look at, where these are few: equal keys match equally.
    key: Option<(usize, usize)>,
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

    /// The bytes on which [`Matcher::takers`] depends, as a number, where they are few and `data`
    /// has them.
    #[inline]
    #[must_use]
    pub fn key(&self, data: &[u8]) -> Option<u64> {
        let (start, len) = self.key?;
        let bytes = data.get(start..start + len)?;
        let mut key = [0; 8];
        key[..len].copy_from_slice(bytes);
        Some(u64::from_le_bytes(key))
    }
}

/// The span of all tests, where it fits a word.
fn key_of(tests: &[(Pattern, u64)]) -> Option<(usize, usize)> {
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
        Some(len) if len <= 8 => Some((start, len)),
        Some(_) => None,
        None => Some((0, 0)),
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

    #[test]
    fn equal_keys_match_equally() {
        let ip = [pattern(0x0800)];
        let matcher = Matcher::new([&ip[..]]);
        assert_eq!(matcher.key(&frame(0x0800)), matcher.key(&frame(0x0800)));
        assert_ne!(matcher.key(&frame(0x0800)), matcher.key(&frame(0x0806)));
        assert_eq!(matcher.key(&[0; 13]), None);
    }

    #[test]
    fn far_patterns_have_no_key() {
        let far = [
            pattern(0x0800),
            Pattern::bytes(30, &[1, 2, 3, 4, 5, 6]).unwrap(),
        ];
        assert_eq!(Matcher::new([&far[..]]).key(&frame(0x0800)), None);
        let all = [Pattern::All];
        assert_eq!(Matcher::new([&all[..]]).key(&[]), Some(0));
        assert_eq!(Matcher::new([]).takers(&frame(0x0800)), 0);
    }

    #[test]
    fn absurd_patterns_are_refused() {
        assert_eq!(Pattern::bytes(0, &[]), None);
        assert_eq!(Pattern::bytes(0, &[0; 17]), None);
        assert_eq!(Pattern::bytes(u32::MAX, &[0; 4]), None);
    }
}
