//! The counters: every frame is in one of them, by what became of it.

use io_net_ddk::{Counter, Cx};

#[derive(Clone, Copy)]
pub(crate) struct Stats {
    /// To the port of a known station.
    pub(crate) forwarded: Counter,
    /// To all other ports, for a station that is not known.
    pub(crate) unknown: Counter,
    /// To all other ports and the local stacks, for a group.
    pub(crate) group: Counter,
    /// Up, for a port's own address.
    pub(crate) local: Counter,
    /// Up and not forwarded: for a group of the link's own (spanning tree, LLDP, ...).
    pub(crate) reserved: Counter,
    /// Not of a bridged interface: passed on as it was.
    pub(crate) passed: Counter,
    /// Dropped: the station is behind the port that the frame came from.
    pub(crate) hairpin: Counter,
    /// Dropped: shorter than an Ethernet header.
    pub(crate) runt: Counter,
    /// Dropped: the source is a group or 0.
    pub(crate) bad_source: Counter,
    /// Dropped: there is no other port.
    pub(crate) no_port: Counter,
    /// Dropped: the port carries no such VLAN.
    pub(crate) vlan: Counter,
    /// Dropped: the loop guard has closed the port.
    pub(crate) closed: Counter,
    /// Dropped: no headroom for a tag.
    pub(crate) no_room: Counter,
    /// Probes of this or another bridge that came in.
    pub(crate) probed: Counter,
    /// Copies for further ports that were not made for want of a buffer.
    pub(crate) no_buffer: Counter,
    /// Stations learned, moved to another port, put out of a full set, forgotten.
    pub(crate) learned: Counter,
    pub(crate) moved: Counter,
    pub(crate) evicted: Counter,
    pub(crate) forgotten: Counter,
    /// Probes sent, and loops that they found.
    pub(crate) probes: Counter,
    pub(crate) loops: Counter,
}

impl Stats {
    pub(crate) fn new(cx: &Cx) -> Stats {
        Stats {
            forwarded: cx.counter(c"forwarded"),
            unknown: cx.counter(c"flooded_unknown"),
            group: cx.counter(c"flooded_group"),
            local: cx.counter(c"local"),
            reserved: cx.counter(c"reserved_group"),
            passed: cx.counter(c"passed"),
            hairpin: cx.counter(c"drop_hairpin"),
            runt: cx.counter(c"drop_runt"),
            bad_source: cx.counter(c"drop_bad_source"),
            no_port: cx.counter(c"drop_no_port"),
            vlan: cx.counter(c"drop_vlan"),
            closed: cx.counter(c"drop_closed"),
            no_room: cx.counter(c"drop_no_headroom"),
            probed: cx.counter(c"probes_in"),
            no_buffer: cx.counter(c"drop_no_buffer"),
            learned: cx.counter(c"stations_learned"),
            moved: cx.counter(c"stations_moved"),
            evicted: cx.counter(c"stations_evicted"),
            forgotten: cx.counter(c"stations_forgotten"),
            probes: cx.counter(c"probes_out"),
            loops: cx.counter(c"loops"),
        }
    }
}
