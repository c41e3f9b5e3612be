//! A port: where the clients of one user on one channel say that they have something, and where the
//! channel's receivers sleep. A client that writes rubbish there disturbs its own user's clients
//! only.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU32;

use io_net_os::eventfd::{self, EventFd};
use io_net_os::fork::PrivateFd;
use io_net_os::futex;
use io_net_os::map::{self, SharedMap};
use io_net_ring::shared;

use crate::dirty::{BY_FD, BY_FUTEX, Dirty};
use crate::layout::{PORT_LEN, PortWords};

/// A port, from either side.
#[derive(Debug)]
pub struct Port {
    map: SharedMap,
    bell: PrivateFd,
}

impl Port {
    /// Channel: makes a port, and the descriptor of its memory for the clients.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let (fd, map) = map::sealed_segment(c"io-net-port", PORT_LEN)?;
        let bell = PrivateFd::new(EventFd::new()?.into_fd());
        Ok((Self { map, bell }, fd))
    }

    /// Client: maps what it was sent.
    ///
    /// # Errors
    /// `InvalidData` when that is no port.
    pub(crate) fn open(memory: BorrowedFd<'_>, bell: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            map: open_sealed(memory, PORT_LEN)?,
            bell: PrivateFd::new(bell),
        })
    }

    fn words(&self) -> &PortWords {
        // Both makers have seen to the length.
        shared::view(&self.map, 0).expect("a port's memory")
    }

    /// Its dirty bits.
    #[inline]
    #[must_use]
    pub fn dirty(&self) -> Dirty<'_> {
        self.words().dirty()
    }

    /// The futex that receivers sleep on.
    #[must_use]
    pub fn asleep(&self) -> &AtomicU32 {
        &self.words().asleep
    }

    /// The eventfd that is raised for who waits by descriptor. None in a child of fork.
    #[must_use]
    pub fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.bell.get()
    }

    /// Lowers the bell.
    pub fn lower(&self) {
        if let Some(fd) = self.bell() {
            eventfd::lower(fd);
        }
    }

    /// Says that there is news at `bit`, and wakes who sleeps.
    #[inline]
    pub fn mark(&self, bit: usize) {
        let asleep = self.dirty().mark(bit);
        if asleep != 0 {
            self.wake(asleep);
        }
    }

    /// Wakes one receiver that sleeps, and who waits by descriptor.
    pub fn rouse(&self) {
        self.wake(self.dirty().rouse());
    }

    /// Wakes one receiver that sleeps, whether the word says so or not.
    pub fn rouse_one(&self) {
        let asleep = self.dirty().rouse();
        self.wake(asleep | BY_FUTEX);
    }

    /// Wakes all receivers.
    pub fn rouse_all(&self) {
        let asleep = self.dirty().rouse();
        futex::wake(self.asleep(), u32::MAX);
        self.wake(asleep & BY_FD);
    }

    fn wake(&self, asleep: u32) {
        if asleep & BY_FUTEX != 0 {
            futex::wake(self.asleep(), 1);
        }
        if let Some(bell) = self.bell().filter(|_| asleep & BY_FD != 0) {
            eventfd::raise(bell);
        }
    }
}

/// Maps a memfd of exactly `len` bytes whose size cannot change.
pub(crate) fn open_sealed(fd: BorrowedFd<'_>, len: usize) -> io::Result<SharedMap> {
    let sealed = map::seals(fd)? & map::SEALS_FIXED_SIZE == map::SEALS_FIXED_SIZE;
    if !sealed || map::file_len(fd)? != len {
        return Err(io::ErrorKind::InvalidData.into());
    }
    SharedMap::new(fd, len)
}
