//! The registrant: packets, timers and descriptors to the server and its stack.

use crate::control;
use crate::server::Server;
use io_net_ddk::abi::{
    DEVCTL_JSON, GSO_ECN, GSO_NONE, LOG_DEBUG, VNET_DATA_VALID, VNET_NEEDS_CSUM, VnetHdr,
};
use io_net_ddk::errno::EOPNOTSUPP;
use io_net_ddk::prelude::*;
use io_net_ddk::{advert_name, answer};
use io_net_tcpip::{Instant, RxChecksum, RxMeta};

/// The timer of the stack.
const TIMER_STACK: u32 = 0;
/// The timer that tries again after the pool was dry.
const TIMER_RETRY: u32 = 1;
const RETRY_NS: u64 = 1_000_000;
/// The timer that brings the shown counters up to date.
const TIMER_STATS: u32 = 2;
const STATS_NS: u64 = 1_000_000_000;

/// The protocol.
pub(crate) struct Tcpip {
    server: Server,
    /// When the stack's timer is set for; `u64::MAX` while it is not.
    armed_ns: u64,
    /// Something happened since the counters were last shown.
    counters_stale: bool,
}

impl Registrant for Tcpip {
    fn rx_up(&mut self, mut burst: Burst, cx: &Cx) {
        let now = now(cx);
        while let Some(packet) = burst.next() {
            burst.prefetch(2);
            self.take_packet(now, packet);
        }
        self.finish(now, cx);
    }

    fn poll(&mut self, _budget: usize, cx: &Cx) -> usize {
        let marked = self.server.gather_marked() + usize::from(self.server.restless);
        if marked > 0 {
            let now = now(cx);
            self.server.attend_marked(now, cx);
            self.finish(now, cx);
        }
        marked
    }

    fn arm(&mut self, sleeping: bool, _cx: &Cx) -> bool {
        self.server.arm(sleeping)
    }

    fn event(&mut self, cookie: u64, events: u32, cx: &Cx) -> bool {
        let now = now(cx);
        let more = self.server.handle_ready(now, cookie, events, cx);
        self.finish(now, cx);
        more
    }

    fn timer(&mut self, id: u32, now_ns: u64, cx: &Cx) {
        let now = Instant::from_nanos(now_ns);
        match id {
            TIMER_STATS => {
                self.counters_stale = false;
                let stats = self.server.stack.stats();
                self.server.stats.take_stack(stats);
                return;
            }
            TIMER_STACK => {
                self.armed_ns = u64::MAX;
                self.server.stack.poll(now, &mut self.server.shell);
            }
            _ => {}
        }
        self.finish(now, cx);
    }

    fn dl_advert(&mut self, advert: &Advert, cx: &Cx) {
        if advert.up_type[..3] != *b"ip\0" {
            return;
        }
        cx.log(LOG_DEBUG, format_args!("advert of {}", advert_name(advert)));
        let Server {
            stack,
            shell,
            interfaces,
            ..
        } = &mut self.server;
        interfaces.advert(advert, stack, shell, cx);
        self.finish(now(cx), cx);
    }

    fn devctl(&mut self, cmd: u32, data: &mut [u8], len: usize, cx: &Cx) -> Result<usize, Failure> {
        if cmd != DEVCTL_JSON {
            let text = format!("devctl {cmd} is not one of tcpip's");
            return Err(Failure::new(EOPNOTSUPP, text));
        }
        let text = control::request(&data[..len], &mut self.server, cx)?;
        self.finish(now(cx), cx);
        answer(data, text.as_bytes())
    }

    fn quiesce(&mut self, cx: &Cx) {
        for timer in [TIMER_STACK, TIMER_RETRY, TIMER_STATS] {
            cx.cancel_timer(timer);
        }
        cx.poller(false);
        self.server.quiesce(now(cx), cx);
    }
}

impl Tcpip {
    pub(crate) fn new(server: Server) -> Self {
        Tcpip {
            server,
            armed_ns: u64::MAX,
            counters_stale: false,
        }
    }

    #[inline]
    fn take_packet(&mut self, now: Instant, packet: SharedPacket) {
        let (iface, meta) = (packet.endpoint(), rx_meta(packet.vnet()));
        let Server { stack, shell, .. } = &mut self.server;
        if !packet.is_chained() {
            stack.handle_packet(now, iface, packet.data(), meta, shell);
            return;
        }
        let whole: Vec<u8> = packet.fragments().flatten().copied().collect();
        stack.handle_packet(now, iface, &whole, meta, shell);
    }

    /// Ends a piece of work: sends, tells, and sets the timers.
    #[inline]
    fn finish(&mut self, now: Instant, cx: &Cx) {
        self.server.settle(now, cx);
        self.server.drop_liars(now, cx);
        let due = self.server.stack.poll_at();
        let due_ns = due.map_or(u64::MAX, Instant::as_nanos);
        if due_ns < self.armed_ns {
            self.armed_ns = due_ns;
            cx.timer(TIMER_STACK, due_ns);
        }
        if std::mem::take(&mut self.server.shell.outbox.starved) {
            cx.timer(TIMER_RETRY, now.as_nanos() + RETRY_NS);
        }
        if !self.counters_stale {
            self.counters_stale = true;
            cx.timer(TIMER_STATS, now.as_nanos() + STATS_NS);
        }
    }
}

#[inline]
fn now(cx: &Cx) -> Instant {
    Instant::from_nanos(cx.now_ns())
}

/// What the stack needs to know of a received packet's offloads.
#[inline]
fn rx_meta(vnet: &VnetHdr) -> RxMeta {
    let checksum = if vnet.flags & VNET_NEEDS_CSUM != 0 {
        RxChecksum::Partial
    } else if vnet.flags & VNET_DATA_VALID != 0 {
        RxChecksum::Valid
    } else {
        RxChecksum::Unknown
    };
    let gso_type = vnet.gso_type & !GSO_ECN;
    RxMeta {
        checksum,
        gso_type,
        gso_size: match gso_type {
            GSO_NONE => 0,
            _ => vnet.gso_size,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_received_packet() {
        let vnet = VnetHdr {
            flags: VNET_NEEDS_CSUM | VNET_DATA_VALID,
            gso_type: io_net_ddk::abi::GSO_TCPV4 | GSO_ECN,
            gso_size: 1448,
            ..VnetHdr::default()
        };
        let meta = rx_meta(&vnet);
        assert_eq!(meta.checksum, RxChecksum::Partial);
        assert_eq!((meta.gso_type, meta.gso_size), (1, 1448));
        let plain = rx_meta(&VnetHdr {
            gso_size: 9,
            ..VnetHdr::default()
        });
        assert_eq!((plain.checksum, plain.gso_size), (RxChecksum::Unknown, 0));
    }
}
