//! The server side: connections of remote clients to local channels, and their messages, which wait
//! there as virtual threads.

use std::collections::{HashMap, VecDeque};

use super::credentials::mapped;
use super::message::{Connect, Message, MsgSend, PulseSend, Transfer, VERSION};
use super::types::{Identity, Pulse, SendInfo, Sigevent, Signal};
use super::{Lane, Outbox, READS_MAX, failure, handle, transfer};
use crate::config::{Config, UserMap};
use crate::errno::Errno;
use crate::event::Event;
use crate::ids::{RemoteClient, Vthread};
use crate::payload::Payload;
use crate::slab::{SLAB_MAX, Slab};

/// Remote clients and virtual threads.
pub(crate) struct Servers {
    clients: Slab<Client>,
    vthreads: Slab<Sender>,
    reads: Slab<Read>,
    /// What each node takes of the tables.
    shares: HashMap<u16, Share>,
    limits: Limits,
    users: UserMap,
}

/// What one node may take, and what a message may be.
#[derive(Clone, Copy)]
struct Limits {
    clients: usize,
    vthreads: usize,
    bytes: usize,
    msgsend: u32,
    chunk: usize,
}

#[derive(Default)]
struct Share {
    clients: usize,
    vthreads: usize,
    bytes: usize,
}

/// A connection, as the server's node sees it.
struct Client {
    node: u16,
    client_id: i32,
    identity: Identity,
    /// What came before the channel had answered; `None` since.
    held: Option<VecDeque<Held>>,
    vthreads: Vec<u32>,
}

enum Held {
    Send(MsgSend, Payload),
    Pulse(Pulse),
}

/// A remote thread and its message.
struct Sender {
    client: u32,
    node: u16,
    client_handle: i32,
    info: SendInfo,
    bytes: usize,
    reads: Vec<u32>,
    /// Events beside its delivery were issued for it.
    told: bool,
}

/// A read from a remote client, whose bytes are awaited.
struct Read {
    vthread: u32,
    node: u16,
    offset: u32,
    length: u32,
}

impl Servers {
    pub(crate) fn new(config: &Config) -> Self {
        Servers {
            clients: Slab::new(config.remote_clients_max),
            vthreads: Slab::new(config.vthreads_max),
            reads: Slab::new(SLAB_MAX),
            shares: HashMap::new(),
            limits: Limits {
                clients: config.remote_clients_per_node_max,
                vthreads: config.vthreads_per_node_max,
                bytes: config.vthread_bytes_per_node_max,
                msgsend: config.msgsend_limit,
                chunk: config.chunk as usize,
            },
            users: config.users,
        }
    }

    // ---- What remote clients do --------------------------------------------------------------

    /// Takes a new connection; its handle, if there is room.
    pub(crate) fn connect(
        &mut self,
        out: &mut Outbox,
        node: u16,
        connect: &Connect,
    ) -> Option<u32> {
        let identity = mapped(
            &self.users,
            node,
            connect.client_pid,
            connect.identity.as_ref(),
        );
        let share = self.shares.entry(node).or_default();
        let client = if share.clients < self.limits.clients {
            self.clients.insert(Client {
                node,
                client_id: connect.client_id,
                identity,
                held: Some(VecDeque::new()),
                vthreads: Vec::new(),
            })
        } else {
            None
        };
        let Some(client) = client else {
            out.stats.refused += 1;
            fail_connect(out, node, connect.client_id, Errno::EAGAIN);
            return None;
        };
        share.clients += 1;
        out.event(Event::Connect {
            client: RemoteClient(client),
            pid: connect.server_pid,
            chid: connect.server_chid,
            identity,
            srcnd: connect.identity.map_or(0, |claimed| claimed.nd),
        });
        Some(client)
    }

    pub(crate) fn connect_and_send(
        &mut self,
        out: &mut Outbox,
        node: u16,
        connect: &Connect,
        send: MsgSend,
        data: Payload,
    ) {
        if let Some(client) = self.connect(out, node, connect) {
            self.hold(client, Held::Send(send, data));
        }
    }

    pub(crate) fn connect_and_pulse(
        &mut self,
        out: &mut Outbox,
        node: u16,
        connect: &Connect,
        pulse: PulseSend,
    ) {
        if let Some(client) = self.connect(out, node, connect) {
            self.hold(client, Held::Pulse(pulse.pulse));
        }
    }

    /// Keeps the one thing that may come before the channel has answered: a client that behaves sends no
    /// more until then.
    fn hold(&mut self, client: u32, held: Held) {
        if let Some(queue) = self.clients.get_mut(client).and_then(|c| c.held.as_mut()) {
            queue.push_back(held);
        }
    }

