//! Segments in (RFC 9293, 3.10.7). One file for each group of states or step:
//! [`listen`] and [`syn_sent`] open connections, [`check`] is what every segment of a synchronized
//! connection passes, [`ack`] and [`text`] are what it is for.

mod ack;
mod check;
pub(crate) mod listen;
mod syn_sent;
mod text;

use io_net_wire::checksum::{Sum, pseudo_v4};
use io_net_wire::{protocol, tcp as wire};

use super::flow::Flow;
use super::seq::Seq;
use crate::env::{RxChecksum, RxMeta};
use crate::ip::Net;
use crate::ip::input::Inbound;

/// A segment as it came, and as its parts are dealt with.
pub(crate) struct Segment<'a> {
    pub(crate) flow: Flow,
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) flags: u8,
    /// Window as in the header, not scaled.
    pub(crate) window: u16,
    pub(crate) options: wire::Options,
    pub(crate) payload: &'a [u8],
    /// Wire segments that it stands for.
    pub(crate) count: usize,
}

impl<'a> Segment<'a> {
    /// Parses and verifies the segment in a packet; counts it if dropped.
    #[inline]
    pub(crate) fn parse(net: &mut Net, packet: &Inbound<'a>, meta: RxMeta) -> Option<Segment<'a>> {
        net.stats.tcp_in += 1;
        let (source, dest) = (packet.header.source, packet.header.dest);
        let bytes = packet.payload;
        if meta.checksum == RxChecksum::Unknown {
            let pseudo = pseudo_v4(source, dest, protocol::TCP, bytes.len());
            if !pseudo.and(Sum::of(bytes)).is_valid() {
                net.stats.tcp_drop_checksum += 1;
                return None;
            }
        }
        let Ok((header, options, header_len)) = wire::Header::parse(bytes) else {
            net.stats.tcp_drop_malformed += 1;
            return None;
        };
        let payload = &bytes[header_len..];
        let count = match meta.gso_size {
            0 => 1,
            size => payload.len().div_ceil(usize::from(size)).max(1),
        };
        Some(Segment {
            flow: Flow {
                local: dest.into(),
                remote: source.into(),
                local_port: header.dest,
                remote_port: header.source,
            },
            seq: Seq(header.seq),
            ack: Seq(header.ack),
            flags: header.flags,
            window: header.window,
            options,
            payload,
            count,
        })
    }

    #[inline(always)]
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sequence space that it takes (SEG.LEN).
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.payload.len() + usize::from(self.has(wire::SYN)) + usize::from(self.has(wire::FIN))
    }

    /// The reset that answers it when there is no connection (RFC 9293, 3.10.7.1).
    pub(crate) fn reset(&self) -> super::output::Reset {
        let (seq, ack) = if self.has(wire::ACK) {
            (self.ack, None)
        } else {
            (Seq(0), Some(self.seq + self.len()))
        };
        super::output::Reset {
            flow: self.flow,
            seq,
            ack,
        }
    }
}
