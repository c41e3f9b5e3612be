//! QNX message passing on Linux: Send, Receive, Reply.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`channel`], [`received`] | a server's side: receive, read and write, reply |
//! | [`connection`] | a client's side: attach, send, pulse |
//! | [`handle`] | QNX's calls over numbers: chid, coid, rcvid |
//! | [`name`], [`netmgr`] | names of channels, and of nodes |
//! | [`resmgr`] | files by message |
//! | [`signal`] | signals to processes, on this node and others |
//! | `ffi` | the calls for C |
//! | [`pulse`], [`event`], [`info`], [`timeout`], [`priority`], [`flags`] | QNX's structures and constants |
//! | `session`, `transfer`, `deliver` | what the calls above are made of |
//! | `process`, `thread`, `keeper` | what a process and a thread have; the thread that watches over it |
//!
//! Every call may be made from any thread. Errors are errnos: [`Error`].

#![deny(unsafe_code)]

pub mod channel;
pub mod connection;
mod deliver;
pub mod error;
pub mod event;
#[allow(unsafe_code, reason = "C's side of the calls")]
mod ffi;
pub mod flags;
pub mod handle;
pub mod info;
mod keeper;
pub mod name;
pub mod netmgr;
pub mod priority;
mod process;
pub mod pulse;
pub mod received;
pub mod resmgr;
mod session;
pub mod signal;
mod spin;
mod thread;
pub mod timeout;
mod transfer;
mod wait;

pub use channel::{Channel, Incoming};
pub use connection::{Connection, Reply};
pub use error::{Error, Result};
pub use event::Event;
pub use info::{ClientInfo, MsgInfo};
pub use pulse::Pulse;
pub use received::Received;
