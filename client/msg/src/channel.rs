//! A channel: where messages and pulses are received.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use io_net_os::epoll::{self, Epoll};
use io_net_os::eventfd;
use io_net_os::fork::{self, PrivateFd};
use io_net_os::futex::Sleep;
use io_net_os::{fd, task};
use io_net_rendezvous::greet::{Greeting, Listener};
use io_net_rendezvous::inbox::{Inbox, Item, Notice};
use io_net_rendezvous::path;
use io_net_rendezvous::port::Port;
use io_net_rendezvous::server::ServerEnd;

use crate::error::{Error, Result};
use crate::flags;
use crate::process::{Process, lock};
use crate::pulse::{self, Pulse};
use crate::received::{Received, rcvid};
use crate::spin::Spin;
use crate::timeout::RECEIVE;
use crate::wait::{Deadline, Left};
use crate::{thread, transfer};

/// A channel of this process, destroyed when dropped.
///
/// Any number of threads may receive on it; each message goes to one of them.
#[derive(Debug)]
pub struct Channel {
    core: Arc<Core>,
    owns: bool,
}

/// What a receive brings.
#[derive(Debug)]
pub enum Incoming {
    /// A message; its sender waits for the reply.
    Message(Received),
    /// A pulse.
    Pulse(Pulse),
}

/// What a chid stands for.
#[derive(Debug)]
pub(crate) struct Core {
    chid: i32,
    flags: u32,
    forks: u32,
    inbox: Mutex<Inbox>,
    /// Threads that sleep. Changed under the inbox's lock.
    sleepers: AtomicU32,
    closed: AtomicBool,
    spin: Spin,
    /// The processor that the last message came from.
    cpu: AtomicU32,
    /// The last message came from another node.
    remote: AtomicBool,
    listener: Mutex<Option<Listener>>,
    /// What the keeper calls the listener.
    token: AtomicU64,
    notifier: OnceLock<Notifier>,
    /// The user who made it.
    uid: u32,
    /// A number that no other channel has or had; from 1.
    key: u64,
    /// Threads that have received here.
    receivers: Mutex<Vec<Weak<thread::Shared>>>,
}

/// The channel's descriptor: an epoll instance with the ports' bells and a bell of its own.
#[derive(Debug)]
struct Notifier {
    epoll: PrivateFd,
    bell: PrivateFd,
}

/// What a receiver wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Anything,
    Pulses,
}

/// The key of the next channel.
static KEYS: AtomicU64 = AtomicU64::new(1);

const CHANNEL_FLAGS: u32 = flags::CHF_FIXED_PRIORITY
    | flags::CHF_UNBLOCK
    | flags::CHF_THREAD_DEATH
    | flags::CHF_DISCONNECT
    | flags::CHF_SENDER_LEN
    | flags::CHF_COID_DISCONNECT
    | flags::CHF_REPLY_LEN;

impl Channel {
    /// `ChannelCreate`. `flags` are [`crate::flags`]' `CHF_`.
    ///
    /// # Errors
    /// EINVAL for flags that there are not, EPERM for Qnet's; EAGAIN, EMFILE, ENOMEM; EACCES where
    /// the directory of channels cannot be written.
    pub fn create(flags: u32) -> Result<Self> {
        let core = Core::create(flags)?;
        Ok(Self { core, owns: true })
    }

    /// Its number in this process, from 1.
    #[must_use]
    pub fn chid(&self) -> i32 {
        self.core.chid
    }

    /// Gives it to the table of handles: it lives until [`crate::handle::channel_destroy`].
    #[must_use]
    pub fn into_chid(mut self) -> i32 {
        self.owns = false;
        self.core.chid
    }

    /// `MsgReceive`: waits for a message or a pulse. The message's first bytes, as many as fit, are
    /// in `buf` ([`Received::len`]); the rest is there for [`Received::read`].
    ///
    /// # Errors
    /// ETIMEDOUT ([`crate::timeout`]), EINTR, ESRCH when the channel is destroyed meanwhile.
    #[inline]
    pub fn receive(&self, buf: &mut [u8]) -> Result<Incoming> {
        self.receive_v(&mut [IoSliceMut::new(buf)])
    }

