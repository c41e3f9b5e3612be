//! Resolvers that need files or sockets: where a node is, by its name.
//!
//! | file | asks |
//! | --- | --- |
//! | [`dns`] | `/etc/hosts` and the name servers of `/etc/resolv.conf` |
//! | [`mod@file`] | lines of a file |
//! | [`etcd`] | an etcd server, where nodes also tell where they are |
//!
//! They run on a thread of their own, as they wait; each wait is short, so that the thread can be
//! ended. The home worker gives it questions and is woken for the answers.

mod dns;
mod etcd;
mod file;

use crate::options::Resolver;
use io_net_ddk::Waker;
use io_net_qnet::Query;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest wait for one answer of a server.
const PATIENCE: Duration = Duration::from_millis(700);
/// How often a node tells where it is.
pub(crate) const PUBLISH: Duration = Duration::from_secs(etcd::LEASE_S / 3);
/// Addresses of a node that are taken, at most.
const ADDRESSES_MAX: usize = 16;

/// What the thread is to do.
enum Task {
    /// Find a node by its full name.
    Find {
        query: Query,
        kind: io_net_qnet::Resolver,
        name: String,
    },
    /// Tell where this node is.
    Publish {
        name: String,
        addresses: Vec<IpAddr>,
    },
}

/// Where a node is; none, where this resolver does not know.
pub(crate) type Found = (Query, Vec<IpAddr>);

/// The thread, and the ways to it and back.
pub(crate) struct Resolvers {
    tasks: Option<Sender<Task>>,
    found: Receiver<Found>,
    thread: Option<JoinHandle<()>>,
    publishes: bool,
}

impl Resolvers {
    /// Starts the thread, where any of `resolvers` needs it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(resolvers: &[Resolver], waker: Waker) -> std::io::Result<Self> {
        let (tasks, for_thread) = channel();
        let (from_thread, found) = channel();
        let resolvers: Vec<Resolver> = resolvers.to_vec();
        let needed = resolvers.iter().any(|r| *r != Resolver::Ndp);
        let publishes = resolvers.iter().any(|r| matches!(r, Resolver::Etcd(_)));
        let work = move || serve(&resolvers, &for_thread, &from_thread, &waker);
        let builder = std::thread::Builder::new().name("io-net-resolve".into());
        let thread = match needed {
            true => Some(builder.spawn(work)?),
            false => None,
        };
        Ok(Resolvers {
            tasks: Some(tasks),
            found,
            thread,
            publishes,
        })
    }

    /// Whether the node is to say where it is.
    pub(crate) fn publishes(&self) -> bool {
        self.publishes
    }

    /// Asks for a node; its answer comes later. False where there is nobody to ask.
    pub(crate) fn find(&self, query: Query, kind: io_net_qnet::Resolver, name: String) -> bool {
        self.give(Task::Find { query, kind, name })
    }

    /// Tells where this node is.
    pub(crate) fn publish(&self, name: String, addresses: Vec<IpAddr>) -> bool {
        self.give(Task::Publish { name, addresses })
    }

    fn give(&self, task: Task) -> bool {
        let tasks = self.tasks.as_ref().filter(|_| self.thread.is_some());
        tasks.is_some_and(|tasks| tasks.send(task).is_ok())
    }

    /// The next answer.
    pub(crate) fn next(&self) -> Option<Found> {
        self.found.try_recv().ok()
    }
}

impl Drop for Resolvers {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            // It waits for nothing longer than its patience.
            let _ = thread.join();
        }
    }
}

/// Does tasks until there are to be no more. What had been asked before that is left.
fn serve(resolvers: &[Resolver], tasks: &Receiver<Task>, found: &Sender<Found>, waker: &Waker) {
    let mut next = tasks.recv().ok();
    while let Some(task) = next {
        match task {
            Task::Find { query, kind, name } => {
                let mut addresses = ask(resolvers, kind, &name);
                addresses.truncate(ADDRESSES_MAX);
                if found.send((query, addresses)).is_err() {
                    return;
                }
                waker.wake();
            }
            Task::Publish { name, addresses } => {
                for resolver in resolvers {
                    if let Resolver::Etcd(server) = resolver {
                        // It is told again before long.
                        let _ = etcd::publish(*server, &name, &addresses);
                    }
                }
            }
        }
        next = match tasks.try_recv() {
            Err(TryRecvError::Empty) => tasks.recv().ok(),
            Err(TryRecvError::Disconnected) => None,
            Ok(task) => Some(task),
        };
    }
}

/// Asks each resolver of a kind in turn until one knows.
fn ask(resolvers: &[Resolver], kind: io_net_qnet::Resolver, name: &str) -> Vec<IpAddr> {
    let of_kind = resolvers.iter().filter(|resolver| resolver.kind() == kind);
    let answers = of_kind.map(|resolver| match resolver {
        Resolver::Ndp => Vec::new(),
        Resolver::Dns => dns::find(name),
        Resolver::File(path) => file::find(path, name),
        Resolver::Etcd(server) => etcd::find(*server, name).unwrap_or_default(),
    });
    answers
        .into_iter()
        .find(|answer| !answer.is_empty())
        .unwrap_or_default()
}
