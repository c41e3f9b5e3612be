//! The built bridge: conformance, and what becomes of each sort of frame.

use io_net_ddk::abi::{ADVERT_DYING, Advert, DEVCTL_JSON, NPKT_UP};
use io_net_testkit::{Kit, built_module, conformance, frames};
use std::time::Duration;

const BROADCAST: [u8; 6] = [0xff; 6];

/// A station's address.
fn station(n: u8) -> [u8; 6] {
    [2, 0, 0, 0, 1, n]
}

/// A port's own address.
fn own(endpoint: u16) -> [u8; 6] {
    [2, 0, 0, 0, 0, endpoint as u8]
}

fn advert(endpoint: u16) -> Advert {
    let mut advert = io_net_ddk::advert(&format!("en{endpoint}"), "en");
    advert.endpoint = endpoint;
    advert.mac_len = 6;
    advert.mac[..6].copy_from_slice(&own(endpoint));
    advert
}

fn bridge(options: &str, ports: u16) -> Kit {
    let mut kit = Kit::start(built_module("nfm-bridge"), options).unwrap();
    for endpoint in 0..ports {
        kit.advertise(&advert(endpoint));
    }
    kit
}

fn frame(dst: [u8; 6], src: [u8; 6]) -> Vec<u8> {
    frames::ethernet(dst, src, 0x0800, &[0x45; 46])
}

/// Where frames from `src` to `dst` that came from `endpoint` go: (up, endpoint) of each.
fn switched(kit: &mut Kit, endpoint: u16, dst: [u8; 6], src: [u8; 6]) -> Vec<(bool, u16)> {
    let packet = kit.packet(&frame(dst, src)).unwrap();
    kit.rx_up(0, endpoint, vec![packet]);
    sent(kit, &frame(dst, src))
}

fn sent(kit: &mut Kit, bytes: &[u8]) -> Vec<(bool, u16)> {
    let mut places: Vec<(bool, u16)> = kit
        .take_sent()
        .iter()
        .map(|sent| {
            assert_eq!(sent.packet.data(), bytes);
            assert_eq!(sent.packet.flags() & NPKT_UP != 0, sent.up);
            (sent.up, sent.packet.endpoint())
        })
        .collect();
    places.sort();
    places
}

#[test]
fn it_conforms() {
    conformance::run(built_module("nfm-bridge"), "");
    conformance::run(built_module("nfm-bridge"), "ports=en0:en1,age=1,table=8");
    conformance::run(
        built_module("nfm-bridge"),
        "access=en0:10,trunk=en1:10+20,loop_guard=5",
    );
}

#[test]
fn it_learns_and_forwards() {
    let mut kit = bridge("", 3);
    let (a, b) = (station(1), station(2));
    assert_eq!(switched(&mut kit, 0, b, a), [(false, 1), (false, 2)]);
    assert_eq!(switched(&mut kit, 1, a, b), [(false, 0)]);
    assert_eq!(switched(&mut kit, 0, b, a), [(false, 1)]);
    assert_eq!(switched(&mut kit, 1, b, station(3)), []);
    assert_eq!(kit.counter("drop_hairpin"), 1);
    assert_eq!(kit.counter("flooded_unknown"), 1);
    assert_eq!(kit.counter("forwarded"), 2);
    kit.stop().unwrap();
}

#[test]
fn a_station_that_moves_is_followed_and_a_silent_one_forgotten() {
    let mut kit = bridge("age=10", 3);
    let (a, b) = (station(1), station(2));
    switched(&mut kit, 0, b, a);
    switched(&mut kit, 1, b, a);
    assert_eq!(kit.counter("stations_moved"), 1);
    assert_eq!(switched(&mut kit, 2, a, b), [(false, 1)]);
    kit.advance(Duration::from_secs(30));
    assert_eq!(kit.counter("stations_forgotten"), 2);
    assert_eq!(switched(&mut kit, 2, a, b), [(false, 0), (false, 1)]);
    kit.stop().unwrap();
}

#[test]
fn groups_go_everywhere_and_reserved_ones_only_up() {
    let mut kit = bridge("", 2);
    let everywhere = [(false, 1), (true, 0), (true, 1)];
    assert_eq!(switched(&mut kit, 0, BROADCAST, station(1)), everywhere);
    let multicast = [1, 0, 0x5e, 0, 0, 1];
    assert_eq!(switched(&mut kit, 0, multicast, station(1)), everywhere);
    let spanning_tree = [1, 0x80, 0xc2, 0, 0, 0];
    assert_eq!(
        switched(&mut kit, 0, spanning_tree, station(1)),
        [(true, 0)]
    );
    assert_eq!(kit.counter("reserved_group"), 1);
    kit.stop().unwrap();
}

