//! Shared memory: memfds, their seals, and mappings of them.
//!
//! Any thread may use these. A mapping is a pointer and a length and says nothing about what is in
//! it: another process may write it at any moment, so whoever reads it does so through atomics or
//! treats each byte as hostile.

use std::ffi::CStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

/// The seals that fix a memfd's size for ever: nobody who holds the fd can make a mapping of it fault.
pub const SEALS_FIXED_SIZE: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// The seal by which a memfd never becomes smaller: what of it is mapped stays valid memory.
pub const SEAL_SHRINK: i32 = libc::F_SEAL_SHRINK;

/// Creates a close-on-exec memfd of `len` bytes that still takes seals.
///
/// With `huge`, its pages are huge ones: `len` must be a multiple of 2 MiB, and mapping fails where
/// the system has none reserved.
///
/// # Errors
/// The kernel's error: out of memory, out of fds, or huge pages not supported.
pub fn memfd(name: &CStr, len: usize, huge: bool) -> io::Result<OwnedFd> {
    let mut flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    if huge {
        flags |= libc::MFD_HUGETLB | libc::MFD_HUGE_2MB;
    }
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this fd, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let len = i64::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: a plain call on an fd that we own.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), len) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

/// Adds `seals` (such as [`SEALS_FIXED_SIZE`]) to a memfd.
///
/// # Errors
/// EPERM when the memfd is sealed against further seals.
pub fn add_seals(fd: BorrowedFd<'_>, seals: i32) -> io::Result<()> {
    // SAFETY: F_ADD_SEALS takes an int and touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The seals that a memfd has.
///
/// # Errors
/// EINVAL when `fd` is no memfd.
pub fn seals(fd: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: F_GET_SEALS takes no argument and touches no memory of ours.
    let seals = unsafe { libc::syscall(libc::SYS_fcntl, fd.as_raw_fd(), libc::F_GET_SEALS) };
    i32::try_from(seals)
        .ok()
        .filter(|&s| s >= 0)
        .ok_or_else(io::Error::last_os_error)
}

/// The size in bytes of the file behind `fd`.
///
/// # Errors
/// The kernel's error.
pub fn file_len(fd: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: all-zero bytes are a valid `stat`, which the call then fills.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is valid for writing during the call.
    match unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) } {
        0 => usize::try_from(stat.st_size).map_err(|_| io::Error::from(io::ErrorKind::InvalidData)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A shared mapping, unmapped when dropped.
#[derive(Debug)]
pub struct SharedMap {
    base: NonNull<u8>,
    len: NonZeroUsize,
}

// SAFETY: the mapping is plain memory with no tie to a thread; what may be done with its bytes is the
// business of whoever dereferences `base`.
unsafe impl Send for SharedMap {}
// SAFETY: as for Send; the methods here do not touch the bytes.
unsafe impl Sync for SharedMap {}

impl SharedMap {
    /// Maps the first `len` bytes of `fd`, read-write and shared.
    ///
    /// # Errors
    /// EINVAL when `len` is 0, else the kernel's error.
    pub fn new(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::map(Some(fd), 0, len, libc::MAP_SHARED)
    }

    /// As [`SharedMap::populated`], of the `len` bytes from `offset` on, a multiple of the page size:
    /// for descriptors that offer several mappings.
    ///
    /// # Errors
    /// As [`SharedMap::new`].
    pub(crate) fn populated_at(fd: BorrowedFd<'_>, offset: i64, len: usize) -> io::Result<Self> {
        Self::map(Some(fd), offset, len, libc::MAP_SHARED | libc::MAP_POPULATE)
    }

    /// As [`SharedMap::new`], with every page present at once: no fault on first touch.
    ///
    /// # Errors
    /// As [`SharedMap::new`].
    pub fn populated(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::populated_at(fd, 0, len)
    }

    /// Maps `len` bytes of zeroed memory shared with children of fork only.
    ///
    /// # Errors
    /// As [`SharedMap::new`].
    pub fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(None, 0, len, libc::MAP_SHARED | libc::MAP_ANONYMOUS)
    }

    fn map(fd: Option<BorrowedFd<'_>>, offset: i64, len: usize, flags: i32) -> io::Result<Self> {
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let raw = fd.map_or(-1, |fd| fd.as_raw_fd());
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choosing overlaps nothing of ours.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len.get(), prot, flags, raw, offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// The first byte, page aligned and valid for [`SharedMap::len`] bytes while `self` lives.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The length in bytes, never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Always false; here because `len` is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Gives the memory of `[offset, offset + len)` back to the system; it reads as zero from then on.
    /// Both must be multiples of the page size.
    ///
    /// # Errors
    /// EINVAL when the range is not within the mapping or not page aligned.
    pub fn discard(&self, offset: usize, len: usize) -> io::Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the range lies within our mapping; its bytes become zero, which any reader of shared
        // memory must expect.
        match unsafe { libc::madvise(self.as_ptr().add(offset).cast(), len, libc::MADV_REMOVE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are what mmap gave, and no borrow of the mapping outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len.get()) };
    }
}

/// Creates, sizes, maps and size-seals a memfd in one go.
///
/// # Errors
/// The first step's error.
pub fn sealed_segment(name: &CStr, len: usize) -> io::Result<(OwnedFd, SharedMap)> {
    let fd = memfd(name, len, false)?;
    let map = SharedMap::new(fd.as_fd(), len)?;
    add_seals(fd.as_fd(), SEALS_FIXED_SIZE)?;
    Ok((fd, map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_segment_is_shared_and_keeps_its_size() {
        let (fd, map) = sealed_segment(c"test", 8192).unwrap();
        let other = SharedMap::new(fd.as_fd(), 8192).unwrap();
        // SAFETY: both mappings are 8192 bytes and no other thread touches them.
        unsafe {
            map.as_ptr().add(5000).write_volatile(7);
            assert_eq!(other.as_ptr().add(5000).read_volatile(), 7);
        }
        assert_eq!(
            seals(fd.as_fd()).unwrap() & SEALS_FIXED_SIZE,
            SEALS_FIXED_SIZE
        );
        // SAFETY: a plain call on our fd, which must be refused.
        assert_eq!(unsafe { libc::ftruncate(fd.as_raw_fd(), 0) }, -1);
        assert_eq!(file_len(fd.as_fd()).unwrap(), 8192);
    }

    #[test]
    fn discarded_pages_read_as_zero_and_stay_in_bounds() {
        let (_fd, map) = sealed_segment(c"test", 8192).unwrap();
        // SAFETY: within the mapping, and single threaded.
        unsafe { map.as_ptr().add(4096).write_volatile(7) };
        map.discard(4096, 4096).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { map.as_ptr().add(4096).read_volatile() }, 0);
        assert!(map.discard(4096, 8192).is_err());
        assert!(map.discard(usize::MAX, 2).is_err());
    }
}
