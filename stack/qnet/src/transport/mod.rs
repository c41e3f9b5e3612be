//! Messages between nodes: exactly once and in order within a conn, or the peer's end is reported.
//!
//! A [`Transport`] is driven by one thread, which may be any:
//!
//! 1. [`Transport::handle_frame`] for each frame of a burst, [`Transport::send`] for each message, and
//!    [`Transport::handle_timeout`] when [`Transport::poll_timeout`] has come;
//! 2. [`Transport::poll_transmit`] and [`Transport::emit`] until there is nothing to transmit;
//! 3. [`Transport::poll_event`] until it gives nothing.
//!
//! A *link* is one of this node's interfaces, numbered by the caller; a *path* is a link together with
//! the address at which a peer is reached over it. A *peer* is one life of another node: when the node
//! restarts, its old peer goes down and another comes up. A *conn* orders the messages sent on it and
//! chooses their [`Qos`]; conns need no opening and do not wait for each other.
//!
//! A frame is the LWL4 format from its two bytes of padding on, that is what follows the ethertype.

mod ack;
mod admission;
mod config;
mod congestion;
mod event;
mod handshake;
mod hello;
mod id;
mod inbound;
mod message;
mod outbound;
mod path;
mod peer;
mod peers;
mod ranges;
mod rate;
mod receive;
mod received;
mod rtt;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
mod transmit;

use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use aws_lc_rs::hmac;

pub use config::{Config, LinkConfig, Node};
pub use event::{DownReason, Event, OpenError, PathInfo, RefusedReason, SendError, Transmit};
pub use id::{Conn, LinkAddr, LinkId, MessageId, PeerId, Qos};
pub(crate) use message::Tail;
pub use message::{Message, Source};
pub use stats::Stats;

use crate::secure::Rng;
use crate::time::Instant;
use id::LINKS_MAX;
use io_net_wire::lwl4::{self, Header};
use peer::{Links, Peer};
use peers::Peers;
use rate::Rate;
use receive::{Context, GOODBYE_CLOSED};
use timers::Timers;
use transmit::Plan;

/// Bytes of a frame before its payload: the padding and the LWL4 header.
pub const FRAME_OVERHEAD_BYTES: usize = lwl4::HEADER_LEN;

/// Shortest limit of a link's frames: no frame of a handshake is longer.
const MTU_MIN: usize = 1280;

/// Longest limit of a link's frames.
const MTU_MAX: usize = 65_536;

/// Most frames outside any session that wait to be sent.
const CONTROL_MAX: usize = 4096;

/// Most datagrams that wait among the events.
const DATAGRAMS_MAX: usize = 1024;

/// Least time from one wake-up of a peer to the next.
const TIMER_GRAIN: Duration = Duration::from_micros(50);

/// The transport of one node.
pub struct Transport {
    config: Config,
    stats: Stats,
    rng: Rng,
    cookie_key: hmac::Key,
    /// This life of this node.
    boot: u64,
    links: Links,
    peers: Peers,
    /// Peers that are up or were asked for.
    by_node: HashMap<Node, u16>,
    /// Half-open handshakes of others, by the initiator's boot id and token.
    origins: HashMap<(u64, u32), u16>,
    /// Handshakes answered.
    rate: Rate,
    /// Frames of no session answered.
    reset_rate: Rate,
    /// Frames outside any session.
    control: VecDeque<(Transmit, Vec<u8>)>,
    /// Peers that may have something to transmit.
    ready: VecDeque<u16>,
    timers: Timers,
    events: VecDeque<Event>,
    datagrams: usize,
    staged: Option<Staged>,
}

/// A frame that has been chosen and not been written.
enum Staged {
    Control(Transmit, Vec<u8>),
    Peer(PeerId, Plan),
}

impl Transport {
    /// A transport without links or peers.
    pub fn new(_now: Instant, config: Config) -> Self {
        let mut rng = Rng::new(&config.seed);
        Transport {
            stats: Stats::default(),
            cookie_key: hmac::Key::new(hmac::HMAC_SHA256, &rng.bytes()),
            boot: rng.u64(),
            rng,
            links: [None; LINKS_MAX],
            peers: Peers::new(config.peers_max),
            by_node: HashMap::new(),
            origins: HashMap::new(),
            rate: Rate::default(),
            reset_rate: Rate::default(),
            control: VecDeque::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            events: VecDeque::new(),
            datagrams: 0,
            staged: None,
            config,
        }
    }

