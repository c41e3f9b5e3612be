//! The trunk's counters; each interface has those of any interface.

use io_net_ddk::{Counter, Cx};

pub(crate) struct Stats {
    /// Dropped: tagged for a VLAN that has no interface here.
    pub(crate) drop_unknown: Counter,
    /// Dropped: no packet buffer for a copy of a frame that others hold.
    pub(crate) drop_no_buffer: Counter,
}

impl Stats {
    pub(crate) fn new(cx: &Cx) -> Stats {
        Stats {
            drop_unknown: cx.counter(c"drop_unknown_vlan"),
            drop_no_buffer: cx.counter(c"drop_no_buffer"),
        }
    }
}
