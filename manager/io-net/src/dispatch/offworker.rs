//! Packets on threads that are no workers: the control thread's and those that modules make.
//!
//! `alloc` and `tx_done` may come with a null context from anywhere, so the way to a pool is by the
//! process: all io-nets that live in it (one, but for tests) are listed here.

use super::{Call, Crossed};
use crate::shared::Shared;
use io_net_abi::Npkt;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError, Weak};

static LIVING: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

thread_local! {
    static MINE: RefCell<Weak<Shared>> = const { RefCell::new(Weak::new()) };
}

/// Lists an io-net, and makes it the calling thread's own.
pub(super) fn enlist(shared: &Arc<Shared>) {
    let mut living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
    living.retain(|other| other.strong_count() > 0);
    living.push(Arc::downgrade(shared));
    MINE.set(Arc::downgrade(shared));
}

/// The io-net of this thread, else any that lives.
fn mine() -> Option<Arc<Shared>> {
    MINE.with_borrow(Weak::upgrade).or_else(|| {
        let living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
        living.iter().find_map(Weak::upgrade)
    })
}

/// The io-net whose pool `pkt` is of.
fn owner_of(pkt: *const Npkt) -> Option<Arc<Shared>> {
    let living = LIVING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut living = living.iter().filter_map(Weak::upgrade);
    living.find(|shared| shared.pool().owns(pkt))
}

/// As `Ion::alloc`.
pub(super) fn alloc(size: u32, out: &mut [*mut Npkt]) -> u32 {
    mine().map_or(0, |shared| shared.pool().cache().alloc(size, out))
}

/// As `Ion::tx_done`.
///
/// # Safety
/// `pkts` are owned references, given up by the call.
pub(super) unsafe fn release(pkts: &[*mut Npkt]) {
    let Some(shared) = pkts.first().and_then(|&pkt| owner_of(pkt)) else {
        return;
    };
    let mut foreign = Vec::new();
    let mut cache = shared.pool().cache();
    // SAFETY: the caller's promise; packets of one call are of one pool.
    unsafe { cache.release(pkts, |pkt| foreign.push(pkt)) };
    for pkt in foreign {
        // SAFETY: the last reference has just been dropped; the descriptor is ours alone.
        let owner = unsafe { (*pkt).owner };
        match shared.reg_at(usize::from(owner)) {
            Some(reg) => {
                let crossed = Crossed::new(reg.handle(), Call::TxDone, pkt);
                let home = shared.worker(reg.home());
                home.post(move |worker| worker.lane.come_home(crossed));
            }
            None => shared.count_orphans(1),
        }
    }
}