    /// `MsgReceivev`.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    #[inline]
    pub fn receive_v(&self, parts: &mut [IoSliceMut<'_>]) -> Result<Incoming> {
        self.core.receive(parts)
    }

    /// What is there already, without waiting; None for nothing.
    ///
    /// # Errors
    /// ESRCH when the channel is destroyed.
    pub fn try_receive(&self, buf: &mut [u8]) -> Result<Option<Incoming>> {
        self.core.try_receive(&mut [IoSliceMut::new(buf)])
    }

    /// `MsgReceivePulse`: waits for a pulse; messages stay queued.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive_pulse(&self) -> Result<Pulse> {
        self.core.receive_pulse()
    }

    /// A descriptor that is readable while [`Channel::try_receive`] may find something: for epoll,
    /// poll and select, level- or edge-triggered. Who is told by it receives with `try_receive`
    /// until None. It is made when first asked for and closed with the channel.
    ///
    /// # Errors
    /// EMFILE.
    pub fn fd(&self) -> Result<RawFd> {
        self.core.fd()
    }

    /// A copy of [`Channel::fd`], for runtimes that own what they watch, such as tokio's `AsyncFd`.
    ///
    /// # Errors
    /// EMFILE.
    pub fn descriptor(&self) -> Result<OwnedFd> {
        self.core.fd()?;
        let fd = self.core.notifier.get().and_then(|n| n.epoll.get());
        Ok(fd.ok_or(Error::SRCH)?.try_clone_to_owned()?)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if self.owns {
            self.core.destroy();
        }
    }
}

// ---- Receiving ----

impl Core {
    /// Waits for a message or a pulse.
    #[inline]
    pub(crate) fn receive(self: &Arc<Self>, parts: &mut [IoSliceMut<'_>]) -> Result<Incoming> {
        let deadline = Deadline::take();
        loop {
            let item = self.wait(Want::Anything, &deadline)?;
            if let Some(incoming) = self.deliver(item, parts) {
                return Ok(incoming);
            }
        }
    }

    /// Waits for a pulse.
    pub(crate) fn receive_pulse(self: &Arc<Self>) -> Result<Pulse> {
        let deadline = Deadline::take();
        loop {
            let item = self.wait(Want::Pulses, &deadline)?;
            if let Some(Incoming::Pulse(pulse)) = self.deliver(item, &mut []) {
                return Ok(pulse);
            }
        }
    }

    /// What is there.
    pub(crate) fn try_receive(
        self: &Arc<Self>,
        parts: &mut [IoSliceMut<'_>],
    ) -> Result<Option<Incoming>> {
        loop {
            let mut inbox = self.open()?;
            let item = self.next(&mut inbox, Want::Anything);
            let item = item.or_else(|| self.arm_descriptor(&mut inbox));
            let Some(item) = item else { return Ok(None) };
            self.leave(&mut inbox);
            drop(inbox);
            if let Some(incoming) = self.deliver(item, parts) {
                return Ok(Some(incoming));
            }
        }
    }

    /// Waits for what is next.
    #[inline]
    fn wait(&self, want: Want, deadline: &Deadline) -> Result<Item> {
        let mut inbox = self.open()?;
        loop {
            let mut item = self.next(&mut inbox, want);
            if item.is_none() && deadline.left(RECEIVE) != Left::Nothing {
                let cpu = self.cpu.load(Ordering::Relaxed);
                let next = || self.next(&mut inbox, want);
                item = match self.remote.load(Ordering::Relaxed) {
                    true => self.spin.run_aside(cpu, next),
                    false => self.spin.run(cpu, 1, next),
                };
            }
            if let Some(item) = item {
                self.leave(&mut inbox);
                return Ok(item);
            }
            let time = match deadline.left(RECEIVE) {
                Left::Nothing => {
                    let late = match want {
                        Want::Anything => self.arm_descriptor(&mut inbox),
                        Want::Pulses => None,
                    };
                    self.leave(&mut inbox);
                    return late.ok_or_else(|| deadline.error());
                }
                Left::Time(time) => Some(time),
                Left::Forever => None,
            };
            thread::begin_wait();
            let sleeper = match want {
                Want::Anything => inbox.arm(),
                Want::Pulses => {
                    // Whom a client woke for a message may be this thread, which leaves it.
                    if inbox.has_more() && self.sleepers.load(Ordering::Relaxed) > 0 {
                        inbox.rouse_all();
                    }
                    inbox.arm_for_pulses()
                }
            };
            // Who is asked to end its wait from here on is woken: that takes the inbox's lock.
            let Some(sleeper) = sleeper.filter(|_| !thread::is_asked()) else {
                if thread::end_wait() {
                    self.leave(&mut inbox);
                    return Err(Error::TIMED_OUT);
                }
                continue;
            };
            self.sleepers.fetch_add(1, Ordering::Relaxed);
            drop(inbox);
            let slept = sleeper.sleep(time);
            let opened = self.open();
            self.sleepers.fetch_sub(1, Ordering::Relaxed);
            inbox = opened?;
            let asked = thread::end_wait();
            if asked || slept == Sleep::Interrupted {
                self.leave(&mut inbox);
                return Err(if asked {
                    Error::TIMED_OUT
                } else {
                    Error::INTERRUPTED
                });
            }
        }
    }

    /// Nothing is there: the descriptor stays silent until there is something; unless there is by
    /// now.
    fn arm_descriptor(&self, inbox: &mut Inbox) -> Option<Item> {
        let notifier = self.notifier.get()?;
        notifier.lower();
        inbox.lower_bells();
        if inbox.arm_bells() {
            return None;
        }
        notifier.raise();
        self.next(inbox, Want::Anything)
    }

    /// The next thing to receive, noted as received.
    #[inline]
    fn next(&self, inbox: &mut Inbox, want: Want) -> Option<Item> {
        let item = match want {
            Want::Anything => inbox.poll(),
            Want::Pulses => inbox.poll_pulse(),
        };
        if let Some(Item::Message(end, message)) = &item {
            end.records().put(*message);
            let remote = end.identity().nd != 0;
            self.cpu.store(message.cpu.into(), Ordering::Relaxed);
            self.remote.store(remote, Ordering::Relaxed);
            // Its client's next message will be looked for there.
            if self.sleepers.load(Ordering::Relaxed) == 0
                && (remote || self.spin.is_worth_it(message.cpu.into()))
            {
                inbox.watch(end, message.slot);
            }
        }
        item
    }

    /// The calling thread receives no more for now: others that sleep must be woken by clients.
    #[inline]
    fn leave(&self, inbox: &mut Inbox) {
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            inbox.pass_on();
        }
    }

    /// The inbox, of a channel that is one.
    #[inline]
    fn open(&self) -> Result<MutexGuard<'_, Inbox>> {
        if self.forks != fork::count() {
            return Err(Error::SRCH);
        }
        let inbox = lock(&self.inbox);
        match self.closed.load(Ordering::Relaxed) {
            true => Err(Error::SRCH),
            false => Ok(inbox),
        }
    }

