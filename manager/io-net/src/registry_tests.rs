//! Names, numbers, places and dependants.

use super::*;
use crate::instance::Link;
fn claim(flags: u32, name: &str, top: Option<&str>, bottom: Option<&str>) -> Claim {
    Claim {
        flags,
        name: name.into(),
        top: top.map(Into::into),
        bottom: bottom.map(Into::into),
    }
}

fn driver() -> Claim {
    claim(REG_PRODUCER_UP, "en", Some("en"), None)
}

fn protocol() -> Claim {
    claim(REG_PRODUCER_DOWN, "tcpip", None, Some("ip"))
}

fn converter() -> Claim {
    claim(REG_CONVERTER, "ip_en", Some("ip"), Some("en"))
}

fn filter(name: &str) -> Claim {
    claim(REG_FILTER_ABOVE | REG_FILTER_BELOW, name, None, None)
}

fn above(names: &[&str]) -> Placement {
    Placement {
        above: names.iter().map(|n| (*n).into()).collect(),
        ..Placement::default()
    }
}

fn below(name: &str) -> Placement {
    Placement {
        below: Some(name.into()),
        ..Placement::default()
    }
}

/// Enters a registrant of instance `id` and puts it in the graph.
fn enter(
    registry: &mut Registry,
    id: u64,
    claim: &Claim,
    placement: &Placement,
) -> Result<(RegHandle, u16, u16), Refusal> {
    let entered = registry.enter(claim, placement, true, |handle, name| {
        let link = Link::new(id, "test".into());
        Reg::inert(handle, name, link)
    });
    registry.set_state(id, State::Live);
    entered
}

fn name(registry: &Registry, handle: RegHandle) -> String {
    registry.entry(handle).unwrap().reg.name().into()
}

#[test]
fn interfaces_are_numbered() {
    let usual = Placement::default();
    let lan = |n| Placement {
        lan: Some(n),
        ..Placement::default()
    };
    let mut registry = Registry::default();
    let a = enter(&mut registry, 1, &driver(), &usual).unwrap();
    let b = enter(&mut registry, 2, &driver(), &lan(5)).unwrap();
    let c = enter(&mut registry, 3, &driver(), &usual).unwrap();
    let far = enter(&mut registry, 4, &driver(), &lan(1000)).unwrap();
    let names = [a, b, c, far].map(|(handle, _, _)| name(&registry, handle));
    assert_eq!(names, ["en0", "en5", "en1", "en1000"]);
    assert_eq!([a.2, b.2, c.2, far.2], [0, 5, 1, 2]);
    let taken = enter(&mut registry, 5, &driver(), &lan(5)).unwrap_err();
    assert_eq!(taken.errno, EEXIST);
    assert!(taken.text.contains("lan=N"), "{}", taken.text);
    let vlan = claim(REG_PRODUCER_UP, "en5.10", Some("en"), None);
    let vlan = enter(&mut registry, 7, &vlan, &usual).unwrap();
    assert_eq!((&*name(&registry, vlan.0), vlan.2), ("en5.10", 3));
    registry.remove(1);
    let again = enter(&mut registry, 6, &driver(), &usual).unwrap();
    assert_eq!(name(&registry, again.0), "en0");
    assert_eq!(slot_of(again.0), slot_of(a.0));
    assert_ne!(again.0, a.0, "handles are not reused");
    assert!(registry.entry(a.0).is_none());
}

#[test]
fn what_is_no_registrant_is_refused() {
    let usual = Placement::default();
    let mut registry = Registry::default();
    enter(&mut registry, 1, &protocol(), &usual).unwrap();
    let long = "a".repeat(16);
    for (claim, placement, errno) in [
        (protocol(), usual.clone(), EEXIST),
        (claim(0, "x", None, None), usual.clone(), EINVAL),
        (
            claim(0x18, "x", Some("en"), Some("en")),
            usual.clone(),
            EINVAL,
        ),
        (
            claim(REG_PRODUCER_UP, "en", None, None),
            usual.clone(),
            EINVAL,
        ),
        (
            claim(REG_PRODUCER_DOWN, "x", None, None),
            usual.clone(),
            EINVAL,
        ),
        (
            claim(REG_CONVERTER, "x", Some("ip"), Some("ip")),
            usual.clone(),
            EINVAL,
        ),
        (
            claim(REG_PRODUCER_DOWN, "", None, Some("ip")),
            usual.clone(),
            EINVAL,
        ),
        (
            claim(REG_PRODUCER_DOWN, "a/b", None, Some("ip")),
            usual.clone(),
            EINVAL,
        ),
        (
            claim(REG_PRODUCER_DOWN, &long, None, Some("ip")),
            usual.clone(),
            EINVAL,
        ),
        (
            claim(REG_PRODUCER_DOWN, "x", None, Some("toolongtype")),
            usual,
            EINVAL,
        ),
        (filter("f"), above(&["en0"]), ENOENT),
        (filter("f"), above(&["tcpip"]), ENOENT),
        (filter("f"), below("nobody"), ENOENT),
        (
            claim(REG_FILTER_BELOW, "f", None, None),
            Placement::default(),
            EINVAL,
        ),
        (
            claim(REG_FILTER_ABOVE, "f", None, None),
            below("tcpip"),
            EINVAL,
        ),
        (
            claim(REG_FILTER_BELOW, "f", Some("en"), Some("en")),
            below("tcpip"),
            EINVAL,
        ),
    ] {
        let refused = enter(&mut registry, 2, &claim, &placement);
        assert_eq!(refused.unwrap_err().errno, errno, "{claim:?}");
        assert_eq!(registry.entries().count(), 1);
    }
}

