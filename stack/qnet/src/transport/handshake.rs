//! How two nodes come to have a session.
//!
//! The initiator sends TCS_INIT, the responder answers TCS_REM_UP, and the initiator confirms with
//! TCS_UP; each carries a message of the Noise handshake where security is on, and the same frames
//! without it where it is off. An unanswered frame is sent again, by each of the paths in turn. When both
//! nodes begin at once, the one with the higher boot id remains the initiator.
//!
//! Until the third frame nothing is known for sure of an initiator. What it can make us remember is
//! bounded, and under load it must first show, by a cookie, that it receives at its address.

use core::time::Duration;

use aws_lc_rs::digest;

use super::hello::{self, COOKIE_LEN, Hello, Parsed};
use super::peer::Agreed;
use super::receive::GOODBYE_REFUSED;
use super::{
    Config, DownReason, Event, FRAME_OVERHEAD_BYTES, LinkAddr, LinkId, Node, PeerId, RefusedReason,
    Transmit, Transport,
};
use crate::secure::{Noise, Protection, PublicKey, Security, SessionKeys, Verdict};
use crate::time::Instant;
use io_net_wire::lwl4::{self, Header};

/// Time before a handshake's frame is first sent again; it doubles each time.
const RETRY: Duration = Duration::from_millis(50);
/// How often it doubles.
const RETRY_DOUBLINGS: u32 = 3;
/// How long an initiator may take to confirm.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A handshake that this node began.
pub(crate) struct Opening {
    noise: Option<Noise>,
    /// The Noise message of the first frame.
    first: Vec<u8>,
    /// What the first frame says in clear.
    bound: Vec<u8>,
    cookie: [u8; COOKIE_LEN],
    attempts: u32,
    /// It has given way to theirs; if nothing comes of that, it begins anew, under another token.
    is_void: bool,
    sent_at: Instant,
    next_at: Instant,
    give_up_at: Instant,
}

/// A handshake that another node began.
pub(crate) struct Answering {
    noise: Option<Noise>,
    hello: Hello,
    remote_index: u16,
    remote_token: u32,
    /// The payload of our answer.
    reply: Vec<u8>,
    via: (LinkId, LinkAddr),
    attempts: u32,
    sent_at: Instant,
    next_at: Instant,
    give_up_at: Instant,
}

impl Opening {
    pub(crate) fn next_at(&self) -> Instant {
        self.next_at.min(self.give_up_at)
    }
}

impl Answering {
    pub(crate) fn next_at(&self) -> Instant {
        self.next_at.min(self.give_up_at)
    }

    fn origin(&self) -> (u64, u32) {
        (self.hello.boot, self.remote_token)
    }
}

/// The numbers by which a handshake's frame names both ends.
#[derive(Clone, Copy, Default)]
pub(super) struct Ends {
    pub(super) src_nd: u16,
    pub(super) dst_nd: u16,
    pub(super) src_conn: u32,
    pub(super) dst_conn: u32,
}

impl Ends {
    fn of(header: &Header) -> Self {
        Ends {
            src_nd: header.src_nd,
            dst_nd: header.dst_nd,
            src_conn: header.src_conn,
            dst_conn: header.dst_conn,
        }
    }

    fn bytes(self) -> [u8; 12] {
        let mut out = [0; 12];
        out[..2].copy_from_slice(&self.src_nd.to_le_bytes());
        out[2..4].copy_from_slice(&self.dst_nd.to_le_bytes());
        out[4..8].copy_from_slice(&self.src_conn.to_le_bytes());
        out[8..].copy_from_slice(&self.dst_conn.to_le_bytes());
        out
    }

    /// What a Noise message must bind.
    fn bind(self, bound: &[u8]) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA256, &[&self.bytes()[..], bound].concat());
        digest.as_ref().to_vec()
    }
}

/// A node that has confirmed its handshake.
struct Initiator {
    hello: Hello,
    /// The handshake, and the key that it has shown to hold; `None` without security.
    proven: Option<(Noise, PublicKey)>,
    /// How long it took to confirm, where that was measured.
    rtt: Option<Duration>,
}

