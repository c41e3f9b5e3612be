//! Pulses: 8 bits of code and a value, sent without waiting.

/// `_PULSE_CODE_UNBLOCK`: a client that waits for a reply wants to be unblocked; the value is the
/// rcvid.
pub const CODE_UNBLOCK: i8 = -32;
/// `_PULSE_CODE_DISCONNECT`: a client's last connection has gone; `scoid` says whose.
pub const CODE_DISCONNECT: i8 = -33;
/// `_PULSE_CODE_THREADDEATH`: a thread of this process has ended; the value is its id.
pub const CODE_THREADDEATH: i8 = -34;
/// `_PULSE_CODE_COIDDEATH`: the channel behind a connection of this process has gone; the value is
/// the coid.
pub const CODE_COIDDEATH: i8 = -35;
/// The lowest code for programs.
pub const CODE_MINAVAIL: i8 = 0;
/// The highest code for programs.
pub const CODE_MAXAVAIL: i8 = 127;

/// `_pulse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// What it is about; below 0: one of the `CODE_` constants.
    pub code: i8,
    /// `sigval`: an int or a pointer.
    pub value: u64,
    /// Priority in the queue.
    pub priority: i16,
    /// The server's connection to the client that sent it; 0: this process's own library.
    pub scoid: i32,
}
