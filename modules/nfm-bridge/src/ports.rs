//! The interfaces that are bridged, as adverts tell of them.

use crate::frame::Mac;
use crate::vlans::Vlans;
use io_net_ddk::abi::{ADVERT_DYING, ADVERT_LINK_UP, Advert};
use io_net_ddk::advert_name;

/// Ports of one bridge, at most.
pub(crate) const PORTS_MAX: usize = 64;

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) endpoint: u16,
    /// Its own address; nobody's where the advert gives none.
    pub(crate) mac: Mac,
    /// It has a link, and the loop guard has not closed it.
    pub(crate) open: bool,
    /// It has a link.
    pub(crate) up: bool,
    /// When the loop guard opens it again, in seconds.
    pub(crate) closed_until_s: Option<u32>,
    /// The layer `en`, as io-net numbers it.
    pub(crate) cell: u16,
    pub(crate) vlans: Vlans,
}

/// What an advert changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that matters here.
    None,
    /// A port is there, or is different.
    Present,
    /// The stations behind this port are out of reach.
    Lost(u8),
    /// There are too many.
    TooMany,
}

/// The ports. A port's index stays the same while it is there.
pub(crate) struct Ports {
    /// Names of those wanted; empty for all.
    wanted: Vec<String>,
    /// Those of the ports that have any, by name.
    vlans: Vec<(String, Vlans)>,
    ports: Vec<Option<Port>>,
}

impl Ports {
    pub(crate) fn new(wanted: Vec<String>, vlans: Vec<(String, Vlans)>) -> Ports {
        Ports {
            wanted,
            vlans,
            ports: Vec::with_capacity(PORTS_MAX),
        }
    }

    pub(crate) fn get(&self, index: u8) -> Option<&Port> {
        self.ports.get(usize::from(index))?.as_ref()
    }

