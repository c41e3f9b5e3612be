//! Local servers of remote clients: to each channel that a remote client is connected to, Qnet is
//! one more client, which speaks for the remote one.
//!
//! Messages go into the slots of the session, answers are looked for while there are any to come, and
//! the session's doorbell tells of the server's events and of its end. Nothing here waits.

use crate::control::Connection;
use crate::ids::IdMap;
use crate::outlook::Outlook;
use crate::stats::Stats;
use crate::watch::{Cookie, Kind, Watcher};
use io_net_os::eventfd::EventFd;
use io_net_os::task;
use io_net_qnet::time::Instant;
use io_net_qnet::{
    Channel, Errno, Identity, Payload, Pulse, Qnet, RemoteClient, SendInfo, Sigevent, Vthread,
};
use io_net_rendezvous::client::{
    ClientEnd, Connecting, InFlight, Outgoing, Piece, Progress, Reply, Room,
};
use io_net_rendezvous::hello::{self, Hello};
use io_net_rendezvous::layout::Slot;
use io_net_rendezvous::path;
use io_net_rendezvous::pulse::Pulse as LocalPulse;
use io_net_rendezvous::state::Withdrawal;
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

/// How long a channel may take to welcome a client.
const WELCOME: Duration = Duration::from_secs(5);
/// How soon something is tried again that the server is not ready for.
const AGAIN: Duration = Duration::from_millis(5);
/// Pulses that wait for a server which does not take them, for each client.
const PULSES_MAX: usize = 1024;

/// All sessions with local servers.
pub(crate) struct Servers {
    run_dir: PathBuf,
    /// Raised by the servers with each answer.
    bell: EventFd,
    connecting: IdMap<RemoteClient, Attempt>,
    sessions: IdMap<RemoteClient, Session>,
    /// Clients by the number that their descriptors are watched under.
    numbers: IdMap<u32, RemoteClient>,
    /// The session that each virtual thread's message is in.
    threads: IdMap<Vthread, RemoteClient>,
    /// Sessions from which something is to come, or for which something waits.
    busy: Vec<RemoteClient>,
    /// What servers have just been given.
    pub(crate) outlook: Outlook,
}

/// One remote client's session with a local channel.
struct Session {
    end: ClientEnd,
    channel: Channel,
    /// The client.
    from: Identity,
    /// By slot; grows to the highest that was used.
    flights: Vec<Option<Flight>>,
    /// The slots that have one, a bit each.
    flying: u64,
    /// Those of them whose clients want their messages back.
    unblocking: u64,
    /// Messages that found all slots taken.
    waiting: VecDeque<Message>,
    pulses: VecDeque<LocalPulse>,
    is_busy: bool,
}

/// A channel that has not welcomed us yet.
struct Attempt {
    connecting: Connecting,
    until: Instant,
    channel: Channel,
    from: Identity,
}

/// A message for the server.
struct Message {
    vthread: Vthread,
    info: SendInfo,
    /// Its beginning.
    data: Payload,
}

/// A message in a slot.
struct Flight {
    message: Message,
    inflight: InFlight,
    /// What the server wants of the message, while it is on its way here.
    wanted: Option<Piece>,
    /// The client wants it back.
    unblock: bool,
    /// The client is gone: nobody is told what becomes of it.
    abandoned: bool,
}

impl Servers {
    pub(crate) fn new(run_dir: PathBuf, bell: EventFd) -> Self {
        Servers {
            run_dir,
            bell,
            connecting: IdMap::default(),
            sessions: IdMap::default(),
            numbers: IdMap::default(),
            threads: IdMap::default(),
            busy: Vec::new(),
            outlook: Outlook::default(),
        }
    }

    /// The descriptor that is readable when a server has answered.
    pub(crate) fn bell(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell.as_fd())
    }

    /// Looks for answers. Returns how many there were.
    pub(crate) fn poll(&mut self, now: Instant, qnet: &mut Qnet) -> usize {
        let mut done = 0;
        let mut busy = std::mem::take(&mut self.busy);
        busy.retain(|client| {
            let Some(session) = self.sessions.get_mut(client) else {
                return false;
            };
            done += session.poll(now, qnet, &mut self.threads, &mut self.outlook);
            session.is_busy = session.has_work();
            session.is_busy
        });
        busy.append(&mut self.busy);
        self.busy = busy;
        done
    }

    /// The worker is about to sleep, or has woken. Returns true where there is something to do.
    pub(crate) fn arm(&mut self, sleeping: bool) -> bool {
        let busy = self.busy.iter().filter_map(|c| self.sessions.get(c));
        if sleeping {
            return busy.fold(false, |any, session| any | !session.end.want_bell());
        }
        busy.for_each(|session| session.end.silence_bell());
        false
    }

    /// The bell has been heard.
    pub(crate) fn lower_bell(&self) {
        self.bell.lower();
    }

    /// All sessions, for people.
    pub(crate) fn list(&self) -> impl Iterator<Item = Connection> {
        self.sessions.values().map(|session| Connection {
            side: "server",
            nd: session.from.nd,
            pid: session.channel.pid,
            chid: session.channel.chid,
            client: session.from.pid,
            waiting: session.flying.count_ones() as usize + session.waiting.len(),
        })
    }

    fn note_busy(&mut self, client: RemoteClient) {
        if let Some(session) = self.sessions.get_mut(&client)
            && !session.is_busy
        {
            session.is_busy = true;
            self.busy.push(client);
        }
    }
}

