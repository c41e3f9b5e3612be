//! Segments out: data, acknowledgements, SYN and FIN (RFC 9293, 3.8; RFC 1122, 4.2.3.4; RFC 896).

use core::net::{IpAddr, Ipv4Addr};

use io_net_wire::gso::{GSO_NONE, GSO_TCPV4};
use io_net_wire::{protocol, tcp as wire};

use super::State;
use super::congestion::Congestion;
use super::flow::Flow;
use super::seq::Seq;
use super::socket::{Ctx, Socket};
use crate::env::{Env, RecvBuf, SendBuf};
use crate::ip::output::{IpMeta, Segmentation, send};
use crate::ip::{Net, Path};
use crate::time::Instant;

/// Longest payload of a super-segment.
const SUPER_PAYLOAD_MAX: usize = 65_535 - 20 - wire::HEADER_LEN_MAX;

/// A segment to be sent.
#[derive(Clone, Copy)]
struct Plan {
    seq: Seq,
    len: usize,
    flags: u8,
}

/// There was no packet buffer: try again later.
pub(crate) struct Blocked;

impl<E: Env> Socket<E> {
    /// Sends all that may be sent now.
    pub(crate) fn output(&mut self, ctx: &mut Ctx<'_>, env: &mut E) -> Result<(), Blocked> {
        match self.state {
            State::Closed | State::Listen => return Ok(()),
            State::SynSent | State::SynReceived if self.send.nxt == self.send.iss => {
                return self.output_syn(ctx, env);
            }
            State::SynSent => return Ok(()),
            _ => {}
        }
        let Some(path) = self.path(ctx.net) else {
            return self.unroutable(ctx);
        };
        self.restart_after_idle(ctx.now);
        while let Some(plan) = self.plan(&path) {
            if let Err(blocked) = self.emit(ctx, env, &path, plan) {
                self.send.resend_first |= plan.seq.before(self.send.nxt);
                return Err(blocked);
            }
        }
        self.send.force_small = false;
        while self.recv.dup_acks_due > 0 || self.recv.ack_now {
            let plan = Plan {
                seq: self.send.nxt.max(self.send.max),
                len: 0,
                flags: wire::ACK,
            };
            let duplicates = self.recv.dup_acks_due;
            self.emit(ctx, env, &path, plan)?;
            self.recv.dup_acks_due = duplicates.saturating_sub(1);
        }
        self.set_persist(ctx.now);
        Ok(())
    }

    /// The next segment that may be sent, if any: loss recovery first, then new data, then FIN.
    fn plan(&mut self, path: &Path) -> Option<Plan> {
        if self.state == State::SynReceived || self.state == State::TimeWait {
            return None;
        }
        let end = self.data_end();
        if core::mem::take(&mut self.send.resend_first) && self.send.una != self.send.max {
            return self.plan_resend(end);
        }
        let send = &mut self.send;
        let in_flight = send.in_flight();
        let available = end.past(send.nxt);
        // Limited transmit: the first two duplicates let one new segment each go (RFC 3042).
        let extra = if send.recovering {
            0
        } else {
            send.dup_acks.min(2) as usize * send.mss
        };
        let cwnd = self.cc.window() + extra;
        let allowed = cwnd.min(send.wnd).saturating_sub(in_flight);
        let mss = send.mss;
        let longest = match path.offload.tso4 && path.offload.checksum {
            true => (SUPER_PAYLOAD_MAX / mss * mss).max(mss),
            false => mss,
        };
        let len = available.min(allowed).min(longest);
        send.cwnd_limited |= cwnd <= send.wnd && cwnd.saturating_sub(in_flight) < available;
        let len = if len < available && len > mss {
            len / mss * mss
        } else {
            len
        };
        if len == 0 {
            return self.plan_fin(available);
        }
        let last = len == available;
        if len % mss != 0 && !self.may_send_small(len % mss, last) {
            let full = len / mss * mss;
            return (full > 0).then_some(Plan {
                seq: self.send.nxt,
                len: full,
                flags: wire::ACK,
            });
        }
        let mut flags = wire::ACK;
        if last {
            flags |= wire::PSH;
            if self.send.fin == Some(self.send.nxt + len) && self.send.wnd > in_flight + len {
                flags |= wire::FIN;
            }
        }
        Some(Plan {
            seq: self.send.nxt,
            len,
            flags,
        })
    }

