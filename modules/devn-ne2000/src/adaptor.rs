//! The registrant: what io-net calls. Home worker.

use crate::card::{Card, Power};
use crate::chip::Chip;
use crate::counters::Counters;
use crate::interrupt::Interrupt;
use crate::options::NeOptions;
use crate::pace::Pace;
use crate::ports::Ports;
use crate::rx::Filter;
use io_net_ddk::abi::{
    ADVERT_LINK_UP, Advert, CAP_MULTICAST, DEVCTL_GET_CONFIG, DEVCTL_GET_STATS, DEVCTL_LINK_STATE,
    DEVCTL_PROMISCUOUS, LOG_INFO, LOG_WARNING, NIC_LINK_DOWN, NIC_PROMISCUOUS, NPKT_MSG,
};
use io_net_ddk::errno::{EINVAL, EOPNOTSUPP};
use io_net_ddk::prelude::*;
use io_net_ddk::{advert, answer, answer_config, answer_stats, nic_config};
use io_net_os::epoll;
use std::os::fd::AsFd;

/// The timer that wakes the worker to look.
const LOOK: u32 = 0;
/// Kbit/s: the chip knows no other.
const MEDIA_RATE: u32 = 10_000;

/// One interface: a card.
pub(crate) struct Adaptor<P: Ports> {
    // In this order: the chip stops before the card is given back.
    chip: Chip<P>,
    interrupt: Option<Interrupt>,
    _power: Option<Power>,
    pace: Pace,
    counters: Counters,
    name: String,
    port: u16,
    irq: i32,
    permanent_mac: [u8; 6],
    mtu: u32,
    /// Whether the layers above know it to be up.
    told_up: bool,
}

impl<P: Ports> Registrant for Adaptor<P> {
    fn poll(&mut self, budget: usize, cx: &Cx) -> usize {
        let now_ns = cx.now_ns();
        if !self.pace.is_due(now_ns) {
            return 0;
        }
        let done = self.chip.look(now_ns, budget, &self.counters, cx);
        let within = self.chip.deadline_ns();
        let is_sending = self.chip.tx.is_busy();
        self.pace.looked(now_ns, done > 0, is_sending, within);
        if self.chip.is_there() != self.told_up {
            self.tell(cx);
        }
        done
    }

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        for packet in burst {
            if packet.flags() & NPKT_MSG != 0 {
                continue;
            }
            match self.chip.is_there() {
                true => self.chip.tx.push(packet, self.mtu, &self.counters),
                false => self.counters.tx_link_down.add(1),
            }
        }
        self.chip.transmit(cx.now_ns(), &self.counters);
        self.pace.hurry();
    }

    fn arm(&mut self, sleeping: bool, cx: &Cx) -> bool {
        if !sleeping {
            return false;
        }
        cx.timer(LOOK, self.pace.due_ns());
        // Where nothing can be heard, it is looked at a little more often.
        let heard = self.interrupt.as_mut().map(Interrupt::listen);
        if let Some(Err(error)) = heard {
            let number = cx.endpoint();
            cx.log(
                LOG_WARNING,
                format_args!("en{number} is polled from now on: no interrupts: {error}"),
            );
            self.stop_listening(cx);
        }
        false
    }

    fn event(&mut self, _cookie: u64, events: u32, cx: &Cx) -> bool {
        if let Some(interrupt) = &mut self.interrupt {
            self.counters.interrupts.add(1);
            interrupt.hush();
        }
        if events & epoll::ERR != 0 {
            self.stop_listening(cx);
        }
        self.pace.hurry();
        false
    }

    fn timer(&mut self, _id: u32, _now_ns: u64, _cx: &Cx) {
        // It was to wake the worker, which polls now.
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        match cmd {
            DEVCTL_GET_CONFIG => answer_config(data, &self.config(cx)),
            DEVCTL_GET_STATS => answer_stats(data, &self.stats()),
            DEVCTL_LINK_STATE => answer(data, &u32::from(self.told_up).to_ne_bytes()),
            DEVCTL_PROMISCUOUS => self.set_promiscuous(data.get(..len).unwrap_or_default()),
            _ => Err(Failure::new(
                EOPNOTSUPP,
                format!("devn-ne2000 has no devctl {cmd}"),
            )),
        }
    }

    fn quiesce(&mut self, cx: &Cx) {
        cx.poller(false);
        cx.cancel_timer(LOOK);
        self.unwatch(cx);
        self.chip.tally(&self.counters);
        self.chip.stop();
        self.counters.nic.tx_no_room.add(self.chip.tx.release());
    }
}

