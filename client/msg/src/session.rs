//! This process's end of a session: sending, and waiting for what comes of it.

use std::io::{IoSlice, IoSliceMut};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use io_net_os::fork;
use io_net_os::futex::Sleep;
use io_net_proto::netmgr;
use io_net_rendezvous::client::{ClientEnd, InFlight, Outgoing, Progress, Room};
use io_net_rendezvous::hello::{self, Hello};
use io_net_rendezvous::layout::{MESSAGE_MAX, SLOTS, Slot};
use io_net_rendezvous::state::Withdrawal;
use io_net_rendezvous::{path, pulse, scatter};

use crate::connection::Reply;
use crate::error::{Error, Result};
use crate::process::{Process, lock};
use crate::spin::Spin;
use crate::thread;
use crate::timeout::{REPLY, SEND};
use crate::wait::{Deadline, Left};

/// A channel: nd, pid, chid.
pub(crate) type Target = (u32, i32, i32);

/// How long a channel may take to welcome a client.
const WELCOME: Duration = Duration::from_secs(10);
/// How long an urgent message waits to be received before it urges.
const PATIENCE: Duration = Duration::from_millis(1);
/// Between looks for what nobody wakes a waiter for.
const SLICE: Duration = Duration::from_millis(2);
/// Bytes that take about as long to copy as it is worth looking for an answer, and the most that
/// they make a client look longer.
const LONG: usize = 64 * 1024;
const LONGEST: usize = 32;
/// The low half of a node descriptor is the node; the rest is how to reach it.
const NODE: u32 = 0xffff;

/// This process on one channel, however many connections share it.
#[derive(Debug)]
pub(crate) struct Session {
    end: ClientEnd,
    target: Target,
    spin: Spin,
    /// Threads that wait for a slot.
    waiting: AtomicUsize,
    freed: (Mutex<()>, Condvar),
    /// By slot: the thread that is to wait for its reply no longer; 0: none.
    asked: [AtomicU32; SLOTS],
    /// What the keeper calls it.
    token: AtomicU64,
    forks: u32,
}

// ---- Sending ----

