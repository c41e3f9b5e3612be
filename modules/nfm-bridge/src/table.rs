//! Which station was last seen behind which port.
//!
//! A table of fixed size in sets of eight: a station has its place in one set, found by a hash of
//! its address. In a full set it takes the place of the one that has been silent longest, so
//! that a flood of forged sources costs others a relearning, and never memory.

use crate::frame::Mac;

const WAYS: usize = 8;

/// A station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Station {
    /// 0 where the place is free.
    pub(crate) mac: Mac,
    /// When it was last heard, in seconds of the worker's clock.
    pub(crate) seen_s: u32,
    /// Index of the port.
    pub(crate) port: u8,
}

/// What [`Table::learn`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// It was there.
    Known,
    /// It is new, in a free place.
    New,
    /// It is new, in another's place.
    Evicted,
    /// It was behind another port before.
    Moved,
}

pub(crate) struct Table {
    sets: Box<[[Station; WAYS]]>,
    age_s: u32,
}

impl Table {
    /// A table for `stations` or a few more, forgotten after `age_s` of silence, or with 0 never.
    pub(crate) fn new(stations: usize, age_s: u32) -> Table {
        let sets = stations.div_ceil(WAYS).next_power_of_two();
        Table {
            sets: vec![[Station::default(); WAYS]; sets].into(),
            age_s: if age_s == 0 { u32::MAX } else { age_s },
        }
    }

    #[inline]
    fn set(&self, mac: Mac) -> usize {
        // Fibonacci hashing: the product's highest bits depend on every bit of the address, those
        // from 40 on also on the last byte, in which neighbours differ.
        let hash = mac.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 40) as usize & (self.sets.len() - 1)
    }

    fn is_old(&self, station: &Station, now_s: u32) -> bool {
        now_s.saturating_sub(station.seen_s) > self.age_s
    }

    /// The port behind which `mac` was seen.
    #[inline]
    pub(crate) fn find(&self, mac: Mac, now_s: u32) -> Option<u8> {
        let set = &self.sets[self.set(mac)];
        let station = set.iter().find(|station| station.mac == mac)?;
        (!self.is_old(station, now_s)).then_some(station.port)
    }

    /// Notes that `mac`, a station's and not 0, was heard behind `port`.
    pub(crate) fn learn(&mut self, mac: Mac, port: u8, now_s: u32) -> Learned {
        let index = self.set(mac);
        let set = &mut self.sets[index];
        let heard = Station {
            mac,
            seen_s: now_s,
            port,
        };
        if let Some(station) = set.iter_mut().find(|station| station.mac == mac) {
            let before = std::mem::replace(station, heard);
            return match before.port == port {
                true => Learned::Known,
                false => Learned::Moved,
            };
        }
        let free = |station: &Station| station.mac == Mac::default();
        // A free place, else that of the one silent longest.
        let place = set
            .iter_mut()
            .min_by_key(|station| (!free(station), station.seen_s));
        match place {
            Some(place) if free(place) => {
                *place = heard;
                Learned::New
            }
            Some(place) => {
                *place = heard;
                Learned::Evicted
            }
            None => Learned::Known,
        }
    }

    /// Forgets the stations that `which` says. Returns how many.
    pub(crate) fn forget(&mut self, which: impl Fn(&Station) -> bool) -> usize {
        let mut n = 0;
        for station in self.sets.iter_mut().flatten() {
            if station.mac != Mac::default() && which(station) {
                *station = Station::default();
                n += 1;
            }
        }
        n
    }

    /// Forgets those that have been silent too long. Returns how many.
    pub(crate) fn forget_old(&mut self, now_s: u32) -> usize {
        let age_s = self.age_s;
        self.forget(|station| now_s.saturating_sub(station.seen_s) > age_s)
    }

    /// Every station, those that are about to be forgotten too.
    pub(crate) fn stations(&self) -> impl Iterator<Item = &Station> {
        let all = self.sets.iter().flatten();
        all.filter(|station| station.mac != Mac::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: u32) -> Mac {
        let [a, b, c, d] = n.to_be_bytes();
        Mac::new([2, 0, a, b, c, d])
    }

    #[test]
    fn stations_are_found_move_and_are_forgotten() {
        let mut table = Table::new(64, 300);
        assert_eq!(table.find(mac(1), 0), None);
        assert_eq!(table.learn(mac(1), 0, 10), Learned::New);
        assert_eq!(table.learn(mac(1), 0, 20), Learned::Known);
        assert_eq!(table.find(mac(1), 320), Some(0));
        assert_eq!(table.find(mac(1), 321), None);
        assert_eq!(table.learn(mac(1), 1, 30), Learned::Moved);
        assert_eq!(table.find(mac(1), 30), Some(1));
        assert_eq!(table.learn(mac(2), 0, 30), Learned::New);
        assert_eq!(table.forget(|station| station.port == 1), 1);
        assert_eq!(
            (table.find(mac(1), 30), table.find(mac(2), 30)),
            (None, Some(0))
        );
        assert_eq!(table.forget_old(330), 0);
        assert_eq!(table.forget_old(331), 1);
        assert_eq!(table.stations().count(), 0);
    }

    #[test]
    fn without_ageing_nothing_is_forgotten() {
        let mut table = Table::new(64, 0);
        table.learn(mac(1), 0, 0);
        assert_eq!(table.find(mac(1), u32::MAX), Some(0));
        assert_eq!(table.forget_old(u32::MAX), 0);
    }

    #[test]
    fn it_is_bounded_and_keeps_the_newest() {
        let mut table = Table::new(64, 300);
        let learned: Vec<Learned> = (0..1000).map(|n| table.learn(mac(n), 0, n)).collect();
        assert!(table.stations().count() <= 64);
        assert!(learned.contains(&Learned::Evicted));
        assert_eq!(table.find(mac(999), 999), Some(0));
    }

    #[test]
    fn the_hash_spreads_neighbouring_addresses() {
        let mut table = Table::new(4096, 300);
        let evicted = (0..2048).filter(|&n| table.learn(mac(n), 0, 0) == Learned::Evicted);
        assert!(evicted.count() < 20);
    }
}
