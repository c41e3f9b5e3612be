//! The messages on their way to one peer, of all conns, and which piece must be sent next.
//!
//! A message is kept until all its bytes are acknowledged. Messages of a conn are numbered; the numbers
//! of messages that were abandoned are told to the other end by fillers, so that it does not wait.

use std::collections::VecDeque;

use super::inbound::MESSAGE_COST;
use super::message::Message;
use super::path::Carried;
use super::ranges::RangeSet;
use super::{Conn, Qos, SendError};

/// Most messages of a conn under way: half of what their 16-bit numbers can tell apart, and less.
const UNFINISHED_MAX: usize = 1 << 14;

/// Bytes after which another conn has its turn.
const TURN_BYTES: u32 = 64 << 10;

/// Fragments to be sent again that are tried at a time, when no path takes them.
const BLOCKED_MAX: usize = 4;

/// A piece of a message; without bytes, the word that the message will not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fragment {
    slot: u32,
    generation: u32,
    offset: u32,
    len: u32,
}

/// What must be known of a fragment to send it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) fragment: Fragment,
    pub(crate) qos: Qos,
    /// The conn and the message's number.
    pub(crate) conn: Conn,
    pub(crate) number: u16,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) first: bool,
    pub(crate) last: bool,
    pub(crate) filler: bool,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    /// The front of the fragments to be sent again.
    Again,
    /// The front of the conns with new bytes.
    New,
}

impl Piece {
    /// Whether its bytes have been sent before.
    pub(crate) fn is_again(&self) -> bool {
        self.origin == Origin::Again
    }

    /// What the path is to remember.
    #[inline]
    pub(crate) fn carried(&self) -> Carried {
        Carried::Fragment(self.fragment)
    }
}

struct Outgoing {
    /// `None` once abandoned.
    message: Option<Message>,
    len: u32,
    /// Bytes sent at least once.
    sent: u32,
    acked: RangeSet,
    acked_bytes: u32,
    conn: Conn,
    number: u16,
    qos: Qos,
    finished: bool,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    outgoing: Option<Outgoing>,
}

#[derive(Default)]
struct Stream {
    next_number: u16,
    /// Slots of the messages that are not finished, or come after one that is not, oldest first.
    unfinished: VecDeque<u32>,
    /// How many of them have been sent whole.
    sent: usize,
    ready: bool,
}

/// The messages on their way to one peer.
pub(crate) struct Outbound {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// By conn; those that were never used cost a pointer.
    streams: Vec<Option<Box<Stream>>>,
    /// Conns that have bytes never sent.
    ready: VecDeque<u16>,
    again: VecDeque<Fragment>,
    /// How many of `again` may be sent whatever the window says.
    urgent: usize,
    /// Bytes of all messages.
    queued_bytes: usize,
    /// Bytes of the messages that the other end may hold.
    started_bytes: usize,
    /// Its limit for them.
    started_max: usize,
    queued_max: usize,
}

impl Outbound {
    pub(crate) fn new(queued_max: usize) -> Self {
        Outbound {
            slots: Vec::new(),
            free: Vec::new(),
            streams: Vec::new(),
            ready: VecDeque::new(),
            again: VecDeque::new(),
            urgent: 0,
            queued_bytes: 0,
            started_bytes: 0,
            started_max: usize::MAX,
            queued_max,
        }
    }

    /// The other end holds at most so many bytes.
    pub(crate) fn set_started_max(&mut self, bytes: usize) {
        self.started_max = bytes;
    }

    /// Bytes of the longest message that would be taken on a conn.
    pub(crate) fn room(&self, conn: Conn) -> usize {
        let stream = self
            .streams
            .get(usize::from(conn.0))
            .and_then(Option::as_ref);
        if stream.is_some_and(|stream| stream.unfinished.len() >= UNFINISHED_MAX) {
            return 0;
        }
        self.queued_max.saturating_sub(self.queued_bytes)
    }

