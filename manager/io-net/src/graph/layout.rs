//! Who is next: computed from the nodes, for each of them, each direction and each interface.
//!
//! An interface's column is its driver, the filters above it, and at the top those who take its
//! packets by their byte patterns. A taker may have filters of its own below it; a converter takes
//! from one type and offers the type above, for every interface that it can reach.

use super::{Node, Over, Pattern, Role, Slot};

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nowhere: there is no way.
    None,
    /// To one registrant.
    To(Slot),
    /// To those who ask for it; an index into [`Layout::tops`].
    Top(u16),
}

/// A converter or protocol at the top of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taker {
    /// Where its packets enter: itself, or the lowest filter below it.
    pub entry: Slot,
    /// What it asks for.
    pub patterns: Vec<Pattern>,
}

/// Those who take packets of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// The type.
    pub cell: u16,
    /// In the order of their arrival.
    pub takers: Vec<Taker>,
}

/// The whole graph, by slot and endpoint.
#[derive(Clone, Debug)]
pub struct Layout {
    slots: usize,
    endpoints: usize,
    up: Vec<Next>,
    down: Vec<Next>,
    /// The tops of the columns, one for each type.
    pub tops: Vec<Top>,
}

impl Layout {
    /// Lays `nodes` out. Nodes in `bypassed` are no longer sent anything, but find their own way.
    #[must_use]
    pub fn new(nodes: &[Node], bypassed: &[Slot]) -> Layout {
        let mut nodes: Vec<&Node> = nodes.iter().collect();
        nodes.sort_by_key(|node| node.order);
        let slots = nodes.iter().map(|n| usize::from(n.slot) + 1).max();
        let endpoints = nodes.iter().filter_map(|n| match n.role {
            Role::Driver { endpoint, .. } => Some(usize::from(endpoint) + 1),
            _ => None,
        });
        let (slots, endpoints) = (slots.unwrap_or(0), endpoints.max().unwrap_or(0));
        let seen: Vec<&Node> = nodes
            .iter()
            .copied()
            .filter(|node| !bypassed.contains(&node.slot))
            .collect();
        let builder = Builder {
            tops: tops(&seen),
            seen,
        };
        let mut layout = Layout {
            slots,
            endpoints,
            up: vec![Next::None; slots * endpoints],
            down: vec![Next::None; slots * endpoints],
            tops: Vec::new(),
        };
        for node in nodes {
            for endpoint in 0..endpoints {
                let at = usize::from(node.slot) * endpoints + endpoint;
                layout.up[at] = builder.up(node, endpoint as u16);
                layout.down[at] = builder.down(node, endpoint as u16);
            }
        }
        layout.tops = builder.tops;
        layout
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Number of endpoints.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.endpoints
    }

    /// Where an up packet of `endpoint` goes from `slot`.
    #[must_use]
    pub fn up(&self, slot: Slot, endpoint: u16) -> Next {
        self.get(&self.up, slot, endpoint)
    }

    /// Where a down packet for `endpoint` goes from `slot`.
    #[must_use]
    pub fn down(&self, slot: Slot, endpoint: u16) -> Next {
        self.get(&self.down, slot, endpoint)
    }

    fn get(&self, table: &[Next], slot: Slot, endpoint: u16) -> Next {
        let (slot, endpoint) = (usize::from(slot), usize::from(endpoint));
        if slot < self.slots && endpoint < self.endpoints {
            table[slot * self.endpoints + endpoint]
        } else {
            Next::None
        }
    }
}

struct Builder<'n> {
    /// Nodes that packets are sent to, in the order of their arrival.
    seen: Vec<&'n Node>,
    tops: Vec<Top>,
}

