//! What threads beside the home worker have found out, on its way there.

use io_net_qnet::{Errno, Query};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};

/// One thing found out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// Where a node is; nowhere, where it is not known, or an error where that could not be asked.
    Found(Query, Result<Vec<IpAddr>, Errno>),
    /// Something to be logged: its level, and a sentence.
    Note(u32, String),
}

/// A thread's way to the home worker.
pub(crate) struct Teller {
    queue: Sender<Aside>,
    wake: Box<dyn Fn() + Send>,
}

impl Teller {
    /// Puts things into `queue`, and has the worker woken for each.
    pub(crate) fn new(queue: &Sender<Aside>, wake: impl Fn() + Send + 'static) -> Self {
        Teller {
            queue: queue.clone(),
            wake: Box::new(wake),
        }
    }

    /// Tells it. Where nobody listens any more, nobody misses it.
    pub(crate) fn tell(&self, aside: Aside) {
        if self.queue.send(aside).is_ok() {
            (self.wake)();
        }
    }
}

/// A queue to the home worker.
pub(crate) fn queue() -> (Sender<Aside>, Receiver<Aside>) {
    channel()
}
