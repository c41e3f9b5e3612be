//! A hierarchical timing wheel: one timer an index, set and cleared in constant time.
//!
//! A timer is placed by the highest bit in which its tick differs from the current one, so each level
//! holds only slots ahead of the current position, and the first slot of the lowest level in use is the
//! next to come. Timers never fire early; they fire up to one tick late.

use crate::time::Instant;

const LEVELS: usize = 6;
const SLOT_BITS: usize = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const NIL: u32 = u32::MAX;
/// log2 of a tick's nanoseconds: about a millisecond.
const TICK_SHIFT: u32 = 20;

#[derive(Clone, Copy)]
struct Node {
    prev: u32,
    next: u32,
    when: u64,
    /// Level and slot, or [`NIL`] when not set.
    place: u32,
}

pub(crate) struct Wheel {
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    nodes: Vec<Node>,
    current: u64,
    /// Timers taken off the wheel that are due.
    due: Vec<u32>,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Wheel {
            heads: [[NIL; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            nodes: Vec::new(),
            current: 0,
            due: Vec::new(),
        }
    }

    /// Sets the timer `index`, in place of its earlier setting.
    pub(crate) fn set(&mut self, index: u32, at: Instant) {
        self.clear(index);
        let tick = at.as_nanos().div_ceil(1 << TICK_SHIFT);
        let horizon = self.current + (1 << (LEVELS * SLOT_BITS)) - 1;
        // The farthest timers are looked at again when the horizon comes.
        let tick = tick.clamp(self.current + 1, horizon | (SLOTS as u64 - 1));
        if self.nodes.len() <= index as usize {
            let unset = Node {
                prev: NIL,
                next: NIL,
                when: 0,
                place: NIL,
            };
            self.nodes.resize(index as usize + 1, unset);
        }
        self.link(index, tick);
    }

    /// Clears the timer `index`.
    pub(crate) fn clear(&mut self, index: u32) {
        let Some(&node) = self.nodes.get(index as usize) else {
            return;
        };
        if node.place == NIL {
            return;
        }
        let (level, slot) = (node.place as usize / SLOTS, node.place as usize % SLOTS);
        match node.prev {
            NIL => self.heads[level][slot] = node.next,
            prev => self.nodes[prev as usize].next = node.next,
        }
        if node.next != NIL {
            self.nodes[node.next as usize].prev = node.prev;
        }
        if self.heads[level][slot] == NIL {
            self.occupied[level] &= !(1 << slot);
        }
        self.nodes[index as usize].place = NIL;
    }

    /// When the timer `index` fires, if it is set.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<Instant> {
        let node = self.nodes.get(index as usize)?;
        (node.place != NIL).then(|| instant(node.when))
    }

    /// No timer fires before this; `None` when none is set.
    pub(crate) fn next(&self) -> Option<Instant> {
        if !self.due.is_empty() {
            return Some(instant(self.current));
        }
        self.next_slot().map(|(_, _, tick)| instant(tick))
    }

    /// Takes off a timer that is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<u32> {
        let target = now.as_nanos() >> TICK_SHIFT;
        loop {
            if let Some(index) = self.due.pop() {
                return Some(index);
            }
            match self.next_slot() {
                Some((level, slot, tick)) if tick <= target => {
                    self.current = tick;
                    self.open(level, slot);
                }
                _ => {
                    self.current = self.current.max(target);
                    return None;
                }
            }
        }
    }

    /// Empties a slot whose time has come: what is due is handed out, the rest moves down.
    fn open(&mut self, level: usize, slot: usize) {
        let mut index = core::mem::replace(&mut self.heads[level][slot], NIL);
        self.occupied[level] &= !(1 << slot);
        while index != NIL {
            let node = &mut self.nodes[index as usize];
            let (next, when) = (node.next, node.when);
            node.place = NIL;
            if when <= self.current {
                self.due.push(index);
            } else {
                self.link(index, when);
            }
            index = next;
        }
    }

    fn link(&mut self, index: u32, when: u64) {
        let differing = (when ^ self.current) | (SLOTS as u64 - 1);
        let level = ((63 - differing.leading_zeros() as usize) / SLOT_BITS).min(LEVELS - 1);
        let slot = (when >> (level * SLOT_BITS)) as usize % SLOTS;
        let head = self.heads[level][slot];
        if head != NIL {
            self.nodes[head as usize].prev = index;
        }
        self.heads[level][slot] = index;
        self.occupied[level] |= 1 << slot;
        self.nodes[index as usize] = Node {
            prev: NIL,
            next: head,
            when,
            place: (level * SLOTS + slot) as u32,
        };
    }

    /// The next slot in use: level, slot, and the tick at which it begins.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        (0..LEVELS).find_map(|level| {
            let shift = level * SLOT_BITS;
            let position = (self.current >> shift) as usize % SLOTS;
            let occupied = self.occupied[level];
            if occupied == 0 {
                return None;
            }
            // Only the top level wraps round: elsewhere all slots in use lie ahead.
            let ahead = occupied.rotate_right(position as u32).trailing_zeros() as usize;
            let base = (self.current >> shift) << shift;
            let tick = base + ((ahead as u64) << shift);
            Some((level, (position + ahead) % SLOTS, tick.max(self.current)))
        })
    }
}

fn instant(tick: u64) -> Instant {
    Instant::from_nanos(tick.saturating_mul(1 << TICK_SHIFT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn at(tick: u64) -> Instant {
        instant(tick)
    }

    #[test]
    fn fires_at_its_tick_and_not_before() {
        for tick in [1, 2, 63, 64, 65, 4095, 4096, 5000, 262_144, 40_000_000] {
            let mut wheel = Wheel::new();
            wheel.set(3, at(tick));
            assert_eq!(wheel.at(3), Some(at(tick)));
            assert_eq!(wheel.pop(at(tick - 1)), None, "tick {tick}");
            assert!(wheel.next().unwrap() <= at(tick));
            assert_eq!(wheel.pop(at(tick)), Some(3), "tick {tick}");
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn agrees_with_a_sorted_map_under_random_use() {
        let mut wheel = Wheel::new();
        let mut model = BTreeMap::new();
        let (mut state, mut now) = (42u64, 0u64);
        for step in 0..20_000u64 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(step | 1);
            let index = (state >> 33) as u32 % 50;
            match state >> 60 {
                0..=8 => {
                    let span = 1 + ((state >> 8) & 0xffff) * ((state >> 24) & 0x3f);
                    wheel.set(index, at(now + span));
                    model.insert(index, now + span);
                }
                9..=11 => {
                    wheel.clear(index);
                    model.remove(&index);
                }
                _ => {
                    now += (state >> 8) & 0x3fff;
                    let mut fired = Vec::new();
                    while let Some(index) = wheel.pop(at(now)) {
                        fired.push(index);
                    }
                    let mut expected: Vec<u32> = model
                        .iter()
                        .filter(|(_, when)| **when <= now)
                        .map(|(i, _)| *i)
                        .collect();
                    model.retain(|_, when| *when > now);
                    fired.sort();
                    expected.sort();
                    assert_eq!(fired, expected, "step {step}");
                }
            }
            if let Some(first) = model.values().min() {
                assert!(wheel.next().unwrap() <= at(*first));
            }
        }
    }
}
