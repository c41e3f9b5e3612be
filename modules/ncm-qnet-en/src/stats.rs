//! The module's counters.

use io_net_ddk::{Counter, Cx};

/// Counters of the converter: packets that passed, and each drop.
pub(crate) struct Stats {
    /// Frames taken up.
    pub(crate) up: Counter,
    /// Packets sent down.
    pub(crate) down: Counter,
    /// Dropped: frame for another host.
    pub(crate) drop_not_ours: Counter,
    /// Dropped: frame with our own address as its source.
    pub(crate) drop_own: Counter,
    /// Dropped: frame too short, or from no station.
    pub(crate) drop_malformed: Counter,
    /// Dropped: interface unknown here.
    pub(crate) drop_iface: Counter,
    /// Dropped: no packet buffer.
    pub(crate) drop_no_buffer: Counter,
    /// Dropped: no room for the header.
    pub(crate) drop_headroom: Counter,
    /// Dropped: down packet that does not say where it goes.
    pub(crate) drop_no_address: Counter,
}

impl Stats {
    pub(crate) fn new(cx: &Cx) -> Self {
        Stats {
            up: cx.counter(c"up"),
            down: cx.counter(c"down"),
            drop_not_ours: cx.counter(c"drop_not_ours"),
            drop_own: cx.counter(c"drop_own"),
            drop_malformed: cx.counter(c"drop_malformed"),
            drop_iface: cx.counter(c"drop_iface"),
            drop_no_buffer: cx.counter(c"drop_no_buffer"),
            drop_headroom: cx.counter(c"drop_headroom"),
            drop_no_address: cx.counter(c"drop_no_address"),
        }
    }
}
