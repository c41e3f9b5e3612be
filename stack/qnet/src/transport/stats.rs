//! What a transport counts.

/// Counters since the start. Each frame that is dropped is counted under exactly one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Frames sent.
    pub tx_frames: u64,
    /// Frames received, dropped ones included.
    pub rx_frames: u64,
}
