//! Typed views of a shared mapping.
//!
//! A view is a plain reference to atomics, so whatever another process writes under it is a value,
//! never undefined behaviour.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use io_net_os::copy::copy;
use io_net_os::map::SharedMap;

/// Types that may lie in memory that other processes write.
///
/// # Safety
/// Each byte is part of an atomic (or of padding that nobody reads), and each bit pattern
/// is a value.
pub unsafe trait Shared {}

// SAFETY: an atomic, of which each bit pattern is a value.
unsafe impl Shared for AtomicU32 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU64 {}
// SAFETY: elements are laid end to end.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

/// Declares a struct whose fields are all [`Shared`], which makes it [`Shared`] itself.
#[macro_export]
macro_rules! shared {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        // SAFETY: the bounds demand it of each field, and a struct adds nothing but padding.
        unsafe impl $crate::shared::Shared for $name where $($type: $crate::shared::Shared,)* {}
    };
}

/// The `T` that lies `offset` bytes into `map`; None when it would not lie within it, aligned.
#[must_use]
pub fn view<T: Shared>(map: &SharedMap, offset: usize) -> Option<&T> {
    let end = offset.checked_add(size_of::<T>())?;
    // Mappings are page aligned, so the offset's alignment is the address's.
    if end > map.len() || !offset.is_multiple_of(align_of::<T>()) || align_of::<T>() > 4096 {
        return None;
    }
    // SAFETY: in bounds and aligned, as just checked; valid while `map` is borrowed; `T: Shared`
    // allows any value and any concurrent write.
    Some(unsafe { &*map.as_ptr().add(offset).cast::<T>() })
}

/// A stretch of shared bytes whose length is a power of two: what a FIFO keeps its data in.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'m> {
    base: NonNull<u8>,
    size: u32,
    map: PhantomData<&'m SharedMap>,
}

// SAFETY: it stands for a borrow of a SharedMap, which is Sync, and its bytes may change at any
// time.
unsafe impl Send for Bytes<'_> {}
// SAFETY: as for Send.
unsafe impl Sync for Bytes<'_> {}

impl<'m> Bytes<'m> {
    /// The `size` bytes at `offset` of `map`; None when they are not within it, or `size` is no
    /// power of two.
    #[must_use]
    pub fn new(map: &'m SharedMap, offset: usize, size: u32) -> Option<Self> {
        let end = offset.checked_add(size as usize)?;
        if end > map.len() || !size.is_power_of_two() {
            return None;
        }
        // SAFETY: `offset` lies within the mapping.
        let base = NonNull::new(unsafe { map.as_ptr().add(offset) })?;
        Some(Self {
            base,
            size,
            map: PhantomData,
        })
    }

    /// How many bytes there are: a power of two.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Copies `from` in, beginning at `position` modulo the size and going round at the end. At
    /// most `size` bytes are copied.
    #[inline]
    pub(crate) fn write(&self, position: u32, from: &[u8]) {
        let at = (position & (self.size - 1)) as usize;
        let len = from.len().min(self.size as usize);
        let first = len.min(self.size as usize - at);
        // SAFETY: `at + first <= size` and `len - first <= at`, so both copies stay within the
        // stretch; `from` is private memory, hence disjoint. Another process may write the same
        // bytes at the same time, which can change what they are and nothing else.
        unsafe {
            let base = self.base.as_ptr();
            copy(from.as_ptr(), base.add(at), first);
            copy(from.as_ptr().add(first), base, len - first);
        }
    }

    /// Copies out into `to`, beginning at `position` modulo the size and going round at the end. At
    /// most `size` bytes are copied.
    #[inline]
    pub(crate) fn read(&self, position: u32, to: &mut [u8]) {
        let at = (position & (self.size - 1)) as usize;
        let len = to.len().min(self.size as usize);
        let first = len.min(self.size as usize - at);
        // SAFETY: as in `write`, with the direction turned round.
        unsafe {
            let base = self.base.as_ptr();
            copy(base.add(at), to.as_mut_ptr(), first);
            copy(base, to.as_mut_ptr().add(first), len - first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_stay_within_the_mapping() {
        let map = SharedMap::anonymous(4096).unwrap();
        assert!(view::<AtomicU64>(&map, 4088).is_some());
        assert!(view::<AtomicU64>(&map, 4092).is_none());
        assert!(view::<AtomicU64>(&map, 4).is_none());
        assert!(view::<AtomicU64>(&map, usize::MAX - 7).is_none());
        assert!(Bytes::new(&map, 0, 4096).is_some());
        assert!(Bytes::new(&map, 1, 4096).is_none());
        assert!(Bytes::new(&map, 0, 3000).is_none());
        assert!(Bytes::new(&map, 0, 0).is_none());
    }

    #[test]
    fn bytes_go_round_at_the_end() {
        let map = SharedMap::anonymous(4096).unwrap();
        let bytes = Bytes::new(&map, 8, 16).unwrap();
        bytes.write(12, b"abcdefgh");
        let mut out = [0; 8];
        bytes.read(28, &mut out);
        assert_eq!(&out, b"abcdefgh");
        bytes.read(0, &mut out[..4]);
        assert_eq!(&out[..4], b"efgh");
        bytes.write(5, &[9; 100]);
        let edge = view::<AtomicU64>(&map, 24).unwrap();
        assert_eq!(
            edge.load(std::sync::atomic::Ordering::Relaxed),
            0,
            "wrote past the stretch"
        );
    }
}
