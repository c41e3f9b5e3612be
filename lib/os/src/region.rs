//! Shared memory that another process may write at any moment, behind checked accesses.
//!
//! Any thread. Words are atomics; byte ranges are copied in and out whole, so that what has been
//! read once can be checked once. Nothing here panics or leaves the mapping, whatever the offset.

use crate::copy::copy;
use crate::map::SharedMap;
use std::ptr;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

/// A mapping whose content is nobody's word.
#[derive(Debug)]
pub struct Region(SharedMap);

impl Region {
    /// Guards `map`.
    #[must_use]
    pub fn new(map: SharedMap) -> Self {
        Self(map)
    }

    /// The mapping, for typed views of it.
    #[inline]
    #[must_use]
    pub fn map(&self) -> &SharedMap {
        &self.0
    }

    /// Bytes of the mapping, never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Always false; here because `len` is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    #[inline]
    fn fits(&self, offset: usize, len: usize) -> bool {
        offset <= self.len() && len <= self.len() - offset
    }

    /// The 32-bit word at `offset`, a multiple of 4; None outside the mapping.
    #[inline]
    #[must_use]
    pub fn word32(&self, offset: usize) -> Option<&AtomicU32> {
        let valid = offset.is_multiple_of(4) && self.fits(offset, 4);
        // SAFETY: within the mapping, which lives as long as `self`, and aligned as its base is a
        // page's; other processes reach these bytes only as memory, which atomics allow for.
        valid.then(|| unsafe { &*self.0.as_ptr().add(offset).cast::<AtomicU32>() })
    }

    /// The 64-bit word at `offset`, a multiple of 8; None outside the mapping.
    #[inline]
    #[must_use]
    pub fn word64(&self, offset: usize) -> Option<&AtomicU64> {
        let valid = offset.is_multiple_of(8) && self.fits(offset, 8);
        // SAFETY: as in `word32`.
        valid.then(|| unsafe { &*self.0.as_ptr().add(offset).cast::<AtomicU64>() })
    }

    /// The 16-bit word at `offset`, a multiple of 2; None outside the mapping.
    #[inline]
    #[must_use]
    pub fn word16(&self, offset: usize) -> Option<&AtomicU16> {
        let valid = offset.is_multiple_of(2) && self.fits(offset, 2);
        // SAFETY: as in `word32`.
        valid.then(|| unsafe { &*self.0.as_ptr().add(offset).cast::<AtomicU16>() })
    }

    /// The `count` 64-bit words from `offset`, a multiple of 8; None where they are not all within
    /// the mapping.
    #[inline]
    #[must_use]
    pub fn words64(&self, offset: usize, count: usize) -> Option<&[AtomicU64]> {
        let len = count.checked_mul(8)?;
        let valid = offset.is_multiple_of(8) && self.fits(offset, len);
        // SAFETY: as in `word32`, for each of the words.
        valid.then(|| unsafe {
            std::slice::from_raw_parts(self.0.as_ptr().add(offset).cast::<AtomicU64>(), count)
        })
    }

