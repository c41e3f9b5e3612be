//! The process's session with io-net: new sockets, and sockets that came from elsewhere.
//!
//! Made when first needed, by one thread at a time, and made anew in a child of fork or when io-net
//! was started anew.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use io_net_os::unix::{self, Received, Wait};
use io_net_os::{epoll, fd};
use io_net_proto::session::{
    Answer, Call, Hello, Interface, MAGIC, SOCKET_NAME, SegmentInfo, Welcome, op,
};
use io_net_proto::view;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::endpoint::Endpoint;
use crate::errno::{Errno, Result};
use crate::mapped::{self, Mapped};

pub(crate) static SESSION: Mutex<Option<Session>> = Mutex::new(None);

/// The session's fd, for those who want to hear of io-net's end; -1 when there is none.
static LIFELINE: AtomicI32 = AtomicI32::new(-1);

/// Descriptors above this that this library holds for itself, as bits.
static INTERNAL: [AtomicU64; INTERNAL_BITS / 64] =
    [const { AtomicU64::new(0) }; INTERNAL_BITS / 64];
const INTERNAL_BITS: usize = 1 << 16;

/// A connection to io-net that has been welcomed.
#[derive(Debug)]
pub(crate) struct Session {
    fd: OwnedFd,
}

/// Whether this library holds `fd` for itself, so that the program must not close it.
#[must_use]
pub fn is_internal(fd: RawFd) -> bool {
    let Ok(fd) = usize::try_from(fd) else {
        return false;
    };
    INTERNAL
        .get(fd / 64)
        .is_some_and(|w| w.load(Ordering::Relaxed) & 1 << (fd % 64) != 0)
}

/// All descriptors that this library holds for itself, in order.
pub fn internal() -> impl Iterator<Item = RawFd> {
    (0..INTERNAL_BITS as RawFd).filter(|&fd| is_internal(fd))
}

/// Moves a descriptor of the library's own out of the program's way and remembers it.
pub(crate) fn keep(own: OwnedFd) -> OwnedFd {
    let limit = fd::limit().unwrap_or(1024).min(1 << 15) as i32;
    let own = fd::move_above(own, limit - limit / 8);
    let raw = own.as_raw_fd() as usize;
    if let Some(word) = INTERNAL.get(raw / 64) {
        word.fetch_or(1 << (raw % 64), Ordering::Relaxed);
    }
    own
}

/// Forgets what [`keep`] remembered, before the descriptor is closed.
pub(crate) fn unkeep(raw: RawFd) {
    if let Some(word) = usize::try_from(raw)
        .ok()
        .and_then(|raw| INTERNAL.get(raw / 64))
    {
        word.fetch_and(!(1 << (raw % 64)), Ordering::Relaxed);
    }
}

/// Where io-net's runtime directory is: `SOCK`, or that of instance 0.
#[must_use]
pub fn directory() -> PathBuf {
    if let Some(dir) = std::env::var_os("SOCK").filter(|d| !d.is_empty()) {
        return dir.into();
    }
    let uid = io_net_os::task::user_id();
    if uid == 0 {
        return "/run/io-net".into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty()) {
        Some(dir) => Path::new(&dir).join("io-net"),
        None => format!("/tmp/io-net-{uid}").into(),
    }
}

/// A new socket and its doorbell. `socket_type` without flags.
///
/// # Errors
/// EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE, ENOBUFS as io-net says; ENETDOWN when it does not answer.
pub fn socket(domain: i32, socket_type: i32, protocol: i32) -> Result<(Endpoint, OwnedFd)> {
    let args = [domain, socket_type, protocol].map(i32::cast_unsigned);
    let (answer, mut received) = call(
        &Call {
            op: op::SOCKET,
            args,
            ..Call::new_zeroed()
        },
        None,
    )?;
    let doorbell = received.take_fd().ok_or(Errno::NET_DOWN)?;
    Ok((endpoint(&answer, &mut received)?, doorbell))
}

/// What socket `fd` is, which must be a copy of a doorbell's program end.
///
/// # Errors
/// ENOTSOCK when it is none of this io-net's.
pub fn adopt(fd: BorrowedFd<'_>) -> Result<Endpoint> {
    let (answer, mut received) = call(
        &Call {
            op: op::ADOPT,
            ..Call::new_zeroed()
        },
        Some(fd),
    )?;
    endpoint(&answer, &mut received)
}

/// One of io-net's interfaces, by index from 1 or (index 0) by name.
///
/// # Errors
/// ENODEV when there is none.
pub fn interface(index: u32, name: [u8; 16]) -> Result<Interface> {
    let call_args = Call {
        op: op::INTERFACE,
        args: [index, 0, 0],
        name,
    };
    call(&call_args, None).map(|(answer, _)| answer.interface)
}

