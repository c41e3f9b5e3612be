//! Pools of threads that wait for messages and handle them: more when few are left that wait, fewer
//! when many do.

use std::ffi::{c_int, c_uint, c_ushort, c_void};
use std::ptr::null_mut;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::convert::{set_errno, status};
use super::dispatch::{lock, with_address};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::thread;

/// `POOL_FLAG_EXIT_SELF`.
const EXIT_SELF: c_uint = 1;
/// `POOL_FLAG_USE_SELF`.
const USE_SELF: c_uint = 2;

/// `thread_pool_attr_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct PoolAttr {
    handle: *mut c_void,
    block: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    unblock: Option<unsafe extern "C" fn(*mut c_void)>,
    handler: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    context_alloc: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    context_free: Option<unsafe extern "C" fn(*mut c_void)>,
    attr: *mut c_void,
    lo_water: c_ushort,
    increment: c_ushort,
    hi_water: c_ushort,
    maximum: c_ushort,
}

// SAFETY: the handle is what C gives to functions of its own, which it wants called by any thread.
unsafe impl Send for PoolAttr {}

// As tests/c/names.c finds it in C.
const _: () = assert!(size_of::<PoolAttr>() == 64);

/// `thread_pool_t`.
pub(crate) struct Pool {
    flags: c_uint,
    shared: Arc<Shared>,
}

struct Shared {
    attr: PoolAttr,
    state: Mutex<State>,
    ended: Condvar,
}

// SAFETY: as for `PoolAttr`; it is never changed.
unsafe impl Sync for Shared {}

#[derive(Default)]
struct State {
    threads: usize,
    /// Kernel ids of those that wait, and the contexts that they wait with.
    waiting: Vec<(u32, usize)>,
    ending: bool,
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn thread_pool_create(
    attr: *const PoolAttr,
    flags: c_uint,
) -> *mut Pool {
    // SAFETY: C's promise.
    let attr = unsafe { attr.as_ref() }.filter(|attr| {
        let functions = attr.block.is_some() && attr.handler.is_some();
        functions && attr.context_alloc.is_some() && attr.maximum > 0
    });
    let Some(&attr) = attr else {
        set_errno(Error::INVALID);
        return null_mut();
    };
    let shared = Arc::new(Shared {
        attr,
        state: Mutex::default(),
        ended: Condvar::new(),
    });
    Box::into_raw(Box::new(Pool { flags, shared }))
}

/// Starts the threads. Returns at once, or with `EXIT_SELF` and `USE_SELF` never.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn thread_pool_start(pool: *mut c_void) -> c_int {
    // SAFETY: C's promise: thread_pool_create made it.
    let Some(pool) = (unsafe { pool.cast::<Pool>().as_ref() }) else {
        return Error::INVALID.errno();
    };
    let wanted = pool.shared.attr.lo_water.max(1);
    for _ in 0..wanted {
        if let Err(error) = spawn(&pool.shared) {
            return error.errno();
        }
    }
    if pool.flags & USE_SELF != 0 {
        lock(&pool.shared.state).threads += 1;
        pool.shared.work();
    }
    if pool.flags & (EXIT_SELF | USE_SELF) == 0 {
        return 0;
    }
    // The process lives as long as its threads do.
    loop {
        std::thread::park();
    }
}

/// Ends the threads, each when it waits, and frees the pool. Not to be called by one of them.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn thread_pool_destroy(pool: *mut Pool) -> c_int {
    if pool.is_null() {
        return status(Err(Error::INVALID));
    }
    // SAFETY: C's promise: thread_pool_create made it, and nobody else uses it.
    let pool = unsafe { Box::from_raw(pool) };
    let shared = &pool.shared;
    let mut state = lock(&shared.state);
    state.ending = true;
    while state.threads > 0 {
        for &(tid, context) in &state.waiting {
            if let Some(unblock) = shared.attr.unblock {
                // SAFETY: C gave the function for this; the thread waits with this context.
                unsafe { unblock(with_address(context)) };
            }
            Process::get().unblock(tid);
        }
        // One that was about to wait is asked again.
        let slice = std::time::Duration::from_millis(10);
        let waited = shared.ended.wait_timeout(state, slice);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    0
}

fn spawn(shared: &Arc<Shared>) -> Result<()> {
    lock(&shared.state).threads += 1;
    let of_thread = shared.clone();
    let spawned = std::thread::Builder::new().spawn(move || of_thread.work());
    if spawned.is_err() {
        lock(&shared.state).threads -= 1;
    }
    spawned.map(drop).map_err(Error::from)
}

impl Shared {
    /// A thread's life.
    fn work(self: &Arc<Self>) {
        let attr = &self.attr;
        if let (Some(alloc), Some(block), Some(handler)) =
            (attr.context_alloc, attr.block, attr.handler)
        {
            // SAFETY: C gave the functions for this, to be called by any thread.
            let mut context = unsafe { alloc(attr.handle) };
            while !context.is_null() && self.begin_wait(context) {
                // SAFETY: as above; the context is this thread's.
                let received = unsafe { block(context) };
                let leaves = self.end_wait();
                if !received.is_null() {
                    context = received;
                    // SAFETY: as above.
                    unsafe { handler(context) };
                } else if std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
                    break;
                }
                if leaves {
                    break;
                }
            }
            if let Some(free) = attr.context_free.filter(|_| !context.is_null()) {
                // SAFETY: as above; it is not used any more.
                unsafe { free(context) };
            }
        }
        lock(&self.state).threads -= 1;
        self.ended.notify_all();
    }

    /// False: the pool ends.
    fn begin_wait(&self, context: *mut c_void) -> bool {
        let mut state = lock(&self.state);
        if !state.ending {
            state
                .waiting
                .push((thread::id(), context.expose_provenance()));
        }
        !state.ending
    }

    /// Whether this thread is one too many. Where few are left that wait, more come.
    fn end_wait(self: &Arc<Self>) -> bool {
        let (own, attr) = (thread::id(), &self.attr);
        let mut state = lock(&self.state);
        state.waiting.retain(|&(tid, _)| tid != own);
        let (waiting, room) = (
            state.waiting.len(),
            usize::from(attr.maximum).saturating_sub(state.threads),
        );
        let ending = state.ending;
        drop(state);
        if waiting < attr.lo_water.into() && !ending {
            for _ in 0..room.min(attr.increment.max(1).into()) {
                // Those that there are go on.
                let _ = spawn(self);
            }
        }
        attr.hi_water > 0 && waiting >= attr.hi_water.into()
    }
}
