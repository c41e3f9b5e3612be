//! Acknowledgements: what they free, measure and open (RFC 9293, 3.10.7.4, fifth; RFC 5681; RFC 6582).

use core::time::Duration;

use io_net_wire::tcp as wire;

use super::Segment;
use crate::env::{Env, SendBuf};
use crate::event::Ready;
use crate::tcp::State;
use crate::tcp::congestion::Congestion;
use crate::tcp::socket::{Ctx, Owner, Socket};
use crate::time::Instant;

/// Duplicates that mean a loss (RFC 5681, 3.2).
const DUP_ACKS_LOSS: u32 = 3;

impl<E: Env> Socket<E> {
    /// Takes the acknowledgement and the window. False when the segment is to be dropped.
    #[inline]
    pub(crate) fn input_ack(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) -> bool {
        let ack = segment.ack;
        if ack.after(self.send.max) {
            // Of something never sent (RFC 9293, 3.10.7.4, fifth).
            ctx.net.stats.tcp_drop_ack += 1;
            self.challenge(ctx);
            return false;
        }
        if ack.before(self.send.una) && self.send.una.past(ack) > self.send.wnd_max.max(1 << 16) {
            // Too old to be honest (RFC 5961, 5.2).
            ctx.net.stats.tcp_drop_ack += 1;
            self.challenge(ctx);
            return false;
        }
        let duplicate = self.is_duplicate(segment);
        self.update_window(segment);
        if ack.after(self.send.una) {
            self.acknowledged(ctx, segment);
        } else if duplicate {
            self.duplicate_ack(ctx);
        }
        true
    }

    /// RFC 5681, 2: nothing new in it, while something is outstanding.
    fn is_duplicate(&self, segment: &Segment<'_>) -> bool {
        segment.ack == self.send.una
            && self.send.una != self.send.max
            && segment.payload.is_empty()
            && !segment.has(wire::SYN | wire::FIN)
            && usize::from(segment.window) << self.send.shift == self.send.wnd
    }

    #[inline]
    fn update_window(&mut self, segment: &Segment<'_>) {
        let send = &mut self.send;
        let newer = send.wl1.before(segment.seq)
            || (send.wl1 == segment.seq && !segment.ack.before(send.wl2));
        if segment.ack.before(send.una) || !newer {
            return;
        }
        let closed = send.wnd == 0;
        send.wnd = usize::from(segment.window) << send.shift;
        send.wnd_max = send.wnd_max.max(send.wnd);
        send.wl1 = segment.seq;
        send.wl2 = segment.ack;
        if self.owner != Owner::Nobody && self.deadlines.persist != Instant::NEVER {
            // A peer that answers probes may keep its window closed for ever (RFC 9293, 3.8.6.1).
            send.retries = 0;
        }
        if closed && send.wnd > 0 && self.deadlines.persist != Instant::NEVER {
            self.deadlines.persist = Instant::NEVER;
        }
    }

    /// New data is acknowledged.
    fn acknowledged(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) {
        let ack = segment.ack;
        let fin_acked = self.send.fin.is_some_and(|fin| ack.after(fin));
        let acked = ack.past(self.send.una);
        let data = acked - usize::from(fin_acked);
        self.measure(ctx.now, segment);
        self.send.una = ack;
        self.send.nxt = self.send.nxt.max(ack);
        if data > 0 {
            if let Some(tx) = &mut self.tx {
                tx.consume(data);
            }
            self.raise(ctx.events, Ready::WRITABLE);
        }
        self.control_congestion(ctx, acked);
        self.send.retries = 0;
        self.send.stalled_since = ctx.now;
        self.deadlines.retransmit = if self.send.una == self.send.max {
            Instant::NEVER
        } else {
            ctx.now + self.rtt.timeout()
        };
        self.soft_error = None;
        if fin_acked {
            self.fin_acknowledged(ctx);
        }
        if self.all_sent() {
            self.raise(ctx.events, Ready::SENT_ALL);
        }
    }

    /// A round-trip time: from our clock, unless the segment was sent again (Karn), else from the
    /// timestamp that comes back (RFC 7323, 4.1). An echo from before the last timeout is no measure: it
    /// may be the answer to the repetition of a segment whose acknowledgement was lost. Without a measure
    /// the timeout stays backed off.
    fn measure(&mut self, now: Instant, segment: &Segment<'_>) {
        if let Some((end, sent)) = self.send.timed {
            if !segment.ack.before(end) {
                self.send.timed = None;
                self.send.timeout_stamp = None;
                self.rtt.sample(now.since(sent));
            }
            return;
        }
        let Some(stamp) = segment.options.timestamp.filter(|_| self.ts.enabled) else {
            return;
        };
        let before_timeout = |timeout: u32| (stamp.echo.wrapping_sub(timeout) as i32) < 0;
        let elapsed = self.ts.clock(now).wrapping_sub(stamp.echo);
        // An echo from the future, or from hours ago, is a lie.
        if elapsed < 1 << 24 && !self.send.timeout_stamp.is_some_and(before_timeout) {
            self.send.timeout_stamp = None;
            self.rtt.sample(Duration::from_millis(u64::from(elapsed)));
        }
    }

    fn control_congestion(&mut self, ctx: &mut Ctx<'_>, acked: usize) {
        let send = &mut self.send;
        if !send.recovering {
            send.dup_acks = 0;
            let limited = core::mem::take(&mut send.cwnd_limited);
            self.cc.on_ack(ctx.now, acked, limited);
        } else if send.una.before(send.recover) {
            // A partial acknowledgement: the next hole starts here (RFC 6582, 3.2, step 3).
            send.resend_first = true;
            self.cc.on_partial_ack(acked);
        } else {
            send.recovering = false;
            send.dup_acks = 0;
            self.cc.on_recovered(send.max.past(send.una));
        }
    }

    fn duplicate_ack(&mut self, ctx: &mut Ctx<'_>) {
        ctx.net.stats.tcp_dup_acks += 1;
        let send = &mut self.send;
        send.dup_acks = send.dup_acks.saturating_add(1);
        if send.recovering {
            self.cc.on_dup_ack();
        } else if send.dup_acks == DUP_ACKS_LOSS && send.una.after(send.recover) {
            // Fast retransmit, unless this loss belongs to an earlier episode (RFC 6582, 3.2, step 1).
            ctx.net.stats.tcp_fast_retransmits += 1;
            send.recover = send.max;
            send.recovering = true;
            send.resend_first = true;
            self.cc.on_loss(ctx.now, send.max.past(send.una));
        }
    }

    /// Our FIN has arrived.
    fn fin_acknowledged(&mut self, ctx: &mut Ctx<'_>) {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.start_fin_wait_2(ctx);
            }
            State::Closing => self.start_time_wait(ctx),
            State::LastAck => self.finish(ctx.events, Ready::NONE),
            _ => {}
        }
    }
}
