//! The global name service: programs find the global names of all nodes without asking every node.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`service`] | the channel: programs' questions, and what other nodes tell |
//! | [`own`] | the global names of this node |
//! | [`index`] | those of others, as they tell a server |
//! | [`keeper`] | who keeps names, and the thread that tells each this node's |
//! | [`server`] | a keeper: another node's gns |
//! | [`etcd`] | a keeper: a cluster of etcd |
//! | [`args`] | the command line |
//!
//! What is kept is a hint. A program that opens a name gets the nodes that may have it, and asks each
//! until one has; so a name is gone when its owner is, whatever somebody remembers.
#![forbid(unsafe_code)]

pub mod args;
pub mod etcd;
pub mod index;
pub mod keeper;
pub mod own;
pub mod server;
pub mod service;
