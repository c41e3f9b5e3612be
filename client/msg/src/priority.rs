//! The calling thread's priority: with which its messages wait to be received.
//!
//! A thread that receives takes on the priority of who sent (not on a channel with
//! [`crate::flags::CHF_FIXED_PRIORITY`]), so what it sends for its client is as urgent as that.
//! Between threads with a realtime priority (SCHED_FIFO, SCHED_RR) the kernel is asked to run it
//! so, where it has the right (CAP_SYS_NICE, RLIMIT_RTPRIO). Others keep the kernel's scheduling,
//! and the number orders messages only.

use crate::thread;

/// The calling thread's: 1 to 255, 10 unless it is a realtime thread or has been set.
#[must_use]
pub fn get() -> u8 {
    thread::priority() as u8
}

/// Sets the calling thread's.
pub fn set(level: u8) {
    thread::set_priority(level);
}
