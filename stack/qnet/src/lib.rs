//! The Qnet protocol, sans-IO: message passing between nodes.
#![forbid(unsafe_code)]

pub mod secure;
pub mod time;
pub mod transport;
