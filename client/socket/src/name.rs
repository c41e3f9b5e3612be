//! Names: bind, connect, listen, getsockname, getpeername.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use io_net_proto::address::{Address, FAMILY_NONE};
use io_net_proto::request::op;
use io_net_proto::slot::State;

use crate::endpoint::Endpoint;
use crate::errno::{Errno, Result};
use crate::wait::Until;

impl Endpoint {
    /// bind(2).
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EINVAL when bound already, EACCES.
    pub fn bind(&self, doorbell: BorrowedFd<'_>, address: Address) -> Result<()> {
        self.request(doorbell, op::BIND, |r| r.address = address, &mut [])
            .map(drop)
    }

    /// listen(2).
    ///
    /// # Errors
    /// EOPNOTSUPP on datagram sockets, EADDRINUSE, EINVAL when connected.
    pub fn listen(&self, doorbell: BorrowedFd<'_>, backlog: i32) -> Result<()> {
        let backlog = backlog.clamp(0, 4096).cast_unsigned();
        self.request(doorbell, op::LISTEN, |r| r.args[0] = backlog, &mut [])?;
        self.slot().shared.listens.store(1, Ordering::Relaxed);
        crate::epoll::became_listener(*self, doorbell);
        Ok(())
    }

    /// connect(2): waits for the outcome as long as `until` says.
    ///
    /// # Errors
    /// EINPROGRESS (`Now`, or the time ran out), EALREADY, EISCONN, ECONNREFUSED, ETIMEDOUT, ...
    pub fn connect(&self, doorbell: BorrowedFd<'_>, address: Address, until: Until) -> Result<()> {
        let in_progress = Errno(libc::EINPROGRESS);
        let pending = &self.slot().shared.connect_pending;
        if self.is_stream() && pending.load(Ordering::Relaxed) != 0 {
            return self.connect_again(doorbell, until);
        }
        match self.request(doorbell, op::CONNECT, |r| r.address = address, &mut []) {
            Ok(_) => return Ok(()),
            Err(e) if e != in_progress => return Err(e),
            Err(_) => pending.store(1, Ordering::Relaxed),
        }
        // As in Linux, a connect that does not wait never tells the outcome itself, however quick
        // it was.
        match until {
            Until::Now => Err(in_progress),
            _ => match self.await_connected(doorbell, until) {
                Err(Errno::AGAIN) => Err(in_progress),
                outcome => outcome,
            },
        }
    }

    /// A connect while another was under way, or after its outcome came unasked.
    fn connect_again(&self, doorbell: BorrowedFd<'_>, until: Until) -> Result<()> {
        if self.state().0 == State::Connecting && until == Until::Now {
            return Err(Errno(libc::EALREADY));
        }
        self.await_connected(doorbell, until)
    }

    fn await_connected(&self, doorbell: BorrowedFd<'_>, until: Until) -> Result<()> {
        self.wait(doorbell, until, || self.state().0 != State::Connecting)?;
        self.slot()
            .shared
            .connect_pending
            .store(0, Ordering::Relaxed);
        match self.state().0 {
            State::Connected => Ok(()),
            _ => {
                self.check_error()?;
                Err(Errno(libc::ECONNABORTED))
            }
        }
    }

    /// getsockname(2).
    #[must_use]
    pub fn name(&self) -> Address {
        self.slot().addresses.get().0
    }

    /// getpeername(2).
    ///
    /// # Errors
    /// ENOTCONN.
    pub fn peer(&self) -> Result<Address> {
        let peer = self.slot().addresses.get().1;
        let connected = match self.state().0 {
            State::Connected => true,
            State::Open => !self.is_stream(),
            _ => false,
        };
        if connected && peer.family != FAMILY_NONE {
            Ok(peer)
        } else {
            Err(Errno::NOT_CONNECTED)
        }
    }
}
