//! Local clients of remote channels: their sessions with Qnet, and the messages and pulses that they
//! send to other nodes.
//!
//! A message stays in its client's memory; what of it is to be copied, and where to, the protocol says
//! as it goes. Where that memory cannot be reached, the client helps, which takes turns: each message
//! has a queue of [`Transfer`]s.

use crate::control::Connection;
use crate::ids::IdMap;
use crate::netmgr::{Asker, Netmgr, Outcome, QUESTION_MAX};
use crate::outlook::Outlook;
use crate::signals::Signals;
use crate::staged;
use crate::stats::Stats;
use crate::transfer::{Progress, Transfer};
use crate::watch::{Cookie, Kind, Watcher};
use io_net_proto::netmgr::{Answer, Question, subtype};
use io_net_qnet::time::Instant;
use io_net_qnet::{
    ClientConn, ClientSend, Credentials, Errno, Identity, Nd, Payload, Pulse, Qnet, SendInfo,
    Sigevent,
};
use io_net_rendezvous::hello::Event;
use io_net_rendezvous::inbox::{Inbox, Item, Notice};
use io_net_rendezvous::layout::{INLINE, SLOTS, Slot, WINDOW};
use io_net_rendezvous::server::{AccessError, Identity as Local, Message, ServerEnd};
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Pulses, of all clients, that are taken before one that has gone is forgotten.
const LAST_PULSES_MAX: usize = 4096;

/// All sessions of local clients.
pub(crate) struct Clients {
    pub(crate) inbox: Inbox,
    sessions: IdMap<u32, Session>,
    next_number: u32,
    by_conn: IdMap<ClientConn, u32>,
    sends: IdMap<ClientSend, Sending>,
    /// Questions to the network manager, by number.
    questions: IdMap<u64, (u32, Message)>,
    next_question: u64,
    /// Messages whose clients have been asked for help.
    helping: Vec<ClientSend>,
    signals: Signals,
    /// What clients have just been given.
    pub(crate) outlook: Outlook,
}

/// One process's session.
struct Session {
    end: Arc<ServerEnd>,
    to: To,
    /// What is under way in each slot.
    slots: Vec<Option<Under>>,
}

/// Where a session leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// To a channel of another node.
    Node(ClientConn),
    /// To this node's network manager.
    Manager,
}

#[derive(Clone, Copy)]
enum Under {
    Send(ClientSend),
    Question(u64),
}

/// A message on its way.
struct Sending {
    session: u32,
    message: Message,
    transfers: VecDeque<Transfer>,
}

impl Clients {
    pub(crate) fn new(inbox: Inbox) -> Self {
        Clients {
            inbox,
            sessions: IdMap::default(),
            next_number: 1,
            by_conn: IdMap::default(),
            sends: IdMap::default(),
            questions: IdMap::default(),
            next_question: 0,
            helping: Vec::new(),
            signals: Signals::default(),
            outlook: Outlook::default(),
        }
    }

