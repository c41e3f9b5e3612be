//! How two processes find each other and agree on a segment. Home worker.
//!
//! They meet at a Unix socket. The one that listens, the server, makes the segment and two bells
//! and offers them with its MTU; the client maps them and accepts with its own. From then on the
//! socket carries nothing: its end of file says that the other process has gone. A new peer gets a
//! new segment, so nothing of the old one needs to be put right.

use crate::link::{Link, Segment, Side};
use crate::options::Role;
use crate::ring::SIZES;
use io_net_ddk::abi::LOG_WARNING;
use io_net_ddk::{Cx, Failure, errno};
use io_net_os::epoll;
use io_net_os::eventfd::EventFd;
use io_net_os::map::{SEALS_FIXED_SIZE, SharedMap, file_len, seals};
use io_net_os::unix::{self, Received, Wait};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Cookie of the listening socket.
pub(crate) const LISTENER: u64 = 0;
/// Cookie of the socket to the other end.
pub(crate) const SOCKET: u64 = 1;
/// Timer by which a meeting is sought again.
pub(crate) const SEEK: u32 = 0;
/// Timer by which a peer must have answered.
pub(crate) const ANSWER: u32 = 1;

const SEEK_NS: u64 = 250_000_000;
const ANSWER_NS: u64 = 2_000_000_000;
const BACKLOG: i32 = 8;
const MAGIC: [u8; 8] = *b"io-pipe\x01";
const MESSAGE: usize = 20;

/// What an offer and its acceptance say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    /// Bytes of each ring.
    size: u64,
    mtu: u32,
}

impl Terms {
    fn format(self) -> [u8; MESSAGE] {
        let mut bytes = [0; MESSAGE];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.size.to_ne_bytes());
        bytes[16..].copy_from_slice(&self.mtu.to_ne_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let mtu = rest.try_into().ok()?;
        let terms = Terms {
            size: u64::from_ne_bytes(*size),
            mtu: u32::from_ne_bytes(mtu),
        };
        (*magic == MAGIC && terms.mtu >= 68).then_some(terms)
    }
}

/// A listening socket, and the file that it is.
struct Listener {
    fd: OwnedFd,
    file: (u64, u64),
}

/// The other end's socket, and how far we are with it.
struct Peer {
    socket: OwnedFd,
    state: State,
}

enum State {
    /// Ours to accept: the link that we have offered.
    Offered(Box<Link>),
    /// Theirs to offer.
    Awaited,
    Joined,
}

/// What has come of an event.
pub(crate) enum Outcome {
    Nothing,
    /// There is a link, with this MTU.
    Joined(Box<Link>, u32),
    /// The other end has gone.
    Left,
}

/// One end's side of the meeting.
pub(crate) struct Meeting {
    path: PathBuf,
    role: Role,
    size: usize,
    mtu: u32,
    listener: Option<Listener>,
    peer: Option<Peer>,
    /// The operator has been told what is in the way.
    complained: bool,
}

impl Meeting {
    /// Goes to the meeting at `path`.
    ///
    /// # Errors
    /// What keeps it from ever coming about: no right to the directory, a file in the way.
    pub(crate) fn new(
        path: &Path,
        role: Role,
        size: usize,
        mtu: u32,
        cx: &Cx,
    ) -> Result<Self, Failure> {
        let mut meeting = Meeting {
            path: path.to_owned(),
            role,
            size,
            mtu,
            listener: None,
            peer: None,
            complained: false,
        };
        meeting
            .try_seek(cx)
            .map_err(|error| explain(path, &error))?;
        Ok(meeting)
    }

    /// Looks for the other end, now that [`SEEK`] has run out.
    pub(crate) fn seek(&mut self, cx: &Cx) {
        let sought = self.try_seek(cx);
        if let Err(error) = &sought
            && !self.complained
        {
            cx.log(LOG_WARNING, format_args!("{}", explain(&self.path, error)));
        }
        self.complained = sought.is_err();
    }

