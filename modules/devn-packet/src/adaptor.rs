//! The registrant: what io-net calls. Home worker.

use crate::device::{self, Device, Queue};
use crate::options::PacketOptions;
use crate::rx::{self, Filter, Receiver, RxCounters};
use crate::tx::{self, Ability, TxCounters};
use io_net_ddk::abi::{
    ADVERT_LINK_UP, Advert, DEVCTL_GET_CONFIG, DEVCTL_GET_STATS, DEVCTL_LINK_STATE,
    DEVCTL_PROMISCUOUS, LOG_INFO, LOG_WARNING, NIC_LINK_DOWN, NIC_PROMISCUOUS,
};
use io_net_ddk::errno::{EINVAL, EOPNOTSUPP};
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, advert, answer, answer_config, answer_stats, nic_config};
use io_net_os::epoll;
use io_net_os::link::{Link, LinkBell};
use std::os::fd::AsFd;

/// The largest super-segment that crosses, in bytes.
const GSO_MAX: u32 = 65_535;
/// Cookie of the watched bell; the queues have theirs from [`QUEUES`] on.
const BELL: u64 = 0;
const QUEUES: u64 = 1;

/// One interface over one of the kernel's.
pub(crate) struct Adaptor {
    options: PacketOptions,
    /// None while the kernel has no interface of that name.
    device: Option<Device>,
    bell: LinkBell,
    filter: Filter,
    ability: Ability,
    receiver: Receiver,
    rx: RxCounters,
    tx: TxCounters,
    /// What was last told of the interface.
    told: Advert,
}

impl Registrant for Adaptor {
    fn poll(&mut self, budget: usize, cx: &Cx) -> usize {
        let mut taken = 0;
        for queue in self.device.iter_mut().flat_map(|device| &mut device.queues) {
            taken += self
                .receiver
                .burst(queue, budget, self.filter, &self.rx, cx);
        }
        taken
    }

    fn rx_down(&mut self, burst: Burst, _cx: &Cx) {
        match &self.device {
            Some(device) => tx::burst(device.sender(), burst, self.ability, &self.tx),
            None => self.tx.link_down.add(burst.len() as u64),
        }
    }

    fn arm(&mut self, sleeping: bool, cx: &Cx) -> bool {
        let queues = self.device.iter_mut().flat_map(|device| &mut device.queues);
        let mut work = false;
        for (cookie, queue) in (QUEUES..).zip(queues).filter(|_| sleeping) {
            // A watch that failed would leave it deaf: it is looked at again soon then.
            work |= !queue.is_watched && watch(queue, cookie, cx).is_err();
            work |= queue.ring.peek().is_some();
        }
        work
    }

    fn event(&mut self, cookie: u64, events: u32, cx: &Cx) -> bool {
        if cookie == BELL {
            self.bell.hush();
            self.look(cx);
            return false;
        }
        let index = (cookie - QUEUES) as usize;
        let queue = self.device.as_mut().and_then(|d| d.queues.get_mut(index));
        let Some(queue) = queue else { return false };
        queue.is_watched = false;
        // The interface went down, or has gone.
        if events & epoll::ERR != 0 && queue.socket.take_error().is_some() {
            self.look(cx);
        }
        // What has come is polled for.
        false
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        match cmd {
            DEVCTL_GET_CONFIG => answer_config(data, &self.config(cx)),
            DEVCTL_GET_STATS => answer_stats(data, &self.stats()),
            DEVCTL_LINK_STATE => answer(data, &u32::from(self.link_is_up()).to_ne_bytes()),
            DEVCTL_PROMISCUOUS => self.set_promiscuous(data.get(..len).unwrap_or_default()),
            _ => Err(Failure::new(
                EOPNOTSUPP,
                format!("devn-packet has no devctl {cmd}"),
            )),
        }
    }

    fn quiesce(&mut self, cx: &Cx) {
        cx.poller(false);
        // Nothing to do about a failure: it is not watched then.
        let _ = cx.watch(self.bell.as_fd(), 0, 0);
        self.close(cx);
        self.receiver.release();
    }
}

/// Has `event` called once for what comes next. An awake worker looks into the ring, and need not be
/// told of each frame.
fn watch(queue: &mut Queue, cookie: u64, cx: &Cx) -> Result<(), Failure> {
    cx.watch(queue.socket.as_fd(), epoll::IN | epoll::ONESHOT, cookie)?;
    queue.is_watched = true;
    Ok(())
}

impl Adaptor {
    /// Puts `device` into the graph.
    ///
    /// # Errors
    /// The kernel's, where its descriptors cannot be watched.
    pub(crate) fn new(options: PacketOptions, device: Device, cx: &Cx) -> Result<Self, Failure> {
        let bell = LinkBell::new()
            .map_err(|error| Failure::io("cannot listen for changes of interfaces", &error))?;
        let nic = NicCounters::new(cx);
        let mut adaptor = Adaptor {
            filter: Filter {
                mac: options.mac.unwrap_or(device.link.mac),
                promiscuous: options.promiscuous,
            },
            ability: Ability {
                caps: device::caps(),
                mtu: device.link.mtu,
            },
            options,
            device: None,
            bell,
            receiver: Receiver::default(),
            rx: RxCounters {
                nic,
                filtered: cx.counter(c"rx_filtered"),
                kernel_drops: cx.counter(c"rx_kernel_drops"),
            },
            tx: TxCounters {
                nic,
                link_down: cx.counter(c"tx_link_down"),
                too_long: cx.counter(c"tx_too_long"),
            },
            told: advert("", ""),
        };
        cx.watch(adaptor.bell.as_fd(), epoll::IN, BELL)?;
        adaptor.take(device, cx)?;
        cx.poller(true);
        adaptor.tell(cx);
        // What has changed between opening it and listening.
        adaptor.look(cx);
        let (number, name) = (cx.endpoint(), &adaptor.options.interface);
        let queues = adaptor.options.queues;
        cx.log(
            LOG_INFO,
            format_args!("en{number} is {name}, {queues} queue(s)"),
        );
        Ok(adaptor)
    }

