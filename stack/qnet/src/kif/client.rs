//! The client side: connections of local clients to channels of other nodes, and their sends.

use std::collections::VecDeque;

use super::message::{Connect, Message, MsgSend, PulseSend, Transfer, VERSION};
use super::types::{Identity, Pulse, SendInfo, Sigevent, Signal};
use super::{FIRST_BYTES, Lane, Outbox, READS_MAX, failure, handle, transfer};
use crate::config::Config;
use crate::errno::Errno;
use crate::event::Event;
use crate::ids::{ClientConn, ClientSend};
use crate::node::Nd;
use crate::payload::Payload;
use crate::qnet::Channel;
use crate::slab::Slab;

/// Connections and sends.
pub(crate) struct Clients {
    conns: Slab<Conn>,
    sends: Slab<Send>,
    chunk: u32,
}

/// A connection, as the client's node sees it.
struct Conn {
    nd: Nd,
    channel: Channel,
    identity: Identity,
    state: State,
    /// It belongs to the life of its node that was there when it was made or first used, and dies with it.
    bound: bool,
    /// What waits for the server's answer to `Connect`.
    held: VecDeque<Held>,
    sends: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was sent on it yet.
    Idle,
    /// The server's answer is awaited.
    Connecting,
    /// The same, and the client has detached.
    Closing,
    /// The server knows it.
    Open { server_id: i32, limit: u32 },
    /// The server is gone.
    Dead(Errno),
}

enum Held {
    Send(u32, Payload),
    Pulse(PulseSend),
    Signal(Signal),
}

struct Send {
    conn: u32,
    info: SendInfo,
    stage: Stage,
    reads: VecDeque<Read>,
    unblock: bool,
    abandoned: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its first bytes are being read from the client.
    Reading,
    /// It waits for the connection.
    Held,
    /// It is on its way, or with the server.
    Sent,
}

/// A read of the server's, being answered by the client.
struct Read {
    handle: i32,
    offset: u32,
    length: u32,
}

impl Conn {
    fn lane(&self, conn: u32) -> Lane {
        let qos = self.nd.qos();
        Lane::Client { conn, qos }
    }

    fn first_bytes(&self) -> u32 {
        match self.state {
            State::Open { limit, .. } => limit,
            _ => FIRST_BYTES,
        }
    }

    fn request(&self, conn: u32) -> Connect {
        Connect {
            version: VERSION,
            server_pid: self.channel.pid,
            server_chid: self.channel.chid,
            client_id: conn as i32,
            client_pid: self.identity.pid,
            // Its own node is 0 to a client; what the server's is goes in the place of that.
            identity: Some(Identity {
                nd: u32::from(self.nd.node()),
                ..self.identity
            }),
        }
    }
}

impl Clients {
    pub(crate) fn new(config: &Config) -> Self {
        Clients {
            conns: Slab::new(config.client_conns_max),
            sends: Slab::new(config.client_sends_max),
            chunk: config.chunk,
        }
    }

    // ---- What local clients do ---------------------------------------------------------------

    pub(crate) fn open(
        &mut self,
        nd: Nd,
        node_up: bool,
        channel: Channel,
        identity: Identity,
    ) -> Result<ClientConn, Errno> {
        let conn = Conn {
            nd,
            channel,
            identity,
            state: State::Idle,
            bound: node_up,
            held: VecDeque::new(),
            sends: Vec::new(),
        };
        self.conns.insert(conn).map(ClientConn).ok_or(Errno::EAGAIN)
    }

    pub(crate) fn send(
        &mut self,
        out: &mut Outbox,
        conn: ClientConn,
        mut info: SendInfo,
        mut data: Payload,
    ) -> Result<ClientSend, Errno> {
        let conn = conn.0;
        let entry = usable(&mut self.conns, conn)?;
        info.srcnd = u32::from(entry.nd.node());
        let wanted = info.length.min(entry.first_bytes());
        let send = self
            .sends
            .insert(Send {
                conn,
                info,
                stage: Stage::Reading,
                reads: VecDeque::new(),
                unblock: false,
                abandoned: false,
            })
            .ok_or(Errno::EAGAIN)?;
        entry.sends.push(send);
        out.stats.client_sends += 1;
        if data.len() < wanted as usize {
            let node = entry.nd.node();
            out.demand(node, ClientSend(send), 0, wanted);
        } else {
            data.truncate(wanted as usize);
            self.begin(out, send, data);
        }
        Ok(ClientSend(send))
    }

