//! The module's counters.

use io_net_ddk::{Counter, Cx};

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// Counters of the converter; each drop has one.
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
    /// ARP packets received.
    arp_in,
    /// ARP packets sent.
    arp_out,
    /// Neighbours that took another link-layer address.
    arp_changed,
    /// Claims of others to an IPv4 address of ours.
    arp_conflicts,
    /// Neighbours forgotten to make room.
    arp_evicted,
    /// Solicitations and advertisements of IPv6 received.
    ndp_in,
    /// Those sent.
    ndp_out,
    /// IPv6 neighbours that took another link-layer address.
    ndp_changed,
    /// Claims of others to an IPv6 address of ours.
    ndp_conflicts,
    /// IPv6 neighbours forgotten to make room.
    ndp_evicted,
    /// Dropped: malformed solicitation or advertisement, or one that did not come from this link.
    drop_ndp_malformed,
    /// Dropped: malformed ARP packet.
    drop_arp_malformed,
    /// Dropped: frame for another host.
    drop_not_ours,
    /// Dropped: frame too short, or metadata that does not fit it.
    drop_malformed,
    /// Dropped: interface unknown here.
    drop_iface,
    /// Dropped: no packet buffer.
    drop_no_buffer,
    /// Dropped: no room for the header.
    drop_headroom,
    /// Dropped: packet without a next hop.
    drop_no_next_hop,
    /// Dropped: neighbour's queue full; the oldest goes.
    drop_queue_full,
    /// Dropped: the neighbour did not answer.
    drop_unresolved,
}
