//! Which frames came from one of the other node's links, and when that must be said.

use super::LinkId;
use super::ranges::RangeSet;
use crate::time::Instant;

/// Ranges remembered; frames below the lowest count as seen.
const RANGES_MAX: usize = 64;

/// Frames after which an acknowledgement waits no longer.
const PENDING_MAX: u32 = 128;

/// The frames received from one link of the other node.
#[derive(Debug)]
pub(crate) struct Received {
    seen: RangeSet,
    /// Frames below count as seen.
    floor: u64,
    /// One past the highest frame seen.
    next: u64,
    /// When the highest frame came.
    newest_at: Instant,
    /// The link here that the last frame came over.
    pub(crate) link: LinkId,
    pending: u32,
    ack_at: Option<Instant>,
}

impl Received {
    pub(crate) fn new(link: LinkId) -> Self {
        Received {
            seen: RangeSet::default(),
            floor: 0,
            next: 0,
            newest_at: Instant::ZERO,
            link,
            pending: 0,
            ack_at: None,
        }
    }

    /// The frame's whole number, of which the wire has the low half: the one nearest to the next.
    #[inline]
    pub(crate) fn expand(&self, low: u32) -> Option<u64> {
        let ahead = low.wrapping_sub(self.next as u32) as i32;
        self.next.checked_add_signed(i64::from(ahead))
    }

    /// Whether the frame has not been seen.
    #[inline]
    pub(crate) fn is_new(&self, number: u64) -> bool {
        number >= self.next || (number >= self.floor && !self.seen.contains(number))
    }

    /// Remembers a new frame that came over `link`.
    #[inline]
    pub(crate) fn record(&mut self, now: Instant, number: u64, link: LinkId) -> Gap {
        let gap = match number > self.next {
            true => Gap::Opened,
            false => Gap::None,
        };
        self.link = link;
        self.seen.insert(number, number + 1);
        if let Some(floor) = self.seen.keep_highest(RANGES_MAX) {
            self.floor = floor;
        }
        if number >= self.next {
            self.next = number + 1;
            self.newest_at = now;
        }
        gap
    }

    /// A frame that wants an acknowledgement was recorded: it is due at `latest`, or at once.
    #[inline]
    pub(crate) fn want_ack(&mut self, now: Instant, latest: Instant, at_once: bool) {
        self.pending += 1;
        if at_once || self.pending >= PENDING_MAX {
            self.ack_at = Some(now);
        } else if self.ack_at.is_none() {
            self.ack_at = Some(latest);
        }
    }

    /// When an acknowledgement is due.
    #[inline]
    pub(crate) fn ack_at(&self) -> Option<Instant> {
        self.ack_at
    }

    /// An acknowledgement is being sent: what it says of the frames, and since when the highest is here.
    pub(crate) fn take_ack(&mut self) -> (&RangeSet, Instant) {
        self.pending = 0;
        self.ack_at = None;
        (&self.seen, self.newest_at)
    }
}

/// Whether frames are missing before the one recorded that were not known to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gap {
    None,
    Opened,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(0);

    fn record(received: &mut Received, number: u64) -> Gap {
        received.record(Instant::ZERO, number, LINK)
    }

    #[test]
    fn numbers_grow_past_what_the_wire_holds() {
        let mut received = Received::new(LINK);
        assert_eq!(received.expand(u32::MAX), None);
        for number in [0x7fff_ffff_u64, 0xffff_fffe, 0x1_0000_0005, 0x1_7fff_0000] {
            assert_eq!(received.expand(number as u32), Some(number));
            record(&mut received, number);
        }
        assert_eq!(received.expand(0xffff_ffff), Some(0xffff_ffff));
    }

    #[test]
    fn each_frame_is_new_once_and_old_ones_never() {
        let mut received = Received::new(LINK);
        assert_eq!(record(&mut received, 0), Gap::None);
        assert_eq!(record(&mut received, 2), Gap::Opened);
        assert!(received.is_new(1) && !received.is_new(0) && !received.is_new(2));
        assert_eq!(record(&mut received, 1), Gap::None);
        for number in 0..1000 {
            record(&mut received, 3 + 2 * number);
        }
        assert!(!received.is_new(4));
        assert!(received.is_new(3 + 2 * 999 - 1));
    }

    #[test]
    fn an_acknowledgement_waits_for_time_company_or_a_word() {
        let later = Instant::from_millis(5);
        let mut received = Received::new(LINK);
        received.want_ack(Instant::ZERO, later, false);
        assert_eq!(received.ack_at(), Some(later));
        received.want_ack(Instant::ZERO, later, true);
        assert_eq!(received.ack_at(), Some(Instant::ZERO));
        received.take_ack();
        assert_eq!(received.ack_at(), None);
        for _ in 0..PENDING_MAX {
            received.want_ack(Instant::ZERO, later, false);
        }
        assert_eq!(received.ack_at(), Some(Instant::ZERO));
    }
}