#[test]
fn the_local_stack_is_reached_and_reaches() {
    let mut kit = bridge("", 2);
    assert_eq!(switched(&mut kit, 0, own(0), station(1)), [(true, 0)]);
    assert_eq!(switched(&mut kit, 0, own(1), station(1)), [(true, 1)]);
    assert_eq!(kit.counter("local"), 2);

    let reply = frame(station(1), own(1));
    let packet = kit.packet(&reply).unwrap();
    kit.rx_down(0, 1, vec![packet]);
    assert_eq!(sent(&mut kit, &reply), [(false, 0)]);

    let request = frame(BROADCAST, own(1));
    let packet = kit.packet(&request).unwrap();
    kit.rx_down(0, 1, vec![packet]);
    assert_eq!(
        sent(&mut kit, &request),
        [(false, 0), (false, 1), (true, 0)]
    );
    kit.stop().unwrap();
}

#[test]
fn ports_come_and_go() {
    let mut kit = bridge("", 2);
    let (a, b) = (station(1), station(2));
    switched(&mut kit, 1, b, a);
    let mut dying = advert(1);
    dying.flags = ADVERT_DYING;
    kit.advertise(&dying);
    assert_eq!(switched(&mut kit, 0, a, b), []);
    assert_eq!(kit.counter("drop_no_port"), 1);
    kit.advertise(&advert(4));
    assert_eq!(switched(&mut kit, 0, a, b), [(false, 4)]);
    let mut down = advert(4);
    down.flags = 0;
    kit.advertise(&down);
    assert_eq!(switched(&mut kit, 0, a, b), []);
    kit.stop().unwrap();
}

#[test]
fn other_interfaces_are_left_alone() {
    let mut kit = bridge("ports=en0:en1", 3);
    assert_eq!(switched(&mut kit, 2, station(1), station(2)), [(true, 2)]);
    assert_eq!(switched(&mut kit, 0, station(1), station(2)), [(false, 1)]);
    kit.stop().unwrap();
}

#[test]
fn bad_frames_are_dropped_and_counted() {
    let mut kit = bridge("", 2);
    assert_eq!(switched(&mut kit, 0, station(1), BROADCAST), []);
    assert_eq!(switched(&mut kit, 0, station(1), [0; 6]), []);
    let runt = kit.packet(&[2; 13]).unwrap();
    kit.rx_up(0, 0, vec![runt]);
    assert!(kit.take_sent().is_empty());
    assert_eq!(
        (kit.counter("drop_bad_source"), kit.counter("drop_runt")),
        (2, 1)
    );
    kit.stop().unwrap();
}

