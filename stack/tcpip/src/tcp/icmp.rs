//! ICMP errors about our segments (RFC 1122, 4.2.3.9; RFC 1191; RFC 5927).

use super::flow::Flow;
use super::seq::Seq;
use super::socket::Ctx;
use super::{State, Tcp};
use crate::env::Env;
use crate::error::SocketError;

/// No path is believed to be narrower: a smaller value would only make us work per byte.
const PATH_MTU_MIN: u16 = 552;

/// What an ICMP error says of a packet of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Complaint {
    /// It cannot be delivered.
    Unreachable(SocketError),
    /// It was too long for a link of this MTU (0 when the router does not say).
    TooLong(u16),
}

impl<E: Env> Tcp<E> {
    /// A complaint about the segment of `flow` that began with `seq`.
    pub(crate) fn complain(
        &mut self,
        ctx: &mut Ctx<'_>,
        flow: &Flow,
        seq: Seq,
        complaint: Complaint,
    ) {
        let Some(&index) = self.flows.get(flow) else {
            return;
        };
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        // About something outstanding, or it is forged (RFC 5927, 4.1).
        if seq.before(socket.send.una) || !seq.before(socket.send.max) {
            ctx.net.stats.tcp_drop_ack += 1;
            return;
        }
        match complaint {
            Complaint::Unreachable(error) if socket.state == State::SynSent => {
                socket.fail(ctx, error);
            }
            Complaint::Unreachable(error) => socket.soft_error = Some(error),
            Complaint::TooLong(mtu) => {
                let current = match (socket.send.path_mtu, socket.path) {
                    (0, Some(path)) => path.mtu,
                    (learnt, _) => learnt,
                };
                // A router that does not say: three quarters is near the plateaus of RFC 1191, 7.1.
                let mtu = if mtu == 0 { current / 4 * 3 } else { mtu };
                if mtu < current {
                    socket.send.path_mtu = mtu.max(PATH_MTU_MIN);
                    socket.set_mss();
                    // What was too long is sent again in shorter segments, at once.
                    socket.send.nxt = socket.send.una;
                    socket.send.timed = None;
                }
            }
        }
        self.settle(ctx, index);
        self.mark_dirty(index);
    }
}