    /// Takes what clients have sent, up to `budget` of it. Returns how much that was.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        budget: usize,
        qnet: &mut Qnet,
        netmgr: &mut Netmgr,
        stats: &Stats,
    ) -> usize {
        let mut done = self.go_on(now, qnet);
        while done < budget {
            let Some(item) = self.inbox.poll() else { break };
            done += 1;
            self.take(now, item, qnet, netmgr, stats);
        }
        done
    }

    #[inline]
    fn take(
        &mut self,
        now: Instant,
        item: Item,
        qnet: &mut Qnet,
        netmgr: &mut Netmgr,
        stats: &Stats,
    ) {
        match item {
            Item::Message(end, message) => {
                self.take_message(now, &end, message, qnet, netmgr, stats);
            }
            Item::Pulse(Some(end), notice) => self.take_pulse(now, &end, notice, qnet, stats),
            Item::Pulse(None, _) => {}
            Item::Unblock(end, slot) => self.unblock(now, &end, slot, qnet, netmgr, stats),
        }
    }

    /// The worker is about to sleep, or has woken. Returns true where there is something to do.
    pub(crate) fn arm(&mut self, sleeping: bool) -> bool {
        if !sleeping {
            self.inbox.disarm();
            return false;
        }
        !self.inbox.arm_bells() || self.has_help()
    }

    /// A port's bell has been heard.
    pub(crate) fn lower_bell(&self, number: u32) {
        if let Some(port) = self.inbox.ports().nth(number as usize) {
            port.lower();
        }
    }

    fn has_help(&self) -> bool {
        self.helping.iter().any(|send| {
            let sending = self.sends.get(send);
            sending.is_some_and(|sending| {
                let session = self.sessions.get(&sending.session);
                session.is_some_and(|s| s.end.helped(&sending.message) != Ok(None))
            })
        })
    }

    fn take_message(
        &mut self,
        now: Instant,
        end: &Arc<ServerEnd>,
        message: Message,
        qnet: &mut Qnet,
        netmgr: &mut Netmgr,
        stats: &Stats,
    ) {
        let number = end.scoid().cast_unsigned();
        let to = self.sessions.get(&number).map(|session| session.to);
        let refused = match to {
            Some(To::Node(conn)) => self.send(now, number, conn, message, qnet, stats),
            Some(To::Manager) => self.question(now, number, message, qnet, netmgr),
            None => Err(Errno::ESRCH),
        };
        if let Err(errno) = refused {
            // A client that has gone meanwhile misses nothing.
            let _ = end.reply(&message, 0, errno.get(), &[]);
        }
    }

    /// Sends a message to another node.
    fn send(
        &mut self,
        now: Instant,
        number: u32,
        conn: ClientConn,
        message: Message,
        qnet: &mut Qnet,
        stats: &Stats,
    ) -> Result<(), Errno> {
        let session = self.sessions.get_mut(&number).ok_or(Errno::ESRCH)?;
        let length = u32::try_from(message.len).map_err(|_| Errno::EMSGSIZE)?;
        let data = match staged::payload(&session.end, &message) {
            Ok(data) => data,
            Err(AccessError::Help) => Payload::default(),
            Err(AccessError::Gone) => return Ok(()),
            Err(AccessError::Fault) => return Err(Errno::EFAULT),
        };
        let info = SendInfo {
            tid: message.tid.cast_signed(),
            coid: message.coid,
            priority: message.priority as i16,
            length,
            reply_length: u32::try_from(message.room).unwrap_or(u32::MAX),
            ..SendInfo::default()
        };
        let send = qnet.client_send(now, conn, info, data)?;
        stats.kif_outbound_msgs.add(1);
        session.slots[message.slot.index()] = Some(Under::Send(send));
        let sending = Sending {
            session: number,
            message,
            transfers: VecDeque::new(),
        };
        self.sends.insert(send, sending);
        Ok(())
    }

    /// Asks this node's network manager.
    fn question(
        &mut self,
        now: Instant,
        number: u32,
        message: Message,
        qnet: &mut Qnet,
        netmgr: &mut Netmgr,
    ) -> Result<(), Errno> {
        let session = self.sessions.get_mut(&number).ok_or(Errno::ESRCH)?;
        if message.len > QUESTION_MAX as u64 {
            return Err(Errno::EMSGSIZE);
        }
        let mut text = vec![0; message.len as usize];
        let parts = &mut [IoSliceMut::new(&mut text)];
        // What is no longer than this lies in the slot.
        let got = session.end.read(&message, 0, parts);
        text.truncate(got.map_err(|_| Errno::EFAULT)?);
        if let Some((question, text)) = Question::parse(&text)
            && question.subtype == subtype::SIGNAL
        {
            let from = identity(&session.end.identity());
            let nd = Nd(question.nd);
            self.signals.send(now, nd, from, text, qnet)?;
            // A client that has gone meanwhile misses nothing.
            let answer = Answer::default();
            let _ = session
                .end
                .reply(&message, 0, 0, &[IoSlice::new(answer.as_bytes())]);
            return Ok(());
        }
        let question = self.next_question;
        self.next_question += 1;
        session.slots[message.slot.index()] = Some(Under::Question(question));
        self.questions.insert(question, (number, message));
        netmgr.ask(now, Asker::Local(question), &text, qnet);
        Ok(())
    }

    /// The network manager has answered.
    pub(crate) fn answer(&mut self, question: u64, outcome: &Outcome) {
        let Some((number, message)) = self.questions.remove(&question) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        session.slots[message.slot.index()] = None;
        // A client that has gone meanwhile misses nothing.
        let _ = match outcome {
            Ok(bytes) => session.end.reply(&message, 0, 0, &[IoSlice::new(bytes)]),
            Err(errno) => session.end.reply(&message, 0, errno.get(), &[]),
        };
    }

    fn take_pulse(
        &mut self,
        now: Instant,
        end: &ServerEnd,
        notice: Notice,
        qnet: &mut Qnet,
        stats: &Stats,
    ) {
        let session = self.sessions.get(&end.scoid().cast_unsigned());
        let Some(To::Node(conn)) = session.map(|session| session.to) else {
            return;
        };
        let pulse = Pulse {
            code: notice.code,
            priority: notice.priority.into(),
            value: notice.value,
        };
        match qnet.client_pulse(now, conn, 0, 0, pulse) {
            Ok(()) => stats.kif_outbound_pulses.add(1),
            Err(_) => stats.drop_pulses.add(1),
        }
    }

    /// A client wants the message in this slot to be ended.
    fn unblock(
        &mut self,
        now: Instant,
        end: &ServerEnd,
        slot: Slot,
        qnet: &mut Qnet,
        netmgr: &mut Netmgr,
        stats: &Stats,
    ) {
        let session = self.sessions.get(&end.scoid().cast_unsigned());
        stats.kif_client_unblock.add(1);
        match session.and_then(|session| session.slots[slot.index()]) {
            Some(Under::Send(send)) => qnet.client_unblock(now, send),
            Some(Under::Question(question)) => {
                netmgr.forget(now, Asker::Local(question), qnet);
                self.answer(question, &Err(Errno::TAKEN_BACK));
            }
            None => {}
        }
    }
}

