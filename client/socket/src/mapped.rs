//! The segments that this process has mapped.
//!
//! They are never unmapped: an endpoint is then a plain copyable reference, valid in every thread
//! at every moment, and looking one up takes no lock. There are few, and io-net takes their memory
//! back itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use io_net_os::eventfd;
use io_net_proto::view::Segment;

/// The most segments that a process can map.
const SEGMENTS_MAX: usize = 4096;

static MAPPED: [AtomicPtr<Mapped>; SEGMENTS_MAX] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; SEGMENTS_MAX];

/// Held to add one.
pub(crate) static ADDING: Mutex<()> = Mutex::new(());

/// A segment, mapped for good.
#[derive(Debug)]
pub struct Mapped {
    segment: Segment,
    kick: OwnedFd,
    bell: OwnedFd,
    number: u16,
    dead: AtomicBool,
}

impl Mapped {
    /// The segment.
    #[inline]
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Its number in this process.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its bell 0: raised by io-net, never lowered; to be watched edge-triggered.
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Whether the io-net that made it is gone.
    #[inline]
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Says that it is gone: all sockets in the segment are reset.
    pub(crate) fn set_dead(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Tells io-net that slot `index` has news.
    #[inline]
    pub fn tell(&self, index: u32) {
        if self.segment.mark_dirty(index) {
            eventfd::raise(self.kick.as_fd());
        }
    }
}

/// The segment with this number.
#[inline]
#[must_use]
pub fn get(number: u16) -> Option<&'static Mapped> {
    let mapped = MAPPED.get(usize::from(number))?.load(Ordering::Acquire);
    // SAFETY: entries are null or leaked boxes.
    unsafe { mapped.as_ref() }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Mapped> {
    (0..SEGMENTS_MAX as u16).map_while(get)
}

/// The living one with this id.
#[must_use]
pub fn find(id: u64) -> Option<&'static Mapped> {
    all().find(|m| m.segment.id() == id && !m.is_dead())
}

/// Adds one; if another thread has added the same meanwhile, that one is returned. None: too many.
pub(crate) fn add(segment: Segment, kick: OwnedFd, bell: OwnedFd) -> Option<&'static Mapped> {
    let _adding = ADDING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = find(segment.id()) {
        return Some(known);
    }
    let number = all().count();
    let entry = MAPPED.get(number)?;
    let dead = AtomicBool::new(false);
    let mapped = Box::new(Mapped {
        segment,
        kick,
        bell,
        number: number as u16,
        dead,
    });
    entry.store(Box::into_raw(mapped), Ordering::Release);
    get(number as u16)
}

/// Says that io-net is gone: all sockets in the segments mapped so far are reset.
pub(crate) fn all_dead() {
    all().for_each(Mapped::set_dead);
}
