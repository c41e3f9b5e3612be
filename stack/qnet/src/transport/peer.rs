//! One life of another node: its session, its paths, and the messages both ways.
//!
//! A peer begins with a handshake, ours ([`Opening`]) or theirs ([`Answering`]) or, when both nodes
//! begin at once, both; it is up when it has a [`Session`].

use core::time::Duration;
use std::collections::VecDeque;

use super::handshake::{Answering, Opening};
use super::inbound::{Inbound, Limits};
use super::outbound::Outbound;
use super::path::{Health, Path};
use super::received::Received;
use super::{Config, DownReason, Event, LINKS_MAX, LinkAddr, LinkConfig, LinkId, Node, PeerId};
use crate::secure::{PublicKey, SessionKeys};
use crate::time::Instant;

/// How long a peer that seems to have lost the session has to show that it has not.
const RESET_DOUBT: Duration = Duration::from_millis(300);

/// How much more often a peer is tried when no path to it works.
const NO_PATH_HASTE: u32 = 5;

/// Held bytes beyond the limit that is told, for the costs that its sender does not count.
const HELD_SLACK: usize = 1 << 20;

/// The links of this node, by number.
pub(crate) type Links = [Option<LinkConfig>; LINKS_MAX];

/// One life of another node.
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) node: Node,
    /// What the other end must put into its frames.
    pub(crate) token: u32,
    /// Whether somebody here asked for it, or was told of it.
    pub(crate) is_known: bool,
    pub(crate) opening: Option<Box<Opening>>,
    pub(crate) answering: Option<Box<Answering>>,
    pub(crate) session: Option<Box<Session>>,
    pub(crate) paths: Vec<Path>,
    pub(crate) outbound: Outbound,
    /// When it will be woken.
    pub(crate) armed: Option<Instant>,
    /// Whether it is among those that may have something to transmit.
    pub(crate) is_ready: bool,
}

/// What both ends agreed on.
pub(crate) struct Session {
    /// How the other end numbers this one.
    pub(crate) remote_index: u16,
    /// What our frames must bear.
    pub(crate) remote_token: u32,
    pub(crate) boot: u64,
    key: Option<PublicKey>,
    pub(crate) keys: Option<SessionKeys>,
    pub(crate) crc: bool,
    pub(crate) message_bytes_max: usize,
    pub(crate) conns_max: u16,
    pub(crate) inbound: Inbound,
    /// By the other end's links.
    pub(crate) received: [Option<Box<Received>>; LINKS_MAX],
    /// Links of the other end for which an acknowledgement is to be sent now, by bit.
    pub(crate) acks_due: u16,
    /// Those of them that must report a gap.
    pub(crate) gaps: u16,
    /// The handshake's last frame, until a sign comes that it has arrived.
    pub(crate) confirm: Option<Vec<u8>>,
    /// Since when no path works.
    no_path_since: Option<Instant>,
    /// When the other end said that it knows of no session.
    pub(crate) doubted_at: Option<Instant>,
}

/// What a completed handshake brought.
pub(crate) struct Agreed {
    pub(crate) remote_index: u16,
    pub(crate) remote_token: u32,
    pub(crate) boot: u64,
    pub(crate) key: Option<PublicKey>,
    pub(crate) keys: Option<SessionKeys>,
    pub(crate) crc: bool,
    pub(crate) message_bytes_max: usize,
    pub(crate) held_bytes_max: usize,
    pub(crate) conns_max: u16,
}

impl Peer {
    pub(crate) fn new(id: PeerId, node: Node, token: u32, config: &Config) -> Self {
        Peer {
            id,
            node,
            token,
            is_known: false,
            opening: None,
            answering: None,
            session: None,
            paths: Vec::new(),
            outbound: Outbound::new(config.send_bytes_max),
            armed: None,
            is_ready: false,
        }
    }

    /// That it can be talked to; `None` without a session.
    pub(crate) fn up_event(&self) -> Option<Event> {
        let session = self.session.as_ref()?;
        Some(Event::PeerUp {
            peer: self.id,
            node: self.node.clone(),
            key: session.key,
        })
    }

    /// The handshake is complete: the peer is up, first by the path that the handshake went over.
    pub(crate) fn establish(
        &mut self,
        agreed: Agreed,
        via: (LinkId, LinkAddr),
        now: Instant,
        config: &Config,
        links: &Links,
    ) {
        self.opening = None;
        self.answering = None;
        self.outbound.set_started_max(agreed.held_bytes_max);
        self.session = Some(Box::new(Session {
            remote_index: agreed.remote_index,
            remote_token: agreed.remote_token,
            boot: agreed.boot,
            key: agreed.key,
            keys: agreed.keys,
            crc: agreed.crc,
            message_bytes_max: agreed.message_bytes_max,
            conns_max: agreed.conns_max,
            inbound: Inbound::new(Limits {
                conns: config.conns_max,
                message_bytes: config.message_bytes_max,
                held_bytes: config.receive_bytes_max + HELD_SLACK,
            }),
            received: [const { None }; LINKS_MAX],
            acks_due: 0,
            gaps: 0,
            confirm: None,
            no_path_since: Some(now),
            doubted_at: None,
        }));
        if let Some(path) = self.learn_path(now, via.0, via.1, links) {
            path.health = Health::Up;
        }
    }

