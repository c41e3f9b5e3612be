//! What a kit knows, under one lock: modules may log, allocate and wake from threads of their own.

use crate::ledger::Ledger;
use io_net_abi::{Advert, Npkt, RegistrantOps};
use io_net_pktbuf::Pool;
use std::ffi::c_void;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What io-net's callbacks and the [`crate::Kit`] share.
pub(crate) struct Shared {
    pub(crate) pool: Arc<Pool>,
    pub(crate) run_dir: String,
    state: Mutex<State>,
}

/// One registrant.
#[derive(Clone)]
pub(crate) struct Reg {
    pub(crate) name: String,
    pub(crate) flags: u32,
    pub(crate) top: Option<String>,
    pub(crate) bottom: Option<String>,
    pub(crate) endpoint: u16,
    pub(crate) func_hdl: *mut c_void,
    pub(crate) ops: *const RegistrantOps,
    pub(crate) polling: bool,
}

/// A packet that the module has sent.
pub(crate) struct RawSent {
    pub(crate) reg: usize,
    pub(crate) up: bool,
    pub(crate) pkt: *mut Npkt,
}

pub(crate) struct Timer {
    pub(crate) reg: usize,
    pub(crate) id: u32,
    pub(crate) deadline_ns: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Watch {
    pub(crate) reg: usize,
    pub(crate) fd: i32,
    pub(crate) events: u32,
    pub(crate) cookie: u64,
}

pub(crate) struct State {
    pub(crate) ledger: Ledger,
    pub(crate) now_ns: u64,
    pub(crate) registrants: Vec<Reg>,
    pub(crate) sent: Vec<RawSent>,
    pub(crate) timers: Vec<Timer>,
    pub(crate) watches: Vec<Watch>,
    /// The counters' cells stay where they are: the module holds their addresses.
    pub(crate) counters: Vec<(usize, String, Box<AtomicU64>)>,
    pub(crate) adverts: Vec<Advert>,
    pub(crate) patterns: Vec<(u32, Vec<u8>)>,
    pub(crate) foreign_home: Vec<*mut Npkt>,
    pub(crate) logs: Vec<(u32, String)>,
    pub(crate) failure: Option<(i32, String)>,
    pub(crate) woken: Vec<usize>,
    pub(crate) quiesced: bool,
}

// SAFETY: the raw pointers are packets and registrants of one module instance, which are only used
// by the kit's own thread; other threads reach the rest of the state under its lock.
unsafe impl Send for State {}

impl Shared {
    pub(crate) fn new(pool: Arc<Pool>, run_dir: String) -> Arc<Self> {
        let state = State {
            ledger: Ledger::new(pool.clone()),
            now_ns: 1_000_000_000,
            registrants: Vec::new(),
            sent: Vec::new(),
            timers: Vec::new(),
            watches: Vec::new(),
            counters: Vec::new(),
            adverts: Vec::new(),
            patterns: Vec::new(),
            foreign_home: Vec::new(),
            logs: Vec::new(),
            failure: None,
            woken: Vec::new(),
            quiesced: false,
        };
        Arc::new(Shared {
            pool,
            run_dir,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
