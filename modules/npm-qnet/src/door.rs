//! The door: the socket at which programs ask for sessions with other nodes' channels, or with the
//! network manager.

use crate::clients::{Clients, To, identity};
use crate::netmgr::MANAGER;
use crate::watch::{Cookie, Kind, Watcher};
use io_net_ddk::Failure;
use io_net_qnet::time::Instant;
use io_net_qnet::{Channel, Nd, Qnet};
use io_net_rendezvous::greet::{Caller, Greeting, Listener};
use io_net_rendezvous::path;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Programs let in at once, before others get their turn.
const AT_ONCE: usize = 64;
/// Programs that have connected and not said hello, at most.
const CALLERS_MAX: usize = 256;
/// How long one may take to say it.
const HELLO: Duration = Duration::from_secs(5);

/// The door, and who stands in it.
pub(crate) struct Door {
    listener: Listener,
    callers: HashMap<u32, (Caller, Instant)>,
    next_number: u32,
}

impl Door {
    /// Listens in the run directory.
    ///
    /// # Errors
    /// Another Qnet listens there, or the directory cannot be written.
    pub(crate) fn open(run_dir: &Path) -> Result<Self, Failure> {
        let at = path::qnet(run_dir);
        let opened = path::make(run_dir).and_then(|()| Listener::new(&at));
        let listener = opened.map_err(|error| {
            let advice = match error.kind() {
                ErrorKind::AddrInUse => " (there is one Qnet a node)",
                _ => "",
            };
            let text = format!("cannot listen for programs at {}{advice}", at.display());
            Failure::io(text, &error)
        })?;
        path::sweep(run_dir);
        Ok(Door {
            listener,
            callers: HashMap::new(),
            next_number: 0,
        })
    }

    /// Asks to be called when somebody comes.
    pub(crate) fn watch(&self, watcher: &Watcher<'_>) {
        watcher.watch(self.listener.fd(), Cookie::new(Kind::Door, 0));
    }

    /// Lets programs in. Returns whether there may be more at once.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        clients: &mut Clients,
        qnet: &mut Qnet,
        watcher: &Watcher<'_>,
    ) -> bool {
        for _ in 0..AT_ONCE {
            let Ok(caller) = self.listener.accept() else {
                return false;
            };
            self.hear(now, caller, clients, qnet, watcher);
        }
        true
    }

    /// A program that had said nothing yet says something, or hangs up.
    pub(crate) fn hear_again(
        &mut self,
        now: Instant,
        number: u32,
        clients: &mut Clients,
        qnet: &mut Qnet,
        watcher: &Watcher<'_>,
    ) {
        if let Some((caller, _)) = self.callers.remove(&number) {
            watcher.unwatch(caller.doorbell());
            self.hear(now, caller, clients, qnet, watcher);
        }
    }

    fn hear(
        &mut self,
        now: Instant,
        caller: Caller,
        clients: &mut Clients,
        qnet: &mut Qnet,
        watcher: &Watcher<'_>,
    ) {
        match caller.greet() {
            Ok(greeting) => {
                if welcome(now, greeting, clients, qnet, watcher).is_err() {
                    watcher.stats.sessions_refused.add(1);
                }
            }
            Err(Some(caller)) if self.callers.len() < CALLERS_MAX => {
                self.next_number = self.next_number.wrapping_add(1);
                let cookie = Cookie::new(Kind::Caller, self.next_number);
                watcher.watch(caller.doorbell(), cookie);
                self.callers.insert(self.next_number, (caller, now + HELLO));
            }
            Err(_) => watcher.stats.sessions_refused.add(1),
        }
    }

    /// Turns away who has said nothing for too long. Returns when to look again.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        watcher: &Watcher<'_>,
    ) -> Option<Instant> {
        self.callers.retain(|_, (caller, until)| {
            let waits = now < *until;
            if !waits {
                watcher.unwatch(caller.doorbell());
                watcher.stats.sessions_refused.add(1);
            }
            waits
        });
        self.callers.values().map(|(_, until)| *until).min()
    }

    /// Closes the door.
    pub(crate) fn close(&mut self, watcher: &Watcher<'_>) {
        for (_, (caller, _)) in self.callers.drain() {
            watcher.unwatch(caller.doorbell());
        }
        watcher.unwatch(self.listener.fd());
    }
}

/// Makes a session for a program that has said where it wants to go; else tells it why not.
fn welcome(
    now: Instant,
    greeting: Greeting,
    clients: &mut Clients,
    qnet: &mut Qnet,
    watcher: &Watcher<'_>,
) -> Result<(), i32> {
    let (nd, pid, chid) = greeting.target();
    let channel = Channel { pid, chid };
    let to = greeting.identity().and_then(|who| {
        if nd == 0 {
            let manager = channel == MANAGER;
            return manager.then_some(To::Manager).ok_or(3); // ESRCH
        }
        let conn = qnet.client_connect(now, Nd(nd), channel, identity(&who));
        conn.map(To::Node).map_err(|errno| errno.get())
    });
    let to = match to {
        Ok(to) => to,
        Err(errno) => {
            greeting.refuse(errno);
            return Err(errno);
        }
    };
    let seated = seat(greeting, to, clients, watcher);
    match (&seated, to) {
        (Ok(()), To::Node(_)) => watcher.stats.kif_net_client.add(1),
        (Err(_), To::Node(conn)) => qnet.client_detach(now, conn),
        (_, To::Manager) => {}
    }
    seated
}

fn seat(
    greeting: Greeting,
    to: To,
    clients: &mut Clients,
    watcher: &Watcher<'_>,
) -> Result<(), i32> {
    let (seat, is_new) = match clients.inbox.reserve(greeting.owner()) {
        Ok(reserved) => reserved,
        Err(errno) => {
            greeting.refuse(errno);
            return Err(errno);
        }
    };
    let prepared = match greeting.by_windows().accept(&seat, true) {
        Ok(prepared) => prepared,
        Err(errno) => {
            clients.inbox.cancel(&seat);
            return Err(errno);
        }
    };
    if is_new {
        watch_newest_bell(clients, watcher);
    }
    let number = clients.new_number();
    prepared.end.set_scoid(number.cast_signed());
    clients.inbox.admit(prepared.end.clone());
    // One that has gone already is noticed by its doorbell.
    let _ = prepared.welcome();
    clients.admit(number, prepared.end, to, watcher);
    Ok(())
}

/// Watches the bell of the newest port, which one user's clients ring.
pub(crate) fn watch_newest_bell(clients: &Clients, watcher: &Watcher<'_>) {
    let numbered = clients.inbox.ports().enumerate();
    if let Some((number, port)) = numbered.last() {
        watcher.watch(port.bell(), Cookie::new(Kind::Bell, number as u32));
    }
}