    /// Takes a frame that came over `link` from `from`. The bytes may be changed (deciphered in place).
    pub fn handle_frame(&mut self, now: Instant, link: LinkId, from: LinkAddr, frame: &mut [u8]) {
        self.stats.rx_frames += 1;
        let Ok(header) = Header::parse(frame) else {
            self.stats.drop_malformed += 1;
            return;
        };
        if !self
            .links
            .get(usize::from(link.0))
            .is_some_and(Option::is_some)
        {
            self.stats.drop_unknown_link += 1;
            return;
        }
        match header.kind {
            lwl4::TYPE_DATA
            | lwl4::TYPE_ACK
            | lwl4::TYPE_NACK
            | lwl4::TYPE_USER_DATA
            | lwl4::TYPE_TCS_DOWN => self.handle_session_frame(now, (link, from), &header, frame),
            _ => self.handle_other_frame(now, (link, from), &header, frame),
        }
    }

    #[inline]
    fn handle_session_frame(
        &mut self,
        now: Instant,
        via: (LinkId, LinkAddr),
        header: &Header,
        frame: &mut [u8],
    ) {
        let index = header.src_nd;
        let Some(peer) = self
            .peers
            .get_mut(index)
            .filter(|p| p.token == header.dst_conn)
        else {
            if header.flags & lwl4::FLAG_CRC != 0 && !lwl4::crc_is_valid(header, frame) {
                self.stats.drop_crc += 1;
            } else {
                self.send_reset(now, via, header);
            }
            return;
        };
        let mut cx = Context {
            now,
            link: via.0,
            from: via.1,
            config: &self.config,
            links: &self.links,
            events: &mut self.events,
            stats: &mut self.stats,
        };
        if let Some(reason) = peer.handle_frame(header, frame, &mut cx) {
            self.remove_peer(now, index, reason);
            return;
        }
        if !peer.is_ready && peer.wants_transmit() {
            peer.is_ready = true;
            self.ready.push_back(index);
        }
        // Taking data can only bring forward an acknowledgement; an acknowledgement anything.
        match header.kind {
            lwl4::TYPE_DATA => {
                let latest = now + self.config.ack_delay;
                self.timers.arm(index, &mut peer.armed, latest);
            }
            _ => self.after(now, index),
        }
    }

    fn handle_other_frame(
        &mut self,
        now: Instant,
        via: (LinkId, LinkAddr),
        header: &Header,
        frame: &[u8],
    ) {
        let payload = &frame[FRAME_OVERHEAD_BYTES..][..header.length as usize];
        if header.kind == lwl4::TYPE_LAN_RESOLVER {
            self.handle_datagram(via, header, frame, payload);
            return;
        }
        if header.flags & lwl4::FLAG_CRC == 0 || !lwl4::crc_is_valid(header, frame) {
            self.stats.drop_crc += 1;
            return;
        }
        match header.kind {
            lwl4::TYPE_TCS_INIT => self.handle_init(now, via, header, payload),
            lwl4::TYPE_TCS_REM_UP => self.handle_rem_up(now, via, header, payload),
            lwl4::TYPE_TCS_UP => self.handle_up(now, via, header, payload),
            lwl4::TYPE_TCS_REM_DOWN => self.handle_rem_down(now, header),
            _ => self.stats.drop_unknown_type += 1,
        }
    }

    fn handle_datagram(
        &mut self,
        via: (LinkId, LinkAddr),
        header: &Header,
        frame: &[u8],
        payload: &[u8],
    ) {
        if header.flags & lwl4::FLAG_CRC != 0 && !lwl4::crc_is_valid(header, frame) {
            self.stats.drop_crc += 1;
        } else if self.datagrams >= DATAGRAMS_MAX {
            self.stats.drop_datagram_rx += 1;
        } else {
            self.datagrams += 1;
            self.events.push_back(Event::Datagram {
                link: via.0,
                from: via.1,
                layer: header.layer,
                big_endian: header.big_endian,
                bytes: payload.to_vec(),
            });
        }
    }

