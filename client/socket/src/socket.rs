//! A socket that owns its descriptor: the API for programs that link this library.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use io_net_proto::address::Address;
use io_net_proto::slot::{Record, SHUT_RX, SHUT_TX};

use crate::endpoint::Endpoint;
use crate::errno::{Errno, Result};
use crate::{epoll, session, table};

/// A socket of io-net's. Its descriptor can be given to [`crate::poll::poll`] and [`crate::epoll`].
#[derive(Debug)]
pub struct Socket {
    endpoint: Endpoint,
    doorbell: OwnedFd,
}

impl Socket {
    /// An IPv4 stream (TCP) socket.
    ///
    /// # Errors
    /// ENETDOWN when io-net does not run, EMFILE, ENOBUFS.
    pub fn stream() -> Result<Self> {
        let (endpoint, doorbell) = session::socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
        Self::from_parts(endpoint, doorbell)
    }

    /// An IPv4 datagram (UDP) socket.
    ///
    /// # Errors
    /// As [`Socket::stream`].
    pub fn datagram() -> Result<Self> {
        let (endpoint, doorbell) = session::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        Self::from_parts(endpoint, doorbell)
    }

    fn from_parts(endpoint: Endpoint, doorbell: OwnedFd) -> Result<Self> {
        match table::set(doorbell.as_raw_fd(), &table::Entry::Socket(endpoint)) {
            true => Ok(Self { endpoint, doorbell }),
            false => Err(Errno(libc::EMFILE)),
        }
    }

    /// Its shared memory, for what has no method here.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Switches between waiting (the default) and EAGAIN.
    ///
    /// # Errors
    /// Never in practice.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        io_net_os::fd::set_nonblocking(self.as_fd(), on)?;
        self.endpoint.set_nonblocking(on);
        Ok(())
    }

    /// How long a receive waits before EAGAIN; None: for ever.
    ///
    /// # Errors
    /// Never in practice.
    pub fn set_receive_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.endpoint
            .set_receive_timeout(self.as_fd(), timeout.unwrap_or_default())
    }

    /// bind(2).
    ///
    /// # Errors
    /// As [`Endpoint::bind`].
    pub fn bind(&self, address: SocketAddr) -> Result<()> {
        self.endpoint.bind(self.as_fd(), address.into())
    }

    /// listen(2).
    ///
    /// # Errors
    /// As [`Endpoint::listen`].
    pub fn listen(&self, backlog: i32) -> Result<()> {
        self.endpoint.listen(self.as_fd(), backlog)
    }

    /// accept(2): a new, waiting socket and its peer.
    ///
    /// # Errors
    /// As [`Endpoint::accept`].
    pub fn accept(&self) -> Result<(Self, Option<SocketAddr>)> {
        let (endpoint, doorbell, peer) = self.endpoint.accept(self.as_fd())?;
        Ok((Self::from_parts(endpoint, doorbell)?, peer.to_std()))
    }

    /// connect(2).
    ///
    /// # Errors
    /// As [`Endpoint::connect`].
    pub fn connect(&self, address: SocketAddr) -> Result<()> {
        let until = self.endpoint.send_until();
        self.endpoint.connect(self.as_fd(), address.into(), until)
    }

    /// Sends bytes (stream: all of them unless it does not wait) or one message to the connected
    /// peer.
    ///
    /// # Errors
    /// As [`Endpoint::send_stream`] and [`Endpoint::send_datagram`].
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        self.send_record(bytes, Record::default())
    }

    /// Sends one message to `peer`.
    ///
    /// # Errors
    /// As [`Endpoint::send_datagram`].
    pub fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> Result<usize> {
        self.send_record(
            bytes,
            Record {
                peer: peer.into(),
                ..Record::default()
            },
        )
    }

    fn send_record(&self, bytes: &[u8], record: Record) -> Result<usize> {
        let (bufs, until) = ([IoSlice::new(bytes)], self.endpoint.send_until());
        match self.endpoint.is_stream() {
            true => self.endpoint.send_stream(self.as_fd(), &bufs, until),
            false => self
                .endpoint
                .send_datagram(self.as_fd(), &bufs, record, until),
        }
    }

    /// Receives bytes or one message. 0 from a stream: no byte will come.
    ///
    /// # Errors
    /// As [`Endpoint::receive_stream`] and [`Endpoint::receive_datagram`].
    pub fn receive(&self, buf: &mut [u8]) -> Result<usize> {
        self.receive_from(buf).map(|(n, _)| n)
    }

    /// Receives bytes or one message, and tells who sent it.
    ///
    /// # Errors
    /// As [`Socket::receive`].
    pub fn receive_from(&self, buf: &mut [u8]) -> Result<(usize, Option<SocketAddr>)> {
        let (endpoint, until) = (self.endpoint, self.endpoint.receive_until());
        let bufs = &mut [IoSliceMut::new(buf)];
        if endpoint.is_stream() {
            let n = endpoint.receive_stream(self.as_fd(), bufs, 1, false, until)?;
            return Ok((n, endpoint.peer().ok().and_then(Address::to_std)));
        }
        let received = endpoint.receive_datagram(self.as_fd(), bufs, false, until)?;
        Ok(received.map_or((0, None), |r| (r.len, r.record.peer.to_std())))
    }

    /// No more receiving, no more sending, or both.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn shutdown(&self, receiving: bool, sending: bool) -> Result<()> {
        let rx = if receiving { SHUT_RX } else { 0 };
        self.endpoint
            .shutdown(rx | if sending { SHUT_TX } else { 0 })
    }

    /// Its own address.
    #[must_use]
    pub fn name(&self) -> Option<SocketAddr> {
        self.endpoint.name().to_std()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer(&self) -> Result<Option<SocketAddr>> {
        self.endpoint.peer().map(Address::to_std)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.doorbell.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        table::clear(self.doorbell.as_raw_fd());
        epoll::forget(self.doorbell.as_raw_fd());
    }
}
