//! What every segment of a synchronized connection must pass: timestamps, window, RST, SYN
//! (RFC 9293, 3.10.7.4; RFC 7323, 5; RFC 5961, 3 and 4).

use core::time::Duration;

use io_net_wire::tcp as wire;

use super::Segment;
use crate::env::Env;
use crate::error::SocketError;
use crate::tcp::State;
use crate::tcp::output::Reset;
use crate::tcp::socket::{Ctx, Owner, Socket};

/// A remembered timestamp says nothing after this long (RFC 7323, 5.5).
const TIMESTAMP_AGE_MAX: Duration = Duration::from_secs(24 * 86_400);
/// Least time between answers to unacceptable segments without data, so that two sides which disagree
/// do not acknowledge each other for ever.
const ANSWER_INTERVAL: Duration = Duration::from_millis(100);

impl<E: Env> Socket<E> {
    /// A segment for a connection in any state from SYN-RECEIVED on. Returns a reset to be sent.
    pub(crate) fn input_synchronized(
        &mut self,
        ctx: &mut Ctx<'_>,
        env: &mut E,
        segment: &mut Segment<'_>,
    ) -> Option<Reset> {
        self.strip_crossed_syn(segment);
        if !self.timestamp_ok(ctx, segment) || !self.window_ok(ctx, segment) {
            return None;
        }
        self.remember_timestamp(ctx, segment);
        if segment.has(wire::RST) {
            self.input_reset(ctx, segment);
            return None;
        }
        if segment.has(wire::SYN) {
            // Whatever its number, it is not believed (RFC 5961, 4.2).
            self.challenge(ctx);
            return None;
        }
        if !segment.has(wire::ACK) {
            ctx.net.stats.tcp_drop_state += 1;
            return None;
        }
        if self.state == State::SynReceived
            && let Some(reset) = self.input_handshake_ack(ctx, env, segment)
        {
            return Some(reset);
        }
        if !self.input_ack(ctx, segment) || self.state == State::Closed {
            return None;
        }
        self.recv.last_heard = ctx.now;
        self.input_text(ctx, segment)
    }

    /// The SYN-ACK of a simultaneous open repeats the SYN that brought us here: only its ACK is new
    /// (RFC 9293, 3.5, figure 7). Its window is not scaled.
    fn strip_crossed_syn(&self, segment: &mut Segment<'_>) {
        let crossed = self.state == State::SynReceived && !self.passive;
        let syn_ack = segment.has(wire::SYN) && segment.has(wire::ACK);
        if crossed && syn_ack && segment.seq == self.recv.irs && segment.payload.is_empty() {
            segment.flags &= !wire::SYN;
            segment.seq += 1;
            segment.window >>= self.send.shift;
        }
    }

    /// Protection against wrapped sequence numbers (RFC 7323, 5.3).
    fn timestamp_ok(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) -> bool {
        if !self.ts.enabled || segment.has(wire::RST) {
            return true;
        }
        let Some(stamp) = segment.options.timestamp else {
            // Once agreed on, each segment must have one (RFC 7323, 3.2). A SYN goes on to be challenged.
            let pass = segment.has(wire::SYN);
            ctx.net.stats.tcp_drop_paws += u64::from(!pass);
            return pass;
        };
        let older = (stamp.value.wrapping_sub(self.ts.recent) as i32) < 0;
        if older && ctx.now.since(self.ts.recent_at) < TIMESTAMP_AGE_MAX {
            ctx.net.stats.tcp_drop_paws += 1;
            self.answer_unacceptable(ctx, segment);
            return false;
        }
        true
    }

    /// Whether any of the segment lies in the window (RFC 9293, 3.10.7.4, first); cuts off what does not.
    fn window_ok(&mut self, ctx: &mut Ctx<'_>, segment: &mut Segment<'_>) -> bool {
        let (nxt, edge) = (self.recv.nxt, self.recv.edge);
        let end = segment.seq + segment.len();
        let empty = end == segment.seq;
        let window = edge.past(nxt);
        let acceptable = match (empty, window) {
            // One exactly at the edge is what a peer sends that has filled the window.
            (true, _) => !segment.seq.before(nxt) && !segment.seq.after(edge),
            // With a closed window ACK, RST and URG of the next segment still count, its data does not.
            (false, 0) => segment.seq == nxt,
            (false, _) => segment.seq.before(edge) && end.after(nxt),
        };
        if !acceptable {
            ctx.net.stats.tcp_drop_window += 1;
            self.reject(ctx, segment);
            return false;
        }
        self.trim(segment);
        true
    }

