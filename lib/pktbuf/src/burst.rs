//! Packets handed on together.

use crate::{Packet, SharedPacket};
use core::mem::MaybeUninit;
use io_net_abi::{BURST_MAX, Npkt};

/// Packets that a call hands over, in the caller's array. Whatever is left when it is dropped is
/// released.
pub struct Burst<'a> {
    pkts: &'a mut [*mut Npkt],
    taken: usize,
}

/// Room for one burst, filled packet by packet.
pub struct BurstBuf {
    pkts: [MaybeUninit<*mut Npkt>; BURST_MAX],
    len: usize,
}

// SAFETY: owned references may move between threads.
unsafe impl Send for BurstBuf {}

impl<'a> Burst<'a> {
    /// Takes over the packets in `pkts`.
    ///
    /// # Safety
    /// Each is an owned reference to a live packet, given up by the caller.
    #[inline]
    pub unsafe fn from_raw(pkts: &'a mut [*mut Npkt]) -> Self {
        Burst { pkts, taken: 0 }
    }

    /// Packets left.
    #[inline]
    pub fn len(&self) -> usize {
        self.pkts.len() - self.taken
    }

    /// Whether none is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at the packets left, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &SharedPacket> {
        // SAFETY: SharedPacket is a transparent non-null pointer to a packet, and the burst owns
        // a reference to each for as long as it is borrowed.
        self.pkts[self.taken..]
            .iter()
            .map(|pkt| unsafe { &*core::ptr::from_ref(pkt).cast::<SharedPacket>() })
    }

    /// Brings the descriptor of the packet `ahead` places on, and the first line of its data's
    /// usual place, into the cache.
    #[inline]
    pub fn prefetch(&self, ahead: usize) {
        if let Some(&pkt) = self.pkts.get(self.taken + ahead) {
            prefetch_read(pkt.cast());
        }
    }

    /// The packet `index` places on, for writing; `None` where there is none or others hold it too.
    #[inline]
    pub fn unique_mut(&mut self, index: usize) -> Option<&mut Packet> {
        unique_mut(self.rest_mut().get_mut(index)?)
    }

    /// Gives the array up without releasing what is in it.
    #[inline]
    pub fn into_raw(self) -> (*mut *mut Npkt, usize) {
        let mut this = core::mem::ManuallyDrop::new(self);
        let rest = this.rest_mut();
        (rest.as_mut_ptr(), rest.len())
    }

    #[inline]
    pub(crate) fn rest_mut(&mut self) -> &mut [*mut Npkt] {
        &mut self.pkts[self.taken..]
    }
}

impl Iterator for Burst<'_> {
    type Item = SharedPacket;

    #[inline]
    fn next(&mut self) -> Option<SharedPacket> {
        let pkt = *self.pkts.get(self.taken)?;
        self.taken += 1;
        // SAFETY: the burst owned this reference, and has now given it up.
        Some(unsafe { SharedPacket::from_raw(pkt) })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl ExactSizeIterator for Burst<'_> {}

impl BurstBuf {
    /// No packets yet.
    #[inline]
    pub fn new() -> Self {
        BurstBuf {
            // In a const block: else the compiler writes zeros (2 KiB of them).
            pkts: [const { MaybeUninit::uninit() }; BURST_MAX],
            len: 0,
        }
    }

    /// Packets held.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether no more fit.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len == BURST_MAX
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// The packet back, where [`BURST_MAX`] are held.
    #[inline]
    pub fn push(&mut self, packet: impl Into<SharedPacket>) -> Result<(), SharedPacket> {
        let packet = packet.into();
        match self.pkts.get_mut(self.len) {
            Some(slot) => {
                slot.write(packet.into_raw());
                self.len += 1;
                Ok(())
            }
            None => Err(packet),
        }
    }

    /// Takes the packet added last.
    #[inline]
    pub fn pop(&mut self) -> Option<SharedPacket> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the slots below the old length hold owned references; this one is given up.
        Some(unsafe { SharedPacket::from_raw(self.pkts[self.len].assume_init()) })
    }

    /// Takes the packet added last, where it may be written, which is so for all that
    /// [`crate::alloc_burst`] gave.
    #[inline]
    pub fn pop_unique(&mut self) -> Option<Packet> {
        self.pop()?.try_unique().ok()
    }

    /// The packet at `index` in the order of adding, for writing, which is so for all that
    /// [`crate::alloc_burst`] gave; `None` where there is none or others hold it too.
    #[inline]
    pub fn unique_mut(&mut self, index: usize) -> Option<&mut Packet> {
        if index >= self.len {
            return None;
        }
        // SAFETY: the slots below `len` are initialised.
        unique_mut(unsafe { self.pkts[index].assume_init_mut() })
    }

    /// Releases all but the first `len` packets, where it holds more.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            // SAFETY: the slots between are initialised owned references, which the burst releases.
            drop(unsafe {
                let tail = self.pkts[len..self.len].as_mut_ptr().cast();
                Burst::from_raw(core::slice::from_raw_parts_mut(tail, self.len - len))
            });
            self.len = len;
        }
    }

    /// All of them as a burst; the buffer is empty afterwards.
    #[inline]
    pub fn take(&mut self) -> Burst<'_> {
        let len = core::mem::take(&mut self.len);
        // SAFETY: the first `len` slots are initialised owned references, which go to the burst.
        unsafe {
            let pkts = core::slice::from_raw_parts_mut(self.pkts.as_mut_ptr().cast(), len);
            Burst::from_raw(pkts)
        }
    }

    /// Up to `n` of the slots not yet used. They may be written with any pointer; nothing reads them.
    #[inline]
    pub(crate) fn spare(&mut self, n: usize) -> &mut [*mut Npkt] {
        let end = BURST_MAX.min(self.len + n);
        let spare = &mut self.pkts[self.len..end];
        spare.fill(MaybeUninit::new(core::ptr::null_mut()));
        // SAFETY: just initialised.
        unsafe { &mut *(core::ptr::from_mut(spare) as *mut [*mut Npkt]) }
    }

    /// Counts `n` of the spare slots as used.
    ///
    /// # Safety
    /// The first `n` spare slots hold owned references.
    #[inline]
    pub(crate) unsafe fn extend_len(&mut self, n: usize) {
        self.len += n;
    }
}

impl Default for BurstBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for BurstBuf {
    #[inline]
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A slot that holds an owned reference as a packet to write, where it is the only one.
#[inline]
fn unique_mut(slot: &mut *mut Npkt) -> Option<&mut Packet> {
    // SAFETY: SharedPacket and Packet are transparent non-null pointers to a packet, and the slot's
    // owner owns a reference to it; that it is the sole one is checked between the two.
    unsafe {
        let shared = &*core::ptr::from_mut(slot).cast::<SharedPacket>();
        shared
            .is_unique()
            .then(|| &mut *core::ptr::from_mut(slot).cast::<Packet>())
    }
}

/// Asks the processor for a cache line.
#[inline]
pub(crate) fn prefetch_read(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}
