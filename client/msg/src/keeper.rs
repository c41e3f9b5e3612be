//! The keeper: one thread of each process, asleep until a client comes, a peer ends, or an event is
//! delivered.
//!
//! It takes a channel's lock for moments only and waits for nobody, so what it watches is looked
//! after at once.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use io_net_os::epoll::{self, Epoll};
use io_net_os::fork::PrivateFd;
use io_net_os::signal;
use io_net_rendezvous::greet::Caller;
use io_net_rendezvous::server::ServerEnd;

use crate::channel::Core;
use crate::error::{Error, Result};
use crate::flags::CHF_COID_DISCONNECT;
use crate::process::{Process, lock};
use crate::pulse::CODE_COIDDEATH;
use crate::session::Session;
use crate::{deliver, thread};

/// Its stack: it does little.
const STACK: usize = 256 * 1024;
/// Callers of one user's that may not have said hello.
const CALLERS_MAX: usize = 256;

/// What the keeper's thread and those who tell it share.
#[derive(Debug)]
pub(crate) struct Keeper {
    epoll: PrivateFd,
    watches: Mutex<HashMap<u64, Watch>>,
    tokens: AtomicU64,
    /// Closed for a moment to turn a caller away when there are no descriptors left.
    spare: Mutex<Option<PrivateFd>>,
}

/// What a descriptor that has something stands for.
#[derive(Debug)]
enum Watch {
    /// A channel's listener.
    Channel(Weak<Core>),
    /// Somebody who has connected and not said hello yet.
    Caller(Caller, Weak<Core>),
    /// A channel's client: a message of its waits, or it has gone.
    Client(Arc<ServerEnd>, Weak<Core>),
    /// A session of this process's as a client: an event, or the channel has gone.
    Session(Weak<Session>),
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Arc<Self>> {
        let keeper = Arc::new(Self {
            epoll: PrivateFd::new(Epoll::new()?.into()),
            watches: Mutex::default(),
            tokens: AtomicU64::new(1),
            spare: Mutex::new(Some(spare()?)),
        });
        let of_thread = keeper.clone();
        std::thread::Builder::new()
            .name("io-net-msg".into())
            .stack_size(STACK)
            .spawn(move || of_thread.run())?;
        Ok(keeper)
    }

