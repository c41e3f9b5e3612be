//! The kernel interface: message passing between this node's programs and other nodes'.

pub(crate) mod message;
mod types;

pub use types::{Credentials, GROUPS_MAX, Groups, Identity, Pulse, SendInfo, Sigevent, Signal};
