//! The registrant. Its home worker runs all of it.
//!
//! Rules change between two calls, so that a burst meets the old ones or the new ones, never both.

use crate::control;
use crate::rule::Way;
use crate::stats::Stats;
use crate::table::{Table, Verdict};
use io_net_ddk::abi::{
    Advert, DEVCTL_JSON, NPKT_BCAST, NPKT_HASH, NPKT_MCAST, NPKT_MSG, NPKT_PROMISC, NPKT_TSTAMP,
    NPKT_UP, VNET_DATA_VALID,
};
use io_net_ddk::answer;
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;

/// What an up packet knows and a down packet does not.
const ONLY_UP: u16 = NPKT_UP | NPKT_BCAST | NPKT_MCAST | NPKT_PROMISC | NPKT_TSTAMP | NPKT_HASH;

pub(crate) struct Forward {
    pub(crate) table: Table,
    stats: Stats,
    /// Packets of a burst that go on.
    on: Box<BurstBuf>,
    /// Packets for each endpoint, those that rules lead to.
    out: Vec<(u16, Box<BurstBuf>)>,
}

impl Registrant for Forward {
    #[inline]
    fn rx_up(&mut self, burst: Burst, cx: &Cx) {
        if self.table.is_empty() {
            self.stats.passed.add(burst.len() as u64);
            return cx.tx_up(burst);
        }
        cx.tx_up(self.sort(burst, Way::Up));
        self.send_out(cx);
    }

    #[inline]
    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        if self.table.is_empty() {
            self.stats.passed.add(burst.len() as u64);
            return cx.tx_down(burst);
        }
        cx.tx_down(self.sort(burst, Way::Down));
        self.send_out(cx);
    }

    fn dl_advert(&mut self, advert: &Advert, _cx: &Cx) {
        self.table.advertised(advert);
    }

    fn devctl(
        &mut self,
        cmd: u32,
        data: &mut [u8],
        len: usize,
        _cx: &Cx,
    ) -> Result<usize, Failure> {
        if cmd != DEVCTL_JSON {
            let text = format!("nfm-forward does not know devctl {cmd}");
            return Err(Failure::new(EOPNOTSUPP, text));
        }
        let text = control::request(&mut self.table, &data[..len])?;
        answer(data, text.as_bytes())
    }
}

impl Forward {
    pub(crate) fn new(table: Table, cx: &Cx) -> Forward {
        Forward {
            table,
            stats: Stats::new(cx),
            on: Box::default(),
            out: Vec::new(),
        }
    }

    /// Does with each packet what its rule says. Returns those that go on, in order; those for
    /// other interfaces are in `out`.
    fn sort(&mut self, burst: Burst, way: Way) -> Burst<'_> {
        for packet in burst {
            let verdict = match packet.flags() & NPKT_MSG {
                0 => self.table.decide(&packet, way),
                _ => Verdict::Pass,
            };
            match verdict {
                Verdict::Pass => self.go_on(packet),
                Verdict::Drop => self.stats.dropped.add(1),
                Verdict::Redirect(target) => self.redirect(packet, target),
                Verdict::Mirror(target) => {
                    self.mirror(&packet, target);
                    self.go_on(packet);
                }
                Verdict::Nowhere => self.stats.no_target.add(1),
                Verdict::NoMirror => {
                    self.stats.no_mirror.add(1);
                    self.go_on(packet);
                }
            }
        }
        self.stats.passed.add(self.on.len() as u64);
        self.on.take()
    }

    #[inline]
    fn go_on(&mut self, packet: SharedPacket) {
        // A burst fits.
        let _ = self.on.push(packet);
    }

    /// Has a packet go out at `target` instead: the packet itself, unless others hold it too.
    fn redirect(&mut self, packet: SharedPacket, target: u16) {
        let Some(packet) = packet.into_unique() else {
            return self.stats.no_buffer.add(1);
        };
        self.stats.redirected.add(1);
        self.send_to(packet, target);
    }

    /// Has a copy go out at `target`: the interface is in the descriptor, of which references to
    /// the same packet have only one.
    fn mirror(&mut self, packet: &SharedPacket, target: u16) {
        let Some(copy) = packet.copy() else {
            return self.stats.no_buffer.add(1);
        };
        self.stats.mirrored.add(1);
        self.send_to(copy, target);
    }

    /// Makes a packet one that goes down to `target`, and puts it with the others that do.
    fn send_to(&mut self, mut packet: Packet, target: u16) {
        packet.set_flags(0, ONLY_UP);
        packet.vnet_mut().flags &= !VNET_DATA_VALID;
        packet.set_way(packet.cell(), target, 0);
        let known = self
            .out
            .iter()
            .position(|(endpoint, _)| *endpoint == target);
        let place = known.unwrap_or(self.out.len());
        if known.is_none() {
            self.out.push((target, Box::default()));
        }
        // A packet goes out once, and a burst fits.
        let _ = self.out[place].1.push(packet);
    }

    /// Hands over what goes out elsewhere.
    fn send_out(&mut self, cx: &Cx) {
        for (_, packets) in &mut self.out {
            if !packets.is_empty() {
                cx.tx_down(packets.take());
            }
        }
    }
}
