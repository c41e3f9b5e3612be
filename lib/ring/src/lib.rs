//! Single-producer single-consumer rings and byte FIFOs, in process and in shared memory.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`spsc`] | a ring of `u64` between two threads of one process |
//! | [`fifo`] | a ring of bytes between two processes |
//! | [`wake`] | who must be woken: dirty bits, sleeping flags, positions to report |
//! | [`lock`] | a lock in shared memory whose owner may die |
//! | [`mod@shared`] | typed views of a shared mapping |
//!
//! Memory that another process maps is hostile: each word is read once, checked, then used, so that
//! no value in it can take an access out of bounds. What is wrong there comes back as a [`Corrupt`]
//! value.

pub mod fifo;
pub mod lock;
pub mod shared;
pub mod spsc;
pub mod wake;

/// The atomics that loom can take over.
mod sync {
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    #[cfg(not(loom))]
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
}

/// A word in shared memory says what cannot be: the other side is broken or malicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl std::fmt::Display for Corrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("shared memory holds an impossible position")
    }
}

impl std::error::Error for Corrupt {}
