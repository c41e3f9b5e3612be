//! Which frame of a peer is sent next and by which path, and how it is written.

use super::ack::{self, ACK_MAX};
use super::outbound::Piece;
use super::path::{Carried, Health, Path};
use super::peer::{Links, Peer};
use super::{FRAME_OVERHEAD_BYTES, LinkId, Qos, Stats, Transmit};
use crate::secure::TAG_LEN;
use crate::time::Instant;
use io_net_wire::lwl4::{self, Header};

/// A frame that has been chosen.
pub(crate) struct Plan {
    pub(crate) transmit: Transmit,
    what: What,
}

enum What {
    Ack {
        /// Not inline: plans are moved, and few are acknowledgements.
        payload: Box<[u8; ACK_MAX]>,
        len: usize,
        gap: bool,
    },
    Probe,
    Piece(Piece),
    /// The last word.
    Goodbye(u8),
}

impl Peer {
    /// Chooses the frame to be sent next: acknowledgements, probes, messages.
    #[inline]
    pub(crate) fn plan(&mut self, now: Instant, links: &Links) -> Option<Plan> {
        let session = self.session.as_ref()?;
        let overhead = FRAME_OVERHEAD_BYTES + session.keys.as_ref().map_or(0, |_| TAG_LEN);
        if session.acks_due != 0 {
            return self.plan_ack(now, overhead, links);
        }
        for path in &mut self.paths {
            if path.probe_wanted {
                path.probe_wanted = false;
                return Some(Plan {
                    transmit: transmit(path, overhead),
                    what: What::Probe,
                });
            }
        }
        let paths = &self.paths;
        let (piece, at) = self
            .outbound
            .next(|qos, urgent, bytes| choose(paths, qos, urgent, bytes as usize, overhead))?;
        Some(Plan {
            transmit: transmit(&paths[at], overhead + piece.len as usize),
            what: What::Piece(piece),
        })
    }

    fn plan_ack(&mut self, now: Instant, overhead: usize, links: &Links) -> Option<Plan> {
        let session = self.session.as_mut()?;
        let bit = session.acks_due & session.acks_due.wrapping_neg();
        let link = bit.trailing_zeros();
        session.acks_due &= !bit;
        let gap = session.gaps & bit != 0;
        session.gaps &= !bit;
        let received = session.received[link as usize].as_mut()?;
        // Back the way that the frames came, so that the time of that path is measured.
        let back = self.paths.iter().find(|path| path.link == received.link);
        let path = back
            .filter(|path| path.health != Health::Down)
            .or_else(|| self.paths.iter().find(|path| path.health == Health::Up))
            .or(back)?;
        let mtu = links[usize::from(path.link.0)].map_or(super::MTU_MIN, |link| link.mtu);
        let (seen, newest_at) = received.take_ack();
        let mut payload = Box::new([0; ACK_MAX]);
        let len = ack::emit(&mut payload, mtu, link as u8, now.since(newest_at), seen);
        Some(Plan {
            transmit: transmit(path, overhead + len),
            what: What::Ack { payload, len, gap },
        })
    }

    /// The frame that tells the other end that this one is done with it.
    pub(crate) fn plan_goodbye(&self, code: u8) -> Option<Plan> {
        let session = self.session.as_ref()?;
        let overhead = FRAME_OVERHEAD_BYTES + session.keys.as_ref().map_or(0, |_| TAG_LEN);
        let path = self.paths.iter().find(|path| path.health == Health::Up)?;
        Some(Plan {
            transmit: transmit(path, overhead + 1),
            what: What::Goodbye(code),
        })
    }

    /// Writes a frame that was chosen; its length, or `None` when there is no need of it any more.
    #[inline]
    pub(crate) fn emit(
        &mut self,
        now: Instant,
        plan: &Plan,
        out: &mut [u8],
        stats: &mut Stats,
    ) -> Option<usize> {
        let out = out.get_mut(..plan.transmit.len)?;
        let link = plan.transmit.link;
        match &plan.what {
            What::Piece(piece) => self.emit_piece(now, link, piece, out, stats),
            What::Ack { payload, len, gap } => {
                stats.tx_acks += 1;
                out[FRAME_OVERHEAD_BYTES..][..*len].copy_from_slice(&payload[..*len]);
                let header = Header {
                    kind: if *gap {
                        lwl4::TYPE_NACK
                    } else {
                        lwl4::TYPE_ACK
                    },
                    layer: lwl4::LAYER_SEALED,
                    ..whole()
                };
                self.finish(now, link, header, *len, out, Carried::Ack)
            }
            What::Probe => {
                stats.tx_probes += 1;
                let header = Header {
                    kind: lwl4::TYPE_USER_DATA,
                    flags: lwl4::FLAG_FIRST | lwl4::FLAG_LAST | lwl4::FLAG_ACK_NOW,
                    layer: lwl4::LAYER_SEQUENCE,
                    ..whole()
                };
                self.finish(now, link, header, 0, out, Carried::Probe)
            }
            What::Goodbye(code) => {
                out[FRAME_OVERHEAD_BYTES] = *code;
                let header = Header {
                    kind: lwl4::TYPE_TCS_DOWN,
                    ..whole()
                };
                self.finish(now, link, header, 1, out, Carried::Ack)
            }
        }
    }