// ---- Connections ----

impl Servers {
    /// Connects to a channel for a remote client; the outcome goes to `qnet` now or later.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        client: RemoteClient,
        greeting: &Hello,
        identity: &Identity,
        qnet: &mut Qnet,
        watcher: &Watcher<'_>,
    ) {
        let channel = Channel {
            pid: greeting.pid,
            chid: greeting.chid,
        };
        let path = path::channel(&self.run_dir, channel.pid, channel.chid);
        let started = Connecting::start(&path, greeting, self.bell());
        // Whoever may write in the directory can put a socket under another process's number there.
        let started = started.and_then(|connecting| {
            let server = connecting.server();
            // In another PID namespace the number is another, 0 where this one does not see it.
            let ours = [0, task::user_id()].contains(&server.uid);
            match server.pid {
                pid if pid == channel.pid || pid == 0 => Ok(connecting),
                pid if ours && task::is_called(pid, channel.pid) => Ok(connecting),
                _ => Err(ErrorKind::NotFound.into()),
            }
        });
        match started {
            Ok(connecting) => {
                watcher.watch(
                    connecting.doorbell(),
                    Cookie::new(Kind::Connecting, client.as_u32()),
                );
                let attempt = Attempt {
                    connecting,
                    until: now + WELCOME,
                    channel,
                    from: *identity,
                };
                self.connecting.insert(client, attempt);
                self.numbers.insert(client.as_u32(), client);
            }
            Err(error) => qnet.server_connected(now, client, Err(errno_of(&error))),
        }
    }

    /// A channel that is being connected to may have said something.
    pub(crate) fn handle_welcome(
        &mut self,
        now: Instant,
        number: u32,
        qnet: &mut Qnet,
        watcher: &Watcher<'_>,
    ) {
        let Some(&client) = self.numbers.get(&number) else {
            return;
        };
        let Some(attempt) = self.connecting.get_mut(&client) else {
            return;
        };
        let result = match attempt.connecting.poll() {
            Ok(None) => return,
            Ok(Some(end)) => Ok(end),
            Err(error) => Err(errno_of(&error)),
        };
        watcher.unwatch(attempt.connecting.doorbell());
        let (channel, from) = (attempt.channel, attempt.from);
        self.connecting.remove(&client);
        let result = result.map(|end| {
            let scoid = end.scoid();
            let cookie = Cookie::new(Kind::Server, client.as_u32());
            // It is the same descriptor as before.
            watcher.unwatch(end.doorbell());
            watcher.watch(end.doorbell(), cookie);
            let session = Session::new(end, channel, from);
            self.sessions.insert(client, session);
            scoid
        });
        if result.is_err() {
            self.numbers.remove(&number);
        }
        qnet.server_connected(now, client, result);
    }

    /// Gives up channels that do not say anything. Returns when to look again.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        qnet: &mut Qnet,
        watcher: &Watcher<'_>,
    ) -> Option<Instant> {
        let Servers {
            connecting,
            numbers,
            ..
        } = self;
        connecting.retain(|&client, attempt| {
            let waits = now < attempt.until;
            if !waits {
                numbers.remove(&client.as_u32());
                watcher.unwatch(attempt.connecting.doorbell());
                qnet.server_connected(now, client, Err(Errno::ETIMEDOUT));
            }
            waits
        });
        let stuck = |client| self.sessions.get(client).is_some_and(Session::is_stuck);
        let again = self.busy.iter().any(stuck).then_some(now + AGAIN);
        let welcomes = self.connecting.values().map(|attempt| attempt.until);
        welcomes.chain(again).min()
    }

    /// A server has an event for its client, or is gone.
    pub(crate) fn handle_doorbell(
        &mut self,
        now: Instant,
        number: u32,
        qnet: &mut Qnet,
        watcher: &Watcher<'_>,
    ) {
        let Some(&client) = self.numbers.get(&number) else {
            return;
        };
        loop {
            let Some(session) = self.sessions.get(&client) else {
                return;
            };
            match session.end.next_event() {
                Ok(Some(event)) => {
                    // A client that is gone meanwhile misses nothing.
                    let _ = qnet.server_event(now, client, sigevent(&event));
                }
                Ok(None) => return,
                Err(_) => {
                    // What was replied before the end counts.
                    self.poll_one(now, client, qnet);
                    self.close(client, watcher);
                    qnet.server_gone(now, client);
                    return;
                }
            }
        }
    }

    fn poll_one(&mut self, now: Instant, client: RemoteClient, qnet: &mut Qnet) {
        if let Some(session) = self.sessions.get_mut(&client) {
            session.poll(now, qnet, &mut self.threads, &mut self.outlook);
        }
    }

    /// Ends a client's session, or its attempt to get one.
    pub(crate) fn close(&mut self, client: RemoteClient, watcher: &Watcher<'_>) {
        self.numbers.remove(&client.as_u32());
        if let Some(attempt) = self.connecting.remove(&client) {
            watcher.unwatch(attempt.connecting.doorbell());
        }
        let Some(session) = self.sessions.remove(&client) else {
            return;
        };
        watcher.unwatch(session.end.doorbell());
        let flights = session.flights.iter().flatten();
        let flying = flights.map(|flight| flight.message.vthread);
        let waiting = session.waiting.iter().map(|message| message.vthread);
        for vthread in flying.chain(waiting) {
            self.threads.remove(&vthread);
        }
    }

    /// Ends everything, and tells the other nodes.
    pub(crate) fn clear(&mut self, now: Instant, qnet: &mut Qnet, watcher: &Watcher<'_>) {
        let clients: Vec<RemoteClient> = self.numbers.values().copied().collect();
        for client in clients {
            self.close(client, watcher);
            qnet.server_gone(now, client);
        }
    }
}

