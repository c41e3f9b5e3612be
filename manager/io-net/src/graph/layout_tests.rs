//! Columns, chains and their changes.

use super::*;

const EN: u16 = 0;
const IP: u16 = 1;

fn node(slot: Slot, role: Role) -> Node {
    Node {
        slot,
        role,
        patterns: vec![Pattern::All],
        pos: 0,
        order: u64::from(slot),
    }
}

fn driver(slot: Slot, endpoint: u16) -> Node {
    node(slot, Role::Driver { cell: EN, endpoint })
}

fn above(slot: Slot, over: Over) -> Node {
    node(slot, Role::FilterAbove { cell: EN, over })
}

fn below(slot: Slot, under: Slot) -> Node {
    node(slot, Role::FilterBelow { cell: IP, under })
}

fn ip_en(slot: Slot) -> Node {
    node(
        slot,
        Role::Converter {
            top: IP,
            bottom: EN,
        },
    )
}

fn tcpip(slot: Slot) -> Node {
    node(slot, Role::Protocol { bottom: IP })
}

/// Follows a packet from `slot` until a driver, a protocol or the end; the first taker is chosen.
fn walk(layout: &Layout, from: Slot, endpoint: u16, upward: bool) -> Vec<Slot> {
    let (mut at, mut way) = (from, Vec::new());
    loop {
        let next = if upward {
            layout.up(at, endpoint)
        } else {
            layout.down(at, endpoint)
        };
        at = match next {
            Next::None => return way,
            Next::To(slot) => slot,
            Next::Top(top) => layout.tops[usize::from(top)].takers[0].entry,
        };
        way.push(at);
        assert!(way.len() < 20, "a ring: {way:?}");
    }
}

#[test]
fn a_packet_goes_through_every_layer_both_ways() {
    let nodes = [
        driver(0, 0),
        above(1, Over::All),
        ip_en(2),
        tcpip(3),
        below(4, 3),
    ];
    let layout = Layout::new(&nodes, &[]);
    assert_eq!(walk(&layout, 0, 0, true), [1, 2, 4, 3]);
    assert_eq!(walk(&layout, 3, 0, false), [4, 2, 1, 0]);
}

#[test]
fn filters_lie_by_position_then_by_arrival() {
    let mut nodes = vec![driver(0, 0), above(1, Over::All), above(2, Over::All)];
    nodes.push(Node {
        pos: -1,
        ..above(3, Over::All)
    });
    nodes.push(ip_en(4));
    let layout = Layout::new(&nodes, &[]);
    assert_eq!(walk(&layout, 0, 0, true), [3, 1, 2, 4]);
    assert_eq!(walk(&layout, 4, 0, false), [2, 1, 3, 0]);
}

#[test]
fn a_filter_sits_only_above_its_interfaces() {
    let nodes = [
        driver(0, 0),
        driver(1, 1),
        driver(2, 2),
        above(3, Over::Endpoints(vec![0, 1])),
        ip_en(4),
    ];
    let layout = Layout::new(&nodes, &[]);
    assert_eq!(walk(&layout, 0, 0, true), [3, 4]);
    assert_eq!(walk(&layout, 1, 1, true), [3, 4]);
    assert_eq!(walk(&layout, 2, 2, true), [4]);
    assert_eq!(walk(&layout, 4, 2, false), [2]);
    // A bridge turns a packet round, to either port and to an interface it is not above.
    assert_eq!(layout.down(3, 1), Next::To(1));
    assert_eq!(layout.down(3, 2), Next::To(2));
    assert_eq!(layout.up(3, 2), Next::Top(0));
    assert_eq!(layout.up(3, 9), Next::None);
}

#[test]
fn takers_of_one_type_share_a_top() {
    let mut qnet = node(2, Role::Protocol { bottom: EN });
    qnet.patterns = vec![Pattern::bytes(12, &[0x82, 0x04]).unwrap()];
    let filter = node(3, Role::FilterBelow { cell: EN, under: 2 });
    let nodes = [driver(0, 0), ip_en(1), qnet, filter];
    let layout = Layout::new(&nodes, &[]);
    let Next::Top(top) = layout.up(0, 0) else {
        panic!("no top")
    };
    let entries: Vec<Slot> = layout.tops[usize::from(top)]
        .takers
        .iter()
        .map(|t| t.entry)
        .collect();
    assert_eq!(entries, [1, 3]);
    assert_eq!(walk(&layout, 2, 0, false), [3, 0]);
    assert_eq!(layout.up(3, 0), Next::To(2));
}

#[test]
fn without_a_way_there_is_none() {
    let layout = Layout::new(&[driver(0, 0), tcpip(1)], &[]);
    assert_eq!(layout.up(0, 0), Next::None);
    assert_eq!(layout.down(1, 0), Next::None);
    assert_eq!(layout.down(0, 0), Next::None);
    assert_eq!(layout.up(7, 0), Next::None);
    let layout = Layout::new(&[], &[]);
    assert_eq!((layout.slots(), layout.endpoints()), (0, 0));
}

#[test]
fn converters_stack_and_a_ring_of_types_ends() {
    let over = |slot, top, bottom| node(slot, Role::Converter { top, bottom });
    let nodes = [
        driver(0, 0),
        over(1, 5, EN),
        over(2, IP, 5),
        over(3, 7, 8),
        over(4, 8, 7),
        tcpip(5),
        node(6, Role::Protocol { bottom: 7 }),
    ];
    let layout = Layout::new(&nodes, &[]);
    assert_eq!(walk(&layout, 5, 0, false), [2, 1, 0]);
    assert_eq!(walk(&layout, 0, 0, true), [1, 2, 5]);
    assert_eq!(layout.down(6, 0), Next::None);
}

#[test]
fn a_bypassed_node_gets_nothing_but_can_finish() {
    let nodes = [driver(0, 0), above(1, Over::All), ip_en(2), tcpip(3)];
    let layout = Layout::new(&nodes, &[1]);
    assert_eq!(walk(&layout, 0, 0, true), [2, 3]);
    assert_eq!(walk(&layout, 3, 0, false), [2, 0]);
    assert_eq!(layout.up(1, 0), Next::Top(0));
    assert_eq!(layout.down(1, 0), Next::To(0));
    let layout = Layout::new(&nodes, &[0]);
    assert_eq!(layout.down(2, 0), Next::None);
    assert_eq!(layout.up(0, 0), Next::To(1));
}