#[test]
fn dependants_are_named() {
    let usual = Placement::default();
    let mut registry = Registry::default();
    enter(&mut registry, 1, &driver(), &usual).unwrap();
    enter(&mut registry, 2, &converter(), &usual).unwrap();
    enter(&mut registry, 3, &protocol(), &usual).unwrap();
    enter(&mut registry, 4, &filter("cap"), &above(&["en0"])).unwrap();
    enter(&mut registry, 5, &filter("shape"), &below("tcpip")).unwrap();
    enter(&mut registry, 6, &filter("all"), &usual).unwrap();
    assert_eq!(registry.dependants(1), ["cap"]);
    assert_eq!(registry.dependants(2), ["tcpip"]);
    assert_eq!(registry.dependants(3), ["shape"]);
    assert!(registry.dependants(4).is_empty());
    assert!(registry.dependants(6).is_empty());
    let second = Claim {
        name: "ip_en2".into(),
        ..converter()
    };
    enter(&mut registry, 7, &second, &usual).unwrap();
    assert!(registry.dependants(2).is_empty(), "another leads there");
    assert!(registry.has_producer(1, 2) && !registry.has_producer(9, 0));
}

#[test]
fn adverts_go_to_whom_they_concern() {
    let usual = Placement::default();
    let mut registry = Registry::default();
    let en0 = enter(&mut registry, 1, &driver(), &usual).unwrap();
    let ip_en = enter(&mut registry, 2, &converter(), &usual).unwrap();
    enter(&mut registry, 3, &protocol(), &usual).unwrap();
    enter(&mut registry, 4, &driver(), &usual).unwrap();
    enter(&mut registry, 5, &filter("cap1"), &above(&["en1"])).unwrap();
    let mut advert = Advert {
        size: size_of::<Advert>() as u32,
        flags: 0,
        cell: 0,
        endpoint: 0,
        iface: 0,
        mac_len: 0,
        mtu: 1500,
        gso_max: 0,
        caps: 0,
        reserved: 0,
        mac: [0; 8],
        name: [0; 16],
        up_type: [0; 8],
    };
    let audience = |registry: &Registry, from, advert: &Advert| -> Vec<String> {
        let audience = registry.audience(from, advert);
        audience.iter().map(|reg| reg.name().into()).collect()
    };
    assert_eq!(audience(&registry, en0.0, &advert), ["ip_en"]);
    advert.endpoint = 1;
    assert_eq!(audience(&registry, en0.0, &advert), ["ip_en", "cap1"]);
    advert.cell = 1;
    assert_eq!(audience(&registry, ip_en.0, &advert), ["tcpip"]);
    registry.keep_advert(ip_en.0, advert);
    registry.keep_advert(ip_en.0, advert);
    assert_eq!(registry.adverts().len(), 1);
    advert.flags = io_net_abi::ADVERT_DYING;
    registry.keep_advert(ip_en.0, advert);
    assert!(registry.adverts().is_empty());
}

#[test]
fn plans_follow_the_entries() {
    let usual = Placement::default();
    let mut registry = Registry::default();
    let en0 = enter(&mut registry, 1, &driver(), &usual).unwrap();
    enter(&mut registry, 2, &converter(), &usual).unwrap();
    let first = registry.plan();
    assert!(first.reg(en0.0).is_some());
    assert_eq!(first.regs.iter().flatten().count(), 2);
    registry.remove(1);
    let second = registry.plan();
    assert!(second.version > first.version);
    assert!(second.reg(en0.0).is_none());
}
