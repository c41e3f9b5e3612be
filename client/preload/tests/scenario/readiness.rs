//! poll, select and epoll over sockets of both kinds.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use super::{ok, pair};

const LONG_MS: i32 = 20_000;

fn poll(fds: &[RawFd], timeout_ms: i32) -> Vec<RawFd> {
    let one = |&fd: &RawFd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    let mut set: Vec<_> = fds.iter().map(one).collect();
    // SAFETY: the array has that many entries.
    let n = ok(unsafe { libc::poll(set.as_mut_ptr(), set.len() as u64, timeout_ms) });
    let ready: Vec<_> = set
        .iter()
        .filter(|fd| fd.revents != 0)
        .map(|fd| fd.fd)
        .collect();
    assert_eq!(ready.len(), n as usize);
    ready
}

fn select(fds: &[RawFd], timeout_ms: i64) -> Vec<RawFd> {
    // SAFETY: all-zero bytes are an empty fd_set, and the descriptors are below FD_SETSIZE.
    unsafe {
        let mut set: libc::fd_set = std::mem::zeroed();
        fds.iter().for_each(|&fd| libc::FD_SET(fd, &raw mut set));
        let mut time = libc::timeval {
            tv_sec: timeout_ms / 1000,
            tv_usec: timeout_ms % 1000 * 1000,
        };
        let null = std::ptr::null_mut();
        let n = ok(libc::select(100, &raw mut set, null, null, &raw mut time));
        let ready: Vec<_> = fds
            .iter()
            .copied()
            .filter(|&fd| libc::FD_ISSET(fd, &raw const set))
            .collect();
        assert_eq!(ready.len(), n as usize);
        ready
    }
}

/// An epoll instance; tokens are descriptors.
struct Epoll(RawFd);

impl Epoll {
    fn new() -> Self {
        // SAFETY: a plain call.
        Self(ok(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }))
    }

    fn ctl(&self, op: i32, fd: RawFd, events: i32) -> i32 {
        let mut event = libc::epoll_event {
            events: events.cast_unsigned(),
            u64: fd as u64,
        };
        // SAFETY: `event` lives through the call.
        unsafe { libc::epoll_ctl(self.0, op, fd, &raw mut event) }
    }

    fn add(&self, fd: RawFd, events: i32) {
        ok(self.ctl(libc::EPOLL_CTL_ADD, fd, events));
    }

    fn wait(&self, timeout_ms: i32) -> Vec<(RawFd, i32)> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
        // SAFETY: the array has eight entries.
        let n = ok(unsafe { libc::epoll_wait(self.0, events.as_mut_ptr(), 8, timeout_ms) });
        events[..n as usize]
            .iter()
            .map(|e| (e.u64 as RawFd, e.events.cast_signed()))
            .collect()
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { libc::close(self.0) };
    }
}

/// Runs `act` while this thread is, most likely, asleep in `wait`.
fn meanwhile<T>(act: impl FnOnce() + Send, wait: impl FnOnce() -> T) -> T {
    std::thread::scope(|s| {
        s.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            act();
        });
        wait()
    })
}

pub(crate) fn readiness() {
    let (client, mut server) = pair();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let (socket, pipe) = (server.as_raw_fd(), reader.as_raw_fd());
    let both = [socket, pipe];
    let mut buf = [0; 8];
    let epoll = Epoll::new();
    epoll.add(socket, libc::EPOLLIN);
    epoll.add(pipe, libc::EPOLLIN);
    let started = Instant::now();
    assert!(
        poll(&both, 20).is_empty() && select(&both, 20).is_empty() && epoll.wait(20).is_empty()
    );
    assert!(started.elapsed() >= Duration::from_millis(60));
    type Wait<'w> = &'w dyn Fn() -> Vec<RawFd>;
    let by_epoll = || epoll.wait(LONG_MS).iter().map(|(fd, _)| *fd).collect();
    let ways: [Wait<'_>; 3] = [
        &|| poll(&both, LONG_MS),
        &|| select(&both, LONG_MS.into()),
        &by_epoll,
    ];
    for wait in ways {
        let send = || (&client).write_all(b"x").unwrap();
        assert_eq!(meanwhile(send, wait), [socket]);
        server.read_exact(&mut buf[..1]).unwrap();
        let mut write = || writer.write_all(b"x").unwrap();
        assert_eq!(meanwhile(&mut write, wait), [pipe]);
        (&client).write_all(b"x").unwrap();
        super::wait_for("both", || wait().len() == 2);
        server.read_exact(&mut buf[..1]).unwrap();
        reader.read_exact(&mut buf[..1]).unwrap();
    }
    listeners_and_nesting(&epoll);
}

