//! The programs of a node: one server, and clients that send to the servers of other nodes.
//!
//! They stand where `npm-qnet` and the programs behind it stand: all they know of Qnet is its face.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use io_net_qnet::time::Instant;
use io_net_qnet::{
    Channel, ClientConn, ClientSend, Credentials, Errno, Event, Identity, Lookup, Nd, Payload,
    Pulse, Qnet, Query, RemoteClient, SendInfo, Sigevent, Vthread,
};

use super::ledger::{Ledger, id_of, piece};
use crate::rng::Rng;

/// Each node's server, in each of its lives: a restart does not change the process id, so only Qnet
/// can tell a stale connection.
pub const SERVER: Channel = Channel { pid: 100, chid: 1 };

/// What clients and servers do.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Longest message and reply, in bytes.
    pub length_max: u32,
    /// Bytes of a message that a client hands over with the send.
    pub eager: u32,
    /// How long a server works on a message.
    pub work: Duration,
    /// How long a client rests between two sends.
    pub rest: Duration,
    /// How long a client waits before it asks to be unblocked.
    pub patience: Duration,
    /// Channels have `_NTO_CHF_UNBLOCK`.
    pub unblock: bool,
    /// In a thousand cases a client attaches anew rather than using the connection it has.
    pub fresh: usize,
    /// In a thousand cases a client sends a pulse first.
    pub pulses: usize,
    /// The qualities of service that clients ask for; one is chosen at each attach.
    pub qos: Vec<&'static str>,
}

impl Default for Habits {
    fn default() -> Self {
        Habits {
            length_max: 20_000,
            eager: 4096,
            work: Duration::from_millis(2),
            rest: Duration::from_millis(5),
            patience: Duration::from_secs(30),
            unblock: true,
            fresh: 200,
            pulses: 100,
            qos: vec![""],
        }
    }
}

/// What a program wants to do later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Plan {
    /// A client thread has rested.
    Client(usize),
    /// A client thread loses patience with its send.
    Unblock(usize, u64),
    /// The server takes, or has finished with, a message.
    Server(Vthread),
}

/// The programs of one life of a node.
pub struct Programs {
    habits: Habits,
    /// Names of the nodes that clients send to.
    targets: Vec<String>,
    /// Tells the lives of servers apart: part of each reply.
    epoch: u64,
    server_up: bool,
    remote: HashSet<RemoteClient>,
    messages: HashMap<Vthread, Message>,
    threads: Vec<Thread>,
    conns: HashMap<ClientConn, Conn>,
    /// What is to be done later, collected by the world.
    pub plans: VecDeque<(Instant, Plan)>,
    rng: Rng,
}

/// A message that lies with the server.
struct Message {
    id: u64,
    client: RemoteClient,
    info: SendInfo,
    data: Vec<u8>,
    stage: Stage,
    unblocked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Waiting,
    Reading,
    Working,
}

struct Conn {
    target: usize,
    dead: bool,
    /// The server's life that answered on it.
    epoch: Option<u64>,
}

/// A client thread.
struct Thread {
    target: usize,
    conn: Option<ClientConn>,
    doing: Doing,
}

enum Doing {
    Nothing,
    Asking(Query),
    Waiting(Call),
}

struct Call {
    send: ClientSend,
    id: u64,
    reply: Vec<u8>,
}

impl Programs {
    /// A server in its life `epoch`, and `threads` clients of the servers of `targets`.
    pub fn new(
        habits: &Habits,
        targets: Vec<String>,
        threads: usize,
        epoch: u64,
        now: Instant,
        mut rng: Rng,
    ) -> Self {
        let mut plans = VecDeque::new();
        for thread in 0..threads {
            plans.push_back((now + within(&mut rng, habits.rest), Plan::Client(thread)));
        }
        let idle = || Thread {
            target: 0,
            conn: None,
            doing: Doing::Nothing,
        };
        Programs {
            habits: habits.clone(),
            targets,
            epoch,
            server_up: true,
            remote: HashSet::new(),
            messages: HashMap::new(),
            threads: std::iter::repeat_with(idle).take(threads).collect(),
            conns: HashMap::new(),
            plans,
            rng,
        }
    }

