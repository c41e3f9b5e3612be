//! A peer's address on one link: the frames under way to it, and whether it works.
//!
//! Frames are numbered from 0 and each is remembered until it is acknowledged or given up; what it
//! carried is then settled with the [`Outbound`] messages, which may send it again by any path.

use core::time::Duration;
use std::collections::VecDeque;

use super::ack::Ack;
use super::congestion::Congestion;
use super::outbound::{Fragment, Outbound};
use super::rtt::Rtt;
use super::{Config, LinkAddr, LinkId, PathInfo};
use crate::time::Instant;

/// A frame is lost when one sent so many after it has come (RFC 9002, 6.1.1).
const REORDERING_FRAMES: u64 = 3;

/// Fragments sent again at the first timeout, which may be a false alarm.
const RESENT_ON_ALARM: usize = 2;

/// The limit of frames that is assumed until the other end has told its own.
const MTU_ASSUMED: usize = 1500;

/// What a frame carried that matters when it is acknowledged or lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Carried {
    /// Nothing: it was an acknowledgement, and is not acknowledged itself.
    Ack,
    /// Only the wish to be acknowledged.
    Probe,
    /// A piece of a message.
    Fragment(Fragment),
}

/// Whether a path works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// Not known yet.
    Untried,
    Up,
    Down,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    bytes: u32,
    carried: Carried,
    /// Neither acknowledged nor given up.
    pending: bool,
}

/// A path to a peer.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) link: LinkId,
    pub(crate) addr: LinkAddr,
    pub(crate) health: Health,
    /// Timeouts in a row without a sign of life.
    pub(crate) alarms: u32,
    /// A probe must be sent.
    pub(crate) probe_wanted: bool,
    /// When a frame of the peer last came over the link, or a probe was sent.
    pub(crate) heard_at: Instant,
    pub(crate) rtt: Rtt,
    cc: Congestion,
    own_mtu: usize,
    peer_mtu: usize,
    /// The next frame's number.
    next: u64,
    /// The number of the first of `sent`.
    base: u64,
    sent: VecDeque<Sent>,
    /// Pending frames that want an acknowledgement: their number and bytes.
    pending: u32,
    in_flight: usize,
    highest_acked: Option<u64>,
    asked_at: Instant,
    loss_at: Option<Instant>,
    /// Bytes sent since the other end was last asked to acknowledge at once.
    unasked: usize,
}

impl Path {
    pub(crate) fn new(now: Instant, link: LinkId, addr: LinkAddr, own_mtu: usize) -> Self {
        Path {
            link,
            addr,
            health: Health::Untried,
            alarms: 0,
            probe_wanted: true,
            heard_at: now,
            rtt: Rtt::default(),
            cc: Congestion::new(own_mtu.min(MTU_ASSUMED)),
            own_mtu,
            peer_mtu: MTU_ASSUMED,
            next: 0,
            base: 0,
            sent: VecDeque::new(),
            pending: 0,
            in_flight: 0,
            highest_acked: None,
            asked_at: now,
            loss_at: None,
            unasked: 0,
        }
    }

    pub(crate) fn info(&self) -> PathInfo {
        PathInfo {
            link: self.link,
            addr: self.addr,
            is_up: self.health == Health::Up,
            rtt: self.rtt.smoothed(),
            window: self.cc.window(),
            in_flight: self.in_flight,
            mtu: self.mtu(),
        }
    }

    /// Longest frame that both ends take.
    #[inline]
    pub(crate) fn mtu(&self) -> usize {
        self.own_mtu.min(self.peer_mtu)
    }

    /// The link here has other limits now.
    pub(crate) fn set_own_mtu(&mut self, mtu: usize) {
        self.own_mtu = mtu;
        self.cc.set_mtu(self.mtu());
    }

    /// Whether data may go by it, and nothing speaks against it at present.
    #[inline]
    pub(crate) fn is_sound(&self) -> bool {
        self.health == Health::Up && self.alarms == 0
    }

