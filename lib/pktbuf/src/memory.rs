//! Where this shared object gets packets from and gives them back to.
//!
//! Each module links its own copy of this crate, and none of them owns the pool: allocation and
//! release go through the two functions that io-net's table offers. Both work with a null context,
//! so they outlive the instance that set them.

use crate::{Burst, BurstBuf, Packet};
use core::ffi::c_void;
use io_net_abi::Npkt;
use std::sync::OnceLock;

/// The two functions of [`io_net_abi::Ion`] that packets need.
#[derive(Clone, Copy)]
pub struct PacketMemory {
    /// [`io_net_abi::Ion::alloc`].
    pub alloc: unsafe extern "C" fn(*mut c_void, u32, *mut *mut Npkt, u32) -> u32,
    /// [`io_net_abi::Ion::tx_done`].
    pub tx_done: unsafe extern "C" fn(*mut c_void, *mut *mut Npkt, u32),
}

static MEMORY: OnceLock<PacketMemory> = OnceLock::new();

/// Names the functions to use; the first call wins, as there is one io-net in a process.
pub fn set_memory(memory: PacketMemory) {
    let _ = MEMORY.set(memory);
}

/// Fills `out` with up to `n` empty packets that hold `size` bytes each beside their headroom.
/// Returns how many came.
#[inline]
pub fn alloc_burst(size: u32, n: usize, out: &mut BurstBuf) -> usize {
    let Some(memory) = MEMORY.get() else { return 0 };
    let room = out.spare(n);
    let n = room.len();
    // SAFETY: `room` holds `n` writable pointers; `alloc` fills a prefix of them with packets of
    // which we are the only owner, and says how long that prefix is.
    let got = unsafe { (memory.alloc)(core::ptr::null_mut(), size, room.as_mut_ptr(), n as u32) };
    let got = (got as usize).min(n);
    // SAFETY: the first `got` spare slots now hold owned packets.
    unsafe { out.extend_len(got) };
    got
}

/// One empty packet that holds `size` bytes beside its headroom, or none where the pool is dry.
#[inline]
pub fn alloc_one(size: u32) -> Option<Packet> {
    let memory = MEMORY.get()?;
    let mut slot = core::ptr::null_mut();
    // SAFETY: one writable slot, as `alloc` is told.
    let got = unsafe { (memory.alloc)(core::ptr::null_mut(), size, &mut slot, 1) };
    // SAFETY: where it says 1, the slot holds a packet with one reference, ours.
    (got == 1).then(|| unsafe { Packet::from_raw(slot) })
}

/// Releases one reference to each packet of `pkts`.
///
/// # Safety
/// Every pointer is an owned reference, given up by this call.
#[inline]
pub(crate) unsafe fn release(pkts: &mut [*mut Npkt]) {
    if pkts.is_empty() {
        return;
    }
    if let Some(memory) = MEMORY.get() {
        // SAFETY: the caller gives up these references.
        unsafe { (memory.tx_done)(core::ptr::null_mut(), pkts.as_mut_ptr(), pkts.len() as u32) };
    }
}

impl Drop for Burst<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: what is left in the burst is owned by it.
        unsafe { release(self.rest_mut()) };
    }
}
