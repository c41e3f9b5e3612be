//! The services of a node, and what uses those of others.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`head`] | what every message begins with |
//! | [`files`] | files: the messages, the server, the client |
//! | [`net`] | the mount that shows other nodes' files, with FUSE |
//! | [`spawn`] | programs: the messages, the server, the client |
//! | [`service`] | a name, its channel and the threads that receive on it |
//! | [`args`] | `io-net-node`'s command line |
//! | [`errno`] | numbers of errors |
//!
//! The program `io-net-node` serves and mounts, `on` runs programs on other nodes.
#![forbid(unsafe_code)]

pub mod args;
pub mod errno;
pub mod files;
pub mod head;
pub mod net;
pub mod service;
pub mod spawn;