    fn emit_piece(
        &mut self,
        now: Instant,
        link: LinkId,
        piece: &Piece,
        out: &mut [u8],
        stats: &mut Stats,
    ) -> Option<usize> {
        let len = piece.len as usize;
        let payload = &mut out[FRAME_OVERHEAD_BYTES..][..len];
        if !self.outbound.take(piece, payload) {
            return None;
        }
        stats.tx_again += u64::from(piece.is_again());
        let seals = self.session.as_ref()?.keys.as_ref();
        let seals = seals.is_some_and(|keys| keys.encrypts());
        let flags =
            u8::from(piece.first) * lwl4::FLAG_FIRST + u8::from(piece.last) * lwl4::FLAG_LAST;
        let header = Header {
            kind: lwl4::TYPE_DATA,
            flags,
            layer: match (piece.filler, seals) {
                (true, _) => lwl4::LAYER_SEQUENCE,
                (false, true) => lwl4::LAYER_SEALED,
                (false, false) => lwl4::LAYER_KIF,
            },
            src_conn: u32::from(piece.conn.0) << 16 | u32::from(piece.number),
            qos_type: match piece.qos {
                Qos::LoadBalance => lwl4::QOS_LOAD_BALANCE,
                Qos::Preferred(_) => lwl4::QOS_PREFERRED,
                Qos::Exclusive(_) => lwl4::QOS_EXCLUSIVE,
            },
            offset: piece.offset,
            ..Header::default()
        };
        self.finish(now, link, header, len, out, piece.carried())
    }

    /// Completes the header, protects the frame and remembers it.
    #[inline]
    fn finish(
        &mut self,
        now: Instant,
        link: LinkId,
        mut header: Header,
        payload_len: usize,
        out: &mut [u8],
        carried: Carried,
    ) -> Option<usize> {
        let session = self.session.as_ref()?;
        let path = self.paths.iter_mut().find(|path| path.link == link)?;
        let number = path.next_number();
        let len = out.len();
        let asks = carried != Carried::Ack
            && (header.flags & lwl4::FLAG_ACK_NOW != 0 || path.should_ask(len));
        if asks {
            header.flags |= lwl4::FLAG_ACK_NOW;
        }
        header.src_nd = session.remote_index;
        header.dst_nd = self.id.index;
        header.dst_conn = session.remote_token;
        header.seq = number as u32;
        header.qos_index = u16::from(link.0);
        header.length = (len - FRAME_OVERHEAD_BYTES) as u32;
        debug_assert!(payload_len <= header.length as usize);
        if let Some(keys) = &session.keys {
            header.emit(out);
            keys.seal(out, header.qos_index, number);
        } else if session.crc {
            header.flags |= lwl4::FLAG_CRC;
            header.emit(out);
            lwl4::write_crc(out);
        } else {
            header.emit(out);
        }
        path.on_sent(now, len, carried, asks);
        Some(len)
    }
}

/// A frame that is not a fragment.
fn whole() -> Header {
    Header {
        flags: lwl4::FLAG_FIRST | lwl4::FLAG_LAST,
        ..Header::default()
    }
}

fn transmit(path: &Path, len: usize) -> Transmit {
    Transmit {
        link: path.link,
        to: path.addr,
        len,
    }
}

/// The path by which a message of that QoS goes now, and how many bytes of it fit into a frame; `None`
/// while it must wait.
#[inline]
fn choose(
    paths: &[Path],
    qos: Qos,
    urgent: bool,
    bytes: usize,
    overhead: usize,
) -> Option<(usize, u32)> {
    let over = |link| paths.iter().position(|path| path.link == link);
    let at = match qos {
        Qos::Exclusive(link) => over(link).filter(|at| paths[*at].health == Health::Up)?,
        Qos::Preferred(link) => match over(link).filter(|at| paths[*at].is_sound()) {
            Some(at) => at,
            None => soonest(paths, urgent, bytes, overhead)?,
        },
        Qos::LoadBalance => soonest(paths, urgent, bytes, overhead)?,
    };
    let max = paths[at].mtu() - overhead;
    let frame = bytes.min(max) + overhead;
    (urgent || paths[at].has_room(frame)).then_some((at, max as u32))
}

/// The path that delivers soonest, of those that have room; one that has raised an alarm only where
/// there is no other.
#[inline]
fn soonest(paths: &[Path], urgent: bool, bytes: usize, overhead: usize) -> Option<usize> {
    if let [only] = paths {
        return (only.health == Health::Up).then_some(0);
    }
    let any_sound = paths.iter().any(Path::is_sound);
    let candidates = paths.iter().enumerate().filter(|(_, path)| {
        let frame = bytes.min(path.mtu() - overhead) + overhead;
        path.health == Health::Up
            && (path.is_sound() || !any_sound)
            && (urgent || path.has_room(frame))
    });
    let soonest = candidates.min_by_key(|(_, path)| path.delivery_nanos(bytes.min(path.mtu())));
    soonest.map(|(at, _)| at)
}

/// Whether sending on a conn of that QoS can be hoped for.
pub(crate) fn is_open_to(paths: &[Path], qos: Qos) -> bool {
    match qos {
        Qos::Exclusive(link) => paths
            .iter()
            .any(|path| path.link == link && path.health != Health::Down),
        _ => true,
    }
}
