//! The service of programs. Its state is the clients' jobs.

use super::job::{Job, User};
use super::message::{Command, op};
use crate::errno;
use crate::head::Head;
use crate::service::Serve;
use io_net_msg::{Received, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Jobs that one client may have.
const JOBS_MAX: usize = 64;
/// Jobs of all clients.
const ALL_MAX: usize = 512;

type Jobs = HashMap<u64, Arc<Job>>;

/// The server.
#[derive(Debug, Default)]
pub struct Programs {
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    last: u64,
    jobs: HashMap<i32, Jobs>,
}

impl Serve for Programs {
    fn message(&self, message: &[u8], received: Received) {
        if let Some((received, answer)) = self.answer(message, received) {
            // The client may have gone.
            let _ = match answer {
                Ok(status) => received.reply(status, &[]),
                Err(error) => received.error(error),
            };
        }
    }

    fn gone(&self, scoid: i32) {
        let jobs = self.clients().jobs.remove(&scoid);
        drop(jobs);
    }
}

impl Programs {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status for a message, or none where a job's thread will answer.
    fn answer(&self, message: &[u8], received: Received) -> Option<(Received, Result<i64>)> {
        let scoid = received.info().scoid;
        let (head, body) = match Head::parse(message) {
            Ok(parsed) => parsed,
            Err(error) => return Some((received, Err(error))),
        };
        if head.op.get() == op::START {
            let started = self.start(scoid, &head, body, &received);
            return Some((received, started.map(u64::cast_signed)));
        }
        let Some(job) = self.job(scoid, head.handle.get()) else {
            return Some((received, Err(errno::SRCH)));
        };
        match head.op.get() {
            op::INPUT => job.input(received, body),
            op::OUTPUT => job.output(head.mode.get(), received),
            op::WAIT => job.wait(received),
            op::SIGNAL => {
                let sent = job.signal(head.mode.get().cast_signed());
                return Some((received, sent.map(|()| 0)));
            }
            _ => return Some((received, Err(errno::NOSYS))),
        }
        None
    }

    fn start(&self, scoid: i32, head: &Head, body: &[u8], received: &Received) -> Result<u64> {
        let command = Command::parse(body, head.length.get())?;
        let client = received.client();
        let user = User {
            uid: client.uid,
            gid: client.gid,
        };
        {
            let clients = self.clients();
            let own = clients.jobs.get(&scoid).map_or(0, Jobs::len);
            let all = clients.jobs.values().map(Jobs::len).sum::<usize>();
            if own >= JOBS_MAX || all >= ALL_MAX {
                return Err(errno::AGAIN);
            }
        }
        // Not under the lock: to start a program may take long.
        let job = Arc::new(Job::start(&command, user)?);
        let mut clients = self.clients();
        // What a status can carry over a network.
        clients.last = clients.last % i32::MAX.unsigned_abs() as u64 + 1;
        let handle = clients.last;
        clients.jobs.entry(scoid).or_default().insert(handle, job);
        Ok(handle)
    }

    fn job(&self, scoid: i32, handle: u64) -> Option<Arc<Job>> {
        self.clients().jobs.get(&scoid)?.get(&handle).cloned()
    }
}
