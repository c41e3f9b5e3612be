//! The registrant: what io-net calls. Home worker.

use crate::device::{Device, Queue};
use crate::options::XdpOptions;
use crate::rx::{self, Filter, RxCounters};
use crate::tx::{self, Ability, Sender, TxCounters};
use crate::umem::PoolMemory;
use io_net_ddk::abi::{
    ADVERT_LINK_UP, Advert, CAP_CSUM, CAP_MULTICAST, CAP_TSO4, CAP_TSO6, CAP_USO,
    DEVCTL_GET_CONFIG, DEVCTL_GET_STATS, DEVCTL_LINK_STATE, DEVCTL_PROMISCUOUS, LOG_INFO,
    LOG_WARNING, NIC_LINK_DOWN, NIC_PROMISCUOUS,
};
use io_net_ddk::errno::{EBUSY, EINVAL, EOPNOTSUPP};
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, advert, answer, answer_config, answer_stats, nic_config};
use io_net_os::bpf::Hook;
use io_net_os::epoll;
use io_net_os::link::{Link, LinkBell};
use io_net_os::xdp::XdpCounts;
use io_net_os::xdp_ring::Desc;
use std::os::fd::AsFd;

/// Segments as long as a packet can be are cut here.
const GSO_MAX: u32 = 65_535;
/// Cookie of the watched bell; the queues have theirs from [`QUEUES`] on.
const BELL: u64 = 0;
const QUEUES: u64 = 1;

/// Timers: the kernel's counts are looked up after traffic; what could not be done is tried again.
const COUNTS: u32 = 0;
const RETRY: u32 = 1;
const REOPEN: u32 = 2;
const COUNTS_NS: u64 = 200_000_000;
const RETRY_NS: u64 = 1_000_000;
const REOPEN_NS: u64 = 10_000_000;

/// One interface over some flows of one of the kernel's.
pub(crate) struct Adaptor {
    options: XdpOptions,
    memory: PoolMemory,
    /// None while the kernel has no interface of that name.
    device: Option<Device>,
    bell: LinkBell,
    filter: Filter,
    ability: Ability,
    /// Buffers for the next frames.
    spare: BurstBuf,
    descs: Vec<Desc>,
    rx: RxCounters,
    tx: TxCounters,
    kernel: KernelCounters,
    /// The timer for the kernel's counts runs.
    counting: bool,
    /// What was last told of the interface.
    told: Advert,
}

impl Registrant for Adaptor {
    fn poll(&mut self, budget: usize, cx: &Cx) -> usize {
        let Some(device) = &mut self.device else {
            return 0;
        };
        let mut taken = 0;
        for queue in &mut device.queues {
            if self.options.busy_poll.is_some() && queue.rings.rx.ready() == 0 {
                // Nothing to do about a failure: what is wrong is told otherwise.
                let _ = queue.socket.wake_rx();
            }
            taken += rx::burst(queue, budget, self.filter, &self.rx, cx);
            rx::refill(queue, &self.memory, &mut self.spare, &self.rx);
            tx::reap(queue);
        }
        if taken > 0 && !self.counting {
            self.counting = true;
            cx.timer(COUNTS, cx.now_ns() + COUNTS_NS);
        }
        taken
    }

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        let up = self.device.as_mut().filter(|device| device.link.is_up);
        let Some(queue) = up.and_then(|device| device.queues.first_mut()) else {
            return self.tx.link_down.add(burst.len() as u64);
        };
        let sender = Sender {
            queue,
            memory: &self.memory,
            ability: self.ability,
            counters: &self.tx,
            descs: &mut self.descs,
        };
        if sender.burst(burst) {
            cx.timer(RETRY, cx.now_ns() + RETRY_NS);
        }
    }

    fn arm(&mut self, sleeping: bool, cx: &Cx) -> bool {
        let mut queues = self.device.iter().flat_map(|device| &device.queues);
        if !sleeping {
            return false;
        }
        // Without a buffer for the next frame nothing would wake us.
        if queues.clone().any(|queue| queue.filled.count == 0) {
            cx.timer(RETRY, cx.now_ns() + RETRY_NS);
        }
        queues.any(|queue| queue.rings.rx.ready() > 0)
    }

    fn event(&mut self, cookie: u64, events: u32, cx: &Cx) -> bool {
        if cookie == BELL {
            self.bell.hush();
            self.look(cx);
            return false;
        }
        let index = (cookie - QUEUES) as usize;
        let queue = self.device.as_ref().and_then(|d| d.queues.get(index));
        // The interface has gone.
        if events & epoll::ERR != 0 && queue.is_some_and(|q| q.socket.take_error().is_some()) {
            self.look(cx);
        }
        // What has come is polled for.
        false
    }

    fn timer(&mut self, id: u32, now_ns: u64, cx: &Cx) {
        match id {
            COUNTS => {
                self.counting = false;
                return self.count();
            }
            REOPEN => return self.look(cx),
            _ => {}
        }
        let Some(device) = &mut self.device else {
            return;
        };
        for queue in &mut device.queues {
            rx::refill(queue, &self.memory, &mut self.spare, &self.rx);
        }
        let backlog =
            |queue: &mut Queue| queue.rings.tx.waiting() > 0 && tx::flush(queue, &self.tx);
        if device.link.is_up && device.queues.first_mut().is_some_and(backlog) {
            cx.timer(RETRY, now_ns + RETRY_NS);
        }
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        match cmd {
            DEVCTL_GET_CONFIG => answer_config(data, &self.config(cx)),
            DEVCTL_GET_STATS => answer_stats(data, &self.stats()),
            DEVCTL_LINK_STATE => answer(data, &u32::from(self.link_is_up()).to_ne_bytes()),
            DEVCTL_PROMISCUOUS => self.set_promiscuous(data.get(..len).unwrap_or_default()),
            _ => Err(Failure::new(
                EOPNOTSUPP,
                format!("devn-xdp has no devctl {cmd}"),
            )),
        }
    }

    fn quiesce(&mut self, cx: &Cx) {
        cx.poller(false);
        cx.cancel_timer(COUNTS);
        cx.cancel_timer(RETRY);
        cx.cancel_timer(REOPEN);
        // Nothing to do about a failure: it is not watched then.
        let _ = cx.watch(self.bell.as_fd(), 0, 0);
        self.close(cx);
        self.spare = BurstBuf::new();
    }
}

