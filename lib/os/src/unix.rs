//! Unix sockets that keep message boundaries and carry file descriptors.
//!
//! Any thread. The calls go to the kernel by number, since within the LD_PRELOAD shim libc's names are
//! the shim's own. Every fd made or received here is close-on-exec.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The most file descriptors that one message carries here.
pub const FDS_MAX: usize = 8;

/// Who is at the other end of a Unix socket, as the kernel saw it when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process id.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// How to send or receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Sleep until it can be done.
    Block,
    /// Fail with `WouldBlock` when it cannot be done at once.
    DontWait,
}

impl Wait {
    fn flags(self) -> i32 {
        match self {
            Self::Block => libc::MSG_NOSIGNAL,
            Self::DontWait => libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        }
    }
}

fn check(rc: i64) -> io::Result<usize> {
    usize::try_from(rc).map_err(|_| io::Error::last_os_error())
}

fn owned(rc: i64) -> io::Result<OwnedFd> {
    let fd = check(rc)?;
    // SAFETY: the kernel has just returned this fd, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A connected pair of `SOCK_SEQPACKET` sockets, both non-blocking when `nonblocking`.
///
/// # Errors
/// The kernel's error: out of fds.
pub fn seqpacket_pair(nonblocking: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    let kind = if nonblocking {
        kind | libc::SOCK_NONBLOCK
    } else {
        kind
    };
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: the kernel writes two fds into the array.
    check(unsafe {
        libc::syscall(
            libc::SYS_socketpair,
            libc::AF_UNIX,
            kind,
            0,
            fds.as_mut_ptr(),
        )
    })?;
    // SAFETY: both are new and nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

fn socket(nonblocking: bool) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    let kind = if nonblocking {
        kind | libc::SOCK_NONBLOCK
    } else {
        kind
    };
    // SAFETY: a plain call that touches no memory.
    owned(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind, 0) })
}

/// `path` as a socket address and its length in bytes.
fn address(path: &Path) -> io::Result<(libc::sockaddr_un, usize)> {
    // SAFETY: all-zero bytes are a valid sockaddr_un.
    let mut addr: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    addr.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.len() >= addr.sun_path.len() || bytes.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{}: a socket's path has 1 to 107 bytes", path.display()),
        ));
    }
    for (to, from) in addr.sun_path.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    Ok((
        addr,
        std::mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1,
    ))
}

/// Connects a blocking `SOCK_SEQPACKET` socket to the listener at `path`.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when nobody listens there, `PermissionDenied`, or `InvalidInput`
/// for a path that is too long.
pub fn connect_seqpacket(path: &Path) -> io::Result<OwnedFd> {
    connect(path, false)
}

/// As [`connect_seqpacket`], with a non-blocking socket.
///
/// # Errors
/// As [`connect_seqpacket`]; `WouldBlock` when the listener's queue is full.
pub fn try_connect_seqpacket(path: &Path) -> io::Result<OwnedFd> {
    connect(path, true)
}

fn connect(path: &Path, nonblocking: bool) -> io::Result<OwnedFd> {
    let (addr, len) = address(path)?;
    let fd = socket(nonblocking)?;
    // SAFETY: the kernel reads `len` bytes of `addr`, which has them.
    check(unsafe { libc::syscall(libc::SYS_connect, fd.as_raw_fd(), &raw const addr, len) })?;
    Ok(fd)
}

/// Listens on a non-blocking `SOCK_SEQPACKET` socket at `path`, which must not exist.
///
/// # Errors
/// `AddrInUse` when the path exists, or the kernel's other errors.
pub fn listen_seqpacket(path: &Path, backlog: i32) -> io::Result<OwnedFd> {
    let (addr, len) = address(path)?;
    let fd = socket(true)?;
    // SAFETY: the kernel reads `len` bytes of `addr`, which has them.
    check(unsafe { libc::syscall(libc::SYS_bind, fd.as_raw_fd(), &raw const addr, len) })?;
    // SAFETY: a plain call that touches no memory.
    check(unsafe { libc::syscall(libc::SYS_listen, fd.as_raw_fd(), backlog) })?;
    Ok(fd)
}