    /// Carries out what was planned for now.
    pub fn act(
        &mut self,
        now: Instant,
        plan: Plan,
        qnet: &mut Qnet,
        ledger: &mut Ledger,
        busy: bool,
    ) {
        match plan {
            Plan::Client(thread) if busy => self.go(now, thread, qnet, ledger),
            Plan::Client(_) => {}
            Plan::Unblock(thread, id) => {
                if let Doing::Waiting(call) = &self.threads[thread].doing
                    && call.id == id
                {
                    qnet.client_unblock(now, call.send);
                }
            }
            Plan::Server(vthread) => self.serve(now, vthread, qnet, ledger),
        }
    }

    /// Does what Qnet asks for, and takes note of what it tells.
    pub fn handle(&mut self, now: Instant, event: Event, qnet: &mut Qnet, ledger: &mut Ledger) {
        match event {
            Event::ClientRead {
                send,
                offset,
                length,
            } => self.client_read(now, send, offset, length, qnet),
            Event::ClientWrite { send, offset, data } => {
                let call = self.call(send).expect("only live sends are written to");
                put(&mut call.reply, offset, &data);
            }
            Event::ClientDone {
                send,
                result,
                offset,
                data,
            } => self.client_done(now, send, result, offset, &data, ledger),
            Event::ClientEvent { conn, event } => {
                assert_eq!(event.value >> 32, 0xe7e7);
                assert!(self.conns.contains_key(&conn));
            }
            Event::ClientDead { conn, .. } => {
                let conn = self.conns.get_mut(&conn).expect("a live connection");
                assert!(!std::mem::replace(&mut conn.dead, true), "told twice");
            }
            Event::Connect {
                client, pid, chid, ..
            } => {
                let there = self.server_up && Channel { pid, chid } == SERVER;
                let answer = if there { Ok(1) } else { Err(Errno::ESRCH) };
                if there {
                    self.remote.insert(client);
                }
                qnet.server_connected(now, client, answer);
            }
            Event::Deliver {
                client,
                vthread,
                info,
                data,
            } => self.deliver(now, client, vthread, info, &data),
            Event::ServerData {
                vthread,
                offset,
                result,
            } => self.server_data(now, vthread, offset, result, qnet, ledger),
            Event::Unblock { vthread } => self.unblock(now, vthread, qnet),
            Event::Abandoned { vthread } => {
                self.messages.remove(&vthread).expect("a live message");
                assert_eq!(
                    qnet.server_error(now, vthread, Errno::EINTR),
                    Err(Errno::ESRCH)
                );
            }
            Event::ServerPulse { client, pulse } => {
                assert!(self.remote.contains(&client));
                ledger.pulse_came(pulse.value);
            }
            Event::Disconnect { client } => {
                self.remote.remove(&client);
                assert!(self.messages.values().all(|other| other.client != client));
            }
            Event::Answer { query, result } => self.answer(now, query, result, qnet, ledger),
            Event::ServerSignal { .. } | Event::Resolve { .. } => unreachable!("nobody asked"),
            Event::NodeUp { .. }
            | Event::NodeDown { .. }
            | Event::Pinned { .. }
            | Event::Refused { .. } => {}
        }
    }

    // ---- Clients -----------------------------------------------------------------------------

    fn go(&mut self, now: Instant, thread: usize, qnet: &mut Qnet, ledger: &mut Ledger) {
        if self.targets.is_empty() {
            return;
        }
        self.drop_dead(now, qnet);
        let fresh = self.rng.chance(self.habits.fresh);
        let kept = self.threads[thread].conn;
        if let Some(conn) = kept.filter(|conn| !fresh && self.conns.contains_key(conn)) {
            return self.send(now, thread, conn, qnet, ledger);
        }
        if let Some(conn) = kept
            && self.conns.remove(&conn).is_some()
        {
            qnet.client_detach(now, conn);
        }
        let target = self.rng.below(self.targets.len());
        let qos = self.habits.qos[self.rng.below(self.habits.qos.len())];
        let path = format!("{}{qos}", self.targets[target]);
        self.threads[thread].target = target;
        self.threads[thread].conn = None;
        match qnet.strtond(now, &path) {
            Ok((Lookup::Known(nd), taken)) => {
                assert_eq!(taken, path.len());
                self.attach(now, thread, nd, qnet, ledger);
            }
            Ok((Lookup::Asked(query), _)) => self.threads[thread].doing = Doing::Asking(query),
            Err(errno) => panic!("{path}: {errno}"),
        }
    }

