//! Data and FIN (RFC 9293, 3.10.7.4, seventh and eighth), and when to acknowledge (RFC 5681, 4.2).

use io_net_wire::tcp as wire;

use super::Segment;
use crate::env::{Env, RecvBuf};
use crate::event::Ready;
use crate::tcp::State;
use crate::tcp::output::Reset;
use crate::tcp::socket::{Ctx, MSS_DEFAULT, Owner, Socket};
use crate::time::Instant;

impl<E: Env> Socket<E> {
    /// Takes data and FIN. Returns a reset to be sent, if nobody is left to read.
    #[inline]
    pub(crate) fn input_text(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) -> Option<Reset> {
        let fin = segment.has(wire::FIN);
        if segment.payload.is_empty() && !fin {
            return None;
        }
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => {}
            // The peer has closed: nothing new can come (RFC 9293, 3.10.7.4, seventh).
            _ => {
                self.recv.ack_now = true;
                return None;
            }
        }
        if self.owner == Owner::Nobody && !segment.payload.is_empty() {
            // Data that no one will read: the peer must know (RFC 9293, 3.6.1).
            ctx.net.stats.tcp_drop_after_close += 1;
            let reset = self.own_reset();
            self.finish(ctx.events, Ready::NONE);
            return Some(reset);
        }
        if fin && self.recv.fin.is_none() {
            self.recv.fin = Some(segment.seq + segment.payload.len());
        }
        if segment.seq == self.recv.nxt {
            self.in_order(ctx, segment);
        } else {
            self.out_of_order(ctx, segment);
        }
        if self.recv.fin == Some(self.recv.nxt) {
            self.input_fin(ctx);
        }
        None
    }

    fn in_order(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) {
        let payload = segment.payload;
        if payload.is_empty() {
            return;
        }
        let taken = self.store(0, payload);
        ctx.net.stats.tcp_drop_buffer += u64::from(taken < payload.len());
        let gap_before = !self.recv.assembler.is_empty();
        let advance = if gap_before {
            self.recv.assembler.advance(taken)
        } else {
            taken
        };
        if advance > 0 {
            self.recv.nxt += advance;
            if !self.recv.shut
                && let Some(rx) = &mut self.rx
            {
                rx.commit(advance);
            }
            self.raise(ctx.events, Ready::READABLE);
        }
        self.recv.mss = self.recv.mss.max(payload.len() / segment.count);
        let unacked = self.recv.nxt.past(self.recv.acked);
        // At once: when a gap is filled, for every second full segment, and while the connection is young.
        let now = gap_before
            || taken < payload.len()
            || unacked >= 2 * self.recv.mss.max(MSS_DEFAULT)
            || segment.count > 1
            || self.recv.quick_acks > 0
            || self.opts.quick_ack;
        self.recv.quick_acks = self.recv.quick_acks.saturating_sub(1);
        if now {
            self.recv.ack_now = true;
        } else if self.deadlines.delayed_ack == Instant::NEVER {
            self.deadlines.delayed_ack = ctx.now + ctx.net.config.delayed_ack;
        }
    }

    fn out_of_order(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) {
        ctx.net.stats.tcp_out_of_order += 1;
        // One duplicate for each wire segment would tell the peer most; one for each packet is enough.
        self.recv.dup_acks_due = self.recv.dup_acks_due.saturating_add(1);
        let offset = segment.seq.past(self.recv.nxt);
        let end = offset + segment.payload.len();
        if self.recv.shut || segment.payload.is_empty() {
            return;
        }
        if !self.recv.assembler.has_room(offset, end) {
            ctx.net.stats.tcp_drop_assembler += 1;
            return;
        }
        let taken = self.store(offset, segment.payload);
        ctx.net.stats.tcp_drop_buffer += u64::from(taken < segment.payload.len());
        self.recv.assembler.add(offset, offset + taken);
    }

    /// Writes into the receive buffer and returns how much it took, as far as that can be believed.
    #[inline]
    fn store(&mut self, offset: usize, payload: &[u8]) -> usize {
        if self.recv.shut {
            return payload.len();
        }
        match &mut self.rx {
            Some(rx) => rx.write_at(offset, payload).min(payload.len()),
            None => 0,
        }
    }

    /// All data before the peer's FIN is here.
    fn input_fin(&mut self, ctx: &mut Ctx<'_>) {
        self.recv.nxt += 1;
        self.recv.edge = self.recv.edge.max(self.recv.nxt);
        self.recv.ack_now = true;
        self.raise(ctx.events, Ready::PEER_CLOSED);
        match self.state {
            State::Established => self.state = State::CloseWait,
            // Our FIN is not acknowledged yet: both closed at once.
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.start_time_wait(ctx),
            _ => {}
        }
    }

    /// The reset that ends this connection from our side.
    pub(crate) fn own_reset(&self) -> Reset {
        Reset {
            flow: self.flow,
            seq: self.send.max,
            ack: Some(self.recv.nxt),
        }
    }
}
