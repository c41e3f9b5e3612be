//! The kernel interface: message passing between this node's programs and other nodes'.
//!
//! It knows nodes by number, and neither time nor how messages travel: what it wants sent lies in
//! [`Outbox::messages`], in order for each [`Lane`]. Each message is delivered once, in its lane's order,
//! or the node is reported down; so there is no retry here, and no time-out, as in QNX.

mod client;
mod credentials;
pub(crate) mod message;
mod server;
mod stats;
mod types;

use std::collections::{HashMap, VecDeque};

use crate::config::Config;
use crate::errno::Errno;
use crate::event::Event;
use crate::ids::ClientSend;
use crate::payload::Payload;
use message::{Message, Transfer};

pub(crate) use client::Clients;
pub(crate) use server::Servers;
pub use stats::KifStats;
pub use types::{Credentials, GROUPS_MAX, Groups, Identity, Pulse, SendInfo, Sigevent, Signal};

/// Bytes of a message that go along before the server has said how many it wants.
pub(crate) const FIRST_BYTES: u32 = 8192;

/// Reads under way for one message.
pub(crate) const READS_MAX: usize = 64;

/// What keeps messages in order: one connection, seen from the side that sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// From a client, by the quality of service that its descriptor names.
    Client { conn: u32, qos: u16 },
    /// From a server.
    Server { client: u32 },
}

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) node: u16,
    pub(crate) lane: Lane,
    pub(crate) bytes: Payload,
}

/// What the two sides want sent and told.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) messages: VecDeque<Outgoing>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) stats: KifStats,
    /// Nodes for which too much waits, and the reads from clients that wait for that to end.
    congested: HashMap<u16, VecDeque<Demand>>,
    /// What one message carries at most to nodes that take less at once than usual.
    longest: HashMap<u16, usize>,
}

/// Bytes to be read from a client.
struct Demand {
    send: ClientSend,
    offset: u32,
    length: u32,
}

impl Demand {
    fn event(&self) -> Event {
        Event::ClientRead {
            send: self.send,
            offset: self.offset,
            length: self.length,
        }
    }
}

impl Outbox {
    /// The bytes that one message to a node carries, of the `own` that one may.
    fn chunk(&self, node: u16, own: usize) -> usize {
        self.longest
            .get(&node)
            .map_or(own, |&longest| own.min(longest))
    }

    /// Asks for bytes of a client's message, once there is room for them on the way to the node.
    fn demand(&mut self, node: u16, send: ClientSend, offset: u32, length: u32) {
        let demand = Demand {
            send,
            offset,
            length,
        };
        match self.congested.get_mut(&node) {
            Some(waiting) => waiting.push_back(demand),
            None => self.event(demand.event()),
        }
    }

    fn send(&mut self, node: u16, lane: Lane, message: &Message, data: Payload) {
        self.stats.messages_sent += 1;
        let bytes = data.with_header(message.header().as_slice());
        self.messages.push_back(Outgoing { node, lane, bytes });
    }

    fn send_bare(&mut self, node: u16, lane: Lane, message: &Message) {
        let bytes = Payload::from(message.header().as_slice());
        self.stats.messages_sent += 1;
        self.messages.push_back(Outgoing { node, lane, bytes });
    }

    fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Takes back events that wait to be polled and mean nothing any more.
    fn purge(&mut self, is_void: impl Fn(&Event) -> bool) {
        self.events.retain(|event| !is_void(event));
    }
}

/// Both sides.
pub(crate) struct Kif {
    pub(crate) clients: Clients,
    pub(crate) servers: Servers,
    pub(crate) out: Outbox,
}

impl Kif {
    pub(crate) fn new(config: &Config) -> Self {
        Kif {
            clients: Clients::new(config),
            servers: Servers::new(config),
            out: Outbox::default(),
        }
    }