// ---- What the protocol asks for ----

impl Clients {
    /// Copies something from or to the memory of the client that sends `send`, after what is under way there.
    pub(crate) fn transfer(
        &mut self,
        now: Instant,
        send: ClientSend,
        mut transfer: Transfer,
        qnet: &mut Qnet,
    ) {
        let Some(sending) = self.sends.get_mut(&send) else {
            return;
        };
        if !sending.transfers.is_empty() {
            sending.transfers.push_back(transfer);
            return;
        }
        if !self.step(now, send, &mut transfer, qnet)
            && let Some(sending) = self.sends.get_mut(&send)
        {
            sending.transfers.push_back(transfer);
            self.helping.push(send);
        }
    }

    /// Goes on where clients have helped. Returns how many did.
    fn go_on(&mut self, now: Instant, qnet: &mut Qnet) -> usize {
        if self.helping.is_empty() {
            return 0;
        }
        let before = self.helping.len();
        let mut helping = std::mem::take(&mut self.helping);
        helping.retain(|&send| !self.advance(now, send, qnet));
        let done = before - helping.len();
        helping.append(&mut self.helping);
        self.helping = helping;
        done
    }

    /// Does the transfers of a message, as far as that goes without help. Returns whether all are done.
    fn advance(&mut self, now: Instant, send: ClientSend, qnet: &mut Qnet) -> bool {
        loop {
            let sending = self.sends.get_mut(&send);
            let next = sending.and_then(|sending| sending.transfers.pop_front());
            let Some(mut transfer) = next else {
                return true;
            };
            if !self.step(now, send, &mut transfer, qnet) {
                if let Some(sending) = self.sends.get_mut(&send) {
                    sending.transfers.push_front(transfer);
                }
                return false;
            }
        }
    }

    /// Does one transfer, as far as that goes without help. Returns whether it is done.
    #[inline]
    fn step(
        &mut self,
        now: Instant,
        send: ClientSend,
        transfer: &mut Transfer,
        qnet: &mut Qnet,
    ) -> bool {
        let Some(sending) = self.sends.get_mut(&send) else {
            return true;
        };
        let Some(session) = self.sessions.get_mut(&sending.session) else {
            return true;
        };
        match transfer.advance(&session.end, &mut sending.message) {
            Progress::NeedsHelp => return false,
            Progress::Read(result) => qnet.client_data(now, send, result),
            Progress::Written => {}
            Progress::Finished => {
                self.outlook.given_to(sending.message.cpu.into());
                session.slots[sending.message.slot.index()] = None;
                self.sends.remove(&send);
            }
        }
        true
    }

    /// Delivers a server's event to a client.
    pub(crate) fn event(&mut self, conn: ClientConn, event: &Sigevent, stats: &Stats) {
        let number = self.by_conn.get(&conn);
        let Some(session) = number.and_then(|number| self.sessions.get(number)) else {
            return;
        };
        if session.end.deliver(&local_event(event)).is_err() {
            stats.drop_events.add(1);
        }
    }

    /// The channel behind a connection is gone: ends its session, which tells the client.
    pub(crate) fn dead(
        &mut self,
        now: Instant,
        conn: ClientConn,
        qnet: &mut Qnet,
        watcher: &Watcher<'_>,
    ) {
        self.signals.dead(conn);
        if let Some(&number) = self.by_conn.get(&conn) {
            self.drop_session(number, watcher);
        }
        qnet.client_detach(now, conn);
    }
}

