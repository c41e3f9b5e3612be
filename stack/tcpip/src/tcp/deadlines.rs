//! What happens when nothing happens: retransmission, persist, delayed ACK, keepalive, TIME-WAIT.

use super::State;
use super::congestion::Congestion;
use super::output::Blocked;
use super::socket::{Ctx, Owner, Socket};
use crate::env::Env;
use crate::error::SocketError;
use crate::event::Ready;
use crate::time::Instant;

impl<E: Env> Socket<E> {
    /// Does all that is due at `ctx.now`. What it makes sendable goes out with the next output.
    pub(crate) fn on_deadlines(&mut self, ctx: &mut Ctx<'_>, env: &mut E) -> Result<(), Blocked> {
        let now = ctx.now;
        let due = |at: &mut Instant| {
            let due = *at <= now;
            if due {
                *at = Instant::NEVER;
            }
            due
        };
        if due(&mut self.deadlines.linger) {
            self.finish(ctx.events, Ready::NONE);
            return Ok(());
        }
        if due(&mut self.deadlines.delayed_ack) {
            self.recv.ack_now = true;
        }
        if due(&mut self.deadlines.retransmit) {
            self.on_retransmit(ctx);
        }
        if due(&mut self.deadlines.persist) {
            self.on_persist(ctx, env)?;
        }
        if due(&mut self.deadlines.keepalive) {
            self.on_keepalive(ctx, env)?;
        }
        Ok(())
    }

    /// RFC 6298, 5.4 to 5.7.
    fn on_retransmit(&mut self, ctx: &mut Ctx<'_>) {
        let opening = matches!(self.state, State::SynSent | State::SynReceived);
        if !opening && self.send.una == self.send.max {
            return;
        }
        self.send.retries += 1;
        let retries_max = match opening {
            true => ctx.net.config.syn_retries,
            false => ctx.net.config.data_retries,
        };
        if self.gives_up(ctx, u32::from(retries_max)) {
            return;
        }
        ctx.net.stats.tcp_timeouts += 1;
        self.rtt.back_off();
        let send = &mut self.send;
        send.timed = None;
        send.timeout_stamp = Some(self.ts.clock(ctx.now));
        if opening {
            send.nxt = send.iss;
            return;
        }
        let again = send.retries > 1;
        self.cc.on_timeout(send.max.past(send.una), again);
        // All that is outstanding is taken for lost, and sent again as the window opens (RFC 5681, 3.1).
        send.nxt = send.una;
        send.recover = send.max;
        send.recovering = false;
        send.resend_first = false;
        send.dup_acks = 0;
    }

    /// Ends the connection when it has waited long enough (RFC 9293, 3.8.3; RFC 5482).
    fn gives_up(&mut self, ctx: &mut Ctx<'_>, retries_max: u32) -> bool {
        let give_up = match self.opts.user_timeout {
            Some(limit) => ctx.now.since(self.send.stalled_since) >= limit,
            None => self.send.retries > retries_max,
        };
        if give_up {
            let error = self.soft_error.unwrap_or(SocketError::TimedOut);
            self.fail(ctx, error);
        }
        give_up
    }

    /// The window has been too small for too long (RFC 9293, 3.8.6.1 and 3.8.6.2.1).
    fn on_persist(&mut self, ctx: &mut Ctx<'_>, env: &mut E) -> Result<(), Blocked> {
        if self.send.una != self.send.nxt {
            return Ok(());
        }
        if self.send.wnd > 0 {
            self.send.force_small = true;
            return Ok(());
        }
        if self.send.retries == 0 && self.owner != Owner::Nobody {
            self.send.stalled_since = ctx.now;
        }
        self.send.retries += 1;
        if self.gives_up(ctx, u32::from(ctx.net.config.data_retries)) {
            return Ok(());
        }
        ctx.net.stats.tcp_persist_probes += 1;
        self.rtt.back_off();
        self.deadlines.persist = ctx.now + self.rtt.timeout();
        self.output_probe(ctx, env)
    }

    /// Starts or stops keepalive as the settings say (RFC 1122, 4.2.3.6).
    pub(crate) fn start_keepalive(&mut self, now: Instant) {
        let established = matches!(
            self.state,
            State::Established
                | State::CloseWait
                | State::FinWait1
                | State::FinWait2
                | State::SynSent
                | State::SynReceived
        );
        self.deadlines.keepalive = match self.opts.keepalive {
            Some(keepalive) if established => now + keepalive.idle,
            _ => Instant::NEVER,
        };
        self.recv.probes = 0;
    }

    fn on_keepalive(&mut self, ctx: &mut Ctx<'_>, env: &mut E) -> Result<(), Blocked> {
        let Some(keepalive) = self.opts.keepalive else {
            return Ok(());
        };
        let idle_until = self.recv.last_heard + keepalive.idle;
        if idle_until > ctx.now || self.send.una != self.send.max {
            // Heard since, or the retransmission timer is on watch.
            self.recv.probes = 0;
            self.deadlines.keepalive = idle_until.max(ctx.now + keepalive.interval);
            return Ok(());
        }
        if self.recv.probes >= keepalive.probes {
            self.fail(ctx, SocketError::TimedOut);
            return Ok(());
        }
        self.recv.probes += 1;
        ctx.net.stats.tcp_keepalive_probes += 1;
        self.deadlines.keepalive = ctx.now + keepalive.interval;
        self.output_probe(ctx, env)
    }

    /// Both FINs are acknowledged as far as we know: stay to answer a repeated FIN (RFC 9293, 3.6.1).
    pub(crate) fn start_time_wait(&mut self, ctx: &mut Ctx<'_>) {
        let first = self.state != State::TimeWait;
        self.state = State::TimeWait;
        self.deadlines.retransmit = Instant::NEVER;
        self.deadlines.persist = Instant::NEVER;
        self.deadlines.keepalive = Instant::NEVER;
        self.deadlines.linger = ctx.now + ctx.net.config.time_wait;
        if first {
            self.raise(ctx.events, Ready::DISCONNECTED);
        }
    }

    /// An orphan does not wait for the peer's FIN for ever.
    pub(crate) fn start_fin_wait_2(&mut self, ctx: &mut Ctx<'_>) {
        if self.owner == Owner::Nobody {
            self.deadlines.linger = ctx.now + ctx.net.config.fin_wait_2;
        }
    }
}
