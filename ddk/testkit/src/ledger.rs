//! Who holds which reference to which packet.
//!
//! A descriptor counts its references, and a module may add some without telling anybody. So the
//! ledger notes only what the test's side holds: the rest is the module's. What is handed over is
//! held against that, and a digest of its bytes shows whether somebody wrote them afterwards.

use io_net_abi::Npkt;
use io_net_pktbuf::{Cache, Pool};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the ledger knows of one descriptor.
#[derive(Clone, Default)]
struct Entry {
    live: bool,
    /// References held by the test's side.
    kit: u32,
    /// Where it was last seen, for a leak's report.
    story: &'static str,
    /// Of the bytes, when a reference came to the test's side.
    digest: u64,
}

/// Whose reference is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Kit,
    Module,
}

pub(crate) struct Ledger {
    pool: Arc<Pool>,
    cache: Cache,
    entries: Vec<Entry>,
    pub(crate) violations: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Ledger {
            cache: pool.cache(),
            entries: vec![Entry::default(); pool.count()],
            violations: Vec::new(),
            pool,
        }
    }

    pub(crate) fn violation(&mut self, what: String) {
        if self.violations.len() < 100 {
            self.violations.push(what);
        }
    }

    fn index(&self, pkt: *const Npkt) -> usize {
        (pkt as usize - self.pool.info().base as usize) / size_of::<Npkt>()
    }

    pub(crate) fn alloc(&mut self, size: u32, out: &mut [*mut Npkt], side: Side) -> u32 {
        let n = self.cache.alloc(size, out);
        for &pkt in &out[..n as usize] {
            let index = self.index(pkt);
            self.entries[index] = Entry {
                live: true,
                kit: u32::from(side == Side::Kit),
                story: match side {
                    Side::Kit => "made by the test",
                    Side::Module => "allocated by the module",
                },
                digest: 0,
            };
        }
        n
    }

    /// Every fragment of the packet, where the chain is sound.
    fn chain(&self, pkt: *mut Npkt) -> Result<Vec<*mut Npkt>, String> {
        let mut fragments = vec![pkt];
        let mut at = pkt;
        loop {
            // SAFETY: `at` is a descriptor of the pool: checked by the caller or below.
            let (next, end, room) = unsafe {
                let npkt = &*at;
                (
                    npkt.next,
                    u64::from(npkt.data_off) + u64::from(npkt.len),
                    64 * u64::from(npkt.buf_units),
                )
            };
            if end > room {
                return Err(format!("data ends at {end} in a buffer of {room} bytes"));
            }
            if next == 0 {
                return Ok(fragments);
            }
            at = at.wrapping_offset(next as isize);
            if !self.pool.owns(at) || !self.entries[self.index(at)].live {
                return Err("it is chained to a descriptor that is not in use".into());
            }
            if fragments.len() > self.entries.len() {
                return Err("its chain is a circle".into());
            }
            fragments.push(at);
        }
    }

    /// References that `side` holds, or why the packet cannot be used at all.
    fn held(&self, pkt: *mut Npkt, side: Side) -> Result<u32, String> {
        if !self.pool.owns(pkt) {
            return Err(format!("{pkt:p} is no packet of the pool"));
        }
        let entry = &self.entries[self.index(pkt)];
        if !entry.live {
            return Err("the packet had been released before".into());
        }
        // SAFETY: a descriptor of the pool.
        let refs = unsafe { (*pkt).refs.load(Ordering::Acquire) };
        Ok(match side {
            Side::Kit => entry.kit,
            Side::Module => refs.saturating_sub(entry.kit),
        })
    }

    /// The module hands a reference over by `how`. False where it has none to give.
    pub(crate) fn take_from_module(&mut self, pkt: *mut Npkt, how: &'static str) -> bool {
        let sound = match self.held(pkt, Side::Module) {
            Ok(0) => Err("the packet had been handed on or released before".into()),
            Ok(_) => self.chain(pkt),
            Err(why) => Err(why),
        };
        match sound {
            Ok(_) => {
                let digest = digest(pkt);
                let index = self.index(pkt);
                let entry = &mut self.entries[index];
                entry.kit += 1;
                entry.digest = digest;
                entry.story = how;
                true
            }
            Err(why) => {
                self.violation(format!("{how}: {why}"));
                false
            }
        }
    }

    /// The test's side has made itself one more reference.
    pub(crate) fn shared_by_kit(&mut self, pkt: *mut Npkt) {
        let index = self.index(pkt);
        self.entries[index].kit += 1;
    }

    /// The test's side hands a reference to the module.
    pub(crate) fn give_to_module(&mut self, pkt: *mut Npkt, how: &'static str) {
        let index = self.index(pkt);
        let entry = &mut self.entries[index];
        entry.kit = entry.kit.saturating_sub(1);
        entry.story = how;
    }

    /// Looks whether a packet that the test's side holds is as it was when it came.
    pub(crate) fn check_untouched(&mut self, pkt: *mut Npkt) {
        let entry = &self.entries[self.index(pkt)];
        if entry.digest != 0 && entry.digest != digest(pkt) {
            let how = entry.story;
            self.violation(format!(
                "a packet was written after it was handed on by {how}"
            ));
        }
    }

    /// One reference of `side`'s goes. Packets with foreign buffers whose last it was go to `ext`.
    pub(crate) fn release(&mut self, pkt: *mut Npkt, side: Side, ext: &mut Vec<*mut Npkt>) {
        let fragments = match self.held(pkt, side) {
            Ok(0) => Err("the packet had been handed on or released before".into()),
            Ok(_) => self.chain(pkt),
            Err(why) => Err(why),
        };
        let fragments = match fragments {
            Ok(fragments) => fragments,
            Err(why) => return self.violation(format!("tx_done: {why}")),
        };
        let index = self.index(pkt);
        if side == Side::Kit {
            self.entries[index].kit -= 1;
        }
        // SAFETY: a live descriptor of the pool.
        let last = unsafe { (*pkt).refs.load(Ordering::Acquire) } == 1;
        if last {
            for fragment in fragments {
                let index = self.index(fragment);
                // SAFETY: as above.
                let foreign = unsafe { (*fragment).flags } & io_net_abi::NPKT_EXT != 0;
                self.entries[index].live = foreign;
            }
        }
        // SAFETY: the reference was `side`'s, which gives it up.
        unsafe { self.cache.release(&[pkt], |pkt| ext.push(pkt)) };
    }

    /// Names every packet that is still in use and that the test's side does not hold.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let in_chains = self.chained();
        let leaked = self.entries.iter().enumerate();
        leaked
            .filter(|(index, entry)| entry.live && entry.kit == 0 && !in_chains[*index])
            .map(|(_, entry)| format!("a packet was leaked: {}", entry.story))
            .collect()
    }

    /// Which descriptors hang on another.
    fn chained(&self) -> Vec<bool> {
        let mut chained = vec![false; self.entries.len()];
        let base = self.pool.info().base.cast::<Npkt>();
        for (index, entry) in self.entries.iter().enumerate() {
            // SAFETY: `index` is below the pool's count of descriptors.
            let next = unsafe { (*base.add(index)).next };
            let tail = index as i64 + i64::from(next);
            let tail = usize::try_from(tail)
                .ok()
                .filter(|_| entry.live && next != 0);
            if let Some(mark) = tail.and_then(|tail| chained.get_mut(tail)) {
                *mark = true;
            }
        }
        chained
    }

    /// Packets in use that the test's side does not hold.
    pub(crate) fn held_by_module(&self) -> usize {
        let chained = self.chained();
        let entries = self.entries.iter().zip(chained);
        entries
            .filter(|(entry, chained)| entry.live && entry.kit == 0 && !chained)
            .count()
    }
}

/// A digest of the first fragment's bytes and place; never 0.
fn digest(pkt: *mut Npkt) -> u64 {
    // SAFETY: a live descriptor whose data lies in its buffer, as `Ledger::chain` has seen.
    let bytes = unsafe {
        let npkt = &*pkt;
        let start = pkt
            .cast::<u8>()
            .offset(npkt.buf as isize)
            .add(npkt.data_off as usize);
        std::slice::from_raw_parts(start, npkt.len as usize)
    };
    let seed = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    bytes
        .iter()
        .fold(seed, |sum, &byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
        .max(1)
}