    pub(crate) fn msgsend(&mut self, out: &mut Outbox, node: u16, send: MsgSend, data: Payload) {
        let client = handle(send.server_id);
        match of_node(&mut self.clients, client, node) {
            Some(entry) if entry.held.is_none() => self.deliver(out, client, send, data),
            _ => {
                out.stats.stale += 1;
                fail_send(out, node, client, send.client_handle, Errno::ESRCH);
            }
        }
    }

    /// Gives a message to the shell, if the node has not too many here already.
    fn deliver(&mut self, out: &mut Outbox, client: u32, send: MsgSend, mut data: Payload) {
        let Some(entry) = self.clients.get_mut(client) else {
            return;
        };
        let node = entry.node;
        let share = self.shares.entry(node).or_default();
        data.truncate((send.info.length as usize).min(data.len()));
        let bytes = data.len();
        let too_many =
            share.vthreads >= self.limits.vthreads || share.bytes + bytes > self.limits.bytes;
        let vthread = if too_many {
            None
        } else {
            self.vthreads.insert(Sender {
                client,
                node,
                client_handle: send.client_handle,
                info: send.info,
                bytes,
                reads: Vec::new(),
                told: false,
            })
        };
        let Some(vthread) = vthread else {
            out.stats.refused += 1;
            return fail_send(out, node, client, send.client_handle, Errno::EAGAIN);
        };
        share.vthreads += 1;
        share.bytes += bytes;
        entry.vthreads.push(vthread);
        out.stats.server_sends += 1;
        out.event(Event::Deliver {
            client: RemoteClient(client),
            vthread: Vthread(vthread),
            info: send.info,
            data,
        });
    }

    pub(crate) fn pulse(&mut self, out: &mut Outbox, node: u16, pulse: PulseSend) {
        let client = handle(pulse.server_id);
        match of_node(&mut self.clients, client, node) {
            Some(entry) if entry.held.is_none() => deliver_pulse(out, client, pulse.pulse),
            _ => out.stats.stale += 1,
        }
    }

    pub(crate) fn signal(&mut self, out: &mut Outbox, node: u16, server_id: i32, signal: Signal) {
        match of_node(&mut self.clients, handle(server_id), node) {
            Some(entry) if entry.held.is_none() => {
                let identity = entry.identity;
                out.event(Event::ServerSignal { identity, signal });
            }
            _ => out.stats.stale += 1,
        }
    }

    pub(crate) fn unblock(
        &mut self,
        out: &mut Outbox,
        node: u16,
        server_id: i32,
        client_handle: i32,
    ) {
        let found = of_node(&mut self.clients, handle(server_id), node).and_then(|entry| {
            let vthreads = entry.vthreads.iter().copied();
            vthreads.into_iter().find(|&vthread| {
                let sender = self.vthreads.get(vthread);
                sender.is_some_and(|sender| sender.client_handle == client_handle)
            })
        });
        match found {
            Some(vthread) => {
                out.stats.server_unblocks += 1;
                if let Some(sender) = self.vthreads.get_mut(vthread) {
                    sender.told = true;
                }
                let vthread = Vthread(vthread);
                out.event(Event::Unblock { vthread });
            }
            // The reply has crossed it.
            None => out.stats.stale += 1,
        }
    }

    pub(crate) fn disconnect(&mut self, out: &mut Outbox, node: u16, server_id: i32) {
        let client = handle(server_id);
        match of_node(&mut self.clients, client, node) {
            Some(_) => self.end(out, client),
            None => out.stats.stale += 1,
        }
    }

    pub(crate) fn read_done(
        &mut self,
        out: &mut Outbox,
        node: u16,
        transfer: &Transfer,
        result: Result<Payload, Errno>,
    ) {
        let read = handle(transfer.handle);
        if self.reads.get(read).is_none_or(|read| read.node != node) {
            out.stats.stale += 1;
            return;
        }
        let Some(Read {
            vthread,
            offset,
            length,
            ..
        }) = self.reads.remove(read)
        else {
            return;
        };
        if let Some(sender) = self.vthreads.get_mut(vthread) {
            sender.reads.retain(|&other| other != read);
            sender.told = true;
        }
        let result = result.map(|mut data| {
            data.truncate((length as usize).min(data.len()));
            data
        });
        out.event(Event::ServerData {
            vthread: Vthread(vthread),
            offset,
            result,
        });
    }

