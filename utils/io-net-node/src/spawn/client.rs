//! `on`'s work: a program of another node, with this process's input and output.
//!
//! A thread for each stream asks again and again; the main one waits for the end. What the program
//! has said is written before its end is told.

use super::message::{CHUNK, Command, op};
use crate::errno;
use crate::head::Head;
use crate::net::nodes;
use crate::service::SPAWN;
use io_net_msg::{Connection, Error, Result, name};
use io_net_os::epoll::{Epoll, Event, IN};
use io_net_os::signalfd::Signals;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;

/// What becomes of a program, or why there is none.
#[derive(Debug)]
pub enum Failure {
    /// The node runs no programs for others, or cannot be reached.
    Node(String),
    /// The program could not be started.
    Program(Error),
}

/// A program that runs on another node.
#[derive(Clone, Debug)]
struct Running {
    connection: Arc<Connection>,
    handle: u64,
}

/// Runs `command` on `node` to its end. `signals` are passed on to it.
///
/// # Errors
/// Why it did not run, or its end is not known.
pub fn run(
    node: &str,
    command: &Command,
    signals: Signals,
) -> std::result::Result<ExitStatus, Failure> {
    let running = start(node, command)?;
    let failed = |error: io::Error| Failure::Node(format!("cannot start a thread: {error}"));
    let outputs = [
        spawn("output", &running, |r| {
            copy_out(r, 1, &mut io::stdout().lock())
        })
        .map_err(failed)?,
        spawn("errors", &running, |r| {
            copy_out(r, 2, &mut io::stderr().lock())
        })
        .map_err(failed)?,
    ];
    // These two end with the process: nobody may wait for input that does not come.
    spawn("input", &running, copy_in).map_err(failed)?;
    spawn("signals", &running, move |r| pass_on(r, &signals)).map_err(failed)?;
    let lost = |error| Failure::Node(format!("lost {node}: {error}"));
    let status = running.ask(op::WAIT, 0, &[], &mut []).map_err(lost)?.0;
    for output in outputs {
        output.join().unwrap_or(Err(errno::IO)).map_err(lost)?;
    }
    Ok(ExitStatus::from_raw(status as i32))
}

fn start(node: &str, command: &Command) -> std::result::Result<Running, Failure> {
    let path = format!("/net/{node}/dev/name/local/{SPAWN}");
    let connection = name::open(&path, false).map_err(|error| {
        Failure::Node(match error {
            errno::NOENT if nodes::check(node).is_ok() => format!(
                "{node} runs no programs of others: there is no \"io-net-node --spawn\" on it"
            ),
            errno::NOENT => format!("there is no node {node}, or it is down"),
            errno::OPNOTSUPP => "no Qnet runs here: start io-net with -p qnet".to_owned(),
            error => format!("cannot reach {node}: {error}"),
        })
    })?;
    let body = command.to_body().map_err(Failure::Program)?;
    let mut head = Head::new(op::START);
    head.length = (command.arguments.len() as u32).into();
    let (handle, _) = head
        .send(&connection, &body, &mut [])
        .map_err(Failure::Program)?;
    Ok(Running {
        connection: Arc::new(connection),
        handle: handle.cast_unsigned(),
    })
}

fn spawn<T: Send + 'static>(
    name: &str,
    running: &Running,
    work: impl FnOnce(&Running) -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<T>> {
    let running = running.clone();
    thread::Builder::new()
        .name(name.into())
        .spawn(move || work(&running))
}

impl Running {
    fn ask(&self, op: u32, mode: u32, body: &[u8], reply: &mut [u8]) -> Result<(i64, usize)> {
        let mut head = Head::new(op);
        (head.handle, head.mode) = (self.handle.into(), mode.into());
        head.send(&self.connection, body, reply)
    }
}

/// What the program writes, until it is done with the stream.
fn copy_out(running: &Running, stream: u32, to: &mut impl Write) -> Result<()> {
    let mut buf = vec![0; CHUNK];
    loop {
        let (_, len) = running.ask(op::OUTPUT, stream, &[], &mut buf)?;
        if len == 0 {
            return Ok(());
        }
        if to.write_all(&buf[..len]).and_then(|()| to.flush()).is_err() {
            // Nobody reads it: the program is told as it would be here.
            const PIPE: u32 = 13;
            running.ask(op::SIGNAL, PIPE, &[], &mut [])?;
            return Ok(());
        }
    }
}

/// What this process is given, until there is no more or the program wants none.
fn copy_in(running: &Running) {
    let mut buf = vec![0; CHUNK];
    let mut stdin = io::stdin().lock();
    loop {
        let n = stdin.read(&mut buf).unwrap_or(0);
        let taken = running.ask(op::INPUT, 0, &buf[..n], &mut []);
        if n == 0 || taken.is_err() {
            return;
        }
    }
}

fn pass_on(running: &Running, signals: &Signals) {
    let Ok(epoll) = Epoll::new() else { return };
    if epoll.add(signals.as_fd(), IN, 0).is_err() {
        return;
    }
    let mut events = [Event::default()];
    while epoll.wait(&mut events, None).is_ok() {
        while let Some(signal) = signals.take() {
            // It may have ended meanwhile.
            let _ = running.ask(op::SIGNAL, signal.unsigned_abs(), &[], &mut []);
        }
    }
}