impl Builder<'_> {
    fn up(&self, node: &Node, endpoint: u16) -> Next {
        match &node.role {
            Role::Driver {
                cell,
                endpoint: own,
            } if *own == endpoint => self.bottom_of_column(*cell, endpoint),
            Role::FilterAbove { cell, .. } => {
                let Some((column_cell, _)) = self.driver(endpoint) else {
                    return Next::None;
                };
                if column_cell != *cell {
                    return Next::None;
                }
                let column = self.column(*cell, endpoint, Some(node));
                let above = match column.iter().position(|&slot| slot == node.slot) {
                    Some(at) => column.get(at + 1),
                    // Put on an interface where the filter has no place, a packet enters at the
                    // column's edge.
                    None => column.first(),
                };
                above.map_or_else(|| self.top(*cell), |&slot| Next::To(slot))
            }
            Role::FilterBelow { under, .. } => {
                let chain = self.chain(*under, Some(node));
                let at = chain.iter().position(|&slot| slot == node.slot);
                let above = at.and_then(|at| chain.get(at + 1));
                above.map_or(Next::None, |&slot| Next::To(slot))
            }
            Role::Converter { top, bottom } if self.reaches(*bottom, endpoint) => self.top(*top),
            _ => Next::None,
        }
    }

    fn down(&self, node: &Node, endpoint: u16) -> Next {
        match &node.role {
            Role::FilterAbove { cell, .. } => match self.driver(endpoint) {
                Some((column_cell, driver)) if column_cell == *cell => {
                    let column = self.column(*cell, endpoint, Some(node));
                    let below = match column.iter().position(|&slot| slot == node.slot) {
                        Some(at) => at.checked_sub(1).map(|at| column[at]),
                        None => column.last().copied(),
                    };
                    Next::To(below.unwrap_or(driver))
                }
                _ => Next::None,
            },
            Role::FilterBelow { cell, under } => {
                let chain = self.chain(*under, Some(node));
                let at = chain.iter().position(|&slot| slot == node.slot);
                match at.and_then(|at| at.checked_sub(1)) {
                    Some(at) => Next::To(chain[at]),
                    None => self.descend(*cell, endpoint),
                }
            }
            Role::Converter { bottom, .. } | Role::Protocol { bottom } => {
                let highest = chain_below(&self.seen, node.slot, None).last().copied();
                highest.map_or_else(|| self.descend(*bottom, endpoint), Next::To)
            }
            Role::Driver { .. } => Next::None,
        }
    }

    /// The driver of an interface, and the type of its packets.
    fn driver(&self, endpoint: u16) -> Option<(u16, Slot)> {
        self.seen.iter().find_map(|node| match node.role {
            Role::Driver {
                cell,
                endpoint: own,
            } if own == endpoint => Some((cell, node.slot)),
            _ => None,
        })
    }

    /// Filters above an interface, from the wire upward. `also` is in its place even where it is
    /// bypassed, so that it finds its way.
    fn column(&self, cell: u16, endpoint: u16, also: Option<&Node>) -> Vec<Slot> {
        let above = |node: &&Node| match &node.role {
            Role::FilterAbove { cell: own, over } => {
                *own == cell
                    && match over {
                        Over::All => true,
                        Over::Endpoints(list) => list.contains(&endpoint),
                    }
            }
            _ => false,
        };
        in_order(with(&self.seen, also).filter(above))
    }

    /// Filters below a taker, from the wire upward, and the taker itself. `also`: as in `column`.
    fn chain(&self, taker: Slot, also: Option<&Node>) -> Vec<Slot> {
        let mut chain = chain_below(&self.seen, taker, also);
        chain.extend(self.seen.iter().filter(|n| n.slot == taker).map(|n| n.slot));
        chain
    }

    fn bottom_of_column(&self, cell: u16, endpoint: u16) -> Next {
        let column = self.column(cell, endpoint, None);
        column
            .first()
            .map_or_else(|| self.top(cell), |&slot| Next::To(slot))
    }

    fn top(&self, cell: u16) -> Next {
        let at = self.tops.iter().position(|top| top.cell == cell);
        at.map_or(Next::None, |at| Next::Top(at as u16))
    }

    /// Whether packets of type `cell` can be sent to an interface.
    fn reaches(&self, cell: u16, endpoint: u16) -> bool {
        self.descend(cell, endpoint) != Next::None
    }

    /// The way down for packets of type `cell`: the interface's own column, or a converter that
    /// leads there.
    fn descend(&self, cell: u16, endpoint: u16) -> Next {
        self.descend_within(cell, endpoint, self.seen.len())
    }

    /// As `descend`, through at most `converters` of them, so that a ring of types ends.
    fn descend_within(&self, cell: u16, endpoint: u16, converters: usize) -> Next {
        if let Some((own, driver)) = self.driver(endpoint)
            && own == cell
        {
            let top = self.column(cell, endpoint, None).last().copied();
            return Next::To(top.unwrap_or(driver));
        }
        let Some(left) = converters.checked_sub(1) else {
            return Next::None;
        };
        let leads = |node: &&&Node| match node.role {
            Role::Converter { top, bottom } => {
                top == cell && self.descend_within(bottom, endpoint, left) != Next::None
            }
            _ => false,
        };
        let converter = self.seen.iter().find(leads);
        converter.map_or(Next::None, |node| Next::To(node.slot))
    }
}

/// The tops of the columns, for every type that somebody takes.
fn tops(seen: &[&Node]) -> Vec<Top> {
    let mut tops: Vec<Top> = Vec::new();
    for node in seen {
        let Some(cell) = node.takes() else { continue };
        let entry = chain_below(seen, node.slot, None).first().copied();
        let taker = Taker {
            entry: entry.unwrap_or(node.slot),
            patterns: node.patterns.clone(),
        };
        match tops.iter_mut().find(|top| top.cell == cell) {
            Some(top) => top.takers.push(taker),
            None => tops.push(Top {
                cell,
                takers: vec![taker],
            }),
        }
    }
    tops
}

/// Filters below a taker, from the wire upward.
fn chain_below(seen: &[&Node], taker: Slot, also: Option<&Node>) -> Vec<Slot> {
    let below =
        |node: &&Node| matches!(node.role, Role::FilterBelow { under, .. } if under == taker);
    in_order(with(seen, also).filter(below))
}

/// The nodes of `seen`, and `also` where it is not among them.
fn with<'n>(seen: &'n [&Node], also: Option<&'n Node>) -> impl Iterator<Item = &'n Node> {
    let also = also.filter(|node| seen.iter().all(|other| other.slot != node.slot));
    seen.iter().copied().chain(also)
}

/// Filters of one place in their order.
fn in_order<'n>(filters: impl Iterator<Item = &'n Node>) -> Vec<Slot> {
    let mut filters: Vec<(i32, u64, Slot)> = filters.map(|n| (n.pos, n.order, n.slot)).collect();
    filters.sort_unstable();
    filters.into_iter().map(|(_, _, slot)| slot).collect()
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
