//! Packets over a module's own memory: how many of them are still held by others.

use io_net_abi::{NPKT_EXT, Npkt};
use io_net_pktbuf::Pool;
use std::sync::atomic::{AtomicU16, Ordering};

/// Packets over memory of the registrant in `slot` that somebody holds. Any thread; once the
/// registrant sends nothing more, the count only falls.
#[must_use]
pub fn count_foreign(pool: &Pool, slot: u16) -> usize {
    let first = pool.info().base.cast::<Npkt>();
    let held = |index: &usize| {
        // SAFETY: the pool's mapping begins with `count` descriptors. Their fields are read as
        // atomics, because workers may write them meanwhile.
        let (refs, flags, owner) = unsafe {
            let pkt = first.add(*index);
            (
                &(*pkt).refs,
                AtomicU16::from_ptr(&raw mut (*pkt).flags),
                AtomicU16::from_ptr(&raw mut (*pkt).owner),
            )
        };
        refs.load(Ordering::Acquire) != 0
            && flags.load(Ordering::Relaxed) & NPKT_EXT != 0
            && owner.load(Ordering::Relaxed) == slot
    };
    (0..pool.count()).filter(held).count()
}
