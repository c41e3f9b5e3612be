//! io-netctl under its names, against a running io-net.

use io_net_badmodules::{IoNet, Workshop, built};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

/// Runs io-netctl under `name`, against the io-net of `workshop`.
fn run_as(workshop: &Workshop, name: &str, args: &[&str]) -> Output {
    let directory = workshop.dir().join("bin");
    let program = directory.join(name);
    if !program.exists() {
        std::fs::create_dir_all(&directory).unwrap();
        symlink(built().join("io-netctl"), &program).unwrap();
    }
    Command::new(program)
        .args(args)
        .env("SOCK", workshop.dir().join("run"))
        .output()
        .unwrap()
}

/// The exit status, and what was said on either channel.
fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn each_kind_of_failure_has_its_status() {
    let workshop = Workshop::new();
    let module = text(&workshop.compile("devn-mute", &[]));
    let nobody = told(&run_as(&workshop, "io-netctl", &["graph"]));
    assert_eq!(nobody.0, Some(3), "{}", nobody.1);
    assert!(nobody.1.contains("no io-net answers"), "{}", nobody.1);
    let nobody = run_as(&workshop, "mount", &["-T", "io-net", &module]);
    assert_eq!(nobody.status.code(), Some(32));
    let io_net = IoNet::start(&workshop);
    for (name, args, status) in [
        ("io-netctl", &["mount", module.as_str()][..], 1),
        ("io-netctl", &["umount", "en0"], 1),
        ("io-netctl", &["mount"], 2),
        ("io-netctl", &["nonsense"], 2),
        ("io-netctl", &["mount", "-T", "tmpfs", &module], 2),
        ("nicinfo", &["en7"], 1),
        ("mount", &["-T", "io-net", &module], 32),
        ("mount", &["-T", "io-net"], 1),
        ("mount.io-net", &[&module, "none", "-o", "rw"], 32),
        ("mount.io-net", &[], 1),
        ("route", &["flush", "everything", "now"], 2),
        ("netstat", &[], 1),
    ] {
        let told = told(&run_as(&workshop, name, args));
        assert_eq!(told.0, Some(status), "{name} {args:?}: {}", told.1);
        assert!(!told.1.is_empty());
    }
    io_net.stop(0);
}

#[test]
fn modules_come_and_go_under_every_name() {
    let workshop = Workshop::new();
    let module = text(&workshop.compile("devn-source", &[]));
    let mut io_net = IoNet::start(&workshop);
    let done = |name: &str, args: &[&str]| {
        let told = told(&run_as(&workshop, name, args));
        assert_eq!(told.0, Some(0), "{name} {args:?}: {}", told.1);
        told.1
    };
    assert_eq!(done("io-netctl", &["mount", &module]), "en0\n");
    assert_eq!(done("mount", &["-T", "io-net", "-o", "lan=3", &module]), "");
    assert_eq!(
        done("mount.io-net", &[&module, "/dev/io-net/en5", "-o", "rw"]),
        ""
    );
    let graph = done("io-netctl", &["graph"]);
    assert!(
        ["  en0\n", "  en3\n", "  en5\n"]
            .iter()
            .all(|name| graph.contains(name)),
        "{graph}"
    );
    assert!(done("nicinfo", &["en3"]).starts_with("en3: "));
    assert!(done("io-netctl", &["stats", "en5"]).contains("sent"));
    let json = done("io-netctl", &["--json", "mount", &module]);
    assert_eq!(json, "{\"names\":[\"en1\"]}\n");
    done("umount", &["/dev/io-net/en5", "/dev/io-net/en0"]);
    done("io-netctl", &["umount", "en1", "/dev/io-net/en3"]);
    assert!(done("io-netctl", &["graph"]).contains("nothing is mounted"));
    assert!(done("io-netctl", &["log"]).contains("ready"));
    assert!(io_net.is_running());
    io_net.stop(0);
}

#[test]
fn a_follower_of_the_log_sees_the_end() {
    let workshop = Workshop::new();
    let mut io_net = IoNet::start(&workshop);
    let mut follower = Command::new(built().join("io-netctl"));
    follower
        .args(["log", "-f"])
        .env("SOCK", workshop.dir().join("run"));
    let follower = follower
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    io_net.mount(&workshop.compile("devn-source", &[]), "");
    io_net.done(&["shutdown"]);
    let output = follower.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("ready"));
}

#[test]
fn what_is_not_for_io_net_is_the_systems() {
    let workshop = Workshop::new();
    let mounts = told(&run_as(&workshop, "mount", &[]));
    assert_eq!(mounts.0, Some(0));
    assert!(mounts.1.contains("on /proc type proc"), "{}", mounts.1);
    let version = told(&run_as(&workshop, "umount", &["--version"]));
    assert!(version.1.contains("util-linux"), "{}", version.1);
}
