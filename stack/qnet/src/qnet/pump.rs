//! Between the kernel interface and the transport: messages out, events in.

use super::Qnet;
use crate::errno::Errno;
use crate::event::Event;
use crate::kif::{Lane, Outgoing};
use crate::node::Nd;
use crate::node_name::NodeName;
use crate::payload::HEADROOM;
use crate::time::Instant;
use crate::transport::{self, Conn, DownReason, LinkAddr, PeerId, SendError};

/// Conns for clients, and as many for servers, each shared by lanes where there are more.
const LANES: u16 = 256;

/// Conns for qualities of service other than the default, one each.
pub(super) const QOS_MAX: usize = 512;

/// How many times a node is opened anew before its messages fail, where nothing was sent yet.
const ATTEMPTS_MAX: u32 = 4;

/// The conn of a lane.
fn conn(lane: Lane) -> Conn {
    let index = |handle: u32| handle as u16 % LANES;
    Conn(match lane {
        Lane::Client { conn, qos: 0 } => index(conn),
        Lane::Server { client } => LANES + index(client),
        Lane::Client { qos, .. } => 2 * LANES + qos - 1,
    })
}

/// What became of a message that was offered to the transport.
enum Offer {
    /// It is on its way, or cannot go at all and was dealt with.
    Done,
    /// It must wait.
    Wait(Outgoing),
}