    /// Detaches from servers that are gone, as clients do when they are told.
    fn drop_dead(&mut self, now: Instant, qnet: &mut Qnet) {
        let in_use: Vec<ClientConn> = self.threads.iter().filter_map(|t| t.conn).collect();
        let dead = self.conns.iter().filter(|(_, conn)| conn.dead);
        let dead: Vec<ClientConn> = dead.map(|(&conn, _)| conn).collect();
        for conn in dead {
            if !in_use.contains(&conn) || self.rng.chance(700) {
                self.conns.remove(&conn);
                qnet.client_detach(now, conn);
            }
        }
    }

    fn answer(
        &mut self,
        now: Instant,
        query: Query,
        result: Result<Nd, Errno>,
        qnet: &mut Qnet,
        ledger: &mut Ledger,
    ) {
        let asked =
            |thread: &Thread| matches!(thread.doing, Doing::Asking(other) if other == query);
        let thread = self.threads.iter().position(asked).expect("asked once");
        self.threads[thread].doing = Doing::Nothing;
        match result {
            Ok(nd) => self.attach(now, thread, nd, qnet, ledger),
            Err(_) => self.rest(now, thread),
        }
    }

    fn attach(
        &mut self,
        now: Instant,
        thread: usize,
        nd: Nd,
        qnet: &mut Qnet,
        ledger: &mut Ledger,
    ) {
        let identity = Identity {
            pid: 200,
            credentials: Credentials::of(1000, 1000),
            ..Identity::default()
        };
        let conn = qnet.client_connect(now, nd, SERVER, identity);
        let conn = conn.expect("the tables are large enough");
        let target = self.threads[thread].target;
        self.threads[thread].conn = Some(conn);
        self.conns.insert(
            conn,
            Conn {
                target,
                dead: false,
                epoch: None,
            },
        );
        if self.rng.chance(self.habits.pulses) {
            let pulse = Pulse {
                code: 1,
                priority: 10,
                value: ledger.pulse_sent(),
            };
            let sent = qnet.client_pulse(now, conn, 1, 1, pulse);
            sent.expect("the connection is new");
        }
        self.send(now, thread, conn, qnet, ledger);
    }

    fn send(
        &mut self,
        now: Instant,
        thread: usize,
        conn: ClientConn,
        qnet: &mut Qnet,
        ledger: &mut Ledger,
    ) {
        let length = 8 + self.rng.below(self.habits.length_max as usize) as u32;
        let reply_length = 16 + self.rng.below(self.habits.length_max as usize) as u32;
        let id = ledger.sent(length);
        let info = SendInfo {
            tid: thread as i32 + 1,
            coid: 1,
            priority: 10,
            length,
            reply_length,
            ..SendInfo::default()
        };
        let eager = length.min(self.habits.eager) as usize;
        let data = Payload::from(&piece(id, 0, eager)[..]);
        match qnet.client_send(now, conn, info, data) {
            Ok(send) => {
                self.threads[thread].doing = Doing::Waiting(Call {
                    send,
                    id,
                    reply: vec![0; reply_length as usize],
                });
                let patience = within(&mut self.rng, self.habits.patience);
                self.plans
                    .push_back((now + patience, Plan::Unblock(thread, id)));
            }
            Err(errno) => {
                ledger.ended(id, Err(errno));
                self.rest(now, thread);
            }
        }
    }

    fn rest(&mut self, now: Instant, thread: usize) {
        let rest = within(&mut self.rng, self.habits.rest);
        self.plans.push_back((now + rest, Plan::Client(thread)));
    }