    /// The frame that must be sent next: where to and how long, so that a buffer can be found for it.
    /// The same again until [`Transport::emit`] was called.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if self.staged.is_none() {
            self.staged = self.stage(now);
        }
        match self.staged.as_ref()? {
            Staged::Control(transmit, _) => Some(*transmit),
            Staged::Peer(_, plan) => Some(plan.transmit),
        }
    }

    fn stage(&mut self, now: Instant) -> Option<Staged> {
        if let Some((transmit, frame)) = self.control.pop_front() {
            return Some(Staged::Control(transmit, frame));
        }
        while let Some(&index) = self.ready.front() {
            if let Some(peer) = self.peers.get_mut(index) {
                if let Some(plan) = peer.plan(now, &self.links) {
                    return Some(Staged::Peer(peer.id, plan));
                }
                peer.is_ready = false;
            }
            self.ready.pop_front();
        }
        None
    }

    /// Writes the frame that [`Transport::poll_transmit`] gave into `out`, which has at least
    /// [`Transmit::len`] bytes; its length. `None`, and nothing is to be sent, where there is no need of
    /// it any more or `out` is too short; the next frame may then be polled.
    pub fn emit(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        let len = match self.staged.take()? {
            Staged::Control(transmit, frame) => {
                out.get_mut(..transmit.len)?.copy_from_slice(&frame);
                transmit.len
            }
            Staged::Peer(id, plan) => {
                let peer = self.peers.get_mut(id.index).filter(|peer| peer.id == id)?;
                let len = peer.emit(now, &plan, out, &mut self.stats)?;
                // No path is impatient sooner than the least timeout.
                if peer.armed.is_none_or(|at| at > now + self.config.rto_min) {
                    let link = plan.transmit.link;
                    let path = peer.paths.iter().find(|path| path.link == link);
                    if let Some(at) = path.and_then(|path| path.timeout_at(&self.config)) {
                        self.timers.arm(id.index, &mut peer.armed, at);
                    }
                }
                if self.ready.len() > 1 && self.ready.front() == Some(&id.index) {
                    self.ready.rotate_left(1);
                }
                len
            }
        };
        self.stats.tx_frames += 1;
        Some(len)
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if let Some(Event::Datagram { .. }) = event {
            self.datagrams -= 1;
        }
        event
    }

    /// Takes a message to be delivered to the peer exactly once, after those sent before on the same
    /// conn; or [`Event::PeerDown`], or with [`Qos::Exclusive`] [`Event::ConnFailed`], tells that it may
    /// not have been.
    pub fn send(
        &mut self,
        now: Instant,
        peer: PeerId,
        conn: Conn,
        qos: Qos,
        message: Message,
    ) -> Result<MessageId, SendError> {
        let _ = now;
        let entry = self.peers.get_mut(peer.index).filter(|p| p.id == peer);
        let entry = entry.ok_or(SendError::NoPeer)?;
        let (bytes_max, conns_max) = match &entry.session {
            Some(session) => (session.message_bytes_max, session.conns_max),
            None => (self.config.message_bytes_max, self.config.conns_max),
        };
        let len = message.len();
        if conn.0 >= conns_max {
            return Err(SendError::BadConn);
        }
        if len == 0 || len > bytes_max || len > i32::MAX as usize {
            return Err(SendError::BadLength);
        }
        if let Qos::Exclusive(_) = qos
            && !transmit::is_open_to(&entry.paths, qos)
        {
            return Err(SendError::LinkDown);
        }
        let (slot, generation) = entry.outbound.push(conn, qos, message, len as u32)?;
        if !entry.is_ready && entry.session.is_some() {
            entry.is_ready = true;
            self.ready.push_back(peer.index);
        }
        self.stats.tx_messages += 1;
        Ok(MessageId {
            peer,
            slot,
            generation,
        })
    }

    /// The longest message that may be sent to a peer: the smaller of what both ends take.
    pub fn message_bytes_max(&self, peer: PeerId) -> usize {
        let entry = self.peers.get(peer.index).filter(|p| p.id == peer);
        let session = entry.and_then(|entry| entry.session.as_ref());
        session.map_or(self.config.message_bytes_max, |session| {
            session.message_bytes_max
        })
    }

    /// The longest message that [`Transport::send`] would not refuse as [`SendError::Full`] now, given
    /// that peer and conn; 0 where it refuses any.
    pub fn room(&self, peer: PeerId, conn: Conn) -> usize {
        let entry = self.peers.get(peer.index).filter(|p| p.id == peer);
        entry.map_or(0, |entry| entry.outbound.room(conn))
    }

    /// The peer has the message: a reply to it came. Its bytes are not read any more. Not needed for
    /// delivery, but it frees a [`Source`] at once; an unknown id is nothing.
    pub fn settle(&mut self, _now: Instant, message: MessageId) {
        let peer = self.peers.get_mut(message.peer.index);
        if let Some(peer) = peer.filter(|peer| peer.id == message.peer) {
            peer.outbound.settle(message.slot, message.generation);
        }
    }

    /// Does what is due. Calling early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, index)) = self.timers.pop_due(now) {
            let Some(peer) = self.peers.get_mut(index).filter(|p| p.armed == Some(at)) else {
                continue;
            };
            peer.armed = None;
            if peer.session.is_none() {
                if self.handshake_timeout(now, index) {
                    self.remove_peer(now, index, DownReason::Unreachable);
                }
            } else if let Some(reason) = peer.handle_timeout(now, &self.config, &mut self.events) {
                self.remove_peer(now, index, reason);
            } else {
                self.repeat_confirmation(index);
            }
            self.after(now, index);
        }
    }

    /// Sends the handshake's last frame again to a peer that does not react.
    fn repeat_confirmation(&mut self, index: u16) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        let alarmed = peer.paths.iter().find(|path| path.alarms > 0);
        let confirm = peer.session.as_ref().and_then(|s| s.confirm.clone());
        if let (Some(path), Some(frame)) = (alarmed, confirm) {
            let (link, to) = (path.link, path.addr);
            self.push_control(link, to, frame);
        }
    }

    /// When [`Transport::handle_timeout`] must be called, `None` while nothing is awaited.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// Sees to it that a peer is called when it must be.
    fn after(&mut self, now: Instant, index: u16) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        if !peer.is_ready && peer.wants_transmit() {
            peer.is_ready = true;
            self.ready.push_back(index);
        }
        if let Some(at) = peer.next_timeout(&self.config) {
            // What is overdue has been seen to; whatever it waits for, this cannot spin.
            let at = at.max(now + TIMER_GRAIN);
            self.timers.arm(index, &mut peer.armed, at);
        }
    }

    /// Adds a link, or changes the settings of one that is there. Peers may be met over it from now on.
    /// A number that is not below 16 is ignored.
    pub fn add_link(&mut self, _now: Instant, link: LinkId, config: LinkConfig) {
        let mtu = config.mtu.clamp(MTU_MIN, MTU_MAX);
        let Some(entry) = self.links.get_mut(usize::from(link.0)) else {
            return;
        };
        *entry = Some(LinkConfig { mtu });
        for index in self.peers.indices() {
            let paths = self.peers.get_mut(index).map(|peer| peer.paths.iter_mut());
            for path in paths.into_iter().flatten().filter(|path| path.link == link) {
                path.set_own_mtu(mtu);
            }
        }
    }

    /// Takes a link away with all paths over it.
    pub fn remove_link(&mut self, now: Instant, link: LinkId) {
        if let Some(entry) = self.links.get_mut(usize::from(link.0)) {
            *entry = None;
        }
        for index in self.peers.indices() {
            if let Some(peer) = self.peers.get_mut(index) {
                peer.drop_path(now, link, &mut self.events);
                self.after(now, index);
            }
        }
    }

    /// The peer with that node, whose addresses on some links are known. A live peer with a node of that
    /// name is given again, and learns the addresses; otherwise a handshake starts. Messages may be sent
    /// at once: they leave when it is up. [`Event::PeerUp`] or [`Event::PeerDown`] follows.
    pub fn open(
        &mut self,
        now: Instant,
        node: &Node,
        paths: &[(LinkId, LinkAddr)],
    ) -> Result<PeerId, OpenError> {
        if !node.is_valid() || *node == self.config.node {
            return Err(OpenError::BadName);
        }
        let known = self.by_node.get(node).copied();
        let has_link = |(link, _): &&(LinkId, LinkAddr)| {
            self.links
                .get(usize::from(link.0))
                .is_some_and(Option::is_some)
        };
        if known.is_none() && !paths.iter().any(|path| has_link(&path)) {
            return Err(OpenError::NoPath);
        }
        let index = known.or_else(|| self.insert_peer(node.clone()));
        let index = index.ok_or(OpenError::TooManyPeers)?;
        let Some(peer) = self.peers.get_mut(index) else {
            return Err(OpenError::TooManyPeers);
        };
        for (link, addr) in paths {
            peer.learn_path(now, *link, *addr, &self.links);
        }
        let id = peer.id;
        if known.is_none() {
            peer.is_known = true;
            self.by_node.insert(node.clone(), index);
            self.begin(now, index);
        }
        self.after(now, index);
        Ok(id)
    }

    /// A further address of a peer, or the address that has taken the place of its old one on that link.
    pub fn add_path(&mut self, now: Instant, peer: PeerId, link: LinkId, addr: LinkAddr) {
        let entry = self.peers.get_mut(peer.index);
        if let Some(entry) = entry.filter(|entry| entry.id == peer) {
            entry.learn_path(now, link, addr, &self.links);
            self.after(now, peer.index);
        }
    }

    /// Ends a peer at once, telling it so. [`Event::PeerDown`] follows.
    pub fn close(&mut self, now: Instant, peer: PeerId) {
        if self
            .peers
            .get(peer.index)
            .is_some_and(|entry| entry.id == peer)
        {
            self.say_goodbye(now, peer.index, GOODBYE_CLOSED);
            self.remove_peer(now, peer.index, DownReason::Closed);
        }
    }

    /// Sends a peer the last word. It is not repeated: if it is lost, the peer finds out by itself.
    fn say_goodbye(&mut self, now: Instant, index: u16, code: u8) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        let Some(plan) = peer.plan_goodbye(code) else {
            return;
        };
        let mut frame = vec![0; plan.transmit.len];
        if peer.emit(now, &plan, &mut frame, &mut self.stats).is_some() {
            self.push_control(plan.transmit.link, plan.transmit.to, frame);
        }
    }

    /// A peer is down.
    fn remove_peer(&mut self, _now: Instant, index: u16, reason: DownReason) {
        let Some(peer) = self.peers.remove(index) else {
            return;
        };
        self.origins.retain(|_, other| *other != index);
        if self.by_node.get(&peer.node) == Some(&index) {
            self.by_node.remove(&peer.node);
        }
        if peer.is_known {
            self.events.push_back(Event::PeerDown {
                peer: peer.id,
                node: peer.node,
                reason,
            });
        }
    }

    /// Sends a frame outside any peer, once and unprotected: the LAN resolver's (`layer` 2 of LWL4).
    /// Too long for the link, or too many waiting: dropped and counted.
    pub fn send_datagram(&mut self, link: LinkId, to: LinkAddr, layer: u8, bytes: &[u8]) {
        let mtu = self
            .links
            .get(usize::from(link.0))
            .and_then(|link| link.as_ref());
        let len = FRAME_OVERHEAD_BYTES + bytes.len();
        if mtu.is_none_or(|link| len > link.mtu) {
            self.stats.drop_datagram_tx += 1;
            return;
        }
        let mut frame = vec![0; FRAME_OVERHEAD_BYTES];
        frame.extend_from_slice(bytes);
        let header = Header {
            kind: lwl4::TYPE_LAN_RESOLVER,
            flags: lwl4::FLAG_FIRST | lwl4::FLAG_LAST | lwl4::FLAG_CRC,
            layer,
            qos_index: u16::from(link.0),
            length: bytes.len() as u32,
            ..Header::default()
        };
        header.emit(&mut frame);
        lwl4::write_crc(&mut frame);
        self.push_control(link, to, frame);
    }

    /// The settings that it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The nodes whose keys are trusted; `None` without security.
    pub fn known_nodes(&mut self) -> Option<&mut crate::secure::KnownNodes> {
        match &mut self.config.security {
            crate::secure::Security::None => None,
            crate::secure::Security::Noise { known, .. } => Some(known),
        }
    }

    /// What was counted since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The paths to a peer; none to one that is down.
    pub fn paths(&self, peer: PeerId) -> Vec<PathInfo> {
        let entry = self.peers.get(peer.index).filter(|entry| entry.id == peer);
        let paths = entry.map(|entry| entry.paths.iter());
        paths
            .into_iter()
            .flatten()
            .map(|path| path.info())
            .collect()
    }

    /// The name of a peer.
    pub fn node(&self, peer: PeerId) -> Option<&Node> {
        let entry = self.peers.get(peer.index).filter(|entry| entry.id == peer);
        entry.map(|entry| &entry.node)
    }
}
