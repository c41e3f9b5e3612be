//! What happens to all this in a child of fork.
//!
//! Sockets go on working in the child: segments stay mapped, doorbells are inherited. Its session
//! is a new one, made when it first needs one, as the parent goes on using the old. The handlers
//! hold all process-wide locks over the fork, so that the child finds nothing half done.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{MutexGuard, PoisonError};

use crate::session::Session;
use crate::{epoll, mapped, session};

static FORKS: AtomicU32 = AtomicU32::new(0);
static PROCESS: AtomicU32 = AtomicU32::new(0);

struct Held(UnsafeCell<Option<Guards>>);

struct Guards {
    session: MutexGuard<'static, Option<Session>>,
    _adding: MutexGuard<'static, ()>,
    _epolls: epoll::AllLocked,
}

// SAFETY: only touched by the handlers, which the C library runs one fork at a time, with the
// session lock held.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

/// How many forks away from the first process this one is.
#[inline]
pub(crate) fn count() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Whether this is the process that the tables describe. Not so in a child of vfork, which shares
/// the parent's memory but not its descriptors: it must change no table.
#[must_use]
pub fn is_own_process() -> bool {
    let own = PROCESS.load(Ordering::Relaxed);
    let now = io_net_os::task::process_id();
    if own == 0 {
        PROCESS.store(now, Ordering::Relaxed);
        return true;
    }
    own == now
}

/// To be called before fork, in the forking thread.
pub fn prepare() {
    let session = session::SESSION
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let adding = mapped::ADDING
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let guards = Guards {
        session,
        _adding: adding,
        _epolls: epoll::lock_all(),
    };
    // SAFETY: the session lock is held, so no other thread is between here and its release.
    unsafe { *HELD.0.get() = Some(guards) };
}

/// To be called after fork, in the parent.
pub fn parent() {
    // SAFETY: this thread holds the session lock since `prepare`.
    drop(unsafe { (*HELD.0.get()).take() });
}

/// To be called after fork, in the child.
pub fn child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    PROCESS.store(io_net_os::task::process_id(), Ordering::Relaxed);
    // SAFETY: this thread holds the session lock since `prepare`, and is the only one.
    if let Some(mut guards) = unsafe { (*HELD.0.get()).take() } {
        session::drop_session(&mut guards.session);
    }
}
