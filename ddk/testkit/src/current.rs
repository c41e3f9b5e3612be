//! Which kit a call without a context means, and on whose behalf it comes.
//!
//! Modules allocate and release with a null context. On a test's thread the innermost call into a
//! module tells the kit; outside such calls it is the test itself that asks.

use crate::ledger::Side;
use crate::state::Shared;
use io_net_abi::Npkt;
use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, PoisonError, Weak};

static KITS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

thread_local! {
    static CALLS: RefCell<Vec<Arc<Shared>>> = const { RefCell::new(Vec::new()) };
    static LATEST: RefCell<Weak<Shared>> = const { RefCell::new(Weak::new()) };
    /// Whether this is a test's thread: a kit was started on it, which may have ended since.
    static IS_TEST: Cell<bool> = const { Cell::new(false) };
}

/// Makes a kit known.
pub(crate) fn enter(kit: &Arc<Shared>) {
    let mut kits = KITS.lock().unwrap_or_else(PoisonError::into_inner);
    kits.retain(|kit| kit.strong_count() > 0);
    kits.push(Arc::downgrade(kit));
    LATEST.set(Arc::downgrade(kit));
    IS_TEST.set(true);
}

/// Marks a call into a module of `kit`, while `call` runs.
pub(crate) fn call<R>(kit: &Arc<Shared>, call: impl FnOnce() -> R) -> R {
    CALLS.with_borrow_mut(|calls| calls.push(kit.clone()));
    let result = call();
    CALLS.with_borrow_mut(Vec::pop);
    result
}

/// Has the test allocate from `kit`, while `make` runs.
pub(crate) fn from<R>(kit: &Arc<Shared>, make: impl FnOnce() -> R) -> R {
    LATEST.set(Arc::downgrade(kit));
    make()
}

/// Who is calling from this thread.
pub(crate) fn side() -> Side {
    let in_call = CALLS.with_borrow(|calls| !calls.is_empty());
    if IS_TEST.get() && !in_call {
        Side::Kit
    } else {
        Side::Module
    }
}

/// The kit to allocate from.
pub(crate) fn allocator() -> Option<Arc<Shared>> {
    let innermost = CALLS.with_borrow(|calls| calls.last().cloned());
    innermost
        .or_else(|| LATEST.with_borrow(Weak::upgrade))
        .or_else(|| {
            let kits = KITS.lock().unwrap_or_else(PoisonError::into_inner);
            kits.iter().rev().find_map(Weak::upgrade)
        })
}

/// The kit whose pool holds `pkt`.
pub(crate) fn owner(pkt: *const Npkt) -> Option<Arc<Shared>> {
    let kits = KITS.lock().unwrap_or_else(PoisonError::into_inner);
    let live = kits.iter().filter_map(Weak::upgrade);
    live.into_iter().find(|kit| kit.pool.owns(pkt))
}
