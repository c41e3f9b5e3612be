//! `devn-loop`: an interface that brings back what is sent.
//!
//! A frame goes up again as it came down, by reference: no byte of it is copied unless others hold
//! it too.
#![deny(unsafe_code)]

mod options;

use io_net_ddk::abi::{
    Advert, CAP_CSUM, CAP_MULTICAST, CAP_TSO4, CAP_TSO6, CAP_USO, DEVCTL_GET_CONFIG,
    DEVCTL_GET_STATS, DEVCTL_LINK_STATE, DEVCTL_PROMISCUOUS, GSO_NONE, NIC_PROMISCUOUS, NPKT_BCAST,
    NPKT_MCAST, NPKT_MSG, NPKT_PROMISC,
};
use io_net_ddk::errno::{EINVAL, EOPNOTSUPP};
use io_net_ddk::prelude::*;
use io_net_ddk::{
    NicCounters, Tally, advert, answer, answer_config, answer_stats, mac, nic_config, number,
    rx_flags, vlan,
};
use options::LoopOptions;

/// Bytes of an Ethernet header.
const HEADER: usize = 14;
/// The largest super-segment that crosses, in bytes.
const GSO_MAX: u32 = 65_535;
/// What needs no work where nothing goes over a wire.
const CAPS: u32 = CAP_CSUM | CAP_TSO4 | CAP_TSO6 | CAP_USO | CAP_MULTICAST;

/// The interface.
struct Loop {
    options: LoopOptions,
    promiscuous: bool,
    counters: NicCounters,
    /// Frames longer than the MTU.
    too_long: Counter,
    /// Frames for others, while not promiscuous.
    filtered: Counter,
}

impl Registrant for Loop {
    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        let mut back = BurstBuf::new();
        let mut tally = Tally::default();
        for packet in burst {
            if let Some(packet) = self.turn_round(packet, cx) {
                tally.packet(&packet);
                // There is room: a burst is no longer than the buffer.
                let _ = back.push(packet);
            }
        }
        self.counters.sent(&tally);
        self.counters.received(&tally);
        cx.tx_up(back.take());
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        match cmd {
            DEVCTL_GET_CONFIG => answer_config(data, &self.config(cx)),
            DEVCTL_GET_STATS => answer_stats(data, &self.counters.stats()),
            DEVCTL_LINK_STATE => answer(data, &1_u32.to_ne_bytes()),
            DEVCTL_PROMISCUOUS => self.set_promiscuous(data.get(..len).unwrap_or_default()),
            _ => Err(Failure::new(
                EOPNOTSUPP,
                format!("devn-loop has no devctl {cmd}"),
            )),
        }
    }
}

impl Loop {
    /// The packet on its way up. None where it is lost, which has been counted.
    #[inline]
    fn turn_round(&self, packet: SharedPacket, cx: &Cx) -> Option<Packet> {
        if packet.flags() & NPKT_MSG != 0 {
            return None;
        }
        let longest = HEADER + vlan::TAG + self.options.mtu as usize;
        if packet.vnet().gso_type == GSO_NONE && packet.total_len() > longest {
            self.too_long.add(1);
            return None;
        }
        let flags = rx_flags(packet.data(), self.options.mac);
        if flags & NPKT_PROMISC != 0 && !self.promiscuous {
            self.filtered.add(1);
            return None;
        }
        let tag = packet.vlan_tci().map(|tci| vlan::tag(vlan::CUSTOMER, tci));
        let Some(mut packet) = packet.into_unique() else {
            self.counters.tx_no_room.add(1);
            return None;
        };
        packet.set_vlan_tci(None);
        let tagged = tag.is_none_or(|tag| vlan::insert(&mut packet, tag).is_some());
        if !tagged || packet.len() < HEADER {
            self.counters.tx_errors.add(1);
            return None;
        }
        packet.set_rx(None, None);
        packet.set_flags(flags, NPKT_BCAST | NPKT_MCAST | NPKT_PROMISC);
        packet.set_way(cx.cell(), cx.endpoint(), 0);
        Some(packet)
    }

    fn advert(&self, cx: &Cx) -> Advert {
        let mut advert = advert(&format!("en{}", cx.endpoint()), "en");
        (advert.cell, advert.endpoint) = (cx.cell(), cx.endpoint());
        (advert.mtu, advert.gso_max, advert.caps) = (self.options.mtu, GSO_MAX, CAPS);
        advert.mac[..6].copy_from_slice(&self.options.mac);
        advert.mac_len = 6;
        advert
    }

    fn config(&self, cx: &Cx) -> NicConfig {
        let (mac, mtu) = (self.options.mac, self.options.mtu);
        let mut config = nic_config("Loopback", mac, mtu, cx.endpoint());
        if self.promiscuous {
            config.flags |= NIC_PROMISCUOUS;
        }
        config
    }

    fn set_promiscuous(&mut self, request: &[u8]) -> Result<usize, Failure> {
        self.promiscuous = match request.first_chunk().map(|b| u32::from_ne_bytes(*b)) {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(Failure::new(EINVAL, "promiscuous mode is 0 or 1")),
        };
        Ok(0)
    }
}

fn init(init: &mut Init) -> Result<(), Failure> {
    let options = LoopOptions::parse(init.options())?;
    init.register(Place::driver(c"en", c"en"), |cx| {
        let this = Loop {
            options,
            promiscuous: true,
            counters: NicCounters::new(cx),
            too_long: cx.counter(c"tx_too_long"),
            filtered: cx.counter(c"rx_filtered"),
        };
        cx.dl_advert(&this.advert(cx));
        Ok(this)
    })
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_DRIVER,
    name: c"devn-loop",
    summary: c"An interface that brings back what is sent.",
    options: [
        mac(c"mac", c"address of the interface (default: random)"),
        number(c"mtu", c"largest packet, 68 to 65535 (default 65535)"),
    ],
    init: init,
}
