//! Modules that come up and then go wrong under traffic: the loss is counted, the module is taken
//! out or can be, and io-net goes on.

use io_net_badmodules::{IoNet, Workshop, built};
use serde_json::Value;

/// A counter of a registrant; 0 while there is none.
fn counter(io_net: &mut IoNet, registrant: &str, name: &str) -> u64 {
    let stats: Value = serde_json::from_str(&io_net.done(&["stats", "--json"])).unwrap();
    stats["counters"][registrant][name].as_u64().unwrap_or(0)
}

fn is_mounted(io_net: &mut IoNet, registrant: &str) -> bool {
    let graph: Value = serde_json::from_str(&io_net.done(&["graph", "--json"])).unwrap();
    let registrants = graph["registrants"].as_array().unwrap();
    registrants.iter().any(|r| r["name"] == registrant)
}

/// io-net with a source of packets.
fn with_traffic(workshop: &Workshop) -> IoNet {
    let mut io_net = IoNet::start(workshop);
    io_net.mount(&workshop.compile("devn-source", &[]), "");
    io_net.until("packets", |io_net| counter(io_net, "en0", "sent") > 0);
    io_net
}

/// Shows that packets still flow and nothing is lost for good.
fn still_sound(mut io_net: IoNet) {
    let before = counter(&mut io_net, "en0", "sent");
    io_net.until("more packets", |io_net| {
        counter(io_net, "en0", "sent") > before + 100
    });
    assert!(is_mounted(&mut io_net, "en0"));
    io_net.stop(0);
}

#[test]
fn a_panic_takes_the_module_out() {
    let workshop = Workshop::new();
    let module = built().join("examples/libnpm_panics.so");
    for at in ["rx", "timer"] {
        let mut io_net = with_traffic(&workshop);
        io_net.mount(&module, &format!("at={at}"));
        io_net.until("it to be taken out", |io_net| !is_mounted(io_net, "panics"));
        assert!(io_net.said().contains("as asked"));
        // It can be mounted again.
        io_net.mount(&module, "at=nowhere");
        io_net.done(&["umount", "panics"]);
        still_sound(io_net);
    }
}

#[test]
fn a_panic_at_the_end_ends_no_more() {
    let workshop = Workshop::new();
    let module = built().join("examples/libnpm_panics.so");
    for at in ["quiesce", "drop"] {
        let mut io_net = with_traffic(&workshop);
        io_net.mount(&module, &format!("at={at}"));
        let _ = io_net.ctl(&["umount", "panics"]);
        io_net.until("it to be gone", |io_net| !is_mounted(io_net, "panics"));
        still_sound(io_net);
    }
}

#[test]
fn a_panic_in_a_control_call_is_an_error() {
    let workshop = Workshop::new();
    let mut io_net = with_traffic(&workshop);
    io_net.mount(&built().join("examples/libnpm_panics.so"), "at=devctl");
    let output = io_net.ctl(&["devctl", "panics", "{}"]);
    assert_eq!(output.status.code(), Some(1));
    io_net.until("it to be taken out", |io_net| !is_mounted(io_net, "panics"));
    still_sound(io_net);
}

#[test]
fn packets_released_twice_are_counted() {
    let workshop = Workshop::new();
    let mut io_net = with_traffic(&workshop);
    io_net.mount(&workshop.compile("npm-twice", &[]), "");
    io_net.until("some to be released twice", |io_net| {
        counter(io_net, "io-net", "pool_released_twice") > 100
    });
    io_net.done(&["umount", "twice"]);
    still_sound(io_net);
}

#[test]
fn packets_that_are_not_given_back_are_told() {
    let workshop = Workshop::new();
    let mut io_net = with_traffic(&workshop);
    io_net.mount(&workshop.compile("npm-hoard", &[]), "");
    io_net.until("it to keep some", |io_net| {
        counter(io_net, "hoard", "kept") == 4
    });
    io_net.done(&["umount", "hoard"]);
    assert!(!is_mounted(&mut io_net, "hoard"));
    let before = counter(&mut io_net, "en0", "sent");
    io_net.until("more packets", |io_net| {
        counter(io_net, "en0", "sent") > before + 100
    });
    io_net.stop(4);
}

#[test]
fn a_dry_pool_is_borne() {
    let workshop = Workshop::new();
    let mut io_net = with_traffic(&workshop);
    let greedy = workshop.compile("npm-greedy", &[]);
    io_net.mount(&greedy, "");
    // A small frame may come in a small buffer only: 1024 of them.
    io_net.until("it to have them all", |io_net| {
        counter(io_net, "greedy", "kept") >= 1024
    });
    let sent = counter(&mut io_net, "en0", "sent");
    io_net.done(&["nicinfo"]);
    assert_eq!(counter(&mut io_net, "en0", "sent"), sent);
    io_net.done(&["umount", "greedy"]);
    still_sound(io_net);
}
