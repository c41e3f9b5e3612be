//! The registrant of one VLAN: an interface like any other to those above it.

use crate::options::Vlan;
use crate::parent::Parent;
use crate::tags::{Form, Vids};
use io_net_ddk::abi::{
    ADVERT_LINK_UP, Advert, DEVCTL_GET_CONFIG, DEVCTL_GET_STATS, DEVCTL_LINK_STATE, NPKT_MSG,
    NPKT_UP,
};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, Tally, advert, answer, answer_config, answer_stats, nic_config};
use std::sync::Arc;

/// Bytes of a tag.
const TAG: u32 = 4;

/// An interface.
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) vids: Vids,
    pub(crate) mtu: Option<u32>,
    pub(crate) parent: Arc<Parent>,
    form: Form,
    counters: NicCounters,
    /// Frames for an interface below that is not there.
    no_parent: Counter,
    /// Frames that have no headroom for tags, or are none.
    no_headroom: Counter,
}

impl Registrant for Interface {
    fn rx_down(&mut self, burst: Burst, _cx: &Cx) {
        let (Some(place), Some(trunk)) = (self.parent.place(), self.parent.trunk()) else {
            return self.no_parent.add(burst.len() as u64);
        };
        let mut down = BurstBuf::new();
        let mut tally = Tally::default();
        for packet in burst {
            // Messages are for drivers, and this one wants none.
            if packet.flags() & NPKT_MSG != 0 {
                continue;
            }
            if let Some(frame) = self.tag(packet, place) {
                tally.packet(&frame);
                // There is room: a burst is no longer than the buffer.
                let _ = down.push(frame);
            }
        }
        self.counters.sent(&tally);
        trunk.tx_down(down.take());
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], _: usize, cx: &Cx) -> Result<usize, Failure> {
        let below = self.parent.advert();
        match cmd {
            DEVCTL_GET_CONFIG => {
                let shown = of(&self.name, self.vids, self.mtu, below.as_ref());
                let [a, b, c, d, e, f, ..] = shown.mac;
                let config = nic_config("VLAN", [a, b, c, d, e, f], shown.mtu, cx.endpoint());
                answer_config(data, &config)
            }
            DEVCTL_GET_STATS => answer_stats(data, &self.counters.stats()),
            DEVCTL_LINK_STATE => {
                let up = below.is_some_and(|below| below.flags & ADVERT_LINK_UP != 0);
                answer(data, &u32::from(up).to_ne_bytes())
            }
            _ => {
                let text = format!("an interface of ncm-vlan has no devctl {cmd}");
                Err(Failure::new(EOPNOTSUPP, text))
            }
        }
    }
}

impl Interface {
    pub(crate) fn new(vlan: &Vlan, form: &Form, parent: Arc<Parent>, cx: &Cx) -> Interface {
        let name = vlan.interface().to_string_lossy().into_owned();
        cx.dl_advert(&placed(of(&name, vlan.vids, vlan.mtu, None), cx));
        Interface {
            name,
            vids: vlan.vids,
            mtu: vlan.mtu,
            parent,
            form: *form,
            counters: NicCounters::new(cx),
            no_parent: cx.counter(c"tx_no_parent"),
            no_headroom: cx.counter(c"tx_no_headroom"),
        }
    }

    pub(crate) fn counters(&self) -> NicCounters {
        self.counters
    }

    #[inline]
    fn tag(
        &self,
        packet: SharedPacket,
        (cell, endpoint, iface): (u16, u16, u16),
    ) -> Option<Packet> {
        let Some(mut packet) = packet.into_unique() else {
            self.counters.tx_no_room.add(1);
            return None;
        };
        if self.form.put(&mut packet, self.vids).is_none() {
            self.no_headroom.add(1);
            return None;
        }
        packet.set_flags(0, NPKT_UP);
        packet.set_way(cell, endpoint, iface);
        Some(packet)
    }
}

/// What is advertised of an interface over one that was advertised as `below`: the same, with room for
/// a second tag taken off the MTU; with no link where there is nothing below.
pub(crate) fn of(name: &str, vids: Vids, mtu: Option<u32>, below: Option<&Advert>) -> Advert {
    let mut shown = advert(name, "en");
    let Some(below) = below else {
        shown.flags = 0;
        (shown.mtu, shown.mac_len) = (mtu.unwrap_or(1500), 6);
        return shown;
    };
    let largest = below.mtu.saturating_sub(TAG * (Form::count(vids) - 1));
    Advert {
        flags: below.flags & ADVERT_LINK_UP,
        mtu: mtu.unwrap_or(largest).min(largest),
        gso_max: below.gso_max.saturating_sub(TAG * Form::count(vids)),
        caps: below.caps,
        mac: below.mac,
        mac_len: below.mac_len,
        ..shown
    }
}

/// The same with the number that io-net gave the interface.
fn placed(mut advert: Advert, cx: &Cx) -> Advert {
    (advert.cell, advert.endpoint) = (cx.cell(), cx.endpoint());
    advert
}