    /// Turns an item into what the program gets; None if it has come to nothing meanwhile.
    #[inline]
    fn deliver(self: &Arc<Self>, item: Item, parts: &mut [IoSliceMut<'_>]) -> Option<Incoming> {
        match item {
            Item::Message(end, mut message) => {
                match transfer::read(&end, &message, 0, parts) {
                    Ok(len) => message.received = len as u64,
                    Err(error) => {
                        // Who cannot be read from is told; who has gone is not.
                        if end.records().remove(&message) {
                            let _ = end.reply(&message, 0, error.errno(), &[]);
                        }
                        return None;
                    }
                }
                self.inherit(self.granted(&end, message.priority));
                Some(Incoming::Message(Received::new(end, message)))
            }
            Item::Pulse(_, notice) => {
                self.inherit(notice.priority.into());
                Some(Incoming::Pulse(Pulse {
                    code: notice.code,
                    value: notice.value,
                    priority: notice.priority.into(),
                    scoid: notice.scoid,
                }))
            }
            Item::Unblock(end, slot) => {
                let message = end.records().get(slot)?;
                end.records().ask_unblock(slot);
                Some(Incoming::Pulse(Pulse {
                    code: pulse::CODE_UNBLOCK,
                    value: rcvid(&end, &message).cast_unsigned().into(),
                    priority: (message.priority & 0xff).cast_signed(),
                    scoid: end.scoid(),
                }))
            }
        }
    }

    /// The calling thread has received something of this priority.
    #[inline]
    fn inherit(&self, priority: u16) {
        if self.flags & flags::CHF_FIXED_PRIORITY == 0 {
            thread::receive(priority, self.key, &self.receivers);
        }
    }

    /// What a client's priority is worth here. A realtime one that the kernel is to give to this
    /// process's threads counts from root and from this process's own user only.
    #[inline]
    fn granted(&self, end: &ServerEnd, priority: u16) -> u16 {
        match priority & thread::REALTIME {
            0 => priority,
            _ if [0, self.uid].contains(&end.identity().uid) => priority,
            _ => priority & !thread::REALTIME,
        }
    }

    /// A message of this priority waits to be received.
    pub(crate) fn urge(&self, end: &ServerEnd, priority: u16) {
        let priority = self.granted(end, priority);
        if self.flags & flags::CHF_FIXED_PRIORITY == 0 {
            thread::urge(self.key, &self.receivers, priority);
        }
    }

    /// Makes all who sleep here look again.
    pub(crate) fn nudge(&self) {
        if let Ok(inbox) = self.open() {
            inbox.rouse_all();
        }
    }

    /// Puts in a pulse of the library's.
    pub(crate) fn post(&self, code: i8, priority: u8, value: u64, scoid: i32) {
        let Ok(mut inbox) = self.open() else { return };
        inbox.post(Notice {
            code,
            priority,
            value,
            scoid,
        });
        inbox.rouse();
    }
}

// ---- The channel's descriptor ----

impl Core {
    pub(crate) fn fd(&self) -> Result<RawFd> {
        let inbox = self.open()?;
        if self.notifier.get().is_none() {
            let notifier = Notifier::new()?;
            for port in inbox.ports() {
                notifier.watch(port)?;
            }
            // Something may be there already: the first receive will tell.
            notifier.raise();
            // The inbox's lock is held, so nobody else sets it.
            let _ = self.notifier.set(notifier);
        }
        let fd = self.notifier.get().and_then(|n| n.epoll.get());
        fd.map(|fd| fd.as_raw_fd()).ok_or(Error::SRCH)
    }
}

impl Notifier {
    fn new() -> Result<Self> {
        let (epoll, bell) = (Epoll::new()?, eventfd::EventFd::new()?);
        epoll.add(bell.as_fd(), epoll::IN, 0)?;
        Ok(Self {
            epoll: PrivateFd::new(epoll.into()),
            bell: PrivateFd::new(bell.into_fd()),
        })
    }