    /// Takes a message of a node. Handles in it mean something only if they are that node's.
    pub(crate) fn handle_message(&mut self, node: u16, bytes: Vec<u8>) {
        let out = &mut self.out;
        let Ok(parsed) = Message::parse(&bytes) else {
            out.stats.malformed += 1;
            return;
        };
        out.stats.messages_received += 1;
        let mut data = Payload::from_tail(bytes, parsed.data_start);
        data.truncate(parsed.data_len);
        let (clients, servers) = (&mut self.clients, &mut self.servers);
        match parsed.message {
            Message::Connect(connect) => _ = servers.connect(out, node, &connect),
            Message::ConnectMsgSend(connect, send) => {
                servers.connect_and_send(out, node, &connect, send, data);
            }
            Message::ConnectPulse(connect, pulse) => {
                servers.connect_and_pulse(out, node, &connect, pulse);
            }
            Message::MsgSend(send) => servers.msgsend(out, node, send, data),
            Message::Pulse(pulse) => servers.pulse(out, node, pulse),
            Message::Signal {
                server_id, signal, ..
            } => servers.signal(out, node, server_id, signal),
            Message::Unblock {
                server_id,
                client_handle,
                ..
            } => servers.unblock(out, node, server_id, client_handle),
            Message::Disconnect { server_id } => servers.disconnect(out, node, server_id),
            Message::MsgReadXfer(transfer) => servers.read_done(out, node, &transfer, Ok(data)),
            Message::MsgReadError(transfer) => {
                let errno = Errno::new(transfer.status);
                servers.read_done(out, node, &transfer, Err(errno));
            }
            Message::ConnectSuccess {
                server_id,
                client_id,
                limit,
                ..
            } => clients.connected(out, node, client_id, server_id, limit),
            Message::ConnectFail {
                client_id, status, ..
            } => clients.refused(out, node, client_id, Errno::new(status)),
            Message::ConnectDeath { client_id } => clients.died(out, node, client_id),
            Message::MsgRead {
                read_handle,
                client_handle,
                offset,
                nbytes,
            } => clients.read(out, node, client_handle, read_handle, offset, nbytes),
            Message::MsgWrite(transfer) => clients.write(out, node, &transfer, data),
            Message::MsgReply(transfer) => clients.reply(out, node, &transfer, data),
            Message::MsgError(transfer) => clients.error(out, node, &transfer),
            Message::Event { client_id, event } => clients.event(out, node, client_id, event),
        }
    }

    /// Too much waits for a node, or no longer.
    pub(crate) fn set_congested(&mut self, node: u16, congested: bool) {
        if congested {
            self.out.congested.entry(node).or_default();
            return;
        }
        for demand in self.out.congested.remove(&node).unwrap_or_default() {
            if self.clients.is_live(demand.send) {
                self.out.event(demand.event());
            }
        }
    }

    /// A node takes messages that carry so many bytes at most.
    pub(crate) fn set_longest(&mut self, node: u16, bytes: usize) {
        self.out.longest.insert(node, bytes.max(1));
    }

    /// A node is gone, with all connections to it and from it.
    pub(crate) fn node_down(&mut self, node: u16, errno: Errno) {
        self.out.congested.remove(&node);
        self.out.longest.remove(&node);
        self.clients.node_down(&mut self.out, node, errno);
        self.servers.node_down(&mut self.out, node);
    }
}

/// Wire fields are signed; handles are below 2^31. A negative one names nothing.
fn handle(field: i32) -> u32 {
    field as u32
}

/// What an error number travels in.
fn failure(handle: i32, errno: Errno) -> Transfer {
    Transfer {
        status: errno.get(),
        handle,
        offset: 0,
        nbytes: 0,
    }
}

/// What `data` travels in.
fn transfer(status: i32, handle: i32, offset: u32, data: &Payload) -> Transfer {
    Transfer {
        status,
        handle,
        offset,
        nbytes: data.len() as u32,
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod dissector_tests;
