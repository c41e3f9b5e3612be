//! Segments in SYN-SENT (RFC 9293, 3.10.7.3).

use io_net_wire::tcp as wire;

use super::Segment;
use crate::env::Env;
use crate::error::SocketError;
use crate::event::Ready;
use crate::tcp::State;
use crate::tcp::output::Reset;
use crate::tcp::socket::{Ctx, Socket};

impl<E: Env> Socket<E> {
    /// Returns a reset to be sent, if the segment is out of place.
    pub(crate) fn input_syn_sent(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: &Segment<'_>,
    ) -> Option<Reset> {
        // First, the ACK must be of our SYN.
        let acks = segment.has(wire::ACK);
        if acks && (segment.ack != self.send.iss + 1 || self.send.max == self.send.iss) {
            ctx.net.stats.tcp_drop_ack += 1;
            return (!segment.has(wire::RST)).then(|| segment.reset());
        }
        // Second, a reset counts only with that ACK.
        if segment.has(wire::RST) {
            if acks {
                ctx.net.stats.tcp_resets_in += 1;
                self.fail(ctx, SocketError::Refused);
            } else {
                ctx.net.stats.tcp_drop_state += 1;
            }
            return None;
        }
        if !segment.has(wire::SYN) {
            ctx.net.stats.tcp_drop_state += 1;
            return None;
        }
        self.recv.irs = segment.seq;
        self.recv.nxt = segment.seq + 1;
        self.recv.edge = self.recv.nxt + self.room().min(0xffff);
        match segment.options.window_scale {
            Some(shift) => self.send.shift = shift.min(wire::WINDOW_SCALE_MAX),
            None => {
                self.recv.shift = 0;
                self.recv.scaling = false;
            }
        }
        self.take_syn_options(ctx, segment);
        // The window of a SYN is not scaled.
        self.send.wnd = usize::from(segment.window);
        self.send.wnd_max = self.send.wnd;
        self.send.wl1 = segment.seq;
        self.send.wl2 = segment.ack;
        if acks {
            self.syn_acknowledged(ctx);
            self.state = State::Established;
            self.recv.ack_now = true;
            self.raise(ctx.events, Ready::CONNECTED | Ready::WRITABLE);
        } else {
            // Both sides opened at once (RFC 9293, 3.5, figure 7): say SYN again, with an ACK.
            self.state = State::SynReceived;
            self.send.nxt = self.send.iss;
        }
        None
    }

    /// Our SYN has arrived: the measurements it gives, and the end of its timer.
    pub(crate) fn syn_acknowledged(&mut self, ctx: &mut Ctx<'_>) {
        let lost = self.send.retries > 0;
        self.send.una = self.send.iss + 1;
        self.send.nxt = self.send.nxt.max(self.send.una);
        if let Some((_, sent)) = self.send.timed.take() {
            self.rtt.sample(ctx.now.since(sent));
        } else if lost {
            self.rtt.after_syn_loss();
        }
        self.send.retries = 0;
        self.send.recover = self.send.iss;
        self.deadlines.retransmit = crate::Instant::NEVER;
        self.start_keepalive(ctx.now);
    }
}