    /// From now on readable with this port's bell.
    fn watch(&self, port: &Port) -> Result<()> {
        let (Some(epoll), Some(bell)) = (self.epoll.get(), port.bell()) else {
            return Err(Error::SRCH);
        };
        let event = epoll::Event::new(epoll::IN, 0);
        epoll::ctl(
            epoll.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            bell.as_raw_fd(),
            event,
        )?;
        Ok(())
    }

    fn raise(&self) {
        if let Some(bell) = self.bell.get() {
            eventfd::raise(bell);
        }
    }

    fn lower(&self) {
        if let Some(bell) = self.bell.get() {
            eventfd::lower(bell);
        }
    }
}

// ---- Clients come and go (on the keeper's thread) ----

impl Core {
    /// Makes a session for a client.
    pub(crate) fn welcome(&self, greeting: Greeting) -> Result<Arc<ServerEnd>> {
        let (_, pid, chid) = greeting.target();
        let own = task::process_id().cast_signed();
        // Another number may be what another PID namespace calls this process.
        if chid != self.chid || pid <= 0 || own <= 0 {
            greeting.refuse(libc::ESRCH);
            return Err(Error::SRCH);
        }
        let Ok((seat, is_new_port)) = self.open().and_then(|mut inbox| {
            let reserved = inbox.reserve(greeting.owner());
            reserved.map_err(Error)
        }) else {
            greeting.refuse(libc::EAGAIN);
            return Err(Error::AGAIN);
        };
        let unblock = self.flags & flags::CHF_UNBLOCK != 0;
        let prepared = match greeting.accept(&seat, unblock) {
            Ok(prepared) => prepared,
            Err(errno) => {
                lock(&self.inbox).cancel(&seat);
                return Err(Error(errno));
            }
        };
        let end = prepared.end.clone();
        if let Err(error) = Process::get().add_client(&end) {
            lock(&self.inbox).cancel(&seat);
            prepared.refuse(error.errno());
            return Err(error);
        }
        // In this order: what the client sends once it is welcome finds its session.
        let admitted = self.admit(&end, is_new_port);
        let welcomed = admitted.and_then(|()| prepared.welcome().map_err(Error::from));
        if let Err(error) = welcomed {
            prepared.refuse(error.errno());
            self.gone(&end);
            return Err(error);
        }
        Ok(end)
    }

