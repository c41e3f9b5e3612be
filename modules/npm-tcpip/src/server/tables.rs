//! Who is there: sessions, their segments, and the sockets in those.

use super::segment::SharedSegment;
use super::slab::{Key, Slab};
use super::socket::Socket;
use crate::buffers::{RxDatagrams, RxFifo, TxFifo};
use crate::options::Limits;
use io_net_os::unix::Credentials;
use io_net_proto::slot::State;
use io_net_tcpip::{SocketId, Transport};
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

/// A process that uses sockets.
pub(crate) struct Session {
    /// The connection; none once the process has closed it.
    pub(crate) connection: Option<OwnedFd>,
    pub(crate) peer: Credentials,
    /// Whether the greeting is over.
    pub(crate) greeted: bool,
    /// Segments made for it.
    pub(crate) segments: Vec<Key>,
    /// Ids of the segments whose descriptors it was sent.
    pub(crate) sent: HashSet<u64>,
    /// Sockets in its segments.
    pub(crate) sockets: u32,
}

/// All tables.
pub(crate) struct Tables {
    pub(crate) sessions: Slab<Session>,
    pub(crate) segments: Slab<SharedSegment>,
    pub(crate) sockets: Slab<Socket>,
    pub(crate) limits: Limits,
    /// By the stack's index: TCP, UDP.
    by_id: [Vec<Option<Key>>; 2],
    by_cookie: HashMap<u64, Key>,
    /// Segments made since they were last asked for: their kicks are to be watched.
    new_segments: Vec<Key>,
    last_segment_id: u64,
}

/// Where a new socket is.
#[derive(Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) socket: Key,
    pub(crate) segment: Key,
    pub(crate) slot: u32,
}

impl Tables {
    pub(crate) fn new(limits: Limits) -> Self {
        Tables {
            sessions: Slab::new(),
            segments: Slab::new(),
            sockets: Slab::new(),
            limits,
            by_id: [Vec::new(), Vec::new()],
            by_cookie: HashMap::new(),
            new_segments: Vec::new(),
            last_segment_id: 0,
        }
    }

    /// The socket that the stack calls `id`.
    #[inline]
    pub(crate) fn find(&self, id: SocketId) -> Option<Key> {
        let key = (*self.by_id[table(id)].get(id.index())?)?;
        (self.sockets.get(key)?.id == Some(id)).then_some(key)
    }

    /// The socket whose program's end has this `SO_COOKIE`.
    pub(crate) fn find_cookie(&self, cookie: u64) -> Option<Key> {
        self.by_cookie.get(&cookie).copied()
    }

    /// A socket with its segment.
    #[inline]
    pub(crate) fn socket(&mut self, key: Key) -> Option<(&mut Socket, &mut SharedSegment)> {
        let socket = self.sockets.get_mut(key)?;
        let segment = self.segments.get_mut(socket.segment)?;
        Some((socket, segment))
    }

    /// One more segment for a session.
    pub(crate) fn add_segment(&mut self, session: Key) -> Option<Key> {
        let id = self.last_segment_id + 1;
        let segment = SharedSegment::new(id, session, &self.limits).ok()?;
        self.last_segment_id = id;
        let key = self.segments.insert(segment);
        self.sessions.get_mut(session)?.segments.push(key);
        self.new_segments.push(key);
        Some(key)
    }

