//! Taking connections: a message on the listener's doorbell for each.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use io_net_os::unix::{self, Wait};
use io_net_proto::address::Address;
use io_net_proto::request::Accepted;
use io_net_proto::slot::State;
use zerocopy::{FromZeros, IntoBytes};

use crate::endpoint::Endpoint;
use crate::errno::{Errno, Result};
use crate::wait::hung_up;
use crate::{mapped, session};

impl Endpoint {
    /// accept(2): the new socket, its doorbell and its peer. Waits as the doorbell itself would:
    /// its O_NONBLOCK and SO_RCVTIMEO are the socket's.
    ///
    /// # Errors
    /// EINVAL when it does not listen, EAGAIN, EINTR, EMFILE, ECONNABORTED when the connection is
    /// gone already, ENETDOWN when io-net is.
    pub fn accept(&self, doorbell: BorrowedFd<'_>) -> Result<(Self, OwnedFd, Address)> {
        match self.state().0 {
            State::Listening => {}
            _ if !self.is_stream() => return Err(Errno(libc::EOPNOTSUPP)),
            _ => return Err(self.no_listener(doorbell)),
        }
        let mut accepted = Accepted::new_zeroed();
        let mut received = match unix::recv_fds(doorbell, accepted.as_mut_bytes(), Wait::Block) {
            Err(e) if e.kind() == ErrorKind::ConnectionReset => {
                return Err(self.no_listener(doorbell));
            }
            other => other?,
        };
        if received.len == 0 {
            return Err(self.no_listener(doorbell));
        }
        // No room for the descriptor: the kernel has dropped it, and with it the connection.
        let new = received.take_fd().ok_or(Errno(libc::EMFILE))?;
        if received.len != size_of::<Accepted>() || accepted.magic != Accepted::MAGIC {
            return Err(Errno(libc::ECONNABORTED));
        }
        let endpoint = match mapped::find(accepted.segment.id) {
            Some(mapped) => Self::new(mapped, accepted.slot, accepted.generation),
            None => session::adopt(new.as_fd()).ok(),
        };
        let endpoint = endpoint.ok_or(Errno(libc::ECONNABORTED))?;
        Ok((endpoint, new, accepted.remote))
    }

    /// Why no connection will come.
    #[cold]
    fn no_listener(&self, doorbell: BorrowedFd<'_>) -> Errno {
        if hung_up(doorbell) {
            self.mapped().set_dead();
        }
        match self.is_orphan() {
            true => Errno::NET_DOWN,
            false => Errno::INVALID,
        }
    }
}
