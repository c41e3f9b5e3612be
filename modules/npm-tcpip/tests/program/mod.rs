//! A program in miniature: speaks the session protocol itself, so that it can also break it.

use io_net_os::unix::{self, Received, Wait};
use io_net_proto::address::Address;
use io_net_proto::request::{Accepted, Request};
use io_net_proto::session::{Answer, Call, Hello, MAGIC, SOCKET_NAME, Welcome, op};
use io_net_proto::slot::{Slot, State};
use io_net_proto::view::{Segment, open_received};
use io_net_ring::fifo::{Consumer, Producer};
use io_net_testkit::{Kit, built_module};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A directory for one test's session socket, removed when dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("npm-tcpip-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    /// Starts the protocol with its session socket here, and `options`.
    pub(crate) fn start(&self, options: &str) -> Kit {
        let options = format!("prefix={},{options}", self.0.display());
        Kit::start(built_module("npm-tcpip"), &options).unwrap()
    }

    /// A connection to the session socket, not greeted yet.
    pub(crate) fn connect(&self) -> OwnedFd {
        unix::connect_seqpacket(&self.0.join(SOCKET_NAME)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A session.
pub(crate) struct Program {
    connection: OwnedFd,
    pub(crate) segment: Rc<Segment>,
    pub(crate) welcome: Welcome,
    _eventfds: [OwnedFd; 2],
}

/// A socket of a program.
pub(crate) struct Socket {
    segment: Rc<Segment>,
    pub(crate) slot: u32,
    pub(crate) doorbell: OwnedFd,
    tx: Producer,
    rx: Consumer,
    requests: u32,
}

/// Waits for a message, turning the kit's loop. `None` where the other end has closed.
pub(crate) fn receive(kit: &mut Kit, from: BorrowedFd<'_>, into: &mut [u8]) -> Option<Received> {
    let mut got = None;
    kit.run_until(|_| match unix::recv_fds(from, into, Wait::DontWait) {
        Ok(received) => {
            got = Some(received);
            true
        }
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    });
    got.filter(|received| received.len > 0)
}

impl Program {
    pub(crate) fn greet(directory: &Directory, kit: &mut Kit) -> Self {
        let connection = directory.connect();
        let hello = Hello {
            magic: MAGIC,
            major: io_net_proto::MAJOR,
            minor: io_net_proto::MINOR,
            pid: std::process::id(),
        };
        unix::send_fds(connection.as_fd(), hello.as_bytes(), &[], Wait::DontWait).unwrap();
        let mut welcome = Welcome::new_zeroed();
        let mut received = receive(kit, connection.as_fd(), welcome.as_mut_bytes()).unwrap();
        assert_eq!(welcome.errno, 0);
        let opened = open_received(welcome.segment, || received.take_fd());
        let (segment, kick, bell) = opened.unwrap();
        Program {
            connection,
            segment: Rc::new(segment),
            welcome,
            _eventfds: [kick, bell],
        }
    }

    /// Makes a call of the session.
    pub(crate) fn call(
        &self,
        kit: &mut Kit,
        call: &Call,
        fds: &[BorrowedFd<'_>],
    ) -> (Answer, Received) {
        let connection = self.connection.as_fd();
        unix::send_fds(connection, call.as_bytes(), fds, Wait::DontWait).unwrap();
        let mut answer = Answer::new_zeroed();
        let received = receive(kit, connection, answer.as_mut_bytes()).unwrap();
        (answer, received)
    }

    /// Makes a socket, or tells the errno.
    pub(crate) fn socket(&self, kit: &mut Kit, args: [u32; 3]) -> Result<Socket, u32> {
        let call = Call {
            op: op::SOCKET,
            args,
            ..Call::new_zeroed()
        };
        let (answer, mut received) = self.call(kit, &call, &[]);
        match answer.errno {
            0 => Ok(self.seat(answer.slot, received.take_fd().unwrap())),
            errno => Err(errno),
        }
    }

    fn seat(&self, slot: u32, doorbell: OwnedFd) -> Socket {
        Socket {
            segment: self.segment.clone(),
            slot,
            doorbell,
            tx: Producer::default(),
            rx: Consumer::default(),
            requests: 0,
        }
    }

    /// Takes a connection from a listener.
    pub(crate) fn accept(&self, kit: &mut Kit, listener: &Socket) -> (Socket, Accepted) {
        let mut accepted = Accepted::new_zeroed();
        let doorbell = listener.doorbell.as_fd();
        let mut received = receive(kit, doorbell, accepted.as_mut_bytes()).unwrap();
        assert_eq!(accepted.magic, Accepted::MAGIC);
        let doorbell = received.take_fd().unwrap();
        (self.seat(accepted.slot, doorbell), accepted)
    }

    /// A listener on `address`, and the two ends of a connection to it.
    pub(crate) fn connection(
        &self,
        kit: &mut Kit,
        address: SocketAddr,
    ) -> (Socket, Socket, Socket) {
        let mut listener = self.socket(kit, [2, 1, 0]).unwrap();
        assert_eq!(listener.bind(kit, address), 0);
        assert_eq!(listener.listen(kit, 5), 0);
        let mut client = self.socket(kit, [2, 1, 0]).unwrap();
        assert_eq!(client.connect(kit, address), 115, "EINPROGRESS");
        let (server, _) = self.accept(kit, &listener);
        kit.run_until(|_| client.state() == Some(State::Connected));
        (listener, client, server)
    }
}

impl Socket {
    pub(crate) fn shown(&self) -> &Slot {
        self.segment.slot(self.slot).unwrap()
    }

    pub(crate) fn state(&self) -> Option<State> {
        State::of(self.flags())
    }

    /// The state word.
    pub(crate) fn flags(&self) -> u32 {
        self.shown().server.state.load(Ordering::Acquire)
    }

    pub(crate) fn error(&self) -> u32 {
        self.shown().both.error.load(Ordering::Acquire)
    }

    /// Makes a request and returns the errno of its reply.
    pub(crate) fn request(&mut self, kit: &mut Kit, fill: impl FnOnce(&mut Request)) -> u32 {
        self.requests += 1;
        let mut request = Request::new(self.requests, 0);
        fill(&mut request);
        let doorbell = self.doorbell.as_fd();
        unix::send_fds(doorbell, request.message(), &[], Wait::DontWait).unwrap();
        let reply = &self.shown().reply;
        kit.run_until(|_| reply.sequence.load(Ordering::Acquire) == request.sequence);
        reply.errno.load(Ordering::Relaxed)
    }

    pub(crate) fn bind(&mut self, kit: &mut Kit, address: SocketAddr) -> u32 {
        self.with_address(kit, io_net_proto::request::op::BIND, address)
    }

    pub(crate) fn connect(&mut self, kit: &mut Kit, address: SocketAddr) -> u32 {
        self.with_address(kit, io_net_proto::request::op::CONNECT, address)
    }

    fn with_address(&mut self, kit: &mut Kit, op: u32, address: SocketAddr) -> u32 {
        self.request(kit, |request| {
            (request.op, request.address) = (op, Address::from(address));
        })
    }

    pub(crate) fn listen(&mut self, kit: &mut Kit, backlog: u32) -> u32 {
        self.request(kit, |request| {
            (request.op, request.args[0]) = (io_net_proto::request::op::LISTEN, backlog);
        })
    }

    /// Tells io-net that the slot has news.
    pub(crate) fn mark(&self) {
        let _ = self.segment.mark_dirty(self.slot);
    }

    /// Puts bytes into the tx FIFO; returns how many fitted.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> usize {
        let size = self.shown().server.tx_size.load(Ordering::Relaxed);
        let fifo = self.segment.tx(self.slot, size).unwrap();
        self.tx.free(&fifo).unwrap();
        let n = self.tx.write_at(&fifo, 0, bytes);
        self.tx.commit(&fifo, n as u32);
        self.mark();
        n
    }

    /// Takes what is in the rx FIFO.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let size = self.shown().server.rx_size.load(Ordering::Relaxed);
        let fifo = self.segment.rx(self.slot, size).unwrap();
        let n = self.rx.used(&fifo).unwrap();
        let mut bytes = vec![0; n as usize];
        self.rx.read_at(&fifo, 0, &mut bytes);
        self.rx.consume(&fifo, n);
        self.mark();
        bytes
    }

    /// Waits for `n` bytes.
    pub(crate) fn receive_all(&mut self, kit: &mut Kit, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        kit.run_until(|kit| {
            bytes.extend(self.receive());
            // Acknowledgements may be delayed.
            kit.advance(Duration::from_millis(1));
            bytes.len() >= n
        });
        bytes
    }

    /// Waits until io-net has closed its end of the doorbell.
    pub(crate) fn hung_up(&self, kit: &mut Kit) -> bool {
        receive(kit, self.doorbell.as_fd(), &mut [0; 256]).is_none()
    }
}

/// A message that is too short, as bytes.
pub(crate) fn truncated<T: IntoBytes + zerocopy::Immutable + FromBytes>(message: &T) -> &[u8] {
    let bytes = message.as_bytes();
    &bytes[..bytes.len() - 1]
}