    /// Connects or listens, and looks again later where that has not led to a peer yet.
    fn try_seek(&mut self, cx: &Cx) -> io::Result<()> {
        if self.peer.is_some() {
            return Ok(());
        }
        cx.timer(SEEK, cx.now_ns() + SEEK_NS);
        if let Some(listener) = &self.listener {
            if listener.file == file_at(&self.path)? {
                return Ok(());
            }
            // Somebody has taken the place: two came first at once, or it was cleared away.
            self.stop_listening(cx);
        }
        if self.role != Role::Server {
            match unix::try_connect_seqpacket(&self.path) {
                Ok(socket) => return self.greet(socket, State::Awaited, cx),
                Err(error) => match error.kind() {
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused => {}
                    ErrorKind::WouldBlock => return Ok(()),
                    _ => return Err(error),
                },
            }
        }
        if self.role == Role::Client {
            return Ok(());
        }
        match self.listen(cx) {
            // Another has come first after all: we shall connect to it.
            Err(error) if error.kind() == ErrorKind::AddrInUse && self.role == Role::Either => {
                Ok(())
            }
            listening => listening,
        }
    }

    fn listen(&mut self, cx: &Cx) -> io::Result<()> {
        let is_socket = |data: fs::Metadata| data.file_type().is_socket();
        if fs::symlink_metadata(&self.path).is_ok_and(is_socket) {
            if self.role == Role::Server && unix::try_connect_seqpacket(&self.path).is_ok() {
                return Err(ErrorKind::AddrInUse.into());
            }
            // Left behind by a process that is no more: nobody answers there.
            fs::remove_file(&self.path)?;
        }
        let fd = unix::listen_seqpacket(&self.path, BACKLOG)?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600))?;
        let file = file_at(&self.path)?;
        watch(cx, fd.as_fd(), LISTENER)?;
        self.listener = Some(Listener { fd, file });
        Ok(())
    }

    /// Someone has connected.
    pub(crate) fn accept(&mut self, cx: &Cx) {
        let Some(listener) = &self.listener else {
            return;
        };
        let socket = match unix::accept(listener.fd.as_fd()) {
            Ok(socket) => socket,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => {
                // Out of descriptors: whoever waits stays ready, so look away for a while.
                self.stop_listening(cx);
                return cx.timer(SEEK, cx.now_ns() + SEEK_NS);
            }
        };
        if self.peer.is_some() {
            // A link has two ends; the third sees end of file.
            return;
        }
        if let Err(error) = self.offer(socket, cx) {
            self.part(cx);
            let path = self.path.display();
            cx.log(LOG_WARNING, format_args!("no link at {path}: {error}"));
        }
    }

    fn offer(&mut self, socket: OwnedFd, cx: &Cx) -> io::Result<()> {
        let (segment, memory) = Segment::new(self.size)?;
        let (ours, theirs) = (EventFd::new()?, EventFd::new()?);
        let fds = [memory.as_fd(), theirs.as_fd(), ours.as_fd()];
        unix::send_fds(socket.as_fd(), &self.terms().format(), &fds, Wait::DontWait)?;
        let link = Link::new(&segment, Side::Server, ours, theirs);
        let link = link.ok_or(ErrorKind::InvalidInput)?;
        self.greet(socket, State::Offered(Box::new(link)), cx)
    }

    fn greet(&mut self, socket: OwnedFd, state: State, cx: &Cx) -> io::Result<()> {
        watch(cx, socket.as_fd(), SOCKET)?;
        self.peer = Some(Peer { socket, state });
        cx.cancel_timer(SEEK);
        cx.timer(ANSWER, cx.now_ns() + ANSWER_NS);
        Ok(())
    }

    /// The other end has said something, or has gone.
    pub(crate) fn hear(&mut self, cx: &Cx) -> Outcome {
        let Some(peer) = &mut self.peer else {
            return Outcome::Nothing;
        };
        let mut bytes = [0; MESSAGE + 1];
        let received = match unix::recv_fds(peer.socket.as_fd(), &mut bytes, Wait::DontWait) {
            Ok(received) => received,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => return Outcome::Nothing,
                _ => return Outcome::Left,
            },
        };
        let terms = Terms::parse(&bytes[..received.len.min(bytes.len())]);
        let Some(terms) = terms.filter(|_| !received.truncated) else {
            return Outcome::Left;
        };
        let link = match std::mem::replace(&mut peer.state, State::Joined) {
            State::Offered(link) => Some(link),
            State::Awaited => self.take_up(terms, received),
            // Nothing more is to be said.
            State::Joined => None,
        };
        let Some(link) = link else {
            return Outcome::Left;
        };
        cx.cancel_timer(ANSWER);
        Outcome::Joined(link, self.mtu.min(terms.mtu))
    }

    /// Maps what has been offered, and accepts. None where it is not what it should be.
    fn take_up(&self, terms: Terms, mut received: Received) -> Option<Box<Link>> {
        let (memory, bell, peer_bell) = (
            received.take_fd()?,
            received.take_fd()?,
            received.take_fd()?,
        );
        let size = usize::try_from(terms.size).ok()?;
        let sound = SIZES.contains(&size)
            && seals(memory.as_fd())
                .is_ok_and(|seals| seals & SEALS_FIXED_SIZE == SEALS_FIXED_SIZE)
            && file_len(memory.as_fd()).is_ok_and(|len| len == Segment::memory(size))
            && is_eventfd(bell.as_fd())
            && is_eventfd(peer_bell.as_fd());
        if !sound {
            return None;
        }
        let map = SharedMap::new(memory.as_fd(), Segment::memory(size)).ok()?;
        let segment = Segment::over(map, size);
        let link = Link::new(&segment, Side::Client, bell.into(), peer_bell.into())?;
        let answer = Terms {
            mtu: self.mtu,
            ..terms
        };
        let socket = self.peer.as_ref()?.socket.as_fd();
        unix::send_fds(socket, &answer.format(), &[], Wait::DontWait).ok()?;
        Some(Box::new(link))
    }

    /// [`ANSWER`] has run out.
    pub(crate) fn out_of_patience(&mut self, cx: &Cx) {
        if self
            .peer
            .as_ref()
            .is_some_and(|peer| !matches!(peer.state, State::Joined))
        {
            self.part(cx);
        }
    }

    /// Lets the other end go, and looks for another.
    pub(crate) fn part(&mut self, cx: &Cx) {
        self.hang_up(cx);
        cx.timer(SEEK, cx.now_ns() + SEEK_NS);
    }

    fn hang_up(&mut self, cx: &Cx) {
        if let Some(peer) = self.peer.take() {
            // Nothing to do about a failure: it is not watched then.
            let _ = cx.watch(peer.socket.as_fd(), 0, 0);
        }
        cx.cancel_timer(ANSWER);
    }

    fn stop_listening(&mut self, cx: &Cx) {
        if let Some(listener) = self.listener.take() {
            let _ = cx.watch(listener.fd.as_fd(), 0, 0);
            if file_at(&self.path).is_ok_and(|file| file == listener.file) {
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    /// Leaves for good.
    pub(crate) fn close(&mut self, cx: &Cx) {
        self.hang_up(cx);
        self.stop_listening(cx);
        cx.cancel_timer(SEEK);
    }

    fn terms(&self) -> Terms {
        Terms {
            size: self.size as u64,
            mtu: self.mtu,
        }
    }
}

fn watch(cx: &Cx, fd: BorrowedFd<'_>, cookie: u64) -> io::Result<()> {
    let watched = cx.watch(fd, epoll::IN, cookie);
    watched.map_err(|failure| io::Error::from_raw_os_error(failure.errno))
}

/// Which file is at `path`; (0, 0) where there is none.
fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    match fs::symlink_metadata(path) {
        Ok(data) => Ok((data.dev(), data.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((0, 0)),
        Err(error) => Err(error),
    }
}

/// Whether `fd` is an eventfd: ringing anything else might block.
fn is_eventfd(fd: BorrowedFd<'_>) -> bool {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    fs::read_link(link).is_ok_and(|target| target.as_os_str() == "anon_inode:[eventfd]")
}

/// Says what a failure means.
fn explain(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    let (number, advice) = match error.kind() {
        ErrorKind::NotFound => (errno::ENOENT, "its directory does not exist: make it"),
        ErrorKind::PermissionDenied => (
            errno::EPERM,
            "permission denied: both ends must run as the same user, who may write the directory",
        ),
        ErrorKind::AddrInUse => (errno::EBUSY, "another server is there: give another path="),
        _ => return Failure::io(format_args!("cannot meet at {path}"), error),
    };
    Failure::new(number, format!("cannot meet at {path}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_survive_and_rubbish_does_not() {
        let terms = Terms {
            size: 1 << 20,
            mtu: 9000,
        };
        let bytes = terms.format();
        assert_eq!(Terms::parse(&bytes), Some(terms));
        assert_eq!(Terms::parse(&bytes[..19]), None);
        assert_eq!(Terms::parse(&[]), None);
        let mut other = bytes;
        other[7] = 2;
        assert_eq!(Terms::parse(&other), None);
        assert_eq!(Terms::parse(&Terms { mtu: 67, ..terms }.format()), None);
    }

    #[test]
    fn only_eventfds_are_bells() {
        let pair = unix::seqpacket_pair(true).unwrap();
        assert!(is_eventfd(EventFd::new().unwrap().as_fd()));
        assert!(!is_eventfd(pair.0.as_fd()));
    }
}
