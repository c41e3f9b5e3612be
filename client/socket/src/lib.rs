//! The sockets API over io-net.
//!
//! For programs that link it there is [`Socket`]; the LD_PRELOAD shim uses what it is made of.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`socket`] | a socket that owns its descriptor |
//! | [`endpoint`] | a socket's shared memory, without its descriptor |
//! | `stream`, `datagram`, `accept`, `name`, [`options`] | what can be done with one |
//! | [`ready`], [`poll`], [`epoll`] | who is ready, and waiting for it |
//! | [`session`], [`mapped`] | the process's connection to io-net and its segments |
//! | [`table`] | which of the process's descriptors are sockets of io-net's |
//! | [`fork`] | what happens to all that in a child |
//!
//! Every call may be made from any thread. Errors are Linux's numbers: [`Errno`].
//!
//! # Where it differs from the kernel's sockets
//!
//! - SO_LINGER with a timeout does not make close wait.
//! - A descriptor that was added to an epoll instance leaves it when that descriptor is closed,
//!   even if
//!   a copy of it is still open.
//! - There is no urgent data.

mod accept;
mod datagram;
pub mod endpoint;
pub mod epoll;
mod errno;
pub mod fork;
pub mod mapped;
mod name;
pub mod options;
pub mod poll;
pub mod ready;
mod request;
pub mod session;
pub mod socket;
mod stream;
pub mod table;
mod wait;

pub use datagram::Received;
pub use endpoint::Endpoint;
pub use errno::{Errno, Result};
pub use socket::Socket;
pub use wait::Until;
