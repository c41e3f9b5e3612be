//! The node: the protocol, and everything around it that it is joined to.

use crate::aside::Aside;
use crate::clients::Clients;
use crate::door::Door;
use crate::figures::Figures;
use crate::known::KnownFile;
use crate::links::Links;
use crate::netmgr::{Asker, MANAGER, Netmgr};
use crate::resolver::{PUBLISH, Resolvers};
use crate::servers::{Servers, greeting};
use crate::services::Services;
use crate::signals;
use crate::stats::Stats;
use crate::transfer::Transfer;
use crate::watch::{Cookie, Kind, Watcher};
use io_net_ddk::abi::{LOG_INFO, LOG_WARNING};
use io_net_ddk::prelude::*;
use io_net_qnet::secure::PublicKey;
use io_net_qnet::time::Instant;
use io_net_qnet::transport::RefusedReason;
use io_net_qnet::{Errno, Event, NodeName, Payload, Qnet, RemoteClient, Vthread};
use std::collections::HashSet;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Events done in one go, at most; the frames that they lead to go out between.
const EVENTS_MAX: usize = 256;

/// Nodes that are refused are named in the log this far apart; all are counted.
const REFUSALS_APART: Duration = Duration::from_secs(1);

/// The node.
pub(crate) struct Node {
    pub(crate) qnet: Qnet,
    pub(crate) links: Links,
    pub(crate) door: Door,
    pub(crate) clients: Clients,
    pub(crate) servers: Servers,
    pub(crate) netmgr: Netmgr,
    /// Remote clients of the network manager.
    pub(crate) askers: HashSet<RemoteClient>,
    pub(crate) resolvers: Resolvers,
    /// The files and programs of this node for others, and theirs for it.
    pub(crate) services: Option<Services>,
    /// What their threads have found out, and what of it is to be logged.
    pub(crate) asides: Receiver<Aside>,
    pub(crate) notes: Vec<(u32, String)>,
    /// When this node has last told where it is.
    pub(crate) published_at: Option<Instant>,
    pub(crate) known: KnownFile,
    /// When the log last named a node that was refused.
    pub(crate) refused_at: Option<Instant>,
    pub(crate) stats: Stats,
    pub(crate) figures: Figures,
}

// ---- Work ----

impl Node {
    /// Looks at what programs have sent and answered. Returns how much that was.
    #[inline]
    pub(crate) fn poll_programs(&mut self, now: Instant, budget: usize) -> usize {
        let Node {
            qnet,
            clients,
            servers,
            netmgr,
            stats,
            ..
        } = self;
        let done = servers.poll(now, qnet) + clients.poll(now, budget, qnet, netmgr, stats);
        done + self.take_asides(now)
    }

    /// Takes what other threads have found out: addresses, on each link where there may be such.
    fn take_asides(&mut self, now: Instant) -> usize {
        let mut done = 0;
        while let Ok(aside) = self.asides.try_recv() {
            match aside {
                Aside::Found(query, Ok(found)) => {
                    let paths = self.links.paths(&found);
                    self.qnet.resolved(now, query, Ok(&paths));
                }
                Aside::Found(query, Err(errno)) => self.qnet.resolved(now, query, Err(errno)),
                Aside::Note(level, text) => self.notes.push((level, text)),
            }
            done += 1;
        }
        done
    }

    /// The worker is about to sleep, or has woken. Returns true where there is something to do.
    pub(crate) fn arm(&mut self, sleeping: bool) -> bool {
        let clients = self.clients.arm(sleeping);
        self.servers.arm(sleeping) | clients
    }

    /// Takes the readiness of a watched descriptor. Returns whether there may be more at once.
    pub(crate) fn handle_ready(&mut self, now: Instant, cookie: u64, cx: &Cx) -> bool {
        let Some(cookie) = Cookie::from_bits(cookie) else {
            return false;
        };
        let Node {
            qnet,
            door,
            clients,
            servers,
            netmgr,
            stats,
            ..
        } = self;
        let watcher = Watcher { cx, stats };
        match cookie.kind {
            Kind::Door => return door.answer(now, clients, qnet, &watcher),
            Kind::Caller => door.hear_again(now, cookie.number, clients, qnet, &watcher),
            Kind::Client => clients.hung_up(now, cookie.number, qnet, netmgr, &watcher),
            Kind::Connecting => servers.handle_welcome(now, cookie.number, qnet, &watcher),
            Kind::Server => servers.handle_doorbell(now, cookie.number, qnet, &watcher),
            Kind::Bell => {
                clients.lower_bell(cookie.number);
                self.poll_programs(now, EVENTS_MAX);
            }
            Kind::ServerBell => {
                servers.lower_bell();
                self.poll_programs(now, EVENTS_MAX);
            }
        }
        false
    }