    /// Every port with its index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &Port)> {
        let all = self.ports.iter().enumerate();
        all.filter_map(|(index, port)| Some((index as u8, port.as_ref()?)))
    }

    pub(crate) fn by_endpoint(&self, endpoint: u16) -> Option<u8> {
        let found = self.iter().find(|(_, port)| port.endpoint == endpoint);
        found.map(|(index, _)| index)
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<u8> {
        let found = self.iter().find(|(_, port)| port.name == name);
        found.map(|(index, _)| index)
    }

    /// The port whose own address is `mac`.
    pub(crate) fn by_mac(&self, mac: Mac) -> Option<u8> {
        let found = self.iter().find(|(_, port)| port.mac == mac);
        found.map(|(index, _)| index)
    }

    /// Ports that a frame of `vlan` can be sent to, without the one it came from.
    pub(crate) fn others(
        &self,
        ingress: Option<u8>,
        vlan: u16,
    ) -> impl Iterator<Item = (u8, &Port)> {
        let other = move |index: u8| Some(index) != ingress;
        self.iter()
            .filter(move |(index, port)| port.open && other(*index) && port.vlans.carries(vlan))
    }

    /// Closes a port until `until_s`. False where it is closed already.
    pub(crate) fn close(&mut self, index: u8, until_s: u32) -> bool {
        let Some(port) = self.ports.get_mut(usize::from(index)) else {
            return false;
        };
        let Some(port) = port.as_mut().filter(|port| port.closed_until_s.is_none()) else {
            return false;
        };
        (port.open, port.closed_until_s) = (false, Some(until_s));
        true
    }

    /// Opens the ports whose time is over.
    pub(crate) fn reopen(&mut self, now_s: u32) {
        for port in self.ports.iter_mut().flatten() {
            if port.closed_until_s.is_some_and(|until| now_s >= until) {
                (port.open, port.closed_until_s) = (port.up, None);
            }
        }
    }

    /// Takes note of an advert.
    pub(crate) fn advertised(&mut self, advert: &Advert) -> Change {
        let name = advert_name(advert);
        let wanted = self.wanted.is_empty() || self.wanted.iter().any(|other| other == name);
        if advert.up_type[..3] != *b"en\0" || !wanted {
            return Change::None;
        }
        let known = self.by_endpoint(advert.endpoint);
        if advert.flags & ADVERT_DYING != 0 {
            return match known {
                Some(index) => {
                    self.ports[usize::from(index)] = None;
                    Change::Lost(index)
                }
                None => Change::None,
            };
        }
        let [a, b, c, d, e, f, ..] = advert.mac;
        let closed_until_s = known.and_then(|index| self.get(index)?.closed_until_s);
        let up = advert.flags & ADVERT_LINK_UP != 0;
        let vlans = self.vlans.iter().find(|(port, _)| port == name);
        let port = Port {
            name: name.to_owned(),
            endpoint: advert.endpoint,
            mac: match advert.mac_len {
                6 => Mac::new([a, b, c, d, e, f]),
                _ => Mac::default(),
            },
            open: up && closed_until_s.is_none(),
            up,
            closed_until_s,
            cell: advert.cell,
            vlans: vlans.map(|(_, vlans)| vlans.clone()).unwrap_or_default(),
        };
        match known.or_else(|| self.free()) {
            Some(index) => self.ports[usize::from(index)] = Some(port),
            None => return Change::TooMany,
        }
        match known {
            Some(index) if !up => Change::Lost(index),
            _ => Change::Present,
        }
    }

    fn free(&mut self) -> Option<u8> {
        let index = self.ports.iter().position(Option::is_none);
        let index = index.unwrap_or(self.ports.len());
        if index == self.ports.len() && index < PORTS_MAX {
            self.ports.push(None);
        }
        (index < PORTS_MAX).then_some(index as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advert(endpoint: u16, flags: u32) -> Advert {
        let mut advert = io_net_ddk::advert(&format!("en{endpoint}"), "en");
        (advert.endpoint, advert.flags) = (endpoint, flags);
        (advert.mac_len, advert.mac[5]) = (6, endpoint as u8 + 1);
        advert
    }

    #[test]
    fn ports_come_change_and_go() {
        let mut ports = Ports::new(Vec::new(), Vec::new());
        assert_eq!(
            ports.advertised(&advert(3, ADVERT_LINK_UP)),
            Change::Present
        );
        assert_eq!(
            ports.advertised(&advert(3, ADVERT_LINK_UP)),
            Change::Present
        );
        assert_eq!(
            ports.advertised(&advert(5, ADVERT_LINK_UP)),
            Change::Present
        );
        assert_eq!(ports.by_endpoint(5), Some(1));
        assert_eq!(ports.by_name("en3"), Some(0));
        assert_eq!(ports.by_mac(Mac::new([0, 0, 0, 0, 0, 6])), Some(1));
        assert_eq!(ports.others(Some(0), 0).count(), 1);
        assert_eq!(ports.advertised(&advert(5, 0)), Change::Lost(1));
        assert_eq!(ports.others(Some(0), 0).count(), 0);
        assert_eq!(ports.advertised(&advert(3, ADVERT_DYING)), Change::Lost(0));
        assert_eq!(ports.advertised(&advert(3, ADVERT_DYING)), Change::None);
        assert_eq!(
            ports.advertised(&advert(9, ADVERT_LINK_UP)),
            Change::Present
        );
        assert_eq!(ports.by_endpoint(9), Some(0));
    }

    #[test]
    fn a_closed_port_stays_closed_for_its_time() {
        let mut ports = Ports::new(Vec::new(), Vec::new());
        ports.advertised(&advert(3, ADVERT_LINK_UP));
        assert!(ports.close(0, 10) && !ports.close(0, 20) && !ports.close(1, 10));
        ports.advertised(&advert(3, ADVERT_LINK_UP));
        ports.reopen(9);
        assert_eq!(ports.others(None, 0).count(), 0);
        ports.reopen(10);
        assert_eq!(ports.others(None, 0).count(), 1);
    }

    #[test]
    fn only_the_named_ones_and_only_so_many() {
        let mut ports = Ports::new(vec!["en1".into()], Vec::new());
        assert_eq!(ports.advertised(&advert(0, ADVERT_LINK_UP)), Change::None);
        assert_eq!(
            ports.advertised(&advert(1, ADVERT_LINK_UP)),
            Change::Present
        );
        let mut ports = Ports::new(Vec::new(), Vec::new());
        for endpoint in 0..64 {
            assert_eq!(ports.advertised(&advert(endpoint, 1)), Change::Present);
        }
        assert_eq!(ports.advertised(&advert(64, 1)), Change::TooMany);
    }
}