impl Qnet {
    /// Carries on until nothing moves: after each input.
    pub(super) fn pump(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.transport.poll_event() {
                self.take_event(now, event);
            }
            let Some(message) = self.kif.out.messages.pop_front() else {
                break;
            };
            self.route(now, message);
        }
    }

    /// Sends a message, or keeps it for when its node can take it.
    fn route(&mut self, now: Instant, message: Outgoing) {
        let number = message.node;
        let Some(node) = self.nodes.get(number) else {
            return;
        };
        if node.peer.is_none() {
            self.keep(number, message);
            return self.reach(now, number);
        }
        // Until it answers, nobody can say which links lead there.
        if !node.up || !node.backlog.is_empty() {
            return self.keep(number, message);
        }
        if let Offer::Wait(message) = self.offer(now, message) {
            self.keep(number, message);
            self.congest(number);
        }
    }

    /// The transport has no room for what waits for a node.
    fn congest(&mut self, number: u16) {
        self.full.push(number);
        self.kif.set_congested(number, true);
    }

    fn keep(&mut self, number: u16, message: Outgoing) {
        if let Some(node) = self.nodes.get_mut(number) {
            node.backlog.push_back(message);
        }
    }

    fn offer(&mut self, now: Instant, message: Outgoing) -> Offer {
        let number = message.node;
        let peer = self.nodes.get(number).and_then(|node| node.peer);
        let (Some(peer), Some(qos)) = (peer, self.qos_of(message.lane)) else {
            return Offer::Done;
        };
        let conn = conn(message.lane);
        if self.transport.room(peer, conn) < message.bytes.len() {
            return Offer::Wait(message);
        }
        let bytes = message.bytes.into_message();
        match self.transport.send(now, peer, conn, qos, bytes) {
            // A peer that is gone is told of by an event, which ends all that is under way.
            Ok(_) | Err(SendError::NoPeer) => {}
            Err(SendError::LinkDown) => self.lane_down(number, message.lane),
            Err(SendError::Full | SendError::BadLength | SendError::BadConn) => {
                // A message lost would break the order that both ends count on.
                self.transport.close(now, peer);
            }
        }
        Offer::Done
    }

    fn lane_down(&mut self, number: u16, lane: Lane) {
        if let Lane::Client { qos, .. } = lane
            && qos != 0
        {
            let kif = &mut self.kif;
            let errno = Errno::ENETUNREACH;
            kif.clients.qos_down(&mut kif.out, number, qos, errno);
        }
    }

    /// Tries what waits for nodes whose transport was full.
    pub(super) fn retry_full(&mut self, now: Instant) {
        for number in core::mem::take(&mut self.full) {
            if self.drain_backlog(now, number) {
                self.kif.set_congested(number, false);
            } else {
                self.full.push(number);
            }
        }
    }

    /// Sends what waits for a node; whether nothing is left.
    pub(super) fn drain_backlog(&mut self, now: Instant, number: u16) -> bool {
        loop {
            let Some(node) = self.nodes.get_mut(number) else {
                return true;
            };
            if !node.up {
                return node.backlog.is_empty();
            }
            let Some(message) = node.backlog.pop_front() else {
                return true;
            };
            if let Offer::Wait(message) = self.offer(now, message) {
                if let Some(node) = self.nodes.get_mut(number) {
                    node.backlog.push_front(message);
                }
                return false;
            }
        }
    }

    // ---- The transport's names for things ----------------------------------------------------

    /// The quality of service, if any, whose messages go by that conn.
    fn qos_by_conn(&self, conn: Conn) -> Option<u16> {
        let index = conn.0.checked_sub(2 * LANES)?;
        self.qos.get(index + 1).map(|_| index + 1)
    }

    fn qos_of(&self, lane: Lane) -> Option<transport::Qos> {
        match lane {
            Lane::Client { qos, .. } => self.qos.get(qos),
            Lane::Server { .. } => Some(transport::Qos::LoadBalance),
        }
    }

    // ---- What the transport tells ------------------------------------------------------------

    fn take_event(&mut self, now: Instant, event: transport::Event) {
        match event {
            transport::Event::Message { peer, bytes, .. } => {
                if let Some(number) = self.nodes.of_peer(peer) {
                    self.kif.handle_message(number, bytes);
                }
            }
            transport::Event::PeerUp { peer, node, .. } => self.peer_up(now, peer, &node),
            transport::Event::PeerDown { peer, reason, .. } => self.peer_down(now, peer, reason),
            transport::Event::ConnFailed { peer, conn } => {
                if let Some(number) = self.nodes.of_peer(peer)
                    && let Some(qos) = self.qos_by_conn(conn)
                {
                    self.lane_down(number, Lane::Client { conn: 0, qos });
                }
            }
            transport::Event::PathUp { .. } => {}
            transport::Event::PathDown { peer, link } => {
                if let Some(number) = self.nodes.of_peer(peer) {
                    self.path_lost(number, link);
                }
            }
            transport::Event::Datagram {
                link,
                from: LinkAddr::Mac(from),
                layer: Self::LAYER_LAN,
                big_endian,
                bytes,
            } => self.take_lan_packet(now, link, from, &bytes, big_endian),
            transport::Event::Datagram { .. } => self.stats.datagrams_ignored += 1,
            transport::Event::Pinned { node, key } => {
                if let Ok(name) = NodeName::new(&node.name, &node.domain) {
                    self.event(Event::Pinned { name, key });
                }
            }
            transport::Event::Refused { node, reason, .. } => {
                let name = match node.domain.is_empty() {
                    true => node.name,
                    false => format!("{}.{}", node.name, node.domain),
                };
                self.event(Event::Refused { name, reason });
            }
        }
    }

    /// A peer answers: one that was opened, or one that came by itself.
    fn peer_up(&mut self, now: Instant, peer: PeerId, node: &transport::Node) {
        let name = NodeName::new(&node.name, &node.domain);
        let number = match name {
            Ok(name) if name != self.name => self.enter(&name),
            _ => None,
        };
        let Some(number) = number else {
            self.stats.peers_turned_away += 1;
            return self.transport.close(now, peer);
        };
        let node = self.nodes.get(number);
        if node.is_some_and(|node| node.up && node.peer != Some(peer)) {
            self.kif.node_down(number, Errno::ESRCH);
        }
        self.nodes.bind(number, peer);
        let longest = self.transport.message_bytes_max(peer);
        self.kif
            .set_longest(number, longest.saturating_sub(HEADROOM));
        if let Some(node) = self.nodes.get_mut(number) {
            (node.up, node.attempts) = (true, 0);
        }
        let nd = Nd::new(number, 0);
        self.event(Event::NodeUp { nd });
        self.found(now, number);
        if !self.drain_backlog(now, number) {
            self.congest(number);
        }
        if self.links.len() > 1 {
            // Where else is it? Another link may be needed soon.
            self.ask_lans(number, None);
        }
    }

    fn peer_down(&mut self, now: Instant, peer: PeerId, reason: DownReason) {
        let Some(number) = self.nodes.of_peer(peer) else {
            return;
        };
        let was_up = self.nodes.get(number).is_some_and(|node| node.up);
        self.nodes.unbind(peer);
        let Some(node) = self.nodes.get_mut(number) else {
            return;
        };
        if reason == DownReason::Unreachable {
            // It may have moved: the next who wants it asks again.
            node.paths.clear();
        }
        let crossed = matches!(
            reason,
            DownReason::Closed | DownReason::ClosedByPeer | DownReason::Restarted
        );
        if !was_up && crossed && node.attempts < ATTEMPTS_MAX && !node.backlog.is_empty() {
            // Both ends opened at once, or it has just restarted. Nothing was sent yet, so nothing is lost.
            node.attempts += 1;
            return self.reach(now, number);
        }
        node.attempts = 0;
        let errno = match reason {
            DownReason::Refused => Errno::EKEYREJECTED,
            _ if was_up => Errno::ESRCH,
            _ => Errno::EHOSTUNREACH,
        };
        self.node_lost(number, errno);
    }

    /// All that is under way with a node ends.
    pub(super) fn node_lost(&mut self, number: u16, errno: Errno) {
        if let Some(node) = self.nodes.get_mut(number) {
            node.backlog.clear();
        }
        self.full.retain(|&full| full != number);
        self.kif.node_down(number, errno);
        let nd = Nd::new(number, 0);
        self.event(Event::NodeDown { nd, errno });
    }
}
