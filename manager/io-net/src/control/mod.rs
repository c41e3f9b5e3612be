//! The control thread: requests from outside, signals, and what workers note.
//!
//! It waits in one epoll and does one thing at a time. Clients are never waited for: what they send
//! is gathered, what they do not take is kept up to a bound, and who exceeds either is cut off.

mod client;

use crate::config::ModuleSpec;
use crate::lifecycle::Manager;
use crate::report;
use client::Client;
use io_net_abi::DEVCTL_JSON;
use io_net_os::epoll::{Epoll, Event, IN, OUT};
use io_net_os::eventfd::EventFd;
use io_net_os::signalfd::Signals;
use io_net_proto::control::{Failure, Reply, Request, SOCKET_NAME};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Clients at one time; a further one takes the place of the one that has been silent longest.
const CLIENTS_MAX: usize = 64;
/// How often followers of the log are served.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

const SIGNALS: u64 = 0;
const NOTES: u64 = 1;
const CALLS: u64 = 2;
const LISTENER: u64 = 3;
const FIRST_CLIENT: u64 = 16;

/// A request from another thread of this process.
struct Call {
    request: Request,
    answer: SyncSender<Reply>,
}

#[derive(Default)]
struct Calls {
    waiting: VecDeque<Call>,
    closed: bool,
}

struct Counter {
    calls: Mutex<Calls>,
    bell: EventFd,
}

impl Counter {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How other threads of this process ask the control thread for something.
#[derive(Clone)]
pub struct ControlHandle(Arc<Counter>);

impl ControlHandle {
    /// Asks, and waits for the answer: never on the control thread itself.
    #[must_use]
    pub fn request(&self, request: Request) -> Reply {
        let (answer, receiver) = sync_channel(1);
        let mut calls = self.0.calls();
        if !calls.closed {
            calls.waiting.push_back(Call { request, answer });
            drop(calls);
            self.0.bell.raise();
            if let Ok(reply) = receiver.recv() {
                return reply;
            }
        }
        Reply::Error(Failure {
            errno: 108,
            what: "cannot ask io-net".into(),
            why: "it is stopping".into(),
            help: String::new(),
        })
    }
}

/// The control thread's own things.
pub struct Control {
    epoll: Epoll,
    listener: UnixListener,
    path: PathBuf,
    calls: Arc<Counter>,
    clients: HashMap<u64, Client>,
    next_token: u64,
    uid: u32,
    stopping: bool,
}

impl Control {
    /// Listens in `run_dir`.
    ///
    /// # Errors
    /// Another io-net listens there, or the socket cannot be made.
    pub fn new(run_dir: &Path, uid: u32) -> Result<Control, String> {
        let path = run_dir.join(SOCKET_NAME);
        if UnixStream::connect(&path).is_ok() {
            return Err(format!(
                "an io-net runs in {} already; use another instance (-i N) or directory (--run-dir)",
                run_dir.display()
            ));
        }
        let cannot = |e: io::Error| format!("cannot listen at {}: {e}", path.display());
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot(e)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(cannot)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let make = || -> io::Result<(Epoll, Arc<Counter>)> {
            let calls = Arc::new(Counter {
                calls: Mutex::default(),
                bell: EventFd::new()?,
            });
            let epoll = Epoll::new()?;
            epoll.add(listener.as_fd(), IN, LISTENER)?;
            epoll.add(calls.bell.as_fd(), IN, CALLS)?;
            Ok((epoll, calls))
        };
        let (epoll, calls) = make().map_err(cannot)?;
        Ok(Control {
            epoll,
            listener,
            path,
            calls,
            clients: HashMap::new(),
            next_token: FIRST_CLIENT,
            uid,
            stopping: false,
        })
    }

    /// The way for other threads of this process.
    #[must_use]
    pub fn handle(&self) -> ControlHandle {
        ControlHandle(self.calls.clone())
    }

    /// Serves until a signal or a request says stop.
    ///
    /// # Errors
    /// epoll fails.
    pub fn run(&mut self, manager: &mut Manager, signals: &Signals) -> io::Result<()> {
        self.epoll.add(signals.as_fd(), IN, SIGNALS)?;
        let notes = manager.shared().clone();
        self.epoll.add(notes.notes_bell(), IN, NOTES)?;
        let mut events = [Event::default(); 32];
        while !self.stopping {
            let following = self.clients.values().any(Client::follows);
            let timeout = following.then_some(FOLLOW_INTERVAL);
            for event in self.epoll.wait(&mut events, timeout)?.to_vec() {
                match event.token() {
                    SIGNALS => self.stopping |= signals.take().is_some(),
                    NOTES => manager.handle_notes(),
                    CALLS => self.answer_calls(manager),
                    LISTENER => self.accept(),
                    token => self.serve(token, event.events(), manager),
                }
            }
            if following {
                self.follow(manager);
            }
        }
        Ok(())
    }

