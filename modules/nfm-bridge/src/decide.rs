//! What is to become of a frame, by its addresses and where it came from.

use crate::bridge::Bridge;
use crate::frame::{Key, Mac};
use crate::guard::GROUP;
use crate::ports::Port;
use crate::table::Learned;
use io_net_ddk::Counter;

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Down to one interface.
    Forward {
        /// Index of the port.
        port: u8,
        /// Its interface.
        endpoint: u16,
    },
    /// Up, as from this interface.
    Local(u16),
    /// On its way as it was.
    Pass,
    /// Down to every port but the one it came from; for a group also up, at every port but the
    /// one it was sent from.
    Flood { group: bool },
    /// It is for the group of the loop guards' probes.
    Probe,
    /// Nowhere.
    Drop,
}

/// A verdict, the VLAN that it is about (0 where there are none), and the counter that it goes to.
#[derive(Clone, Copy)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) vlan: u16,
    pub(crate) counter: Counter,
}

impl Bridge {
    /// Decides about frames that come up with `key`, and learns from them.
    pub(crate) fn decide_up(&mut self, key: Key, now_s: u32) -> Decision {
        let stats = self.stats;
        let Some(ingress) = self.ports.by_endpoint(key.endpoint) else {
            return decision(Verdict::Pass, 0, stats.passed);
        };
        let (dst, src) = (key.dst(), key.src());
        if key.runt {
            return decision(Verdict::Drop, 0, stats.runt);
        }
        if src.is_group() || src == Mac::default() {
            return decision(Verdict::Drop, 0, stats.bad_source);
        }
        if self.guard.is_on() && self.is_closed(ingress) {
            return decision(Verdict::Drop, 0, stats.closed);
        }
        if dst.is_reserved() {
            return decision(Verdict::Pass, 0, stats.reserved);
        }
        let Some(vlan) = self.vlan(key, ingress) else {
            return decision(Verdict::Drop, 0, stats.vlan);
        };
        if dst == GROUP && self.guard.is_on() {
            return decision(Verdict::Probe, vlan, stats.probed);
        }
        self.learn(src.within(vlan), ingress, now_s);
        self.find_way(dst, vlan, Some(ingress), now_s)
    }

    /// Decides about frames that the local stack of an interface sends.
    pub(crate) fn decide_down(&mut self, key: Key, now_s: u32) -> Decision {
        let stats = self.stats;
        let Some(port) = self.ports.by_endpoint(key.endpoint) else {
            return decision(Verdict::Pass, 0, stats.passed);
        };
        if key.runt {
            return decision(Verdict::Drop, 0, stats.runt);
        }
        if key.dst().is_reserved() {
            return decision(Verdict::Pass, 0, stats.reserved);
        }
        match self.vlan(key, port) {
            Some(vlan) => self.find_way(key.dst(), vlan, None, now_s),
            None => decision(Verdict::Drop, 0, stats.vlan),
        }
    }

    /// The VLAN of frames that come in by `port`: 0 in a bridge that knows none.
    fn vlan(&self, key: Key, port: u8) -> Option<u16> {
        match self.vlans {
            true => self.ports.get(port)?.vlans.admit(key.tag),
            false => Some(0),
        }
    }

    fn is_closed(&self, port: u8) -> bool {
        let port = self.ports.get(port);
        port.is_some_and(|port| port.closed_until_s.is_some())
    }

    fn find_way(&self, dst: Mac, vlan: u16, ingress: Option<u8>, now_s: u32) -> Decision {
        let stats = &self.stats;
        let decision = |verdict, counter| decision(verdict, vlan, counter);
        if dst.is_group() {
            return decision(Verdict::Flood { group: true }, stats.group);
        }
        let own = self.ports.by_mac(dst).filter(|_| dst != Mac::default());
        let own = own.and_then(|port| self.ports.get(port));
        if let Some(port) = own.filter(|port| port.vlans.carries(vlan)) {
            return decision(Verdict::Local(port.endpoint), stats.local);
        }
        let forward = |(port, to): (u8, &Port)| Verdict::Forward {
            port,
            endpoint: to.endpoint,
        };
        let (port, fixed) = match self.fixed(dst.within(vlan)) {
            Some(fixed) => (fixed, true),
            None => (self.table.find(dst.within(vlan), now_s), false),
        };
        if port.is_some() && port == ingress {
            return decision(Verdict::Drop, stats.hairpin);
        }
        let mut others = self.ports.others(ingress, vlan);
        if let Some(found) = others.find(|(index, _)| Some(*index) == port) {
            return decision(forward(found), stats.forwarded);
        }
        if fixed {
            return decision(Verdict::Drop, stats.no_port);
        }
        let mut others = self.ports.others(ingress, vlan);
        match (others.next(), others.next()) {
            (None, _) => decision(Verdict::Drop, stats.no_port),
            (Some(only), None) => decision(forward(only), stats.unknown),
            _ => decision(Verdict::Flood { group: false }, stats.unknown),
        }
    }

    /// Where the operator has put a station: its port, if that is there. None for other stations.
    fn fixed(&self, mac: Mac) -> Option<Option<u8>> {
        let one = self.statics.iter().find(|one| one.mac == mac)?;
        Some(self.ports.by_name(&one.port))
    }

    fn learn(&mut self, src: Mac, ingress: u8, now_s: u32) {
        // A port's own address belongs to the local stack, whoever uses it outside; a static one to
        // its port.
        if self.ports.by_mac(src.within(0)).is_some() || self.fixed(src).is_some() {
            return;
        }
        match self.table.learn(src, ingress, now_s) {
            Learned::Known => {}
            Learned::New => self.stats.learned.add(1),
            Learned::Evicted => {
                self.stats.learned.add(1);
                self.stats.evicted.add(1);
            }
            Learned::Moved => {
                self.stats.moved.add(1);
                self.suspicious |= self.guard.jumped();
            }
        }
    }
}

fn decision(verdict: Verdict, vlan: u16, counter: Counter) -> Decision {
    Decision {
        verdict,
        vlan,
        counter,
    }
}