impl Adaptor {
    /// Puts `device` into the graph.
    ///
    /// # Errors
    /// The kernel's, where its descriptors cannot be watched.
    pub(crate) fn new(
        options: XdpOptions,
        memory: PoolMemory,
        device: Device,
        cx: &Cx,
    ) -> Result<Self, Failure> {
        let bell = LinkBell::new()
            .map_err(|error| Failure::io("cannot listen for changes of interfaces", &error))?;
        let nic = NicCounters::new(cx);
        let mut adaptor = Adaptor {
            filter: Filter {
                mac: options.mac.unwrap_or(device.link.mac),
                promiscuous: options.promiscuous,
            },
            ability: Ability {
                mtu: device.link.mtu,
                multi: device.multi,
            },
            options,
            memory,
            device: None,
            bell,
            spare: BurstBuf::new(),
            descs: Vec::with_capacity(io_net_ddk::abi::BURST_MAX),
            rx: RxCounters {
                nic,
                filtered: cx.counter(c"rx_filtered"),
            },
            tx: TxCounters {
                nic,
                link_down: cx.counter(c"tx_link_down"),
                too_long: cx.counter(c"tx_too_long"),
                copied: cx.counter(c"tx_copied"),
            },
            kernel: KernelCounters::new(cx),
            counting: false,
            told: advert("", ""),
        };
        cx.watch(adaptor.bell.as_fd(), epoll::IN, BELL)?;
        adaptor.take(device, cx)?;
        cx.poller(true);
        adaptor.tell(cx);
        // What has changed between opening it and listening.
        adaptor.look(cx);
        adaptor.greet(cx);
        Ok(adaptor)
    }

    /// Says what has been opened, and how.
    fn greet(&self, cx: &Cx) {
        let Some(device) = &self.device else { return };
        let (number, name) = (cx.endpoint(), &self.options.interface);
        let socket = device.queues.first().map(|queue| &queue.socket);
        let how = match socket.is_some_and(|socket| socket.is_zero_copy().unwrap_or(false)) {
            true => "without copies",
            false => "with one copy by the kernel",
        };
        let hook = match device.hook {
            Hook::Native => "in its driver",
            Hook::Generic => "behind its driver",
        };
        let queues = device.queues.len();
        cx.log(
            LOG_INFO,
            format_args!("en{number} is part of {name}: {queues} queue(s), {how}, steered {hook}"),
        );
    }

