//! The registrant: what io-net calls. Home worker.

use crate::link::Link;
use crate::meeting::{ANSWER, LISTENER, Meeting, Outcome, SEEK, SOCKET};
use crate::options::PipeOptions;
use crate::ring::Corrupt;
use io_net_ddk::abi::{
    ADVERT_LINK_UP, Advert, CAP_CSUM, CAP_MULTICAST, CAP_TSO4, CAP_TSO6, CAP_USO,
    DEVCTL_GET_CONFIG, DEVCTL_GET_STATS, DEVCTL_LINK_STATE, LOG_INFO, LOG_WARNING, NIC_LINK_DOWN,
    NIC_PROMISCUOUS,
};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;
use io_net_ddk::{NicCounters, advert, answer, answer_config, answer_stats, nic_config};
use io_net_os::epoll;

/// The largest super-segment that crosses, in bytes.
const GSO_MAX: u32 = 65_535;
/// Metadata crosses beside the frame, so whatever is undone may stay so.
const CAPS: u32 = CAP_CSUM | CAP_TSO4 | CAP_TSO6 | CAP_USO | CAP_MULTICAST;
/// Cookie of our bell.
const BELL: u64 = 2;

/// One end of a link, with a link or in want of one.
pub(crate) struct Adaptor {
    mac: [u8; 6],
    /// Our own; a link has the lesser of the two ends'.
    mtu: u32,
    link_mtu: u32,
    link: Option<Box<Link>>,
    /// None where the other end is in this process.
    meeting: Option<Meeting>,
    counters: NicCounters,
    /// Packets not sent because there was no link.
    tx_link_down: Counter,
    /// Links that have come up.
    links: Counter,
    /// Links given up because the other end wrote what cannot be.
    corrupt: Counter,
}

impl Registrant for Adaptor {
    fn poll(&mut self, budget: usize, cx: &Cx) -> usize {
        let Some(link) = &mut self.link else { return 0 };
        let done = link.receive(budget, self.mac, &self.counters, cx);
        match done.and_then(|taken| Ok(taken + link.resume(&self.counters)?)) {
            Ok(done) => done,
            Err(Corrupt) => self.give_up(cx),
        }
    }

    fn rx_down(&mut self, burst: Burst, cx: &Cx) {
        let Some(link) = &mut self.link else {
            self.tx_link_down.add(burst.len() as u64);
            return;
        };
        if link.send(burst, &self.counters).is_err() {
            self.give_up(cx);
        }
    }

    fn arm(&mut self, sleeping: bool, cx: &Cx) -> bool {
        let Some(link) = &mut self.link else {
            return false;
        };
        match link.arm(sleeping) {
            Ok(work) => work,
            Err(Corrupt) => self.give_up(cx) != 0,
        }
    }

    fn event(&mut self, cookie: u64, _events: u32, cx: &Cx) -> bool {
        match (cookie, &mut self.meeting, &self.link) {
            (BELL, _, Some(link)) => {
                link.hush();
                return self.poll(io_net_ddk::abi::BURST_MAX, cx) > 0;
            }
            (LISTENER, Some(meeting), _) => meeting.accept(cx),
            (SOCKET, Some(meeting), _) => match meeting.hear(cx) {
                Outcome::Nothing => {}
                Outcome::Joined(link, mtu) => self.join(link, mtu, cx),
                Outcome::Left => self.part(cx),
            },
            _ => {}
        }
        false
    }

    fn timer(&mut self, id: u32, _now_ns: u64, cx: &Cx) {
        match (id, &mut self.meeting) {
            (SEEK, Some(meeting)) => meeting.seek(cx),
            (ANSWER, Some(meeting)) => meeting.out_of_patience(cx),
            _ => {}
        }
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        let _ = len;
        match cmd {
            DEVCTL_GET_CONFIG => answer_config(data, &self.config(cx)),
            DEVCTL_GET_STATS => answer_stats(data, &self.counters.stats()),
            DEVCTL_LINK_STATE => answer(data, &u32::from(self.link.is_some()).to_ne_bytes()),
            _ => {
                let text = format!("devn-pipe has no devctl {cmd}");
                Err(Failure::new(EOPNOTSUPP, text))
            }
        }
    }