    /// Segments made since the last call.
    pub(crate) fn take_new_segments(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.new_segments)
    }

    /// Enters a socket into a session, without a name yet: in segment `near` where it has a
    /// slot, else in any of the session's, else in a new one. `None` where the session has as many
    /// as it may, or the system no memory.
    pub(crate) fn add_socket(
        &mut self,
        session: Key,
        near: Option<Key>,
        transport: Transport,
        state: State,
    ) -> Option<Seat> {
        let owner = self.sessions.get(session)?;
        if owner.sockets >= self.limits.sockets {
            return None;
        }
        let uid = owner.peer.uid;
        let has_room = |key: &Key| self.segments.get(*key).is_some_and(|s| !s.is_full());
        let with_room = near
            .filter(has_room)
            .or_else(|| owner.segments.iter().copied().find(has_room));
        let segment = match with_room {
            Some(key) => key,
            None => self.add_segment(session)?,
        };
        let socket = self.sockets.insert(Socket {
            segment,
            slot: 0,
            id: None,
            transport,
            state,
            ends: 0,
            doorbell: None,
            cookie: 0,
            uid,
            shutdown: 0,
            options: 0,
            asked: 0,
            tx_told: 0,
            bound: None,
            datagrams: None,
            stalled: None,
        });
        let limits = self.limits;
        let slot = self
            .segments
            .get_mut(segment)
            .and_then(|shared| shared.take_slot(socket, state, transport, &limits));
        let Some(slot) = slot else {
            self.sockets.remove(socket);
            return None;
        };
        self.sockets.get_mut(socket)?.slot = slot;
        self.sessions.get_mut(session)?.sockets += 1;
        Some(Seat {
            socket,
            segment,
            slot,
        })
    }

    /// The stack calls a socket `id` from now on.
    pub(crate) fn name(&mut self, socket: Key, id: SocketId) {
        let names = &mut self.by_id[table(id)];
        if names.len() <= id.index() {
            names.resize(id.index() + 1, None);
        }
        names[id.index()] = Some(socket);
        if let Some(entry) = self.sockets.get_mut(socket) {
            entry.id = Some(id);
        }
    }

    /// Hands a socket its doorbell: io-net's end, and the cookie of the program's.
    pub(crate) fn hang_doorbell(&mut self, key: Key, doorbell: OwnedFd, cookie: u64) {
        if let Some(socket) = self.sockets.get_mut(key) {
            (socket.doorbell, socket.cookie) = (Some(doorbell), cookie);
            self.by_cookie.insert(cookie, key);
        }
    }

    /// Takes a socket's doorbell away.
    pub(crate) fn take_doorbell(&mut self, key: Key) -> Option<OwnedFd> {
        let socket = self.sockets.get_mut(key)?;
        let doorbell = socket.doorbell.take()?;
        self.by_cookie.remove(&socket.cookie);
        Some(doorbell)
    }

    /// Forgets a socket and frees its slot; returns its segment where that is now of no use, which
    /// the caller takes out with [`Tables::remove_segment`].
    pub(crate) fn remove_socket(&mut self, key: Key) -> Option<Key> {
        self.take_doorbell(key);
        let socket = self.sockets.remove(key)?;
        if let Some(id) = socket.id
            && let Some(name) = self.by_id[table(id)].get_mut(id.index())
            && *name == Some(key)
        {
            *name = None;
        }
        let segment = self.segments.get_mut(socket.segment)?;
        segment.free_slot(socket.slot);
        let owner = segment.session;
        if let Some(session) = self.sessions.get_mut(owner) {
            session.sockets = session.sockets.saturating_sub(1);
        }
        self.segment_is_useless(socket.segment)
            .then_some(socket.segment)
    }

    /// Whether nobody can use a segment any more: its session has ended and no slot is taken.
    pub(crate) fn segment_is_useless(&self, key: Key) -> bool {
        self.segments.get(key).is_some_and(|segment| {
            let session = self.sessions.get(segment.session);
            segment.is_unused() && session.is_none_or(|s| s.connection.is_none())
        })
    }

    /// Forgets a segment, and its session where it was the last of one that has ended.
    pub(crate) fn remove_segment(&mut self, key: Key) -> Option<SharedSegment> {
        let segment = self.segments.remove(key)?;
        if let Some(session) = self.sessions.get_mut(segment.session) {
            session.segments.retain(|&other| other != key);
            if session.segments.is_empty() && session.connection.is_none() {
                self.sessions.remove(segment.session);
            }
        }
        Some(segment)
    }

    /// Buffers for a stream.
    pub(crate) fn stream_buffers(&self, segment: Key, slot: u32) -> Option<(TxFifo, RxFifo)> {
        let (tx, rx) = self.segments.get(segment)?.places(slot, &self.limits);
        Some((TxFifo::new(tx), RxFifo::new(rx)))
    }

    /// Buffers for datagrams.
    pub(crate) fn datagram_buffers(
        &self,
        segment: Key,
        slot: u32,
    ) -> Option<(TxFifo, RxDatagrams)> {
        let (tx, rx) = self.segments.get(segment)?.places(slot, &self.limits);
        Some((TxFifo::new(tx), RxDatagrams::new(rx)))
    }

    /// Copies the option words of `from` to `to`: an accepted connection starts with its
    /// listener's.
    pub(crate) fn inherit_options(&mut self, from: Key, to: Key) {
        let words = self.socket(from).and_then(|(socket, segment)| {
            let slot = segment.memory.segment.slot(socket.slot)?;
            Some(slot.options.each_ref().map(|w| w.load(Ordering::Relaxed)))
        });
        let (Some(words), Some((socket, segment))) = (words, self.socket(to)) else {
            return;
        };
        if let Some(slot) = segment.memory.segment.slot(socket.slot) {
            for (word, value) in slot.options.iter().zip(words) {
                word.store(value, Ordering::Relaxed);
            }
        }
    }
}

fn table(id: SocketId) -> usize {
    match id.transport() {
        Transport::Tcp => 0,
        Transport::Udp => 1,
    }
}
