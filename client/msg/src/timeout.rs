//! Timeouts of blocking calls: `TimerTimeout`.

use std::time::Duration;

use crate::{flags, thread};

/// Mask: times out while the message is not yet received.
pub const SEND: u32 = 1 << flags::STATE_SEND;
/// Mask: times out while nothing comes.
pub const RECEIVE: u32 = 1 << flags::STATE_RECEIVE;
/// Mask: times out while the message is not yet replied to.
pub const REPLY: u32 = 1 << flags::STATE_REPLY;

/// Sets the time within which the calling thread's next blocking call must leave the states in
/// `mask` ([`SEND`], [`RECEIVE`], [`REPLY`]), counted from that call's start; zero: it does not
/// wait in them at all. The call then ends with ETIMEDOUT. None takes an earlier setting back.
/// One call uses it up, whether it waits or not. Returns what was set before.
pub fn set(mask: u32, time: Option<Duration>) -> Option<(u32, Duration)> {
    thread::set_timeout(time.map(|time| (mask, time)))
}