/// Takes one connection from a listener, as a non-blocking socket.
///
/// # Errors
/// `WouldBlock` when there is none, or the kernel's other errors.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: null address and length mean that the peer's address is not wanted.
    owned(unsafe {
        libc::syscall(
            libc::SYS_accept4,
            listener.as_raw_fd(),
            0_usize,
            0_usize,
            flags,
        )
    })
}

/// The credentials of the process that connected `fd`, or that made the pair.
///
/// # Errors
/// The kernel's error, such as ENOTSOCK.
pub fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut cred = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `cred`.
    check(unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        let raw = fd.as_raw_fd();
        libc::syscall(
            libc::SYS_getsockopt,
            raw,
            level,
            name,
            &raw mut cred,
            &raw mut len,
        )
    })?;
    Ok(Credentials {
        pid: cred.pid,
        uid: cred.uid,
        gid: cred.gid,
    })
}

/// The supplementary groups of the process that connected `fd`, as they were then.
///
/// # Errors
/// ENOTSOCK when it is no socket, ENODATA when nothing has been connected.
pub fn peer_groups(fd: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    /// As many as a process can be in.
    const GROUPS_MAX: usize = 65_536;
    let mut groups = vec![0_u32; 32];
    loop {
        let mut len = size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes into `groups`.
        let got = check(unsafe {
            let (raw, level) = (fd.as_raw_fd(), libc::SOL_SOCKET);
            let (at, len) = (groups.as_mut_ptr(), &raw mut len);
            libc::syscall(
                libc::SYS_getsockopt,
                raw,
                level,
                libc::SO_PEERGROUPS,
                at,
                len,
            )
        });
        match got {
            Err(error)
                if error.raw_os_error() == Some(libc::ERANGE) && groups.len() < GROUPS_MAX =>
            {
                groups.resize(GROUPS_MAX, 0);
            }
            Err(error) => return Err(error),
            Ok(_) => {
                groups.truncate(len as usize / size_of::<u32>());
                return Ok(groups);
            }
        }
    }
}

/// Shuts a connection in both directions, for each copy of its descriptor: the other end hears of
/// it at once.
pub fn shutdown(fd: BorrowedFd<'_>) {
    // SAFETY: a plain call that touches no memory. It fails only where nothing is connected.
    unsafe { libc::syscall(libc::SYS_shutdown, fd.as_raw_fd(), libc::SHUT_RDWR) };
}

fn option<T>(fd: BorrowedFd<'_>, name: i32, mut value: T) -> io::Result<T> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `value`; callers pass plain integers.
    check(unsafe {
        let (raw, level) = (fd.as_raw_fd(), libc::SOL_SOCKET);
        libc::syscall(
            libc::SYS_getsockopt,
            raw,
            level,
            name,
            &raw mut value,
            &raw mut len,
        )
    })?;
    Ok(value)
}

/// The kernel's number for a socket, the same through each copy of its fd and never used twice.
///
/// # Errors
/// ENOTSOCK when it is no socket.
pub fn cookie(fd: BorrowedFd<'_>) -> io::Result<u64> {
    option(fd, libc::SO_COOKIE, 0_u64)
}

/// SO_RCVTIMEO: how long a blocking receive or accept waits; zero: for ever.
///
/// # Errors
/// ENOTSOCK when it is no socket.
pub fn set_receive_timeout(fd: BorrowedFd<'_>, timeout: std::time::Duration) -> io::Result<()> {
    let tv = libc::timeval {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_usec: timeout.subsec_micros().into(),
    };
    let (level, name, len) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO, size_of_val(&tv));
    let raw = fd.as_raw_fd();
    // SAFETY: the kernel reads `len` bytes of `tv`.
    check(unsafe { libc::syscall(libc::SYS_setsockopt, raw, level, name, &raw const tv, len) })?;
    Ok(())
}

/// Whether `fd` is a Unix `SOCK_SEQPACKET` socket; false for anything else, such as a closed fd.
#[must_use]
pub fn is_seqpacket(fd: BorrowedFd<'_>) -> bool {
    option(fd, libc::SO_TYPE, 0_i32).is_ok_and(|t| t == libc::SOCK_SEQPACKET)
        && option(fd, libc::SO_DOMAIN, 0_i32).is_ok_and(|d| d == libc::AF_UNIX)
}

