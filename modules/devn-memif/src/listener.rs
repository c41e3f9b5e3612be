//! Sockets that servers listen on.
//!
//! Servers with different ids may share one: whoever of them accepts a call passes it on to the one
//! that the caller wants. They may live on different workers, so what they share is under locks,
//! which only calls take, never packets.

use crate::message::Message;
use io_net_ddk::Failure;
use io_net_ddk::errno::EEXIST;
use io_net_os::eventfd::EventFd;
use io_net_os::seqpacket::{self, Name};
use io_net_os::unix;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Callers that the kernel keeps until they are accepted.
const BACKLOG: i32 = 64;

static SOCKETS: Mutex<Vec<Weak<Socket>>> = Mutex::new(Vec::new());

struct Socket {
    name: Name,
    fd: OwnedFd,
    members: Mutex<Vec<Weak<Inbox>>>,
}

/// A caller that has said which link it wants.
pub(crate) struct Call {
    pub(crate) fd: OwnedFd,
    pub(crate) init: Message,
}

/// Calls for one server.
struct Inbox {
    id: u32,
    bell: EventFd,
    calls: Mutex<Vec<Call>>,
}

/// One server's part in a socket.
pub(crate) struct Membership {
    /// A descriptor of its own for the socket: each is watched once.
    listener: OwnedFd,
    socket: Arc<Socket>,
    inbox: Arc<Inbox>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Membership {
    /// Listens as `name` for those who want `id`.
    ///
    /// # Errors
    /// EEXIST where the id is taken here, or the kernel's.
    pub(crate) fn join(name: &Name, id: u32) -> Result<Membership, Failure> {
        let mut sockets = lock(&SOCKETS);
        sockets.retain(|socket| socket.strong_count() > 0);
        let mut known = sockets.iter().filter_map(Weak::upgrade);
        let socket = match known.find(|socket| socket.name == *name) {
            Some(socket) => socket,
            None => {
                let fd = seqpacket::listen(name, BACKLOG)
                    .map_err(|error| Failure::io(format!("cannot listen on {name}"), &error))?;
                let socket = Arc::new(Socket {
                    name: name.clone(),
                    fd,
                    members: Mutex::default(),
                });
                sockets.push(Arc::downgrade(&socket));
                socket
            }
        };
        let mut members = lock(&socket.members);
        let mut present = members.iter().filter_map(Weak::upgrade);
        if present.any(|inbox| inbox.id == id) {
            let text = format!("{name} has a server with id {id} already; give another id=");
            return Err(Failure::new(EEXIST, text));
        }
        let listener = socket.fd.try_clone();
        let listener = listener.map_err(|error| Failure::io("cannot share a socket", &error))?;
        let bell = EventFd::new().map_err(|error| Failure::io("cannot make an eventfd", &error))?;
        let inbox = Arc::new(Inbox {
            id,
            bell,
            calls: Mutex::default(),
        });
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(&inbox));
        drop(members);
        Ok(Membership {
            listener,
            socket,
            inbox,
        })
    }

    /// Readable when somebody calls.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Readable when another server has passed a call on.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.inbox.bell.as_fd()
    }

    /// The next caller.
    pub(crate) fn accept(&self) -> io::Result<OwnedFd> {
        unix::accept(self.listener.as_fd())
    }

    /// Passes a call on to the server with `id`.
    ///
    /// # Errors
    /// The call back, where there is none.
    pub(crate) fn pass_on(&self, id: u32, call: Call) -> Result<(), Call> {
        let members = lock(&self.socket.members);
        let mut present = members.iter().filter_map(Weak::upgrade);
        match present.find(|inbox| inbox.id == id) {
            Some(inbox) => {
                lock(&inbox.calls).push(call);
                inbox.bell.raise();
                Ok(())
            }
            None => Err(call),
        }
    }

    /// Calls that others have passed on.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        self.inbox.bell.lower();
        std::mem::take(&mut lock(&self.inbox.calls))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Nobody joins meanwhile; and the last one takes the socket's file along.
        let _sockets = lock(&SOCKETS);
        if Arc::strong_count(&self.socket) == 1
            && let Name::Path(path) = &self.socket.name
        {
            let _ = std::fs::remove_file(path);
        }
    }
}
