//! The client's end of a session: one process's sends to one channel.
//!
//! Any thread. Nothing here waits but [`ClientEnd::sleep`] and [`ClientEnd::connect`].

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use io_net_os::epoll::{self, PollFd, poll};
use io_net_os::fork::PrivateFd;
use io_net_os::futex::{self, Sleep};
use io_net_os::unix::{self, Credentials, Wait};
use io_net_os::{clock, sched};
use zerocopy::{FromZeros, IntoBytes};

use crate::answer::{Answer, Kind, Seen};
use crate::hello::{self, Event, Hello, Urge, Welcome};
use crate::layout::{INLINE, Memory, SESSION_LEN, Slot, WINDOW};
use crate::port::{Port, open_sealed};
use crate::pulse::{self, Full, Pulse};
use crate::scatter;
use crate::state::{Generation, State, Withdrawal};

/// The client's end.
#[derive(Debug)]
pub struct ClientEnd {
    memory: Memory,
    port: Port,
    bit: usize,
    flags: u32,
    scoid: i32,
    /// Slots in use.
    claimed: AtomicU64,
    dead: AtomicBool,
    doorbell: PrivateFd,
    server: Credentials,
}

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'m, 'p> {
    /// The message. Where the server reads this process's memory, it must stay as it is until the
    /// message is released.
    pub message: &'m [IoSlice<'p>],
    /// Its length in bytes; more than `message` has where the rest can be had by help.
    pub len: u64,
    /// Where the reply goes.
    pub room: Room,
    /// Priority in the receiver's queue.
    pub priority: u16,
    /// The sending thread.
    pub tid: u32,
    /// The connection.
    pub coid: i32,
}

/// A reply buffer, as the other side is told of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// Bytes.
    pub len: u64,
    parts: u32,
    at: u64,
}

impl Room {
    /// Room of `len` bytes that the server cannot reach itself.
    #[must_use]
    pub fn remote(len: u64) -> Self {
        Self {
            len,
            ..Self::default()
        }
    }

    /// These buffers, which must stay where they are until the message is released.
    #[inline]
    #[must_use]
    pub fn of(parts: &mut [IoSliceMut<'_>]) -> Self {
        let (count, len) = (parts.len() as u32, scatter::room(parts) as u64);
        let at = match parts {
            [one] => one.as_mut_ptr().expose_provenance(),
            // Reached through the pointers that are in there.
            many => many.as_mut_ptr().expose_provenance(),
        };
        Self {
            len,
            parts: count,
            at: at as u64,
        }
    }
}

/// A message under way.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    slot: Slot,
    generation: Generation,
    seen: Seen,
}

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has been replied to.
    Reply(Reply),
    /// The server wants a piece of the message: [`ClientEnd::help_message`].
    WantsMessage(Piece),
    /// The server has a piece of the reply in the window: [`ClientEnd::help_reply`].
    HasReply(Piece),
}

/// A reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What the server gave.
    pub status: i64,
    /// 0, or the errno that the server gave instead.
    pub error: i32,
    /// Bytes of the reply in all, at most the room.
    pub len: u64,
    /// The bytes of it that are still to be copied: [`ClientEnd::read_reply`].
    pub rest: Piece,
}

/// Where bytes belong in the message or in the reply buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the first.
    pub offset: u64,
    /// How many: at most [`WINDOW`].
    pub len: usize,
}

impl InFlight {
    /// The slot it is in.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }
}

// ---- Messages ----