// ---- Messages ----

impl Servers {
    /// Puts a remote client's message before the server.
    pub(crate) fn deliver(
        &mut self,
        now: Instant,
        client: RemoteClient,
        vthread: Vthread,
        info: SendInfo,
        data: Payload,
        qnet: &mut Qnet,
    ) {
        let Some(session) = self.sessions.get_mut(&client) else {
            let _ = qnet.server_error(now, vthread, Errno::ESRCH);
            return;
        };
        self.threads.insert(vthread, client);
        session.waiting.push_back(Message {
            vthread,
            info,
            data,
        });
        session.send_waiting(&mut self.outlook);
        self.note_busy(client);
    }

    /// The bytes of a message that the server wanted to read have come, or cannot be had.
    pub(crate) fn data(&mut self, vthread: Vthread, offset: u32, result: Result<Payload, Errno>) {
        let Some(flight) = self.flight(vthread) else {
            return;
        };
        let Some(piece) = flight.1.wanted.take() else {
            return;
        };
        let data = result.unwrap_or_default();
        let parts = [IoSlice::new(data.as_slice())];
        (flight.0).help_message(&flight.1.inflight, piece, &parts, offset.into());
    }

    /// A remote client wants its message back: `abandoned`, where it will not hear what becomes of it.
    pub(crate) fn unblock(
        &mut self,
        now: Instant,
        vthread: Vthread,
        abandoned: bool,
        qnet: &mut Qnet,
    ) {
        let Some(&client) = self.threads.get(&vthread) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&client) else {
            return;
        };
        let waiting = session.waiting.iter().position(|m| m.vthread == vthread);
        if let Some(at) = waiting {
            session.waiting.remove(at);
            self.threads.remove(&vthread);
            if !abandoned {
                let _ = qnet.server_error(now, vthread, Errno::TAKEN_BACK);
            }
            return;
        }
        let Session {
            end,
            flights,
            unblocking,
            ..
        } = session;
        let mut flights = flights.iter_mut().flatten();
        if let Some(flight) = flights.find(|flight| flight.message.vthread == vthread) {
            flight.unblock = true;
            *unblocking |= flight.inflight.slot().bit();
            flight.abandoned |= abandoned;
            // Nothing comes from the client any more.
            if let Some(piece) = flight.wanted.take_if(|_| abandoned) {
                end.help_message(&flight.inflight, piece, &[], 0);
            }
        }
        session.poll(now, qnet, &mut self.threads, &mut self.outlook);
        self.note_busy(client);
    }

    /// Gives the server a remote client's pulse.
    pub(crate) fn pulse(&mut self, client: RemoteClient, pulse: Pulse, stats: &Stats) {
        let Some(session) = self.sessions.get_mut(&client) else {
            return;
        };
        if session.pulses.len() >= PULSES_MAX {
            stats.drop_pulses.add(1);
            return;
        }
        session.pulses.push_back(LocalPulse {
            code: pulse.code,
            priority: pulse.priority.clamp(0, 255) as u8,
            value: pulse.value,
            coid: 0,
        });
        session.send_pulses();
        if !session.pulses.is_empty() {
            self.note_busy(client);
        }
    }

    fn flight(&mut self, vthread: Vthread) -> Option<(&ClientEnd, &mut Flight)> {
        let client = self.threads.get(&vthread)?;
        let Session { end, flights, .. } = self.sessions.get_mut(client)?;
        let mut flights = flights.iter_mut().flatten();
        let flight = flights.find(|flight| flight.message.vthread == vthread)?;
        Some((end, flight))
    }
}

