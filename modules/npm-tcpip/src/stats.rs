//! Counters: the server's own, and the stack's, which are shown beside them.

use io_net_ddk::{Counter, Cx};
use std::ffi::CString;

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// Counters of the server.
        pub(crate) struct Stats {
            $($(#[$meta])* pub(crate) $name: Counter,)*
            stack: StackCounters,
        }

        impl Stats {
            pub(crate) fn new(cx: &Cx) -> Self {
                Stats {
                    $($name: counter(cx, stringify!($name)),)*
                    stack: StackCounters::new(cx),
                }
            }
        }
    };
}

counters! {
    /// Sessions begun.
    sessions,
    /// Sessions refused: too many.
    sessions_refused,
    /// Sessions dropped because their memory held what cannot be.
    liars,
    /// Connections handed to programs.
    accepted,
    /// Connections lost for want of descriptors.
    accept_failed,
    /// Doorbell messages that are no request.
    malformed_requests,
    /// Datagrams of programs that the stack refused.
    datagrams_refused,
    /// Descriptors that the kernel would not watch.
    watch_failed,
}

impl Stats {
    /// Brings the stack's counters up to date.
    pub(crate) fn take_stack(&mut self, stats: &io_net_tcpip::Stats) {
        let pairs = self.stack.counters.iter().zip(&mut self.stack.shown);
        for ((_, value), (counter, shown)) in stats.iter().zip(pairs) {
            if value != *shown {
                counter.add(value.wrapping_sub(*shown));
                *shown = value;
            }
        }
    }
}

/// A counter of io-net's for each of the stack's.
struct StackCounters {
    counters: Vec<Counter>,
    /// What has been added to each.
    shown: Vec<u64>,
}

impl StackCounters {
    fn new(cx: &Cx) -> Self {
        let stats = io_net_tcpip::Stats::default();
        let counters: Vec<_> = stats.iter().map(|(name, _)| counter(cx, name)).collect();
        let shown = vec![0; counters.len()];
        StackCounters { counters, shown }
    }
}

fn counter(cx: &Cx, name: &str) -> Counter {
    // The names are identifiers, without a NUL.
    cx.counter(&CString::new(name).unwrap_or_default())
}
