//! One direction: what becomes of each packet, and those that wait.
//!
//! A packet is first lost, or damaged, or doubled; then it is held back for others to overtake, or
//! enters the queue, with the time at which it leaves. Times never decrease along the queue.

use crate::bucket::Bucket;
use crate::damage::damage;
use crate::dice::Dice;
use crate::loss::Chain;
use crate::settings::Settings;
use crate::stats::Stats;
use io_net_ddk::abi::{NPKT_BCAST, NPKT_MCAST, NPKT_MSG, NPKT_PROMISC, NPKT_UP};
use io_net_ddk::offload::{self, Unfinished};
use io_net_ddk::prelude::*;
use std::collections::VecDeque;

/// How long a packet is held back where nobody comes to overtake it.
const HOLD_NS: u64 = 100_000_000;

/// Flags that the pieces of a super-packet inherit.
const OF_PIECES: u16 = NPKT_UP | NPKT_BCAST | NPKT_MCAST | NPKT_PROMISC;

/// The number of the cell `en`, where packets are Ethernet frames.
const ETHERNET: u16 = 0;

/// A packet in the queue.
struct Waiting {
    packet: SharedPacket,
    leaves_ns: u64,
}

/// A packet that others are to overtake.
struct Held {
    packet: SharedPacket,
    /// How many are still to come.
    left: u32,
    until_ns: u64,
}

/// A source of chance for each question, so that what one is answered does not depend on whether
/// another is asked.
struct Chances {
    loss: Dice,
    chain: Chain,
    corrupt: Dice,
    duplicate: Dice,
    reorder: Dice,
    jitter: Dice,
}

impl Chances {
    fn new(seed: u64, up: bool) -> Chances {
        let dice = |number: u64| Dice::new(seed, number * 2 + u64::from(up));
        Chances {
            loss: dice(0),
            chain: Chain::new(dice(1)),
            corrupt: dice(2),
            duplicate: dice(3),
            reorder: dice(4),
            jitter: dice(5),
        }
    }
}

pub(crate) struct Line {
    up: bool,
    settings: Settings,
    chances: Chances,
    bucket: Option<Bucket>,
    queue: VecDeque<Waiting>,
    held: Option<Held>,
    /// When the last of the queue leaves, or has left.
    last_ns: u64,
    /// Packets whose time has come.
    due: Box<BurstBuf>,
    stats: Stats,
}

impl Line {
    pub(crate) fn new(up: bool, settings: Settings, stats: Stats, now_ns: u64) -> Line {
        Line {
            up,
            chances: Chances::new(settings.seed, up),
            bucket: bucket(&settings, now_ns),
            settings,
            queue: VecDeque::new(),
            held: None,
            last_ns: 0,
            due: Box::default(),
            stats,
        }
    }

    /// Goes over to other settings, from the next packet on. Chance starts anew: the same packets
    /// meet the same fate after it.
    pub(crate) fn set(&mut self, settings: Settings, now_ns: u64) {
        self.chances = Chances::new(settings.seed, self.up);
        self.bucket = bucket(&settings, now_ns);
        self.settings = settings;
    }

    /// Whether packets pass as they come.
    #[inline]
    pub(crate) fn is_clear(&self) -> bool {
        self.settings.is_clear() && self.queue.is_empty() && self.held.is_none()
    }

    /// The options in force, as they were written.
    pub(crate) fn options(&self) -> &str {
        &self.settings.text
    }