impl Session {
    fn new(end: ClientEnd, channel: Channel, from: Identity) -> Self {
        Session {
            end,
            channel,
            from,
            flights: Vec::new(),
            flying: 0,
            unblocking: 0,
            waiting: VecDeque::new(),
            pulses: VecDeque::new(),
            is_busy: false,
        }
    }

    #[inline]
    fn has_work(&self) -> bool {
        !self.pulses.is_empty() || self.flying != 0
    }

    /// Whether something waits that the server does not say when it can be done.
    fn is_stuck(&self) -> bool {
        !self.pulses.is_empty() || self.unblocking != 0
    }

    /// Puts waiting messages into free slots.
    fn send_waiting(&mut self, outlook: &mut Outlook) {
        while !self.waiting.is_empty() {
            let Some(slot) = self.end.claim() else { return };
            let Some(message) = self.waiting.pop_front() else {
                return;
            };
            let parts = [IoSlice::new(message.data.as_slice())];
            let outgoing = Outgoing {
                message: &parts,
                len: message.info.length.into(),
                room: Room::remote(message.info.reply_length.into()),
                priority: message.info.priority.clamp(0, 255) as u16,
                tid: message.info.tid.cast_unsigned(),
                coid: message.info.coid,
            };
            let inflight = self.end.send(slot, &outgoing);
            outlook.given_to(self.end.server_cpu(slot));
            if self.flights.len() <= slot.index() {
                self.flights.resize_with(slot.index() + 1, || None);
            }
            self.flying |= slot.bit();
            self.flights[slot.index()] = Some(Flight {
                message,
                inflight,
                wanted: None,
                unblock: false,
                abandoned: false,
            });
        }
    }

    fn send_pulses(&mut self) {
        while let Some(&pulse) = self.pulses.front() {
            if self.end.pulse(pulse).is_err() {
                return;
            }
            self.pulses.pop_front();
        }
    }

    /// Takes answers, and tries again what could not be done before. Returns how much there was.
    fn poll(
        &mut self,
        now: Instant,
        qnet: &mut Qnet,
        threads: &mut IdMap<Vthread, RemoteClient>,
        outlook: &mut Outlook,
    ) -> usize {
        self.send_pulses();
        let (mut done, answered) = (0, self.end.take_answered());
        let mut left = (answered | self.unblocking) & self.flying;
        while left != 0 {
            let slot = Slot::new(left.trailing_zeros() as usize);
            left &= !slot.bit();
            done += self.poll_slot(now, slot, qnet, threads);
        }
        if done > 0 {
            self.send_waiting(outlook);
        }
        done
    }

    fn poll_slot(
        &mut self,
        now: Instant,
        slot: Slot,
        qnet: &mut Qnet,
        threads: &mut IdMap<Vthread, RemoteClient>,
    ) -> usize {
        let mut done = 0;
        let Some(Some(flight)) = self.flights.get_mut(slot.index()) else {
            return 0;
        };
        let vthread = flight.message.vthread;
        while let Some(progress) = self.end.look(&mut flight.inflight) {
            done += 1;
            match progress {
                Progress::WantsMessage(piece) => give_message(&self.end, now, flight, piece, qnet),
                Progress::HasReply(piece) => take_piece(&self.end, now, flight, piece, qnet),
                Progress::Reply(reply) => {
                    finish(&self.end, now, flight, &reply, qnet);
                    self.free(slot, threads);
                    return done;
                }
            }
        }
        if flight.unblock {
            match self.end.withdraw(&flight.inflight) {
                Withdrawal::Done => {
                    if !flight.abandoned {
                        let _ = qnet.server_error(now, vthread, Errno::TAKEN_BACK);
                    }
                    self.free(slot, threads);
                    return done + 1;
                }
                // The server has been told, and its reply ends it.
                Withdrawal::Received => {
                    flight.unblock = false;
                    self.unblocking &= !slot.bit();
                }
                Withdrawal::Busy => {}
            }
        }
        done
    }

