//! A table whose entries are found by a small number, with a generation that tells a new tenant of
//! a place from the old.

/// The name of an entry; names are not reused until 2^24 tenants later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) index: u32,
    /// 24 bits.
    pub(crate) generation: u32,
}

struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

/// The table.
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

const GENERATIONS: u32 = (1 << 24) - 1;

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Slab {
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Entries.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn insert(&mut self, tenant: T) -> Key {
        let tenant = Some(tenant);
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.tenant = tenant;
            let generation = place.generation;
            return Key { index, generation };
        }
        let index = self.places.len() as u32;
        let generation = 0;
        self.places.push(Place { generation, tenant });
        Key { index, generation }
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.index as usize)?;
        (place.generation == key.generation).then_some(place.tenant.as_ref())?
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.index as usize)?;
        (place.generation == key.generation).then_some(place.tenant.as_mut())?
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let tenant = place.tenant.take()?;
        place.generation = place.generation.wrapping_add(1) & GENERATIONS;
        self.free.push(key.index);
        Some(tenant)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places
            .iter_mut()
            .filter_map(|place| place.tenant.as_mut())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(at, place)| {
            let (index, generation) = (at as u32, place.generation);
            Some((Key { index, generation }, place.tenant.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_name_finds_nothing() {
        let mut slab = Slab::new();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!((slab.get(a), slab.len()), (Some(&'a'), 2));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!((slab.remove(a), slab.get(a)), (None, None));
        let c = slab.insert('c');
        assert_eq!(c.index, a.index);
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.get_mut(c), Some(&mut 'c'));
        let all: Vec<_> = slab.iter().collect();
        assert_eq!(all, [(c, &'c'), (b, &'b')]);
    }
}