    /// The first bytes are there: the message leaves, or waits until the server knows the connection.
    fn begin(&mut self, out: &mut Outbox, handle: u32, mut data: Payload) {
        let Some(send) = self.sends.get_mut(handle) else {
            return;
        };
        let Some(conn) = self.conns.get_mut(send.conn) else {
            return;
        };
        let lane = conn.lane(send.conn);
        let first = conn.first_bytes().min(send.info.length) as usize;
        let first = out.chunk(conn.nd.node(), first);
        data.truncate(first.min(data.len()));
        let mut message = MsgSend {
            server_id: -1,
            client_handle: handle as i32,
            info: send.info,
            nbytes: data.len() as u32,
        };
        send.stage = Stage::Sent;
        match conn.state {
            State::Open { server_id, .. } => {
                message.server_id = server_id;
                let message = Message::MsgSend(message);
                out.send(conn.nd.node(), lane, &message, padded(data));
            }
            State::Idle => {
                (conn.state, conn.bound) = (State::Connecting, true);
                let message = Message::ConnectMsgSend(conn.request(send.conn), message);
                out.send(conn.nd.node(), lane, &message, padded(data));
            }
            // A dead or closing connection has no sends, so none begins on one.
            State::Connecting | State::Closing | State::Dead(_) => {
                send.stage = Stage::Held;
                conn.held.push_back(Held::Send(handle, data));
            }
        }
    }

    pub(crate) fn data(
        &mut self,
        out: &mut Outbox,
        send: ClientSend,
        result: Result<Payload, Errno>,
    ) {
        let Some(entry) = self.sends.get_mut(send.0) else {
            return;
        };
        if entry.stage == Stage::Reading {
            match result {
                Ok(data) => self.begin(out, send.0, data),
                Err(errno) => self.finish(out, send.0, Err(errno), 0, Payload::default()),
            }
            return;
        }
        let Some(read) = entry.reads.pop_front() else {
            return;
        };
        let Some(conn) = self.conns.get(entry.conn) else {
            return;
        };
        let (node, lane) = (conn.nd.node(), conn.lane(entry.conn));
        match result {
            Ok(mut data) => {
                data.truncate((read.length as usize).min(data.len()));
                let header = Message::MsgReadXfer(transfer(0, read.handle, read.offset, &data));
                out.send(node, lane, &header, data);
            }
            Err(errno) => {
                let header = Message::MsgReadError(failure(read.handle, errno));
                out.send_bare(node, lane, &header);
            }
        }
    }

    pub(crate) fn unblock(&mut self, out: &mut Outbox, send: ClientSend) {
        let Some(entry) = self.sends.get_mut(send.0) else {
            return;
        };
        if entry.stage != Stage::Sent {
            return self.finish(out, send.0, Err(Errno::TAKEN_BACK), 0, Payload::default());
        }
        if entry.unblock {
            return;
        }
        entry.unblock = true;
        let (client_handle, tid) = (send.0 as i32, entry.info.tid);
        if let Some(conn) = self.conns.get(entry.conn)
            && let State::Open { server_id, .. } = conn.state
        {
            let message = Message::Unblock {
                server_id,
                client_handle,
                tid,
            };
            out.send_bare(conn.nd.node(), conn.lane(entry.conn), &message);
        }
    }

    pub(crate) fn abandon(&mut self, out: &mut Outbox, send: ClientSend) {
        let Some(entry) = self.sends.get_mut(send.0) else {
            return;
        };
        entry.abandoned = true;
        out.purge(|event| {
            matches!(event, Event::ClientRead { send: other, .. }
                | Event::ClientWrite { send: other, .. } if *other == send)
        });
        let reads = core::mem::take(&mut entry.reads);
        if let Some(conn) = self.conns.get(entry.conn) {
            for read in reads {
                let message = Message::MsgReadError(failure(read.handle, Errno::ESRCH));
                out.send_bare(conn.nd.node(), conn.lane(entry.conn), &message);
            }
        }
        self.unblock(out, send);
    }

    pub(crate) fn pulse(
        &mut self,
        out: &mut Outbox,
        conn: ClientConn,
        (tid, coid): (i32, i32),
        pulse: Pulse,
    ) -> Result<(), Errno> {
        let entry = usable(&mut self.conns, conn.0)?;
        let mut pulse = PulseSend {
            server_id: -1,
            tid,
            coid,
            pulse,
        };
        let (node, lane) = (entry.nd.node(), entry.lane(conn.0));
        match entry.state {
            State::Open { server_id, .. } => {
                pulse.server_id = server_id;
                out.send_bare(node, lane, &Message::Pulse(pulse));
            }
            State::Idle => {
                (entry.state, entry.bound) = (State::Connecting, true);
                let message = Message::ConnectPulse(entry.request(conn.0), pulse);
                out.send_bare(node, lane, &message);
            }
            _ => entry.hold(Held::Pulse(pulse))?,
        }
        Ok(())
    }

