//! Where packets go.

use io_net_ddk::abi::{ADVERT_DYING, DEVCTL_JSON, NPKT_MSG, NPKT_UP, VNET_DATA_VALID};
use io_net_testkit::frames::{ethernet, ipv4, udp};
use io_net_testkit::{Kit, built_module};

/// A filter above en0, en1 and en2.
fn start(rules: &[&str]) -> Kit {
    let options: Vec<String> = rules.iter().map(|rule| format!("rule={rule}")).collect();
    let mut kit = Kit::start(built_module("nfm-forward"), &options.join(",")).unwrap();
    for endpoint in 0..3 {
        advertise(&mut kit, endpoint, 0);
    }
    kit
}

fn advertise(kit: &mut Kit, endpoint: u16, flags: u32) {
    let mut advert = io_net_ddk::advert(&format!("en{endpoint}"), "en");
    advert.endpoint = endpoint;
    advert.flags |= flags;
    kit.advertise(&advert);
}

fn frame(to: u16, number: u8) -> Vec<u8> {
    ethernet([2; 6], [4; 6], 0x0800, &ipv4(17, &udp(9, to, &[number])))
}

fn number(bytes: &[u8]) -> u8 {
    bytes[42]
}

/// Packets to UDP port `to` by interface `endpoint`.
fn send(kit: &mut Kit, up: bool, endpoint: u16, to: u16, numbers: std::ops::Range<u8>) {
    let packets = numbers
        .map(|n| kit.packet(&frame(to, n)).unwrap())
        .collect();
    match up {
        true => kit.rx_up(0, endpoint, packets),
        false => kit.rx_down(0, endpoint, packets),
    }
}

/// (up, endpoint, number) of what came out, in order.
fn came(kit: &mut Kit) -> Vec<(bool, u16, u8)> {
    let sent = kit.take_sent();
    let what = sent.iter().map(|sent| {
        assert_eq!(sent.packet.flags() & NPKT_UP != 0, sent.up);
        (sent.up, sent.packet.endpoint(), number(sent.packet.data()))
    });
    what.collect()
}

