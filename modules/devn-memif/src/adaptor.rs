//! The registrant: what io-net calls. Home worker.

use crate::control::Control;
use crate::link::Link;
use crate::listener::{Call, Membership};
use crate::options::{MemifOptions, Role};
use crate::ring::Broken;
use crate::rx::{Origin, Receiver};
use crate::session::{Step, check_init};
use crate::tx;
use io_net_ddk::abi::{
    ADVERT_LINK_UP, CAP_CSUM, CAP_MULTICAST, CAP_TSO4, CAP_TSO6, CAP_USO, DEVCTL_GET_CONFIG,
    DEVCTL_GET_STATS, DEVCTL_LINK_STATE, LOG_INFO, LOG_WARNING, NIC_LINK_DOWN,
};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, advert, answer, answer_config, answer_stats, nic_config};
use io_net_os::epoll;
use io_net_os::seqpacket;
use std::os::fd::AsFd;

/// Cookies of watched descriptors; callers have theirs from [`CALLERS`] on.
const LISTENER: u64 = 0;
const INBOX: u64 = 1;
const CONTROL: u64 = 2;
const BELL: u64 = 3;
const CALLERS: u64 = 16;

/// Timers: a client tries again; a caller that says nothing is let go.
const RETRY: u32 = 0;
const PATIENCE: u32 = 1;
const RETRY_NS: u64 = 1_000_000_000;
const PATIENCE_NS: u64 = 5_000_000_000;

/// Callers that have not said yet whom they want, at most.
const CALLERS_MAX: usize = 8;

/// Segments as long as a packet can be are cut here.
const GSO_MAX: u32 = 65_535;

/// One interface over one memif link.
pub(crate) struct Adaptor {
    options: MemifOptions,
    membership: Option<Membership>,
    callers: [Option<Control>; CALLERS_MAX],
    control: Option<Control>,
    link: Option<Box<Link>>,
    receiver: Receiver,
    counters: NicCounters,
    tx_link_down: Counter,
    links_up: Counter,
}

impl Registrant for Adaptor {
    fn poll(&mut self, budget: usize, cx: &Cx) -> usize {
        let Some(link) = &mut self.link else {
            return 0;
        };
        let origin = Origin {
            cell: cx.cell(),
            endpoint: cx.endpoint(),
            mac: self.options.mac,
        };
        match self.receiver.burst(link, budget, origin, &self.counters) {
            Ok(n) => {
                cx.tx_up(self.receiver.up.take());
                n
            }
            Err(Broken) => {
                self.break_off(cx);
                0
            }
        }
    }

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        let Some(link) = &mut self.link else {
            return self.tx_link_down.add(burst.len() as u64);
        };
        if tx::burst(link, burst, self.options.mtu, &self.counters) == Err(Broken) {
            self.break_off(cx);
        }
    }

    fn arm(&mut self, sleeping: bool, cx: &Cx) -> bool {
        let Some(link) = &mut self.link else {
            return false;
        };
        match link.arm(sleeping) {
            Ok(waiting) => sleeping && waiting,
            Err(Broken) => {
                self.break_off(cx);
                false
            }
        }
    }

    fn event(&mut self, cookie: u64, _events: u32, cx: &Cx) -> bool {
        match cookie {
            LISTENER => self.answer_callers(cx),
            INBOX => {
                let calls = self.membership.as_ref().map(Membership::take_calls);
                for call in calls.into_iter().flatten() {
                    self.serve(call, cx);
                }
            }
            CONTROL => self.service_control(cx),
            BELL => {
                if let Some(link) = &self.link {
                    link.rx.bell.lower();
                }
                return true;
            }
            caller => self.hear_caller((caller - CALLERS) as usize, cx),
        }
        false
    }

    fn timer(&mut self, id: u32, _now_ns: u64, cx: &Cx) {
        match id {
            RETRY => self.connect(cx),
            _ => {
                for index in 0..CALLERS_MAX {
                    self.dismiss(index, Some("too slow"), cx);
                }
            }
        }
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], _: usize, cx: &Cx) -> Result<usize, Failure> {
        match cmd {
            DEVCTL_GET_CONFIG => answer_config(data, &self.config(cx)),
            DEVCTL_GET_STATS => answer_stats(data, &self.counters.stats()),
            DEVCTL_LINK_STATE => answer(data, &u32::from(self.link.is_some()).to_ne_bytes()),
            _ => {
                let text = format!("devn-memif has no devctl {cmd}");
                Err(Failure::new(EOPNOTSUPP, text))
            }
        }
    }

    fn quiesce(&mut self, cx: &Cx) {
        for index in 0..CALLERS_MAX {
            self.dismiss(index, Some("the interface is going"), cx);
        }
        self.end(Some("the interface is going"), cx);
        cx.cancel_timer(RETRY);
        cx.cancel_timer(PATIENCE);
        if let Some(membership) = self.membership.take() {
            let _ = cx.watch(membership.socket(), 0, LISTENER);
            let _ = cx.watch(membership.bell(), 0, INBOX);
        }
        self.receiver.release();
    }
}