    /// The path over `link`, made or redirected to `addr`.
    pub(crate) fn learn_path(
        &mut self,
        now: Instant,
        link: LinkId,
        addr: LinkAddr,
        links: &Links,
    ) -> Option<&mut Path> {
        let own = links.get(usize::from(link.0))?.as_ref()?;
        let at = match self.paths.iter().position(|path| path.link == link) {
            Some(at) => at,
            None => {
                self.paths.push(Path::new(now, link, addr, own.mtu));
                self.paths.len() - 1
            }
        };
        let path = &mut self.paths[at];
        path.addr = addr;
        Some(path)
    }

    /// A link is gone, and the path over it.
    pub(crate) fn drop_path(&mut self, now: Instant, link: LinkId, events: &mut VecDeque<Event>) {
        let Some(at) = self.paths.iter().position(|path| path.link == link) else {
            return;
        };
        self.take_path_down(at, events);
        self.paths.remove(at);
        self.look_for_path(now);
    }

    /// Notes whether any path works, and if not, since when.
    fn look_for_path(&mut self, now: Instant) {
        let any_up = self.paths.iter().any(|path| path.health == Health::Up);
        if let Some(session) = &mut self.session {
            session.no_path_since = match any_up {
                true => None,
                false => session.no_path_since.or(Some(now)),
            };
        }
    }

    /// Each path that is not down is to be probed.
    pub(crate) fn probe_all(&mut self) {
        for path in &mut self.paths {
            path.probe_wanted |= path.health != Health::Down;
        }
    }

    /// Whether there is anything to transmit, windows permitting.
    #[inline]
    pub(crate) fn wants_transmit(&self) -> bool {
        let Some(session) = &self.session else {
            return false;
        };
        session.acks_due != 0
            || self.outbound.is_waiting()
            || self.paths.iter().any(|path| path.probe_wanted)
    }

    /// When [`Peer::handle_timeout`] must be called.
    pub(crate) fn next_timeout(&self, config: &Config) -> Option<Instant> {
        let Some(session) = &self.session else {
            let opening = self.opening.as_ref().map(|opening| opening.next_at());
            let answering = self.answering.as_ref().map(|answering| answering.next_at());
            return opening.into_iter().chain(answering).min();
        };
        // One that is due already goes with the next frame, whenever that is.
        let not_due = |at: usize| session.acks_due & 1 << at == 0;
        let received = session.received.iter().enumerate();
        let acks = received
            .filter(|(at, _)| not_due(*at))
            .map(|(_, received)| received.as_ref()?.ack_at());
        let paths = self.paths.iter().map(|path| match path.health {
            Health::Down => Some(path.heard_at + self.maintenance(config)),
            _ => Some(
                path.timeout_at(config)
                    .unwrap_or(path.heard_at + config.heartbeat),
            ),
        });
        let peer = [
            session.no_path_since.map(|at| at + config.peer_timeout),
            session.doubted_at.map(|at| at + RESET_DOUBT),
        ];
        acks.chain(paths).chain(peer).flatten().min()
    }

    fn maintenance(&self, config: &Config) -> Duration {
        match self.paths.iter().any(|path| path.health == Health::Up) {
            true => config.maintenance,
            false => config.maintenance / NO_PATH_HASTE,
        }
    }

    /// Does what is due in a session. A reason means that the peer is down.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        config: &Config,
        events: &mut VecDeque<Event>,
    ) -> Option<DownReason> {
        let maintenance = self.maintenance(config);
        for at in 0..self.paths.len() {
            let path = &mut self.paths[at];
            if path.health == Health::Down {
                if path.heard_at + maintenance <= now {
                    path.try_again(now, &mut self.outbound);
                }
            } else if path.timeout_at(config).is_some_and(|due| due <= now) {
                let alarm = path.on_timeout(now, config, &mut self.outbound);
                if alarm && path.alarms >= config.path_probes {
                    self.take_path_down(at, events);
                }
                if alarm {
                    self.retry_down_paths(now);
                }
            } else if path.timeout_at(config).is_none() && path.heard_at + config.heartbeat <= now {
                path.probe_wanted = true;
                path.heard_at = now;
            }
        }
        self.look_for_path(now);
        let session = self.session.as_mut()?;
        for (at, received) in session.received.iter().enumerate() {
            let ack_at = received.as_ref().and_then(|received| received.ack_at());
            if ack_at.is_some_and(|at| at <= now) {
                session.acks_due |= 1 << at;
            }
        }
        let since = |at: Option<Instant>, span| at.is_some_and(|at| at + span <= now);
        if since(session.doubted_at, RESET_DOUBT) {
            return Some(DownReason::Restarted);
        }
        since(session.no_path_since, config.peer_timeout).then_some(DownReason::Unreachable)
    }

    /// A path fails: perhaps one that did works by now.
    fn retry_down_paths(&mut self, now: Instant) {
        for path in &mut self.paths {
            if path.health == Health::Down {
                path.try_again(now, &mut self.outbound);
            }
        }
    }

    /// A path does not work: what is under way on it goes by others, and conns that insist on it fail.
    fn take_path_down(&mut self, at: usize, events: &mut VecDeque<Event>) {
        let peer = self.id;
        let path = &mut self.paths[at];
        let link = path.link;
        if path.health == Health::Up {
            events.push_back(Event::PathDown { peer, link });
        }
        path.health = Health::Down;
        path.alarms = 0;
        path.give_up(&mut self.outbound);
        let failed = self
            .outbound
            .abandon(|qos| qos == super::Qos::Exclusive(link));
        events.extend(
            failed
                .into_iter()
                .map(|conn| Event::ConnFailed { peer, conn }),
        );
    }
}
