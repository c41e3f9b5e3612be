//! Programs by message.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`message`] | requests, and what is replied |
//! | [`server`] | the service |
//! | [`job`] | a program that runs for a client |
//! | [`client`] | `on`: a program of another node, with this one's input and output |
//! | [`args`] | `on`'s command line |

pub mod args;
pub mod client;
pub mod job;
pub mod message;
pub mod server;
