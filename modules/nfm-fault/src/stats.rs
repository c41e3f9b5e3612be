//! The counters, a set for each direction.

use io_net_ddk::prelude::*;
use std::ffi::CStr;

#[derive(Clone, Copy)]
pub(crate) struct Stats {
    /// Left here, duplicates included.
    pub(crate) passed: Counter,
    /// Lost by `loss`.
    pub(crate) lost: Counter,
    /// Lost by `burst-loss`.
    pub(crate) burst_lost: Counter,
    /// Dropped because `limit` packets waited.
    pub(crate) queue_full: Counter,
    /// Extra copies made.
    pub(crate) duplicated: Counter,
    /// Held back for others to overtake.
    pub(crate) reordered: Counter,
    /// One bit turned over.
    pub(crate) corrupted: Counter,
    /// Dropped because the pool was dry where a packet was to be cut or changed.
    pub(crate) no_buffer: Counter,
    /// Dropped because a super-packet's metadata contradicts it.
    pub(crate) malformed: Counter,
}

impl Stats {
    pub(crate) fn up(cx: &Cx) -> Stats {
        Stats::new(
            cx,
            [
                c"up_passed",
                c"up_lost",
                c"up_burst_lost",
                c"up_queue_full",
                c"up_duplicated",
                c"up_reordered",
                c"up_corrupted",
                c"up_no_buffer",
                c"up_malformed",
            ],
        )
    }

    pub(crate) fn down(cx: &Cx) -> Stats {
        Stats::new(
            cx,
            [
                c"down_passed",
                c"down_lost",
                c"down_burst_lost",
                c"down_queue_full",
                c"down_duplicated",
                c"down_reordered",
                c"down_corrupted",
                c"down_no_buffer",
                c"down_malformed",
            ],
        )
    }

    fn new(cx: &Cx, names: [&CStr; 9]) -> Stats {
        let [
            passed,
            lost,
            burst_lost,
            queue_full,
            duplicated,
            reordered,
            corrupted,
            no_buffer,
            malformed,
        ] = names.map(|name| cx.counter(name));
        Stats {
            passed,
            lost,
            burst_lost,
            queue_full,
            duplicated,
            reordered,
            corrupted,
            no_buffer,
            malformed,
        }
    }
}
