//! The messages coming from one peer, of all conns: put together, and handed on in order.
//!
//! What is held is bounded by the bytes of incomplete messages and of complete ones that wait for an
//! earlier one of their conn, and by a fixed cost for each.

use std::collections::BTreeMap;

use super::Conn;
use super::ranges::RangeSet;

/// What a message costs besides its bytes.
pub(super) const MESSAGE_COST: usize = 256;

/// How far ahead of the next message of its conn one may be: no honest sender is farther.
const AHEAD_MAX: u64 = 1 << 14;

/// A piece of a message, as a frame brought it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) conn: Conn,
    /// The message's number in its conn, as far as the wire has it.
    pub(crate) number: u16,
    pub(crate) offset: u32,
    pub(crate) last: bool,
    pub(crate) bytes: &'a [u8],
}

/// What became of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It was taken.
    Taken,
    /// It was here already.
    Duplicate,
    /// It contradicts what is known, or goes beyond a limit; nothing has changed.
    Refused,
}

/// Limits of what one peer may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) conns: u16,
    pub(crate) message_bytes: usize,
    pub(crate) held_bytes: usize,
}

/// The messages coming from one peer.
pub(crate) struct Inbound {
    limits: Limits,
    /// By conn; those that were never used cost a pointer.
    streams: Vec<Option<Box<Stream>>>,
    held_bytes: usize,
}

#[derive(Default)]
struct Stream {
    /// The number of the message that comes next.
    next: u64,
    /// That message, begun.
    current: Option<Assembly>,
    /// Messages after it, by number.
    ahead: BTreeMap<u64, Assembly>,
    /// Length of the last message of several frames: a guess at the next one's.
    guess: usize,
}

#[derive(Default)]
struct Assembly {
    bytes: Vec<u8>,
    have: RangeSet,
    total: Option<usize>,
    /// It will not come.
    void: bool,
}

impl Inbound {
    pub(crate) fn new(limits: Limits) -> Self {
        Inbound {
            limits,
            streams: Vec::new(),
            held_bytes: 0,
        }
    }

