//! A SYN to a listener: what the new connection takes from it (RFC 9293, 3.10.7.2).

use io_net_wire::tcp as wire;

use super::Segment;
use crate::config::Config;
use crate::env::Env;
use crate::tcp::State;
use crate::tcp::isn;
use crate::tcp::seq::Seq;
use crate::tcp::socket::{Ctx, MSS_MIN, Owner, Socket};

impl<E: Env> Socket<E> {
    /// Makes a fresh socket the half-open connection that `segment`, a SYN, asks for.
    /// `after` is where the sequence numbers of an earlier connection between these addresses ended.
    pub(crate) fn open_passive(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: &Segment<'_>,
        after: Option<Seq>,
    ) {
        let iss = isn::initial_seq(&ctx.net.secret, &segment.flow, ctx.now);
        // A connection that takes another's place starts above it (RFC 9293, 3.10.7.4).
        let iss = after.map_or(iss, |after| iss.max(after + (1 << 16)));
        self.restart(&ctx.net.config, iss, ctx.now);
        self.flow = segment.flow;
        self.state = State::SynReceived;
        self.passive = true;
        self.exposed = false;
        self.owner = Owner::Listener;
        self.recv.irs = segment.seq;
        self.recv.nxt = segment.seq + 1;
        self.recv.edge = self.recv.nxt;
        self.recv.scaling = segment.options.window_scale.is_some();
        self.recv.shift = if self.recv.scaling {
            own_shift(&ctx.net.config)
        } else {
            0
        };
        self.send.shift = segment
            .options
            .window_scale
            .unwrap_or(0)
            .min(wire::WINDOW_SCALE_MAX);
        self.take_syn_options(ctx, segment);
        self.send.wnd = usize::from(segment.window);
        self.send.wnd_max = self.send.wnd;
        self.send.wl1 = segment.seq;
        self.send.wl2 = iss;
    }

    /// Takes MSS and timestamps from a SYN, and fits the segment size to the path.
    pub(crate) fn take_syn_options(&mut self, ctx: &mut Ctx<'_>, segment: &Segment<'_>) {
        if let Some(mss) = segment.options.mss {
            self.send.peer_mss = usize::from(mss).max(MSS_MIN);
        }
        self.ts.enabled = segment.options.timestamp.is_some();
        self.ts.offset = isn::timestamp_offset(&ctx.net.secret, &self.flow);
        if let Some(stamp) = segment.options.timestamp {
            self.ts.recent = stamp.value;
            self.ts.recent_at = ctx.now;
        }
        self.path(ctx.net);
        self.set_mss();
    }
}

/// The window scale that lets the largest receive buffer be offered (RFC 7323, 2.2).
pub(crate) fn own_shift(config: &Config) -> u8 {
    let mut shift = 0;
    while shift < wire::WINDOW_SCALE_MAX && (0xffff_usize << shift) < config.recv_buffer_max {
        shift += 1;
    }
    shift
}
