//! Deterministic simulation of hosts running the stack: virtual time, one thread, one seed.
//!
//! [`host`] is a stack with buffers and an outbox, also useful alone for packet scripts; [`network`]
//! joins hosts by links that lose, repeat, reorder, corrupt and delay; [`transfer`] moves bytes
//! both ways over them and checks that what comes out is what went in. [`qnet`] does the same for nodes
//! that pass messages.
#![forbid(unsafe_code)]

pub mod buffers;
pub mod host;
pub mod network;
pub mod qnet;
pub mod rng;
pub mod segment;
pub mod transfer;