    /// Takes a message; its slot and generation.
    pub(crate) fn push(
        &mut self,
        conn: Conn,
        qos: Qos,
        message: Message,
        len: u32,
    ) -> Result<(u32, u32), SendError> {
        let at = usize::from(conn.0);
        if self.queued_bytes + len as usize > self.queued_max {
            return Err(SendError::Full);
        }
        if self.streams.len() <= at {
            self.streams.resize_with(at + 1, || None);
        }
        let stream = self.streams[at].get_or_insert_default();
        if stream.unfinished.len() >= UNFINISHED_MAX {
            return Err(SendError::Full);
        }
        let number = stream.next_number;
        stream.next_number = number.wrapping_add(1);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        stream.unfinished.push_back(slot);
        if !stream.ready {
            stream.ready = true;
            self.ready.push_back(conn.0);
        }
        self.queued_bytes += len as usize;
        let entry = &mut self.slots[slot as usize];
        entry.outgoing = Some(Outgoing {
            message: Some(message),
            len,
            sent: 0,
            acked: RangeSet::default(),
            acked_bytes: 0,
            conn,
            number,
            qos,
            finished: false,
        });
        Ok((slot, entry.generation))
    }

    /// The piece to be sent next, of at most as many bytes as `room` says for its QoS; `None` from
    /// `room` means that no path takes it now. A second argument of true says that it is urgent.
    #[inline]
    pub(crate) fn next<P>(
        &mut self,
        mut room: impl FnMut(Qos, bool, u32) -> Option<(P, u32)>,
    ) -> Option<(Piece, P)> {
        if let Some(found) = self.next_again(&mut room) {
            return Some(found);
        }
        for _ in 0..self.ready.len() {
            let conn = *self.ready.front()?;
            let stream = self.streams[usize::from(conn)].as_ref()?;
            let slot = stream.unfinished[stream.sent];
            let generation = self.slots[slot as usize].generation;
            let outgoing = self.slots[slot as usize].outgoing.as_ref()?;
            let held = self.started_bytes + outgoing.cost();
            if outgoing.sent == 0 && self.started_bytes > 0 && held > self.started_max {
                return None;
            }
            let left = outgoing.len - outgoing.sent;
            if let Some((path, max)) = room(outgoing.qos, false, left) {
                let fragment = Fragment {
                    slot,
                    generation,
                    offset: outgoing.sent,
                    len: left.min(max),
                };
                return Some((outgoing.piece(fragment, Origin::New), path));
            }
            self.ready.rotate_left(1);
        }
        None
    }

    fn next_again<P>(
        &mut self,
        room: &mut impl FnMut(Qos, bool, u32) -> Option<(P, u32)>,
    ) -> Option<(Piece, P)> {
        let mut blocked = 0;
        while blocked < self.again.len().min(BLOCKED_MAX) {
            let mut fragment = *self.again.front()?;
            let Some(outgoing) = get(&self.slots, fragment).filter(|o| o.misses(fragment)) else {
                self.drop_again();
                continue;
            };
            let qos = match outgoing.message {
                Some(_) => outgoing.qos,
                None => Qos::LoadBalance,
            };
            if let Some((path, max)) = room(qos, self.urgent > 0, fragment.len) {
                fragment.len = fragment.len.min(max);
                return Some((outgoing.piece(fragment, Origin::Again), path));
            }
            self.again.rotate_left(1);
            self.urgent = 0;
            blocked += 1;
        }
        None
    }

    fn drop_again(&mut self) {
        self.again.pop_front();
        self.urgent = self.urgent.saturating_sub(1);
    }

    /// Copies a piece's bytes into `out`, whose length is the piece's, and counts it as sent; false when
    /// it is void by now.
    #[inline]
    pub(crate) fn take(&mut self, piece: &Piece, out: &mut [u8]) -> bool {
        let fragment = piece.fragment;
        if piece.origin == Origin::Again {
            self.take_again(fragment);
        }
        let slots = &mut self.slots[fragment.slot as usize];
        let (Some(outgoing), true) = (&mut slots.outgoing, slots.generation == fragment.generation)
        else {
            return false;
        };
        if let Some(message) = &outgoing.message {
            message.read(fragment.offset as usize, out);
        }
        let end = fragment.offset + fragment.len;
        if piece.origin == Origin::New && end > outgoing.sent {
            if outgoing.sent == 0 {
                self.started_bytes += outgoing.cost();
            }
            outgoing.sent = end;
            let whole = end == outgoing.len;
            let turn = whole || end / TURN_BYTES != fragment.offset / TURN_BYTES;
            if turn {
                self.end_turn(piece.conn, whole);
            }
        }
        true
    }

