//! The counters. Those of each rule are in the table.

use io_net_ddk::prelude::*;

pub(crate) struct Stats {
    /// Went on as they came, mirrored ones included.
    pub(crate) passed: Counter,
    /// Sent out elsewhere.
    pub(crate) redirected: Counter,
    /// Copies made.
    pub(crate) mirrored: Counter,
    /// Dropped by rule.
    pub(crate) dropped: Counter,
    /// Dropped because the interface to redirect to is not there.
    pub(crate) no_target: Counter,
    /// Not copied because the interface for the copy is not there.
    pub(crate) no_mirror: Counter,
    /// Not redirected (dropped) or not copied because the pool was dry.
    pub(crate) no_buffer: Counter,
}

impl Stats {
    pub(crate) fn new(cx: &Cx) -> Stats {
        Stats {
            passed: cx.counter(c"passed"),
            redirected: cx.counter(c"redirected"),
            mirrored: cx.counter(c"mirrored"),
            dropped: cx.counter(c"dropped"),
            no_target: cx.counter(c"no_target"),
            no_mirror: cx.counter(c"no_mirror"),
            no_buffer: cx.counter(c"no_buffer"),
        }
    }
}