/// Room for the control message that carries `FDS_MAX` fds, aligned as cmsghdr wants.
type Control = [u64; (size_of::<libc::cmsghdr>() + FDS_MAX * size_of::<RawFd>()).div_ceil(8)];

fn header(iov: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all-zero bytes are a valid, empty msghdr.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = iov;
    msg.msg_iovlen = 1;
    msg
}

/// Sends `bytes` as one message, with up to [`FDS_MAX`] descriptors; the receiver gets copies of them.
/// Never raises SIGPIPE.
///
/// # Errors
/// `WouldBlock` (only with [`Wait::DontWait`]), `BrokenPipe` when the other end is gone,
/// `InvalidInput` for too many fds.
pub fn send_fds(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    wait: Wait,
) -> io::Result<()> {
    if fds.len() > FDS_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut iov = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut msg = header(&mut iov);
    let mut control: Control = [0; _];
    if !fds.is_empty() {
        let payload = size_of_val(fds);
        msg.msg_control = control.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE and CMSG_LEN only compute; CMSG_FIRSTHDR gives a header within `control`,
        // which has room for FDS_MAX fds behind it; BorrowedFd has the layout of a RawFd.
        unsafe {
            msg.msg_controllen = libc::CMSG_SPACE(payload as u32) as _;
            let cmsg = libc::CMSG_FIRSTHDR(&raw const msg);
            (*cmsg).cmsg_level = libc::SOL_SOCKET;
            (*cmsg).cmsg_type = libc::SCM_RIGHTS;
            (*cmsg).cmsg_len = libc::CMSG_LEN(payload as u32) as _;
            let data = libc::CMSG_DATA(cmsg).cast::<RawFd>();
            std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<RawFd>(), data, fds.len());
        }
    }
    let raw = socket.as_raw_fd();
    // SAFETY: `msg` points to `iov` and `control`, which live until the call returns and are only read.
    check(unsafe { libc::syscall(libc::SYS_sendmsg, raw, &raw const msg, wait.flags()) })?;
    Ok(())
}

/// A message that [`recv_fds`] took.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes written to the buffer. 0 with no fds: the other end is closed.
    pub len: usize,
    /// The message was longer than the buffer, or carried more fds than [`FDS_MAX`]; the rest is lost.
    pub truncated: bool,
    fds: [Option<OwnedFd>; FDS_MAX],
}

impl Received {
    /// Takes the next descriptor that came with the message, in the order they were sent.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fds.iter_mut().find_map(Option::take)
    }

    /// How many descriptors are left to take.
    #[must_use]
    pub fn fd_count(&self) -> usize {
        self.fds.iter().flatten().count()
    }
}

/// Receives one message into `buf`, with the descriptors that it carries. Those that nobody takes are
/// closed with the `Received`.
///
/// # Errors
/// `WouldBlock` (only with [`Wait::DontWait`]), `Interrupted`, or the kernel's other errors.
pub fn recv_fds(socket: BorrowedFd<'_>, buf: &mut [u8], wait: Wait) -> io::Result<Received> {
    recv(socket, buf, wait.flags())
}

/// As [`recv_fds`] without waiting, but leaves the message in the queue. Descriptors are not looked at.
///
/// # Errors
/// As [`recv_fds`].
pub fn peek(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let flags = Wait::DontWait.flags() | libc::MSG_PEEK;
    let (raw, at, len) = (socket.as_raw_fd(), buf.as_mut_ptr(), buf.len());
    // SAFETY: the kernel writes at most `len` bytes to `buf`; the address is not asked for.
    check(unsafe { libc::syscall(libc::SYS_recvfrom, raw, at, len, flags, 0_usize, 0_usize) })
}