impl Adaptor {
    /// Puts an interface into the graph; its link comes up when the peer is there.
    ///
    /// # Errors
    /// A server's socket cannot be had.
    pub(crate) fn new(options: MemifOptions, cx: &Cx) -> Result<Adaptor, Failure> {
        let membership = match options.role {
            Role::Client => None,
            Role::Server => Some(Membership::join(&options.socket, options.id)?),
        };
        if let Some(membership) = &membership {
            cx.watch(membership.socket(), epoll::IN, LISTENER)?;
            cx.watch(membership.bell(), epoll::IN, INBOX)?;
        } else {
            cx.timer(RETRY, cx.now_ns());
        }
        let adaptor = Adaptor {
            options,
            membership,
            callers: [const { None }; CALLERS_MAX],
            control: None,
            link: None,
            receiver: Receiver::default(),
            counters: NicCounters::new(cx),
            tx_link_down: cx.counter(c"tx_link_down"),
            links_up: cx.counter(c"links_up"),
        };
        cx.dl_advert(&adaptor.advert(cx));
        Ok(adaptor)
    }

    fn advert(&self, cx: &Cx) -> Advert {
        let mut advert = advert(&format!("en{}", cx.endpoint()), "en");
        (advert.cell, advert.endpoint) = (cx.cell(), cx.endpoint());
        advert.flags = if self.link.is_some() {
            ADVERT_LINK_UP
        } else {
            0
        };
        advert.mac[..6].copy_from_slice(&self.options.mac);
        (advert.mac_len, advert.mtu) = (6, self.options.mtu);
        advert.gso_max = GSO_MAX;
        // Done here in software, at the last moment.
        advert.caps = CAP_CSUM | CAP_TSO4 | CAP_TSO6 | CAP_USO | CAP_MULTICAST;
        advert
    }

    fn config(&self, cx: &Cx) -> NicConfig {
        let description = format!("memif {} id {}", self.options.socket, self.options.id);
        let mac = self.options.mac;
        let mut config = nic_config(&description, mac, self.options.mtu, cx.endpoint());
        if self.link.is_none() {
            config.flags |= NIC_LINK_DOWN;
        }
        config
    }

    /// Accepts those who call, as far as there is room for them.
    fn answer_callers(&mut self, cx: &Cx) {
        let Some(membership) = &self.membership else {
            return;
        };
        while let Ok(fd) = membership.accept() {
            let Some(index) = self.callers.iter().position(Option::is_none) else {
                // Dropping it hangs up.
                continue;
            };
            let caller = Control::caller(fd);
            let cookie = CALLERS + index as u64;
            if caller.greet() && cx.watch(caller.fd(), epoll::IN, cookie).is_ok() {
                self.callers[index] = Some(caller);
                cx.timer(PATIENCE, cx.now_ns() + PATIENCE_NS);
            }
        }
    }

    /// Hears which link a caller wants.
    fn hear_caller(&mut self, index: usize, cx: &Cx) {
        let caller = self.callers.get_mut(index).and_then(Option::as_mut);
        let heard = match caller.map(|caller| caller.receive()) {
            None | Some(Ok(None)) => return,
            Some(Ok(Some((message, _)))) => message,
            Some(Err(reason)) => return self.dismiss(index, reason.as_deref(), cx),
        };
        let Some(caller) = self.callers[index].take() else {
            return;
        };
        let _ = cx.watch(caller.fd(), 0, CALLERS + index as u64);
        let call = Call {
            fd: caller.into_fd(),
            init: heard,
        };
        let other = match (&call.init, &self.membership) {
            (crate::message::Message::Init { id, .. }, Some(m)) if *id != self.options.id => {
                Some((*id, m))
            }
            _ => None,
        };
        let call = match other {
            Some((id, membership)) => match membership.pass_on(id, call) {
                Ok(()) => return,
                Err(call) => call,
            },
            None => call,
        };
        self.serve(call, cx);
    }

