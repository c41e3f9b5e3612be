//! The Qnet protocol, sans-IO: message passing between nodes.
#![forbid(unsafe_code)]

pub mod time;