impl Session {
    /// Sends a message and waits for its reply.
    #[inline]
    pub(crate) fn send(
        &self,
        coid: i32,
        message: &[IoSlice<'_>],
        reply: &mut [IoSliceMut<'_>],
    ) -> Result<Reply> {
        let deadline = Deadline::take();
        self.check()?;
        let out = Outgoing {
            message,
            len: scatter::len(message) as u64,
            room: Room::of(reply),
            priority: thread::priority(),
            tid: thread::id(),
            coid,
        };
        if out.len > MESSAGE_MAX {
            return Err(Error::TOO_BIG);
        }
        let slot = match self.end.claim() {
            Some(slot) => slot,
            None => self.wait_for_slot(&deadline)?,
        };
        // What the thread before was asked is not for this one.
        self.is_asked(slot);
        let mut flight = self.end.send(slot, &out);
        let mut result = self.wait(&mut flight, message, reply, &deadline);
        while result == Err(Error::RESTART) {
            flight = self.end.send(slot, &out);
            result = self.wait(&mut flight, message, reply, &deadline);
        }
        self.end.release(slot);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.freed.0));
            self.freed.1.notify_one();
        }
        result
    }

    /// Waits until the message in flight is replied to or taken back. After this nobody touches its
    /// buffers.
    #[inline]
    fn wait(
        &self,
        flight: &mut InFlight,
        message: &[IoSlice<'_>],
        reply: &mut [IoSliceMut<'_>],
        deadline: &Deadline,
    ) -> Result<Reply> {
        let end = &self.end;
        let mut cause = None;
        let mut urged = false;
        // Long messages take longer than short ones.
        let bytes = scatter::len(message) + scatter::room(reply);
        let times = 1 + (bytes / LONG).min(LONGEST) as u32;
        loop {
            let cpu = end.server_cpu(flight.slot());
            let look = || end.look(flight);
            let mut progress = match self.is_remote() {
                true => self.spin.run_aside(cpu, look),
                false => self.spin.run(cpu, times, look),
            };
            if progress.is_none() {
                // In this order: what was answered before the end counts.
                let dead = end.is_dead();
                progress = end.look(flight);
                if dead && progress.is_none() {
                    return Err(Error::SRCH);
                }
            }
            match progress {
                Some(Progress::Reply(answer)) => {
                    let _copied = end.read_reply(flight, answer.rest, reply);
                    return match answer.error {
                        0 => Ok(Reply {
                            status: answer.status,
                            len: scatter::room(reply).min(answer.len as usize),
                        }),
                        error => Err(Self::ended(Error(error), cause)),
                    };
                }
                Some(Progress::WantsMessage(piece)) => end.help_message(flight, piece, message, 0),
                Some(Progress::HasReply(piece)) => end.help_reply(flight, piece, reply),
                None => self.sleep(flight, deadline, &mut cause, &mut urged)?,
            }
        }
    }

    /// What a call ends with that was answered with `error`. One that is to be sent again is not, where
    /// this end wants to wait no longer; Qnet, which takes messages back for this end and does not know
    /// why, says the same.
    #[cold]
    fn ended(error: Error, cause: Option<Cause>) -> Error {
        match (error, cause) {
            (Error::RESTART, Some(Cause::Waived(why) | Cause::Ends(why))) => why,
            _ => error,
        }
    }

    /// Sleeps for a while, or takes the message back for `cause` if that can be.
    #[cold]
    fn sleep(
        &self,
        flight: &InFlight,
        deadline: &Deadline,
        cause: &mut Option<Cause>,
        urged: &mut bool,
    ) -> Result<()> {
        let state = if self.end.is_sent(flight) {
            SEND
        } else {
            REPLY
        };
        let left = match cause {
            None => deadline.left(state),
            Some(Cause::Waived(_)) => Left::Forever,
            Some(Cause::Ends(error)) => {
                match self.end.withdraw(flight) {
                    Withdrawal::Done => return Err(*error),
                    // The server has been asked, and alone ends it.
                    Withdrawal::Received => *cause = Some(Cause::Waived(*error)),
                    Withdrawal::Busy => (),
                }
                Left::Time(SLICE)
            }
        };
        let time = match left {
            Left::Nothing => {
                *cause = Some(Cause::Ends(deadline.error()));
                return Ok(());
            }
            Left::Time(time) => Some(time),
            // Nobody says when the state changes in which the timeout counts.
            Left::Forever if cause.is_none() && deadline.is_set() => Some(SLICE),
            Left::Forever => None,
        };
        // Who is busy and does not receive soon is urged, once.
        let urging = match state == SEND && !*urged {
            true => self.urgent(),
            false => None,
        };
        let time = match (urging, time) {
            (None, time) => time,
            (Some(_), Some(time)) => Some(time.min(PATIENCE)),
            (Some(_), None) => Some(PATIENCE),
        };
        let slept = self.end.sleep(flight, time);
        if let Some(priority) = urging
            && self.end.is_sent(flight)
        {
            self.end.urge(priority);
            *urged = true;
        }
        if cause.is_none() && self.is_asked(flight.slot()) {
            *cause = Some(Cause::Ends(Error::TIMED_OUT));
        } else if slept == Sleep::Interrupted && cause.is_none() {
            *cause = Some(Cause::Ends(Error::INTERRUPTED));
        }
        Ok(())
    }

    /// The calling thread's priority, where it is above the usual one and the channel can be told.
    fn urgent(&self) -> Option<u16> {
        let priority = thread::priority();
        let (_, pid, chid) = self.target;
        let qnet = self.is_remote() || (pid, chid) == (netmgr::PID, netmgr::CHID);
        (priority as u8 > thread::DEFAULT as u8 && !qnet).then_some(priority)
    }

    /// Whether the calling thread, whose message is in `slot`, is to wait no longer. It is woken after
    /// that has been said.
    fn is_asked(&self, slot: Slot) -> bool {
        let asked = &self.asked[slot.index()];
        asked.load(Ordering::Relaxed) != 0 && asked.swap(0, Ordering::Relaxed) == thread::id()
    }

    /// Thread `tid` is to wait no longer for a reply that it waits for here.
    pub(crate) fn unblock(&self, tid: u32) {
        for slot in self.end.slots_of(tid) {
            self.asked[slot.index()].store(tid, Ordering::Relaxed);
            self.end.nudge(slot);
        }
    }

    /// All slots are in use: waits for one.
    #[cold]
    fn wait_for_slot(&self, deadline: &Deadline) -> Result<Slot> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        thread::begin_wait();
        let mut guard = lock(&self.freed.0);
        let result = loop {
            if let Some(slot) = self.end.claim() {
                break Ok(slot);
            }
            if self.end.is_dead() {
                break Err(Error::SRCH);
            }
            if thread::is_asked() {
                break Err(Error::TIMED_OUT);
            }
            // Short, as the session's end wakes nobody here.
            let slice = SLICE * 10;
            let time = match deadline.left(SEND) {
                Left::Nothing => break Err(deadline.error()),
                Left::Time(time) => time.min(slice),
                Left::Forever => slice,
            };
            let waited = self.freed.1.wait_timeout(guard, time);
            guard = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        };
        thread::end_wait();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// Sends a pulse.
    pub(crate) fn pulse(&self, pulse: pulse::Pulse) -> Result<()> {
        self.check()?;
        self.end.pulse(pulse).map_err(|_full| Error::AGAIN)
    }

    #[inline]
    fn check(&self) -> Result<()> {
        if self.forks != fork::count() {
            return Err(Error::BADF);
        }
        match self.end.is_dead() {
            true => Err(Error::SRCH),
            false => Ok(()),
        }
    }
}

/// Why a thread no longer wants to wait.
#[derive(Clone, Copy, Debug)]
enum Cause {
    /// Its call is to end with this error.
    Ends(Error),
    /// It has to: the server has the message, and has been told of this error.
    Waived(Error),
}

// ---- Attaching ----

impl Session {
    /// The session with `target`, made now if there is none.
    pub(crate) fn attach(target: Target) -> Result<Arc<Self>> {
        let process = Process::get();
        if let Some(session) = Self::existing(process, target) {
            return Ok(session);
        }
        let new = Arc::new(Self {
            end: connect(target)?,
            target,
            spin: Spin::default(),
            waiting: AtomicUsize::new(0),
            freed: Default::default(),
            asked: std::array::from_fn(|_| AtomicU32::new(0)),
            token: AtomicU64::new(0),
            forks: fork::count(),
        });
        let mut sessions = lock(&process.sessions);
        if let Some(session) = sessions.get(&target).and_then(|weak| weak.upgrade())
            && !session.end.is_dead()
        {
            // Another thread was faster.
            return Ok(session);
        }
        sessions.insert(target, Arc::downgrade(&new));
        drop(sessions);
        new.token
            .store(process.keeper()?.watch_session(&new)?, Ordering::Relaxed);
        Ok(new)
    }

    fn existing(process: &Process, target: Target) -> Option<Arc<Self>> {
        let session = lock(&process.sessions).get(&target)?.upgrade()?;
        // Its channel may have gone without the keeper having seen it, and another one be there.
        (!session.end.is_dead() && !session.end.is_hung_up()).then_some(session)
    }

    /// Whether it leads to another node.
    #[inline]
    fn is_remote(&self) -> bool {
        self.target.0 & NODE != 0
    }

    /// The client's end.
    pub(crate) fn end(&self) -> &ClientEnd {
        &self.end
    }

    /// Where it leads.
    pub(crate) fn target(&self) -> Target {
        self.target
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.forks != fork::count() {
            return;
        }
        let process = Process::get();
        if let Ok(keeper) = process.keeper() {
            keeper.forget(self.token.load(Ordering::Relaxed), self.end.doorbell());
        }
        let mut sessions = lock(&process.sessions);
        if sessions
            .get(&self.target)
            .is_some_and(|weak| weak.strong_count() == 0)
        {
            sessions.remove(&self.target);
        }
    }
}

/// Meets the channel.
fn connect((nd, pid, chid): Target) -> Result<ClientEnd> {
    let run = path::run();
    let remote = nd & NODE != 0 || (pid, chid) == (netmgr::PID, netmgr::CHID);
    let at = match remote {
        true => path::qnet(&run),
        false => path::channel(&run, pid, chid),
    };
    // What reads this number there can read all of this process's memory.
    let probe = Box::new(std::hash::BuildHasher::hash_one(
        &std::hash::RandomState::new(),
        io_net_os::clock::monotonic_ns(),
    ));
    let hello = Hello {
        magic: hello::MAGIC,
        version: hello::VERSION,
        nd,
        pid,
        chid,
        probe_at: std::ptr::from_ref::<u64>(&probe).expose_provenance() as u64,
        probe: *probe,
        ..Hello::default()
    };
    let nobody = if remote {
        Error::NO_REMOTE
    } else {
        Error::SRCH
    };
    let end = knock(&at, &hello, nobody)?;
    std::hint::black_box(probe);
    let server = end.server();
    let genuine = match remote {
        true => [0, io_net_os::task::user_id()].contains(&server.uid),
        // In another PID namespace the number is another, 0 where this one does not see it.
        false => {
            let ours = [0, io_net_os::task::user_id()].contains(&server.uid);
            let called = || ours && io_net_os::task::is_called(server.pid, pid);
            server.pid == pid || server.pid == 0 || called()
        }
    };
    if genuine { Ok(end) } else { Err(nobody) }
}

/// Connects, again while too many others do.
fn knock(at: &Path, hello: &Hello, nobody: Error) -> Result<ClientEnd> {
    let until = std::time::Instant::now() + WELCOME;
    loop {
        match ClientEnd::connect(at, hello, WELCOME) {
            Ok(end) => return Ok(end),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                    return Err(nobody);
                }
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => {
                    return Err(Error::SRCH);
                }
                std::io::ErrorKind::WouldBlock if std::time::Instant::now() < until => {
                    std::thread::sleep(SLICE);
                }
                std::io::ErrorKind::InvalidData => return Err(Error::PROTOCOL),
                std::io::ErrorKind::TimedOut => return Err(Error::TIMED_OUT),
                _ => return Err(error.into()),
            },
        }
    }
}