    /// Refuses what still comes, gives clients their last answers, and takes the socket away.
    pub fn close(mut self) {
        let mut calls = self.calls.calls();
        calls.closed = true;
        calls.waiting.clear();
        drop(calls);
        for client in self.clients.values_mut() {
            let _ = client.flush();
        }
        // Should it be gone already, that is what is wanted.
        let _ = std::fs::remove_file(&self.path);
    }

    fn answer_calls(&mut self, manager: &mut Manager) {
        self.calls.bell.lower();
        loop {
            let Some(call) = self.calls.calls().waiting.pop_front() else {
                return;
            };
            let reply = self.act(call.request, manager);
            // The caller may have ended meanwhile.
            let _ = call.answer.send(reply);
        }
    }

    fn accept(&mut self) {
        // One at a time: what else waits is reported again.
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        let peer = io_net_os::unix::peer_credentials(stream.as_fd());
        if !peer.is_ok_and(|peer| peer.uid == 0 || peer.uid == self.uid) {
            return;
        }
        if self.clients.len() >= CLIENTS_MAX {
            let oldest = self.clients.iter().min_by_key(|(_, c)| c.last_active());
            if let Some((&token, _)) = oldest {
                self.clients.remove(&token);
            }
        }
        let token = self.next_token;
        let watched = stream
            .set_nonblocking(true)
            .and_then(|()| self.epoll.add(stream.as_fd(), IN, token));
        if watched.is_ok() {
            self.next_token += 1;
            self.clients.insert(token, Client::new(stream));
        }
    }

    /// Reads a client's requests and answers them.
    fn serve(&mut self, token: u64, events: u32, manager: &mut Manager) {
        let Some(mut client) = self.clients.remove(&token) else {
            return;
        };
        let mut alive = true;
        if events & !OUT != 0 {
            alive = client.fill();
        }
        while let Some(line) = client.next_line() {
            let reply = match serde_json::from_slice(&line) {
                Ok(Request::Log { follow }) => {
                    client.follow_log(follow);
                    client.log_since(&manager.shared().log)
                }
                Ok(request) => self.act(request, manager),
                Err(e) => Reply::Error(Failure {
                    errno: 22,
                    what: "cannot read the request".into(),
                    why: e.to_string(),
                    help: "io-netctl and io-net may be of different versions".into(),
                }),
            };
            client.reply(&reply);
        }
        self.keep(token, client, alive);
    }

    /// Sends what a client can take, and keeps it unless it is gone or too slow.
    fn keep(&mut self, token: u64, mut client: Client, alive: bool) {
        let wants = match client.flush() {
            Ok(true) => IN,
            Ok(false) => IN | OUT,
            Err(_) => return,
        };
        if alive && self.epoll.modify(client.stream(), wants, token).is_ok() {
            self.clients.insert(token, client);
        }
    }

    fn follow(&mut self, manager: &Manager) {
        let followers: Vec<u64> = self
            .clients
            .iter()
            .filter(|(_, client)| client.follows())
            .map(|(token, _)| *token)
            .collect();
        for token in followers {
            if let Some(mut client) = self.clients.remove(&token) {
                client.send_log(&manager.shared().log);
                self.keep(token, client, true);
            }
        }
    }

    /// Does what is asked for.
    fn act(&mut self, request: Request, manager: &mut Manager) -> Reply {
        let done = match request {
            Request::Mount {
                kind,
                path,
                options,
            } => {
                let spec = ModuleSpec {
                    kind: kind.map(Into::into),
                    name: path,
                    options,
                };
                manager.mount(&spec).map(|names| Reply::Mounted { names })
            }
            Request::Umount { name } => {
                let name = name.rsplit('/').next().unwrap_or_default();
                manager.unmount(name).map(|()| Reply::Done)
            }
            Request::Graph => Ok(Reply::Graph(report::graph(manager))),
            Request::Stats => Ok(Reply::Stats(report::stats(manager))),
            Request::Nicinfo { name } => {
                report::nics(manager, name.as_deref()).map(|nics| Reply::Nics { nics })
            }
            Request::Log { .. } => Ok(Client::whole_log(&manager.shared().log)),
            Request::Devctl { name, body } => devctl(manager, &name, &body),
            Request::Shutdown => {
                self.stopping = true;
                Ok(Reply::Done)
            }
        };
        done.unwrap_or_else(Reply::Error)
    }
}

fn devctl(manager: &Manager, name: &str, body: &str) -> Result<Reply, Failure> {
    let answer = manager.devctl(name, DEVCTL_JSON, body.as_bytes())?;
    let body = String::from_utf8(answer).map_err(|_| Failure {
        errno: 71,
        what: format!("cannot ask {name}"),
        why: "its answer is no text: the module is at fault".into(),
        help: String::new(),
    })?;
    Ok(Reply::Devctl { body })
}
