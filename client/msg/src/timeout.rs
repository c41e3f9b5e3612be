//! Timeouts of blocking calls: `TimerTimeout`.

use std::time::Duration;

use crate::thread::Timeout;
use crate::{Event, flags, thread};

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
    set_with(mask, time, Event::Unblock)
}

/// As [`set`]; `event` is what happens then. [`Event::Unblock`]: the call ends with ETIMEDOUT. A
/// signal: it is sent, and the call ends with EINTR. A pulse: it is sent, and the call waits on.
pub fn set_with(mask: u32, time: Option<Duration>, event: Event) -> Option<(u32, Duration)> {
    let before = thread::set_timeout(time.map(|time| Timeout { mask, time, event }));
    before.map(|before| (before.mask, before.time))
}