    pub(crate) fn signal(
        &mut self,
        out: &mut Outbox,
        conn: ClientConn,
        signal: Signal,
    ) -> Result<(), Errno> {
        let entry = usable(&mut self.conns, conn.0)?;
        let (node, lane) = (entry.nd.node(), entry.lane(conn.0));
        match entry.state {
            State::Open { server_id, .. } => {
                out.send_bare(node, lane, &signal_message(entry, server_id, signal));
            }
            State::Idle => {
                (entry.state, entry.bound) = (State::Connecting, true);
                let message = Message::Connect(entry.request(conn.0));
                out.send_bare(node, lane, &message);
                entry.hold(Held::Signal(signal))?;
            }
            _ => entry.hold(Held::Signal(signal))?,
        }
        Ok(())
    }

    pub(crate) fn detach(&mut self, out: &mut Outbox, conn: ClientConn) {
        let Some(entry) = self.conns.get_mut(conn.0) else {
            return;
        };
        let sends = core::mem::take(&mut entry.sends);
        out.purge(|event| match event {
            Event::ClientRead { send, .. } | Event::ClientWrite { send, .. } => {
                sends.contains(&send.0)
            }
            Event::ClientEvent { conn: other, .. } | Event::ClientDead { conn: other, .. } => {
                *other == conn
            }
            _ => false,
        });
        for send in sends {
            self.sends.remove(send);
        }
        entry.held.clear();
        match entry.state {
            State::Connecting => entry.state = State::Closing,
            State::Open { server_id, .. } => {
                let message = Message::Disconnect { server_id };
                out.send_bare(entry.nd.node(), entry.lane(conn.0), &message);
                self.conns.remove(conn.0);
            }
            State::Idle | State::Dead(_) => _ = self.conns.remove(conn.0),
            State::Closing => {}
        }
    }

    // ---- What servers answer -----------------------------------------------------------------

    pub(crate) fn connected(
        &mut self,
        out: &mut Outbox,
        node: u16,
        client_id: i32,
        server_id: i32,
        limit: u32,
    ) {
        let conn = handle(client_id);
        let entry = of_node(&mut self.conns, conn, node);
        let state = entry.as_ref().map(|entry| entry.state);
        let (Some(entry), Some(State::Connecting)) = (entry, state) else {
            // Nobody is left who wants it: the server is to know.
            if state == Some(State::Closing) {
                self.conns.remove(conn);
            }
            let lane = Lane::Client { conn, qos: 0 };
            return out.send_bare(node, lane, &Message::Disconnect { server_id });
        };
        let lane = entry.lane(conn);
        entry.state = State::Open { server_id, limit };
        let sent = entry.sends.clone();
        let held = core::mem::take(&mut entry.held);
        // What went along with the connect and is to be unblocked could not be named before.
        for send in sent {
            if let Some(entry) = self.sends.get(send)
                && entry.stage == Stage::Sent
                && entry.unblock
            {
                let message = Message::Unblock {
                    server_id,
                    client_handle: send as i32,
                    tid: entry.info.tid,
                };
                out.send_bare(node, lane, &message);
            }
        }
        for held in held {
            self.release(out, conn, server_id, held);
        }
    }

    /// Sends what was held back until the connection was open.
    fn release(&mut self, out: &mut Outbox, conn: u32, server_id: i32, held: Held) {
        let Some(entry) = self.conns.get(conn) else {
            return;
        };
        let (node, lane) = (entry.nd.node(), entry.lane(conn));
        match held {
            Held::Send(send, data) => self.begin(out, send, data),
            Held::Pulse(pulse) => {
                let message = Message::Pulse(PulseSend { server_id, ..pulse });
                out.send_bare(node, lane, &message);
            }
            Held::Signal(signal) => {
                out.send_bare(node, lane, &signal_message(entry, server_id, signal));
            }
        }
    }

    pub(crate) fn refused(&mut self, out: &mut Outbox, node: u16, client_id: i32, errno: Errno) {
        match of_node(&mut self.conns, handle(client_id), node) {
            Some(entry) if entry.state == State::Connecting && errno == Errno::EAGAIN => {
                // The server's node is full for now: another send may find room.
                entry.state = State::Idle;
                self.fail_sends(out, handle(client_id), errno);
            }
            Some(entry) if matches!(entry.state, State::Connecting | State::Closing) => {
                self.kill(out, handle(client_id), errno);
            }
            _ => out.stats.stale += 1,
        }
    }