    /// Leaves of the front fragment what is left after its beginning was sent.
    fn take_again(&mut self, sent: Fragment) {
        let begins = |front: &&Fragment| {
            (front.slot, front.generation, front.offset)
                == (sent.slot, sent.generation, sent.offset)
        };
        let Some(&front) = self.again.front().filter(begins) else {
            return;
        };
        if front.len > sent.len {
            self.again[0] = Fragment {
                offset: front.offset + sent.len,
                len: front.len - sent.len,
                ..front
            };
        } else {
            self.drop_again();
        }
    }

    fn end_turn(&mut self, conn: Conn, whole: bool) {
        let Some(stream) = &mut self.streams[usize::from(conn.0)] else {
            return;
        };
        stream.sent += usize::from(whole);
        if self.ready.front() != Some(&conn.0) {
            return;
        }
        if stream.sent == stream.unfinished.len() {
            stream.ready = false;
            self.ready.pop_front();
        } else if self.ready.len() > 1 {
            self.ready.rotate_left(1);
        }
    }

    /// Whether anything waits to be sent, windows permitting.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        !self.ready.is_empty() || !self.again.is_empty()
    }

    /// A fragment has arrived.
    #[inline]
    pub(crate) fn on_acked(&mut self, fragment: Fragment) {
        let Some(outgoing) = get_mut(&mut self.slots, fragment) else {
            return;
        };
        if fragment.len != outgoing.len {
            let (start, end) = (u64::from(fragment.offset), u64::from(fragment.end()));
            outgoing.acked_bytes += outgoing.acked.insert(start, end) as u32;
            if outgoing.acked_bytes < outgoing.len {
                return;
            }
        }
        self.finish(fragment.slot);
    }

    /// A fragment is lost and must be sent again.
    pub(crate) fn on_lost(&mut self, fragment: Fragment) {
        if get(&self.slots, fragment).is_some_and(|outgoing| outgoing.misses(fragment)) {
            self.again.push_back(fragment);
        }
    }

    /// A fragment may be lost, and must be sent again at once.
    pub(crate) fn resend(&mut self, fragment: Fragment) {
        self.again.push_front(fragment);
        self.urgent += 1;
    }

    /// The other end has the whole message, as its program says.
    pub(crate) fn settle(&mut self, slot: u32, generation: u32) {
        let whole = Fragment {
            slot,
            generation,
            offset: 0,
            len: 0,
        };
        let Some(outgoing) = get(&self.slots, whole) else {
            return;
        };
        if outgoing.message.is_some() && outgoing.sent == outgoing.len {
            self.finish(slot);
        }
    }

    /// Frees a message that has arrived, and those after it that wait for it.
    fn finish(&mut self, slot: u32) {
        let Some(outgoing) = &mut self.slots[slot as usize].outgoing else {
            return;
        };
        outgoing.finished = true;
        outgoing.message = None;
        let conn = usize::from(outgoing.conn.0);
        let Some(stream) = &mut self.streams[conn] else {
            return;
        };
        while let Some(&front) = stream.unfinished.front() {
            let slot = &mut self.slots[front as usize];
            if !slot.outgoing.as_ref().is_some_and(|o| o.finished) {
                break;
            }
            if let Some(gone) = slot.outgoing.take().filter(|gone| gone.len > 0) {
                self.queued_bytes -= gone.len as usize;
                self.started_bytes -= gone.cost();
            }
            slot.generation = slot.generation.wrapping_add(1);
            stream.unfinished.pop_front();
            stream.sent -= 1;
            self.free.push(front);
        }
    }

    /// Abandons the messages of each conn that insists on a path for which `insists` is true; the conns.
    pub(crate) fn abandon(&mut self, insists: impl Fn(Qos) -> bool) -> Vec<Conn> {
        let concerns = |slots: &[Slot], stream: &Stream| {
            stream.unfinished.iter().any(|slot| {
                let outgoing = &slots[*slot as usize].outgoing;
                let live = outgoing.as_ref().filter(|o| o.message.is_some());
                live.is_some_and(|o| insists(o.qos))
            })
        };
        let failed: Vec<Conn> = (0..self.streams.len())
            .filter(|at| {
                let stream = self.streams[*at].as_ref();
                stream.is_some_and(|stream| concerns(&self.slots, stream))
            })
            .map(|at| Conn(at as u16))
            .collect();
        for conn in &failed {
            self.abandon_conn(*conn);
        }
        failed
    }

    fn abandon_conn(&mut self, conn: Conn) {
        let Some(stream) = &mut self.streams[usize::from(conn.0)] else {
            return;
        };
        for slot_at in &stream.unfinished {
            let slot = &mut self.slots[*slot_at as usize];
            let Some(outgoing) = slot.outgoing.as_mut().filter(|o| o.message.is_some()) else {
                continue;
            };
            self.queued_bytes -= outgoing.len as usize;
            if outgoing.sent > 0 {
                self.started_bytes -= outgoing.cost();
            }
            outgoing.message = None;
            (outgoing.len, outgoing.sent) = (0, 0);
            slot.generation = slot.generation.wrapping_add(1);
            self.again.push_back(Fragment {
                slot: *slot_at,
                generation: slot.generation,
                offset: 0,
                len: 0,
            });
        }
        stream.sent = stream.unfinished.len();
        stream.ready = false;
        self.ready.retain(|ready| *ready != conn.0);
    }
}

