//! One node as the mount sees it: its files, and a few threads that wait for its answers.

use crate::files::remote::Remote;
use io_net_msg::Result;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Requests to one node that are under way at once.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that do what they are given. They end when it is dropped and all is done.
#[derive(Debug)]
pub struct Crew(Sender<Job>);

/// A node.
#[derive(Debug)]
pub struct Peer {
    name: String,
    remote: Arc<Remote>,
    crew: Crew,
}

impl Crew {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// EAGAIN where there are no more threads.
    pub fn start(name: &str, threads: usize) -> Result<Self> {
        // The kernel bounds what it asks for at once.
        let (queue, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads {
            let jobs = jobs.clone();
            let thread = thread::Builder::new().name(name.chars().take(15).collect());
            thread.spawn(move || work(&jobs))?;
        }
        Ok(Self(queue))
    }

    /// Has one of the threads do this.
    pub fn give(&self, job: impl FnOnce() + Send + 'static) {
        // The threads live as long as the queue.
        let _ = self.0.send(Box::new(job));
    }
}

impl Peer {
    /// Node `name`: nobody is asked yet.
    ///
    /// # Errors
    /// As [`Crew::start`].
    pub fn start(name: &str) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            name: name.to_owned(),
            remote: Arc::new(Remote::new(name)),
            crew: Crew::start(&format!("net-{name}"), THREADS)?,
        }))
    }

    /// Its name, with its quality of service.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has one of its threads do this.
    pub fn give(&self, job: impl FnOnce(&Remote) + Send + 'static) {
        let remote = self.remote.clone();
        self.crew.give(move || job(&remote));
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // One thread waits in here, the others for it.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