impl ClientEnd {
    /// A slot that nobody uses; None: 64 messages are under way.
    #[inline]
    pub fn claim(&self) -> Option<Slot> {
        let mut claimed = self.claimed.load(Ordering::SeqCst);
        loop {
            let slot = Slot::new((!claimed).trailing_zeros() as usize);
            if claimed == u64::MAX {
                return None;
            }
            let to = claimed | slot.bit();
            let exchange = (self.claimed).compare_exchange_weak(
                claimed,
                to,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            match exchange {
                Ok(_) => return Some(slot),
                Err(now) => claimed = now,
            }
        }
    }

    /// Gives a slot back whose message has been replied to, or withdrawn.
    #[inline]
    pub fn release(&self, slot: Slot) {
        self.claimed.fetch_and(!slot.bit(), Ordering::SeqCst);
    }

    /// Sends a message from a claimed slot.
    #[inline]
    pub fn send(&self, slot: Slot, out: &Outgoing<'_, '_>) -> InFlight {
        let (call, response) = (self.memory.call(slot), self.memory.response(slot));
        let seen = Answer(&response.word).seen();
        call.tid.store(out.tid, Ordering::Relaxed);
        let sched = u32::from(out.priority) | sched::current_cpu() << 16;
        call.sched.store(sched, Ordering::Relaxed);
        call.coid.store(out.coid.cast_unsigned(), Ordering::Relaxed);
        call.message_len.store(out.len, Ordering::Relaxed);
        call.reply_room.store(out.room.len, Ordering::Relaxed);
        let staged = self.stage(slot, out);
        call.staged.store(staged as u32, Ordering::Relaxed);
        if self.peer_memory() {
            let at = match out.message {
                [one] => one.as_ptr().expose_provenance(),
                many => many.as_ptr().expose_provenance(),
            };
            let parts = out.message.len() as u64 & 0xffff_ffff | u64::from(out.room.parts) << 32;
            call.parts.store(parts, Ordering::Relaxed);
            call.message_at.store(at as u64, Ordering::Relaxed);
            call.reply_at.store(out.room.at, Ordering::Relaxed);
        }
        // What was asked for the last message in this slot is not asked for this one.
        let unblocks = &self.memory.header().unblocks;
        if unblocks.load(Ordering::Relaxed) & slot.bit() != 0 {
            unblocks.fetch_and(!slot.bit(), Ordering::Relaxed);
        }
        let generation = State(&call.state).send();
        // Either we see here that the server looks no longer, or it sees our message as it stops
        // looking.
        if response.watched.load(Ordering::SeqCst) == 0 {
            self.memory
                .header()
                .pending
                .fetch_or(slot.bit(), Ordering::Relaxed);
            self.port.mark(self.bit);
        }
        InFlight {
            slot,
            generation,
            seen,
        }
    }

    /// Puts the message's beginning where the server finds it without help. Returns how much of it.
    #[inline]
    fn stage(&self, slot: Slot, out: &Outgoing<'_, '_>) -> usize {
        let bytes = self.memory.bytes();
        if out.len <= INLINE as u64 || self.peer_memory() {
            scatter::write(bytes, slot.message_at(), INLINE, out.message, 0)
        } else {
            // What is in the window is more than would be in the slot: that tells them apart.
            match scatter::write(bytes, slot.window_at(), WINDOW, out.message, 0) {
                n if n > INLINE => n,
                _ => scatter::write(bytes, slot.message_at(), INLINE, out.message, 0),
            }
        }
    }

    /// What has come of a message since the last look.
    #[inline]
    pub fn look(&self, flight: &mut InFlight) -> Option<Progress> {
        let response = self.memory.response(flight.slot);
        let kind = Answer(&response.word).look(&mut flight.seen)?;
        let len = response.len.load(Ordering::Relaxed);
        let offset = response.offset.load(Ordering::Relaxed);
        let piece = response.piece.load(Ordering::Relaxed);
        if kind == Kind::Help {
            let wanted = Piece {
                offset,
                len: len.min(WINDOW as u64) as usize,
            };
            return Some(match piece {
                0 => Progress::WantsMessage(wanted),
                _ => Progress::HasReply(wanted),
            });
        }
        Some(Progress::Reply(Reply {
            status: response.status.load(Ordering::Relaxed).cast_signed(),
            error: response.error.load(Ordering::Relaxed).cast_signed(),
            len,
            rest: Piece {
                offset,
                len: (piece as usize).min(WINDOW),
            },
        }))
    }

    /// Copies the rest of a reply to where it belongs in `parts`.
    #[inline]
    pub fn read_reply(
        &self,
        flight: &InFlight,
        rest: Piece,
        parts: &mut [IoSliceMut<'_>],
    ) -> usize {
        let (slot, skip) = (flight.slot, to_usize(rest.offset));
        let at = match rest.len > INLINE {
            true => slot.window_at(),
            false => slot.reply_at(),
        };
        scatter::read(self.memory.bytes(), at, rest.len, parts, skip)
    }

    /// Gives the piece of the message that the server wants: from `parts`, which begin at offset
    /// `base` of the message.
    pub fn help_message(&self, flight: &InFlight, piece: Piece, parts: &[IoSlice<'_>], base: u64) {
        let (at, bytes) = (flight.slot.window_at(), self.memory.bytes());
        let n = match piece.offset.checked_sub(base) {
            Some(skip) => scatter::write(bytes, at, piece.len, parts, to_usize(skip)),
            None => 0,
        };
        self.helped(flight, n);
    }

    /// Takes the piece of the reply that the server has, into `parts`, the whole reply buffer.
    pub fn help_reply(&self, flight: &InFlight, piece: Piece, parts: &mut [IoSliceMut<'_>]) {
        let (at, bytes) = (flight.slot.window_at(), self.memory.bytes());
        let n = scatter::read(bytes, at, piece.len, parts, to_usize(piece.offset));
        self.helped(flight, n);
    }

    /// The server may go on: it gets `n` bytes of what it wanted.
    fn helped(&self, flight: &InFlight, n: usize) {
        let call = self.memory.call(flight.slot);
        call.helped.store(n as u32, Ordering::Relaxed);
        State(&call.state).helped(flight.generation);
        futex::wake(&call.state, u32::MAX);
        // For a server that does not sleep on the slot.
        self.port.mark(self.bit);
    }

    /// Wants the message back. [`Withdrawal::Received`]: the server has it, has been asked to reply
    /// soon, and alone ends it.
    #[must_use]
    pub fn withdraw(&self, flight: &InFlight) -> Withdrawal {
        let state = State(&self.memory.call(flight.slot).state);
        let even_received = self.flags & hello::UNBLOCK == 0;
        let withdrawal = state.withdraw(flight.generation, even_received);
        if withdrawal == Withdrawal::Received {
            let unblocks = &self.memory.header().unblocks;
            unblocks.fetch_or(flight.slot.bit(), Ordering::Relaxed);
            self.port.mark(self.bit);
        }
        withdrawal
    }

    /// Whether the message waits to be received.
    #[must_use]
    pub fn is_sent(&self, flight: &InFlight) -> bool {
        State(&self.memory.call(flight.slot).state).sent() == Some(flight.generation)
    }

    /// Sleeps until the message makes progress or [`ClientEnd::nudge_all`] is called. May return
    /// early.
    pub fn sleep(&self, flight: &InFlight, timeout: Option<Duration>) -> Sleep {
        let word = &self.memory.response(flight.slot).word;
        match Answer(word).sleep(flight.seen) {
            Some(asleep) => futex::sleep(word, asleep, timeout),
            None => Sleep::Woken,
        }
    }

    /// The slots whose messages thread `tid` has under way.
    pub fn slots_of(&self, tid: u32) -> impl Iterator<Item = Slot> {
        let claimed = self.claimed.load(Ordering::SeqCst);
        let slots = (0..crate::layout::SLOTS).map(Slot::new);
        let its = move |slot: &Slot| {
            claimed & slot.bit() != 0 && self.memory.call(*slot).tid.load(Ordering::Relaxed) == tid
        };
        slots.filter(its)
    }

    /// Makes all who sleep here look at the session again.
    pub fn nudge_all(&self) {
        for slot in (0..crate::layout::SLOTS).map(Slot::new) {
            self.nudge(slot);
        }
    }

    /// Makes who sleeps for the message in `slot` look at the session again.
    pub fn nudge(&self, slot: Slot) {
        let word = &self.memory.response(slot).word;
        Answer(word).nudge();
        futex::wake(word, u32::MAX);
    }

    /// The processor that the server answered from in `slot` last.
    #[inline]
    #[must_use]
    pub fn server_cpu(&self, slot: Slot) -> u32 {
        self.memory.response(slot).cpu.load(Ordering::Relaxed)
    }

    /// With a bell: takes the set of slots that have been answered since the last call.
    #[inline]
    #[must_use]
    pub fn take_answered(&self) -> u64 {
        let answered = &self.memory.header().answered;
        match answered.load(Ordering::Relaxed) {
            0 => 0,
            _ => answered.swap(0, Ordering::SeqCst),
        }
    }

    /// With a bell: it is to be raised with the next answer, once. False: there are answers
    /// already.
    #[must_use]
    pub fn want_bell(&self) -> bool {
        let header = self.memory.header();
        header.wants_bell.store(1, Ordering::SeqCst);
        header.answered.load(Ordering::SeqCst) == 0
    }

    /// With a bell: it need not be raised any more.
    pub fn silence_bell(&self) {
        self.memory.header().wants_bell.store(0, Ordering::Relaxed);
    }

    /// Sends a pulse.
    ///
    /// # Errors
    /// [`Full`].
    pub fn pulse(&self, pulse: Pulse) -> Result<(), Full> {
        pulse::push(&self.memory, pulse)?;
        self.port.mark(self.bit);
        Ok(())
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

// ---- The session ----

impl ClientEnd {
    #[cfg(test)]
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether the server reads and writes this process's memory itself.
    #[inline]
    #[must_use]
    pub fn peer_memory(&self) -> bool {
        self.flags & hello::PEER_MEMORY != 0
    }

    /// What the server calls the session.
    #[must_use]
    pub fn scoid(&self) -> i32 {
        self.scoid
    }

    /// Who listened on the channel's socket.
    #[must_use]
    pub fn server(&self) -> Credentials {
        self.server
    }

    /// Whether the channel has gone, as far as has been noticed.
    #[inline]
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether the channel has gone, by a look at the doorbell.
    #[must_use]
    pub fn is_hung_up(&self) -> bool {
        let Some(fd) = self.doorbell() else {
            return true;
        };
        let mut fds = [PollFd {
            fd: fd.as_raw_fd(),
            events: 0,
            revents: 0,
        }];
        poll(&mut fds, Some(Duration::ZERO)).is_ok_and(|ready| ready > 0)
    }

    /// The channel has gone: who sleeps here is woken.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.nudge_all();
    }

    /// To be watched for events and for the channel's end. None in a child of fork.
    #[must_use]
    pub fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.doorbell.get()
    }

    /// The next event that the server delivered; None for none.
    ///
    /// # Errors
    /// Any error means that the channel has gone.
    pub fn next_event(&self) -> io::Result<Option<Event>> {
        let fd = self.doorbell().ok_or(io::ErrorKind::NotConnected)?;
        let mut event = Event::new_zeroed();
        match unix::recv_fds(fd, event.as_mut_bytes(), Wait::DontWait) {
            Ok(got) if got.len == size_of::<Event>() && !got.truncated => Ok(Some(event)),
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells the channel's process that a message of this priority waits to be received.
    pub fn urge(&self, priority: u16) {
        let urge = Urge {
            priority: priority.into(),
            reserved: 0,
        };
        // A channel that has no room for it, or has gone, is not urged.
        let _ = self
            .doorbell()
            .map(|fd| unix::send_fds(fd, urge.as_bytes(), &[], Wait::DontWait));
    }

    /// Connects to the channel at `path` and waits for its welcome, at most `timeout`.
    ///
    /// # Errors
    /// As [`Connecting::start`] and [`Connecting::poll`]; `TimedOut`.
    pub fn connect(path: &Path, hello: &Hello, timeout: Duration) -> io::Result<Self> {
        let until = Duration::from_nanos(clock::monotonic_ns()) + timeout;
        let mut connecting = Connecting::start(path, hello, None)?;
        loop {
            if let Some(end) = connecting.poll()? {
                return Ok(end);
            }
            let now = Duration::from_nanos(clock::monotonic_ns());
            let Some(left) = until.checked_sub(now).filter(|left| !left.is_zero()) else {
                return Err(io::ErrorKind::TimedOut.into());
            };
            let mut fds = [PollFd {
                fd: connecting.doorbell().map_or(-1, |fd| fd.as_raw_fd()),
                events: epoll::IN as i16,
                revents: 0,
            }];
            match poll(&mut fds, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => (),
            }
        }
    }
}

/// A connection whose welcome has not come yet.
#[derive(Debug)]
pub struct Connecting {
    doorbell: Option<PrivateFd>,
    server: Credentials,
}

impl Connecting {
    /// Connects to the channel at `path` and says hello; with [`hello::BELL`] the `bell` goes
    /// along.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused` where there is no channel, `WouldBlock` where too many
    /// connect at once, `PermissionDenied`.
    pub fn start(path: &Path, hello: &Hello, bell: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        let doorbell = unix::try_connect_seqpacket(path)?;
        let server = unix::peer_credentials(doorbell.as_fd())?;
        unix::send_fds(
            doorbell.as_fd(),
            hello.as_bytes(),
            bell.as_slice(),
            Wait::DontWait,
        )?;
        let doorbell = Some(PrivateFd::new(doorbell));
        Ok(Self { doorbell, server })
    }

    /// Who listens there.
    #[must_use]
    pub fn server(&self) -> Credentials {
        self.server
    }

    /// To be watched for the welcome. None once it has come.
    #[must_use]
    pub fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.doorbell.as_ref()?.get()
    }

    /// The session, if the welcome has come.
    ///
    /// # Errors
    /// The channel's errno; `ConnectionRefused` when it has hung up; `InvalidData` when it
    /// speaks another language.
    pub fn poll(&mut self) -> io::Result<Option<ClientEnd>> {
        let mut welcome = Welcome::new_zeroed();
        let doorbell = self.doorbell().ok_or(io::ErrorKind::NotConnected)?;
        let mut got = match unix::recv_fds(doorbell, welcome.as_mut_bytes(), Wait::DontWait) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            got => got?,
        };
        if got.len == 0 {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let known = welcome.magic == hello::MAGIC && welcome.version == hello::VERSION;
        if got.len != size_of::<Welcome>() || !known {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if welcome.errno != 0 {
            return Err(io::Error::from_raw_os_error(welcome.errno));
        }
        let (Some(memory), Some(port), Some(bell)) = (got.take_fd(), got.take_fd(), got.take_fd())
        else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let map = open_sealed(memory.as_fd(), SESSION_LEN)?;
        Ok(Some(ClientEnd {
            memory: Memory::new(map).ok_or(io::ErrorKind::InvalidData)?,
            port: Port::open(port.as_fd(), bell)?,
            bit: welcome.bit as usize,
            flags: welcome.flags,
            scoid: welcome.scoid,
            claimed: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            doorbell: self.doorbell.take().ok_or(io::ErrorKind::NotConnected)?,
            server: self.server,
        }))
    }
}
