//! What all threads of one io-net share: the pool, the way to each worker and to the control
//! thread, the log, and the registry.

use crate::dispatch::Reg;
use crate::log::Log;
use crate::registry::Registry;
use crate::worker::mailbox::Mailbox;
use io_net_abi::{Advert, RegHandle};
use io_net_os::eventfd::EventFd;
use io_net_pktbuf::Pool;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Notes that may wait for the control thread.
const NOTES_MAX: usize = 1024;

/// What workers tell the control thread.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    /// An instance has failed and must be taken out.
    Failed(u64),
    /// A registrant tells of an interface.
    Advert(RegHandle, Advert),
    /// A registrant has been entered or given a pattern while io-net runs.
    Changed,
}

/// See the module's documentation.
pub struct Shared {
    pool: Arc<Pool>,
    workers: Vec<Mailbox>,
    notes: Mutex<VecDeque<Note>>,
    bell: EventFd,
    orphans: AtomicU64,
    astray: AtomicU64,
    run_dir: PathBuf,
    registry: Mutex<Registry>,
    /// The log.
    pub log: Log,
}

impl Shared {
    /// What `workers` workers share.
    ///
    /// # Errors
    /// The kernel's error: out of fds.
    pub fn new(
        pool: Arc<Pool>,
        workers: usize,
        run_dir: PathBuf,
        log: Log,
    ) -> io::Result<Arc<Shared>> {
        Ok(Arc::new(Shared {
            pool,
            workers: (0..workers)
                .map(|_| Mailbox::new())
                .collect::<Result<_, _>>()?,
            notes: Mutex::default(),
            bell: EventFd::new()?,
            orphans: AtomicU64::new(0),
            astray: AtomicU64::new(0),
            run_dir,
            registry: Mutex::default(),
            log,
        }))
    }

    /// The packet pool.
    #[inline]
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// How many workers there are.
    #[inline]
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// The way to a worker.
    #[inline]
    #[must_use]
    pub fn worker(&self, index: usize) -> &Mailbox {
        &self.workers[index]
    }

    /// Where the sockets are.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Registrants, names and types. Never held while waiting for a worker.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registrant that is or will be in a slot.
    #[must_use]
    pub fn reg_at(&self, slot: usize) -> Option<Arc<Reg>> {
        self.registry().reg_at(slot)
    }

    /// Tells the control thread; false where too many notes wait.
    pub fn tell_control(&self, note: Note) -> bool {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let urgent = matches!(note, Note::Failed(_));
        if notes.len() >= NOTES_MAX && !urgent {
            return false;
        }
        notes.push_back(note);
        drop(notes);
        self.bell.raise();
        true
    }

    /// Takes the notes there are. Control thread.
    pub fn take_notes(&self) -> VecDeque<Note> {
        self.bell.lower();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut notes)
    }

    /// Readable while there are notes.
    pub fn notes_bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Counts packets over foreign memory whose owner is gone: they are lost to the pool.
    #[cold]
    pub fn count_orphans(&self, n: usize) {
        self.orphans.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Counts packets that were released because they came from or went to nobody: sent off the
    /// home worker, or under a handle that is not in the graph.
    #[cold]
    pub fn count_astray(&self, n: usize) {
        self.astray.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Packets released so.
    #[must_use]
    pub fn astray(&self) -> u64 {
        self.astray.load(Ordering::Relaxed)
    }

    /// Packets that `count_orphans` counted.
    #[must_use]
    pub fn orphans(&self) -> u64 {
        self.orphans.load(Ordering::Relaxed)
    }
}
