//! Files by message.

pub mod message;
