//! The tree of registrants of a running io-net, on real mounts.

use io_net_badmodules::{IoNet, Workshop};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An io-net with its tree, and the tree's place.
fn with_tree(workshop: &Workshop) -> (IoNet, PathBuf) {
    let place = workshop.dir().join("dev");
    let io_net = IoNet::start_with(workshop, &["--dev-dir", &place.to_string_lossy()]);
    (io_net, place)
}

/// Says that a test cannot be run here; CI's must. Past the capture of tests' output: whoever
/// counts tests reads it.
fn skip(test: &str, why: impl std::fmt::Display) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Whether this machine can mount.
fn can_mount(test: &str) -> bool {
    let fuse = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse");
    match fuse {
        Ok(_) => true,
        Err(why) => {
            skip(test, format!("/dev/fuse: {why}"));
            false
        }
    }
}

fn names(place: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(place) else {
        return Vec::new();
    };
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries.map(|e| name(e).into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits until the tree shows these names: on a loaded machine it may lag.
fn shows(io_net: &mut IoNet, place: &Path, expected: &[&str]) {
    io_net.until(&format!("{expected:?}"), |_| names(place) == expected);
}

fn mounts_below(place: &Path) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let place = format!(" {}/", place.display());
    mounts.lines().filter(|line| line.contains(&place)).count()
}

/// The operator's way, as root or not.
fn umount(path: &Path) {
    let done = |command: &str, args: &[&str]| {
        let output = Command::new(command).args(args).arg(path).output();
        output.is_ok_and(|output| output.status.success())
    };
    assert!(done("umount", &[]) || done("fusermount3", &["-u"]));
}

#[test]
fn it_follows_what_is_mounted_and_unmounted() {
    if !can_mount("it_follows_what_is_mounted_and_unmounted") {
        return;
    }
    let workshop = Workshop::new();
    let (mut io_net, place) = with_tree(&workshop);
    io_net.mount(&workshop.compile("devn-source", &[]), "");
    io_net.mount(&workshop.compile("nfm-quiet", &[]), "above=en0");
    shows(&mut io_net, &place, &["en0", "quiet"]);
    assert_eq!(names(&place.join("en0")), ["config", "link", "stats"]);
    let read = |file: &str| fs::read_to_string(place.join(file)).unwrap();
    assert!(read("en0/config").contains("devn-source.so"));
    assert!(read("quiet/config").contains("above=en0"));
    io_net.until("packets in stats", |_| {
        read("quiet/stats").lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("packets_in") && words.next() > Some("0")
        })
    });
    io_net.done(&["umount", "quiet"]);
    shows(&mut io_net, &place, &["en0"]);
    io_net.stop(0);
    assert_eq!((names(&place), mounts_below(&place)), (Vec::new(), 0));
}

#[test]
fn the_systems_umount_unloads_unless_it_is_refused() {
    if !can_mount("the_systems_umount_unloads_unless_it_is_refused") {
        return;
    }
    let workshop = Workshop::new();
    let (mut io_net, place) = with_tree(&workshop);
    io_net.mount(&workshop.compile("devn-source", &[]), "");
    io_net.mount(&workshop.compile("nfm-quiet", &[]), "above=en0");
    shows(&mut io_net, &place, &["en0", "quiet"]);
    umount(&place.join("en0"));
    io_net.until("the refusal", |io_net| io_net.said().contains("quiet"));
    io_net.until("it to come back", |_| place.join("en0/stats").exists());
    assert!(io_net.done(&["graph"]).contains("en0"));
    umount(&place.join("quiet"));
    io_net.until("quiet to go", |io_net| {
        !io_net.done(&["graph"]).contains("quiet")
    });
    umount(&place.join("en0"));
    io_net.until("en0 to go", |io_net| {
        io_net.done(&["graph"]).contains("nothing is mounted")
    });
    shows(&mut io_net, &place, &[]);
    io_net.stop(0);
}

#[test]
fn what_a_killed_io_net_leaves_is_cleaned_away() {
    if !can_mount("what_a_killed_io_net_leaves_is_cleaned_away") {
        return;
    }
    let workshop = Workshop::new();
    let module = workshop.compile("devn-source", &[]);
    let (mut io_net, place) = with_tree(&workshop);
    io_net.mount(&module, "");
    io_net.mount(&module, "");
    io_net.until("two mounts", |_| mounts_below(&place) == 2);
    drop(io_net);
    assert_eq!(mounts_below(&place), 2);
    let (mut io_net, place) = with_tree(&workshop);
    io_net.mount(&module, "");
    shows(&mut io_net, &place, &["en0"]);
    io_net.until("one mount", |_| mounts_below(&place) == 1);
    io_net.stop(0);
    assert_eq!(mounts_below(&place), 0);
}

#[test]
fn a_reader_who_stays_holds_up_nothing() {
    if !can_mount("a_reader_who_stays_holds_up_nothing") {
        return;
    }
    let workshop = Workshop::new();
    let (mut io_net, place) = with_tree(&workshop);
    io_net.mount(&workshop.compile("devn-source", &[]), "");
    shows(&mut io_net, &place, &["en0"]);
    let open = fs::File::open(place.join("en0/stats")).unwrap();
    io_net.done(&["umount", "en0"]);
    shows(&mut io_net, &place, &[]);
    io_net.stop(0);
    assert_eq!(mounts_below(&place), 0);
    drop(open);
}

/// A mount namespace that keeps a copy of every mount, or `None` where there can be none.
fn namespace_with_copies(place: &Path) -> Option<Child> {
    let mut child = Command::new("unshare")
        .args([
            "-Urm",
            "sh",
            "-c",
            "grep -c \"$0/en0 \" /proc/self/mountinfo; exec sleep 600",
        ])
        .arg(place)
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut line = String::new();
    let output = child.stdout.take()?;
    BufReader::new(output).read_line(&mut line).ok()?;
    if line.trim() == "1" {
        return Some(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[test]
fn copies_in_other_namespaces_do_not_matter() {
    if !can_mount("copies_in_other_namespaces_do_not_matter") {
        return;
    }
    let workshop = Workshop::new();
    let module = workshop.compile("devn-source", &[]);
    let (mut io_net, place) = with_tree(&workshop);
    io_net.mount(&module, "");
    shows(&mut io_net, &place, &["en0"]);
    let Some(mut other) = namespace_with_copies(&place) else {
        return skip(
            "copies_in_other_namespaces_do_not_matter",
            "no user namespaces",
        );
    };
    umount(&place.join("en0"));
    io_net.until("en0 to go", |io_net| {
        io_net.done(&["graph"]).contains("nothing is mounted")
    });
    io_net.mount(&module, "");
    other.kill().unwrap();
    other.wait().unwrap();
    shows(&mut io_net, &place, &["en0"]);
    io_net.until("its files", |_| place.join("en0/stats").exists());
    assert!(io_net.done(&["graph"]).contains("en0"));
    io_net.stop(0);
    assert_eq!(mounts_below(&place), 0);
}

#[test]
fn without_a_place_io_net_goes_on() {
    let workshop = Workshop::new();
    let mut io_net = IoNet::start_with(&workshop, &["--dev-dir", "/proc/io-net"]);
    io_net.until("why", |io_net| {
        io_net.said().contains("no tree of interfaces")
    });
    io_net.mount(&workshop.compile("devn-source", &[]), "");
    io_net.stop(0);
}