    // ---- What local servers answer -----------------------------------------------------------

    pub(crate) fn connected(
        &mut self,
        out: &mut Outbox,
        client: RemoteClient,
        result: Result<i32, Errno>,
    ) {
        let Some(entry) = self.clients.get_mut(client.0) else {
            return;
        };
        let (node, client_id) = (entry.node, entry.client_id);
        let Some(held) = entry.held.take() else {
            return;
        };
        let scoid = match result {
            Ok(scoid) => scoid,
            Err(errno) => {
                self.forget(client.0);
                return fail_connect(out, node, client_id, errno);
            }
        };
        let message = Message::ConnectSuccess {
            version: VERSION,
            server_id: client.0 as i32,
            client_id,
            scoid,
            limit: self.limits.msgsend,
        };
        out.send_bare(node, lane(client.0), &message);
        for held in held {
            match held {
                Held::Send(send, data) => self.deliver(out, client.0, send, data),
                Held::Pulse(pulse) => deliver_pulse(out, client.0, pulse),
            }
        }
    }

    pub(crate) fn reply(
        &mut self,
        out: &mut Outbox,
        vthread: Vthread,
        status: i32,
        offset: u32,
        data: Payload,
    ) -> Result<(), Errno> {
        let sender = self.vthreads.get(vthread.0).ok_or(Errno::ESRCH)?;
        let (node, lane, handle) = (sender.node, lane(sender.client), sender.client_handle);
        let room = sender.info.reply_length;
        let (offset, data) = self.write_pieces(out, vthread, room, offset, data);
        let message = Message::MsgReply(transfer(status, handle, offset, &data));
        out.send(node, lane, &message, data);
        self.answered(out, vthread);
        Ok(())
    }

    pub(crate) fn error(
        &mut self,
        out: &mut Outbox,
        vthread: Vthread,
        errno: Errno,
    ) -> Result<(), Errno> {
        let sender = self.vthreads.get(vthread.0).ok_or(Errno::ESRCH)?;
        fail_send(out, sender.node, sender.client, sender.client_handle, errno);
        self.answered(out, vthread);
        Ok(())
    }

    pub(crate) fn read(
        &mut self,
        out: &mut Outbox,
        vthread: Vthread,
        offset: u32,
        length: u32,
    ) -> Result<(), Errno> {
        let sender = self.vthreads.get_mut(vthread.0).ok_or(Errno::ESRCH)?;
        let length = length
            .min(sender.info.length.saturating_sub(offset))
            .min(self.limits.chunk as u32);
        if length == 0 {
            sender.told = true;
            let result = Ok(Payload::default());
            out.event(Event::ServerData {
                vthread,
                offset,
                result,
            });
            return Ok(());
        }
        if sender.reads.len() >= READS_MAX {
            return Err(Errno::EAGAIN);
        }
        let read = self
            .reads
            .insert(Read {
                vthread: vthread.0,
                node: sender.node,
                offset,
                length,
            })
            .ok_or(Errno::EAGAIN)?;
        sender.reads.push(read);
        let message = Message::MsgRead {
            read_handle: read as i32,
            client_handle: sender.client_handle,
            offset,
            nbytes: length,
        };
        out.send_bare(sender.node, lane(sender.client), &message);
        Ok(())
    }

    pub(crate) fn write(
        &mut self,
        out: &mut Outbox,
        vthread: Vthread,
        offset: u32,
        data: Payload,
    ) -> Result<usize, Errno> {
        let sender = self.vthreads.get(vthread.0).ok_or(Errno::ESRCH)?;
        let (node, lane, handle) = (sender.node, lane(sender.client), sender.client_handle);
        let room = sender.info.reply_length;
        let (last, data) = self.write_pieces(out, vthread, room, offset, data);
        let end = last as usize + data.len();
        if !data.is_empty() {
            let message = Message::MsgWrite(transfer(0, handle, last, &data));
            out.send(node, lane, &message, data);
        }
        Ok(end.saturating_sub(offset as usize))
    }

    /// Writes all that is too long for one message, in pieces; what remains, and where it belongs.
    fn write_pieces(
        &self,
        out: &mut Outbox,
        vthread: Vthread,
        room: u32,
        mut offset: u32,
        mut data: Payload,
    ) -> (u32, Payload) {
        data.truncate((room.saturating_sub(offset) as usize).min(data.len()));
        let Some(sender) = self.vthreads.get(vthread.0) else {
            return (offset, data);
        };
        let chunk = out.chunk(sender.node, self.limits.chunk);
        while data.len() > chunk {
            let piece = Payload::from(&data.as_slice()[..chunk]);
            let header = Message::MsgWrite(transfer(0, sender.client_handle, offset, &piece));
            out.send(sender.node, lane(sender.client), &header, piece);
            offset += chunk as u32;
            data = data.without_first(chunk);
        }
        (offset, data)
    }