/// What a node has proved of itself, and what was thought of it.
#[derive(Default)]
struct Proof {
    key: Option<PublicKey>,
    keys: Option<SessionKeys>,
    is_refused: bool,
}

fn retry_after(attempts: u32) -> Duration {
    RETRY * (1 << attempts.saturating_sub(1).min(RETRY_DOUBLINGS))
}

impl Transport {
    /// Begins a handshake with a peer whose paths are known.
    pub(super) fn begin(&mut self, now: Instant, index: u16) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        let bound = our_hello(&self.config, self.boot, peer.node.clone()).emit();
        let ends = Ends {
            dst_nd: index,
            src_conn: peer.token,
            ..Ends::default()
        };
        let mut noise = match &self.config.security {
            Security::None => None,
            Security::Noise { key, .. } => {
                Some(Noise::initiator(key, &ends.bind(&bound), &mut self.rng))
            }
        };
        let first = noise.as_mut().and_then(|noise| noise.write(&[]).ok());
        peer.opening = Some(Box::new(Opening {
            noise,
            first: first.unwrap_or_default(),
            bound,
            cookie: [0; COOKIE_LEN],
            attempts: 0,
            is_void: false,
            sent_at: now,
            next_at: now,
            give_up_at: now + self.config.connect_timeout,
        }));
        self.send_init(now, index);
    }

    /// Sends the first frame by the next of the paths.
    fn send_init(&mut self, now: Instant, index: u16) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        let (Some(opening), false) = (peer.opening.as_mut(), peer.paths.is_empty()) else {
            return;
        };
        let path = &peer.paths[opening.attempts as usize % peer.paths.len()];
        opening.attempts += 1;
        opening.sent_at = now;
        opening.next_at = now + retry_after(opening.attempts);
        let payload = hello::finish(opening.bound.clone(), &opening.cookie, &opening.first);
        let ends = Ends {
            dst_nd: index,
            src_conn: peer.token,
            ..Ends::default()
        };
        let (link, to) = (path.link, path.addr);
        self.send_control(link, to, lwl4::TYPE_TCS_INIT, ends, &payload);
    }

    /// Does what is due in a handshake; true when our own has failed.
    pub(super) fn handshake_timeout(&mut self, now: Instant, index: u16) -> bool {
        let Some(peer) = self.peers.get_mut(index) else {
            return false;
        };
        if let Some(answering) = peer.answering.as_mut() {
            if answering.give_up_at <= now {
                self.origins.remove(&answering.origin());
                peer.answering = None;
                if peer.opening.is_none() {
                    self.peers.remove(index);
                    return false;
                }
            } else if answering.next_at <= now {
                self.send_reply(now, index);
            }
        }
        let Some(peer) = self.peers.get_mut(index) else {
            return false;
        };
        let answered_until = peer.answering.as_ref().map(|a| a.give_up_at);
        let Some(opening) = peer.opening.as_mut() else {
            return false;
        };
        if opening.give_up_at <= now {
            return true;
        }
        if let Some(given_way_until) = answered_until {
            opening.next_at = opening.next_at.max(given_way_until);
        }
        if opening.next_at <= now {
            match opening.is_void {
                true => self.begin_anew(now, index),
                false => self.send_init(now, index),
            }
        }
        false
    }

    /// Sends the answer to the first frame, again perhaps.
    fn send_reply(&mut self, now: Instant, index: u16) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        let Some(answering) = peer.answering.as_mut() else {
            return;
        };
        answering.attempts += 1;
        answering.sent_at = now;
        answering.next_at = now + retry_after(answering.attempts);
        let ends = Ends {
            src_nd: answering.remote_index,
            dst_nd: index,
            src_conn: peer.token,
            dst_conn: answering.remote_token,
        };
        let (reply, (link, to)) = (answering.reply.clone(), answering.via);
        self.send_control(link, to, lwl4::TYPE_TCS_REM_UP, ends, &reply);
    }

    /// A node wants a session.
    pub(super) fn handle_init(
        &mut self,
        now: Instant,
        via: (LinkId, LinkAddr),
        header: &Header,
        payload: &[u8],
    ) {
        let Some(parsed) = hello::parse(payload).filter(|_| header.src_conn != 0) else {
            self.stats.drop_malformed += 1;
            return;
        };
        if parsed.hello.dest != self.config.node || parsed.hello.source == self.config.node {
            self.stats.drop_misaddressed += 1;
            return;
        }
        let origin = (parsed.hello.boot, header.src_conn);
        if let Some(&index) = self.origins.get(&origin) {
            self.repeat_reply(now, index, via);
            return;
        }
        if !self.admit(now, via, header, &parsed) {
            return;
        }
        if let Some(index) = self.place_for(&parsed.hello, header) {
            self.answer(now, index, via, header, &parsed);
        }
    }

    fn repeat_reply(&mut self, now: Instant, index: u16, via: (LinkId, LinkAddr)) {
        let answering = self.peers.get_mut(index).and_then(|p| p.answering.as_mut());
        if let Some(answering) = answering {
            answering.via = via;
            self.send_reply(now, index);
        }
    }

    /// The peer that an initiator's handshake shall belong to; `None` where it gives way.
    fn place_for(&mut self, hello: &Hello, header: &Header) -> Option<u16> {
        let known = self.by_node.get(&hello.source).copied();
        if let Some(peer) = known.and_then(|index| self.peers.get_mut(index)) {
            if let Some(session) = &peer.session {
                // Its own first frame, late.
                if (session.boot, session.remote_token) == (hello.boot, header.src_conn) {
                    self.stats.drop_handshake += 1;
                    return None;
                }
            } else if self.boot > hello.boot || peer.answering.is_some() {
                self.stats.drop_handshake += 1;
                return None;
            } else {
                return known;
            }
        }
        let index = self.insert_peer(hello.source.clone());
        if index.is_none() {
            self.stats.drop_half_open += 1;
        }
        index
    }

    /// Answers an initiator.
    fn answer(
        &mut self,
        now: Instant,
        index: u16,
        via: (LinkId, LinkAddr),
        header: &Header,
        parsed: &Parsed<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        if peer.opening.is_some() {
            // Our own first frame may be answered yet: what comes of that is not to be taken for this.
            peer.token = self.rng.nonzero_u32();
        }
        let theirs = Ends::of(header);
        let ours = Ends {
            src_nd: header.dst_nd,
            dst_nd: index,
            src_conn: peer.token,
            dst_conn: header.src_conn,
        };
        let bound = our_hello(&self.config, self.boot, parsed.hello.source.clone()).emit();
        let mut noise = match &self.config.security {
            Security::None => None,
            Security::Noise { key, .. } => {
                let prologue = theirs.bind(parsed.bound);
                Some(Noise::responder(key, &prologue, &mut self.rng))
            }
        };
        let message = match &mut noise {
            None => Ok(Vec::new()),
            Some(noise) => noise
                .read(parsed.noise)
                .and_then(|_| noise.write(&ours.bind(&bound))),
        };
        let Ok(message) = message else {
            self.stats.drop_forged += 1;
            if !peer.is_known {
                self.peers.remove(index);
            }
            return;
        };
        peer.answering = Some(Box::new(Answering {
            noise,
            hello: parsed.hello.clone(),
            remote_index: header.dst_nd,
            remote_token: header.src_conn,
            reply: hello::finish(bound, &[0; COOKIE_LEN], &message),
            via,
            attempts: 0,
            sent_at: now,
            next_at: now,
            give_up_at: now + ANSWER_TIMEOUT,
        }));
        // Our own attempt rests meanwhile.
        if let Some(opening) = peer.opening.as_mut() {
            opening.is_void = true;
            opening.next_at = now + ANSWER_TIMEOUT;
        }
        self.origins
            .insert((parsed.hello.boot, header.src_conn), index);
        self.send_reply(now, index);
        self.after(now, index);
    }

    /// The other end has answered our first frame.
    pub(super) fn handle_rem_up(
        &mut self,
        now: Instant,
        via: (LinkId, LinkAddr),
        header: &Header,
        payload: &[u8],
    ) {
        let Some(parsed) = hello::parse(payload) else {
            self.stats.drop_malformed += 1;
            return;
        };
        let index = header.src_nd;
        let Some(peer) = self.peers.addressed(header) else {
            self.stats.drop_no_session += 1;
            return;
        };
        if let Some(session) = &peer.session {
            // Our confirmation was lost.
            if let Some(confirm) = session.confirm.clone() {
                self.push_control(via.0, via.1, confirm);
            }
            return;
        }
        let Some(opening) = peer.opening.as_mut() else {
            self.stats.drop_handshake += 1;
            return;
        };
        if parsed.hello.flags & hello::FLAG_COOKIE != 0 {
            if opening.cookie != parsed.cookie {
                opening.cookie = parsed.cookie;
                opening.attempts = opening.attempts.saturating_sub(1);
                self.send_init(now, index);
            }
            return;
        }
        if parsed.hello.source != peer.node {
            let claimed = parsed.hello.source.clone();
            self.refuse(claimed, via.1, RefusedReason::WrongName);
            return;
        }
        self.confirm(now, index, via, header, &parsed);
    }

    /// Checks the answer to our first frame; where it is good, the peer is up, and is told so.
    fn confirm(
        &mut self,
        now: Instant,
        index: u16,
        via: (LinkId, LinkAddr),
        header: &Header,
        parsed: &Parsed<'_>,
    ) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        let Some(opening) = peer.opening.as_mut() else {
            return;
        };
        let rtt = (opening.attempts == 1).then(|| now.since(opening.sent_at));
        let mut message = Vec::new();
        let mut proven = None;
        if let Some(mut noise) = opening.noise.take() {
            let Ok(bound) = noise.read(parsed.noise) else {
                opening.noise = Some(noise);
                self.stats.drop_forged += 1;
                return;
            };
            let genuine = bound == Ends::of(header).bind(parsed.bound);
            let last = noise.write(&[]);
            let (Some(key), Ok(last), true) = (noise.remote_key(), last, genuine) else {
                self.stats.drop_forged += 1;
                self.begin_anew(now, index);
                return;
            };
            message = last;
            proven = Some((noise, key));
        }
        let proof = self.prove(&parsed.hello, via.1, proven);
        let Some(proof) = proof.filter(|proof| !proof.is_refused) else {
            self.remove_peer(now, index, DownReason::Refused);
            return;
        };
        let agreed = agree(&self.config, header, &parsed.hello, proof);
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        let ends = Ends {
            src_nd: agreed.remote_index,
            dst_nd: index,
            src_conn: peer.token,
            dst_conn: agreed.remote_token,
        };
        let frame = control_frame(via.0, lwl4::TYPE_TCS_UP, ends, &message);
        self.establish(now, index, via, agreed, rtt);
        let session = self.peers.get_mut(index).and_then(|p| p.session.as_mut());
        if let Some(session) = session {
            session.confirm = Some(frame.clone());
        }
        self.push_control(via.0, via.1, frame);
    }

    /// Somebody has spoilt the handshake: it begins again, in what is left of its time.
    fn begin_anew(&mut self, now: Instant, index: u16) {
        let opening = self.peers.get_mut(index).and_then(|p| p.opening.take());
        let Some(old) = opening else {
            return;
        };
        let token = self.rng.nonzero_u32();
        if let Some(peer) = self.peers.get_mut(index).filter(|p| p.answering.is_none()) {
            peer.token = token;
        }
        self.begin(now, index);
        let opening = self.peers.get_mut(index).and_then(|p| p.opening.as_mut());
        if let Some(opening) = opening {
            opening.give_up_at = old.give_up_at;
        }
    }

    /// The initiator has confirmed.
    pub(super) fn handle_up(
        &mut self,
        now: Instant,
        via: (LinkId, LinkAddr),
        header: &Header,
        payload: &[u8],
    ) {
        let index = header.src_nd;
        let Some(peer) = self.peers.addressed(header) else {
            self.stats.drop_no_session += 1;
            return;
        };
        if let Some(session) = &peer.session {
            // It has not heard of us since: a probe tells it that it has been understood.
            if session.remote_token == header.src_conn {
                peer.probe_all();
                self.after(now, index);
            }
            return;
        }
        let token = peer.answering.as_ref().map(|a| a.remote_token);
        if token != Some(header.src_conn) {
            self.stats.drop_handshake += 1;
            return;
        }
        let Some(mut answering) = peer.answering.take() else {
            return;
        };
        let mut proven = None;
        if let Some(mut noise) = answering.noise.take() {
            let read = noise.read(payload);
            let (Some(key), true) = (noise.remote_key(), read.is_ok()) else {
                answering.noise = Some(noise);
                peer.answering = Some(answering);
                self.stats.drop_forged += 1;
                return;
            };
            proven = Some((noise, key));
        }
        self.origins.remove(&answering.origin());
        let rtt = (answering.attempts == 1).then(|| now.since(answering.sent_at));
        let initiator = Initiator {
            hello: answering.hello,
            proven,
            rtt,
        };
        self.welcome(now, index, via, header, initiator);
    }

    /// An initiator has proved who it is: it is let in, in the place of any earlier life of its node.
    fn welcome(
        &mut self,
        now: Instant,
        index: u16,
        via: (LinkId, LinkAddr),
        header: &Header,
        initiator: Initiator,
    ) {
        let Initiator { hello, proven, rtt } = initiator;
        let hello = &hello;
        let Some(proof) = self.prove(hello, via.1, proven) else {
            self.remove_nobody(index);
            return;
        };
        let is_refused = proof.is_refused;
        let agreed = agree(&self.config, header, hello, proof);
        if is_refused {
            self.turn_away(now, index, via, agreed);
            return;
        }
        let old = self.by_node.get(&hello.source).copied();
        if let Some(old) = old.filter(|old| *old != index) {
            let session = self.peers.get(old).and_then(|p| p.session.as_ref());
            let same_life = session.filter(|session| session.boot == hello.boot);
            if same_life.is_some_and(|s| s.confirm.is_some()) && self.boot > hello.boot {
                // Both have begun and both been answered: theirs gives way, as soon as it hears of ours.
                self.stats.drop_handshake += 1;
                self.remove_nobody(index);
                return;
            }
            let reason = match same_life.is_some() {
                true => DownReason::ClosedByPeer,
                false => DownReason::Restarted,
            };
            self.remove_peer(now, old, reason);
        }
        self.establish(now, index, via, agreed, rtt);
        // It waits for a sign that it has been understood.
        if let Some(peer) = self.peers.get_mut(index) {
            self.events.extend(peer.up_event());
            peer.probe_all();
        }
        self.after(now, index);
    }

    /// Judges a node by the key that it has proved to hold, and derives the session's keys.
    fn prove(
        &mut self,
        hello: &Hello,
        from: LinkAddr,
        proven: Option<(Noise, PublicKey)>,
    ) -> Option<Proof> {
        let node = hello.source.clone();
        let (noise, key, known, own) = match (&mut self.config.security, proven) {
            (Security::None, None) => return Some(Proof::default()),
            (
                Security::Noise {
                    known, protection, ..
                },
                Some((noise, key)),
            ) => (noise, key, known, *protection),
            _ => return None,
        };
        let encrypt = own == Protection::Encrypted || hello.flags & hello::FLAG_ENCRYPT != 0;
        let protection = match encrypt {
            true => Protection::Encrypted,
            false => Protection::Authenticated,
        };
        let keys = noise.into_keys(protection).ok()?;
        let refused = match known.judge(&node, key) {
            Verdict::Known => None,
            Verdict::Pinned => {
                self.events.push_back(Event::Pinned { node, key });
                None
            }
            Verdict::NotAllowed => Some(RefusedReason::NotAllowed),
            Verdict::KeyChanged => Some(RefusedReason::KeyChanged),
        };
        if let Some(reason) = refused {
            self.refuse(hello.source.clone(), from, reason);
        }
        Some(Proof {
            key: Some(key),
            keys: Some(keys),
            is_refused: refused.is_some(),
        })
    }

    fn refuse(&mut self, node: Node, from: LinkAddr, reason: RefusedReason) {
        self.stats.drop_untrusted += 1;
        self.events.push_back(Event::Refused { node, from, reason });
    }

    fn establish(
        &mut self,
        now: Instant,
        index: u16,
        via: (LinkId, LinkAddr),
        agreed: Agreed,
        rtt: Option<Duration>,
    ) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        if let Some(answering) = peer.answering.take() {
            self.origins.remove(&answering.origin());
        }
        peer.establish(agreed, via, now, &self.config, &self.links);
        peer.is_known = true;
        let first = peer.paths.iter_mut().find(|path| path.link == via.0);
        if let (Some(path), Some(rtt)) = (first, rtt) {
            path.rtt.sample(rtt, Duration::ZERO);
        }
        self.stats.sessions += 1;
        let (id, node) = (peer.id, peer.node.clone());
        self.by_node.insert(node, index);
        let link = via.0;
        self.events.push_back(Event::PathUp { peer: id, link });
        self.after(now, index);
    }

    /// Tells a node that it is not trusted, and forgets it.
    fn turn_away(&mut self, now: Instant, index: u16, via: (LinkId, LinkAddr), agreed: Agreed) {
        if let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.is_known) {
            peer.establish(agreed, via, now, &self.config, &self.links);
            self.say_goodbye(now, index, GOODBYE_REFUSED);
        }
        self.remove_nobody(index);
    }

    /// Forgets a peer that never was one, unless somebody waits for it.
    fn remove_nobody(&mut self, index: u16) {
        if self.peers.get(index).is_some_and(|peer| !peer.is_known) {
            self.peers.remove(index);
        }
    }

    pub(super) fn send_control(
        &mut self,
        link: LinkId,
        to: LinkAddr,
        kind: u8,
        ends: Ends,
        payload: &[u8],
    ) {
        let frame = control_frame(link, kind, ends, payload);
        self.push_control(link, to, frame);
    }

    pub(super) fn push_control(&mut self, link: LinkId, to: LinkAddr, frame: Vec<u8>) {
        if self.control.len() < super::CONTROL_MAX {
            let len = frame.len();
            self.control.push_back((Transmit { link, to, len }, frame));
        } else {
            self.stats.drop_datagram_tx += 1;
        }
    }

    /// A new peer without session or paths.
    pub(super) fn insert_peer(&mut self, node: Node) -> Option<u16> {
        let token = self.rng.nonzero_u32();
        let config = &self.config;
        self.peers.insert(|index, generation| {
            super::Peer::new(PeerId { index, generation }, node, token, config)
        })
    }
}