    /// Looks what has become of the kernel's interface, and tells what is new.
    #[cold]
    fn look(&mut self, cx: &Cx) {
        let found = Link::find(&self.options.interface).ok();
        match (found, &mut self.device) {
            (Some(link), Some(device)) if device.serves(&link) => device.link = link,
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
        let opened = Device::open(&options, &self.memory);
        match opened.and_then(|device| self.take(device, cx)) {
            Ok(()) => self.greet(cx),
            // The kernel has not let go of what was closed just now.
            Err(failure) if failure.errno == EBUSY => {
                cx.timer(REOPEN, cx.now_ns() + REOPEN_NS);
            }
            Err(failure) => {
                let number = cx.endpoint();
                cx.log(
                    LOG_WARNING,
                    format_args!("en{number} stays down: {failure}"),
                );
            }
        }
    }

    fn take(&mut self, mut device: Device, cx: &Cx) -> Result<(), Failure> {
        for (cookie, queue) in (QUEUES..).zip(&mut device.queues) {
            cx.watch(queue.socket.as_fd(), epoll::IN, cookie)?;
            rx::refill(queue, &self.memory, &mut self.spare, &self.rx);
        }
        self.ability.multi = device.multi;
        self.device = Some(device);
        self.kernel.seen = XdpCounts::default();
        Ok(())
    }

    /// Closes the sockets; what the kernel had of ours is released with them.
    fn close(&mut self, cx: &Cx) {
        self.count();
        let device = self.device.take();
        for queue in device.iter().flat_map(|device| &device.queues) {
            // Nothing to do about a failure: it is not watched then.
            let _ = cx.watch(queue.socket.as_fd(), 0, 0);
        }
    }

    /// Tells the layers above, where there is something new.
    fn tell(&mut self, cx: &Cx) {
        if let Some(device) = &self.device {
            self.filter.mac = self.options.mac.unwrap_or(device.link.mac);
            let mtu = self.options.mtu.unwrap_or(u32::MAX);
            self.ability.mtu = mtu.min(device.link.mtu).min(device.mtu_max);
        }
        let mut advert = advert(&format!("en{}", cx.endpoint()), "en");
        (advert.cell, advert.endpoint) = (cx.cell(), cx.endpoint());
        (advert.mtu, advert.gso_max) = (self.ability.mtu, GSO_MAX);
        // Done here in software, at the last moment.
        advert.caps = CAP_CSUM | CAP_TSO4 | CAP_TSO6 | CAP_USO | CAP_MULTICAST;
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
        let description = format!("part of Linux interface {}", self.options.interface);
        let (mac, mtu) = (self.filter.mac, self.ability.mtu);
        let mut config = nic_config(&description, mac, mtu, cx.endpoint());
        config.queues = self.device.as_ref().map_or(0, |d| d.queues.len() as u32);
        if self.filter.promiscuous {
            config.flags |= NIC_PROMISCUOUS;
        }
        if !self.link_is_up() {
            config.flags |= NIC_LINK_DOWN;
        }
        config
    }

    fn stats(&mut self) -> NicStats {
        self.count();
        let mut stats = self.rx.nic.stats();
        let lost = self.kernel.rx_ring_full.get() + self.kernel.rx_dropped.get();
        stats.rx_failed_allocs += lost;
        stats
    }

    /// Adds what the kernel has counted since this was last done.
    fn count(&mut self) {
        let queues = self.device.iter().flat_map(|device| &device.queues);
        let counts = queues.filter_map(|queue| queue.socket.counts().ok());
        let now = counts.fold(XdpCounts::default(), |a, b| a + b);
        if self.device.is_some() {
            self.kernel.add(now);
        }
    }

    fn set_promiscuous(&mut self, request: &[u8]) -> Result<usize, Failure> {
        let number = request.first_chunk().map(|n| u32::from_ne_bytes(*n));
        let on = match number {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(Failure::new(EINVAL, "promiscuous mode is 0 or 1")),
        };
        let device = self.device.as_ref();
        if let Some(device) = device.filter(|_| on != self.filter.promiscuous) {
            device.set_promiscuous(on).map_err(|error| {
                let name = &self.options.interface;
                Failure::io(format_args!("cannot set {name}'s promiscuous mode"), &error)
            })?;
        }
        self.filter.promiscuous = on;
        Ok(0)
    }
}

/// The kernel's counts under our names, and how much of them has been added.
struct KernelCounters {
    rx_dropped: Counter,
    rx_ring_full: Counter,
    fill_ring_empty: Counter,
    rx_invalid: Counter,
    tx_invalid: Counter,
    tx_ring_empty: Counter,
    seen: XdpCounts,
}

impl KernelCounters {
    fn new(cx: &Cx) -> Self {
        KernelCounters {
            rx_dropped: cx.counter(c"rx_dropped"),
            rx_ring_full: cx.counter(c"rx_ring_full"),
            fill_ring_empty: cx.counter(c"fill_ring_empty"),
            rx_invalid: cx.counter(c"rx_invalid_descs"),
            tx_invalid: cx.counter(c"tx_invalid_descs"),
            tx_ring_empty: cx.counter(c"tx_ring_empty"),
            seen: XdpCounts::default(),
        }
    }

    fn add(&mut self, now: XdpCounts) {
        let new = |now: u64, seen: u64| now.saturating_sub(seen);
        let seen = std::mem::replace(&mut self.seen, now);
        self.rx_dropped.add(new(now.rx_dropped, seen.rx_dropped));
        self.rx_ring_full
            .add(new(now.rx_ring_full, seen.rx_ring_full));
        self.fill_ring_empty
            .add(new(now.fill_ring_empty, seen.fill_ring_empty));
        self.rx_invalid.add(new(now.rx_invalid, seen.rx_invalid));
        self.tx_invalid.add(new(now.tx_invalid, seen.tx_invalid));
        self.tx_ring_empty
            .add(new(now.tx_ring_empty, seen.tx_ring_empty));
    }
}
