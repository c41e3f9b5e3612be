//! Values in slots that are used again, each tenancy under a handle of its own.
//!
//! A handle is a positive 31-bit number, as the wire's signed fields want it: the slot's index below,
//! its generation above. Some slots are left to lie before the oldest is used again, so a handle comes
//! back only after millions of others.

use std::collections::VecDeque;

const INDEX_BITS: u32 = 17;
const GENERATION_MAX: u32 = (1 << (31 - INDEX_BITS)) - 1;

/// Free slots that lie before one is used again.
const REST: usize = 256;

/// Values that a slab can hold at most.
pub(crate) const SLAB_MAX: usize = 1 << INDEX_BITS;

/// A table of at most `limit` values.
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: VecDeque<u32>,
    limit: usize,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    /// A table of at most `limit` values, and of [`SLAB_MAX`].
    pub(crate) fn new(limit: usize) -> Self {
        Slab {
            slots: Vec::new(),
            free: VecDeque::new(),
            limit: limit.min(SLAB_MAX),
        }
    }

    /// Stores a value; its handle, or `None` where the table is full.
    pub(crate) fn insert(&mut self, value: T) -> Option<u32> {
        if self.free.len() < REST && self.slots.len() < self.limit {
            self.slots.push(Slot {
                generation: 0,
                value: None,
            });
            self.free.push_front(self.slots.len() as u32 - 1);
        }
        let index = self.free.pop_front()?;
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        Some(slot.generation << INDEX_BITS | index)
    }

    pub(crate) fn remove(&mut self, handle: u32) -> Option<T> {
        let index = self.index(handle)?;
        let slot = &mut self.slots[index];
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & GENERATION_MAX;
        self.free.push_back(index as u32);
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, handle: u32) -> Option<&T> {
        self.slots[self.index(handle)?].value.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        let index = self.index(handle)?;
        self.slots[index].value.as_mut()
    }

    #[inline]
    fn index(&self, handle: u32) -> Option<usize> {
        let index = (handle & (SLAB_MAX as u32 - 1)) as usize;
        let slot = self.slots.get(index)?;
        (slot.generation == handle >> INDEX_BITS).then_some(index)
    }

    /// The values with their handles.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let handle = slot.generation << INDEX_BITS | index as u32;
            slot.value.as_ref().map(|value| (handle, value))
        })
    }

    /// The handles of the values that `choose` chooses.
    pub(crate) fn handles(&self, mut choose: impl FnMut(&T) -> bool) -> Vec<u32> {
        let chosen = self.iter().filter(|(_, value)| choose(value));
        chosen.map(|(handle, _)| handle).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_handles_find_nothing_and_the_limit_holds() {
        let mut slab = Slab::new(2);
        let a = slab.insert('a').unwrap();
        let b = slab.insert('b').unwrap();
        assert_eq!(slab.insert('c'), None);
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!((slab.remove(a), slab.get(a)), (None, None));
        let again = slab.insert('d').unwrap();
        assert_ne!(a, again);
        assert_eq!(slab.get(again), Some(&'d'));
        assert_eq!(slab.get(u32::MAX), None);
        assert_eq!(slab.handles(|_| true), vec![again, b]);
        assert_eq!(slab.len(), 2);
    }

    #[test]
    fn handles_fit_the_wire_and_come_back_late() {
        let mut slab = Slab::new(1);
        let first = slab.insert(()).unwrap();
        let mut uses = 0;
        loop {
            let handle = slab.insert(());
            if let Some(handle) = handle {
                assert!(handle <= i32::MAX as u32);
                if handle == first && uses > 0 {
                    break;
                }
                slab.remove(handle);
                uses += 1;
            } else {
                slab.remove(first);
                uses += 1;
            }
        }
        assert_eq!(uses, GENERATION_MAX + 1);
    }
}