    /// Looks what has become of the kernel's interface, and tells what is new.
    #[cold]
    fn look(&mut self, cx: &Cx) {
        let found = Link::find(&self.options.interface).ok();
        let ours = self.device.as_ref().map(|d| (d.link.index, d.mtu_max));
        // With longer frames it is opened anew: the ring is to hold them.
        let is_ours = |link: &Link| ours.is_some_and(|(n, mtu)| link.index == n && link.mtu <= mtu);
        match (found, &mut self.device) {
            (Some(link), Some(device)) if is_ours(&link) => device.link = link,
            (None, None) => return,
            (None, Some(_)) => {
                self.close(cx);
                let (name, number) = (&self.options.interface, cx.endpoint());
                cx.log(
                    LOG_WARNING,
                    format_args!("{name} has gone: en{number} is down until it is back"),
                );
            }
            (Some(_), _) => {
                self.close(cx);
                self.reopen(cx);
            }
        }
        self.tell(cx);
    }

    /// Opens the interface that has come back, or another of its name.
    fn reopen(&mut self, cx: &Cx) {
        let mut options = self.options.clone();
        options.promiscuous = self.filter.promiscuous;
        // It may be smaller than the first was, which is no reason to refuse it.
        options.mtu = None;
        let opened = Device::open(&options).and_then(|device| self.take(device, cx));
        let number = cx.endpoint();
        match opened {
            Ok(()) => cx.log(
                LOG_INFO,
                format_args!("en{number} is {} anew", options.interface),
            ),
            Err(failure) => cx.log(
                LOG_WARNING,
                format_args!("en{number} stays down: {failure}"),
            ),
        }
    }

    fn take(&mut self, mut device: Device, cx: &Cx) -> Result<(), Failure> {
        for (cookie, queue) in (QUEUES..).zip(&mut device.queues) {
            watch(queue, cookie, cx)?;
        }
        self.device = Some(device);
        Ok(())
    }

    fn close(&mut self, cx: &Cx) {
        for queue in self.device.take().iter().flat_map(|d| &d.queues) {
            rx::count_drops(queue, &self.rx);
            // Nothing to do about a failure: it is not watched then.
            let _ = cx.watch(queue.socket.as_fd(), 0, 0);
        }
    }

    /// Tells the layers above, where there is something new.
    fn tell(&mut self, cx: &Cx) {
        if let Some(device) = &self.device {
            self.filter.mac = self.options.mac.unwrap_or(device.link.mac);
            let mtu = self.options.mtu.unwrap_or(u32::MAX);
            self.ability.mtu = mtu.min(device.link.mtu);
        }
        let mut advert = advert(&format!("en{}", cx.endpoint()), "en");
        (advert.cell, advert.endpoint) = (cx.cell(), cx.endpoint());
        (advert.mtu, advert.gso_max, advert.caps) = (self.ability.mtu, GSO_MAX, self.ability.caps);
        advert.mac[..6].copy_from_slice(&self.filter.mac);
        advert.mac_len = 6;
        if !self.link_is_up() {
            advert.flags &= !ADVERT_LINK_UP;
        }
        if advert != self.told {
            self.told = advert;
            cx.dl_advert(&advert);
        }
    }

    fn link_is_up(&self) -> bool {
        self.device.as_ref().is_some_and(|device| device.link.is_up)
    }

    fn config(&self, cx: &Cx) -> NicConfig {
        let description = format!("Linux interface {}", self.options.interface);
        let (mac, mtu) = (self.filter.mac, self.ability.mtu);
        let mut config = nic_config(&description, mac, mtu, cx.endpoint());
        config.queues = self.options.queues as u32;
        if self.filter.promiscuous {
            config.flags |= NIC_PROMISCUOUS;
        }
        if !self.link_is_up() {
            config.flags |= NIC_LINK_DOWN;
        }
        config
    }

    fn stats(&self) -> NicStats {
        for queue in self.device.iter().flat_map(|device| &device.queues) {
            rx::count_drops(queue, &self.rx);
        }
        let mut stats = self.rx.nic.stats();
        stats.rx_failed_allocs += self.rx.kernel_drops.get();
        stats
    }

    fn set_promiscuous(&mut self, request: &[u8]) -> Result<usize, Failure> {
        let on = match request
            .first_chunk()
            .map(|bytes| u32::from_ne_bytes(*bytes))
        {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(Failure::new(EINVAL, "promiscuous mode is 0 or 1")),
        };
        if let Some(device) = self
            .device
            .as_ref()
            .filter(|_| on != self.filter.promiscuous)
        {
            device.set_promiscuous(on).map_err(|error| {
                let name = &self.options.interface;
                Failure::io(format_args!("cannot set {name}'s promiscuous mode"), &error)
            })?;
        }
        self.filter.promiscuous = on;
        Ok(0)
    }
}
