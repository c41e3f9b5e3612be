//! The table of peers, by their index on the wire.

use super::Peer;
use io_net_wire::lwl4::Header;

/// Peers by index, from 1. An index is used again, its generation is not.
#[derive(Default)]
pub(crate) struct Peers {
    slots: Vec<Slot>,
    free: Vec<u16>,
    limit: usize,
}

struct Slot {
    generation: u32,
    peer: Option<Box<Peer>>,
}

impl Peers {
    pub(crate) fn new(limit: usize) -> Self {
        Peers {
            slots: Vec::new(),
            free: Vec::new(),
            limit: limit.min(usize::from(u16::MAX)),
        }
    }

    /// Stores what `make` gives for the index and generation it will have.
    pub(crate) fn insert(&mut self, make: impl FnOnce(u16, u32) -> Peer) -> Option<u16> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < self.limit => {
                self.slots.push(Slot {
                    generation: 0,
                    peer: None,
                });
                self.slots.len() as u16
            }
            None => return None,
        };
        let slot = &mut self.slots[usize::from(index) - 1];
        slot.peer = Some(Box::new(make(index, slot.generation)));
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u16) -> Option<Box<Peer>> {
        let slot = self.slots.get_mut(usize::from(index).checked_sub(1)?)?;
        let peer = slot.peer.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(peer)
    }

    #[inline]
    pub(crate) fn get(&self, index: u16) -> Option<&Peer> {
        let slot = self.slots.get(usize::from(index).checked_sub(1)?)?;
        slot.peer.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u16) -> Option<&mut Peer> {
        let slot = self.slots.get_mut(usize::from(index).checked_sub(1)?)?;
        slot.peer.as_deref_mut()
    }

    /// The peer whose present token with us a frame bears.
    pub(crate) fn addressed(&mut self, header: &Header) -> Option<&mut Peer> {
        self.get_mut(header.src_nd)
            .filter(|peer| peer.token == header.dst_conn)
    }

    /// The indices in use.
    pub(crate) fn indices(&self) -> Vec<u16> {
        let used = |index: &u16| self.get(*index).is_some();
        (1..=self.slots.len() as u16).filter(used).collect()
    }
}
