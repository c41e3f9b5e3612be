//! A module's instance as its callbacks know it.

use crate::options::Placement;
use crate::shared::Shared;
use io_net_abi::{Advert, RegHandle};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What registrants know of their instance.
#[derive(Debug)]
pub struct Link {
    id: u64,
    module: String,
    failed: AtomicBool,
}

impl Link {
    /// The link of a new instance.
    #[must_use]
    pub fn new(id: u64, module: String) -> Arc<Link> {
        Arc::new(Link {
            id,
            module,
            failed: AtomicBool::new(false),
        })
    }

    /// Its number; not used twice.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The module's name.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// Whether it has said that it cannot go on.
    #[inline]
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Notes that it cannot go on; true the first time.
    pub fn set_failed(&self) -> bool {
        !self.failed.swap(true, Ordering::Relaxed)
    }
}

/// What a module asked for during `init`, when it was not yet on its worker.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    /// Watch a descriptor.
    Watch(RegHandle, RawFd, u32, u64),
    /// Set a timer.
    Timer(RegHandle, u32, u64),
    /// Poll, or stop polling.
    Poller(RegHandle, bool),
    /// Poll once.
    Wake(RegHandle),
    /// Tell of an interface.
    Advert(RegHandle, Advert),
}

/// Where an instance is in its life.
#[derive(Debug, Default)]
pub struct Stage {
    /// `init` is running.
    pub starting: bool,
    /// What it asked for so far.
    pub wishes: Vec<Wish>,
    /// Why it failed, in its own words.
    pub reason: Option<(i32, String)>,
    /// Why io-net refused a registrant.
    pub refusal: Option<String>,
    /// Registrants entered so far.
    pub registered: usize,
}

/// What the callbacks' first argument points to. It lives until `shutdown` has returned.
pub struct Context {
    /// The io-net it is part of.
    pub shared: Arc<Shared>,
    /// Its identity.
    pub link: Arc<Link>,
    /// io-net's options for it.
    pub placement: Placement,
    /// Worker that runs its registrants.
    pub home: usize,
    stage: Mutex<Stage>,
}

impl Context {
    /// The context of an instance whose `init` is about to run.
    #[must_use]
    pub fn new(shared: Arc<Shared>, link: Arc<Link>, placement: Placement, home: usize) -> Context {
        Context {
            shared,
            link,
            placement,
            home,
            stage: Mutex::new(Stage {
                starting: true,
                ..Stage::default()
            }),
        }
    }

    /// Where it is in its life. Not held across a call into the module.
    pub fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a wish for the end of `init`; false where `init` is over or wishes too much.
    pub fn wish(&self, wish: Wish) -> bool {
        const WISHES_MAX: usize = 4096;
        let mut stage = self.stage();
        let room = stage.starting && stage.wishes.len() < WISHES_MAX;
        if room {
            stage.wishes.push(wish);
        }
        room
    }
}