/// Makes sure that an io-net serves `directory`, with a session of its own that ends at once.
///
/// # Errors
/// ENOENT, ECONNREFUSED or EACCES when nobody can be reached there, EPROTO when it speaks another
/// version, ENETDOWN when it does not answer.
pub fn check(directory: &Path) -> Result<()> {
    let session = Session::open(&directory.join(SOCKET_NAME))?;
    unkeep(session.fd.as_raw_fd());
    Ok(())
}

/// Makes sure that there is a session.
///
/// # Errors
/// ENETDOWN when io-net does not answer.
pub fn ensure() -> Result<()> {
    let mut session = SESSION
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Session::get(&mut session).map(|_| ())
}

/// The session's descriptor, which hangs up when io-net ends. None without a session.
#[must_use]
pub fn lifeline() -> Option<RawFd> {
    Some(LIFELINE.load(Ordering::Relaxed)).filter(|&fd| fd >= 0)
}

/// Looks whether io-net has ended, and if so resets every socket.
pub fn check_lifeline() {
    let Some(fd) = lifeline() else { return };
    let mut fds = [epoll::PollFd {
        fd,
        events: 0,
        revents: 0,
    }];
    let hung_up = epoll::poll(&mut fds, Some(std::time::Duration::ZERO)).is_ok_and(|n| n > 0);
    if hung_up {
        drop_session(
            &mut SESSION
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        mapped::all_dead();
    }
}

/// In a child of fork: the session is the parent's.
pub(crate) fn drop_session(session: &mut Option<Session>) {
    LIFELINE.store(-1, Ordering::Relaxed);
    if let Some(session) = session.take() {
        unkeep(session.fd.as_raw_fd());
    }
}

/// The mapped segment and slot that an answer speaks of.
fn endpoint(answer: &Answer, received: &mut Received) -> Result<Endpoint> {
    let mapped = if answer.has_segment != 0 {
        map(answer.segment, received)?
    } else {
        mapped::find(answer.segment.id).ok_or(Errno::CORRUPT)?
    };
    Endpoint::new(mapped, answer.slot, answer.generation).ok_or(Errno::CORRUPT)
}

fn map(info: SegmentInfo, received: &mut Received) -> Result<&'static Mapped> {
    let (segment, kick, bell) = view::open_received(info, || received.take_fd())?;
    mapped::add(segment, keep(kick), keep(bell)).ok_or(Errno(libc::ENOMEM))
}

/// One call, made again over a new session if io-net was started anew meanwhile.
fn call(call: &Call, fd: Option<BorrowedFd<'_>>) -> Result<(Answer, Received)> {
    let mut session = SESSION
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut tries = 0;
    loop {
        tries += 1;
        match Session::get(&mut session)?.call(call, fd) {
            Ok((answer, received)) => {
                Errno::check(answer.errno)?;
                return Ok((answer, received));
            }
            Err(_) if tries == 1 => {
                drop_session(&mut session);
                mapped::all_dead();
            }
            Err(e) => return Err(e),
        }
    }
}

impl Session {
    fn get(session: &mut Option<Self>) -> Result<&Self> {
        if session.is_none() {
            // Why is for io-net-run to tell; a program expects no ENOENT of socket(2).
            let new = Self::open(&directory().join(SOCKET_NAME)).map_err(|_| Errno::NET_DOWN)?;
            LIFELINE.store(new.fd.as_raw_fd(), Ordering::Relaxed);
            *session = Some(new);
        }
        session.as_ref().ok_or(Errno::NET_DOWN)
    }

    fn open(path: &Path) -> Result<Self> {
        let fd = keep(unix::connect_seqpacket(path)?);
        let session = Self { fd };
        let (major, minor) = (io_net_proto::MAJOR, io_net_proto::MINOR);
        let hello = Hello {
            magic: MAGIC,
            major,
            minor,
            pid: std::process::id(),
        };
        let (welcome, mut received) = session.exchange::<Welcome>(hello.as_bytes(), None)?;
        if welcome.magic != MAGIC || welcome.major != major {
            return Err(Errno(libc::EPROTO));
        }
        Errno::check(welcome.errno)?;
        map(welcome.segment, &mut received)?;
        Ok(session)
    }

    fn call(&self, call: &Call, fd: Option<BorrowedFd<'_>>) -> Result<(Answer, Received)> {
        self.exchange(call.as_bytes(), fd)
    }

    fn exchange<T: FromBytes + FromZeros + IntoBytes>(
        &self,
        message: &[u8],
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<(T, Received)> {
        unix::send_fds(self.fd.as_fd(), message, fd.as_slice(), Wait::Block)
            .map_err(|_| Errno::NET_DOWN)?;
        let mut answer = T::new_zeroed();
        loop {
            let received = unix::recv_fds(self.fd.as_fd(), answer.as_mut_bytes(), Wait::Block);
            match received {
                Ok(received) if received.len == size_of::<T>() && !received.truncated => {
                    return Ok((answer, received));
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                _ => return Err(Errno::NET_DOWN),
            }
        }
    }
}
