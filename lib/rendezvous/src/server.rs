//! The server's end of a session: what one process has sent to one channel.
//!
//! Any thread. Nothing here waits. Whatever the client writes is read once, checked, used: by lying
//! it can disturb its own messages only.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use io_net_os::eventfd::{self, EventFd};
use io_net_os::fork::PrivateFd;
use io_net_os::peer::{self, Stretch};
use io_net_os::unix::{self, Wait};
use io_net_os::{errno, futex, sched};
use zerocopy::IntoBytes;

use crate::answer::{Answer, Kind};
use crate::hello::{Event, Urge};
use crate::layout::{INLINE, MESSAGE_MAX, Memory, Slot, WINDOW};
use crate::port::Port;
use crate::pulse::{self, Pulse};
use crate::record::Records;
use crate::scatter;
use crate::state::{Generation, State};

/// The most parts of a message or reply buffer: QNX's limit.
const PARTS_MAX: usize = 524_288;

/// Who a session's client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its node; 0: this one.
    pub nd: u32,
    /// This node, as its calls it; 0 for this one.
    pub srcnd: u32,
    /// Its process.
    pub pid: i32,
    /// Its user, on this node.
    pub uid: u32,
    /// Its group, on this node.
    pub gid: u32,
}

/// The server's end.
#[derive(Debug)]
pub struct ServerEnd {
    pub(crate) memory: Memory,
    pub(crate) port: Arc<Port>,
    pub(crate) bit: usize,
    /// Slots in the inbox's queue; under the inbox's lock.
    pub(crate) queued: AtomicU64,
    /// Where the next pulse is; under the inbox's lock.
    pub(crate) pulse_head: AtomicU32,
    /// Pulses in the inbox's queue; under the inbox's lock.
    pub(crate) pulses_queued: AtomicU32,
    pub(crate) doorbell: PrivateFd,
    pub(crate) bell: Option<PrivateFd>,
    pub(crate) identity: Identity,
    /// The process whose memory may be read and written.
    pub(crate) peer: Option<i32>,
    pub(crate) scoid: AtomicI32,
    pub(crate) dead: AtomicBool,
    /// The channel that was asked for: nd, pid, chid.
    pub(crate) target: (u32, i32, i32),
    /// Slots whose window has been used since their message was sent.
    pub(crate) overwritten: AtomicU64,
    /// Threads that are at the client's memory.
    pub(crate) holders: AtomicU32,
    /// What has been received and not replied to.
    pub(crate) records: Records,
}

/// A message that has been taken. A copy of what the client said about it, checked.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The slot it is in.
    pub slot: Slot,
    /// Which one in that slot.
    pub generation: Generation,
    /// The thread that sent it.
    pub tid: u32,
    /// Its priority.
    pub priority: u16,
    /// The processor it ran on.
    pub cpu: u16,
    /// The client's connection.
    pub coid: i32,
    /// Bytes of the message.
    pub len: u64,
    /// Bytes of room for the reply.
    pub room: u64,
    /// Bytes that its receiver has got with it.
    pub received: u64,
    staged: usize,
    parts: (u32, u32),
    message_at: u64,
    reply_at: u64,
}

/// Why a message's bytes cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessError {
    /// The client has gone or given up.
    Gone,
    /// The client's memory cannot be read or written.
    Fault,
    /// They are to be had by help only: [`ServerEnd::ask_message`], [`ServerEnd::ask_reply`].
    Help,
}

/// The body of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Bytes in all.
    pub len: u64,
    /// Offset of what is in the slot or the window.
    pub offset: u64,
    /// Bytes in the slot or, if more than [`INLINE`], in the window.
    pub piece: usize,
}

// ---- Messages ----

