//! A program that runs for a client: a thread for each of its streams, and one that waits for it.
//!
//! A request waits in the queue of the thread that can answer it. When the job is dropped the program
//! and all that it started are ended, and the threads with them.

use super::message::{CHUNK, Command};
use crate::errno;
use io_net_msg::{Received, Result};
use io_net_os::{exec, group};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Requests of one kind that may wait.
const QUEUE_MAX: usize = 16;
/// SIGKILL.
const KILL: i32 = 9;

/// A request that waits: for input, its bytes.
type Waiting = (Received, Vec<u8>);

/// A program that runs.
#[derive(Debug)]
pub struct Job {
    input: SyncSender<Waiting>,
    output: SyncSender<Waiting>,
    errors: SyncSender<Waiting>,
    end: SyncSender<Waiting>,
    /// Leads the group; its number is its own until the last thread has let go of it.
    leader: u32,
}

/// Who the program is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Job {
    /// Starts a program as `user`.
    ///
    /// # Errors
    /// EPERM where this process may not be that user; ENOENT, EACCES for the program or directory.
    pub fn start(command: &Command, user: User) -> Result<Self> {
        let mut child = spawn(command, user)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let leader = child.id();
        let threads = || -> io::Result<Self> {
            Ok(Self {
                input: queue("input", move |waiting| feed(stdin, &waiting))?,
                output: queue("output", move |waiting| drain(stdout, &waiting))?,
                errors: queue("errors", move |waiting| drain(stderr, &waiting))?,
                end: queue("end", move |waiting| wait(child, &waiting))?,
                leader,
            })
        };
        // Without its threads nobody would end it.
        Ok(threads().inspect_err(|_| group::signal(leader, KILL).unwrap_or_default())?)
    }

    /// Queues bytes for the program's input; none end it.
    pub fn input(&self, received: Received, bytes: &[u8]) {
        queue_up(&self.input, (received, bytes.to_vec()));
    }

    /// Queues a request for output of stream 1 or 2.
    pub fn output(&self, stream: u32, received: Received) {
        match stream {
            1 => queue_up(&self.output, (received, vec![])),
            2 => queue_up(&self.errors, (received, vec![])),
            // The client may have gone.
            _ => drop(received.error(errno::INVAL)),
        }
    }

    /// Queues a request for the program's end.
    pub fn wait(&self, received: Received) {
        queue_up(&self.end, (received, vec![]));
    }

    /// Sends a signal to the program and what it started.
    ///
    /// # Errors
    /// ESRCH when all have ended, EINVAL for no signal.
    pub fn signal(&self, signal: i32) -> Result<()> {
        Ok(group::signal(self.leader, signal)?)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Ended already: nothing to do.
        let _ = group::signal(self.leader, KILL);
    }
}

fn spawn(command: &Command, user: User) -> io::Result<Child> {
    let mut spawned = std::process::Command::new(&command.arguments[0]);
    spawned
        .args(&command.arguments[1..])
        .env_clear()
        .envs(command.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&command.directory)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let own = (io_net_os::task::user_id(), io_net_os::identity::group_id());
    // Which io-net is meant on the client's node says nothing here.
    match std::env::var_os("SOCK") {
        Some(dir) => spawned.env("SOCK", dir),
        None => spawned.env_remove("SOCK"),
    };
    if own != (user.uid, user.gid) {
        // Root leaves all groups with this.
        spawned.uid(user.uid).gid(user.gid);
    }
    exec::with_usual_signals(&mut spawned);
    spawned.spawn()
}

/// A thread with its queue.
fn queue(
    name: &str,
    work: impl FnOnce(Receiver<Waiting>) + Send + 'static,
) -> io::Result<SyncSender<Waiting>> {
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    let thread = thread::Builder::new().name(format!("job-{name}"));
    thread.spawn(move || work(receiver))?;
    Ok(sender)
}

fn queue_up(queue: &SyncSender<Waiting>, waiting: Waiting) {
    use std::sync::mpsc::TrySendError::{Disconnected, Full};
    if let Err(Full((received, _)) | Disconnected((received, _))) = queue.try_send(waiting) {
        // The client may have gone.
        let _ = received.error(errno::AGAIN);
    }
}

/// The thread of the program's input.
fn feed(mut stdin: Option<ChildStdin>, waiting: &Receiver<Waiting>) {
    for (received, bytes) in waiting {
        if bytes.is_empty() {
            stdin = None;
        }
        let written = match &mut stdin {
            Some(pipe) => pipe.write_all(&bytes).map_err(Into::into),
            None if bytes.is_empty() => Ok(()),
            None => Err(io_net_msg::Error(32)),
        };
        // The client may have gone.
        let _ = match written {
            Ok(()) => received.reply(bytes.len() as i64, &[]),
            Err(error) => {
                stdin = None;
                received.error(error)
            }
        };
    }
}

/// The thread of one of its outputs.
fn drain(pipe: Option<impl Read>, waiting: &Receiver<Waiting>) {
    let Some(mut pipe) = pipe else { return };
    let mut buf = vec![0; CHUNK];
    for (received, _) in waiting {
        let room = usize::try_from(received.info().dstmsglen).unwrap_or(CHUNK);
        let room = room.clamp(1, CHUNK);
        let _ = match pipe.read(&mut buf[..room]) {
            Ok(n) => received.reply(0, &buf[..n]),
            Err(error) => received.error(error.into()),
        };
    }
}

/// The thread that waits for it. Its number is given back when nobody can send it signals any more.
fn wait(mut child: Child, waiting: &Receiver<Waiting>) {
    let status = group::wait_for_end(child.id());
    for (received, _) in waiting {
        // The client may have gone.
        let _ = match &status {
            Ok(status) => received.reply((*status).into(), &[]),
            Err(_) => received.error(errno::IO),
        };
    }
    let _ = child.wait();
}
