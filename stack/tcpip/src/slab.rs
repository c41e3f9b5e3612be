//! Sockets in slots that are used again, each tenancy with its own generation.

/// A table of at most `limit` values. A slot's index is small and dense; its generation changes at each
/// removal, so that a stale index with its generation finds nothing.
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    limit: usize,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Slab {
            slots: Vec::new(),
            free: Vec::new(),
            limit: limit.min(u32::MAX as usize),
        }
    }

    /// Stores what `make` gives for the index and generation it will have.
    pub(crate) fn insert(&mut self, make: impl FnOnce(u32, u32) -> T) -> Option<u32> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < self.limit => {
                self.slots.push(Slot {
                    generation: 0,
                    value: None,
                });
                (self.slots.len() - 1) as u32
            }
            None => return None,
        };
        let slot = &mut self.slots[index as usize];
        slot.value = Some(make(index, slot.generation));
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.value.as_mut()
    }

    /// The index, if its tenant is still that of `generation`.
    #[inline]
    pub(crate) fn check(&self, index: usize, generation: u32) -> Option<u32> {
        let slot = self.slots.get(index)?;
        (slot.generation == generation && slot.value.is_some()).then_some(index as u32)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_names_find_nothing_and_the_limit_holds() {
        let mut slab = Slab::new(2);
        let a = slab
            .insert(|index, generation| (index, generation))
            .unwrap();
        assert!(slab.insert(|i, g| (i, g)).is_some());
        assert_eq!(slab.insert(|i, g| (i, g)), None);
        assert_eq!(slab.remove(a), Some((0, 0)));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.check(0, 0), None);
        let again = slab.insert(|i, g| (i, g)).unwrap();
        assert_eq!(slab.get(again), Some(&(0, 1)));
        assert_eq!(slab.check(0, 1), Some(0));
        assert_eq!(slab.iter().count(), 2);
    }
}
