//! How other threads get a worker to do something: jobs, run between operations, and a bell.

use super::Worker;
use io_net_os::eventfd::EventFd;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that a worker does between operations.
pub type Job = Box<dyn FnOnce(&Worker) + Send>;

/// Jobs for one worker. Any thread posts; the worker takes them in order.
pub struct Mailbox {
    jobs: Mutex<VecDeque<Job>>,
    /// Whether there are jobs: spares the worker the lock.
    any: AtomicBool,
    asleep: AtomicBool,
    bell: EventFd,
}

impl Mailbox {
    /// An empty one.
    ///
    /// # Errors
    /// The kernel's error: out of fds.
    pub fn new() -> io::Result<Mailbox> {
        Ok(Mailbox {
            jobs: Mutex::default(),
            any: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            bell: EventFd::new()?,
        })
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the worker run `job` soon.
    pub fn post(&self, job: impl FnOnce(&Worker) + Send + 'static) {
        let mut jobs = self.jobs();
        jobs.push_back(Box::new(job));
        self.any.store(true, Ordering::Release);
        drop(jobs);
        fence(Ordering::SeqCst);
        self.ring_if_asleep();
    }

    /// As `post`, with an answer.
    pub fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Worker) -> T + Send + 'static,
    ) -> Receiver<T> {
        let (answer, receiver) = sync_channel(1);
        self.post(move |worker| {
            // Whoever asked may have given up waiting.
            let _ = answer.send(job(worker));
        });
        receiver
    }

    /// Wakes the worker, if it sleeps. A `SeqCst` fence lies between the news and this call.
    #[inline]
    pub fn ring_if_asleep(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.bell.raise();
        }
    }

    /// Whether there are jobs.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Takes the jobs there are.
    pub(super) fn take(&self) -> VecDeque<Job> {
        let mut jobs = self.jobs();
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut jobs)
    }

    /// The worker is about to sleep: from here on it is rung. It looks for news once more after this.
    pub(super) fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The worker is awake.
    pub(super) fn wake_up(&self) {
        if !self.asleep.swap(false, Ordering::Relaxed) {
            self.bell.lower();
        }
    }

    /// What the worker sleeps on.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