    fn run(&self) {
        signal::block_all();
        let mut events = [epoll::Event::default(); 64];
        while let Some(epoll) = self.epoll.get() {
            let n = match epoll::wait_on(epoll, &mut events, None, None) {
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            for event in &events[..n] {
                self.handle(event.token());
            }
        }
    }

    fn handle(&self, token: u64) {
        let watches = lock(&self.watches);
        match watches.get(&token) {
            None => (),
            Some(Watch::Channel(core)) => {
                let core = core.upgrade();
                drop(watches);
                core.into_iter().for_each(|core| self.accept(&core));
            }
            Some(Watch::Session(session)) => {
                let session = session.upgrade();
                drop(watches);
                session.into_iter().for_each(|s| self.listen(token, &s));
            }
            Some(Watch::Client(end, core)) => {
                let (end, core) = (end.clone(), core.upgrade());
                drop(watches);
                match (end.next_urge(), core) {
                    (Ok(Some(priority)), Some(core)) => core.urge(&end, priority),
                    (Ok(_), _) => {}
                    (Err(_), core) => {
                        self.forget(token, end.doorbell());
                        core.into_iter().for_each(|core| core.gone(&end));
                    }
                }
            }
            Some(Watch::Caller(..)) => {
                let mut watches = watches;
                let taken = watches.remove(&token);
                drop(watches);
                if let Some(Watch::Caller(caller, core)) = taken {
                    self.remove(caller.doorbell());
                    if let Some(core) = core.upgrade() {
                        self.greet(caller, &core);
                    }
                }
            }
        }
    }

    // ---- A channel's clients ----

    fn accept(&self, core: &Arc<Core>) {
        loop {
            let accepted = core.with_listener(|listener| listener.accept());
            match accepted {
                Some(Ok(caller)) => self.greet_or_wait(caller, core),
                Some(Err(error)) => match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE) => self.turn_away(core),
                    // A caller that has gone already.
                    Some(libc::ECONNABORTED | libc::EINTR) => (),
                    _ => return,
                },
                None => return,
            }
        }
    }

    /// No descriptor is left: the next caller gets the spare one, for as long as it takes to hang
    /// up.
    fn turn_away(&self, core: &Core) {
        let mut reserve = lock(&self.spare);
        *reserve = None;
        let _ = core.with_listener(|listener| drop(listener.accept()));
        *reserve = spare().ok();
    }

    fn greet_or_wait(&self, caller: Caller, core: &Arc<Core>) {
        let uid = caller.credentials().uid;
        let same = |watch: &&Watch| matches!(watch, Watch::Caller(other, _) if other.credentials().uid == uid);
        match caller.greet() {
            Ok(greeting) => self.welcome(greeting, core),
            Err(Some(caller)) => {
                if lock(&self.watches).values().filter(same).count() < CALLERS_MAX {
                    let watch = |keeper: &Self, token| {
                        let fd = caller.doorbell().ok_or(Error::SRCH)?;
                        keeper.add(fd, token)
                    };
                    let token = self.token();
                    if watch(self, token).is_ok() {
                        let watch = Watch::Caller(caller, Arc::downgrade(core));
                        lock(&self.watches).insert(token, watch);
                    }
                }
            }
            Err(None) => (),
        }
    }

    /// A caller's hello has come.
    fn greet(&self, caller: Caller, core: &Arc<Core>) {
        if let Ok(greeting) = caller.greet() {
            self.welcome(greeting, core);
        }
    }

    fn welcome(&self, greeting: io_net_rendezvous::greet::Greeting, core: &Arc<Core>) {
        // The client has been told why not.
        let Ok(end) = core.welcome(greeting) else {
            return;
        };
        let token = self.token();
        let watch = Watch::Client(end.clone(), Arc::downgrade(core));
        lock(&self.watches).insert(token, watch);
        let added = end.doorbell().ok_or(Error::SRCH);
        if added.and_then(|fd| self.add(fd, token)).is_err() {
            lock(&self.watches).remove(&token);
            core.gone(&end);
        }
    }

    /// Watches a new channel's listener. Returns what to forget it by.
    pub(crate) fn watch_channel(&self, core: &Arc<Core>) -> Result<u64> {
        let token = self.token();
        lock(&self.watches).insert(token, Watch::Channel(Arc::downgrade(core)));
        let added = core.with_listener(|listener| {
            let fd = listener.fd().ok_or(Error::SRCH)?;
            self.add(fd, token)
        });
        added.unwrap_or(Err(Error::SRCH)).map(|()| token)
    }

    // ---- This process's sessions ----

    /// Watches a new session. Returns what to forget it by.
    pub(crate) fn watch_session(&self, session: &Arc<Session>) -> Result<u64> {
        let token = self.token();
        lock(&self.watches).insert(token, Watch::Session(Arc::downgrade(session)));
        let fd = session.end().doorbell().ok_or(Error::SRCH)?;
        self.add(fd, token).map(|()| token)
    }

    /// Something has come over a session's doorbell.
    fn listen(&self, token: u64, session: &Arc<Session>) {
        loop {
            match session.end().next_event() {
                Ok(Some(event)) => deliver::act(&event),
                Ok(None) => return,
                Err(_) => break,
            }
        }
        self.forget(token, session.end().doorbell());
        session.end().die();
        let process = Process::get();
        let told = process.channels_with(CHF_COID_DISCONNECT);
        if told.is_empty() {
            return;
        }
        for coid in process.coids_of(session) {
            for core in &told {
                let value = coid.cast_unsigned().into();
                core.post(CODE_COIDDEATH, thread::DEFAULT as u8, value, 0);
            }
        }
    }

    // ---- Descriptors ----

    fn token(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    fn add(&self, fd: BorrowedFd<'_>, token: u64) -> Result<()> {
        let event = epoll::Event::new(epoll::IN | epoll::RDHUP, token);
        self.control(libc::EPOLL_CTL_ADD, fd, event)
    }

    fn remove(&self, fd: Option<BorrowedFd<'_>>) {
        if let Some(fd) = fd {
            // It may not have been added yet.
            let _ = self.control(libc::EPOLL_CTL_DEL, fd, epoll::Event::default());
        }
    }

    fn control(&self, op: i32, fd: BorrowedFd<'_>, event: epoll::Event) -> Result<()> {
        let epoll = self.epoll.get().ok_or(Error::SRCH)?;
        Ok(epoll::ctl(epoll.as_raw_fd(), op, fd.as_raw_fd(), event)?)
    }

    /// Watches `fd`, known as `token`, no longer.
    pub(crate) fn forget(&self, token: u64, fd: Option<BorrowedFd<'_>>) {
        self.remove(fd);
        lock(&self.watches).remove(&token);
    }
}

/// A descriptor to give up.
fn spare() -> Result<PrivateFd> {
    Ok(PrivateFd::new(Epoll::new()?.into()))
}