    fn call(&mut self, send: ClientSend) -> Option<&mut Call> {
        self.threads
            .iter_mut()
            .find_map(|thread| match &mut thread.doing {
                Doing::Waiting(call) if call.send == send => Some(call),
                _ => None,
            })
    }

    fn client_read(
        &mut self,
        now: Instant,
        send: ClientSend,
        offset: u32,
        length: u32,
        qnet: &mut Qnet,
    ) {
        let call = self.call(send).expect("only live sends are read from");
        let bytes = piece(call.id, offset, length as usize);
        qnet.client_data(now, send, Ok(Payload::from(&bytes[..])));
    }

    fn client_done(
        &mut self,
        now: Instant,
        send: ClientSend,
        result: Result<i32, Errno>,
        offset: u32,
        data: &Payload,
        ledger: &mut Ledger,
    ) {
        let waits =
            |thread: &Thread| matches!(&thread.doing, Doing::Waiting(call) if call.send == send);
        let thread = self.threads.iter().position(waits).expect("a live send");
        let Doing::Waiting(mut call) =
            std::mem::replace(&mut self.threads[thread].doing, Doing::Nothing)
        else {
            unreachable!("just looked");
        };
        if let Ok(status) = result {
            assert_eq!(status, call.id as i32);
            put(&mut call.reply, offset, data);
            let epoch = id_of(&call.reply[8..]);
            let expected = reply_to(call.id, epoch, call.reply.len());
            assert!(call.reply == expected, "the reply to {}", call.id);
            let conn = self.threads[thread]
                .conn
                .and_then(|c| self.conns.get_mut(&c));
            let conn = conn.expect("a send has a connection");
            assert!(conn.target < self.targets.len());
            let first = *conn.epoch.get_or_insert(epoch);
            assert_eq!(first, epoch, "a connection outlived its server");
        }
        ledger.ended(call.id, result.map(|_| ()));
        self.rest(now, thread);
    }

    // ---- The server --------------------------------------------------------------------------

    fn deliver(
        &mut self,
        now: Instant,
        client: RemoteClient,
        vthread: Vthread,
        info: SendInfo,
        data: &Payload,
    ) {
        assert!(self.remote.contains(&client));
        let message = Message {
            id: id_of(data.as_slice()),
            client,
            info,
            data: data.as_slice().to_vec(),
            stage: Stage::Waiting,
            unblocked: false,
        };
        assert!(self.messages.insert(vthread, message).is_none());
        let later = within(&mut self.rng, self.habits.work);
        self.plans.push_back((now + later, Plan::Server(vthread)));
    }

    /// The server receives a message, or replies to it.
    fn serve(&mut self, now: Instant, vthread: Vthread, qnet: &mut Qnet, ledger: &mut Ledger) {
        let Some(message) = self.messages.get_mut(&vthread) else {
            return;
        };
        match message.stage {
            Stage::Waiting => {
                ledger.executed(message.id);
                message.stage = Stage::Reading;
                if self.rng.chance(100) {
                    let event = Sigevent {
                        notify: 1,
                        value: 0xe7e7 << 32,
                        ..Sigevent::default()
                    };
                    qnet.server_event(now, message.client, event)
                        .expect("it is there");
                }
                self.read_on(now, vthread, qnet, ledger);
            }
            Stage::Reading => unreachable!("nothing is planned while it reads"),
            Stage::Working => self.reply(now, vthread, qnet),
        }
    }

    /// Reads what is missing of a message, then goes to work.
    fn read_on(&mut self, now: Instant, vthread: Vthread, qnet: &mut Qnet, ledger: &mut Ledger) {
        let Some(message) = self.messages.get_mut(&vthread) else {
            return;
        };
        let have = message.data.len() as u32;
        if have < message.info.length {
            let wanted = 1 + self.rng.below(message.info.length as usize) as u32;
            qnet.server_read(now, vthread, have, wanted)
                .expect("it waits");
            return;
        }
        ledger.check(message.id, 0, &message.data);
        message.stage = Stage::Working;
        let later = within(&mut self.rng, self.habits.work);
        self.plans.push_back((now + later, Plan::Server(vthread)));
    }

