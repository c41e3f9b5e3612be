//! A socket's shared memory, without its descriptor.
//!
//! Copyable: it refers to a slot of a segment that stays mapped. It goes stale when the socket's
//! last descriptor is closed; whoever uses it then sees another socket's slot or a free one, as
//! with a descriptor number that was closed and used again.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use io_net_proto::slot::{Slot, State};
use io_net_ring::fifo::Fifo;
use io_net_ring::lock::{Guard, SharedLock};

use crate::errno::{Errno, Result};
use crate::mapped::Mapped;

/// See the file.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    mapped: &'static Mapped,
    slot: &'static Slot,
    index: u32,
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.slot, other.slot)
    }
}

impl Eq for Endpoint {}

impl Endpoint {
    /// Slot `index` as it is now; None out of range.
    #[inline]
    #[must_use]
    pub fn at(mapped: &'static Mapped, index: u16) -> Option<Self> {
        let index = u32::from(index);
        mapped.segment().slot(index).map(|slot| Self {
            mapped,
            slot,
            index,
        })
    }

    /// Slot `index`, if it still is of this generation.
    pub(crate) fn new(mapped: &'static Mapped, index: u32, generation: u32) -> Option<Self> {
        let endpoint = Self::at(mapped, u16::try_from(index).ok()?)?;
        // Bell 0 wakes this process's polls; there is no cheaper moment to say so.
        endpoint
            .slot
            .program
            .watchers
            .fetch_or(1, Ordering::Relaxed);
        (endpoint.generation() == generation).then_some(endpoint)
    }

    /// Its segment.
    #[must_use]
    pub fn mapped(&self) -> &'static Mapped {
        self.mapped
    }

    /// Its slot's index.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Its slot.
    #[inline]
    #[must_use]
    pub fn slot(&self) -> &'static Slot {
        self.slot
    }

    /// How often its slot has been used.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.slot.server.generation.load(Ordering::Relaxed)
    }

    /// What it is doing, with its `STATE_*` flags. After io-net's end every socket is reset.
    #[inline]
    #[must_use]
    pub fn state(&self) -> (State, u32) {
        let word = self.slot.server.state.load(Ordering::Acquire);
        if self.mapped.is_dead() {
            use io_net_proto::slot::{STATE_RX_END, STATE_TX_END};
            return (State::Closed, STATE_RX_END | STATE_TX_END);
        }
        (State::of(word).unwrap_or(State::Closed), word)
    }

    /// The event counter, on which blocking calls sleep.
    #[inline]
    #[must_use]
    pub fn events(&self) -> &'static AtomicU32 {
        &self.mapped.segment().header().events[self.index as usize]
    }

    /// Whether it is a stream socket; else it keeps message boundaries.
    #[inline]
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.socket_type() == libc::SOCK_STREAM
    }

    /// SO_DOMAIN.
    #[must_use]
    pub fn domain(&self) -> i32 {
        (self.slot.server.kind.load(Ordering::Relaxed) & 0xff).cast_signed()
    }

    /// SO_TYPE.
    #[inline]
    #[must_use]
    pub fn socket_type(&self) -> i32 {
        (self.slot.server.kind.load(Ordering::Relaxed) >> 8 & 0xff).cast_signed()
    }

    /// SO_PROTOCOL.
    #[must_use]
    pub fn protocol(&self) -> i32 {
        (self.slot.server.kind.load(Ordering::Relaxed) >> 16).cast_signed()
    }

    /// O_NONBLOCK.
    #[inline]
    #[must_use]
    pub fn is_nonblocking(&self) -> bool {
        self.slot.shared.nonblocking.load(Ordering::Relaxed) != 0
    }

    /// Sets O_NONBLOCK. The descriptor's own flag is for its owner to set.
    pub fn set_nonblocking(&self, on: bool) {
        self.slot
            .shared
            .nonblocking
            .store(on.into(), Ordering::Relaxed);
    }

    /// Tells io-net that something of this socket's has changed.
    #[inline]
    pub(crate) fn tell(&self) {
        self.mapped.tell(self.index);
    }

    /// The FIFO toward the network.
    #[inline]
    pub(crate) fn tx(&self) -> Result<Fifo<'static>> {
        let size = self.slot.server.tx_size.load(Ordering::Relaxed);
        self.mapped
            .segment()
            .tx(self.index, size)
            .ok_or(Errno::CORRUPT)
    }

    /// The FIFO from the network.
    #[inline]
    pub(crate) fn rx(&self) -> Result<Fifo<'static>> {
        let size = self.slot.server.rx_size.load(Ordering::Relaxed);
        self.mapped
            .segment()
            .rx(self.index, size)
            .ok_or(Errno::CORRUPT)
    }

    /// SO_ERROR: what has gone wrong since it was last asked; 0: nothing.
    #[must_use]
    pub fn take_error(&self) -> u32 {
        let error = &self.slot.both.error;
        // The plain load keeps the line shared.
        if error.load(Ordering::Relaxed) == 0 {
            0
        } else {
            error.swap(0, Ordering::AcqRel)
        }
    }

    /// Fails with what [`Endpoint::take_error`] has.
    pub(crate) fn check_error(&self) -> Result<()> {
        Errno::check(self.take_error())
    }
}

/// Takes a lock of a slot's for this thread.
#[inline]
pub(crate) fn lock(lock: &'static SharedLock) -> Result<Guard<'static>> {
    // A signal handler that interrupted the owner cannot wait for it.
    lock.lock(thread_id()).map_err(|_| Errno::AGAIN)
}

thread_local! {
    /// The thread's id, and how many forks this process is away from the one that asked.
    static THREAD: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

#[inline]
fn thread_id() -> u32 {
    let forks = crate::fork::count();
    let (id, asked) = THREAD.get();
    if id != 0 && asked == forks {
        return id;
    }
    let id = io_net_os::task::thread_id();
    THREAD.set((id, forks));
    id
}
