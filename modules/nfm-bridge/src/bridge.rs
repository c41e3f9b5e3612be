//! The registrant. Its home worker runs all of it.
//!
//! A burst is mostly frames of a few flows, one after another. So a decision is made where the
//! addresses change, and holds for the frames that follow; it never outlives the burst, and so sees
//! every change of the table, of the ports and of the time. A burst that goes to one port as a whole
//! is handed on as it came.

use crate::control;
use crate::decide::{Decision, Verdict};
use crate::frame::Key;
use crate::guard::Guard;
use crate::options::BridgeOptions;
use crate::ports::{Change, PORTS_MAX, Ports};
use crate::statics::Static;
use crate::stats::Stats;
use crate::table::Table;
use io_net_ddk::abi::{
    Advert, DEVCTL_JSON, LOG_WARNING, NPKT_BCAST, NPKT_HASH, NPKT_MCAST, NPKT_PROMISC, NPKT_TSTAMP,
    NPKT_UP, VNET_DATA_VALID,
};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;
use io_net_ddk::{advert_name, answer};

/// The timer that forgets silent stations.
const AGEING: u32 = 0;
/// The timer that keeps the time, to the second, while there is traffic.
const TICK: u32 = 1;
/// The loop guard's timer.
const PROBE: u32 = 2;
const SECOND_NS: u64 = 1_000_000_000;

/// What an up packet knows and a down packet does not.
const ONLY_UP: u16 = NPKT_UP | NPKT_BCAST | NPKT_MCAST | NPKT_PROMISC | NPKT_TSTAMP | NPKT_HASH;

pub(crate) struct Bridge {
    pub(crate) ports: Ports,
    pub(crate) table: Table,
    pub(crate) stats: Stats,
    /// It tells VLANs apart.
    pub(crate) vlans: bool,
    pub(crate) statics: Vec<Static>,
    pub(crate) guard: Guard,
    /// Stations have jumped so often that probes are due at once.
    pub(crate) suspicious: bool,
    /// Frames that go down, by port.
    pub(crate) down: Box<[BurstBuf]>,
    /// Frames that go up.
    pub(crate) up: Box<BurstBuf>,
    sweep_ns: u64,
    /// The time, while `ticking`: reading the clock for each burst would cost as much as some frames.
    pub(crate) now_s: u32,
    ticking: bool,
    /// There has been traffic since the last tick.
    busy: bool,
}

impl Registrant for Bridge {
    fn rx_up(&mut self, burst: Burst, cx: &Cx) {
        match self.vlans {
            false => self.switch::<false>(burst, true, cx),
            true => self.switch::<true>(burst, true, cx),
        }
    }

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        match self.vlans {
            false => self.switch::<false>(burst, false, cx),
            true => self.switch::<true>(burst, false, cx),
        }
    }

    fn timer(&mut self, id: u32, now_ns: u64, cx: &Cx) {
        match id {
            TICK => self.tick(now_ns, cx),
            PROBE => {
                self.now_s = seconds(now_ns);
                self.probe(self.now_s, cx);
                cx.timer(PROBE, now_ns + SECOND_NS);
            }
            _ => {
                let n = self.table.forget_old(seconds(now_ns));
                self.stats.forgotten.add(n as u64);
                cx.timer(AGEING, now_ns + self.sweep_ns);
            }
        }
    }

    fn dl_advert(&mut self, advert: &Advert, cx: &Cx) {
        match self.ports.advertised(advert) {
            Change::None | Change::Present => {}
            Change::Lost(port) => {
                let n = self.table.forget(|station| station.port == port);
                self.stats.forgotten.add(n as u64);
            }
            Change::TooMany => cx.log(
                LOG_WARNING,
                format_args!(
                    "{} is not bridged: a bridge has {PORTS_MAX} ports at most",
                    advert_name(advert)
                ),
            ),
        }
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        if cmd != DEVCTL_JSON {
            let text = format!("nfm-bridge does not know devctl {cmd}");
            return Err(Failure::new(EOPNOTSUPP, text));
        }
        let text = control::request(self, &data[..len], seconds(cx.now_ns()))?;
        answer(data, text.as_bytes())
    }
}

impl Bridge {
    pub(crate) fn new(options: BridgeOptions, cx: &Cx) -> Bridge {
        let sweep_ns = (u64::from(options.age_s) * SECOND_NS / 4).max(SECOND_NS);
        if options.age_s != 0 {
            cx.timer(AGEING, cx.now_ns() + sweep_ns);
        }
        if options.loop_guard_s != 0 {
            cx.timer(PROBE, cx.now_ns() + SECOND_NS);
        }
        Bridge {
            vlans: !options.vlans.is_empty(),
            statics: options.statics,
            guard: Guard::new(options.loop_guard_s),
            suspicious: false,
            ports: Ports::new(options.ports, options.vlans),
            table: Table::new(options.table, options.age_s),
            stats: Stats::new(cx),
            down: (0..PORTS_MAX).map(|_| BurstBuf::new()).collect(),
            up: Box::default(),
            sweep_ns,
            now_s: 0,
            ticking: false,
            busy: false,
        }
    }

