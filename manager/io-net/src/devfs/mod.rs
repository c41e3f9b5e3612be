//! The tree of registrants (`/dev/io-net`): each is a FUSE mount of its own, so that the system's
//! `umount` takes it out, with files that tell how it is.
//!
//! Threads: `devfs` makes and removes mounts; each mount is served by one thread, which asks the
//! [`Host`] for a file's text when it is opened; and an operator's `umount` is followed up on a
//! thread of its own. No other thread of io-net waits for any of these longer than it says, and
//! none runs on the packet path: a reader that hangs, or a mount that cannot be taken away, holds up
//! nobody else.

mod attach;
mod files;
mod mount_table;
mod mounts;
mod text;

use io_net_os::eventfd::EventFd;
use mounts::Mounts;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

pub use attach::attach;
pub use files::File;

/// What the tree needs of io-net. Called on threads of the tree's own, never on `devfs`, which io-net
/// may be waiting for; but for [`Host::warn`].
pub trait Host: Send + Sync + 'static {
    /// The present text of a file of registrant `name`; `None` where it cannot be had. It may take its
    /// time: only this registrant's readers wait.
    fn text(&self, name: &str, file: File) -> Option<String>;

    /// The operator has unmounted `name`: unloads its module, and may take its time. `false` where that
    /// is refused, which the operator is told; `name` is then mounted again.
    fn unload(&self, name: &str) -> bool;

    /// Something for the operator's eyes.
    fn warn(&self, text: String);
}

/// What the tree's thread is told.
enum Order {
    Appear { name: String, link: bool },
    Vanish(String),
    Ended { name: String, generation: u64 },
    Settle(Sender<()>),
    Quit,
}

/// How the tree's thread is told. It listens to the bell.
#[derive(Clone)]
struct Orders {
    sender: Sender<Order>,
    bell: Arc<EventFd>,
}

impl Orders {
    /// Gives an order; one that comes after the end is forgotten.
    fn give(&self, order: Order) {
        let _ = self.sender.send(order);
        self.bell.raise();
    }
}

/// The mounted tree. Dropping it unmounts all.
pub struct DevTree {
    orders: Orders,
    ended: Receiver<()>,
}

/// How long the end of io-net waits for the mounts to go.
const STOP_LIMIT: Duration = Duration::from_millis(1500);

impl DevTree {
    /// Makes the directory `dir` where it is missing, and starts the tree's thread, which first
    /// takes away what an io-net that was killed has left there.
    ///
    /// # Errors
    /// A sentence that says why there can be no tree here.
    pub fn start(dir: &Path, host: Arc<dyn Host>) -> Result<DevTree, String> {
        let made = usable(dir)?;
        // Each mount has a buffer of 16 MiB, of which a few pages are ever used.
        io_net_os::heap::map_large_allocations();
        let cannot = |e: io::Error| format!("no tree of interfaces in {}: {e}", dir.display());
        let (sender, inbox) = channel();
        let bell = Arc::new(EventFd::new().map_err(cannot)?);
        let orders = Orders { sender, bell };
        let (alive, ended) = channel();
        let mounts = Mounts::new(dir, made, host, orders.clone()).map_err(cannot)?;
        let thread = std::thread::Builder::new().name("devfs".into());
        thread
            .spawn(move || {
                mounts.run(&inbox);
                drop(alive);
            })
            .map_err(cannot)?;
        Ok(DevTree { orders, ended })
    }

    /// Mounts registrant `name`; `link` where it is a driver, which has a link to tell of.
    /// Failures are said to the host.
    pub fn appear(&self, name: &str, link: bool) {
        let name = name.to_owned();
        self.orders.give(Order::Appear { name, link });
    }

    /// Unmounts registrant `name`, where it is mounted.
    pub fn vanish(&self, name: &str) {
        self.orders.give(Order::Vanish(name.to_owned()));
    }

    /// Waits until what was said so far has been done, no longer than `limit`.
    pub fn settle(&self, limit: Duration) {
        let (done, wait) = channel();
        self.orders.give(Order::Settle(done));
        let _ = wait.recv_timeout(limit);
    }
}

impl Drop for DevTree {
    fn drop(&mut self) {
        self.orders.give(Order::Quit);
        let _ = self.ended.recv_timeout(STOP_LIMIT);
    }
}

/// Checks that FUSE is to be had, and makes `dir` if need be; whether it had to be made.
fn usable(dir: &Path) -> Result<bool, String> {
    let advice = "use --dev-dir for another place, or --no-dev to go without";
    let none = |what: String| format!("no tree of interfaces: {what}; {advice}");
    let mut fuse = OpenOptions::new();
    fuse.read(true)
        .write(true)
        .open("/dev/fuse")
        .map_err(|e| none(format!("cannot open /dev/fuse: {e}")))?;
    // A place that exists may hold a dead mount, so it is not looked into here.
    match std::fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(none(format!("cannot make {}: {e}", dir.display()))),
    }
}

#[cfg(test)]
mod tests;