fn listeners_and_nesting(inner: &Epoll) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (fd, address) = (listener.as_raw_fd(), listener.local_addr().unwrap());
    inner.add(fd, libc::EPOLLIN);
    let outer = Epoll::new();
    outer.add(inner.0, libc::EPOLLIN);
    assert!(outer.wait(0).is_empty());
    let connect = || drop(TcpStream::connect(address).unwrap());
    assert_eq!(
        meanwhile(connect, || outer.wait(LONG_MS)),
        [(inner.0, libc::EPOLLIN)]
    );
    assert_eq!(inner.wait(0), [(fd, libc::EPOLLIN)]);
    assert_eq!(poll(&[fd], 0), [fd]);
    let (accepted, _) = listener.accept().unwrap();
    assert!(inner.wait(0).is_empty() && outer.wait(0).is_empty());
    // The peer has closed.
    inner.add(accepted.as_raw_fd(), libc::EPOLLIN | libc::EPOLLRDHUP);
    let ended = inner.wait(LONG_MS);
    assert_eq!(ended[0].0, accepted.as_raw_fd());
    assert_eq!(ended[0].1 & libc::EPOLLRDHUP, libc::EPOLLRDHUP);
    assert_eq!(outer.wait(LONG_MS), [(inner.0, libc::EPOLLIN)]);
}

pub(crate) fn triggers() {
    let (mut client, mut server) = pair();
    let fd = server.as_raw_fd();
    let epoll = Epoll::new();
    let writable = libc::EPOLLOUT;
    epoll.add(fd, libc::EPOLLIN | writable | libc::EPOLLET);
    assert_eq!(epoll.ctl(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN), -1);
    assert_eq!(super::errno(), libc::EEXIST);
    assert_eq!(epoll.wait(0), [(fd, writable)]);
    assert!(epoll.wait(0).is_empty());
    client.write_all(b"ab").unwrap();
    assert_eq!(epoll.wait(LONG_MS), [(fd, libc::EPOLLIN | writable)]);
    server.read_exact(&mut [0; 1]).unwrap();
    assert!(
        epoll.wait(0).is_empty(),
        "one byte is left, but nothing new came"
    );

    ok(epoll.ctl(libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN));
    assert_eq!(epoll.wait(0), [(fd, libc::EPOLLIN)]);
    assert_eq!(epoll.wait(0), [(fd, libc::EPOLLIN)]);
    ok(epoll.ctl(libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN | libc::EPOLLONESHOT));
    assert_eq!(epoll.wait(0), [(fd, libc::EPOLLIN)]);
    client.write_all(b"c").unwrap();
    assert!(epoll.wait(30).is_empty(), "it has been reported once");
    ok(epoll.ctl(libc::EPOLL_CTL_DEL, fd, 0));
    assert_eq!(epoll.ctl(libc::EPOLL_CTL_DEL, fd, 0), -1);
    assert_eq!(super::errno(), libc::ENOENT);

    room_comes_back(&epoll, &server, &mut client);
}

/// A full FIFO is not writable, and an edge tells when it is again.
fn room_comes_back(epoll: &Epoll, full: &TcpStream, peer: &mut TcpStream) {
    full.set_nonblocking(true).unwrap();
    let (mut full, mut sent) = (full, 0);
    let chunk = vec![0; 65_536];
    super::wait_for("the FIFOs to fill up", || {
        while let Ok(n) = full.write(&chunk) {
            sent += n;
        }
        // The server may still be moving bytes on.
        std::thread::sleep(Duration::from_millis(20));
        poll_out(full.as_raw_fd()) == 0
    });
    epoll.add(full.as_raw_fd(), libc::EPOLLOUT | libc::EPOLLET);
    assert!(epoll.wait(20).is_empty());
    let drained = meanwhile(
        || {
            let mut all = vec![0; sent];
            peer.read_exact(&mut all).unwrap();
        },
        || epoll.wait(LONG_MS),
    );
    assert_eq!(drained, [(full.as_raw_fd(), libc::EPOLLOUT)]);
}

fn poll_out(fd: RawFd) -> i32 {
    let mut set = libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one entry.
    ok(unsafe { libc::poll(&raw mut set, 1, 0) })
}