impl ServerEnd {
    #[inline]
    pub(crate) fn state(&self, slot: Slot) -> State<'_> {
        State(&self.memory.call(slot).state)
    }

    /// The message that waits in `slot`.
    #[inline]
    #[must_use]
    pub fn sent(&self, slot: Slot) -> Option<Generation> {
        self.state(slot).sent()
    }

    /// The priority of what is in `slot`.
    #[must_use]
    pub fn priority(&self, slot: Slot) -> u16 {
        self.memory.call(slot).sched.load(Ordering::Relaxed) as u16
    }

    /// Takes the message that waits in `slot`: received from now on.
    #[inline]
    #[must_use]
    pub fn take(&self, slot: Slot) -> Option<Message> {
        let call = self.memory.call(slot);
        let generation = State(&call.state).sent()?;
        if !State(&call.state).take(generation) {
            return None;
        }
        // The reply will be written there.
        let bytes = self.memory.bytes();
        bytes.prefetch_write(slot.reply_at() - 64);
        let sched = call.sched.load(Ordering::Relaxed);
        let len = call.message_len.load(Ordering::Relaxed).min(MESSAGE_MAX);
        let staged = call.staged.load(Ordering::Relaxed) as usize;
        let parts = call.parts.load(Ordering::Relaxed);
        if staged > INLINE {
            self.overwritten.fetch_and(!slot.bit(), Ordering::Relaxed);
        }
        Some(Message {
            slot,
            generation,
            tid: call.tid.load(Ordering::Relaxed),
            priority: sched as u16,
            cpu: (sched >> 16) as u16,
            coid: call.coid.load(Ordering::Relaxed).cast_signed(),
            len,
            room: call.reply_room.load(Ordering::Relaxed).min(MESSAGE_MAX),
            received: 0,
            staged: staged.min(WINDOW).min(len as usize),
            parts: (parts as u32, (parts >> 32) as u32),
            message_at: call.message_at.load(Ordering::Relaxed),
            reply_at: call.reply_at.load(Ordering::Relaxed),
        })
    }

    /// Whether the message still waits for its reply.
    #[inline]
    #[must_use]
    pub fn is_waiting(&self, message: &Message) -> bool {
        !self.is_dead() && !self.state(message.slot).is_gone(message.generation)
    }

    /// How many bytes of the message's beginning are in the session's memory, until it is answered or
    /// help is asked for.
    #[inline]
    #[must_use]
    pub fn staged(&self, message: &Message) -> usize {
        message.staged
    }

    /// Copies the message's bytes from `offset` on to `parts`, as far as they can be had without
    /// help, and returns how many.
    ///
    /// # Errors
    /// [`AccessError::Help`] where not even the first can be had so.
    #[inline]
    pub fn read(
        &self,
        message: &Message,
        offset: u64,
        parts: &mut [IoSliceMut<'_>],
    ) -> Result<usize, AccessError> {
        let staged = self.read_staged(message, offset, parts);
        let end = message.len.saturating_sub(offset);
        let wanted = scatter::room(parts).min(usize::try_from(end).unwrap_or(usize::MAX));
        if staged == wanted {
            return match self.state(message.slot).is_gone(message.generation) {
                false => Ok(staged),
                true => Err(AccessError::Gone),
            };
        }
        match self.peer {
            Some(pid) => self.read_peer(pid, message, offset, parts, staged),
            None if staged > 0 => Ok(staged),
            None => Err(AccessError::Help),
        }
    }

    #[inline]
    fn read_staged(&self, message: &Message, offset: u64, parts: &mut [IoSliceMut<'_>]) -> usize {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(len) = message.staged.checked_sub(offset) else {
            return 0;
        };
        let at = match message.staged > INLINE {
            true if self.overwritten.load(Ordering::Relaxed) & message.slot.bit() != 0 => return 0,
            true => message.slot.window_at(),
            false => message.slot.message_at(),
        };
        scatter::read(self.memory.bytes(), at + offset, len, parts, 0)
    }

    fn read_peer(
        &self,
        pid: i32,
        message: &Message,
        offset: u64,
        parts: &mut [IoSliceMut<'_>],
        staged: usize,
    ) -> Result<usize, AccessError> {
        let _hold = self.hold(message)?;
        let from = stretches(pid, message.message_at, message.parts.0, message.len)?;
        let n = peer::read(pid, &from, offset + staged as u64, parts, staged);
        n.map(|n| staged + n).map_err(|_| AccessError::Fault)
    }

    /// Writes `parts` into the reply buffer at `offset`, as far as there is room, and returns how
    /// many bytes.
    ///
    /// # Errors
    /// [`AccessError::Help`] where it is to be done so.
    pub fn write(
        &self,
        message: &Message,
        offset: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<usize, AccessError> {
        let pid = self.peer.ok_or(AccessError::Help)?;
        let _hold = self.hold(message)?;
        self.write_peer(pid, message, offset, parts)
    }

    fn write_peer(
        &self,
        pid: i32,
        message: &Message,
        offset: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<usize, AccessError> {
        let to = stretches(pid, message.reply_at, message.parts.1, message.room)?;
        peer::write(pid, &to, offset, parts, 0).map_err(|_| AccessError::Fault)
    }

    /// Keeps the client in its call. It must be alive too: its process id may be another's by now.
    fn hold(&self, message: &Message) -> Result<Hold<'_>, AccessError> {
        // Counted before the look whether the session has died: who ends it looks the other way
        // round.
        self.holders.fetch_add(1, Ordering::SeqCst);
        let mut hold = Hold {
            end: self,
            held: None,
        };
        if !self.dead.load(Ordering::SeqCst) && self.state(message.slot).hold(message.generation) {
            hold.held = Some((message.slot, message.generation));
            if !self.hung_up() {
                return Ok(hold);
            }
        }
        Err(AccessError::Gone)
    }

    /// Replies with `parts`, or with `error` if that is not 0.
    ///
    /// # Errors
    /// [`AccessError::Gone`]. [`AccessError::Fault`]: the reply buffer cannot be written; the
    /// client's call has ended with EFAULT. [`AccessError::Help`]: nothing is done yet; all but the
    /// last [`WINDOW`] bytes go by [`ServerEnd::ask_reply`] first, then [`ServerEnd::reply_rest`].
    #[inline]
    pub fn reply(
        &self,
        message: &Message,
        status: i64,
        error: i32,
        parts: &[IoSlice<'_>],
    ) -> Result<(), AccessError> {
        let len = scatter::len(parts).min(usize::try_from(message.room).unwrap_or(usize::MAX));
        if len <= INLINE {
            return self.reply_rest(message, status, error, 0, parts);
        }
        let Some(pid) = self.peer else {
            return match len <= WINDOW {
                true => self.reply_rest(message, status, error, 0, parts),
                false => Err(AccessError::Help),
            };
        };
        let mut hold = self.hold(message)?;
        let written = self.write_peer(pid, message, 0, parts);
        hold.keep();
        let body = Body {
            len: len as u64,
            ..Body::default()
        };
        match written {
            Ok(n) if n == len => self.answer(message, status, error, body),
            _ => {
                self.answer(message, 0, errno::EFAULT, Body::default());
                return Err(AccessError::Fault);
            }
        }
        Ok(())
    }

    /// Replies with what of `parts` is beyond their first `done` bytes: up to [`WINDOW`] bytes;
    /// what was before is where it belongs already.
    ///
    /// # Errors
    /// [`AccessError::Gone`].
    #[inline]
    pub fn reply_rest(
        &self,
        message: &Message,
        status: i64,
        error: i32,
        done: usize,
        parts: &[IoSlice<'_>],
    ) -> Result<(), AccessError> {
        if self.is_dead() || !self.state(message.slot).hold(message.generation) {
            return Err(AccessError::Gone);
        }
        let room = usize::try_from(message.room).unwrap_or(usize::MAX);
        let len = scatter::len(parts).min(room);
        let piece = len.saturating_sub(done).min(WINDOW);
        let at = match piece > INLINE {
            true => message.slot.window_at(),
            false => message.slot.reply_at(),
        };
        scatter::write(self.memory.bytes(), at, piece, parts, done);
        let body = Body {
            len: len as u64,
            offset: done as u64,
            piece,
        };
        self.answer(message, status, error, body);
        Ok(())
    }

    /// Ends a held message.
    #[inline]
    fn answer(&self, message: &Message, status: i64, error: i32, body: Body) {
        let response = self.memory.response(message.slot);
        response
            .status
            .store(status.cast_unsigned(), Ordering::Relaxed);
        response
            .error
            .store(error.cast_unsigned(), Ordering::Relaxed);
        self.put(message.slot, Kind::Reply, body);
    }

    #[inline]
    fn put(&self, slot: Slot, kind: Kind, body: Body) {
        let response = self.memory.response(slot);
        response.len.store(body.len, Ordering::Relaxed);
        response.offset.store(body.offset, Ordering::Relaxed);
        response.piece.store(body.piece as u32, Ordering::Relaxed);
        response.cpu.store(sched::current_cpu(), Ordering::Relaxed);
        if Answer(&response.word).put(kind) {
            futex::wake(&response.word, 1);
        }
        if let Some(bell) = &self.bell {
            self.ring(slot, bell);
        }
    }

    /// Tells a client with a bell of an answer, and wakes it if it sleeps.
    fn ring(&self, slot: Slot, bell: &PrivateFd) {
        let header = self.memory.header();
        header.answered.fetch_or(slot.bit(), Ordering::SeqCst);
        if header.wants_bell.load(Ordering::SeqCst) != 0
            && header.wants_bell.swap(0, Ordering::SeqCst) != 0
            && let Some(fd) = bell.get()
        {
            eventfd::raise(fd);
        }
    }
}

/// Keeps a client in its call until dropped.
struct Hold<'e> {
    end: &'e ServerEnd,
    held: Option<(Slot, Generation)>,
}

impl Hold<'_> {
    /// Until it is answered.
    fn keep(&mut self) {
        self.held = None;
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if let Some((slot, generation)) = self.held {
            self.end.state(slot).release(generation);
        }
        self.end.holders.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Where a message or a reply buffer of `len` bytes in `parts` parts lies in process `pid`.
fn stretches(pid: i32, at: u64, parts: u32, len: u64) -> Result<Vec<Stretch>, AccessError> {
    let parts = parts as usize;
    if parts <= 1 {
        return Ok(vec![Stretch { address: at, len }]);
    }
    if parts > PARTS_MAX {
        return Err(AccessError::Fault);
    }
    let mut array = vec![0_u64; parts * 2];
    let bytes = array.as_mut_bytes();
    let whole = bytes.len();
    let from = [Stretch {
        address: at,
        len: whole as u64,
    }];
    match peer::read(pid, &from, 0, &mut [IoSliceMut::new(bytes)], 0) {
        Ok(n) if n == whole => {
            let stretch = |pair: &[u64]| Stretch {
                address: pair[0],
                len: pair[1],
            };
            Ok(array.chunks_exact(2).map(stretch).collect())
        }
        _ => Err(AccessError::Fault),
    }
}

// ---- Help ----

impl ServerEnd {
    /// Asks the client for up to [`WINDOW`] bytes of the message from `offset` on. When
    /// [`ServerEnd::helped`] says so, they are there for [`ServerEnd::read_window`]. What was
    /// staged in the window has gone then.
    ///
    /// # Errors
    /// [`AccessError::Gone`].
    pub fn ask_message(
        &self,
        message: &Message,
        offset: u64,
        len: usize,
    ) -> Result<(), AccessError> {
        self.state(message.slot)
            .hold(message.generation)
            .then_some(())
            .ok_or(AccessError::Gone)?;
        self.ask(message, offset, len, 0)
    }

    /// Puts bytes of `parts`, beyond their first `skip`, into the window and asks the client to
    /// copy them into its reply buffer at `offset`; up to [`WINDOW`] bytes. Returns how many.
    ///
    /// # Errors
    /// [`AccessError::Gone`].
    pub fn ask_reply(
        &self,
        message: &Message,
        offset: u64,
        parts: &[IoSlice<'_>],
        skip: usize,
    ) -> Result<usize, AccessError> {
        if self.is_dead() || !self.state(message.slot).hold(message.generation) {
            return Err(AccessError::Gone);
        }
        let room = usize::try_from(message.room.saturating_sub(offset)).unwrap_or(usize::MAX);
        let at = message.slot.window_at();
        let n = scatter::write(self.memory.bytes(), at, WINDOW.min(room), parts, skip);
        self.ask(message, offset, n, 1)?;
        Ok(n)
    }

    fn ask(
        &self,
        message: &Message,
        offset: u64,
        len: usize,
        direction: usize,
    ) -> Result<(), AccessError> {
        self.overwritten
            .fetch_or(message.slot.bit(), Ordering::Relaxed);
        if self.is_dead() || !self.state(message.slot).ask(message.generation) {
            return Err(AccessError::Gone);
        }
        let body = Body {
            len: len.min(WINDOW) as u64,
            offset,
            piece: direction,
        };
        self.put(message.slot, Kind::Help, body);
        Ok(())
    }

    /// Whether the help that was asked for has been given, and how many bytes that was.
    ///
    /// # Errors
    /// [`AccessError::Gone`].
    pub fn helped(&self, message: &Message) -> Result<Option<usize>, AccessError> {
        let call = self.memory.call(message.slot);
        let state = State(&call.state);
        if self.is_dead() || state.is_gone(message.generation) {
            return Err(AccessError::Gone);
        }
        if !state.is_received(message.generation) {
            return Ok(None);
        }
        let n = call.helped.load(Ordering::Relaxed) as usize;
        Ok(Some(n.min(WINDOW)))
    }

    /// Sleeps until the help may have been given or the session has died; at most `timeout`.
    pub fn sleep_for_help(&self, message: &Message, timeout: std::time::Duration) {
        if let Some(word) = self.state(message.slot).awaits_help(message.generation) {
            let state = &self.memory.call(message.slot).state;
            futex::wait(state, word, Some(timeout));
        }
    }

    /// Copies up to `len` bytes of the window to `parts` beyond their first `skip` bytes. Returns
    /// how many.
    pub fn read_window(
        &self,
        message: &Message,
        len: usize,
        parts: &mut [IoSliceMut<'_>],
        skip: usize,
    ) -> usize {
        let at = message.slot.window_at();
        scatter::read(self.memory.bytes(), at, len.min(WINDOW), parts, skip)
    }
}

// ---- The session ----

impl ServerEnd {
    /// Who the client is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The channel that the client asked for: nd, pid, chid.
    #[must_use]
    pub fn target(&self) -> (u32, i32, i32) {
        self.target
    }

    /// Whether the client's memory is read and written directly.
    #[must_use]
    pub fn peer_memory(&self) -> bool {
        self.peer.is_some()
    }

    /// Where it marks what it has.
    #[must_use]
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// What has been received and not replied to.
    #[inline]
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The server's number for it.
    #[inline]
    #[must_use]
    pub fn scoid(&self) -> i32 {
        self.scoid.load(Ordering::Relaxed)
    }

    /// Gives it a number, before its welcome.
    pub fn set_scoid(&self, scoid: i32) {
        self.scoid.store(scoid, Ordering::Relaxed);
    }

    /// Whether the client has gone, as far as has been noticed.
    #[inline]
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Ends the session: who waits for the client's help is woken, and the client hears of it.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        // A client that has heard of the end leaves its call, and its buffers with it.
        let mut looks = 0;
        while self.holders.load(Ordering::SeqCst) != 0 {
            io_net_os::cpu::pause_after(looks);
            looks += 1;
        }
        if let Some(fd) = self.doorbell() {
            unix::shutdown(fd);
        }
        for slot in (0..crate::layout::SLOTS).map(Slot::new) {
            futex::wake(&self.memory.call(slot).state, u32::MAX);
        }
    }

    /// Asks the kernel whether the client has gone.
    #[must_use]
    pub fn hung_up(&self) -> bool {
        let Some(fd) = self.doorbell() else {
            return true;
        };
        let peeked = unix::peek(fd, &mut [0]);
        peeked.map_err(|error| error.kind()) != Err(io::ErrorKind::WouldBlock)
    }

    /// To be watched for the client's end: a client says nothing over it, so any event is that.
    /// None in a child of fork.
    #[must_use]
    pub fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.doorbell.get()
    }

    /// Sends the client an event.
    ///
    /// # Errors
    /// `WouldBlock` when it has not taken those before; any other when it has gone.
    pub fn deliver(&self, event: &Event) -> io::Result<()> {
        let fd = self.doorbell().ok_or(io::ErrorKind::NotConnected)?;
        unix::send_fds(fd, event.as_bytes(), &[], Wait::DontWait)
    }

    /// What the client says over its doorbell: the priority of a message that waits; None for
    /// nothing.
    ///
    /// # Errors
    /// Any error means that it has gone, or says what it may not.
    pub fn next_urge(&self) -> io::Result<Option<u16>> {
        let fd = self.doorbell().ok_or(io::ErrorKind::NotConnected)?;
        let mut urge = Urge::default();
        match unix::recv_fds(fd, urge.as_mut_bytes(), Wait::DontWait) {
            Ok(got) if got.len == size_of::<Urge>() && !got.truncated => {
                Ok(Some(urge.priority as u16))
            }
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The next pulse in the ring. Under the inbox's lock.
    pub(crate) fn next_pulse(&self) -> Option<Pulse> {
        let mut head = self.pulse_head.load(Ordering::Relaxed);
        let pulse = pulse::pop(&self.memory, &mut head);
        self.pulse_head.store(head, Ordering::Relaxed);
        pulse
    }

    /// Says whether the inbox looks at `slot` by itself.
    pub(crate) fn watch(&self, slot: Slot, on: bool) {
        let watched = &self.memory.response(slot).watched;
        watched.store(on.into(), Ordering::SeqCst);
    }
}

/// A bell that came with a hello.
pub(crate) fn bell(fd: std::os::fd::OwnedFd) -> PrivateFd {
    PrivateFd::new(EventFd::from(fd).into_fd())
}