    /// The oldest segment again, for fast retransmit (RFC 5681, 3.2).
    fn plan_resend(&self, end: Seq) -> Option<Plan> {
        let seq = self.send.una;
        let len = end
            .past(seq)
            .min(self.send.max.past(seq))
            .min(self.send.mss);
        let ends = self.send.fin == Some(seq + len) && self.send.max.after(seq + len);
        Some(Plan {
            seq,
            len,
            flags: if ends {
                wire::ACK | wire::FIN
            } else {
                wire::ACK
            },
        })
    }

    /// The FIN alone, when all data before it is on the way.
    fn plan_fin(&self, available: usize) -> Option<Plan> {
        let send = &self.send;
        let due = available == 0 && send.fin == Some(send.nxt) && send.wnd > send.in_flight();
        due.then_some(Plan {
            seq: send.nxt,
            len: 0,
            flags: wire::ACK | wire::FIN,
        })
    }

    /// Whether the part of a segment that is less than full may go: Nagle's rule as Minshall amended
    /// it, cork, and the sender's side of the silly window (RFC 9293, 3.7.4 and 3.8.6.2.1).
    fn may_send_small(&self, small: usize, last: bool) -> bool {
        let send = &self.send;
        let ending = send.fin.is_some();
        if send.nxt.before(send.max) || send.force_small {
            return true;
        }
        if last && (ending || (!self.opts.cork && self.opts.no_delay)) {
            return true;
        }
        if last && !self.opts.cork && !send.small_end.after(send.una) {
            return true;
        }
        !self.opts.cork && small >= send.wnd_max / 2 && !last
    }

    fn emit(
        &mut self,
        ctx: &mut Ctx<'_>,
        env: &mut E,
        path: &Path,
        plan: Plan,
    ) -> Result<(), Blocked> {
        let options = wire::Options {
            timestamp: self.ts.enabled.then(|| wire::Timestamp {
                value: self.ts.clock(ctx.now),
                echo: self.ts.recent,
            }),
            ..Default::default()
        };
        self.advance_window();
        let header = wire::Header {
            source: self.flow.local_port,
            dest: self.flow.remote_port,
            seq: plan.seq.0,
            ack: self.recv.nxt.0,
            flags: plan.flags,
            window: (self.recv.window() >> self.recv.shift).min(0xffff) as u16,
            urgent: 0,
        };
        let offset = plan.seq.past(self.data_start());
        let header_len = wire::HEADER_LEN + options.len();
        let gso = plan.len > self.send.mss;
        let segmentation = Segmentation {
            gso_type: if gso { GSO_TCPV4 } else { GSO_NONE },
            gso_size: if gso { self.send.mss as u16 } else { 0 },
            header_len: header_len as u16,
            csum_offset: Some(wire::CHECKSUM_OFFSET as u16),
        };
        let ip = self.ip_meta();
        let tx = &mut self.tx;
        let mut short = false;
        let fill = |out: &mut [u8]| {
            header.emit(&options, out);
            short = !fill_payload(tx, offset, &mut out[header_len..]);
        };
        let len = header_len + plan.len;
        if !send(ctx.net, env, path, &ip, len, segmentation, fill) {
            return Err(Blocked);
        }
        ctx.net.stats.buffer_lies += u64::from(short);
        ctx.net.stats.tcp_out += 1;
        self.sent(ctx, plan);
        Ok(())
    }

    /// The bookkeeping after a segment has gone.
    fn sent(&mut self, ctx: &mut Ctx<'_>, plan: Plan) {
        self.acknowledged_peer();
        let end = plan.seq + plan.len + usize::from(plan.flags & wire::FIN != 0);
        if end == plan.seq {
            return;
        }
        let send = &mut self.send;
        send.last_sent = ctx.now;
        if plan.seq.before(send.max) {
            send.retransmits += 1;
            ctx.net.stats.tcp_retransmits += 1;
            send.timed = None;
        } else if send.timed.is_none() {
            send.timed = Some((end, ctx.now));
        }
        if send.una == send.max {
            send.stalled_since = ctx.now;
        }
        if !plan.len.is_multiple_of(send.mss) {
            send.small_end = end;
        }
        // A fast retransmit leaves the place of new data as it is.
        send.nxt = send.nxt.max(end);
        send.max = send.max.max(end);
        // An answer that carries an acknowledgement shows that this side talks back: delay from now on.
        self.recv.quick_acks = self.recv.quick_acks.min(1);
        if self.deadlines.retransmit == Instant::NEVER {
            self.deadlines.retransmit = ctx.now + self.rtt.timeout();
        }
        self.deadlines.persist = Instant::NEVER;
    }