    /// Lets a caller go.
    fn dismiss(&mut self, index: usize, reason: Option<&str>, cx: &Cx) {
        if let Some(caller) = self.callers.get_mut(index).and_then(Option::take) {
            let _ = cx.watch(caller.fd(), 0, CALLERS + index as u64);
            caller.hang_up(reason);
        }
    }

    /// Begins a link with a caller that wants this one.
    fn serve(&mut self, call: Call, cx: &Cx) {
        // The old peer may have gone without our having heard of it yet.
        self.service_control(cx);
        let control = Control::serving(call.fd);
        let fits = match self.control {
            Some(_) => Err("already connected".to_owned()),
            None => check_init(&self.options, &call.init),
        };
        if let Err(reason) = fits {
            cx.log(
                LOG_WARNING,
                format_args!("a memif peer was refused: {reason}"),
            );
            return control.hang_up(Some(&reason));
        }
        if control.acknowledge() && cx.watch(control.fd(), epoll::IN, CONTROL).is_ok() {
            self.control = Some(control);
        }
    }

    /// As a client, calls the server; tries again later where nobody answers.
    fn connect(&mut self, cx: &Cx) {
        if self.control.is_some() || self.options.role != Role::Client {
            return;
        }
        cx.timer(RETRY, cx.now_ns() + RETRY_NS);
        let Ok(fd) = seqpacket::connect(&self.options.socket) else {
            return;
        };
        let control = Control::connecting(fd, &self.options);
        if cx.watch(control.fd(), epoll::IN, CONTROL).is_ok() {
            self.control = Some(control);
        }
    }

    /// Takes what the peer has said.
    fn service_control(&mut self, cx: &Cx) {
        while let Some(control) = &mut self.control {
            let (message, fd) = match control.receive() {
                Ok(Some(heard)) => heard,
                Ok(None) => return,
                Err(reason) => return self.end(reason.as_deref(), cx),
            };
            match control.handle(message, fd) {
                Ok(Step::Say(_)) => {}
                Ok(Step::Up(_, link)) => self.come_up(link, cx),
                Ok(Step::Over(reason)) => {
                    cx.log(LOG_INFO, format_args!("the memif peer left: {reason}"));
                    return self.end(None, cx);
                }
                Err(reason) => {
                    cx.log(LOG_WARNING, format_args!("the memif link failed: {reason}"));
                    return self.end(Some(&reason), cx);
                }
            }
        }
    }

    fn come_up(&mut self, link: Box<Link>, cx: &Cx) {
        if cx.watch(link.rx.bell.as_fd(), epoll::IN, BELL).is_err() {
            return self.end(Some("cannot watch the ring's descriptor"), cx);
        }
        self.link = Some(link);
        self.links_up.add(1);
        cx.poller(true);
        cx.dl_advert(&self.advert(cx));
    }

    /// The peer has broken the rules of the rings.
    #[cold]
    fn break_off(&mut self, cx: &Cx) {
        let reason = "a ring's index is out of range";
        cx.log(
            LOG_WARNING,
            format_args!("the memif link is ended: {reason}"),
        );
        self.end(Some(reason), cx);
    }

    /// Ends the link, or the beginnings of one; a client will try again.
    fn end(&mut self, reason: Option<&str>, cx: &Cx) {
        if let Some(control) = self.control.take() {
            let _ = cx.watch(control.fd(), 0, CONTROL);
            control.hang_up(reason);
        }
        if let Some(link) = self.link.take() {
            let _ = cx.watch(link.rx.bell.as_fd(), 0, BELL);
            cx.poller(false);
            cx.dl_advert(&self.advert(cx));
        }
        if self.options.role == Role::Client {
            cx.timer(RETRY, cx.now_ns() + RETRY_NS);
        }
    }
}
