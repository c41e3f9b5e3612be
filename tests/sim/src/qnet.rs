//! Deterministic simulation of nodes that run Qnet: virtual time, one thread, one seed.
//!
//! [`world`] joins nodes by LANs that lose, repeat, reorder, corrupt, part and go down, and crashes and
//! restarts nodes; [`programs`] are the clients and servers on a node, which drive and answer Qnet as
//! `npm-qnet` does; [`ledger`] knows what was sent, executed and answered, and objects to anything that
//! was executed twice, was answered wrongly, or never ended.

pub mod ledger;
pub mod programs;
pub mod world;
