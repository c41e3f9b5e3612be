//! Which of the process's descriptors are io-net's sockets, and which are epoll instances that may
//! hold some.
//!
//! One word for each descriptor, read and written without a lock: the word says all, so a lookup
//! never sees half an entry.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::endpoint::Endpoint;
use crate::epoll::Instance;
use crate::mapped;

const CHUNK: usize = 1024;
const CHUNKS: usize = 1024;

type Chunk = [AtomicU64; CHUNK];

static TABLE: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS];

// A word: bits 60-63 what it is. A socket: bits 0-15 segment number, 16-31 slot, 32-55 generation.
// An epoll instance: bits 0-31 its number.
const KIND_SHIFT: u32 = 60;
const SOCKET: u64 = 1;
const EPOLL: u64 = 2;
const GENERATION_MASK: u32 = 0xff_ffff;

/// What a descriptor is.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// A socket of io-net's.
    Socket(Endpoint),
    /// An epoll instance made here.
    Epoll(&'static Instance),
}

fn word(fd: RawFd) -> Option<&'static AtomicU64> {
    let fd = usize::try_from(fd).ok()?;
    let chunk = TABLE.get(fd / CHUNK)?.load(Ordering::Acquire);
    // SAFETY: entries are null or leaked boxes.
    unsafe { chunk.as_ref() }.map(|chunk| &chunk[fd % CHUNK])
}

fn make_word(fd: RawFd) -> Option<&'static AtomicU64> {
    let index = usize::try_from(fd).ok()? / CHUNK;
    let place = TABLE.get(index)?;
    if place.load(Ordering::Acquire).is_null() {
        let new = Box::into_raw(Box::new([const { AtomicU64::new(0) }; CHUNK]));
        let null = std::ptr::null_mut();
        if place
            .compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            // SAFETY: `new` came from Box::into_raw just now and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
    word(fd)
}

/// What `fd` is; None for whatever is not io-net's business.
#[inline]
#[must_use]
pub fn get(fd: RawFd) -> Option<Entry> {
    let word = word(fd)?;
    let value = word.load(Ordering::Relaxed);
    match value >> KIND_SHIFT {
        SOCKET => {
            let mapped = mapped::get(value as u16)?;
            let endpoint = Endpoint::at(mapped, (value >> 16) as u16)?;
            if endpoint.generation() & GENERATION_MASK == (value >> 32) as u32 & GENERATION_MASK {
                return Some(Entry::Socket(endpoint));
            }
            // Closed where we did not see it (stdio's fclose): the number may mean another file
            // now.
            let _ = word.compare_exchange(value, 0, Ordering::Relaxed, Ordering::Relaxed);
            None
        }
        EPOLL => crate::epoll::instance(value as u32).map(Entry::Epoll),
        _ => None,
    }
}

/// The socket at `fd`.
#[inline]
#[must_use]
pub fn socket(fd: RawFd) -> Option<Endpoint> {
    match get(fd) {
        Some(Entry::Socket(endpoint)) => Some(endpoint),
        _ => None,
    }
}

/// Says what `fd` is from now on. False: its number is beyond the table.
#[must_use]
pub fn set(fd: RawFd, entry: &Entry) -> bool {
    let value = match entry {
        Entry::Socket(endpoint) => {
            SOCKET << KIND_SHIFT
                | u64::from(endpoint.mapped().number())
                | u64::from(endpoint.index() as u16) << 16
                | u64::from(endpoint.generation() & GENERATION_MASK) << 32
        }
        Entry::Epoll(instance) => EPOLL << KIND_SHIFT | u64::from(instance.number()),
    };
    make_word(fd)
        .map(|word| word.store(value, Ordering::Relaxed))
        .is_some()
}

/// Forgets `fd` and returns what it was.
pub fn clear(fd: RawFd) -> Option<Entry> {
    let entry = get(fd);
    if let Some(word) = word(fd) {
        word.store(0, Ordering::Relaxed);
    }
    entry
}

/// The descriptors from `first` to `last` that are known here, in order.
pub fn known(first: RawFd, last: RawFd) -> impl Iterator<Item = RawFd> {
    let last = last.min((CHUNK * CHUNKS) as RawFd - 1);
    let mut fd = first.max(0);
    std::iter::from_fn(move || {
        while fd <= last {
            let here = fd;
            match word(here) {
                None => fd = (here / CHUNK as RawFd + 1) * CHUNK as RawFd,
                Some(word) => {
                    fd += 1;
                    if word.load(Ordering::Relaxed) != 0 {
                        return Some(here);
                    }
                }
            }
        }
        None
    })
}