    /// Takes a piece; each message that is complete and has its turn goes to `deliver`.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        arrival: Arrival<'_>,
        mut deliver: impl FnMut(Conn, Vec<u8>),
    ) -> Outcome {
        let message_bytes = self.limits.message_bytes;
        let Some((stream, number)) = self.stream(arrival.conn, arrival.number) else {
            return Outcome::Refused;
        };
        let Some(number) = number else {
            return Outcome::Duplicate;
        };
        let whole = arrival.offset == 0 && arrival.last;
        if whole
            && number == stream.next
            && stream.current.is_none()
            && (1..=message_bytes).contains(&arrival.bytes.len())
        {
            stream.next += 1;
            deliver(arrival.conn, arrival.bytes.to_vec());
            if !stream.ahead.is_empty() {
                self.advance(arrival.conn, deliver);
            }
            return Outcome::Taken;
        }
        self.assemble(arrival, number, deliver)
    }

    /// The conn's stream and the message's whole number, unless it is behind.
    #[inline]
    fn stream(&mut self, conn: Conn, number: u16) -> Option<(&mut Stream, Option<u64>)> {
        let at = usize::from(conn.0);
        if self.streams.len() <= at {
            if conn.0 >= self.limits.conns {
                return None;
            }
            self.streams.resize_with(at + 1, || None);
        }
        let stream = self.streams[at].get_or_insert_default();
        let ahead = number.wrapping_sub(stream.next as u16) as i16;
        if ahead < 0 {
            return Some((stream, None));
        }
        let number = stream.next + ahead as u64;
        (ahead as u64 <= AHEAD_MAX).then_some((stream, Some(number)))
    }

    fn assemble(
        &mut self,
        arrival: Arrival<'_>,
        number: u64,
        deliver: impl FnMut(Conn, Vec<u8>),
    ) -> Outcome {
        let Some(stream) = &mut self.streams[usize::from(arrival.conn.0)] else {
            return Outcome::Refused;
        };
        let guess = stream.guess;
        let is_current = number == stream.next;
        let known = match is_current {
            true => stream.current.as_mut(),
            false => stream.ahead.get_mut(&number),
        };
        let mut fresh = Assembly::default();
        let is_fresh = known.is_none();
        let assembly = known.unwrap_or(&mut fresh);
        let end = arrival.offset as usize + arrival.bytes.len();
        if arrival.bytes.is_empty() || !assembly.agrees(end, arrival.last) {
            return Outcome::Refused;
        }
        let cost =
            end.saturating_sub(assembly.bytes.len()) + if is_fresh { MESSAGE_COST } else { 0 };
        if end > self.limits.message_bytes || self.held_bytes + cost > self.limits.held_bytes {
            return Outcome::Refused;
        }
        if is_fresh && is_current {
            fresh
                .bytes
                .reserve(guess.min(self.limits.held_bytes - self.held_bytes));
            stream.current = Some(fresh);
        } else if is_fresh {
            stream.ahead.insert(number, fresh);
        }
        let held = match is_current {
            true => stream.current.as_mut(),
            false => stream.ahead.get_mut(&number),
        };
        self.held_bytes += cost;
        let Some(assembly) = held else {
            return Outcome::Refused;
        };
        if !assembly.put(arrival.offset, arrival.bytes, arrival.last) {
            return Outcome::Duplicate;
        }
        if is_current && assembly.is_complete() {
            self.advance(arrival.conn, deliver);
        }
        Outcome::Taken
    }

    /// Hands on the messages whose turn it is.
    fn advance(&mut self, conn: Conn, mut deliver: impl FnMut(Conn, Vec<u8>)) {
        let Some(stream) = &mut self.streams[usize::from(conn.0)] else {
            return;
        };
        loop {
            if stream.current.is_none() {
                stream.current = stream.ahead.remove(&stream.next);
            }
            let Some(assembly) = stream.current.take_if(|current| current.is_complete()) else {
                return;
            };
            stream.next += 1;
            self.held_bytes -= assembly.bytes.len() + MESSAGE_COST;
            if !assembly.void {
                stream.guess = assembly.bytes.len();
                deliver(conn, assembly.bytes);
            }
        }
    }

    /// A message will not come: those after it need not wait.
    pub(crate) fn skip(
        &mut self,
        conn: Conn,
        number: u16,
        deliver: impl FnMut(Conn, Vec<u8>),
    ) -> Outcome {
        let full = self.held_bytes + MESSAGE_COST > self.limits.held_bytes;
        let Some((stream, number)) = self.stream(conn, number) else {
            return Outcome::Refused;
        };
        let Some(number) = number else {
            return Outcome::Duplicate;
        };
        let is_current = number == stream.next;
        if full && !is_current {
            return Outcome::Refused;
        }
        let known = match is_current {
            true => stream.current.take(),
            false => stream.ahead.remove(&number),
        };
        let held = known.map_or(0, |assembly| assembly.bytes.len() + MESSAGE_COST);
        let void = Assembly {
            void: true,
            ..Assembly::default()
        };
        match is_current {
            true => stream.current = Some(void),
            false => _ = stream.ahead.insert(number, void),
        }
        self.held_bytes = self.held_bytes - held + MESSAGE_COST;
        self.advance(conn, deliver);
        Outcome::Taken
    }

    /// Bytes held, with the fixed costs.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

impl Assembly {
    /// Whether a piece that ends at `end` fits what is known of the message's length.
    #[inline]
    fn agrees(&self, end: usize, last: bool) -> bool {
        match self.total {
            Some(total) => end <= total && (!last || end == total),
            None => !last || end >= self.bytes.len(),
        }
    }

