//! Modules that must not come up: each is refused with its reason, io-net goes on, and a sound
//! module still comes up afterwards.

use io_net_badmodules::{IoNet, Workshop, built};
use io_net_ddk::abi::{ABI_MAJOR, ABI_MINOR};
use std::path::Path;
use std::process::Command;

/// Mounts `module`, which must be refused for a reason that holds every one of `words`; then shows
/// that io-net is none the worse.
fn refused(workshop: &Workshop, module: &Path, options: &str, words: &[&str]) {
    let mut io_net = IoNet::start(workshop);
    for _ in 0..2 {
        let why = io_net.refusal(module, options);
        for word in words {
            assert!(why.contains(word), "\"{word}\" is not in: {why}");
        }
        assert!(io_net.done(&["graph"]).contains("nothing is mounted"));
    }
    let sound = workshop.compile("devn-source", &[]);
    io_net.mount(&sound, "");
    io_net.done(&["umount", "en0"]);
    io_net.stop(0);
}

fn c_refused(name: &str, args: &[&str], words: &[&str]) {
    let workshop = Workshop::new();
    let module = workshop.compile(name, args);
    refused(&workshop, &module, "", words);
}

#[test]
fn another_abi() {
    let (theirs, ours) = (
        format!("version {}.{ABI_MINOR}", ABI_MAJOR + 1),
        format!("{ABI_MAJOR}.{ABI_MINOR}"),
    );
    c_refused("devn-wrong-major", &[], &[&theirs, &ours, "build it again"]);
}

#[test]
fn a_later_abi() {
    let (theirs, ours) = (
        format!("version {ABI_MAJOR}.{}", ABI_MINOR + 1),
        format!("{ABI_MAJOR}.{ABI_MINOR}"),
    );
    c_refused("devn-newer-minor", &[], &[&theirs, &ours]);
}

#[test]
fn no_module_in_it() {
    c_refused("devn-no-symbol", &[], &["io_net_module"]);
}

#[test]
fn its_name_says_driver_and_it_says_filter() {
    c_refused("devn-wrong-kind", &[], &["devn-wrong-kind", "filter"]);
}

#[test]
fn a_description_with_a_hole() {
    for (hole, word) in [
        (".init=NULL", "init"),
        (".shutdown=NULL", "shutdown"),
        (".name=NULL", "name"),
        (".size=8", "8 bytes"),
        (".kind=99", "kind is 99"),
        (".n_options=3", "options"),
        (".n_options=UINT32_MAX", "options"),
    ] {
        c_refused("devn-hollow", &[&format!("-DHOLE={hole}")], &[word]);
    }
}

#[test]
fn an_option_table_that_cannot_be_read() {
    for (spec, word) in [
        ("{\"x\",99,0,\"\"}", "kind 99"),
        ("{NULL,0,0,NULL}", "option"),
    ] {
        c_refused("devn-bad-options", &[&format!("-DSPEC={spec}")], &[word]);
    }
}

#[test]
fn init_answers_rubbish() {
    for result in ["42", "INT32_MAX", "INT32_MIN", "-4096"] {
        let define = format!("-DRESULT={result}");
        c_refused("devn-rubbish-result", &[&define], &["init"]);
    }
}

#[test]
fn init_fails_half_way() {
    c_refused(
        "devn-half-way",
        &[],
        &["the device did not answer", "plugged in"],
    );
}

#[test]
fn init_fails_without_a_word() {
    c_refused("devn-mute", &[], &["devn-mute", "No such device"]);
}

#[test]
fn a_name_that_is_taken() {
    c_refused("npm-taken-name", &[], &["twin", "taken"]);
}

#[test]
fn a_registrant_that_cannot_be() {
    const SIZE: &str = ".size=sizeof(ion_registrant_t)";
    const OPS: &str = ".ops=&quiet_ops";
    for (registrant, word) in [
        (".size=4".to_owned(), "too small"),
        (
            format!("{SIZE},.flags=ION_REG_PRODUCER_DOWN,.name=\"x\",.bot_type=\"en\""),
            "operations",
        ),
        (
            format!("{SIZE},.flags=ION_REG_PRODUCER_DOWN,.bot_type=\"en\",{OPS}"),
            "name",
        ),
        (
            format!("{SIZE},.flags=ION_REG_PRODUCER_DOWN,.name=\"a/b\",.bot_type=\"en\",{OPS}"),
            "name",
        ),
        (
            format!("{SIZE},.flags=ION_REG_PRODUCER_DOWN,.name=\"x\",{OPS}"),
            "type",
        ),
        (
            format!("{SIZE},.flags=0x18,.name=\"x\",.top_type=\"en\",.bot_type=\"en\",{OPS}"),
            "flags",
        ),
    ] {
        let define = format!("-DREGISTRANT={registrant}");
        c_refused("npm-bad-registrant", &[&define], &[word]);
    }
}

#[test]
fn a_function_that_nobody_has() {
    c_refused("devn-undefined", &[], &["nobody_has_this_function"]);
}

#[test]
fn a_library_that_is_missing() {
    let workshop = Workshop::new();
    let library = workshop.dir().join("libabsent.so");
    let empty = workshop.file("absent.c", b"int absent(void) { return 0; }\n");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &empty])
        .status();
    assert!(status.unwrap().success());
    let link = format!("-L{}", workshop.dir().display());
    let module = workshop.compile("devn-source", &["-Wl,--no-as-needed", &link, "-labsent"]);
    std::fs::remove_file(&library).unwrap();
    let renamed = workshop.dir().join("devn-orphan.so");
    std::fs::rename(module, &renamed).unwrap();
    refused(&workshop, &renamed, "", &["libabsent.so"]);
}

#[test]
fn files_that_are_no_shared_objects() {
    let workshop = Workshop::new();
    let sound = std::fs::read(workshop.compile("devn-source", &[])).unwrap();
    let text = workshop.file("devn-text.so", b"This is not a module.\n");
    let empty = workshop.file("devn-empty.so", b"");
    let short = workshop.file("devn-short.so", &sound[..1000]);
    let half = workshop.file("devn-half.so", &sound[..sound.len() / 2]);
    refused(&workshop, &text, "", &["no shared object"]);
    refused(&workshop, &empty, "", &["no shared object"]);
    refused(&workshop, &short, "", &["cut short"]);
    refused(&workshop, &half, "", &["cut short"]);
    refused(
        &workshop,
        workshop.dir(),
        "",
        &[&workshop.dir().to_string_lossy()],
    );
}

#[test]
fn no_file_at_all() {
    let workshop = Workshop::new();
    refused(
        &workshop,
        &workshop.dir().join("devn-none.so"),
        "",
        &["devn-none.so"],
    );
    refused(&workshop, Path::new("devn-none"), "", &["devn-none"]);
}

#[test]
fn options_that_it_does_not_take() {
    let workshop = Workshop::new();
    let module = workshop.compile("devn-mute", &[]);
    refused(&workshop, &module, "speed=10", &["speed"]);
    refused(&workshop, &module, "lan=x", &["lan"]);
    refused(&workshop, &module, "=,=", &["="]);
}

#[test]
fn init_panics() {
    let module = built().join("examples/libnpm_panics.so");
    refused(
        &Workshop::new(),
        &module,
        "at=init",
        &["panicked", "as asked"],
    );
}
