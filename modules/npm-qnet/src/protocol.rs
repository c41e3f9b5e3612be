//! The registrant: frames, timers, sessions and control calls to the node.

use crate::control;
use crate::node::Node;
use io_net_ddk::abi::{DEVCTL_JSON, LOG_WARNING};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;
use io_net_ddk::{advert_name, answer};
use io_net_qnet::time::Instant;

/// The timer of the protocol.
const TIMER_QNET: u32 = 0;
/// The timer that tries again after the pool was dry.
const TIMER_RETRY: u32 = 1;
const RETRY_NS: u64 = 1_000_000;
/// The timer that gives up what has waited for too long.
const TIMER_WAITING: u32 = 2;
/// The timer that brings the shown figures up to date.
const TIMER_FIGURES: u32 = 3;
const FIGURES_NS: u64 = 1_000_000_000;
/// The timer after which an interface that should be there, and is not, is named.
pub(crate) const TIMER_BOUND: u32 = 4;
pub(crate) const BOUND_NS: u64 = 200_000_000;
/// What programs have sent that is looked at in one go, at most.
const POLLED_MAX: usize = 256;
/// Rounds of events and frames in one piece of work, at most; what is left waits for the next poll.
const ROUNDS: usize = 8;

/// The protocol.
pub(crate) struct Protocol {
    node: Node,
    /// When the protocol's timer is set for; `u64::MAX` while it is not.
    armed_ns: u64,
    /// The same for the timer of those who wait.
    waiting_armed_ns: u64,
    /// Something happened since the figures were last shown.
    figures_stale: bool,
    /// The last piece of work ended before there was nothing left to do.
    restless: bool,
}

impl Registrant for Protocol {
    fn rx_up(&mut self, mut burst: Burst, cx: &Cx) {
        let now = now(cx);
        while let Some(packet) = burst.next() {
            burst.prefetch(2);
            self.take_packet(now, packet);
        }
        self.settle(now, cx);
    }

    fn poll(&mut self, budget: usize, cx: &Cx) -> usize {
        let now = now(cx);
        let done = self.node.poll_programs(now, budget) + usize::from(self.restless);
        if done > 0 {
            self.settle(now, cx);
        }
        done
    }

    fn arm(&mut self, sleeping: bool, _cx: &Cx) -> bool {
        self.node.arm(sleeping)
    }

    fn event(&mut self, cookie: u64, _events: u32, cx: &Cx) -> bool {
        let now = now(cx);
        let more = self.node.handle_ready(now, cookie, cx);
        self.settle(now, cx);
        more
    }

    fn timer(&mut self, id: u32, now_ns: u64, cx: &Cx) {
        let now = Instant::from_nanos(now_ns);
        match id {
            TIMER_QNET => {
                self.armed_ns = u64::MAX;
                self.node.qnet.handle_timeout(now);
            }
            TIMER_WAITING => {
                self.waiting_armed_ns = u64::MAX;
                self.node.poll_programs(now, POLLED_MAX);
            }
            TIMER_FIGURES => {
                self.figures_stale = false;
                self.node.figures.take(&self.node.qnet);
                return;
            }
            TIMER_BOUND => {
                for name in self.node.links.waiting() {
                    cx.log(
                        LOG_WARNING,
                        format_args!("{name} is not there; Qnet waits for it"),
                    );
                }
            }
            _ => {}
        }
        self.settle(now, cx);
    }

    fn dl_advert(&mut self, advert: &Advert, cx: &Cx) {
        if advert.up_type[..5] != *b"qnet\0" {
            return;
        }
        let now = now(cx);
        let Node {
            qnet, links, stats, ..
        } = &mut self.node;
        if !links.take_advert(now, advert, qnet) {
            stats.links_refused.add(1);
            let name = advert_name(advert);
            cx.log(
                LOG_WARNING,
                format_args!("{name}: Qnet speaks on 16 interfaces already; choose with bind="),
            );
        }
        self.settle(now, cx);
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        if cmd != DEVCTL_JSON {
            let text = format!("devctl {cmd} is not one of qnet's");
            return Err(Failure::new(EOPNOTSUPP, text));
        }
        let text = control::request(&data[..len], &mut self.node)?;
        self.settle(now(cx), cx);
        answer(data, text.as_bytes())
    }

