//! Rules that make sense and rules that do not.

use super::*;
use crate::fields::Fields;

fn refusal(texts: &[&str]) -> String {
    rules(texts).unwrap_err().text
}

#[test]
fn a_rule_with_everything() {
    let text = "in:en0+up+type:0x86dd+vlan:5+src-mac:02:00:00:00:00:01+dst-mac:ff:ff:ff:ff:ff:ff+\
                src:fd00::/8+dst:fd00::1+proto:udp+sport:1024-65535+dport:53+redirect:en1";
    let rule = &rules(&[text]).unwrap()[0];
    assert_eq!(rule.action, Action::Redirect("en1".into()));
    let pattern = &rule.pattern;
    assert_eq!((pattern.way, pattern.vlan), (Some(Way::Up), Some(5)));
    let fields = Fields {
        dst_mac: Some([0xff; 6]),
        src_mac: Some([2, 0, 0, 0, 0, 1]),
        vlan: Some(5),
        ethertype: Some(0x86dd),
        src: Some("fdff::9".parse().unwrap()),
        dst: Some("fd00::1".parse().unwrap()),
        protocol: Some(17),
        ports: Some((1024, 53)),
    };
    assert!(pattern.matches(&fields));
    for other in [
        Fields {
            vlan: None,
            ..fields
        },
        Fields {
            src_mac: Some([9; 6]),
            ..fields
        },
        Fields {
            src: Some("fe80::1".parse().unwrap()),
            ..fields
        },
        Fields {
            dst: Some("10.0.0.1".parse().unwrap()),
            ..fields
        },
        Fields {
            ports: Some((1023, 53)),
            ..fields
        },
        Fields {
            ports: None,
            ..fields
        },
        Fields {
            protocol: Some(6),
            ..fields
        },
    ] {
        assert!(!pattern.matches(&other), "{other:?}");
    }
}

#[test]
fn a_rule_may_be_an_action_alone() {
    for action in ["drop", "pass", "redirect:en1", "mirror:en1"] {
        let rule = &rules(&[action]).unwrap()[0];
        assert!(rule.pattern.matches(&Fields::default()) && !rule.pattern.looks_inside());
    }
    assert!(
        !rules(&["in:en0+up+drop"]).unwrap()[0]
            .pattern
            .looks_inside()
    );
    assert!(
        rules(&["src:0.0.0.0/0+drop"]).unwrap()[0]
            .pattern
            .looks_inside()
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "no action"),
        ("up", "no action"),
        ("redirect:", "interface's name"),
        ("mirror:en/0", "interface's name"),
        ("sideways+drop", "no condition"),
        ("up:1+drop", "no condition"),
        ("up+down+drop", "direction twice"),
        ("vlan:1+vlan:1+drop", "vlan twice"),
        ("vlan:4095+drop", "VLAN"),
        ("type:46+drop", "no type"),
        ("type:0x45+drop", "no type"),
        ("proto:256+drop", "protocol"),
        ("proto:+1+drop", "protocol"),
        ("sport:9-8+drop", "empty range"),
        ("dport:65536+drop", "a port"),
        ("src:10.0.0.0/33+drop", "network"),
        ("src:10.0.0+drop", "network"),
        ("src-mac:02:00+drop", "no address"),
        ("src-mac:020000000001+drop", "no address"),
    ] {
        let refusal = refusal(&[text]);
        assert!(refusal.contains(reason), "{text}: {refusal}");
        assert!(refusal.starts_with("rule 1"), "{refusal}");
    }
    assert!(refusal(&[&"up+".repeat(100)]).contains("at most"));
}

#[test]
fn what_no_packet_can_be_is_refused() {
    for (text, reason) in [
        ("src:10.0.0.1+dst:fd00::1+drop", "different protocols"),
        ("type:arp+src:10.0.0.1+drop", "different protocols"),
        ("type:arp+proto:tcp+drop", "no protocol"),
        ("proto:icmp+dport:80+drop", "no ports"),
        ("in:en0+mirror:en0", "back to en0"),
        ("in:en0+up+redirect:en0", "back to en0"),
    ] {
        let refusal = refusal(&[text]);
        assert!(refusal.contains(reason), "{text}: {refusal}");
    }
}

#[test]
fn a_rule_that_an_earlier_one_hides_is_refused() {
    for pair in [
        ["in:en0+redirect:en1", "in:en0+redirect:en2"],
        ["in:en0+mirror:en1", "in:en0+up+dport:80+drop"],
        ["src:10.0.0.0/8+drop", "src:10.1.0.0/16+dport:80+pass"],
        ["type:ip+drop", "dst:10.0.0.1+pass"],
        ["dport:1-100+drop", "dport:50-60+pass"],
        ["redirect:en1", "in:en0+drop"],
        ["mirror:en1", "up+mirror:en1"],
        ["drop", "pass"],
    ] {
        let refusal = refusal(&pair);
        assert!(
            refusal.starts_with("rule 2") && refusal.contains("rule 1"),
            "{refusal}"
        );
    }
    for pair in [
        ["in:en0+redirect:en1", "in:en1+redirect:en0"],
        ["src:10.1.0.0/16+drop", "src:10.0.0.0/8+drop"],
        ["dport:50-60+pass", "dport:1-100+drop"],
        ["up+drop", "drop"],
        ["redirect:en1", "in:en1+drop"],
        ["redirect:en1", "redirect:en0"],
        ["src:fd00::/8+drop", "src:10.0.0.0/8+drop"],
    ] {
        assert!(rules(&pair).is_ok(), "{pair:?}");
    }
}
