//! What strangers are let do: how many handshakes, after which proof, and what frames of no session bring.

use core::time::Duration;

use aws_lc_rs::hmac;

use super::handshake::{Ends, our_hello};
use super::hello::{self, COOKIE_LEN, Parsed};
use super::{Event, LinkAddr, LinkId, RefusedReason, Transport};
use crate::secure::Security;
use crate::time::Instant;
use io_net_wire::lwl4::{self, Header};

/// For how long a cookie is good, at least.
const COOKIE_LIFE: Duration = Duration::from_secs(10);

/// Frames of unknown sessions answered a second.
const RESETS_PER_S: u32 = 1000;

impl Transport {
    /// Whether an initiator is to be answered in earnest.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        via: (LinkId, LinkAddr),
        header: &Header,
        parsed: &Parsed<'_>,
    ) -> bool {
        let wants_noise = parsed.hello.flags & hello::FLAG_NOISE != 0;
        if !self.rate.allows(now, self.config.handshakes_per_s) {
            self.stats.drop_flood += 1;
            return false;
        }
        if wants_noise != matches!(self.config.security, Security::Noise { .. }) {
            self.stats.drop_untrusted += 1;
            self.events.push_back(Event::Refused {
                node: parsed.hello.source.clone(),
                from: via.1,
                reason: RefusedReason::SecurityMismatch,
            });
            return false;
        }
        if self.origins.len() >= self.config.half_open_max {
            self.stats.drop_half_open += 1;
            return false;
        }
        if self.origins.len() * 2 >= self.config.half_open_max
            && !self.knows_cookie(now, via, header.src_conn, parsed)
        {
            self.stats.drop_cookie += 1;
            self.send_cookie(now, via, header, parsed);
            return false;
        }
        true
    }

    fn cookie(
        &self,
        bucket: u64,
        via: (LinkId, LinkAddr),
        token: u32,
        boot: u64,
    ) -> [u8; COOKIE_LEN] {
        let mut text = Vec::with_capacity(64);
        text.extend_from_slice(&bucket.to_le_bytes());
        text.extend_from_slice(&boot.to_le_bytes());
        text.extend_from_slice(&token.to_le_bytes());
        text.push(via.0.0);
        text.extend_from_slice(via.1.to_string().as_bytes());
        let tag = hmac::sign(&self.cookie_key, &text);
        let mut cookie = [0; COOKIE_LEN];
        cookie.copy_from_slice(&tag.as_ref()[..COOKIE_LEN]);
        cookie
    }

    fn knows_cookie(
        &self,
        now: Instant,
        via: (LinkId, LinkAddr),
        token: u32,
        parsed: &Parsed<'_>,
    ) -> bool {
        let bucket = cookie_bucket(now);
        [bucket, bucket.saturating_sub(1)]
            .iter()
            .any(|bucket| self.cookie(*bucket, via, token, parsed.hello.boot) == parsed.cookie)
    }

    fn send_cookie(
        &mut self,
        now: Instant,
        via: (LinkId, LinkAddr),
        header: &Header,
        parsed: &Parsed<'_>,
    ) {
        let cookie = self.cookie(cookie_bucket(now), via, header.src_conn, parsed.hello.boot);
        let mut hello = our_hello(&self.config, self.boot, parsed.hello.source.clone());
        hello.flags |= hello::FLAG_COOKIE;
        let payload = hello::finish(hello.emit(), &cookie, &[]);
        let ends = Ends {
            src_nd: header.dst_nd,
            dst_conn: header.src_conn,
            ..Ends::default()
        };
        self.send_control(via.0, via.1, lwl4::TYPE_TCS_REM_UP, ends, &payload);
    }

    /// Answers a frame of a session that is not known, for the other end to notice.
    pub(super) fn send_reset(&mut self, now: Instant, via: (LinkId, LinkAddr), header: &Header) {
        self.stats.drop_no_session += 1;
        if self.reset_rate.allows(now, RESETS_PER_S) {
            let ends = Ends {
                src_nd: header.dst_nd,
                src_conn: header.dst_conn,
                ..Ends::default()
            };
            self.send_control(via.0, via.1, lwl4::TYPE_TCS_REM_DOWN, ends, &[]);
        }
    }

    /// The other end, or somebody, says that it knows of no session. It has a moment to show that it does.
    pub(super) fn handle_rem_down(&mut self, now: Instant, header: &Header) {
        let index = header.src_nd;
        let session = self.peers.get_mut(index).and_then(|p| p.session.as_mut());
        let Some(session) = session.filter(|s| s.remote_token == header.src_conn) else {
            self.stats.drop_no_session += 1;
            return;
        };
        if session.confirm.is_some() {
            return;
        }
        if session.doubted_at.is_none() {
            session.doubted_at = Some(now);
            if let Some(peer) = self.peers.get_mut(index) {
                peer.probe_all();
            }
            self.after(now, index);
        }
    }
}

fn cookie_bucket(now: Instant) -> u64 {
    now.as_nanos() / COOKIE_LIFE.as_nanos() as u64
}