    /// Does what the protocol asks for. Returns whether there was anything.
    pub(crate) fn handle_events(&mut self, now: Instant, cx: &Cx) -> bool {
        let mut any = false;
        for _ in 0..EVENTS_MAX {
            let Some(event) = self.qnet.poll_event() else {
                break;
            };
            any = true;
            self.handle_event(now, event, cx);
        }
        for (level, text) in self.notes.drain(..) {
            cx.log(level, format_args!("{text}"));
        }
        any |= !self.netmgr.finished.is_empty();
        self.hand_out_answers(now);
        any
    }

    /// Gives up what has waited for too long. Returns when to look again.
    pub(crate) fn handle_timeout(&mut self, now: Instant, cx: &Cx) -> Option<Instant> {
        let watcher = Watcher {
            cx,
            stats: &self.stats,
        };
        let welcomes = self.servers.handle_timeout(now, &mut self.qnet, &watcher);
        let hellos = self.door.handle_timeout(now, &watcher);
        let publishing = self.publish(now);
        let times = [welcomes, hellos, publishing];
        times.into_iter().flatten().min()
    }

    /// Tells resolvers where this node is, now and then. Returns when to do so next.
    fn publish(&mut self, now: Instant) -> Option<Instant> {
        if !self.resolvers.publishes() {
            return None;
        }
        let due = self.published_at.is_none_or(|at| now >= at + PUBLISH);
        let addresses = self.links.ip_addresses();
        if due && !addresses.is_empty() {
            let name = self.qnet.name().to_string();
            self.resolvers.publish(name, addresses);
            self.published_at = Some(now);
        }
        Some(self.published_at.unwrap_or(now) + PUBLISH)
    }

    fn hand_out_answers(&mut self, now: Instant) {
        for (asker, outcome) in std::mem::take(&mut self.netmgr.finished) {
            match asker {
                Asker::Local(question) => self.clients.answer(question, &outcome),
                Asker::Remote(vthread) => {
                    // Who has gone meanwhile misses nothing.
                    let _ = match outcome {
                        Ok(bytes) => {
                            let data = Payload::from(&bytes[..]);
                            self.qnet.server_reply(now, vthread, 0, 0, data)
                        }
                        Err(errno) => self.qnet.server_error(now, vthread, errno),
                    };
                }
            }
        }
    }

    /// Leaves nothing behind that is watched or kept; other nodes are told of all that ends.
    pub(crate) fn quiesce(&mut self, now: Instant, cx: &Cx) {
        let Node {
            qnet,
            links,
            door,
            clients,
            servers,
            services,
            stats,
            ..
        } = self;
        let watcher = Watcher { cx, stats };
        if let Some(services) = services {
            services.end();
        }
        door.close(&watcher);
        clients.clear(now, qnet, &watcher);
        servers.clear(now, qnet, &watcher);
        watcher.unwatch(servers.bell());
        for port in clients.inbox.ports() {
            watcher.unwatch(port.bell());
        }
        links.send(now, qnet, stats, cx);
        links.clear(now, qnet);
    }
}

// ---- Events ----

impl Node {
    fn handle_event(&mut self, now: Instant, event: Event, cx: &Cx) {
        match event {
            Event::ClientRead {
                send,
                offset,
                length,
            } => self.for_client(now, send, Transfer::read(offset, length)),
            Event::ClientWrite { send, offset, data } => {
                self.for_client(now, send, Transfer::write(offset, data));
            }
            Event::ClientDone {
                send,
                result,
                offset,
                data,
            } => match self.netmgr.owns(send) {
                true => self.netmgr.answered(send, result, offset, &data),
                false => self.for_client(now, send, Transfer::finish(result, offset, data)),
            },
            Event::ClientEvent { conn, event } => self.clients.event(conn, &event, &self.stats),
            Event::ClientDead { conn, .. } => {
                let watcher = Watcher {
                    cx,
                    stats: &self.stats,
                };
                match self.netmgr.dead(conn) {
                    true => self.qnet.client_detach(now, conn),
                    false => self.clients.dead(now, conn, &mut self.qnet, &watcher),
                }
            }
            Event::Answer { query, result } => self.netmgr.looked_up(query, result),
            Event::Resolve {
                query,
                resolver,
                name,
            } => {
                if !self.resolvers.find(query, resolver, name.to_string()) {
                    self.qnet.resolved(now, query, Err(Errno::ENOENT));
                }
            }
            Event::NodeUp { .. } => self.stats.kif_nd_up.add(1),
            Event::NodeDown { .. } => self.stats.kif_nd_down.add(1),
            Event::Pinned { name, key } => self.pinned(&name, &key, cx),
            Event::Refused { name, reason } => self.refused(now, &name, reason, cx),
            event => self.handle_server_event(now, event, cx),
        }
    }

