//! The pool: one memfd with every descriptor and every buffer.
//!
//! Layout of the mapping: the descriptors of the small buffers, then those of the large ones, then
//! the small buffers, then the large ones. Free packets lie in two stacks that all threads share
//! under a lock, and in each worker's [`Cache`], which goes to the lock only a batch at a time.

use crate::packet::next_of;
use io_net_abi::{HEADROOM, NPKT_EXT, Npkt, NpktRx, NpktWay, PoolInfo, VnetHdr};
use io_net_os::map::{SEALS_FIXED_SIZE, SharedMap, add_seals, memfd};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a small buffer: a frame of the usual MTU; a divisor of the page, as AF_XDP asks.
const SMALL: u32 = 2048;
/// Bytes of a large buffer: a 64 KiB segment with its headers and headroom, in whole pages.
const LARGE: u32 = 68 * 1024;
const PAGE: usize = 4096;
const HUGE_PAGE: usize = 2 << 20;

/// Packets that a cache takes from or gives to the shared stacks at once, by class.
const BATCH: [usize; 2] = [256, 32];

/// How much packet memory to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Small buffers, 2 KiB each.
    pub small: u32,
    /// Large buffers, 68 KiB each.
    pub large: u32,
    /// Use huge pages where the system has enough of them reserved.
    pub huge: bool,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            small: 16384,
            large: 512,
            huge: true,
        }
    }
}

/// Why a pool could not be made.
#[derive(Debug)]
pub enum PoolError {
    /// A count is 0, or more than 2^24.
    Count,
    /// The kernel refused the memory.
    Memory(io::Error),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::Count => f.write_str(
                "a pool needs between 1 and 16777216 buffers of each size; change --pool",
            ),
            PoolError::Memory(error) => {
                write!(
                    f,
                    "no memory for the packet pool: {error}; ask for fewer buffers with --pool"
                )
            }
        }
    }
}

impl std::error::Error for PoolError {}

/// All packet memory of one io-net.
pub struct Pool {
    map: SharedMap,
    fd: OwnedFd,
    info: PoolInfo,
    free: [Mutex<Vec<Free>>; 2],
    cached: Mutex<Vec<Arc<AtomicUsize>>>,
    released_twice: AtomicU64,
}

/// A descriptor that nobody references.
#[derive(Clone, Copy)]
struct Free(*mut Npkt);

// SAFETY: a free descriptor has one holder, whichever thread that is.
unsafe impl Send for Free {}
// SAFETY: `info` holds the address of `map`, which may be used from any thread; the rest is Sync.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

/// One thread's stock of free packets.
pub struct Cache {
    pool: Arc<Pool>,
    free: [Vec<Free>; 2],
    count: Arc<AtomicUsize>,
}

impl Cache {
    /// Allocates up to `out.len()` packets that hold `size` bytes each beside their headroom.
    /// Returns how many of `out`'s slots were filled, from the first.
    #[inline]
    pub fn alloc(&mut self, size: u32, out: &mut [*mut Npkt]) -> u32 {
        let Some(class) = class_for(size) else {
            return 0;
        };
        if self.free[class].len() < out.len() {
            self.refill(class, out.len());
        }
        let n = out.len().min(self.free[class].len());
        let start = self.free[class].len() - n;
        let colours = colours(class, size);
        for (slot, free) in out.iter_mut().zip(self.free[class].drain(start..)) {
            // SAFETY: a free descriptor of the pool has no other holder.
            unsafe { reset(free.0, colours) };
            *slot = free.0;
        }
        self.publish_count();
        n as u32
    }