    fn admit(&self, end: &Arc<ServerEnd>, is_new_port: bool) -> Result<()> {
        let mut inbox = lock(&self.inbox);
        inbox.admit(end.clone());
        if !is_new_port {
            return Ok(());
        }
        // Who sleeps does not watch it yet.
        inbox.rouse_all();
        match self.notifier.get() {
            Some(notifier) => notifier.watch(end.port()),
            None => Ok(()),
        }
    }

    /// A client's process has ended, or has detached its last connection.
    pub(crate) fn gone(&self, end: &Arc<ServerEnd>) {
        end.die();
        let Ok(mut inbox) = self.open() else { return };
        inbox.collect(end);
        inbox.remove(end);
        if self.flags & flags::CHF_UNBLOCK != 0 {
            for message in end.records().all() {
                inbox.post(Notice {
                    code: pulse::CODE_UNBLOCK,
                    priority: message.priority as u8,
                    value: rcvid(end, &message).cast_unsigned().into(),
                    scoid: end.scoid(),
                });
            }
        }
        if self.flags & flags::CHF_DISCONNECT != 0 {
            inbox.post(Notice {
                code: pulse::CODE_DISCONNECT,
                priority: thread::DEFAULT as u8,
                value: 0,
                scoid: end.scoid(),
            });
        } else {
            // Its number may be another's by the time that somebody asks.
            Process::get().remove_client(end.scoid(), Some(end));
        }
        inbox.rouse_one();
        if let Some(notifier) = self.notifier.get() {
            notifier.raise();
        }
    }

    /// The next client that waits at the door.
    pub(crate) fn with_listener<T>(&self, act: impl FnOnce(&Listener) -> T) -> Option<T> {
        lock(&self.listener).as_ref().map(act)
    }
}

// ---- Making and destroying ----

impl Core {
    pub(crate) fn create(flags: u32) -> Result<Arc<Self>> {
        if flags & flags::CHF_NET_MSG != 0 {
            return Err(Error::NOT_PERMITTED);
        }
        if flags & !CHANNEL_FLAGS != 0 {
            return Err(Error::INVALID);
        }
        let process = Process::get();
        let keeper = process.keeper()?;
        let run = path::run();
        path::make(&run)?;
        process.prepare(|| {
            path::sweep(&run);
            // Each client is a descriptor; a program that has lowered its limit keeps it.
            let _ = fd::raise_limit();
        });
        let pid = task::process_id().cast_signed();
        let core = process.add_channel(|chid| {
            let listener = Listener::new(&path::channel(&run, pid, chid))?;
            Ok(Arc::new(Self {
                chid,
                flags,
                forks: fork::count(),
                inbox: Mutex::new(Inbox::new()?),
                sleepers: AtomicU32::new(0),
                closed: AtomicBool::new(false),
                spin: Spin::default(),
                cpu: AtomicU32::new(u32::MAX),
                remote: AtomicBool::new(false),
                listener: Mutex::new(Some(listener)),
                token: AtomicU64::new(0),
                notifier: OnceLock::new(),
                uid: task::user_id(),
                key: KEYS.fetch_add(1, Ordering::Relaxed),
                receivers: Mutex::default(),
            }))
        })?;
        match keeper.watch_channel(&core) {
            Ok(token) => core.token.store(token, Ordering::Relaxed),
            Err(error) => {
                core.destroy();
                return Err(error);
            }
        }
        Ok(core)
    }

    /// Ends it: waiting clients and receiving threads get ESRCH. False: it has been ended already.
    pub(crate) fn destroy(&self) -> bool {
        if self.forks != fork::count() || self.closed.swap(true, Ordering::SeqCst) {
            return false;
        }
        let process = Process::get();
        if let Some(listener) = lock(&self.listener).take()
            && let Ok(keeper) = process.keeper()
        {
            keeper.forget(self.token.load(Ordering::Relaxed), listener.fd());
        }
        let mut inbox = lock(&self.inbox);
        let sessions: Vec<Arc<ServerEnd>> = inbox.sessions().cloned().collect();
        for end in &sessions {
            inbox.remove(end);
            process.remove_client(end.scoid(), Some(end));
        }
        inbox.rouse_all();
        drop(inbox);
        sessions.iter().for_each(|end| end.die());
        process.remove_channel(self.chid);
        true
    }

    pub(crate) fn chid(&self) -> i32 {
        self.chid
    }

    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }
}