    /// Whether `bytes` more may be under way.
    #[inline]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.in_flight == 0 || self.in_flight + bytes <= self.cc.window()
    }

    /// Nanoseconds after which `bytes` would have been delivered, as measured.
    pub(crate) fn delivery_nanos(&self, bytes: usize) -> u64 {
        let rtt = self.rtt.smoothed().as_nanos() as u64;
        let queued = (self.in_flight + bytes) as u64;
        rtt / 2 + rtt.saturating_mul(queued) / self.cc.window().max(1) as u64
    }

    /// The number that the next frame will have.
    #[inline]
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// Whether a frame of `bytes` that is being sent should ask for an acknowledgement at once: several
    /// times in a window, so that the window keeps moving.
    #[inline]
    pub(crate) fn should_ask(&self, bytes: usize) -> bool {
        self.unasked + bytes >= self.cc.window() / 8
    }

    /// Remembers the frame that is being sent.
    #[inline]
    pub(crate) fn on_sent(&mut self, now: Instant, bytes: usize, carried: Carried, asked: bool) {
        let wants_ack = carried != Carried::Ack;
        self.next += 1;
        if wants_ack {
            self.pending += 1;
            self.in_flight += bytes;
            self.asked_at = now;
            self.unasked = if asked { 0 } else { self.unasked + bytes };
        } else if self.sent.is_empty() {
            self.base = self.next;
            return;
        }
        self.sent.push_back(Sent {
            at: now,
            bytes: bytes as u32,
            carried,
            pending: wants_ack,
        });
    }

    /// Takes an acknowledgement of this path's frames; `None` when it speaks of frames never sent.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        ack: &Ack<'_>,
        config: &Config,
        outbound: &mut Outbound,
    ) -> Option<Progress> {
        let in_use = self.in_flight * 2 >= self.cc.window();
        let mut acked = Acked::default();
        for (high, low) in ack.ranges() {
            let behind = (self.next as u32).wrapping_sub(high);
            let high = self.next.checked_sub(u64::from(behind))?;
            if behind == 0 || (high as u32).wrapping_sub(low) as u64 > high {
                return None;
            }
            let low = high - u64::from((high as u32).wrapping_sub(low));
            self.highest_acked = self.highest_acked.max(Some(high));
            self.settle(low.max(self.base), high, &mut acked, outbound);
        }
        while self.sent.front().is_some_and(|sent| !sent.pending) {
            self.sent.pop_front();
            self.base += 1;
        }
        let Some((newest, sent_at)) = acked.newest else {
            return Some(Progress::None);
        };
        if self.highest_acked == Some(newest) {
            self.rtt
                .sample(now.since(sent_at), ack.delay.min(config.ack_delay * 2));
        }
        self.alarms = 0;
        if in_use {
            self.cc.on_acked(acked.bytes, self.rtt.shows_queue());
        }
        self.set_peer_mtu(ack.mtu);
        self.detect_loss(now, outbound);
        Some(Progress::Made)
    }

    fn settle(&mut self, low: u64, high: u64, acked: &mut Acked, outbound: &mut Outbound) {
        for number in low..=high {
            let Some(sent) = self.sent.get_mut((number - self.base) as usize) else {
                return;
            };
            if !sent.pending {
                continue;
            }
            sent.pending = false;
            self.pending -= 1;
            self.in_flight -= sent.bytes as usize;
            acked.bytes += sent.bytes as usize;
            acked.newest = acked.newest.max(Some((number, sent.at)));
            if let Carried::Fragment(fragment) = sent.carried {
                outbound.on_acked(fragment);
            }
        }
    }

    fn set_peer_mtu(&mut self, mtu: usize) {
        if mtu != self.peer_mtu && mtu >= super::MTU_MIN {
            self.peer_mtu = mtu;
            self.cc.set_mtu(self.mtu());
        }
    }

    /// Gives up the frames that others have overtaken.
    pub(crate) fn detect_loss(&mut self, now: Instant, outbound: &mut Outbound) {
        self.loss_at = None;
        let Some(highest) = self.highest_acked else {
            return;
        };
        let patience = self.rtt.reordering();
        for (at, sent) in self.sent.iter_mut().enumerate() {
            let number = self.base + at as u64;
            if number >= highest {
                return;
            }
            if !sent.pending {
                continue;
            }
            if number + REORDERING_FRAMES > highest && sent.at + patience > now {
                self.loss_at = Some(sent.at + patience);
                return;
            }
            sent.pending = false;
            self.pending -= 1;
            self.in_flight -= sent.bytes as usize;
            self.cc.on_lost(number, self.next);
            if let Carried::Fragment(fragment) = sent.carried {
                outbound.on_lost(fragment);
            }
        }
    }

    /// When [`Path::detect_loss`] should look again, or an acknowledgement is overdue.
    #[inline]
    pub(crate) fn timeout_at(&self, config: &Config) -> Option<Instant> {
        if self.pending == 0 {
            return None;
        }
        let overdue = self.asked_at + self.patience(config);
        Some(self.loss_at.map_or(overdue, |at| at.min(overdue)))
    }

    fn patience(&self, config: &Config) -> Duration {
        let base = (self.rtt.timeout() + config.ack_delay).max(config.rto_min);
        (base * (1 << self.alarms.min(6))).min(config.rto_max)
    }

    /// Does what is due at [`Path::timeout_at`]; whether the path raised an alarm.
    pub(crate) fn on_timeout(
        &mut self,
        now: Instant,
        config: &Config,
        outbound: &mut Outbound,
    ) -> bool {
        if self.loss_at.is_some_and(|at| at <= now) {
            self.detect_loss(now, outbound);
        }
        if self.pending == 0 || self.asked_at + self.patience(config) > now {
            return false;
        }
        self.alarms += 1;
        self.probe_wanted = true;
        self.asked_at = now;
        if self.alarms == 1 {
            let oldest = self.sent.iter().filter(|sent| sent.pending);
            for sent in oldest.take(RESENT_ON_ALARM) {
                if let Carried::Fragment(fragment) = sent.carried {
                    outbound.resend(fragment);
                }
            }
        } else {
            self.cc.on_silence();
            self.give_up(outbound);
        }
        true
    }

    /// Probes a path that is down.
    pub(crate) fn try_again(&mut self, now: Instant, outbound: &mut Outbound) {
        self.give_up(outbound);
        self.probe_wanted = true;
        self.heard_at = now;
    }

    /// Counts all that is under way as lost.
    pub(crate) fn give_up(&mut self, outbound: &mut Outbound) {
        for sent in self.sent.drain(..) {
            if let (true, Carried::Fragment(fragment)) = (sent.pending, sent.carried) {
                outbound.on_lost(fragment);
            }
        }
        self.base = self.next;
        self.pending = 0;
        self.in_flight = 0;
        self.loss_at = None;
    }
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    None,
    /// Frames are acknowledged that were not before: the path works both ways.
    Made,
}

