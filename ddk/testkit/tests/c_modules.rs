//! Modules in C: the sample driver conforms, and the careless filter is caught at everything.

use io_net_testkit::{Kit, conformance};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `c/NAME.c` against the DDK's header alone.
fn compile(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Tests run side by side: each gets a file of its own.
    let out = format!("{name}-{:?}.so", std::thread::current().id());
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(out);
    let status = Command::new("cc")
        .args([
            "-std=c11",
            "-D_POSIX_C_SOURCE=200809L",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O1",
        ])
        .args(["-shared", "-fPIC", "-o"])
        .arg(&out)
        .arg("-I")
        .arg(here.join("../abi/include"))
        .arg(here.join(format!("c/{name}.c")))
        .status()
        .expect("a C compiler called cc");
    assert!(status.success(), "{name}.c does not compile");
    out
}

#[test]
fn the_sample_driver_conforms() {
    let path = compile("devn-sample");
    conformance::run(path.clone(), "");
    conformance::run(path, "dead,mtu=9000");
}

#[test]
fn what_goes_down_comes_up() {
    let path = compile("devn-sample");
    let mut kit = Kit::start(path.clone(), "mtu=1400").unwrap();
    assert_eq!(kit.registrants()[0].name, "en0");
    assert_eq!(kit.adverts()[0].mtu, 1400);
    let frame = kit.packet(b"a frame").unwrap();
    let other = kit.packet(b"another").unwrap().into();
    let keep = kit.share(&other);
    kit.rx_down(0, 0, vec![frame]);
    kit.rx_raw(0, false, vec![other]);
    let up: Vec<Vec<u8>> = kit
        .take_sent()
        .iter()
        .filter(|sent| sent.up)
        .map(|sent| sent.packet.data().to_vec())
        .collect();
    assert_eq!(up, [b"a frame", b"another"]);
    assert_eq!(kit.counter("looped"), 2);
    drop(keep);
    kit.stop().unwrap();

    let refused = Kit::start(path, "mtu=10").err().unwrap();
    assert!(refused.text.contains("mtu"), "{refused}");
}

#[test]
fn every_careless_act_is_named() {
    let path = compile("nfm-careless");
    let cases = [
        ("d", "tx_done: the packet had been released before"),
        (
            "h",
            "tx_done: the packet had been handed on or released before",
        ),
        (
            "t",
            "tx_up: the packet had been handed on or released before",
        ),
        ("w", "a packet was written after it was handed on by tx_up"),
        ("l", "a packet was leaked: given to rx_up"),
        ("k", "a packet was leaked: given to rx_up"),
        ("o", "tx_up: data ends at"),
        ("r", "is no packet of the pool"),
    ];
    for (act, expected) in cases {
        let mut kit = Kit::start(path.clone(), "").unwrap();
        let packet = kit.packet(format!("{act}....").as_bytes()).unwrap();
        kit.rx_up(0, 0, vec![packet]);
        drop(kit.take_sent());
        let wrongs = kit.stop().unwrap_err();
        let named = wrongs.iter().any(|wrong| wrong.contains(expected));
        assert!(named, "{act}: expected `{expected}` in {wrongs:?}");
    }
    let mut kit = Kit::start(path, "").unwrap();
    let packet = kit.packet(b"fine").unwrap();
    kit.rx_up(0, 0, vec![packet]);
    assert_eq!(kit.take_sent().len(), 1);
    kit.stop().unwrap();
}