    /// Asks the processor for the cache line at `offset`, to read it soon. Any offset will do.
    #[inline]
    pub fn prefetch(&self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch never faults, wherever it points.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.0.as_ptr().wrapping_add(offset).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// As [`Region::prefetch`], to write it soon: other processors' copies go meanwhile.
    #[inline]
    pub fn prefetch_write(&self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch never faults, wherever it points. Processors older than the instruction
        // take it for a no-op. (The intrinsic would become a prefetch to read.)
        unsafe {
            let line = self.0.as_ptr().wrapping_add(offset);
            std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// Copies the bytes at `offset` to `to`; false, and nothing done, where they are not all within
    /// the mapping. A concurrent writer makes the copy a mixture of old and new bytes.
    #[inline]
    #[must_use]
    pub fn read(&self, offset: usize, to: &mut [u8]) -> bool {
        let fits = self.fits(offset, to.len());
        if fits {
            // SAFETY: both ranges are valid for their length; `to` is ours alone, so they do not
            // overlap. Every byte pattern is a valid u8.
            unsafe {
                copy_frame(self.0.as_ptr().add(offset), to.as_mut_ptr(), to.len());
            }
        }
        fits
    }

    /// Copies `from` to the bytes at `offset`; false, and nothing done, where they are not all
    /// within the mapping.
    #[inline]
    #[must_use]
    pub fn write(&self, offset: usize, from: &[u8]) -> bool {
        let fits = self.fits(offset, from.len());
        if fits {
            // SAFETY: as in `read`, in the other direction.
            unsafe {
                copy_frame(from.as_ptr(), self.0.as_ptr().add(offset), from.len());
            }
        }
        fits
    }
}

/// Copies `len` bytes. Small frames go by two moves of fixed size that overlap in the middle: a few
/// instructions, where a general copy would first find out what to do.
///
/// # Safety
/// Both ranges are valid and do not overlap.
#[inline]
unsafe fn copy_frame(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise; each move stays within the first `len` bytes.
    unsafe {
        match len {
            33..=64 => {
                ptr::copy_nonoverlapping(from, to, 32);
                ptr::copy_nonoverlapping(from.add(len - 32), to.add(len - 32), 32);
            }
            65..=128 => {
                ptr::copy_nonoverlapping(from, to, 64);
                ptr::copy_nonoverlapping(from.add(len - 64), to.add(len - 64), 64);
            }
            _ => copy(from, to, len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_one_mapping_writes_the_other_reads() {
        let (fd, map) = crate::map::sealed_segment(c"region", 4096).unwrap();
        use std::os::fd::AsFd;
        let here = Region::new(map);
        let there = Region::new(SharedMap::new(fd.as_fd(), 4096).unwrap());
        assert!(here.write(4090, b"abcdef"));
        let mut bytes = [0; 6];
        assert!(there.read(4090, &mut bytes));
        assert_eq!(&bytes, b"abcdef");
        here.word64(8)
            .unwrap()
            .store(7 << 32 | 9, Ordering::Relaxed);
        let low_first = there.word32(8).unwrap().load(Ordering::Relaxed);
        assert_eq!(
            low_first,
            if cfg!(target_endian = "little") { 9 } else { 7 }
        );
    }

    #[test]
    fn every_length_arrives_whole() {
        let region = Region::new(SharedMap::anonymous(4096).unwrap());
        for len in 0..400 {
            let from: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
            assert!(region.write(100, &from));
            let mut to = vec![0; len];
            assert!(region.read(100, &mut to));
            assert_eq!(from, to, "{len}");
            assert!(region.read(4096 - len, &mut to) && region.write(4096 - len, &from));
            assert!(!region.read(4097 - len, &mut to) && !region.write(4097 - len, &from));
        }
    }

    #[test]
    fn nothing_outside_is_reached() {
        let here = Region::new(SharedMap::anonymous(4096).unwrap());
        let mut bytes = [1; 4];
        for offset in [4093, 4096, 4097, usize::MAX - 1, usize::MAX] {
            assert!(
                !here.read(offset, &mut bytes) && !here.write(offset, &bytes),
                "{offset}"
            );
        }
        assert_eq!(bytes, [1; 4]);
        assert!(here.read(4096, &mut []));
        for offset in [2, 4094, 4096, usize::MAX - 3] {
            assert!(here.word32(offset).is_none(), "{offset}");
        }
        for offset in [1, 4095, 4096, usize::MAX - 1] {
            assert!(here.word16(offset).is_none(), "{offset}");
        }
        for (offset, count) in [(4, 1), (4088, 2), (4104, 0), (0, usize::MAX / 4)] {
            assert!(here.words64(offset, count).is_none(), "{offset} {count}");
        }
        assert_eq!(here.words64(4080, 2).unwrap().len(), 2);
        here.prefetch(usize::MAX);
        here.prefetch_write(1 << 40);
        for offset in [4, 4092, 4096, usize::MAX - 7] {
            assert!(here.word64(offset).is_none(), "{offset}");
        }
    }
}
