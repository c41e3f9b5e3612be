//! The columns of a layout: every way that a packet can take from an interface up.

use super::{Layout, Next, Slot};

/// Columns told; a graph with more of them would not be read by anybody.
const COLUMNS_MAX: usize = 256;

/// Every way up from each of `drivers`, a slot and its endpoint, from the wire to the programs.
#[must_use]
pub fn columns(layout: &Layout, drivers: &[(Slot, u16)]) -> Vec<Vec<Slot>> {
    let mut columns = Vec::new();
    for &(slot, endpoint) in drivers {
        climb(layout, endpoint, vec![slot], &mut columns);
    }
    columns
}

/// Adds every way on from the end of `column`.
fn climb(layout: &Layout, endpoint: u16, column: Vec<Slot>, columns: &mut Vec<Vec<Slot>>) {
    let next = column.last().map(|&slot| layout.up(slot, endpoint));
    let next: Vec<Slot> = match next {
        None | Some(Next::None) => Vec::new(),
        Some(Next::To(slot)) => vec![slot],
        Some(Next::Top(top)) => {
            let takers = layout.tops.get(usize::from(top)).map(|top| &top.takers[..]);
            takers
                .unwrap_or_default()
                .iter()
                .map(|taker| taker.entry)
                .collect()
        }
    };
    let mut next = next
        .into_iter()
        .filter(|slot| !column.contains(slot))
        .peekable();
    if columns.len() >= COLUMNS_MAX {
        return;
    }
    if next.peek().is_none() {
        columns.push(column);
        return;
    }
    for slot in next {
        climb(layout, endpoint, [&column[..], &[slot]].concat(), columns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Node, Over, Pattern, Role};

    fn node(slot: Slot, role: Role) -> Node {
        Node {
            slot,
            role,
            patterns: vec![Pattern::All],
            pos: 0,
            order: u64::from(slot),
        }
    }

    #[test]
    fn each_interface_has_its_own() {
        let over = Over::Endpoints(vec![0]);
        let nodes = [
            node(
                0,
                Role::Driver {
                    cell: 0,
                    endpoint: 0,
                },
            ),
            node(
                1,
                Role::Driver {
                    cell: 0,
                    endpoint: 1,
                },
            ),
            node(2, Role::FilterAbove { cell: 0, over }),
            node(3, Role::Converter { top: 1, bottom: 0 }),
            node(4, Role::Protocol { bottom: 1 }),
            node(5, Role::Protocol { bottom: 0 }),
        ];
        let layout = Layout::new(&nodes, &[]);
        let found = columns(&layout, &[(0, 0), (1, 1)]);
        let expected: [&[Slot]; 4] = [&[0, 2, 3, 4], &[0, 2, 5], &[1, 3, 4], &[1, 5]];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_interface_alone_is_a_column() {
        let layout = Layout::new(
            &[node(
                0,
                Role::Driver {
                    cell: 0,
                    endpoint: 0,
                },
            )],
            &[],
        );
        assert_eq!(columns(&layout, &[(0, 0)]), [[0]]);
        assert!(columns(&layout, &[]).is_empty());
    }
}