    fn for_client(&mut self, now: Instant, send: io_net_qnet::ClientSend, transfer: Transfer) {
        self.clients.transfer(now, send, transfer, &mut self.qnet);
    }

    fn handle_server_event(&mut self, now: Instant, event: Event, cx: &Cx) {
        let Node {
            qnet,
            servers,
            stats,
            askers,
            ..
        } = self;
        let watcher = Watcher { cx, stats };
        match event {
            Event::Connect {
                client,
                pid,
                chid,
                identity,
                srcnd,
            } => {
                let channel = io_net_qnet::Channel { pid, chid };
                stats.kif_net_server.add(1);
                if channel == MANAGER {
                    askers.insert(client);
                    qnet.server_connected(now, client, Ok(1));
                } else {
                    let greeting = greeting(channel, &identity, srcnd);
                    servers.connect(now, client, &greeting, &identity, qnet, &watcher);
                }
            }
            Event::Deliver {
                client,
                vthread,
                info,
                data,
            } => {
                stats.kif_server_msgs.add(1);
                match askers.contains(&client) {
                    true => self.ask(now, vthread, &data),
                    false => servers.deliver(now, client, vthread, info, data, qnet),
                }
            }
            Event::ServerData {
                vthread,
                offset,
                result,
            } => servers.data(vthread, offset, result),
            Event::Unblock { vthread } => self.unblock(now, vthread, false),
            Event::Abandoned { vthread } => self.unblock(now, vthread, true),
            Event::ServerPulse { client, pulse } => {
                stats.kif_server_pulses.add(1);
                servers.pulse(client, pulse, stats);
            }
            Event::Disconnect { client } => {
                askers.remove(&client);
                servers.close(client, &watcher);
            }
            Event::ServerSignal { identity, signal } => {
                let refused = signals::deliver(&identity, &signal).is_err();
                stats.drop_signals.add(refused.into());
            }
            _ => {}
        }
    }

    fn ask(&mut self, now: Instant, vthread: Vthread, question: &Payload) {
        let asker = Asker::Remote(vthread);
        let question = question.as_slice();
        self.netmgr.ask(now, asker, question, &mut self.qnet);
    }

    fn unblock(&mut self, now: Instant, vthread: Vthread, abandoned: bool) {
        self.stats.kif_server_unblock.add(u64::from(!abandoned));
        let asker = Asker::Remote(vthread);
        if self.netmgr.forget(now, asker, &mut self.qnet) && !abandoned {
            let _ = self.qnet.server_error(now, vthread, Errno::TAKEN_BACK);
        }
        self.servers
            .unblock(now, vthread, abandoned, &mut self.qnet);
    }

    fn pinned(&mut self, name: &NodeName, key: &PublicKey, cx: &Cx) {
        self.stats.nodes_pinned.add(1);
        cx.log(LOG_INFO, format_args!("{name} is new, with the key {key}"));
        if let Err(error) = self.known.add(&name.to_string(), key) {
            let path = self.known.path().display();
            let text = format_args!("{name} is not remembered in {path}: {error}");
            cx.log(LOG_WARNING, text);
        }
    }

    fn refused(&mut self, now: Instant, name: &str, reason: RefusedReason, cx: &Cx) {
        self.stats.nodes_refused.add(1);
        // Who is refused may try again at once, for ever.
        let quiet = |at: Instant| now < at + REFUSALS_APART;
        if self.refused_at.is_some_and(quiet) {
            return;
        }
        self.refused_at = Some(now);
        let path = self.known.path().display();
        let why = match reason {
            RefusedReason::NotAllowed => format!("its key is not in {path}, and trust=listed"),
            RefusedReason::KeyChanged => format!(
                "its key is not the one in {path}: somebody poses as it, or it was set up anew; \
                 if that is so, let it show its new one: io-netctl qnet forget {name}"
            ),
            RefusedReason::SecurityMismatch => {
                "one of us has security=none and the other has not".to_owned()
            }
            RefusedReason::WrongName => "it answered under another name".to_owned(),
        };
        cx.log(
            LOG_WARNING,
            format_args!("node {name} is not let in: {why}"),
        );
    }
}