    /// Releases one reference to each packet. Those with foreign buffers whose last reference this
    /// was go to `ext` instead of the pool.
    ///
    /// # Safety
    /// Each pointer is an owned reference to a live packet of this pool, given up by the call.
    #[inline]
    pub unsafe fn release(&mut self, pkts: &[*mut Npkt], mut ext: impl FnMut(*mut Npkt)) {
        for &pkt in pkts {
            let mut at = Some(pkt);
            // SAFETY: the reference keeps the packet and its chain alive until it is dropped here.
            unsafe {
                match drop_reference(pkt) {
                    Dropped::Last => {}
                    Dropped::Shared => continue,
                    Dropped::Free => {
                        self.pool.note_released_twice();
                        continue;
                    }
                }
                while let Some(fragment) = at {
                    at = next_of(fragment);
                    if (*fragment).flags & NPKT_EXT != 0 {
                        (*fragment).next = 0;
                        ext(fragment);
                    } else {
                        // By this a second release is told from the first.
                        *(*fragment).refs.get_mut() = 0;
                        self.free[self.pool.class_of(fragment)].push(Free(fragment));
                    }
                }
            }
        }
        self.spill();
        self.publish_count();
    }

    #[cold]
    fn refill(&mut self, class: usize, want: usize) {
        let mut shared = self.pool.shared(class);
        let n = (BATCH[class] + want).min(shared.len());
        let start = shared.len() - n;
        self.free[class].extend(shared.drain(start..));
    }

    #[inline]
    fn spill(&mut self) {
        for (class, batch) in BATCH.into_iter().enumerate() {
            if self.free[class].len() > 4 * batch {
                self.give_back(class, 2 * batch);
            }
        }
    }

    /// Leaves `keep` packets of a class, the most recently used, and shares the others.
    #[cold]
    fn give_back(&mut self, class: usize, keep: usize) {
        let n = self.free[class].len().saturating_sub(keep);
        self.pool.shared(class).extend(self.free[class].drain(..n));
    }

    #[inline]
    fn publish_count(&self) {
        let count = self.free[0].len() + self.free[1].len();
        self.count.store(count, Ordering::Relaxed);
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.give_back(0, 0);
        self.give_back(1, 0);
        let mut cached = self
            .pool
            .cached
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cached.retain(|count| !Arc::ptr_eq(count, &self.count));
    }
}

impl Pool {
    /// Makes a pool with all its packets free.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn new(config: PoolConfig) -> Result<Arc<Pool>, PoolError> {
        let limit = 1..=1 << 24;
        if !limit.contains(&config.small) || !limit.contains(&config.large) {
            return Err(PoolError::Count);
        }
        let descriptors = (config.small + config.large) as usize * size_of::<Npkt>();
        let small_off = descriptors.next_multiple_of(PAGE);
        let large_off = small_off + config.small as usize * SMALL as usize;
        let size = large_off + config.large as usize * LARGE as usize;
        let (fd, map) = map_pool(size, config.huge).map_err(PoolError::Memory)?;
        let info = PoolInfo {
            base: map.as_ptr(),
            size: map.len() as u64,
            fd: fd.as_raw_fd(),
            n_small: config.small,
            n_large: config.large,
            small_size: SMALL,
            large_size: LARGE,
            small_off: small_off as u64,
            large_off: large_off as u64,
        };
        let free = [carve(&info, 0), carve(&info, 1)].map(Mutex::new);
        Ok(Arc::new(Pool {
            map,
            fd,
            info,
            free,
            cached: Mutex::default(),
            released_twice: AtomicU64::new(0),
        }))
    }

    /// A stock for the calling thread.
    pub fn cache(self: &Arc<Pool>) -> Cache {
        let count = Arc::new(AtomicUsize::new(0));
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.push(count.clone());
        let stack = |class: usize| Vec::with_capacity(8 * BATCH[class]);
        Cache {
            pool: self.clone(),
            free: [stack(0), stack(1)],
            count,
        }
    }

    /// Packets that nobody references. Exact only while no worker runs.
    pub fn count_free(&self) -> usize {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let in_caches: usize = cached
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum();
        in_caches + self.shared(0).len() + self.shared(1).len()
    }

    /// Releases of packets that were free already: mistakes of modules, and without effect. One that
    /// comes after the packet was allocated anew cannot be told.
    pub fn count_released_twice(&self) -> u64 {
        self.released_twice.load(Ordering::Relaxed)
    }

    #[cold]
    fn note_released_twice(&self) {
        self.released_twice.fetch_add(1, Ordering::Relaxed);
    }

    /// Packets in all.
    pub fn count(&self) -> usize {
        (self.info.n_small + self.info.n_large) as usize
    }

    /// Where the memory is. `info.fd` and `info.base` are this pool's own.
    pub fn info(&self) -> PoolInfo {
        self.info
    }

    /// The memfd, to map the pool elsewhere.
    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether `pkt` is a descriptor of this pool: what a module hands over may be anything.
    #[inline]
    pub fn owns(&self, pkt: *const Npkt) -> bool {
        let offset = (pkt as usize).wrapping_sub(self.map.as_ptr() as usize);
        offset < self.count() * size_of::<Npkt>() && offset.is_multiple_of(size_of::<Npkt>())
    }

    #[inline]
    fn class_of(&self, pkt: *const Npkt) -> usize {
        let index = (pkt as usize - self.map.as_ptr() as usize) / size_of::<Npkt>();
        usize::from(index >= self.info.n_small as usize)
    }

    fn shared(&self, class: usize) -> MutexGuard<'_, Vec<Free>> {
        self.free[class]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The class whose buffers hold `size` bytes and the headroom.
