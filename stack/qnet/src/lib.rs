//! The Qnet protocol, sans-IO: message passing between nodes, with no clock, socket, thread or unsafe.
//!
//! A [`Qnet`] is one node. One thread, which may be any, drives it:
//!
//! 1. [`Qnet::handle_frame`] for each frame of a burst, the calls that local programs made (`client_*`
//!    for those whose servers are on other nodes, `server_*` for those whose clients are), and
//!    [`Qnet::handle_timeout`] when [`Qnet::poll_timeout`] has come;
//! 2. [`Qnet::poll_event`] until it gives nothing: each [`Event`] is something to do or to know, and
//!    what it asks for may be answered at once;
//! 3. [`Qnet::poll_transmit`] and [`Qnet::emit`] until there is nothing to transmit.
//!
//! [`transport`] brings messages to other nodes exactly once or reports the node gone, over several
//! links, enciphered by [`secure`]; `kif` says the calls of message passing in such messages; `resolve`
//! finds nodes. Node descriptors ([`Nd`]) are this node's own numbers.
#![forbid(unsafe_code)]

mod config;
mod errno;
mod event;
mod ids;
mod kif;
mod node;
mod node_name;
mod node_qos;
mod node_table;
mod payload;
mod qnet;
mod resolve;
pub mod secure;
mod slab;
pub mod time;
pub mod transport;

pub use config::{Config, MapTo, NOBODY, UserMap};
pub use errno::Errno;
pub use event::Event;
pub use ids::{ClientConn, ClientSend, Query, RemoteClient, Vthread};
pub use kif::{
    Credentials, GROUPS_MAX, Groups, Identity, KifStats, Pulse, SendInfo, Sigevent, Signal,
};
pub use node::Nd;
pub use node_name::{BadName, NAME_MAX, NodeName};
pub use payload::Payload;
pub use qnet::{Channel, Counts, Lookup, NodeInfo, Qnet, QnetStats};
pub use resolve::{Resolver, UnknownResolver};
