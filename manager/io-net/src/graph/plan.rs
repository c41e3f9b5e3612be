//! The graph as workers use it: dense tables of hops, immutable, one for each version.

use super::{Layout, Next, Slot, pattern::Matcher};
use crate::dispatch::Reg;
use io_net_abi::RegHandle;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Directions of travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// Toward programs.
    Up,
    /// Toward the wire.
    Down,
}

/// Packets that went from one registrant to another.
#[derive(Debug)]
#[repr(align(64))]
pub struct Edge {
    /// How many; written by the sender's home worker alone.
    pub packets: AtomicU64,
    /// How many of them were dropped for want of room in a queue between the two; likewise.
    pub drops: AtomicU64,
    /// Who sends.
    pub from: RegHandle,
    /// Who receives.
    pub to: RegHandle,
    /// Which way.
    pub way: Way,
    /// For which interface.
    pub endpoint: u16,
}

/// The next step of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// None: the packet is dropped.
    None,
    /// To one registrant.
    To {
        /// Who.
        slot: Slot,
        /// Index into [`Plan::edges`].
        edge: u32,
    },
    /// To the takers at the top of a column.
    Top {
        /// Index into [`Plan::tops`].
        top: u16,
        /// Index into [`Plan::edges`] of the first taker's edge; the others' follow.
        edges: u32,
    },
}

/// The takers of one type.
pub struct PlanTop {
    /// Chooses among `entries`.
    pub matcher: Matcher,
    /// Where each taker's packets enter.
    pub entries: Box<[Slot]>,
}

/// One version of the graph.
pub struct Plan {
    /// Counts the graph's changes.
    pub version: u64,
    /// Registrants by slot.
    pub regs: Box<[Option<Arc<Reg>>]>,
    /// The takers of each type.
    pub tops: Box<[PlanTop]>,
    /// Where packets are counted.
    pub edges: Box<[Arc<Edge>]>,
    endpoints: usize,
    up: Box<[Hop]>,
    down: Box<[Hop]>,
}

/// Keeps the counts of edges from one plan to the next.
#[derive(Default)]
pub struct EdgeBook {
    edges: HashMap<(RegHandle, RegHandle, Way, u16), Arc<Edge>>,
}

impl EdgeBook {
    /// Those of the last plan, in the order of interface, then of their making.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        let mut edges: Vec<&Arc<Edge>> = self.edges.values().collect();
        edges.sort_by_key(|edge| (edge.endpoint, edge.way == Way::Down, slot_of(edge.from)));
        edges.into_iter().map(|edge| &**edge)
    }

    fn edge(&mut self, from: RegHandle, to: RegHandle, way: Way, endpoint: u16) -> Arc<Edge> {
        let edge = self.edges.entry((from, to, way, endpoint));
        edge.or_insert_with(|| {
            Arc::new(Edge {
                packets: AtomicU64::new(0),
                drops: AtomicU64::new(0),
                from,
                to,
                way,
                endpoint,
            })
        })
        .clone()
    }

    /// Forgets the edges of registrants that are no longer in the graph.
    fn prune(&mut self, regs: &[Option<Arc<Reg>>]) {
        let present = |handle: &RegHandle| {
            let reg = regs.get(slot_of(*handle)).and_then(Option::as_ref);
            reg.is_some_and(|reg| reg.handle() == *handle)
        };
        self.edges
            .retain(|(from, to, _, _), _| present(from) && present(to));
    }
}

/// The slot that a handle names.
#[inline]
#[must_use]
pub fn slot_of(handle: RegHandle) -> usize {
    (handle.0 & 0xffff) as usize
}

impl Plan {
    /// A plan without registrants.
    #[must_use]
    pub fn empty() -> Plan {
        let layout = Layout::new(&[], &[]);
        Plan::new(0, &layout, Vec::new(), &mut EdgeBook::default())
    }

    /// Turns a layout into tables. `regs` holds the registrants by slot.
    #[must_use]
    pub fn new(
        version: u64,
        layout: &Layout,
        mut regs: Vec<Option<Arc<Reg>>>,
        book: &mut EdgeBook,
    ) -> Plan {
        regs.resize(layout.slots().max(regs.len()), None);
        book.prune(&regs);
        let mut edges: Vec<Arc<Edge>> = Vec::new();
        let mut table = |way: Way| -> Box<[Hop]> {
            let mut hops = Vec::with_capacity(layout.slots() * layout.endpoints());
            for slot in 0..layout.slots() {
                for endpoint in 0..layout.endpoints() as u16 {
                    let next = match way {
                        Way::Up => layout.up(slot as Slot, endpoint),
                        Way::Down => layout.down(slot as Slot, endpoint),
                    };
                    let mut edges_to = |targets: &[Slot]| -> Option<u32> {
                        let first = edges.len() as u32;
                        let from = regs[slot].as_ref()?.handle();
                        for &target in targets {
                            let to = regs[usize::from(target)].as_ref()?.handle();
                            edges.push(book.edge(from, to, way, endpoint));
                        }
                        Some(first)
                    };
                    hops.push(hop(layout, next, &mut edges_to));
                }
            }
            hops.into()
        };
        let (up, down) = (table(Way::Up), table(Way::Down));
        let tops = layout.tops.iter().map(|top| PlanTop {
            matcher: Matcher::new(top.takers.iter().map(|taker| &taker.patterns[..])),
            entries: top.takers.iter().map(|taker| taker.entry).collect(),
        });
        Plan {
            version,
            tops: tops.collect(),
            edges: edges.into(),
            endpoints: layout.endpoints(),
            regs: regs.into(),
            up,
            down,
        }
    }

    /// The registrant behind a handle, if it is in this version.
    #[inline]
    #[must_use]
    pub fn reg(&self, handle: RegHandle) -> Option<&Arc<Reg>> {
        let reg = self.regs.get(slot_of(handle))?.as_ref()?;
        (reg.handle() == handle).then_some(reg)
    }

    /// The hops of one registrant, by endpoint.
    #[inline]
    #[must_use]
    pub fn hops(&self, way: Way, handle: RegHandle) -> &[Hop] {
        let table = match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        };
        let start = slot_of(handle) * self.endpoints;
        table.get(start..start + self.endpoints).unwrap_or(&[])
    }
}

fn hop(layout: &Layout, next: Next, edges_to: &mut dyn FnMut(&[Slot]) -> Option<u32>) -> Hop {
    match next {
        Next::None => Hop::None,
        Next::To(slot) => match edges_to(&[slot]) {
            Some(edge) => Hop::To { slot, edge },
            None => Hop::None,
        },
        Next::Top(top) => {
            let takers = &layout.tops[usize::from(top)].takers;
            let entries: Vec<Slot> = takers.iter().map(|taker| taker.entry).collect();
            match edges_to(&entries) {
                Some(edges) => Hop::Top { top, edges },
                None => Hop::None,
            }
        }
    }
}