    fn reject(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) {
        let again = segment.has(wire::SYN) && segment.seq == self.recv.irs;
        if self.state == State::SynReceived && again && !segment.has(wire::RST) {
            // The SYN-ACK was lost, or crossed a repeated SYN.
            self.send.nxt = self.send.iss;
            return;
        }
        if self.state == State::TimeWait && segment.has(wire::FIN) {
            // Our last ACK was lost: TIME-WAIT starts over (RFC 9293, 3.10.7.4, eighth).
            self.start_time_wait(ctx);
        }
        if !segment.has(wire::RST) {
            self.answer_unacceptable(ctx, segment);
        }
    }

    /// Cuts the segment to the window.
    fn trim(&mut self, segment: &mut Segment<'_>) {
        let before = self.recv.nxt.past(segment.seq);
        if before > 0 {
            let mut before = before;
            if segment.has(wire::SYN) {
                segment.flags &= !wire::SYN;
                segment.seq += 1;
                before -= 1;
            }
            let cut = before.min(segment.payload.len());
            segment.payload = &segment.payload[cut..];
            segment.seq += cut;
            // Part of it came before: what it repeats is acknowledged again at once.
            self.recv.ack_now = true;
        }
        let room = self.recv.edge.past(segment.seq);
        if segment.payload.len() > room {
            segment.payload = &segment.payload[..room];
            segment.flags &= !(wire::FIN | wire::PSH);
            self.recv.ack_now = true;
        }
    }

    /// Keeps the timestamp to echo (RFC 7323, 4.3).
    fn remember_timestamp(&mut self, ctx: &Ctx<'_>, segment: &Segment<'_>) {
        if let Some(stamp) = segment.options.timestamp
            && self.ts.enabled
            && !segment.seq.after(self.recv.acked)
            && (stamp.value.wrapping_sub(self.ts.recent) as i32) >= 0
        {
            self.ts.recent = stamp.value;
            self.ts.recent_at = ctx.now;
        }
    }

    /// A reset in the window. Only one with exactly the next sequence number is believed (RFC 5961, 3.2).
    fn input_reset(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) {
        if self.state == State::TimeWait {
            // A reset must not cut TIME-WAIT short (RFC 1337, 3, F1).
            ctx.net.stats.tcp_drop_state += 1;
            return;
        }
        if segment.seq != self.recv.nxt {
            self.challenge(ctx);
            return;
        }
        ctx.net.stats.tcp_resets_in += 1;
        match self.state {
            // A passive open returns to LISTEN: the half-open connection is simply gone.
            State::SynReceived if self.passive => self.finish(ctx.events, crate::Ready::NONE),
            State::SynReceived => self.fail(ctx, SocketError::Refused),
            State::Closing | State::LastAck => self.finish(ctx.events, crate::Ready::NONE),
            _ => self.fail(ctx, SocketError::Reset),
        }
    }

    /// An acknowledgement that lets an honest peer correct itself, not too often (RFC 5961, 7).
    pub(crate) fn challenge(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.net.challenge_limit.allow(ctx.now) {
            ctx.net.stats.tcp_challenge_acks += 1;
            self.recv.ack_now = true;
        } else {
            ctx.net.stats.tcp_challenge_limited += 1;
        }
    }

    /// Says where we are to a peer that sent something unacceptable.
    fn answer_unacceptable(&mut self, ctx: &Ctx<'_>, segment: &Segment<'_>) {
        let quiet = self
            .recv
            .answered
            .is_some_and(|at| ctx.now.since(at) < ANSWER_INTERVAL);
        if segment.payload.is_empty() && !segment.has(wire::SYN | wire::FIN) && quiet {
            return;
        }
        self.recv.answered = Some(ctx.now);
        self.recv.ack_now = true;
    }

    /// The ACK that completes a handshake (RFC 9293, 3.10.7.4, fifth). Returns the reset that refuses it
    /// instead.
    fn input_handshake_ack(
        &mut self,
        ctx: &mut Ctx<'_>,
        env: &mut E,
        segment: &Segment<'_>,
    ) -> Option<Reset> {
        if segment.ack != self.send.iss + 1 {
            ctx.net.stats.tcp_drop_ack += 1;
            return Some(segment.reset());
        }
        if self.passive && self.owner == Owner::Listener {
            let listener = self.parent.unwrap_or(self.id);
            let Some((tx, rx)) = env.open_stream(listener, self.id, self.flow.remote_addr()) else {
                ctx.net.stats.tcp_refused_buffers += 1;
                self.finish(ctx.events, crate::Ready::NONE);
                return Some(segment.reset());
            };
            (self.tx, self.rx) = (Some(tx), Some(rx));
            self.exposed = true;
        }
        self.syn_acknowledged(ctx);
        self.state = State::Established;
        // The window of the ACK counts, whatever its number (it is the first that is scaled).
        self.send.wl1 = segment.seq - 1;
        if self.passive {
            ctx.net.stats.tcp_passive_opens += 1;
        } else {
            self.raise(ctx.events, crate::Ready::CONNECTED | crate::Ready::WRITABLE);
        }
        None
    }
}
