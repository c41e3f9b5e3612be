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

use crate::aside::{Aside, Teller};
use crate::options::Resolver;
use io_net_ddk::abi::{LOG_INFO, LOG_WARNING};
use io_net_qnet::{Errno, Query};
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

/// The thread, and the ways to it and back.
pub(crate) struct Resolvers {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
    publishes: bool,
}

impl Resolvers {
    /// Starts the thread, where any of `resolvers` needs it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(resolvers: &[Resolver], teller: Teller) -> std::io::Result<Self> {
        let (tasks, for_thread) = channel();
        let needed = resolvers.iter().any(|r| *r != Resolver::Ndp);
        let publishes = resolvers.iter().any(|r| matches!(r, Resolver::Etcd(_)));
        let sources = resolvers.iter().cloned().map(Source::new).collect();
        let mut asked = Asked { sources, teller };
        let work = move || serve(&mut asked, &for_thread);
        let builder = std::thread::Builder::new().name("io-net-resolve".into());
        let thread = match needed {
            true => Some(builder.spawn(work)?),
            false => None,
        };
        Ok(Resolvers {
            tasks: Some(tasks),
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
fn serve(asked: &mut Asked, tasks: &Receiver<Task>) {
    let mut next = tasks.recv().ok();
    while let Some(task) = next {
        match task {
            Task::Find { query, kind, name } => {
                let found = asked.find(kind, &name);
                asked.teller.tell(Aside::Found(query, found));
            }
            Task::Publish { name, addresses } => asked.publish(&name, &addresses),
        }
        next = match tasks.try_recv() {
            Err(TryRecvError::Empty) => tasks.recv().ok(),
            Err(TryRecvError::Disconnected) => None,
            Ok(task) => Some(task),
        };
    }
}

/// One that is asked.
struct Source {
    resolver: Resolver,
    etcd: Option<etcd::Nodes>,
    /// What was the matter with it last.
    trouble: Option<String>,
}

impl Source {
    fn new(resolver: Resolver) -> Self {
        let etcd = match resolver {
            Resolver::Etcd(server) => Some(etcd::Nodes::new(server)),
            _ => None,
        };
        Source {
            resolver,
            etcd,
            trouble: None,
        }
    }

    fn find(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        match (&self.resolver, &self.etcd) {
            (Resolver::Dns, _) => dns::find(name),
            (Resolver::File(path), _) => file::find(path, name),
            (_, Some(etcd)) => etcd.find(name).map_err(|error| error.to_string()),
            _ => Ok(Vec::new()),
        }
    }
}

/// All that are asked, on their thread.
struct Asked {
    sources: Vec<Source>,
    teller: Teller,
}

impl Asked {
    /// Asks each of a kind in turn until one knows. EAGAIN where none does and one cannot be asked.
    fn find(&mut self, kind: io_net_qnet::Resolver, name: &str) -> Result<Vec<IpAddr>, Errno> {
        let mut nowhere = Ok(Vec::new());
        for source in &mut self.sources {
            if source.resolver.kind() != kind {
                continue;
            }
            let found = source.find(name);
            note(source, found.as_ref().err(), &self.teller);
            match found {
                Ok(mut addresses) if !addresses.is_empty() => {
                    addresses.truncate(ADDRESSES_MAX);
                    return Ok(addresses);
                }
                Ok(_) => {}
                Err(_) => nowhere = Err(Errno::EAGAIN),
            }
        }
        nowhere
    }

    /// Tells each that keeps nodes where this one is. It is told again before long.
    fn publish(&mut self, name: &str, addresses: &[IpAddr]) {
        for source in &mut self.sources {
            if let Some(etcd) = &mut source.etcd {
                let failed = etcd.publish(name, addresses).err();
                let why = failed.map(|error| error.to_string());
                note(source, why.as_ref(), &self.teller);
            }
        }
    }
}

/// Says what is the matter with one that is asked, once; and that it is well again.
fn note(source: &mut Source, trouble: Option<&String>, teller: &Teller) {
    if source.trouble.as_ref() == trouble {
        return;
    }
    let kind = source.resolver.kind();
    let note = match trouble {
        Some(why) => Aside::Note(LOG_WARNING, format!("nodes are not found by {kind}: {why}")),
        None => Aside::Note(LOG_INFO, format!("nodes are found by {kind} again")),
    };
    source.trouble = trouble.cloned();
    teller.tell(note);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aside::queue;

    #[test]
    fn trouble_is_said_once_and_so_is_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes");
        let (queue, asides) = queue();
        let teller = Teller::new(&queue, || {});
        let sources = vec![Source::new(Resolver::File(path.clone()))];
        let mut asked = Asked { sources, teller };
        let mut find = |name: &str| asked.find(io_net_qnet::Resolver::File, name);
        assert_eq!(find("lab2"), Err(Errno::EAGAIN));
        assert_eq!(find("lab2"), Err(Errno::EAGAIN));
        std::fs::write(&path, "lab2 10.0.0.2\n").unwrap();
        assert_eq!(find("lab2").unwrap().len(), 1);
        assert_eq!(find("lab3"), Ok(Vec::new()));
        let said: Vec<_> = asides.try_iter().collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(matches!(&said[0], Aside::Note(LOG_WARNING, why) if why.contains("nodes")));
        assert!(matches!(&said[1], Aside::Note(LOG_INFO, _)));
    }
}