#[inline]
fn class_for(size: u32) -> Option<usize> {
    if size <= SMALL - HEADROOM {
        Some(0)
    } else if size <= LARGE - HEADROOM {
        Some(1)
    } else {
        None
    }
}

/// A mask for descriptor numbers, by which data starts in different cache lines.
///
/// Buffers are a power of two apart: with the same offset in each, the headers of a burst would
/// all compete for a few sets of the first-level cache.
#[inline]
fn colours(class: usize, size: u32) -> usize {
    let spare = [SMALL, LARGE][class] - HEADROOM - size;
    match spare / 64 {
        0..4 => 0,
        4..8 => 3,
        8..16 => 7,
        _ => 15,
    }
}

/// Makes a free descriptor an empty packet with one reference.
///
/// # Safety
/// `pkt` is a descriptor of a pool that nobody else holds.
#[inline]
unsafe fn reset(pkt: *mut Npkt, colours: usize) {
    let colour = (pkt as usize / size_of::<Npkt>()) & colours;
    // SAFETY: the caller's promise.
    let pkt = unsafe { &mut *pkt };
    pkt.data_off = HEADROOM + 64 * colour as u32;
    pkt.len = 0;
    pkt.next = 0;
    *pkt.refs.get_mut() = 1;
    pkt.flags = 0;
    (pkt.cell, pkt.endpoint, pkt.iface) = (0, 0, 0);
    pkt.vlan_tci = 0;
    pkt.vnet = VnetHdr {
        flags: 0,
        gso_type: 0,
        hdr_len: 0,
        gso_size: 0,
        csum_start: 0,
        csum_offset: 0,
    };
}

/// What is left of a packet after one reference less.
enum Dropped {
    /// Nobody holds it: it is the caller's alone.
    Last,
    /// Others hold it.
    Shared,
    /// There was no reference: it is free already.
    Free,
}

/// Drops one reference.
///
/// # Safety
/// The caller holds the reference; or `pkt`, a descriptor of the pool, is free and stays so.
#[inline]
unsafe fn drop_reference(pkt: *mut Npkt) -> Dropped {
    // SAFETY: descriptors are never unmapped while the pool is.
    let refs = unsafe { &(*pkt).refs };
    match refs.load(Ordering::Acquire) {
        // The usual case: nobody else can add a reference to what only we hold.
        1 => return Dropped::Last,
        0 => return Dropped::Free,
        _ => {}
    }
    if refs.fetch_sub(1, Ordering::Release) != 1 {
        return Dropped::Shared;
    }
    fence(Ordering::Acquire);
    Dropped::Last
}