#[test]
fn the_first_match_decides() {
    let mut kit = start(&[
        "in:en0+up+dport:80+redirect:en1",
        "in:en0+dport:81+mirror:en2",
        "dport:82+drop",
    ]);
    for to in [80, 81, 82, 83] {
        send(&mut kit, true, 0, to, to as u8..to as u8 + 1);
    }
    let out = [(false, 1, 80), (true, 0, 81), (false, 2, 81), (true, 0, 83)];
    assert_eq!(came(&mut kit), out);
    send(&mut kit, false, 0, 80, 1..2);
    send(&mut kit, true, 1, 80, 2..3);
    assert_eq!(came(&mut kit), [(false, 0, 1), (true, 1, 2)]);
    let counts = ["passed", "redirected", "mirrored", "dropped"].map(|name| kit.counter(name));
    assert_eq!(counts, [4, 1, 1, 1]);
    let list = kit.devctl(0, DEVCTL_JSON, br#"{"cmd":"list"}"#).unwrap();
    let list = String::from_utf8(list).unwrap();
    assert_eq!(list.matches("\"packets\":1").count(), 3, "{list}");
    kit.stop().unwrap();
}

#[test]
fn a_redirected_packet_is_the_same_one_and_a_mirrored_one_a_copy() {
    let mut kit = start(&["dport:80+redirect:en1", "mirror:en2"]);
    let mut packet = kit.packet(&frame(80, 1)).unwrap();
    packet.vnet_mut().flags = VNET_DATA_VALID;
    let address = packet.data().as_ptr();
    kit.rx_up(0, 0, vec![packet]);
    let sent = kit.take_sent();
    assert_eq!(sent[0].packet.data().as_ptr(), address);
    assert_eq!(sent[0].packet.vnet().flags, 0);
    drop(sent);
    // Held by somebody else too, it cannot be sent elsewhere itself.
    let packet = kit.packet(&frame(80, 2)).unwrap().into();
    let other = kit.share(&packet);
    kit.rx_raw(0, false, vec![packet]);
    assert_eq!(came(&mut kit), [(false, 1, 2)]);
    assert_eq!(other.endpoint(), 0);
    drop(other);
    send(&mut kit, true, 0, 9, 0..1);
    let sent = kit.take_sent();
    assert_ne!(
        sent[0].packet.data().as_ptr(),
        sent[1].packet.data().as_ptr()
    );
    drop(sent);
    kit.stop().unwrap();
}

#[test]
fn rules_change_at_once_and_keep_their_counts() {
    let mut kit = start(&["up+redirect:en1"]);
    send(&mut kit, true, 0, 1, 0..10);
    let set = br#"{"cmd":"set","rules":["dport:7+drop","up+redirect:en1"]}"#;
    let list = kit.devctl(0, DEVCTL_JSON, set).unwrap();
    assert!(String::from_utf8(list).unwrap().contains("\"packets\":10"));
    send(&mut kit, true, 0, 7, 10..20);
    send(&mut kit, true, 0, 1, 20..30);
    let wanted: Vec<_> = (0..10).chain(20..30).map(|n| (false, 1, n)).collect();
    assert_eq!(came(&mut kit), wanted);
    for bad in [
        &br#"{"cmd":"set","rules":["drop","pass"]}"#[..],
        br#"{"cmd":"set","rules":["pass",7]}"#,
        br#"{"cmd":"set","rules":"pass"}"#,
        br#"{"cmd":"flush"}"#,
        b"",
    ] {
        assert!(kit.devctl(0, DEVCTL_JSON, bad).is_err());
    }
    send(&mut kit, true, 0, 7, 0..1);
    assert!(came(&mut kit).is_empty(), "the rules before stay");
    kit.devctl(0, DEVCTL_JSON, br#"{"cmd":"set","rules":[]}"#)
        .unwrap();
    send(&mut kit, true, 0, 7, 0..1);
    assert_eq!(came(&mut kit), [(true, 0, 0)]);
    kit.stop().unwrap();
}

#[test]
fn an_interface_that_is_not_there_gets_nothing() {
    let mut kit = start(&["in:en0+up+redirect:en1", "in:en0+mirror:en2"]);
    advertise(&mut kit, 1, ADVERT_DYING);
    advertise(&mut kit, 2, ADVERT_DYING);
    send(&mut kit, true, 0, 1, 0..3);
    send(&mut kit, false, 0, 1, 3..5);
    assert_eq!(came(&mut kit), [(false, 0, 3), (false, 0, 4)]);
    assert_eq!((kit.counter("no_target"), kit.counter("no_mirror")), (3, 2));
    advertise(&mut kit, 1, 0);
    send(&mut kit, true, 0, 1, 5..6);
    assert_eq!(came(&mut kit), [(false, 1, 5)]);
    kit.stop().unwrap();
}

#[test]
fn a_rule_for_all_spares_the_interface_it_leads_to() {
    let mut kit = start(&["redirect:en2"]);
    send(&mut kit, true, 0, 1, 0..1);
    send(&mut kit, true, 2, 1, 1..2);
    send(&mut kit, false, 2, 1, 2..3);
    assert_eq!(came(&mut kit), [(false, 2, 0), (true, 2, 1), (false, 2, 2)]);
    kit.stop().unwrap();
}

#[test]
fn order_is_kept_on_each_way() {
    let mut kit = start(&["dport:80+redirect:en1", "dport:81+mirror:en1"]);
    let packets = (0..250).map(|n| kit.packet(&frame(79 + u16::from(n) % 4, n)).unwrap());
    let packets = packets.collect();
    kit.rx_up(0, 0, packets);
    let out = came(&mut kit);
    let went = |up: bool| {
        out.iter()
            .filter(|o| o.0 == up)
            .map(|o| o.2)
            .collect::<Vec<_>>()
    };
    let wanted = |of: [u8; 3]| {
        (0..250)
            .filter(|n| of.contains(&(n % 4)))
            .collect::<Vec<u8>>()
    };
    assert_eq!(went(true), wanted([0, 2, 3]));
    assert_eq!(went(false), wanted([1, 2, 2]));
    kit.stop().unwrap();
}

#[test]
fn messages_pass_whatever_the_rules() {
    let mut kit = start(&["drop"]);
    let mut message = kit.packet(&frame(1, 1)).unwrap();
    message.set_flags(NPKT_MSG, 0);
    kit.rx_down(0, 0, vec![message]);
    assert_eq!(came(&mut kit), [(false, 0, 1)]);
    kit.stop().unwrap();
}

#[test]
fn contradictions_are_refused_at_the_start() {
    for (rules, reason) in [
        (
            "rule=in:en0+redirect:en1,rule=in:en0+redirect:en2",
            "rule 2",
        ),
        ("rule=in:en0+mirror:en0", "back to en0"),
        ("rule=", "no action"),
    ] {
        let refusal = Kit::start(built_module("nfm-forward"), rules).map(|_| ());
        assert!(refusal.unwrap_err().text.contains(reason), "{rules}");
    }
}