    pub(crate) fn died(&mut self, out: &mut Outbox, node: u16, client_id: i32) {
        match of_node(&mut self.conns, handle(client_id), node) {
            Some(_) => self.kill(out, handle(client_id), Errno::ESRCH),
            None => out.stats.stale += 1,
        }
    }

    pub(crate) fn read(
        &mut self,
        out: &mut Outbox,
        node: u16,
        client_handle: i32,
        read_handle: i32,
        offset: u32,
        nbytes: u32,
    ) {
        let send = handle(client_handle);
        let Some((entry, lane)) = self.sent(node, send) else {
            out.stats.stale += 1;
            let lane = Lane::Client { conn: 0, qos: 0 };
            let message = Message::MsgReadError(failure(read_handle, Errno::ESRCH));
            return out.send_bare(node, lane, &message);
        };
        let refused = if entry.abandoned {
            Some(Errno::ESRCH)
        } else if entry.reads.len() >= READS_MAX {
            Some(Errno::EAGAIN)
        } else {
            None
        };
        if let Some(errno) = refused {
            let message = Message::MsgReadError(failure(read_handle, errno));
            return out.send_bare(node, lane, &message);
        }
        let length = nbytes.min(entry.info.length.saturating_sub(offset));
        if length == 0 {
            let empty = Transfer {
                status: 0,
                handle: read_handle,
                offset,
                nbytes: 0,
            };
            return out.send_bare(node, lane, &Message::MsgReadXfer(empty));
        }
        entry.reads.push_back(Read {
            handle: read_handle,
            offset,
            length,
        });
        let length = length.min(out.chunk(node, self.chunk as usize) as u32);
        out.demand(node, ClientSend(send), offset, length);
    }

    pub(crate) fn write(
        &mut self,
        out: &mut Outbox,
        node: u16,
        transfer: &Transfer,
        mut data: Payload,
    ) {
        let send = handle(transfer.handle);
        let Some((entry, _)) = self.sent(node, send) else {
            out.stats.stale += 1;
            return;
        };
        fit(&mut data, transfer.offset, entry.info.reply_length);
        if !entry.abandoned && !data.is_empty() {
            out.event(Event::ClientWrite {
                send: ClientSend(send),
                offset: transfer.offset,
                data,
            });
        }
    }

    pub(crate) fn reply(
        &mut self,
        out: &mut Outbox,
        node: u16,
        transfer: &Transfer,
        mut data: Payload,
    ) {
        let send = handle(transfer.handle);
        let Some((entry, _)) = self.sent(node, send) else {
            out.stats.stale += 1;
            return;
        };
        fit(&mut data, transfer.offset, entry.info.reply_length);
        self.finish(out, send, Ok(transfer.status), transfer.offset, data);
    }

    pub(crate) fn error(&mut self, out: &mut Outbox, node: u16, transfer: &Transfer) {
        let send = handle(transfer.handle);
        if self.sent(node, send).is_none() {
            out.stats.stale += 1;
            return;
        }
        let errno = Errno::new(transfer.status);
        self.finish(out, send, Err(errno), 0, Payload::default());
    }

    pub(crate) fn event(&mut self, out: &mut Outbox, node: u16, client_id: i32, event: Sigevent) {
        let conn = handle(client_id);
        match of_node(&mut self.conns, conn, node) {
            Some(entry) if matches!(entry.state, State::Open { .. }) => {
                let conn = ClientConn(conn);
                out.event(Event::ClientEvent { conn, event });
            }
            _ => out.stats.stale += 1,
        }
    }

    // ---- Ends --------------------------------------------------------------------------------

    pub(crate) fn node_down(&mut self, out: &mut Outbox, node: u16, errno: Errno) {
        for conn in self.conns.handles(|c| c.nd.node() == node && c.bound) {
            self.kill(out, conn, errno);
        }
    }

    /// The link of an exclusive quality of service is down: what used it to that node is over.
    pub(crate) fn qos_down(&mut self, out: &mut Outbox, node: u16, qos: u16, errno: Errno) {
        let nd = Nd::new(node, qos);
        for conn in self.conns.handles(|c| c.nd == nd && c.bound) {
            if let Some(entry) = self.conns.get(conn)
                && let State::Open { server_id, .. } = entry.state
            {
                // By another way: the server must not keep what nobody waits for.
                let lane = Lane::Client { conn, qos: 0 };
                out.send_bare(node, lane, &Message::Disconnect { server_id });
            }
            self.kill(out, conn, errno);
        }
    }