    fn server_data(
        &mut self,
        now: Instant,
        vthread: Vthread,
        offset: u32,
        result: Result<Payload, Errno>,
        qnet: &mut Qnet,
        ledger: &mut Ledger,
    ) {
        let message = self.messages.get_mut(&vthread).expect("a live message");
        assert_eq!(offset as usize, message.data.len());
        let data = result.expect("these clients answer, or their messages are abandoned");
        assert!(!data.is_empty());
        message.data.extend_from_slice(data.as_slice());
        self.read_on(now, vthread, qnet, ledger);
    }

    fn reply(&mut self, now: Instant, vthread: Vthread, qnet: &mut Qnet) {
        let message = self.messages.remove(&vthread).expect("a live message");
        let room = message.info.reply_length as usize;
        let reply = reply_to(message.id, self.epoch, room);
        // Some of it in pieces, in any order, and the rest with the reply.
        let split = self.rng.below(room);
        if split > 0 && self.rng.chance(300) {
            let middle = self.rng.below(split);
            for (from, to) in [(middle, split), (0, middle)] {
                let data = Payload::from(&reply[from..to]);
                let written = qnet.server_write(now, vthread, from as u32, data);
                assert_eq!(written, Ok(to - from));
            }
            let rest = Payload::from(&reply[split..]);
            qnet.server_reply(now, vthread, message.id as i32, split as u32, rest)
        } else {
            let data = Payload::from(&reply[..]);
            qnet.server_reply(now, vthread, message.id as i32, 0, data)
        }
        .expect("it waits");
    }

    fn unblock(&mut self, now: Instant, vthread: Vthread, qnet: &mut Qnet) {
        let message = self.messages.get_mut(&vthread).expect("a live message");
        assert!(!message.unblocked, "asked twice");
        message.unblocked = true;
        let received = message.stage != Stage::Waiting;
        if received && self.habits.unblock {
            // The server was told by a pulse, and goes on to its reply.
            return;
        }
        self.messages.remove(&vthread);
        qnet.server_error(now, vthread, Errno::EINTR)
            .expect("it waits");
    }

    /// The server process dies; another may be there in its place at once.
    pub fn restart_server(&mut self, now: Instant, up: bool, epoch: u64, qnet: &mut Qnet) {
        self.messages.clear();
        for client in std::mem::take(&mut self.remote) {
            qnet.server_gone(now, client);
        }
        (self.server_up, self.epoch) = (up, epoch);
    }

    /// The node goes down.
    pub fn forget(self, ledger: &mut Ledger) {
        for thread in self.threads {
            if let Doing::Waiting(call) = thread.doing {
                ledger.forgotten(call.id);
            }
        }
    }

    /// All programs end as they do when they exit: clients detach.
    pub fn detach_all(&mut self, now: Instant, qnet: &mut Qnet) {
        for (conn, _) in std::mem::take(&mut self.conns) {
            qnet.client_detach(now, conn);
        }
        for thread in &mut self.threads {
            thread.conn = None;
        }
    }

    /// Whether no thread waits for anything.
    pub fn at_rest(&self) -> bool {
        let idle = |thread: &Thread| matches!(thread.doing, Doing::Nothing);
        self.threads.iter().all(idle)
    }
}

/// The reply to a message from a server in its `epoch`, which has room for both numbers.
fn reply_to(id: u64, epoch: u64, len: usize) -> Vec<u8> {
    let mut reply = piece(id, 0, len);
    reply[8..16].copy_from_slice(&epoch.to_le_bytes());
    reply
}

fn put(buffer: &mut [u8], offset: u32, data: &Payload) {
    buffer[offset as usize..][..data.len()].copy_from_slice(data.as_slice());
}

/// Some time up to twice as long.
fn within(rng: &mut Rng, span: Duration) -> Duration {
    let nanos = 2 * span.as_nanos() as usize;
    Duration::from_nanos(rng.below(nanos.max(1)) as u64)
}