    fn quiesce(&mut self, cx: &Cx) {
        for timer in [
            TIMER_QNET,
            TIMER_RETRY,
            TIMER_WAITING,
            TIMER_FIGURES,
            TIMER_BOUND,
        ] {
            cx.cancel_timer(timer);
        }
        cx.poller(false);
        self.node.quiesce(now(cx), cx);
    }
}

impl Protocol {
    pub(crate) fn new(node: Node) -> Self {
        Protocol {
            node,
            armed_ns: u64::MAX,
            waiting_armed_ns: u64::MAX,
            figures_stale: false,
            restless: false,
        }
    }

    /// Hands a frame to the protocol, which deciphers it in place.
    #[inline]
    fn take_packet(&mut self, now: Instant, packet: SharedPacket) {
        let Node {
            qnet, links, stats, ..
        } = &mut self.node;
        let Some((link, from)) = links.origin(&packet) else {
            stats.drop_not_bound.add(1);
            return;
        };
        let own = match packet.is_chained() {
            true => packet.copy(),
            false => packet.into_unique(),
        };
        match own {
            Some(mut packet) => qnet.handle_frame(now, link, from, packet.data_mut()),
            None => stats.drop_no_buffer.add(1),
        }
    }

    /// Ends a piece of work: does what the protocol asks for, sends its frames, and sets the timers.
    #[inline]
    fn settle(&mut self, now: Instant, cx: &Cx) {
        let mut sent_all = true;
        self.restless = true;
        for _ in 0..ROUNDS {
            let busy = self.node.handle_events(now, cx);
            let Node {
                qnet, links, stats, ..
            } = &mut self.node;
            sent_all = links.send(now, qnet, stats, cx);
            if !busy {
                self.restless = false;
                break;
            }
        }
        self.tell_outlook(cx);
        if !sent_all {
            cx.timer(TIMER_RETRY, now.as_nanos() + RETRY_NS);
        }
        let waiting = self.node.handle_timeout(now, cx);
        arm(cx, TIMER_WAITING, waiting, &mut self.waiting_armed_ns);
        if !self.figures_stale {
            self.figures_stale = true;
            cx.timer(TIMER_FIGURES, now.as_nanos() + FIGURES_NS);
        }
        let due = self.node.qnet.poll_timeout();
        arm(cx, TIMER_QNET, due, &mut self.armed_ns);
    }

    /// Tells the worker what to expect: what programs here have been given comes back soonest, and
    /// what went to another node leaves time for others.
    #[inline]
    fn tell_outlook(&mut self, cx: &Cx) {
        let Node {
            clients,
            servers,
            links,
            ..
        } = &mut self.node;
        let (client, server) = (clients.outlook.take(), servers.outlook.take());
        let sent = std::mem::take(&mut links.has_sent).then_some(0);
        let programs = [client, server].into_iter().flatten().min();
        if let Some(within_ns) = programs.or(sent) {
            cx.expect(within_ns);
        }
    }
}

/// Sets a timer where it is due before `armed_ns`, for which it is set.
#[inline]
fn arm(cx: &Cx, timer: u32, due: Option<Instant>, armed_ns: &mut u64) {
    let due_ns = due.map_or(u64::MAX, Instant::as_nanos);
    if due_ns < *armed_ns {
        *armed_ns = due_ns;
        cx.timer(timer, due_ns);
    }
}

#[inline]
fn now(cx: &Cx) -> Instant {
    Instant::from_nanos(cx.now_ns())
}
