//! What is to become of a frame, by its addresses and where it came from.

use crate::bridge::Bridge;
use crate::frame::{Key, Mac};
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
    /// Nowhere.
    Drop,
}

/// A verdict and the counter that it goes to.
#[derive(Clone, Copy)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) counter: Counter,
}

impl Bridge {
    /// Decides about frames that come up with `key`, and learns from them.
    pub(crate) fn decide_up(&mut self, key: Key, now_s: u32) -> Decision {
        let stats = self.stats;
        let Some(ingress) = self.ports.by_endpoint(key.endpoint) else {
            return decision(Verdict::Pass, stats.passed);
        };
        let (dst, src) = (key.dst(), key.src());
        if key.runt {
            return decision(Verdict::Drop, stats.runt);
        }
        if src.is_group() || src == Mac::default() {
            return decision(Verdict::Drop, stats.bad_source);
        }
        if dst.is_reserved() {
            return decision(Verdict::Pass, stats.reserved);
        }
        self.learn(src, ingress, now_s);
        self.find_way(dst, Some(ingress), now_s)
    }

    /// Decides about frames that the local stack of an interface sends.
    pub(crate) fn decide_down(&mut self, key: Key, now_s: u32) -> Decision {
        let stats = self.stats;
        if self.ports.by_endpoint(key.endpoint).is_none() {
            return decision(Verdict::Pass, stats.passed);
        }
        if key.runt {
            return decision(Verdict::Drop, stats.runt);
        }
        if key.dst().is_reserved() {
            return decision(Verdict::Pass, stats.reserved);
        }
        self.find_way(key.dst(), None, now_s)
    }

    fn find_way(&self, dst: Mac, ingress: Option<u8>, now_s: u32) -> Decision {
        let stats = &self.stats;
        if dst.is_group() {
            return decision(Verdict::Flood { group: true }, stats.group);
        }
        let own = self.ports.by_mac(dst).filter(|_| dst != Mac::default());
        if let Some(port) = own.and_then(|port| self.ports.get(port)) {
            return decision(Verdict::Local(port.endpoint), stats.local);
        }
        let known = self.table.find(dst, now_s);
        if known.is_some() && known == ingress {
            return decision(Verdict::Drop, stats.hairpin);
        }
        let forward = |(port, to): (u8, &crate::ports::Port)| Verdict::Forward {
            port,
            endpoint: to.endpoint,
        };
        let mut others = self.ports.others(ingress);
        if let Some(port) = known {
            if let Some(found) = others.find(|(index, _)| *index == port) {
                return decision(forward(found), stats.forwarded);
            }
            others = self.ports.others(ingress);
        }
        match (others.next(), others.next()) {
            (None, _) => decision(Verdict::Drop, stats.no_port),
            (Some(only), None) => decision(forward(only), stats.unknown),
            _ => decision(Verdict::Flood { group: false }, stats.unknown),
        }
    }

    fn learn(&mut self, src: Mac, ingress: u8, now_s: u32) {
        // A port's own address belongs to the local stack, whoever uses it outside.
        if self.ports.by_mac(src).is_some() {
            return;
        }
        match self.table.learn(src, ingress, now_s) {
            Learned::Known => {}
            Learned::New => self.stats.learned.add(1),
            Learned::Evicted => {
                self.stats.learned.add(1);
                self.stats.evicted.add(1);
            }
            Learned::Moved => self.stats.moved.add(1),
        }
    }
}

fn decision(verdict: Verdict, counter: Counter) -> Decision {
    Decision { verdict, counter }
}
