//! The module's counters.

use io_net_ddk::{Counter, Cx};

/// Counters of the converter: packets that passed, and each drop.
pub(crate) struct Stats {
    /// Packets taken up.
    pub(crate) up: Counter,
    /// Packets sent down.
    pub(crate) down: Counter,
    /// Dropped: packet for another host.
    pub(crate) drop_not_ours: Counter,
    /// Dropped: not an IPv4 packet, or a wrong header checksum, or from no host.
    pub(crate) drop_malformed: Counter,
    /// Dropped: a piece of a packet; ours are never cut.
    pub(crate) drop_fragment: Counter,
    /// Dropped: interface unknown here, or without an address.
    pub(crate) drop_iface: Counter,
    /// Dropped: no packet buffer.
    pub(crate) drop_no_buffer: Counter,
    /// Dropped: no room for the header.
    pub(crate) drop_headroom: Counter,
    /// Dropped: longer than an IPv4 packet can be.
    pub(crate) drop_too_long: Counter,
    /// Dropped: down packet that does not say where it goes.
    pub(crate) drop_no_address: Counter,
    /// Dropped: the host is in another network, and there is no router.
    pub(crate) drop_no_route: Counter,
}

impl Stats {
    pub(crate) fn new(cx: &Cx) -> Self {
        Stats {
            up: cx.counter(c"up"),
            down: cx.counter(c"down"),
            drop_not_ours: cx.counter(c"drop_not_ours"),
            drop_malformed: cx.counter(c"drop_malformed"),
            drop_fragment: cx.counter(c"drop_fragment"),
            drop_iface: cx.counter(c"drop_iface"),
            drop_no_buffer: cx.counter(c"drop_no_buffer"),
            drop_headroom: cx.counter(c"drop_headroom"),
            drop_too_long: cx.counter(c"drop_too_long"),
            drop_no_address: cx.counter(c"drop_no_address"),
            drop_no_route: cx.counter(c"drop_no_route"),
        }
    }
}