#[test]
fn a_burst_is_sorted_by_port_and_keeps_its_order() {
    let mut kit = bridge("", 3);
    for n in 0..3 {
        switched(&mut kit, u16::from(n), BROADCAST, station(n));
    }
    let burst = (0..250)
        .map(|n: u8| {
            let mut frame = frame(station(1 + n % 2), station(0));
            frame[20] = n;
            kit.packet(&frame).unwrap()
        })
        .collect();
    kit.rx_up(0, 0, burst);
    let sent = kit.take_sent();
    assert_eq!(sent.len(), 250);
    for port in [1, 2] {
        let marks = sent.iter().filter(|sent| sent.packet.endpoint() == port);
        let marks: Vec<u8> = marks.map(|sent| sent.packet.data()[20]).collect();
        assert_eq!(marks.len(), 125);
        assert!(marks.is_sorted());
    }
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn frames_that_others_hold_are_copied() {
    let mut kit = bridge("", 2);
    let packet = kit.packet(&frame(station(1), station(2))).unwrap();
    let packet = packet.into();
    let held = kit.share(&packet);
    kit.rx_raw(0, true, vec![packet]);
    assert_eq!(sent(&mut kit, &frame(station(1), station(2))), [(false, 1)]);
    assert_eq!(held.endpoint(), 0);
    drop(held);
    kit.stop().unwrap();
}

#[test]
fn one_shared_frame_amid_a_burst_does_not_disturb_the_order() {
    let mut kit = bridge("", 2);
    let frames: Vec<Vec<u8>> = (0..9)
        .map(|n| [frame(station(1), station(2)), vec![n]].concat())
        .collect();
    let packets = frames.iter().map(|frame| kit.packet(frame).unwrap().into());
    let packets: Vec<_> = packets.collect();
    let held = kit.share(&packets[4]);
    kit.rx_raw(0, true, packets);
    let sent = kit.take_sent();
    let data: Vec<&[u8]> = sent.iter().map(|sent| sent.packet.data()).collect();
    assert_eq!(data, frames);
    let turned = |sent: &io_net_testkit::Sent| !sent.up && sent.packet.endpoint() == 1;
    assert!(sent.iter().all(turned));
    assert_eq!(kit.counter("flooded_unknown"), 9);
    assert_eq!(held.flags() & NPKT_UP, 0);
    drop(sent);
    drop(held);
    kit.stop().unwrap();
}

#[test]
fn operators_list_and_flush() {
    let mut kit = bridge("", 2);
    switched(&mut kit, 0, BROADCAST, station(1));
    switched(&mut kit, 1, BROADCAST, station(2));
    let text = |answer: Vec<u8>| String::from_utf8(answer).unwrap();
    let mut ask = |request: &str| kit.devctl(0, DEVCTL_JSON, request.as_bytes()).map(text);
    let list = ask(r#"{"cmd":"mac-list"}"#).unwrap();
    assert!(
        list.contains("02:00:00:00:01:02") && list.contains("en1"),
        "{list}"
    );
    assert_eq!(
        ask(r#"{"cmd":"mac-flush","port":"en1"}"#).unwrap(),
        r#"{"forgotten":1}"#
    );
    assert_eq!(ask(r#"{"cmd":"mac-flush"}"#).unwrap(), r#"{"forgotten":1}"#);
    let refused = ask(r#"{"cmd":"mac-flush","port":"en9"}"#).unwrap_err();
    assert!(refused.text.contains("en9"));
    assert!(ask("{").is_err() && ask("{}").is_err());
    kit.stop().unwrap();
}

/// The same frame with a tag.
fn tagged(control: u16, frame: &[u8]) -> Vec<u8> {
    let [a, b] = control.to_be_bytes();
    [&frame[..12], &[0x81, 0, a, b], &frame[12..]].concat()
}

/// What comes out where, (up, endpoint, bytes) of each, after `bytes` came in at `endpoint`.
fn out(kit: &mut Kit, endpoint: u16, bytes: &[u8]) -> Vec<(bool, u16, Vec<u8>)> {
    let packet = kit.packet(bytes).unwrap();
    kit.rx_up(0, endpoint, vec![packet]);
    let mut all: Vec<_> = kit
        .take_sent()
        .iter()
        .map(|sent| (sent.up, sent.packet.endpoint(), sent.packet.data().to_vec()))
        .collect();
    all.sort();
    all
}

#[test]
fn vlans_are_apart_and_each_port_gets_its_form() {
    let mut kit = bridge(
        "access=en0:10,trunk=en1:10+20,access=en2:20,access=en3:10",
        5,
    );
    let plain = frame(BROADCAST, station(1));
    // Down to the trunk with a tag, to the other port of VLAN 10 without; up to their stacks too.
    let with = tagged(10, &plain);
    let expected = [
        (false, 1, with.clone()),
        (false, 3, plain.clone()),
        (true, 0, plain.clone()),
        (true, 1, with.clone()),
        (true, 3, plain.clone()),
    ];
    assert_eq!(out(&mut kit, 0, &plain), expected);
    // The priority stays, and the way back is known in this VLAN.
    let back = frame(station(1), station(2));
    assert_eq!(
        out(&mut kit, 1, &tagged(0xa00a, &back)),
        [(false, 0, back.clone())]
    );
    let unknown = frame(station(1), station(3));
    assert_eq!(
        out(&mut kit, 2, &unknown),
        [(false, 1, tagged(20, &unknown))]
    );
    // Priority without a VLAN: the port's own.
    let priority = tagged(0x6000, &frame(station(2), station(1)));
    assert_eq!(
        out(&mut kit, 0, &priority),
        [(false, 1, tagged(0x600a, &frame(station(2), station(1))))]
    );
    assert_eq!(kit.counter("drop_vlan"), 0);
    kit.stop().unwrap();
}

#[test]
fn frames_of_vlans_that_a_port_does_not_carry_are_dropped_and_counted() {
    let mut kit = bridge("access=en0:10,trunk=en1:10+20,native=en1:5", 3);
    let plain = frame(BROADCAST, station(1));
    for (endpoint, bytes) in [
        (0, tagged(10, &plain)),
        (0, tagged(20, &plain)),
        (1, tagged(30, &plain)),
        (1, tagged(5, &plain)),
        (2, plain.clone()),
        (
            0,
            plain[..12].iter().chain(&[0x81, 0, 0]).copied().collect(),
        ),
    ] {
        let came_out = out(&mut kit, endpoint, &bytes);
        let escaped = came_out.iter().any(|(up, at, _)| !up && *at != 1);
        assert!(!escaped, "{endpoint}: {came_out:?}");
    }
    assert_eq!(kit.counter("drop_vlan"), 5);
    assert_eq!(out(&mut kit, 1, &plain), [(true, 1, plain.clone())]);
    kit.stop().unwrap();
}

#[test]
fn local_stacks_take_part_in_the_vlans_of_their_ports() {
    let mut kit = bridge("access=en0:10,trunk=en1:10+20", 2);
    let to_trunk = frame(own(1), station(1));
    assert_eq!(
        out(&mut kit, 0, &to_trunk),
        [(true, 1, tagged(10, &to_trunk))]
    );
    let to_access = tagged(20, &frame(own(0), station(1)));
    assert_eq!(out(&mut kit, 1, &to_access), []);
    let reply = frame(station(1), own(1));
    let packet = kit.packet(&tagged(10, &reply)).unwrap();
    kit.rx_down(0, 1, vec![packet]);
    assert_eq!(sent(&mut kit, &reply), [(false, 0)]);
    kit.stop().unwrap();
}

#[test]
fn a_static_station_stays_at_its_port() {
    let mut kit = bridge("static=02:00:00:00:01:07=en2,age=10", 4);
    let fixed = station(7);
    assert_eq!(switched(&mut kit, 0, fixed, station(1)), [(false, 2)]);
    // Who pretends to be it elsewhere changes nothing, nor does time.
    switched(&mut kit, 1, BROADCAST, fixed);
    kit.advance(Duration::from_secs(60));
    assert_eq!(switched(&mut kit, 0, fixed, station(1)), [(false, 2)]);
    assert_eq!(switched(&mut kit, 2, fixed, station(3)), []);
    // Without its port its frames go nowhere, not everywhere.
    let mut dying = advert(2);
    dying.flags = ADVERT_DYING;
    kit.advertise(&dying);
    assert_eq!(switched(&mut kit, 0, fixed, station(1)), []);
    assert_eq!(
        (kit.counter("drop_hairpin"), kit.counter("drop_no_port")),
        (1, 1)
    );
    kit.stop().unwrap();
}

/// The probes that went out, by port.
fn probes(kit: &mut Kit) -> Vec<(u16, Vec<u8>)> {
    let sent = kit.take_sent();
    let all = sent.iter().map(|sent| {
        assert!(!sent.up);
        (sent.packet.endpoint(), sent.packet.data().to_vec())
    });
    all.collect()
}

#[test]
fn a_loop_closes_one_of_its_ports_until_it_is_gone() {
    let mut kit = bridge("loop_guard=5", 3);
    kit.advance(Duration::from_secs(1));
    let sent = probes(&mut kit);
    assert_eq!(sent.len(), 3);
    // A cable from en0 to en1: each hears the other's probe.
    assert_eq!(out(&mut kit, 0, &sent[1].1), []);
    assert_eq!(kit.counter("loops"), 0);
    assert_eq!(out(&mut kit, 1, &sent[0].1), []);
    assert_eq!((kit.counter("loops"), kit.counter("probes_in")), (1, 2));
    assert_eq!(switched(&mut kit, 1, BROADCAST, station(1)), []);
    assert_eq!(kit.counter("drop_closed"), 1);
    let flooded = [(false, 2), (true, 0), (true, 1), (true, 2)];
    assert_eq!(switched(&mut kit, 0, BROADCAST, station(2)), flooded);
    for _ in 0..6 {
        kit.advance(Duration::from_secs(1));
    }
    kit.take_sent();
    assert_eq!(switched(&mut kit, 1, station(2), station(1)), [(false, 0)]);
    kit.stop().unwrap();
}

#[test]
fn jumping_stations_bring_probes_at_once_and_other_bridges_probes_pass() {
    let mut kit = bridge("loop_guard=5", 3);
    for n in 0..20 {
        switched(&mut kit, n % 2, BROADCAST, station(1));
    }
    kit.advance(Duration::from_millis(1));
    let mut sent = probes(&mut kit);
    assert_eq!(sent.len(), 3);
    // Somebody else's identity.
    let foreign = &mut sent[0].1;
    foreign[25] ^= 1;
    let places: Vec<bool> = out(&mut kit, 1, foreign)
        .iter()
        .map(|sent| sent.0)
        .collect();
    assert_eq!(places, [false, false, true, true, true]);
    assert_eq!(kit.counter("loops"), 0);
    kit.stop().unwrap();
}