    pub(crate) fn event(
        &mut self,
        out: &mut Outbox,
        client: RemoteClient,
        event: Sigevent,
    ) -> Result<(), Errno> {
        let entry = self.clients.get(client.0).ok_or(Errno::ESRCH)?;
        let client_id = entry.client_id;
        let message = Message::Event { client_id, event };
        out.send_bare(entry.node, lane(client.0), &message);
        Ok(())
    }

    pub(crate) fn gone(&mut self, out: &mut Outbox, client: RemoteClient) {
        let Some(entry) = self.clients.get(client.0) else {
            return;
        };
        let client_id = entry.client_id;
        let message = Message::ConnectDeath { client_id };
        out.send_bare(entry.node, lane(client.0), &message);
        let vthreads = entry.vthreads.clone();
        out.purge(|event| match event {
            Event::Connect { client: other, .. }
            | Event::Deliver { client: other, .. }
            | Event::ServerPulse { client: other, .. } => *other == client,
            Event::Unblock { vthread } | Event::ServerData { vthread, .. } => {
                vthreads.contains(&vthread.0)
            }
            _ => false,
        });
        for vthread in vthreads {
            self.end_vthread(vthread);
        }
        self.forget(client.0);
    }

    // ---- Ends --------------------------------------------------------------------------------

    pub(crate) fn node_down(&mut self, out: &mut Outbox, node: u16) {
        for client in self.clients.handles(|c| c.node == node) {
            self.end(out, client);
        }
        self.shares.remove(&node);
    }

    /// A remote client is gone: its messages are abandoned.
    fn end(&mut self, out: &mut Outbox, client: u32) {
        let Some(entry) = self.clients.get(client) else {
            return;
        };
        for vthread in entry.vthreads.clone() {
            self.end_vthread(vthread);
            let vthread = Vthread(vthread);
            out.event(Event::Abandoned { vthread });
        }
        self.forget(client);
        let client = RemoteClient(client);
        out.event(Event::Disconnect { client });
    }

    /// The server is done with a message: nothing more is told of it.
    fn answered(&mut self, out: &mut Outbox, vthread: Vthread) {
        if self
            .vthreads
            .get(vthread.0)
            .is_some_and(|sender| sender.told)
        {
            out.purge(|event| {
                matches!(event, Event::Unblock { vthread: other }
                    | Event::ServerData { vthread: other, .. } if *other == vthread)
            });
        }
        self.end_vthread(vthread.0);
    }

    fn end_vthread(&mut self, vthread: u32) {
        let Some(sender) = self.vthreads.remove(vthread) else {
            return;
        };
        for read in sender.reads {
            self.reads.remove(read);
        }
        if let Some(client) = self.clients.get_mut(sender.client) {
            client.vthreads.retain(|&other| other != vthread);
        }
        if let Some(share) = self.shares.get_mut(&sender.node) {
            share.vthreads -= 1;
            share.bytes -= sender.bytes;
        }
    }

    fn forget(&mut self, client: u32) {
        if let Some(entry) = self.clients.remove(client)
            && let Some(share) = self.shares.get_mut(&entry.node)
        {
            share.clients -= 1;
        }
    }

    /// How many remote clients and virtual threads there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.clients.len(), self.vthreads.len())
    }
}

fn lane(client: u32) -> Lane {
    Lane::Server { client }
}

fn deliver_pulse(out: &mut Outbox, client: u32, pulse: Pulse) {
    out.stats.server_pulses += 1;
    let client = RemoteClient(client);
    out.event(Event::ServerPulse { client, pulse });
}

fn fail_connect(out: &mut Outbox, node: u16, client_id: i32, errno: Errno) {
    let message = Message::ConnectFail {
        version: VERSION,
        client_id,
        status: errno.get(),
    };
    out.send_bare(node, lane(0), &message);
}

fn fail_send(out: &mut Outbox, node: u16, client: u32, client_handle: i32, errno: Errno) {
    let message = Message::MsgError(failure(client_handle, errno));
    out.send_bare(node, lane(client), &message);
}

fn of_node(clients: &mut Slab<Client>, client: u32, node: u16) -> Option<&mut Client> {
    clients.get_mut(client).filter(|entry| entry.node == node)
}