impl Outgoing {
    /// What it costs the other end to hold it.
    fn cost(&self) -> usize {
        self.len as usize + MESSAGE_COST
    }

    /// Whether the other end may not have all of a fragment.
    fn misses(&self, fragment: Fragment) -> bool {
        let (start, end) = (u64::from(fragment.offset), u64::from(fragment.end()));
        fragment.len == 0 || !self.acked.covers(start, end)
    }

    #[inline]
    fn piece(&self, fragment: Fragment, origin: Origin) -> Piece {
        Piece {
            fragment,
            qos: self.qos,
            conn: self.conn,
            number: self.number,
            offset: fragment.offset,
            len: fragment.len,
            first: fragment.offset == 0,
            last: fragment.end() == self.len,
            filler: self.message.is_none(),
            origin,
        }
    }
}

impl Fragment {
    fn end(&self) -> u32 {
        self.offset + self.len
    }
}

/// The message of a fragment that is neither finished nor abandoned since.
#[inline]
fn get(slots: &[Slot], fragment: Fragment) -> Option<&Outgoing> {
    let slot = slots.get(fragment.slot as usize)?;
    let outgoing = slot.outgoing.as_ref()?;
    (slot.generation == fragment.generation && !outgoing.finished).then_some(outgoing)
}

#[inline]
fn get_mut(slots: &mut [Slot], fragment: Fragment) -> Option<&mut Outgoing> {
    let slot = slots.get_mut(fragment.slot as usize)?;
    let outgoing = slot.outgoing.as_mut()?;
    (slot.generation == fragment.generation && !outgoing.finished).then_some(outgoing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: Conn = Conn(1);

    fn push(outbound: &mut Outbound, conn: Conn, qos: Qos, len: usize) -> (u32, u32) {
        let message = Message::from(vec![7; len]);
        outbound.push(conn, qos, message, len as u32).unwrap()
    }

    /// Takes all that may be sent, in frames of at most 100 bytes.
    fn drain(outbound: &mut Outbound) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let Some((piece, ())) = outbound.next(|_, _, _| Some(((), 100))) {
            let mut bytes = vec![0; piece.len as usize];
            assert!(outbound.take(&piece, &mut bytes));
            assert!(bytes.iter().all(|byte| *byte == 7));
            pieces.push(piece);
        }
        pieces
    }

    fn fragment(piece: &Piece) -> Fragment {
        piece.fragment
    }

    #[test]
    fn lost_pieces_are_sent_again_until_all_have_arrived() {
        let mut outbound = Outbound::new(10_000);
        push(&mut outbound, CONN, Qos::LoadBalance, 250);
        let pieces = drain(&mut outbound);
        let places: Vec<_> = pieces
            .iter()
            .map(|p| (p.offset, p.len, p.first, p.last))
            .collect();
        let wanted = [
            (0, 100, true, false),
            (100, 100, false, false),
            (200, 50, false, true),
        ];
        assert_eq!(places, wanted);
        outbound.on_acked(fragment(&pieces[0]));
        outbound.on_lost(fragment(&pieces[0]));
        outbound.on_lost(fragment(&pieces[1]));
        outbound.on_lost(fragment(&pieces[1]));
        let again = drain(&mut outbound);
        assert_eq!(again.len(), 2, "what has arrived is not sent again");
        assert!(
            again
                .iter()
                .all(|piece| piece.is_again() && piece.offset == 100)
        );
        outbound.on_acked(fragment(&pieces[2]));
        outbound.on_acked(fragment(&again[0]));
        outbound.on_acked(fragment(&again[1]));
        assert_eq!((outbound.queued_bytes, outbound.started_bytes), (0, 0));
        assert!(!outbound.is_waiting());
    }

    #[test]
    fn a_long_piece_is_cut_for_a_path_with_shorter_frames() {
        let mut outbound = Outbound::new(10_000);
        push(&mut outbound, CONN, Qos::LoadBalance, 250);
        let (piece, ()) = outbound.next(|_, _, _| Some(((), 1000))).unwrap();
        outbound.take(&piece, &mut [0; 250]);
        outbound.on_lost(fragment(&piece));
        let lens: Vec<u32> = drain(&mut outbound).iter().map(|piece| piece.len).collect();
        assert_eq!(lens, [100, 100, 50]);
    }

    #[test]
    fn the_other_ends_limit_holds_until_earlier_messages_have_arrived() {
        let mut outbound = Outbound::new(10_000);
        outbound.set_started_max(2 * (100 + MESSAGE_COST));
        for _ in 0..3 {
            push(&mut outbound, CONN, Qos::LoadBalance, 100);
        }
        let pieces = drain(&mut outbound);
        assert_eq!(pieces.len(), 2);
        // The second may have to wait there for the first.
        outbound.on_acked(fragment(&pieces[1]));
        assert_eq!(drain(&mut outbound).len(), 0);
        outbound.on_acked(fragment(&pieces[0]));
        assert_eq!(drain(&mut outbound).len(), 1);
    }

    #[test]
    fn abandoned_messages_leave_fillers() {
        let mut outbound = Outbound::new(10_000);
        let exclusive = Qos::Exclusive(super::super::LinkId(3));
        push(&mut outbound, CONN, exclusive, 150);
        push(&mut outbound, CONN, exclusive, 100);
        push(&mut outbound, Conn(2), Qos::LoadBalance, 100);
        let (piece, ()) = outbound.next(|_, _, _| Some(((), 100))).unwrap();
        outbound.take(&piece, &mut [0; 100]);
        assert_eq!(outbound.abandon(|qos| qos == exclusive), [CONN]);
        assert!(!outbound.take(&piece, &mut [0; 100]), "void");
        outbound.on_lost(fragment(&piece));
        let pieces = drain(&mut outbound);
        let fillers: Vec<_> = pieces.iter().filter(|piece| piece.filler).collect();
        let numbers: Vec<_> = fillers
            .iter()
            .map(|piece| (piece.conn, piece.number))
            .collect();
        assert_eq!(numbers, [(CONN, 0), (CONN, 1)]);
        assert!(fillers.iter().all(|piece| piece.len == 0));
        pieces
            .iter()
            .for_each(|piece| outbound.on_acked(fragment(piece)));
        assert_eq!((outbound.queued_bytes, outbound.started_bytes), (0, 0));
        // The conn goes on.
        push(&mut outbound, CONN, exclusive, 10);
        assert_eq!(drain(&mut outbound)[0].number, 2);
    }

    #[test]
    fn conns_take_turns() {
        let mut outbound = Outbound::new(1 << 20);
        push(&mut outbound, CONN, Qos::LoadBalance, 300_000);
        push(&mut outbound, Conn(2), Qos::LoadBalance, 64);
        let pieces = drain(&mut outbound);
        let small = pieces
            .iter()
            .position(|piece| piece.conn == Conn(2))
            .unwrap();
        assert!(small * 100 <= TURN_BYTES as usize + 100);
    }
}