    /// A second of traffic is over.
    fn tick(&mut self, now_ns: u64, cx: &Cx) {
        self.now_s = seconds(now_ns);
        self.ticking = std::mem::take(&mut self.busy);
        if self.ticking {
            cx.timer(TICK, now_ns + SECOND_NS);
        }
        if let Some(jumps) = self.guard.second()
            && !self.guard.is_on()
        {
            cx.log(
                LOG_WARNING,
                format_args!(
                    "stations jumped between ports {jumps} times in a second: there is a loop, or \
                     an address is used twice; loop_guard=SECONDS closes a port with a loop"
                ),
            );
        }
    }

    /// The time in seconds.
    #[inline]
    fn now_s(&mut self, cx: &Cx) -> u32 {
        self.busy = true;
        if !self.ticking {
            let now_ns = cx.now_ns();
            self.now_s = seconds(now_ns);
            self.ticking = true;
            cx.timer(TICK, now_ns + SECOND_NS);
        }
        self.now_s
    }

    /// Sends each frame of a burst where it belongs. `came_up` says which way they were going.
    #[inline]
    fn switch<const VLANS: bool>(&mut self, mut burst: Burst, came_up: bool, cx: &Cx) {
        let now_s = self.now_s(cx);
        let Some(first) = burst.iter().next() else {
            return;
        };
        let key = Key::of::<VLANS>(first);
        let decision = self.decide(key, came_up, now_s);
        let mut touched = 0;
        if let Verdict::Forward { port, endpoint } = decision.verdict
            && !VLANS
            && burst.iter().all(|packet| Key::of::<VLANS>(packet) == key)
        {
            let n = turn_all(&mut burst, endpoint);
            decision.counter.add(n as u64);
            if n == burst.len() {
                return cx.tx_down(burst);
            }
            touched = 1 << port;
            for packet in burst.by_ref().take(n) {
                let _ = self.down[usize::from(port)].push(packet);
            }
        }
        touched |= self.sort::<VLANS>(burst, key, decision, came_up, cx);
        self.send(touched, cx);
        if std::mem::take(&mut self.suspicious) && self.guard.is_on() {
            cx.timer(PROBE, cx.now_ns());
        }
    }

    /// Puts each frame of a burst with those that go the same way. Returns a bit for each port.
    fn sort<const VLANS: bool>(
        &mut self,
        burst: Burst,
        mut key: Key,
        mut decision: Decision,
        came_up: bool,
        cx: &Cx,
    ) -> u64 {
        let now_s = self.now_s;
        let (mut run, mut touched) = (0, 0);
        for packet in burst {
            let next = Key::of::<VLANS>(&packet);
            if next != key {
                decision.counter.add(run);
                (key, run) = (next, 0);
                decision = self.decide(key, came_up, now_s);
            }
            run += 1;
            match decision.verdict {
                Verdict::Forward { port, endpoint } => {
                    touched |= 1 << port;
                    self.forward(packet, port, endpoint, decision.vlan);
                }
                _ => touched |= self.elsewhere(packet, decision, came_up, cx),
            }
        }
        decision.counter.add(run);
        touched
    }

    #[inline]
    fn decide(&mut self, key: Key, came_up: bool, now_s: u32) -> Decision {
        match came_up {
            true => self.decide_up(key, now_s),
            false => self.decide_down(key, now_s),
        }
    }

    /// Puts a frame among those for a port.
    #[inline]
    pub(crate) fn forward(&mut self, packet: SharedPacket, port: u8, endpoint: u16, vlan: u16) {
        let Some(mut packet) = writable(packet) else {
            return self.stats.no_buffer.add(1);
        };
        if vlan != 0 && self.shape(&mut packet, vlan, port).is_none() {
            return self.stats.no_room.add(1);
        }
        turn(&mut packet, endpoint);
        // A port gets one frame for each of the burst's at most, so there is room.
        let _ = self.down[usize::from(port)].push(packet);
    }

    /// Hands over what was gathered for the ports whose bits are set in `touched`, and upward.
    #[inline]
    fn send(&mut self, mut touched: u64, cx: &Cx) {
        while touched != 0 {
            let port = touched.trailing_zeros() as usize;
            touched &= touched - 1;
            cx.tx_down(self.down[port].take());
        }
        if !self.up.is_empty() {
            cx.tx_up(self.up.take());
        }
    }
}

/// Makes a packet one that goes down to `endpoint`.
#[inline]
fn turn(packet: &mut Packet, endpoint: u16) {
    packet.set_flags(0, ONLY_UP);
    if packet.vnet().flags & VNET_DATA_VALID != 0 {
        packet.vnet_mut().flags &= !VNET_DATA_VALID;
    }
    packet.set_way(packet.cell(), endpoint, 0);
}

/// Makes the packets of a burst ones that go down to `endpoint`, as far as none is shared.
/// Returns how many.
#[inline]
fn turn_all(burst: &mut Burst, endpoint: u16) -> usize {
    let mut n = 0;
    while let Some(packet) = burst.unique_mut(n) {
        turn(packet, endpoint);
        n += 1;
    }
    n
}

/// The packet for writing: the usual one at once, one that others hold too as a copy.
#[inline]
pub(crate) fn writable(packet: SharedPacket) -> Option<Packet> {
    match packet.try_unique() {
        Ok(packet) => Some(packet),
        Err(shared) => shared.into_unique(),
    }
}

fn seconds(now_ns: u64) -> u32 {
    u32::try_from(now_ns / SECOND_NS).unwrap_or(u32::MAX)
}
