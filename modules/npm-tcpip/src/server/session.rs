//! Sessions: the door through which processes come, the greeting, and what a process asks for
//! beside what it asks of a socket.

use super::errno::*;
use super::segment::{DATAGRAM, IPPROTO_TCP, IPPROTO_UDP, STREAM};
use super::slab::Key;
use super::tables::{Seat, Session};
use super::{COOKIE_SESSION, Server};
use io_net_ddk::Failure;
use io_net_ddk::prelude::*;
use io_net_os::{epoll, unix};
use io_net_proto::address::{FAMILY_V4, FAMILY_V6};
use io_net_proto::session::{Answer, Call, Hello, MAGIC, SOCKET_NAME, Welcome, op};
use io_net_proto::slot::State;
use io_net_tcpip::{Instant, Transport};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Sessions let in, or calls taken from one, at a time.
const BUDGET: usize = 16;
/// Connections that the kernel holds at the door.
const BACKLOG: i32 = 128;

/// The listening socket at which sessions start; the file is removed when it is dropped.
pub(crate) struct Door {
    listener: OwnedFd,
    path: PathBuf,
    own_uid: u32,
}

impl Door {
    /// Opens the door in directory `dir`, taking the place of one that nobody listens at.
    ///
    /// # Errors
    /// EADDRINUSE where another io-net listens there, or the kernel's.
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(SOCKET_NAME);
        let doing = || format!("cannot listen for programs at {}", path.display());
        if unix::connect_seqpacket(&path).is_ok() {
            let text = "another io-net listens there: give this one another prefix=";
            let text = format!("{}: {text}", doing());
            return Err(Failure::new(EADDRINUSE as i32, text));
        }
        // Nothing is there, or something that listening will complain of.
        let _ = std::fs::remove_file(&path);
        let listener =
            unix::listen_seqpacket(&path, BACKLOG).map_err(|error| Failure::io(doing(), &error))?;
        let own_uid = unix::peer_credentials(listener.as_fd()).map_or(0, |own| own.uid);
        Ok(Door {
            listener,
            path,
            own_uid,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// io-net's own user.
    pub(super) fn own_uid(&self) -> u32 {
        self.own_uid
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Somebody may have taken it away; that is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Server {
    /// Lets processes in.
    pub(super) fn answer_door(&mut self, cx: &Cx) -> bool {
        for _ in 0..BUDGET {
            let Ok(connection) = unix::accept(self.door.fd()) else {
                return false;
            };
            let peer = unix::peer_credentials(connection.as_fd());
            let (Ok(peer), true) = (peer, self.shell.tables.sessions.len() < self.max_sessions)
            else {
                self.stats.sessions_refused.add(1);
                continue;
            };
            let key = self.shell.tables.sessions.insert(Session {
                connection: Some(connection),
                peer,
                greeted: false,
                segments: Vec::new(),
                sent: HashSet::new(),
                sockets: 0,
            });
            self.stats.sessions.add(1);
            let session = self.shell.tables.sessions.get(key);
            if let Some(connection) = session.and_then(|s| s.connection.as_ref()) {
                self.watch(connection.as_fd(), epoll::IN, COOKIE_SESSION, key, cx);
            }
        }
        true
    }

    /// Takes what a process says over its connection.
    pub(super) fn handle_session(&mut self, now: Instant, key: Key, cx: &Cx) -> bool {
        let mut message = [0; size_of::<Call>() + 1];
        for _ in 0..BUDGET {
            let session = self.shell.tables.sessions.get(key);
            let Some(session) = session else { return false };
            let (Some(connection), greeted) = (&session.connection, session.greeted) else {
                return false;
            };
            let wait = unix::Wait::DontWait;
            let understood = match unix::recv_fds(connection.as_fd(), &mut message, wait) {
                Ok(mut received) => {
                    let (text, fd) = (&message[..received.len], received.take_fd());
                    match (
                        greeted,
                        Hello::read_from_bytes(text),
                        Call::read_from_bytes(text),
                    ) {
                        (false, Ok(hello), _) => self.greet(key, &hello),
                        (true, _, Ok(call)) => self.take_call(now, key, &call, fd, cx),
                        _ => None,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => Some(()),
                Err(_) => None,
            };
            if understood.is_none() {
                self.end_session(key, cx);
                return false;
            }
        }
        true
    }

    /// Closes a session's connection. Its sockets live on while somebody holds their doorbells.
    pub(super) fn end_session(&mut self, key: Key, cx: &Cx) {
        let Some(session) = self.shell.tables.sessions.get_mut(key) else {
            return;
        };
        if let Some(connection) = session.connection.take() {
            self.unwatch(connection.as_fd(), cx);
        }
        let Some(session) = self.shell.tables.sessions.get(key) else {
            return;
        };
        let segments = session.segments.clone();
        for segment in &segments {
            if self.shell.tables.segment_is_useless(*segment) {
                self.remove_segment(*segment, cx);
            }
        }
        if segments.is_empty() {
            self.shell.tables.sessions.remove(key);
        }
    }

    /// Answers the greeting with a segment. `None` ends the session.
    fn greet(&mut self, key: Key, hello: &Hello) -> Option<()> {
        if hello.magic != MAGIC {
            return None;
        }
        let mut welcome = Welcome::new_zeroed();
        welcome.magic = MAGIC;
        (welcome.major, welcome.minor) = (io_net_proto::MAJOR, io_net_proto::MINOR);
        welcome.pid = std::process::id();
        welcome.sockets_max = self.shell.tables.limits.sockets;
        let same = hello.major == io_net_proto::MAJOR;
        let segment = same.then(|| self.shell.tables.add_segment(key)).flatten();
        let Some(segment) = segment else {
            welcome.errno = if same { ENOBUFS } else { EPROTO };
            self.say(key, welcome.as_bytes(), &[]);
            return None;
        };
        let tables = &mut self.shell.tables;
        let shared = tables.segments.get(segment)?;
        let info = shared.info();
        welcome.segment = info;
        let session = tables.sessions.get_mut(key)?;
        session.greeted = true;
        session.sent.insert(info.id);
        let shared = self.shell.tables.segments.get(segment)?;
        self.say(key, welcome.as_bytes(), &shared.fds())
    }

    /// Sends a process a message. `None` where it does not take it: it has not read its answers.
    fn say(&self, key: Key, message: &[u8], fds: &[BorrowedFd<'_>]) -> Option<()> {
        let session = self.shell.tables.sessions.get(key)?;
        let connection = session.connection.as_ref()?;
        unix::send_fds(connection.as_fd(), message, fds, unix::Wait::DontWait).ok()
    }

    fn take_call(
        &mut self,
        now: Instant,
        key: Key,
        call: &Call,
        fd: Option<OwnedFd>,
        cx: &Cx,
    ) -> Option<()> {
        match call.op {
            op::SOCKET => {
                let made = self.make_socket(now, key, call.args, cx);
                // Closing the program's end, where it cannot be sent, closes the socket.
                match made {
                    Ok((seat, doorbell)) => self.tell_seat(key, seat, Some(doorbell)),
                    Err(errno) => self.refuse(key, errno),
                }
            }
            op::ADOPT => match self.socket_of(fd) {
                Some(seat) => self.tell_seat(key, seat, None),
                None => self.refuse(key, ENOTSOCK),
            },
            op::BELL => self.add_bell(key, fd),
            op::INTERFACE => {
                let name = call.name.split(|&byte| byte == 0).next().unwrap_or(&[]);
                let found = self.interfaces.describe(call.args[0], name);
                let mut answer = Answer::new_zeroed();
                match found {
                    Some(interface) => answer.interface = interface,
                    None => answer.errno = ENODEV,
                }
                self.say(key, answer.as_bytes(), &[])
            }
            _ => None,
        }
    }

    fn refuse(&self, key: Key, errno: u32) -> Option<()> {
        let mut answer = Answer::new_zeroed();
        answer.errno = errno;
        self.say(key, answer.as_bytes(), &[])
    }

    fn make_socket(
        &mut self,
        now: Instant,
        session: Key,
        [domain, socket_type, protocol]: [u32; 3],
        cx: &Cx,
    ) -> Result<(Seat, OwnedFd), u32> {
        let transport = transport_of(domain, socket_type, protocol)?;
        let tables = &mut self.shell.tables;
        let owner = tables.sessions.get(session).ok_or(EBADF)?;
        if owner.sockets >= tables.limits.sockets {
            return Err(EMFILE);
        }
        let seat = tables.add_socket(session, None, transport, State::Open);
        let seat = seat.ok_or(ENOBUFS)?;
        let made = self.open(seat, transport).and_then(|()| {
            let doorbell = self.make_doorbell(seat.socket, cx);
            doorbell.map_err(|_| ENFILE)
        });
        if made.is_err() {
            // The stack's socket, where there is one, goes with its doorbell.
            self.close(now, seat.socket, cx);
        }
        made.map(|doorbell| (seat, doorbell))
    }

    /// Opens the stack's side of a new socket.
    fn open(&mut self, seat: Seat, transport: Transport) -> Result<(), u32> {
        let id = match transport {
            Transport::Tcp => self.stack.tcp_open().map_err(of_request)?,
            Transport::Udp => {
                let buffers = self.shell.tables.datagram_buffers(seat.segment, seat.slot);
                let (tx, rx) = buffers.ok_or(ENOBUFS)?;
                let id = self.stack.udp_open(rx).map_err(of_request)?;
                if let Some(socket) = self.shell.tables.sockets.get_mut(seat.socket) {
                    socket.datagrams = Some(tx);
                }
                id
            }
        };
        self.shell.tables.name(seat.socket, id);
        Ok(())
    }

    /// The socket whose program's end of the doorbell this is.
    fn socket_of(&mut self, fd: Option<OwnedFd>) -> Option<Seat> {
        let cookie = unix::cookie(fd?.as_fd()).ok()?;
        let socket = self.shell.tables.find_cookie(cookie)?;
        let entry = self.shell.tables.sockets.get(socket)?;
        Some(Seat {
            socket,
            segment: entry.segment,
            slot: entry.slot,
        })
    }

    /// Answers with where a socket is, and with its segment where the process has not got it yet.
    fn tell_seat(&mut self, key: Key, seat: Seat, doorbell: Option<OwnedFd>) -> Option<()> {
        let tables = &mut self.shell.tables;
        let shared = tables.segments.get(seat.segment)?;
        let mut answer = Answer::new_zeroed();
        answer.slot = seat.slot;
        answer.segment = shared.info();
        answer.generation = shared.generation(seat.slot);
        let new = tables.sessions.get_mut(key)?.sent.insert(answer.segment.id);
        answer.has_segment = u32::from(new);
        let shared = self.shell.tables.segments.get(seat.segment)?;
        let mut fds: Vec<BorrowedFd> = doorbell.iter().map(AsFd::as_fd).collect();
        if new {
            fds.extend(shared.fds());
        }
        self.say(key, answer.as_bytes(), &fds)
    }

    fn add_bell(&mut self, key: Key, fd: Option<OwnedFd>) -> Option<()> {
        let Some(seat) = self.socket_of(fd) else {
            return self.refuse(key, ENOTSOCK);
        };
        let session = self.shell.tables.sessions.get(key)?;
        let connection = session.connection.as_ref()?.try_clone().ok()?;
        let shared = self.shell.tables.segments.get_mut(seat.segment)?;
        let Some((number, bell)) = shared.add_bell() else {
            return self.refuse(key, ENOSPC);
        };
        let mut answer = Answer::new_zeroed();
        answer.slot = number;
        let wait = unix::Wait::DontWait;
        unix::send_fds(connection.as_fd(), answer.as_bytes(), &[bell], wait).ok()
    }
}

/// Which transport a socket of Linux's numbers is of, or the errno of one that there is none for.
fn transport_of(domain: u32, socket_type: u32, protocol: u32) -> Result<Transport, u32> {
    if domain == u32::from(FAMILY_V6) || domain != u32::from(FAMILY_V4) {
        return Err(EAFNOSUPPORT);
    }
    match (socket_type, protocol) {
        (STREAM, 0 | IPPROTO_TCP) => Ok(Transport::Tcp),
        (DATAGRAM, 0 | IPPROTO_UDP) => Ok(Transport::Udp),
        (STREAM | DATAGRAM, _) => Err(EPROTONOSUPPORT),
        _ => Err(ESOCKTNOSUPPORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_there_are() {
        assert_eq!(transport_of(2, 1, 0), Ok(Transport::Tcp));
        assert_eq!(transport_of(2, 2, 17), Ok(Transport::Udp));
        assert_eq!(transport_of(10, 1, 0), Err(EAFNOSUPPORT));
        assert_eq!(transport_of(2, 1, 17), Err(EPROTONOSUPPORT));
        assert_eq!(transport_of(2, 3, 1), Err(ESOCKTNOSUPPORT));
    }

    #[test]
    fn the_door_takes_a_dead_ones_place_and_goes_when_closed() {
        let dir = std::env::temp_dir().join(format!("npm-tcpip-door-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(SOCKET_NAME);
        let first = Door::open(&dir).unwrap();
        let second = Door::open(&dir).err().unwrap();
        assert_eq!(second.errno, EADDRINUSE as i32);
        drop(first);
        assert!(!path.exists());
        std::fs::write(&path, b"").unwrap();
        let again = Door::open(&dir).unwrap();
        assert!(unix::connect_seqpacket(&path).is_ok());
        drop(again);
        assert!(Door::open(&dir.join("absent")).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
