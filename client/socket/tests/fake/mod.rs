//! A server of the socket protocol with no network: sockets that connect to each other.
//!
//! It stands in for `npm-tcpip` in tests of the program's side, with that side's rules: it trusts
//! nothing in a segment. One thread; stopped and joined when dropped.

mod server;
mod socket;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use io_net_os::eventfd::EventFd;
use io_net_os::unix;

static INSTANCES: AtomicU32 = AtomicU32::new(0);

/// A running server.
pub(crate) struct Fake {
    directory: PathBuf,
    stop: Arc<AtomicBool>,
    kick: Arc<EventFd>,
    sockets: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Starts one in a new directory.
    pub(crate) fn start() -> Self {
        let number = INSTANCES.fetch_add(1, Ordering::Relaxed);
        let name = format!("io-net-fake-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let listener = unix::listen_seqpacket(&directory.join("socket"), 64).unwrap();
        let (stop, kick) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(EventFd::new().unwrap()),
        );
        let sockets = Arc::new(AtomicU32::new(0));
        let (stopped, kicked, counted) = (stop.clone(), kick.clone(), sockets.clone());
        let thread = std::thread::spawn(move || {
            let mut server = server::Server::new(listener, kicked, counted);
            while !stopped.load(Ordering::Relaxed) {
                server.turn();
            }
        });
        Self {
            directory,
            stop,
            kick,
            sockets,
            thread: Some(thread),
        }
    }

    /// What `SOCK` must be.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Sockets that are not closed yet.
    pub(crate) fn sockets(&self) -> u32 {
        self.sockets.load(Ordering::Relaxed)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        io_net_os::eventfd::raise(self.kick.as_fd());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}