    fn free(&mut self, slot: Slot, threads: &mut IdMap<Vthread, RemoteClient>) {
        if let Some(flight) = self.flights[slot.index()].take() {
            self.flying &= !slot.bit();
            self.unblocking &= !slot.bit();
            threads.remove(&flight.message.vthread);
            self.end.release(slot);
        }
    }
}

/// The server wants a piece of the message: from what is here, or else from the client's node.
fn give_message(end: &ClientEnd, now: Instant, flight: &mut Flight, piece: Piece, qnet: &mut Qnet) {
    let data = flight.message.data.as_slice();
    let whole = data.len() >= flight.message.info.length as usize;
    let stop = piece.offset.saturating_add(piece.len as u64);
    if whole || stop <= data.len() as u64 || flight.abandoned {
        let parts = [IoSlice::new(data)];
        end.help_message(&flight.inflight, piece, &parts, 0);
        return;
    }
    let offset = u32::try_from(piece.offset).ok();
    let asked = offset.map(|offset| {
        let vthread = flight.message.vthread;
        qnet.server_read(now, vthread, offset, piece.len as u32)
    });
    match asked {
        Some(Ok(())) => flight.wanted = Some(piece),
        _ => end.help_message(&flight.inflight, piece, &[], 0),
    }
}

/// The server writes a piece into the client's reply buffer.
fn take_piece(end: &ClientEnd, now: Instant, flight: &Flight, piece: Piece, qnet: &mut Qnet) {
    let mut data = Payload::zeroed(piece.len);
    let here = Piece { offset: 0, ..piece };
    end.help_reply(
        &flight.inflight,
        here,
        &mut [IoSliceMut::new(data.as_mut_slice())],
    );
    if let (Ok(offset), false) = (u32::try_from(piece.offset), flight.abandoned) {
        // Where the client is gone, the bytes go nowhere, and the message ends by itself.
        let _ = qnet.server_write(now, flight.message.vthread, offset, data);
    }
}

/// The server has replied.
fn finish(end: &ClientEnd, now: Instant, flight: &Flight, reply: &Reply, qnet: &mut Qnet) {
    if flight.abandoned {
        return;
    }
    let vthread = flight.message.vthread;
    // A client that is gone meanwhile misses nothing.
    if reply.error != 0 {
        let _ = qnet.server_error(now, vthread, Errno::new(reply.error));
        return;
    }
    let mut data = Payload::zeroed(reply.rest.len);
    let here = Piece {
        offset: 0,
        ..reply.rest
    };
    let len = end.read_reply(
        &flight.inflight,
        here,
        &mut [IoSliceMut::new(data.as_mut_slice())],
    );
    data.truncate(len);
    let offset = u32::try_from(reply.rest.offset).unwrap_or(u32::MAX);
    let _ = qnet.server_reply(now, vthread, reply.status as i32, offset, data);
}

/// What a channel is told of who wants to connect; `srcnd`: this node, as the client's node calls it.
pub(crate) fn greeting(channel: Channel, identity: &Identity, srcnd: u32) -> Hello {
    Hello {
        magic: hello::MAGIC,
        version: hello::VERSION,
        flags: hello::REPRESENTS | hello::NO_PEER_MEMORY | hello::BELL,
        nd: 0,
        pid: channel.pid,
        chid: channel.chid,
        for_nd: identity.nd,
        for_srcnd: srcnd,
        for_pid: identity.pid,
        for_uid: identity.credentials.euid,
        for_gid: identity.credentials.egid,
        probe_at: 0,
        probe: 0,
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    match (error.raw_os_error(), error.kind()) {
        (_, ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Errno::ESRCH,
        (_, ErrorKind::WouldBlock) => Errno::EAGAIN,
        (_, ErrorKind::PermissionDenied) => Errno::EPERM,
        (Some(number), _) => Errno::new(number),
        _ => Errno::EPROTO,
    }
}

/// An event as it travels: what Qnet's form of it has no field for, the thread, goes above the kind.
fn sigevent(event: &hello::Event) -> Sigevent {
    Sigevent {
        notify: (event.kind & 0xff | event.tid << 8).cast_signed(),
        signo: match event.kind {
            hello::kind::PULSE => event.coid,
            _ => event.signo,
        },
        value: event.value,
        code: event.code as i16,
        priority: event.priority as i16,
    }
}
