//! The registrant: what io-net calls. Home worker.

use crate::device::Device;
use crate::rx::{Filter, Next, Receiver, RxCounters};
use crate::tx;
use io_net_ddk::abi::{
    Advert, DEVCTL_GET_CONFIG, DEVCTL_GET_STATS, DEVCTL_LINK_STATE, DEVCTL_PROMISCUOUS, LOG_INFO,
    LOG_WARNING, NIC_LINK_DOWN, NIC_PROMISCUOUS,
};
use io_net_ddk::errno::{EINVAL, EOPNOTSUPP};
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, advert, answer, answer_config, answer_stats, nic_config};
use io_net_os::epoll;
use std::os::fd::AsFd;

/// The largest super-segment that crosses, in bytes.
const GSO_MAX: u32 = 65_535;

/// One interface over one TAP device. Cookies of watched descriptors are the queues' numbers.
pub(crate) struct Adaptor {
    device: Device,
    filter: Filter,
    receiver: Receiver,
    counters: RxCounters,
    /// Packets not sent because the kernel's side was down.
    tx_link_down: Counter,
    gone: bool,
}

impl Registrant for Adaptor {
    fn event(&mut self, cookie: u64, _events: u32, cx: &Cx) -> bool {
        let Some(tap) = self.device.queues.get(cookie as usize) else {
            return false;
        };
        match self.receiver.burst(tap, self.filter, &self.counters, cx) {
            Next::More => true,
            Next::Empty => false,
            Next::Gone => {
                self.lose_device(cx);
                false
            }
        }
    }

    fn rx_down(&mut self, burst: Burst, _cx: &Cx) {
        tx::burst(
            &self.device.queues,
            burst,
            &self.counters.nic,
            self.tx_link_down,
        );
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        match cmd {
            DEVCTL_GET_CONFIG => answer_config(data, &self.config(cx)),
            DEVCTL_GET_STATS => answer_stats(data, &self.counters.nic.stats()),
            DEVCTL_LINK_STATE => answer(data, &u32::from(self.link_is_up()).to_ne_bytes()),
            DEVCTL_PROMISCUOUS => self.set_promiscuous(data.get(..len).unwrap_or_default()),
            _ => Err(Failure::new(
                EOPNOTSUPP,
                format!("devn-tap has no devctl {cmd}"),
            )),
        }
    }

    fn quiesce(&mut self, cx: &Cx) {
        self.unwatch(cx);
        self.receiver.release();
    }
}

impl Adaptor {
    /// Puts `device` into the graph.
    ///
    /// # Errors
    /// The kernel's, where its descriptors cannot be watched.
    pub(crate) fn new(device: Device, mac: [u8; 6], cx: &Cx) -> Result<Self, Failure> {
        let adaptor = Adaptor {
            device,
            // A TAP device is a wire: a bridge above it wants all that comes.
            filter: Filter {
                mac,
                promiscuous: true,
            },
            receiver: Receiver::default(),
            counters: RxCounters {
                nic: NicCounters::new(cx),
                filtered: cx.counter(c"rx_filtered"),
            },
            tx_link_down: cx.counter(c"tx_link_down"),
            gone: false,
        };
        for (number, tap) in adaptor.device.queues.iter().enumerate() {
            cx.watch(tap.as_fd(), epoll::IN, number as u64)?;
        }
        cx.dl_advert(&adaptor.advert(cx));
        let (name, queues) = (adaptor.device.name(), adaptor.device.queues.len());
        let number = cx.endpoint();
        cx.log(
            LOG_INFO,
            format_args!("en{number} is {name}, {queues} queue(s)"),
        );
        Ok(adaptor)
    }

    fn advert(&self, cx: &Cx) -> Advert {
        let mut advert = advert(&format!("en{}", cx.endpoint()), "en");
        (advert.cell, advert.endpoint) = (cx.cell(), cx.endpoint());
        (advert.mtu, advert.gso_max, advert.caps) = (self.device.mtu, GSO_MAX, self.device.caps);
        advert.mac[..6].copy_from_slice(&self.filter.mac);
        advert.mac_len = 6;
        if self.gone {
            advert.flags = 0;
        }
        advert
    }

    fn link_is_up(&self) -> bool {
        !self.gone && self.device.is_up()
    }

    fn config(&self, cx: &Cx) -> NicConfig {
        let description = format!("Linux TAP device {}", self.device.name());
        let mut config = nic_config(
            &description,
            self.filter.mac,
            self.device.mtu,
            cx.endpoint(),
        );
        config.queues = self.device.queues.len() as u32;
        if self.filter.promiscuous {
            config.flags |= NIC_PROMISCUOUS;
        }
        if !self.link_is_up() {
            config.flags |= NIC_LINK_DOWN;
        }
        config
    }

    fn set_promiscuous(&mut self, request: &[u8]) -> Result<usize, Failure> {
        self.filter.promiscuous = match request
            .first_chunk()
            .map(|bytes| u32::from_ne_bytes(*bytes))
        {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(Failure::new(EINVAL, "promiscuous mode is 0 or 1")),
        };
        Ok(0)
    }

    /// The device has been removed under us: say so, and wait to be unmounted.
    #[cold]
    fn lose_device(&mut self, cx: &Cx) {
        self.gone = true;
        self.unwatch(cx);
        cx.dl_advert(&self.advert(cx));
        let (name, number) = (self.device.name(), cx.endpoint());
        cx.log(
            LOG_WARNING,
            format_args!("{name} has been removed: en{number} is down; unmount it"),
        );
    }

    fn unwatch(&mut self, cx: &Cx) {
        for tap in &self.device.queues {
            // Nothing to do about a failure: it is not watched then.
            let _ = cx.watch(tap.as_fd(), 0, 0);
        }
    }
}