    /// Every segment acknowledges: nothing is owed any more.
    fn acknowledged_peer(&mut self) {
        self.recv.acked = self.recv.nxt;
        self.recv.ack_now = false;
        self.deadlines.delayed_ack = Instant::NEVER;
    }

    /// Moves the right edge of the window, never to the left, and not by silly amounts
    /// (RFC 9293, 3.8.6.2.2).
    fn advance_window(&mut self) {
        let room = self.room();
        let scale = self.recv.shift;
        let room = (room.min(0xffff << scale) >> scale) << scale;
        let edge = self.recv.nxt + room;
        let gain = edge.past(self.recv.edge);
        let capacity = self.rx.as_mut().map_or(0, |rx| rx.capacity());
        if gain >= self.recv.mss.min(capacity / 2).max(1) {
            self.recv.edge = edge;
        }
        // What the scale cannot express would look like a window that shrinks: give it, if there is room.
        let rounded = self.recv.window().next_multiple_of(1 << scale);
        if rounded <= room {
            self.recv.edge = self.recv.nxt + rounded;
        }
    }

    /// The program has read: tells the peer of the room once that is worth a segment.
    pub(crate) fn recv_progress(&mut self) -> bool {
        if !matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        ) {
            return false;
        }
        let window = self.recv.window();
        let room = self.room().min(0xffff << self.recv.shift);
        let capacity = self.rx.as_mut().map_or(0, |rx| rx.capacity());
        let gain = room.saturating_sub(window);
        // A sender that the window holds back waits for this; otherwise data brings the news in time.
        let step = if window < SUPER_PAYLOAD_MAX {
            SUPER_PAYLOAD_MAX
        } else {
            capacity / 4
        };
        let worth = gain >= step.max(self.recv.mss).min(capacity / 2).max(1);
        let update = worth && window < capacity / 2;
        self.recv.ack_now |= update;
        update
    }

    /// A sender that was idle for a timeout starts slowly again (RFC 5681, 4.1).
    fn restart_after_idle(&mut self, now: Instant) {
        if self.send.nxt == self.send.una && now.since(self.send.last_sent) > self.rtt.timeout() {
            self.cc.on_idle();
            self.send.last_sent = now;
        }
    }

    /// Data waits, nothing is in flight, and the window lets nothing go: probe (RFC 9293, 3.8.6.1).
    fn set_persist(&mut self, now: Instant) {
        if self.send.una != self.send.nxt
            || self.deadlines.retransmit != Instant::NEVER
            || self.deadlines.persist != Instant::NEVER
        {
            return;
        }
        let end = self.data_end();
        let fin_waits = self.send.fin == Some(self.send.nxt);
        if end.after(self.send.nxt) || fin_waits {
            self.deadlines.persist = now + self.rtt.timeout();
        }
    }

    fn output_syn(&mut self, ctx: &mut Ctx<'_>, env: &mut E) -> Result<(), Blocked> {
        let Some(path) = self.path(ctx.net) else {
            return self.unroutable(ctx);
        };
        let answering = self.state == State::SynReceived;
        let scaling = !answering || self.recv.scaling;
        let options = wire::Options {
            mss: Some(self.own_mss()),
            window_scale: scaling.then_some(self.recv.shift),
            timestamp: (!answering || self.ts.enabled).then(|| wire::Timestamp {
                value: self.ts.clock(ctx.now),
                echo: if answering { self.ts.recent } else { 0 },
            }),
            ..Default::default()
        };
        let header = wire::Header {
            source: self.flow.local_port,
            dest: self.flow.remote_port,
            seq: self.send.iss.0,
            ack: if answering { self.recv.nxt.0 } else { 0 },
            flags: if answering {
                wire::SYN | wire::ACK
            } else {
                wire::SYN
            },
            // The window of a SYN is never scaled (RFC 7323, 2.2).
            window: self.syn_window(ctx.net).min(0xffff) as u16,
            urgent: 0,
        };
        if !send_bare(ctx.net, env, &path, &self.ip_meta(), &header, &options) {
            return Err(Blocked);
        }
        let send = &mut self.send;
        if send.max == send.iss {
            send.timed = Some((send.iss + 1, ctx.now));
            send.stalled_since = ctx.now;
        } else {
            send.retransmits += 1;
            ctx.net.stats.tcp_retransmits += 1;
            send.timed = None;
        }
        send.nxt = send.iss + 1;
        send.max = send.max.max(send.nxt);
        send.last_sent = ctx.now;
        self.deadlines.retransmit = ctx.now + self.rtt.timeout();
        self.acknowledged_peer();
        Ok(())
    }

    /// The window that a SYN offers, and with it the right edge.
    fn syn_window(&mut self, net: &Net) -> usize {
        let room = match self.rx {
            Some(_) => self.room(),
            None => net.config.recv_window_initial,
        };
        let window = room.min(0xffff);
        self.recv.edge = self.recv.edge.max(self.recv.nxt + window);
        window
    }

    /// A segment without data below the window: the peer answers with an acknowledgement
    /// (RFC 1122, 4.2.3.6). Serves as keepalive and as window probe.
    pub(crate) fn output_probe(&mut self, ctx: &mut Ctx<'_>, env: &mut E) -> Result<(), Blocked> {
        let Some(path) = self.path(ctx.net) else {
            return self.unroutable(ctx);
        };
        let plan = Plan {
            seq: self.send.una - 1,
            len: 0,
            flags: wire::ACK,
        };
        self.emit(ctx, env, &path, plan)
    }

    /// There is no route. Timers run on, as if the packet had been lost.
    fn unroutable(&mut self, ctx: &mut Ctx<'_>) -> Result<(), Blocked> {
        ctx.net.stats.ip_out_no_route += 1;
        self.soft_error = Some(crate::SocketError::NetUnreachable);
        self.recv.ack_now = false;
        self.recv.dup_acks_due = 0;
        if self.deadlines.retransmit == Instant::NEVER {
            self.deadlines.retransmit = ctx.now + self.rtt.timeout();
        }
        Ok(())
    }

    fn ip_meta(&self) -> IpMeta {
        ip_meta(&self.flow, self.opts.ttl, self.opts.tos)
    }
}

