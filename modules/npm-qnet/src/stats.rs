//! What is counted here: QNX's names from `/proc/qnetstats` where the meaning is the same.

use io_net_ddk::{Counter, Cx};

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// Counters of the protocol; each drop has one.
        pub(crate) struct Stats { $($(#[$meta])* pub(crate) $name: Counter,)* }

        impl Stats {
            pub(crate) fn new(cx: &Cx) -> Self {
                let counter = |name: &str| {
                    let name = std::ffi::CString::new(name).unwrap_or_default();
                    cx.counter(&name)
                };
                Stats { $($name: counter(stringify!($name)),)* }
            }
        }
    };
}

counters! {
    /// Messages taken from local clients.
    kif_outbound_msgs,
    /// Messages put before local servers.
    kif_server_msgs,
    /// Pulses taken from local clients.
    kif_outbound_pulses,
    /// Pulses put before local servers.
    kif_server_pulses,
    /// Connections of local clients to other nodes that were opened.
    kif_net_client,
    /// Connections of remote clients to local channels that were opened.
    kif_net_server,
    /// Local clients that asked to be unblocked.
    kif_client_unblock,
    /// Remote clients that asked to be unblocked.
    kif_server_unblock,
    /// Nodes that answered.
    kif_nd_up,
    /// Nodes that stopped to answer.
    kif_nd_down,
    /// Nodes whose key was remembered.
    nodes_pinned,
    /// Nodes that were not let in.
    nodes_refused,
    /// Frames not sent for want of a packet buffer; they are tried again.
    tx_no_buffer,
    /// Dropped: frame over an interface that has gone.
    drop_no_link,
    /// Dropped: frame from an interface that Qnet does not speak on.
    drop_not_bound,
    /// Dropped: frame that could not be copied for want of a buffer.
    drop_no_buffer,
    /// Interfaces that found no place.
    links_refused,
    /// Programs that were given no session.
    sessions_refused,
    /// Events that a local client had no room for.
    drop_events,
    /// Pulses that a local server had no room for.
    drop_pulses,
    /// Signals of other nodes' that could not, or were not allowed to, be sent here.
    drop_signals,
    /// Descriptors that could not be watched.
    watch_failed,
}
