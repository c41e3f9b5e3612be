//! The TCP/IP stack, sans-IO: no clock, socket, thread or unsafe.
//!
//! A [`Stack`] is driven by one thread, which may be any:
//!
//! 1. [`Stack::handle_packet`] for each packet of a burst, the socket requests that the programs made
//!    (`tcp_*`, `udp_*`), and [`Stack::poll`] when [`Stack::poll_at`] has come;
//! 2. [`Stack::flush`] at the end of the burst, which sends acknowledgements and data;
//! 3. [`Stack::poll_event`] until it gives nothing.
//!
//! Packets leave through [`Env::transmit`]; payload bytes are copied once, from a socket's [`SendBuf`]
//! into the packet, or from the packet into a socket's [`RecvBuf`], out-of-order bytes included. The
//! link layer, neighbour resolution and the programs are the environment's.
//!
//! Sockets are found by hash, timers lie in a wheel, events are coalesced one entry a socket, and each
//! table has a limit in [`Config`]. The packet path does not allocate once the tables have grown.
#![forbid(unsafe_code)]

mod config;
mod env;
mod error;
mod event;
mod hash;
mod icmp;
mod id;
mod ip;
mod slab;
mod stack;
mod stats;
mod tcp;
mod time;
mod timers;
mod udp;

pub use config::{
    Config, IfaceAddr, IfaceConfig, IfaceId, Keepalive, Offload, Route, SocketOptions,
};
pub use env::{
    DatagramBuf, Env, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, RecvBuf, RxChecksum, RxMeta,
    SendBuf, TxMeta,
};
pub use error::{IfaceError, SocketError, SocketRequestError};
pub use event::{Event, Ready};
pub use id::{SocketId, Transport};
pub use stack::{Accepted, Datagram, Stack};
pub use stats::Stats;
pub use tcp::{State, TcpInfo};
pub use time::Instant;
