//! The frames of a session, as they come in.

use std::collections::VecDeque;

use super::ack::Ack;
use super::inbound::{Arrival, Outcome};
use super::path::{Health, Progress};
use super::peer::{Links, Peer};
use super::received::{Gap, Received};
use super::{
    Config, Conn, DownReason, Event, FRAME_OVERHEAD_BYTES, LINKS_MAX, LinkAddr, LinkId, Stats,
};
use crate::time::Instant;
use io_net_wire::lwl4::{self, Header};

/// Codes of a goodbye.
pub(crate) const GOODBYE_CLOSED: u8 = 0;
/// The sender does not trust the receiver.
pub(crate) const GOODBYE_REFUSED: u8 = 1;

/// What the transport has that a frame may change, besides the peer.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) link: LinkId,
    pub(crate) from: LinkAddr,
    pub(crate) config: &'a Config,
    pub(crate) links: &'a Links,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) stats: &'a mut Stats,
}

impl Peer {
    /// Takes a frame that bears this peer's token. A reason means that the peer is down.
    #[inline]
    pub(crate) fn handle_frame(
        &mut self,
        header: &Header,
        frame: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Option<DownReason> {
        let Some(session) = self.session.as_mut() else {
            cx.stats.drop_no_session += 1;
            return None;
        };
        let remote_link = usize::from(header.qos_index);
        if remote_link >= LINKS_MAX {
            cx.stats.drop_malformed += 1;
            return None;
        }
        let received =
            session.received[remote_link].get_or_insert_with(|| Box::new(Received::new(cx.link)));
        let Some(number) = received.expand(header.seq).filter(|n| received.is_new(*n)) else {
            cx.stats.drop_replayed += 1;
            return None;
        };
        let frame = &mut frame[..FRAME_OVERHEAD_BYTES + header.length as usize];
        let mut payload_len = header.length as usize;
        if let Some(keys) = &session.keys {
            match keys.open(frame, header.qos_index, number) {
                Ok(len) => payload_len = len,
                Err(_) => {
                    cx.stats.drop_forged += 1;
                    return None;
                }
            }
        } else if session.crc
            && !(header.flags & lwl4::FLAG_CRC != 0 && lwl4::crc_is_valid(header, frame))
        {
            cx.stats.drop_crc += 1;
            return None;
        }
        // The initiator is sure of its session once the other end uses it: while both ends had begun, it
        // might have given way to the other's.
        let confirmed = session.confirm.take().is_some();
        session.doubted_at = None;
        if confirmed {
            let event = self.up_event();
            cx.events.extend(event);
        }
        self.hear(cx);
        let payload = &frame[FRAME_OVERHEAD_BYTES..][..payload_len];
        match header.kind {
            lwl4::TYPE_DATA => {
                if !self.take_piece(header, payload, cx) {
                    return None;
                }
            }
            lwl4::TYPE_USER_DATA => {}
            lwl4::TYPE_ACK | lwl4::TYPE_NACK => self.take_ack(payload, cx),
            _ => return Some(goodbye(payload)),
        }
        self.record(header, number, cx);
        None
    }

    /// Puts the frame on record, and sees to it that it is acknowledged.
    #[inline]
    fn record(&mut self, header: &Header, number: u64, cx: &mut Context<'_>) {
        let remote_link = usize::from(header.qos_index);
        let Some(session) = self.session.as_mut() else {
            return;
        };
        let Some(received) = session.received[remote_link].as_mut() else {
            return;
        };
        let gap = received.record(cx.now, number, cx.link) == Gap::Opened;
        if matches!(header.kind, lwl4::TYPE_ACK | lwl4::TYPE_NACK) {
            return;
        }
        let at_once = gap || header.flags & lwl4::FLAG_ACK_NOW != 0;
        received.want_ack(cx.now, cx.now + cx.config.ack_delay, at_once);
        if received.ack_at() == Some(cx.now) {
            session.acks_due |= 1 << remote_link;
            session.gaps |= u16::from(gap) << remote_link;
        }
    }

    /// The peer has spoken over a link, from an address.
    #[inline]
    fn hear(&mut self, cx: &Context<'_>) {
        let known = self.paths.iter_mut().find(|path| path.link == cx.link);
        let path = match known {
            Some(path) => path,
            None => match self.learn_path(cx.now, cx.link, cx.from, cx.links) {
                Some(path) => path,
                None => return,
            },
        };
        path.addr = cx.from;
        if path.health != Health::Down {
            path.heard_at = cx.now;
        }
    }

    /// Takes a piece of a message; whether the frame counts as arrived.
    #[inline]
    fn take_piece(&mut self, header: &Header, payload: &[u8], cx: &mut Context<'_>) -> bool {
        let Some(session) = self.session.as_mut() else {
            return false;
        };
        let (peer, events, stats) = (self.id, &mut *cx.events, &mut *cx.stats);
        let conn = Conn((header.src_conn >> 16) as u16);
        let number = header.src_conn as u16;
        let mut delivered = 0;
        let deliver = |conn, bytes| {
            delivered += 1;
            events.push_back(Event::Message { peer, conn, bytes });
        };
        let outcome = match header.layer {
            lwl4::LAYER_SEQUENCE => session.inbound.skip(conn, number, deliver),
            _ => {
                let arrival = Arrival {
                    conn,
                    number,
                    offset: header.offset,
                    last: header.flags & lwl4::FLAG_LAST != 0,
                    bytes: payload,
                };
                session.inbound.receive(arrival, deliver)
            }
        };
        stats.rx_messages += delivered;
        match outcome {
            Outcome::Taken => true,
            Outcome::Duplicate => {
                stats.drop_duplicate += 1;
                true
            }
            Outcome::Refused => {
                stats.drop_refused += 1;
                false
            }
        }
    }

    fn take_ack(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        let Some(ack) = Ack::parse(payload) else {
            cx.stats.drop_malformed += 1;
            return;
        };
        let link = LinkId(ack.link);
        let Some(path) = self.paths.iter_mut().find(|path| path.link == link) else {
            cx.stats.drop_bogus_ack += 1;
            return;
        };
        match path.on_ack(cx.now, &ack, cx.config, &mut self.outbound) {
            None => cx.stats.drop_bogus_ack += 1,
            Some(Progress::None) => {}
            Some(Progress::Made) if path.health != Health::Up => {
                path.health = Health::Up;
                path.heard_at = cx.now;
                let peer = self.id;
                cx.events.push_back(Event::PathUp { peer, link });
            }
            Some(Progress::Made) => {}
        }
    }
}

fn goodbye(payload: &[u8]) -> DownReason {
    match payload {
        [GOODBYE_REFUSED] => DownReason::Refused,
        _ => DownReason::ClosedByPeer,
    }
}