    /// Packets that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.held.is_some())
    }

    /// Counts packets that pass a clear line.
    #[inline]
    pub(crate) fn pass(&self, n: usize) {
        self.stats.passed.add(n as u64);
    }

    /// Takes a packet. `send` is given bursts whose time has come.
    pub(crate) fn take(&mut self, packet: SharedPacket, now_ns: u64, send: &mut dyn FnMut(Burst)) {
        if packet.flags() & NPKT_MSG != 0 {
            return self.enqueue_at(packet, now_ns, now_ns, send);
        }
        let cuttable = packet.cell() == ETHERNET && self.settings.tells_apart();
        if !cuttable || !offload::is_needed(&packet, 0) {
            return self.meet(packet, now_ns, send);
        }
        let flags = packet.flags() & OF_PIECES;
        let stats = self.stats;
        let cut = offload::finish(packet, 0, u32::MAX, &mut |piece| {
            let piece = match piece.try_unique() {
                Ok(mut piece) => {
                    piece.set_flags(flags, 0);
                    piece.into()
                }
                Err(shared) => shared,
            };
            self.meet(piece, now_ns, send);
        });
        match cut {
            Ok(()) => {}
            Err(Unfinished::NoBuffer) => stats.no_buffer.add(1),
            Err(Unfinished::Malformed | Unfinished::TooLong) => stats.malformed.add(1),
        }
    }

    /// Decides what becomes of one packet of the wire.
    fn meet(&mut self, packet: SharedPacket, now_ns: u64, send: &mut dyn FnMut(Burst)) {
        let (settings, chances) = (&self.settings, &mut self.chances);
        if chances.loss.falls(settings.loss) {
            return self.stats.lost.add(1);
        }
        if let Some(burst) = &settings.burst_loss
            && chances.chain.loses(burst)
        {
            return self.stats.burst_lost.add(1);
        }
        let packet = match chances.corrupt.falls(settings.corrupt) {
            false => Some(packet),
            true => damage(packet, &mut chances.corrupt).inspect(|_| self.stats.corrupted.add(1)),
        };
        let Some(packet) = packet else {
            return self.stats.no_buffer.add(1);
        };
        if chances.duplicate.falls(settings.duplicate) {
            self.stats.duplicated.add(1);
            self.order(packet.share(), now_ns, send);
        }
        self.order(packet, now_ns, send);
    }

    /// Holds a packet back, or has it overtake the one that is held.
    fn order(&mut self, packet: SharedPacket, now_ns: u64, send: &mut dyn FnMut(Burst)) {
        let chosen = self.chances.reorder.falls(self.settings.reorder);
        if chosen && self.held.is_none() {
            self.stats.reordered.add(1);
            self.held = Some(Held {
                packet,
                left: self.settings.gap,
                until_ns: now_ns + HOLD_NS,
            });
            return;
        }
        self.enqueue(packet, now_ns, send);
        if let Some(held) = &mut self.held {
            held.left = held.left.saturating_sub(1);
            if held.left == 0 {
                self.let_go(now_ns, send);
            }
        }
    }

    /// Has the packet that is held back go on.
    fn let_go(&mut self, now_ns: u64, send: &mut dyn FnMut(Burst)) {
        if let Some(held) = self.held.take() {
            self.enqueue(held.packet, now_ns, send);
        }
    }

    /// Finds out when a packet leaves, and has it wait so long where there is room.
    fn enqueue(&mut self, packet: SharedPacket, now_ns: u64, send: &mut dyn FnMut(Burst)) {
        let len = packet.total_len() + if packet.vlan_tci().is_some() { 4 } else { 0 };
        let bucket = self.bucket.as_mut();
        let ready_ns = bucket.map_or(now_ns, |bucket| bucket.ready_ns(len, now_ns));
        let leaves_ns = ready_ns.saturating_add(self.delay_ns());
        let waits = leaves_ns.max(self.last_ns) > now_ns;
        if waits && self.queue.len() >= self.settings.limit {
            return self.stats.queue_full.add(1);
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(len);
        }
        self.enqueue_at(packet, leaves_ns, now_ns, send);
    }

    fn delay_ns(&mut self) -> u64 {
        let (delay, jitter) = (self.settings.delay_ns, self.settings.jitter_ns);
        if jitter == 0 {
            return delay;
        }
        (delay + self.chances.jitter.below(2 * jitter + 1)).saturating_sub(jitter)
    }

    /// Puts a packet at the queue's end, to leave at `leaves_ns` or with the one before it.
    fn enqueue_at(
        &mut self,
        packet: SharedPacket,
        leaves_ns: u64,
        now_ns: u64,
        send: &mut dyn FnMut(Burst),
    ) {
        self.last_ns = self.last_ns.max(leaves_ns);
        if self.last_ns <= now_ns && self.queue.is_empty() {
            return self.leave(packet, send);
        }
        self.queue.push_back(Waiting {
            packet,
            leaves_ns: self.last_ns,
        });
    }

    /// Puts a packet among those that are sent together.
    #[inline]
    fn leave(&mut self, packet: SharedPacket, send: &mut dyn FnMut(Burst)) {
        if self.due.is_full() {
            self.send_due(send);
        }
        // There is room now.
        let _ = self.due.push(packet);
    }

    /// Has the packets leave whose time has come.
    pub(crate) fn expire(&mut self, now_ns: u64, send: &mut dyn FnMut(Burst)) {
        if self
            .held
            .as_ref()
            .is_some_and(|held| held.until_ns <= now_ns)
        {
            self.let_go(now_ns, send);
        }
        while let Some(next) = self.queue.pop_front_if(|next| next.leaves_ns <= now_ns) {
            self.leave(next.packet, send);
        }
    }

    /// Sends what has left the queue.
    pub(crate) fn send_due(&mut self, send: &mut dyn FnMut(Burst)) {
        if !self.due.is_empty() {
            self.stats.passed.add(self.due.len() as u64);
            send(self.due.take());
        }
    }

    /// When the next packet leaves.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        let held = self.held.as_ref().map(|held| held.until_ns);
        let next = self.queue.front().map(|next| next.leaves_ns);
        [held, next].into_iter().flatten().min()
    }

    /// Has everything leave now.
    pub(crate) fn flush(&mut self, send: &mut dyn FnMut(Burst)) {
        if let Some(held) = self.held.take() {
            self.queue.push_back(Waiting {
                packet: held.packet,
                leaves_ns: 0,
            });
        }
        while let Some(next) = self.queue.pop_front() {
            self.leave(next.packet, send);
        }
        self.send_due(send);
    }
}

fn bucket(settings: &Settings, now_ns: u64) -> Option<Bucket> {
    let rate = settings.rate?;
    Some(Bucket::new(rate, settings.burst, now_ns))
}
