//! A control channel: a session over a socket. Nothing here waits.

use crate::message::{MESSAGE_LEN, Message};
use crate::options::MemifOptions;
use crate::session::{Connecting, Serving, Session, Step, hello};
use io_net_os::unix::{self, Wait};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Who we say we are.
const NAME: &str = concat!("io-net ", env!("CARGO_PKG_VERSION"));

/// A message and the descriptor that came with it.
type Heard = (Message, Option<OwnedFd>);

pub(crate) struct Control {
    fd: OwnedFd,
    session: Session,
}

impl Control {
    /// Somebody who has called and has not said whom.
    pub(crate) fn caller(fd: OwnedFd) -> Control {
        Control {
            fd,
            session: Session::Done,
        }
    }

    /// A client that is to be served.
    pub(crate) fn serving(fd: OwnedFd) -> Control {
        Control {
            fd,
            session: Session::Server(Serving::default()),
        }
    }

    /// A server that is called.
    pub(crate) fn connecting(fd: OwnedFd, options: &MemifOptions) -> Control {
        Control {
            fd,
            session: Session::Client(Connecting::new(options)),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Says hello to a caller; false where it has gone.
    pub(crate) fn greet(&self) -> bool {
        self.say(&hello()).is_ok()
    }

    /// Tells a client that its call was heard; false where it has gone.
    pub(crate) fn acknowledge(&self) -> bool {
        self.say(&Message::Ack).is_ok()
    }

    /// The next message, where one has come.
    ///
    /// # Errors
    /// The channel is of no more use: what to tell the peer, where it is still there.
    pub(crate) fn receive(&mut self) -> Result<Option<Heard>, Option<String>> {
        let mut bytes = [0; MESSAGE_LEN];
        let mut received = match unix::recv_fds(self.fd.as_fd(), &mut bytes, Wait::DontWait) {
            Ok(received) => received,
            Err(error) => {
                use io::ErrorKind::{Interrupted, WouldBlock};
                return match error.kind() {
                    WouldBlock | Interrupted => Ok(None),
                    _ => Err(None),
                };
            }
        };
        match received.len {
            0 => Err(None),
            MESSAGE_LEN if !received.truncated => match Message::decode(&bytes) {
                Some(message) => Ok(Some((message, received.take_fd()))),
                None => Err(Some("unknown message".into())),
            },
            _ => Err(Some("invalid message size".into())),
        }
    }

    /// Takes a message, and says what is to be said to it.
    ///
    /// # Errors
    /// Why the link cannot be.
    pub(crate) fn handle(&mut self, message: Message, fd: Option<OwnedFd>) -> Result<Step, String> {
        let step = self.session.handle(message, fd)?;
        if let Step::Say(message) | Step::Up(Some(message), _) = &step {
            let said = self.say(message);
            said.map_err(|error| format!("the peer does not listen: {error}"))?;
        }
        Ok(step)
    }

    /// Closes the channel, telling the peer why where there is something to tell.
    pub(crate) fn hang_up(self, reason: Option<&str>) {
        if let Some(reason) = reason {
            // Where it cannot be told, it sees the end of the channel.
            let _ = self.say(&Message::Disconnect {
                reason: reason.to_owned(),
            });
        }
    }

    fn say(&self, message: &Message) -> io::Result<()> {
        let fd = self.session.fd_of(message);
        let bytes = message.encode(NAME);
        unix::send_fds(self.fd.as_fd(), &bytes, fd.as_slice(), Wait::DontWait)
    }
}