/// Copies payload from the send buffer; what the buffer does not give is cleared, so that no stale
/// packet memory leaves. False when that was needed.
fn fill_payload<S: SendBuf>(tx: &mut Option<S>, offset: usize, out: &mut [u8]) -> bool {
    if out.is_empty() {
        return true;
    }
    let copied = tx
        .as_mut()
        .map_or(0, |tx| tx.read_at(offset, out))
        .min(out.len());
    out[copied..].fill(0);
    copied == out.len()
}

pub(crate) fn ip_meta(flow: &Flow, ttl: u8, tos: u8) -> IpMeta {
    IpMeta {
        source: v4(flow.local),
        dest: v4(flow.remote),
        protocol: protocol::TCP,
        ttl,
        tos,
    }
}

fn v4(addr: IpAddr) -> Ipv4Addr {
    match addr {
        IpAddr::V4(addr) => addr,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// Sends a segment without payload.
fn send_bare<E: Env>(
    net: &mut Net,
    env: &mut E,
    path: &Path,
    ip: &IpMeta,
    header: &wire::Header,
    options: &wire::Options,
) -> bool {
    let len = wire::HEADER_LEN + options.len();
    let segmentation = Segmentation {
        gso_type: GSO_NONE,
        gso_size: 0,
        header_len: len as u16,
        csum_offset: Some(wire::CHECKSUM_OFFSET as u16),
    };
    let fill = |out: &mut [u8]| {
        header.emit(options, out);
    };
    let sent = send(net, env, path, ip, len, segmentation, fill);
    net.stats.tcp_out += u64::from(sent);
    sent
}

/// A reset, or an acknowledgement on behalf of no socket. It is not repeated if there is no buffer.
#[derive(Clone, Copy)]
pub(crate) struct Reset {
    pub(crate) flow: Flow,
    pub(crate) seq: Seq,
    /// The acknowledgement number, if the segment has one.
    pub(crate) ack: Option<Seq>,
}

impl Reset {
    pub(crate) fn send<E: Env>(&self, net: &mut Net, env: &mut E) {
        let ip = ip_meta(&self.flow, 64, 0);
        let Some(path) = net.path(ip.dest, None) else {
            net.stats.ip_out_no_route += 1;
            return;
        };
        let header = wire::Header {
            source: self.flow.local_port,
            dest: self.flow.remote_port,
            seq: self.seq.0,
            ack: self.ack.map_or(0, |ack| ack.0),
            flags: if self.ack.is_some() {
                wire::RST | wire::ACK
            } else {
                wire::RST
            },
            window: 0,
            urgent: 0,
        };
        if send_bare(net, env, &path, &ip, &header, &wire::Options::default()) {
            net.stats.tcp_resets_out += 1;
        }
    }
}