impl<P: Ports> Adaptor<P> {
    /// Starts `card`, and puts it into the graph.
    ///
    /// # Errors
    /// The kernel's, where its interrupts cannot be watched.
    pub(crate) fn new(options: &NeOptions, card: Card<P>, cx: &Cx) -> Result<Self, Failure> {
        let mac = options.mac.unwrap_or(card.found.mac);
        let filter = Filter {
            mac,
            promiscuous: options.promiscuous,
            any_station: mac != card.found.mac,
            groups: options.groups.clone(),
        };
        if let Some(interrupt) = &card.interrupt {
            cx.watch(interrupt.as_fd(), epoll::IN, 0)?;
        }
        log(options, &card, cx);
        let mut adaptor = Adaptor {
            chip: Chip::new(card.ports, card.found.layout, filter),
            pace: Pace::new(card.interrupt.is_some()),
            interrupt: card.interrupt,
            _power: card.power,
            counters: Counters::new(cx),
            name: card.name,
            port: card.port,
            irq: card.irq,
            permanent_mac: card.found.mac,
            mtu: options.mtu,
            told_up: false,
        };
        adaptor.chip.start();
        cx.poller(true);
        adaptor.tell(cx);
        Ok(adaptor)
    }

    /// Goes on without interrupts.
    #[cold]
    fn stop_listening(&mut self, cx: &Cx) {
        self.unwatch(cx);
        self.interrupt = None;
        self.pace.poll_only();
    }

    fn unwatch(&self, cx: &Cx) {
        if let Some(interrupt) = &self.interrupt {
            // Nothing to do about a failure: it is not watched then.
            let _ = cx.watch(interrupt.as_fd(), 0, 0);
        }
    }

    /// Tells the layers above.
    fn tell(&mut self, cx: &Cx) {
        self.told_up = self.chip.is_there();
        let number = cx.endpoint();
        let mut advert: Advert = advert(&format!("en{number}"), "en");
        (advert.cell, advert.endpoint) = (cx.cell(), number);
        (advert.mtu, advert.caps) = (self.mtu, CAP_MULTICAST);
        advert.mac[..6].copy_from_slice(&self.chip.filter().mac);
        advert.mac_len = 6;
        if !self.told_up {
            advert.flags &= !ADVERT_LINK_UP;
            let name = &self.name;
            cx.log(
                LOG_WARNING,
                format_args!("en{number} is down: {name} does not answer"),
            );
        }
        cx.dl_advert(&advert);
    }

    fn config(&self, cx: &Cx) -> NicConfig {
        let filter = self.chip.filter();
        let mut config = nic_config(&self.name, filter.mac, self.mtu, cx.endpoint());
        config.permanent_address[..6].copy_from_slice(&self.permanent_mac);
        (config.media_rate, config.duplex) = (MEDIA_RATE, 0);
        (config.io_port, config.irq) = (self.port.into(), self.irq);
        if filter.promiscuous {
            config.flags |= NIC_PROMISCUOUS;
        }
        if !self.told_up {
            config.flags |= NIC_LINK_DOWN;
        }
        config
    }

    fn stats(&mut self) -> NicStats {
        self.chip.tally(&self.counters);
        let counters = &self.counters;
        let mut stats = counters.nic.stats();
        stats.rx_failed_allocs += counters.rx_missed.get();
        stats.rx_errors += counters.rx_too_long.get();
        stats.tx_errors += counters.tx_too_long.get();
        stats
    }

    fn set_promiscuous(&mut self, request: &[u8]) -> Result<usize, Failure> {
        let on = match request.first_chunk().map(|b| u32::from_ne_bytes(*b)) {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(Failure::new(EINVAL, "promiscuous mode is 0 or 1")),
        };
        self.chip.set_promiscuous(on);
        Ok(0)
    }
}

/// Says what the card is, and with `verbose=` more of it.
fn log<P>(options: &NeOptions, card: &Card<P>, cx: &Cx) {
    let (number, name) = (cx.endpoint(), &card.name);
    let way = match &card.interrupt {
        Some(_) => "by interrupts",
        None => "polled",
    };
    cx.log(LOG_INFO, format_args!("en{number} is {name}, {way}"));
    if options.verbose == 0 {
        return;
    }
    if let Some(why) = &card.polled {
        cx.log(LOG_INFO, format_args!("en{number} is polled: {why}"));
    }
    if !card.found.signed {
        cx.log(
            LOG_INFO,
            format_args!("en{number}: its PROM lacks an NE2000's signature"),
        );
    }
    if options.verbose > 1 {
        let (layout, irq) = (card.found.layout, card.irq);
        cx.log(
            LOG_INFO,
            format_args!(
                "en{number}: irq {irq}, {:?}, pages {layout:?}",
                card.found.mac
            ),
        );
    }
}