// ---- Sessions ----

impl Clients {
    /// A number for a new session.
    pub(crate) fn new_number(&mut self) -> u32 {
        loop {
            let number = self.next_number;
            self.next_number = self.next_number % 0x7fff_ffff + 1;
            if !self.sessions.contains_key(&number) {
                return number;
            }
        }
    }

    /// Takes a new session in, under its number.
    pub(crate) fn admit(
        &mut self,
        number: u32,
        end: Arc<ServerEnd>,
        to: To,
        watcher: &Watcher<'_>,
    ) {
        watcher.watch(end.doorbell(), Cookie::new(Kind::Client, number));
        if let To::Node(conn) = to {
            self.by_conn.insert(conn, number);
        }
        let slots = (0..SLOTS).map(|_| None).collect();
        self.sessions.insert(number, Session { end, to, slots });
    }

    /// A client has hung up: it is dead, or has detached.
    pub(crate) fn hung_up(
        &mut self,
        now: Instant,
        number: u32,
        qnet: &mut Qnet,
        netmgr: &mut Netmgr,
        watcher: &Watcher<'_>,
    ) {
        let Some(session) = self.sessions.get(&number) else {
            return;
        };
        // Pulses count also where their sender has gone.
        let end = session.end.clone();
        self.inbox.collect(&end);
        for _ in 0..LAST_PULSES_MAX {
            let Some(item) = self.inbox.poll_pulse() else {
                break;
            };
            self.take(now, item, qnet, netmgr, watcher.stats);
        }
        let gone = self.questions.iter().filter(|(_, (of, _))| *of == number);
        let gone: Vec<u64> = gone.map(|(&question, _)| question).collect();
        for question in gone {
            self.questions.remove(&question);
            netmgr.forget(now, Asker::Local(question), qnet);
        }
        if let Some(To::Node(conn)) = self.drop_session(number, watcher) {
            qnet.client_detach(now, conn);
        }
    }

    /// Forgets a session. Returns where it led.
    fn drop_session(&mut self, number: u32, watcher: &Watcher<'_>) -> Option<To> {
        let session = self.sessions.remove(&number)?;
        session.end.die();
        self.inbox.remove(&session.end);
        watcher.unwatch(session.end.doorbell());
        if let To::Node(conn) = session.to {
            self.by_conn.remove(&conn);
        }
        for under in session.slots.into_iter().flatten() {
            if let Under::Send(send) = under {
                self.sends.remove(&send);
            }
        }
        Some(session.to)
    }

    /// All sessions with other nodes' channels, for people.
    pub(crate) fn list(&self) -> impl Iterator<Item = Connection> {
        let remote = self.sessions.values().filter(|s| s.to != To::Manager);
        remote.map(|session| {
            let (nd, pid, chid) = session.end.target();
            Connection {
                side: "client",
                nd,
                pid,
                chid,
                client: session.end.identity().pid,
                waiting: session.slots.iter().flatten().count(),
            }
        })
    }

    /// Ends all sessions, and tells the other nodes.
    pub(crate) fn clear(&mut self, now: Instant, qnet: &mut Qnet, watcher: &Watcher<'_>) {
        let numbers: Vec<u32> = self.sessions.keys().copied().collect();
        for number in numbers {
            if let Some(To::Node(conn)) = self.drop_session(number, watcher) {
                qnet.client_detach(now, conn);
            }
        }
    }
}

/// A program here, as other nodes are told of it.
pub(crate) fn identity(who: &Local) -> Identity {
    Identity {
        nd: who.nd,
        pid: who.pid,
        credentials: Credentials::of(who.uid, who.gid),
        ..Identity::default()
    }
}

/// An event as a session carries it: see [`crate::servers`] for the way there.
fn local_event(event: &Sigevent) -> Event {
    let kind = event.notify.cast_unsigned() & 0xff;
    let mut local = Event {
        kind,
        signo: event.signo,
        code: event.code.into(),
        coid: 0,
        priority: event.priority.into(),
        tid: event.notify.cast_unsigned() >> 8,
        value: event.value,
    };
    if kind == io_net_rendezvous::hello::kind::PULSE {
        (local.coid, local.signo) = (event.signo, 0);
    }
    local
}

const _: () = assert!(QUESTION_MAX <= INLINE && INLINE < WINDOW);