    /// Ends a connection and all sends on it.
    fn kill(&mut self, out: &mut Outbox, conn: u32, errno: Errno) {
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        if matches!(entry.state, State::Dead(_)) {
            return;
        }
        if entry.state == State::Closing {
            self.conns.remove(conn);
            return;
        }
        entry.state = State::Dead(errno);
        self.fail_sends(out, conn, errno);
        let conn = ClientConn(conn);
        out.event(Event::ClientDead { conn, errno });
    }

    /// Ends all sends on a connection, and drops what waits for it.
    fn fail_sends(&mut self, out: &mut Outbox, conn: u32, errno: Errno) {
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        entry.held.clear();
        for send in entry.sends.clone() {
            self.finish(out, send, Err(errno), 0, Payload::default());
        }
    }

    /// Ends a send and tells its client.
    fn finish(
        &mut self,
        out: &mut Outbox,
        handle: u32,
        result: Result<i32, Errno>,
        offset: u32,
        data: Payload,
    ) {
        let Some(send) = self.sends.remove(handle) else {
            return;
        };
        if let Some(conn) = self.conns.get_mut(send.conn) {
            conn.sends.retain(|&other| other != handle);
            if send.stage == Stage::Held {
                conn.held
                    .retain(|held| !matches!(held, Held::Send(other, _) if *other == handle));
            }
        }
        out.stats.client_errors += u64::from(result.is_err());
        if !send.abandoned {
            out.event(Event::ClientDone {
                send: ClientSend(handle),
                result,
                offset,
                data,
            });
        }
    }

    /// A send that a server of that node may know.
    fn sent(&mut self, node: u16, send: u32) -> Option<(&mut Send, Lane)> {
        let entry = self.sends.get_mut(send)?;
        let conn = self.conns.get(entry.conn)?;
        let known = conn.nd.node() == node && entry.stage == Stage::Sent;
        let lane = conn.lane(entry.conn);
        known.then_some((entry, lane))
    }

    /// Whether a send is still under way.
    pub(crate) fn is_live(&self, send: ClientSend) -> bool {
        self.sends.get(send.0).is_some_and(|send| !send.abandoned)
    }

    /// Whether a connection names that node.
    pub(crate) fn uses(&self, node: u16) -> bool {
        self.conns.iter().any(|(_, conn)| conn.nd.node() == node)
    }

    /// How many connections and sends there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.conns.len(), self.sends.len())
    }
}

impl Conn {
    /// Keeps something until the server has answered.
    fn hold(&mut self, held: Held) -> Result<(), Errno> {
        const HELD_MAX: usize = 1024;
        if self.held.len() >= HELD_MAX {
            return Err(Errno::EAGAIN);
        }
        self.held.push_back(held);
        Ok(())
    }
}

fn signal_message(conn: &Conn, server_id: i32, signal: Signal) -> Message {
    Message::Signal {
        server_id,
        signal,
        identity: Some(conn.identity),
    }
}

/// The connection, if something may be sent on it.
fn usable(conns: &mut Slab<Conn>, conn: u32) -> Result<&mut Conn, Errno> {
    let entry = conns.get_mut(conn).ok_or(Errno::ESRCH)?;
    match entry.state {
        State::Closing => Err(Errno::ESRCH),
        State::Dead(errno) => Err(errno),
        _ => Ok(entry),
    }
}

fn of_node(conns: &mut Slab<Conn>, conn: u32, node: u16) -> Option<&mut Conn> {
    conns.get_mut(conn).filter(|entry| entry.nd.node() == node)
}

/// Cuts off what would lie beyond `room` if it were put at `offset`.
fn fit(data: &mut Payload, offset: u32, room: u32) {
    let room = room.saturating_sub(offset) as usize;
    if data.len() > room {
        data.truncate(room);
    }
}

/// The message with zeros behind it where it is so short that Wireshark, which takes every message for
/// an I/O message of QNX, would read beyond its end.
pub(super) fn padded(mut data: Payload) -> Payload {
    const IO_TYPES: core::ops::Range<u16> = 0x100..0x120;
    const IO_MIN: usize = 112;
    let bytes = data.as_slice();
    let io = bytes
        .first_chunk::<2>()
        .is_some_and(|kind| IO_TYPES.contains(&u16::from_ne_bytes(*kind)));
    let wanted = if io { IO_MIN } else { 2 };
    let missing = match data.has_source() {
        false => wanted.saturating_sub(bytes.len()),
        true => 0,
    };
    data.extend_from_slice(&[0; IO_MIN][..missing]);
    data
}