#[derive(Default)]
struct Acked {
    bytes: usize,
    newest: Option<(u64, Instant)>,
}

#[cfg(test)]
mod tests {
    use super::super::ack::{self, ACK_MAX};
    use super::super::ranges::RangeSet;
    use super::*;

    const MTU: usize = 1500;

    struct Setup {
        path: Path,
        outbound: Outbound,
        config: Config,
    }

    impl Setup {
        /// A path on which probes of 100 bytes with the numbers 0 to `count` are under way since time 0.
        fn new(count: u64) -> Self {
            let mut path = Path::new(Instant::ZERO, LinkId(0), LinkAddr::BROADCAST, MTU);
            path.health = Health::Up;
            for _ in 0..count {
                path.on_sent(Instant::ZERO, 100, Carried::Probe, false);
            }
            Setup {
                path,
                outbound: Outbound::new(1 << 20),
                config: Config::default(),
            }
        }

        fn ack(&mut self, now: u64, ranges: &[(u64, u64)]) -> Option<Progress> {
            let mut seen = RangeSet::default();
            for (start, end) in ranges {
                seen.insert(*start, *end);
            }
            let mut payload = [0; ACK_MAX];
            let len = ack::emit(&mut payload, MTU, 0, Duration::ZERO, &seen);
            let ack = Ack::parse(&payload[..len]).unwrap();
            let now = Instant::from_millis(now);
            self.path
                .on_ack(now, &ack, &self.config, &mut self.outbound)
        }

        fn time_out(&mut self) -> Instant {
            let at = self.path.timeout_at(&self.config).unwrap();
            self.path.on_timeout(at, &self.config, &mut self.outbound);
            at
        }
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let mut s = Setup::new(10);
        assert_eq!(s.ack(1, &[(5, 11)]), None);
        assert_eq!(s.ack(1, &[(0, 4)]), Some(Progress::Made));
        assert_eq!(s.ack(1, &[(0, 4)]), Some(Progress::None));
        assert_eq!(s.path.info().in_flight, 600);
        assert_eq!(s.ack(1, &[]), Some(Progress::None));
    }

    #[test]
    fn overtaken_frames_are_lost_by_count_or_by_time() {
        let mut s = Setup::new(10);
        s.ack(8, &[(4, 6)]);
        // 0, 1 and 2 by count; 3 not yet.
        assert_eq!(s.path.info().in_flight, 500);
        let window = s.path.info().window;
        let at = s.time_out();
        assert_eq!(at, Instant::from_millis(9));
        assert_eq!(s.path.info().in_flight, 400);
        assert_eq!(s.path.info().window, window, "one loss event");
        assert_eq!(s.path.alarms, 0);
    }

    #[test]
    fn silence_raises_alarms_with_growing_patience() {
        let mut s = Setup::new(10);
        s.ack(1, &[(0, 1)]);
        let first = s.time_out();
        assert_eq!(first, Instant::from_millis(20));
        assert!(s.path.alarms == 1 && s.path.probe_wanted);
        assert_eq!(s.path.info().in_flight, 900);
        let second = s.time_out();
        assert_eq!(second, first + Duration::from_millis(40));
        assert_eq!((s.path.info().in_flight, s.path.alarms), (0, 2));
        // A late word from what was given up does not count; a new probe's does.
        assert_eq!(s.ack(70, &[(0, 10)]), Some(Progress::None));
        s.path.on_sent(second, 100, Carried::Probe, true);
        assert_eq!(s.ack(70, &[(0, 11)]), Some(Progress::Made));
        assert!(s.path.is_sound());
    }
}
