//! The shared memory in which one process sends a message, and another receives it and replies.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`path`], [`hello`], [`greet`] | how a client and a channel meet |
//! | [`client`] | the client's end of a session |
//! | [`server`], [`record`] | the server's end of a session |
//! | [`inbox`] | a channel's sessions, and what to receive next |
//! | [`port`], [`dirty`] | who has something, and who sleeps |
//! | [`state`], [`answer`] | a slot's two words: whose it is, and what came of it |
//! | [`layout`], [`pulse`], [`scatter`] | what lies where |
//!
//! A **session** is one client process on one channel: memory that both map, and a connection, the
//! *doorbell*, whose hang-up is the other side's end. A **slot** in it holds one message under way.
//! A **port** is one user's clients on one channel: bits that say which session has something, and
//! a word that receivers sleep on.
//!
//! # A small message
//!
//! The client writes the message and what describes it into its slot and swaps the state to SENT;
//! unless the server looks at that slot anyway, it marks its session in the port and wakes a
//! receiver if one sleeps. The receiver takes it (SENT to RECEIVED), and replies by writing into
//! the slot's other half and swapping the answer word, which tells whether the client sleeps.
//!
//! # A large one
//!
//! Where both are the same user's, the server reads and writes the client's buffers itself, one
//! copy. Elsewhere it asks the client, which waits anyway, to copy pieces to and from the slot's
//! window.
//!
//! # Trust
//!
//! What the other side writes is read once, checked, then used. A client disturbs at most its own
//! session, and in the port those of its own user.

#![forbid(unsafe_code)]

pub mod answer;
pub mod dirty;
pub mod state;
mod sync;

// The model checker's atomics do not lie in shared memory.
#[cfg(not(loom))]
pub mod client;
#[cfg(not(loom))]
pub mod greet;
#[cfg(not(loom))]
pub mod hello;
#[cfg(all(test, not(loom)))]
mod hostile;
#[cfg(not(loom))]
pub mod inbox;
#[cfg(not(loom))]
pub mod layout;
#[cfg(not(loom))]
pub mod path;
#[cfg(not(loom))]
pub mod port;
#[cfg(not(loom))]
pub mod pulse;
#[cfg(not(loom))]
pub mod record;
#[cfg(not(loom))]
pub mod scatter;
#[cfg(not(loom))]
pub mod server;