/// A frame of a handshake, always with its checksum.
fn control_frame(link: LinkId, kind: u8, ends: Ends, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; FRAME_OVERHEAD_BYTES];
    frame.extend_from_slice(payload);
    let header = Header {
        kind,
        flags: lwl4::FLAG_FIRST | lwl4::FLAG_LAST | lwl4::FLAG_CRC,
        src_nd: ends.src_nd,
        dst_nd: ends.dst_nd,
        src_conn: ends.src_conn,
        dst_conn: ends.dst_conn,
        qos_index: u16::from(link.0),
        length: payload.len() as u32,
        ..Header::default()
    };
    header.emit(&mut frame);
    lwl4::write_crc(&mut frame);
    frame
}

/// What this node says of itself.
pub(super) fn our_hello(config: &Config, boot: u64, dest: Node) -> Hello {
    let mut flags = if config.crc { hello::FLAG_CRC } else { 0 };
    if let Security::Noise { protection, .. } = &config.security {
        flags |= hello::FLAG_NOISE;
        if *protection == Protection::Encrypted {
            flags |= hello::FLAG_ENCRYPT;
        }
    }
    let clamp = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    Hello {
        source: config.node.clone(),
        dest,
        flags,
        conns: config.conns_max,
        boot,
        message_bytes: clamp(config.message_bytes_max),
        held_bytes: clamp(config.receive_bytes_max.max(config.message_bytes_max)),
    }
}

/// What both ends agree on.
fn agree(config: &Config, header: &Header, hello: &Hello, proof: Proof) -> Agreed {
    Agreed {
        remote_index: header.dst_nd,
        remote_token: header.src_conn,
        boot: hello.boot,
        key: proof.key,
        keys: proof.keys,
        crc: config.crc || hello.flags & hello::FLAG_CRC != 0,
        message_bytes_max: config.message_bytes_max.min(hello.message_bytes as usize),
        held_bytes_max: hello.held_bytes as usize,
        conns_max: config.conns_max.min(hello.conns),
    }
}