/// The mapping of a pool: on huge pages where asked for and to be had, else on ordinary ones.
fn map_pool(size: usize, huge: bool) -> io::Result<(OwnedFd, SharedMap)> {
    if huge {
        let whole = size.next_multiple_of(HUGE_PAGE);
        let tried = memfd(c"io-net-pool", whole, true)
            .and_then(|fd| SharedMap::populated(fd.as_fd(), whole).map(|map| (fd, map)));
        if let Ok(pool) = tried {
            return Ok(pool);
        }
    }
    let fd = memfd(c"io-net-pool", size, false)?;
    add_seals(fd.as_fd(), SEALS_FIXED_SIZE)?;
    let map = SharedMap::new(fd.as_fd(), size)?;
    Ok((fd, map))
}

/// Initialises the descriptors of one class, and gives them as a stack whose top is the first.
fn carve(info: &PoolInfo, class: usize) -> Vec<Free> {
    let (first, n) = [(0, info.n_small), (info.n_small, info.n_large)][class];
    let (start, size) = [
        (info.small_off, info.small_size),
        (info.large_off, info.large_size),
    ][class];
    let one = |i: u32| {
        let descriptor = (first + i) as usize * size_of::<Npkt>();
        let buffer = start as usize + i as usize * size as usize;
        // SAFETY: the layout has room for this descriptor, nobody else knows the mapping yet, and
        // it is aligned as the mapping is.
        let pkt = unsafe {
            let pkt = info.base.add(descriptor).cast::<Npkt>();
            pkt.write(Npkt {
                buf: buffer as i64 - descriptor as i64,
                data_off: HEADROOM,
                len: 0,
                next: 0,
                refs: AtomicU32::new(0),
                flags: 0,
                owner: 0,
                buf_units: (size / 64) as u16,
                cell: 0,
                endpoint: 0,
                iface: 0,
                vlan_tci: 0,
                vnet: VnetHdr::default(),
                way: NpktWay {
                    rx: NpktRx {
                        tstamp_ns: 0,
                        hash: 0,
                        mark: 0,
                    },
                },
            });
            pkt
        };
        Free(pkt)
    };
    (0..n).rev().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small_pool() -> Arc<Pool> {
        Pool::new(PoolConfig {
            small: 600,
            large: 40,
            huge: false,
        })
        .unwrap()
    }

    fn alloc(cache: &mut Cache, size: u32, n: usize) -> Vec<*mut Npkt> {
        let mut pkts = vec![std::ptr::null_mut(); n];
        let got = cache.alloc(size, &mut pkts) as usize;
        pkts.truncate(got);
        pkts
    }

    fn release(cache: &mut Cache, pkts: &[*mut Npkt]) {
        // SAFETY: the tests give up what they allocated, once.
        unsafe { cache.release(pkts, |_| panic!("no foreign buffers here")) };
    }

    #[test]
    fn every_packet_comes_once_and_goes_back() {
        let pool = small_pool();
        let mut cache = pool.cache();
        let small = alloc(&mut cache, 1500, 1000);
        let large = alloc(&mut cache, 65536, 1000);
        assert_eq!((small.len(), large.len()), (600, 40));
        assert_eq!(pool.count_free(), 0);
        let mut all = [small, large].concat();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), pool.count());
        assert!(all.iter().all(|&pkt| pool.owns(pkt)));
        release(&mut cache, &all);
        assert_eq!(pool.count_free(), pool.count());
    }

    #[test]
    fn sizes_choose_the_class_and_too_large_is_refused() {
        let pool = small_pool();
        let mut cache = pool.cache();
        for (size, class) in [(0, 0), (1920, 0), (1921, 1), (69504, 1)] {
            let pkts = alloc(&mut cache, size, 8);
            assert_eq!(pool.class_of(pkts[0]), class, "size {size}");
            for &pkt in &pkts {
                // SAFETY: allocated above, ours alone.
                let pkt = unsafe { &*pkt };
                assert!(pkt.data_off + size <= u32::from(pkt.buf_units) * 64);
            }
            release(&mut cache, &pkts);
        }
        assert_eq!(alloc(&mut cache, 69505, 1).len(), 0);
    }

    #[test]
    fn buffers_do_not_overlap() {
        let pool = small_pool();
        let mut cache = pool.cache();
        let pkts = [alloc(&mut cache, 0, 600), alloc(&mut cache, 4096, 40)].concat();
        let mut spans: Vec<(i64, i64)> = pkts
            .iter()
            .map(|&pkt| {
                // SAFETY: allocated above, ours alone.
                let start = pkt as i64 + unsafe { (*pkt).buf };
                // SAFETY: as above.
                (start, start + 64 * i64::from(unsafe { (*pkt).buf_units }))
            })
            .collect();
        spans.sort();
        let end = pool.info().base as i64 + pool.info().size as i64;
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        assert!(spans.last().unwrap().1 <= end);
        release(&mut cache, &pkts);
    }

    #[test]
    fn a_chain_and_shared_references_are_released_once() {
        let pool = small_pool();
        let mut cache = pool.cache();
        let mut pkts = alloc(&mut cache, 100, 3);
        // SAFETY: allocated above, ours alone.
        unsafe {
            (*pkts[0]).next = pkts[1].offset_from(pkts[0]) as i32;
            (*pkts[1]).next = pkts[2].offset_from(pkts[1]) as i32;
            (*pkts[0]).refs.fetch_add(2, Ordering::Relaxed);
        }
        release(&mut cache, &[pkts[0], pkts[0]]);
        assert_eq!(pool.count_free(), pool.count() - 3);
        release(&mut cache, &[pkts[0]]);
        assert_eq!(pool.count_free(), pool.count());
    }

    #[test]
    fn a_second_release_is_counted_and_has_no_effect() {
        let pool = small_pool();
        let mut cache = pool.cache();
        let pkts = alloc(&mut cache, 100, 2);
        // SAFETY: allocated above, ours alone.
        unsafe { (*pkts[0]).refs.fetch_add(1, Ordering::Relaxed) };
        release(&mut cache, &[pkts[0], pkts[1], pkts[0]]);
        assert_eq!(pool.count_released_twice(), 0);
        release(&mut cache, &[pkts[0], pkts[1]]);
        assert_eq!(pool.count_released_twice(), 2);
        assert_eq!(pool.count_free(), pool.count());
        let again = alloc(&mut cache, 100, 600);
        let distinct: std::collections::HashSet<_> = again.iter().collect();
        assert_eq!(distinct.len(), 600);
        release(&mut cache, &again);
    }

    #[test]
    fn caches_share_through_the_pool() {
        let pool = small_pool();
        let mut here = pool.cache();
        let pkts = alloc(&mut here, 100, 600);
        let sent: Vec<usize> = pkts.iter().map(|&pkt| pkt as usize).collect();
        let there = pool.clone();
        std::thread::spawn(move || {
            let pkts: Vec<*mut Npkt> = sent.iter().map(|&pkt| pkt as *mut Npkt).collect();
            release(&mut there.cache(), &pkts);
        })
        .join()
        .unwrap();
        assert_eq!(pool.count_free(), pool.count());
        let again = alloc(&mut here, 100, 600);
        assert_eq!(again.len(), 600);
        release(&mut here, &again);
    }

    #[test]
    fn absurd_counts_are_refused() {
        for (small, large) in [(0, 1), (1, 0), (1 << 25, 1)] {
            let made = Pool::new(PoolConfig {
                small,
                large,
                huge: false,
            });
            assert!(matches!(made, Err(PoolError::Count)));
        }
    }
}