    /// Puts bytes in their place; false when all of them were there.
    #[inline]
    fn put(&mut self, offset: u32, bytes: &[u8], last: bool) -> bool {
        let start = offset as usize;
        let end = start + bytes.len();
        if last {
            self.total = Some(end);
        }
        if self.void || self.have.insert(start as u64, end as u64) == 0 {
            return false;
        }
        if start == self.bytes.len() {
            self.bytes.extend_from_slice(bytes);
            return true;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
        true
    }

    #[inline]
    fn is_complete(&self) -> bool {
        self.void
            || self
                .total
                .is_some_and(|total| self.have.covers(0, total as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        conns: 4,
        message_bytes: 1000,
        held_bytes: 4000,
    };

    fn arrival(number: u16, offset: u32, last: bool, bytes: &[u8]) -> Arrival<'_> {
        Arrival {
            conn: Conn(1),
            number,
            offset,
            last,
            bytes,
        }
    }

    /// Takes pieces and gives what was delivered.
    fn delivered(inbound: &mut Inbound, arrivals: &[Arrival<'_>]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for arrival in arrivals {
            inbound.receive(*arrival, |conn, bytes| {
                assert_eq!(conn, Conn(1));
                out.push(bytes);
            });
        }
        out
    }

    #[test]
    fn pieces_in_any_order_make_messages_in_order() {
        let pieces = [
            arrival(0, 0, false, b"ab"),
            arrival(0, 2, false, b"cd"),
            arrival(0, 4, true, b"e"),
            arrival(1, 0, true, b"second"),
            arrival(2, 0, false, b"th"),
            arrival(2, 2, true, b"ird"),
        ];
        // All orders of six pieces, by counting in the factorial system; each piece twice.
        for order in 0..720 {
            let (mut left, mut rest) = (pieces.to_vec(), order);
            let mut shuffled = Vec::new();
            while !left.is_empty() {
                let piece = left.remove(rest % left.len());
                rest /= left.len() + 1;
                shuffled.extend([piece, piece]);
            }
            let mut inbound = Inbound::new(LIMITS);
            let messages = delivered(&mut inbound, &shuffled);
            assert_eq!(messages, [&b"abcde"[..], b"second", b"third"]);
            assert_eq!(inbound.held_bytes(), 0);
        }
    }

    #[test]
    fn numbers_wrap_and_old_messages_are_duplicates() {
        let mut inbound = Inbound::new(LIMITS);
        for number in 0..70_000_u32 {
            let piece = arrival(number as u16, 0, true, b"x");
            assert_eq!(delivered(&mut inbound, &[piece]).len(), 1);
            assert_eq!(inbound.receive(piece, |_, _| panic!()), Outcome::Duplicate);
        }
    }

    #[test]
    fn limits_and_contradictions_are_refused() {
        let long = vec![0; 1001];
        let refused = [
            arrival(0, 0, true, &long),
            arrival(0, 990, false, &long[..11]),
            arrival(0, u32::MAX, true, b"x"),
            arrival(0, 0, true, b""),
            arrival((AHEAD_MAX + 1) as u16, 0, true, b"x"),
            Arrival {
                conn: Conn(4),
                ..arrival(0, 0, true, b"x")
            },
        ];
        let mut inbound = Inbound::new(LIMITS);
        for piece in refused {
            assert_eq!(inbound.receive(piece, |_, _| panic!()), Outcome::Refused);
        }
        assert_eq!(inbound.held_bytes(), 0);
        // The length is told once.
        inbound.receive(arrival(0, 4, true, b"x"), |_, _| panic!());
        for piece in [arrival(0, 5, false, b"x"), arrival(0, 2, true, b"x")] {
            assert_eq!(inbound.receive(piece, |_, _| panic!()), Outcome::Refused);
        }
        // Memory is bounded whatever comes.
        for number in 1..1000 {
            inbound.receive(arrival(number, 500, false, &long[..400]), |_, _| panic!());
            assert!(inbound.held_bytes() <= LIMITS.held_bytes);
        }
    }

    #[test]
    fn a_skipped_message_makes_way() {
        let mut inbound = Inbound::new(LIMITS);
        delivered(&mut inbound, &[arrival(0, 0, false, b"begun")]);
        delivered(&mut inbound, &[arrival(2, 0, true, b"after")]);
        let mut out = Vec::new();
        for number in [1, 0, 0] {
            inbound.skip(Conn(1), number, |_, bytes| out.push(bytes));
        }
        assert_eq!(out, [b"after"]);
        assert_eq!(inbound.held_bytes(), 0);
    }
}
