//! What an instance knows of an interface that has VLANs. The trunk writes it, its interfaces read
//! it; all of them on one worker, but for devctls that come before the first advert.

use io_net_ddk::Mate;
use io_net_ddk::abi::{ADVERT_DYING, Advert};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// No interface has this place.
const ABSENT: u64 = u64::MAX;

/// An interface with VLANs.
pub(crate) struct Parent {
    pub(crate) name: String,
    /// Cell, endpoint and sub-interface of frames that go down there, 16 bits each.
    place: AtomicU64,
    advert: Mutex<Option<Advert>>,
    trunk: OnceLock<Mate>,
}

impl Parent {
    pub(crate) fn new(name: &str) -> Parent {
        Parent {
            name: name.to_owned(),
            place: AtomicU64::new(ABSENT),
            advert: Mutex::new(None),
            trunk: OnceLock::new(),
        }
    }

    /// Who passes frames down.
    pub(crate) fn trunk(&self) -> Option<&Mate> {
        self.trunk.get()
    }

    /// Names who does.
    pub(crate) fn set_trunk(&self, trunk: Mate) {
        // Only `init` calls this, once.
        let _ = self.trunk.set(trunk);
    }

    /// Cell, endpoint and sub-interface of frames that go down; None where it is not there.
    #[inline]
    pub(crate) fn place(&self) -> Option<(u16, u16, u16)> {
        let place = self.place.load(Ordering::Relaxed);
        (place != ABSENT).then_some((place as u16, (place >> 16) as u16, (place >> 32) as u16))
    }

    /// Takes note of an advert.
    pub(crate) fn advertised(&self, advert: &Advert) {
        let here = advert.flags & ADVERT_DYING == 0;
        let place = [advert.cell, advert.endpoint, advert.iface];
        let place = place
            .iter()
            .rev()
            .fold(0, |all, &part| all << 16 | u64::from(part));
        let place = if here { place } else { ABSENT };
        self.place.store(place, Ordering::Relaxed);
        *self.advert.lock().unwrap_or_else(PoisonError::into_inner) = here.then_some(*advert);
    }

    /// The last advert; None where the interface is not there.
    pub(crate) fn advert(&self) -> Option<Advert> {
        *self.advert.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