fn recv(socket: BorrowedFd<'_>, buf: &mut [u8], flags: i32) -> io::Result<Received> {
    let mut iov = libc::iovec {
        iov_base: buf.as_mut_ptr().cast(),
        iov_len: buf.len(),
    };
    let mut msg = header(&mut iov);
    let mut control: MaybeUninit<Control> = MaybeUninit::uninit();
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = size_of::<Control>() as _;
    let (raw, flags) = (socket.as_raw_fd(), flags | libc::MSG_CMSG_CLOEXEC);
    // SAFETY: `msg` points to `buf` and `control`, both valid for writing until the call returns.
    let len = check(unsafe { libc::syscall(libc::SYS_recvmsg, raw, &raw mut msg, flags) })?;
    let truncated = msg.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    let mut received = Received {
        len,
        truncated,
        ..Received::default()
    };
    let mut slots = received.fds.iter_mut();
    // SAFETY: the kernel has set msg_controllen to what it wrote, and the CMSG macros stay within it;
    // each fd of an SCM_RIGHTS message is new and owned by nobody else.
    unsafe {
        let mut cmsg = libc::CMSG_FIRSTHDR(&raw const msg);
        while !cmsg.is_null() {
            if (*cmsg).cmsg_level == libc::SOL_SOCKET && (*cmsg).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*cmsg).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(cmsg).cast::<RawFd>();
                for i in 0..bytes / size_of::<RawFd>() {
                    let fd = OwnedFd::from_raw_fd(data.add(i).read_unaligned());
                    if let Some(slot) = slots.next() {
                        *slot = Some(fd);
                    }
                }
            }
            cmsg = libc::CMSG_NXTHDR(&raw const msg, cmsg);
        }
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventfd::EventFd;
    use std::os::fd::AsFd;

    #[test]
    fn messages_keep_their_bounds_and_carry_fds() {
        let (a, b) = seqpacket_pair(true).unwrap();
        let ev = EventFd::new().unwrap();
        assert_eq!(
            cookie(a.as_fd()).unwrap(),
            cookie(a.try_clone().unwrap().as_fd()).unwrap()
        );
        assert_ne!(cookie(a.as_fd()).unwrap(), cookie(b.as_fd()).unwrap());
        assert!(is_seqpacket(a.as_fd()) && !is_seqpacket(ev.as_fd()));
        send_fds(a.as_fd(), b"one", &[ev.as_fd(), ev.as_fd()], Wait::DontWait).unwrap();
        send_fds(a.as_fd(), b"three", &[], Wait::DontWait).unwrap();
        let mut buf = [0; 4];
        assert_eq!(peek(b.as_fd(), &mut buf).unwrap(), 3);
        let mut got = recv_fds(b.as_fd(), &mut buf, Wait::Block).unwrap();
        assert_eq!((got.len, got.truncated, got.fd_count()), (3, false, 2));
        EventFd::from(got.take_fd().unwrap()).raise();
        assert!(ev.lower());
        let got = recv_fds(b.as_fd(), &mut buf, Wait::Block).unwrap();
        assert_eq!((got.len, got.truncated, got.fd_count()), (4, true, 0));
        let empty = recv_fds(b.as_fd(), &mut buf, Wait::DontWait).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert_eq!(recv_fds(b.as_fd(), &mut buf, Wait::Block).unwrap().len, 0);
        let gone = send_fds(b.as_fd(), b"x", &[], Wait::Block).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_listener_knows_who_connects() {
        let dir = std::env::temp_dir().join(format!("io-net-os-unix-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("s");
        let listener = listen_seqpacket(&path, 8).unwrap();
        assert_eq!(
            accept(listener.as_fd()).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let client = connect_seqpacket(&path).unwrap();
        let server = accept(listener.as_fd()).unwrap();
        let cred = peer_credentials(server.as_fd()).unwrap();
        assert_eq!(cred.pid.cast_unsigned(), std::process::id());
        send_fds(client.as_fd(), b"hi", &[], Wait::Block).unwrap();
        let mut buf = [0; 8];
        assert_eq!(
            recv_fds(server.as_fd(), &mut buf, Wait::Block).unwrap().len,
            2
        );
        std::fs::remove_dir_all(&dir).unwrap();
        let long = Path::new("/").join("x".repeat(120));
        assert_eq!(
            connect_seqpacket(&long).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