    fn quiesce(&mut self, cx: &Cx) {
        self.drop_link(cx);
        if let Some(meeting) = &mut self.meeting {
            meeting.close(cx);
        }
    }
}

impl Adaptor {
    /// An end without a link.
    pub(crate) fn new(options: &PipeOptions, mac: [u8; 6], cx: &Cx) -> Self {
        Adaptor {
            mac,
            mtu: options.mtu,
            link_mtu: options.mtu,
            link: None,
            meeting: None,
            counters: NicCounters::new(cx),
            tx_link_down: cx.counter(c"tx_link_down"),
            links: cx.counter(c"links"),
            corrupt: cx.counter(c"links_corrupt"),
        }
    }

    /// Goes to look for the other end.
    pub(crate) fn meet(&mut self, meeting: Meeting, cx: &Cx) {
        self.meeting = Some(meeting);
        cx.dl_advert(&self.advert(cx));
    }

    /// There is a link.
    pub(crate) fn join(&mut self, link: Box<Link>, mtu: u32, cx: &Cx) {
        let number = cx.endpoint();
        if let Err(failure) = cx.watch(link.bell(), epoll::IN, BELL) {
            cx.log(LOG_WARNING, format_args!("en{number}: {failure}"));
            return self.part(cx);
        }
        (self.link, self.link_mtu) = (Some(link), mtu);
        cx.poller(true);
        self.links.add(1);
        cx.dl_advert(&self.advert(cx));
        cx.log(LOG_INFO, format_args!("en{number} is up, mtu {mtu}"));
    }

    /// The other end has gone, or is to go.
    fn part(&mut self, cx: &Cx) {
        if self.link.is_some() {
            self.drop_link(cx);
            cx.dl_advert(&self.advert(cx));
            cx.log(LOG_INFO, format_args!("en{} is down", cx.endpoint()));
        }
        if let Some(meeting) = &mut self.meeting {
            meeting.part(cx);
        }
    }

    /// The other end has written what cannot be. Returns the work that is left: none.
    #[cold]
    fn give_up(&mut self, cx: &Cx) -> usize {
        self.corrupt.add(1);
        let number = cx.endpoint();
        cx.log(
            LOG_WARNING,
            format_args!("en{number}: the other end has broken the ring; it is cut off"),
        );
        self.part(cx);
        0
    }

    fn drop_link(&mut self, cx: &Cx) {
        if let Some(link) = self.link.take() {
            cx.poller(false);
            // Nothing to do about a failure: it is not watched then.
            let _ = cx.watch(link.bell(), 0, 0);
            self.tx_link_down.add(link.waiting() as u64);
        }
        self.link_mtu = self.mtu;
    }

    fn advert(&self, cx: &Cx) -> Advert {
        let mut advert = advert(&format!("en{}", cx.endpoint()), "en");
        (advert.cell, advert.endpoint) = (cx.cell(), cx.endpoint());
        (advert.mtu, advert.gso_max, advert.caps) = (self.link_mtu, GSO_MAX, CAPS);
        advert.mac[..6].copy_from_slice(&self.mac);
        advert.mac_len = 6;
        if self.link.is_none() {
            advert.flags &= !ADVERT_LINK_UP;
        }
        advert
    }

    fn config(&self, cx: &Cx) -> NicConfig {
        let description = "shared-memory link between io-net processes";
        let mut config = nic_config(description, self.mac, self.link_mtu, cx.endpoint());
        config.flags |= NIC_PROMISCUOUS;
        if self.link.is_none() {
            config.flags |= NIC_LINK_DOWN;
        }
        config
    }
}
