//! The tree on real FUSE mounts.

use super::*;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::Sender;
use std::time::Instant;

/// Hands out texts, and notes what it is told.
struct Recorder(Mutex<Sender<String>>);

impl Recorder {
    fn note(&self, what: String) {
        self.0.lock().unwrap().send(what).unwrap();
    }
}

impl Host for Recorder {
    fn text(&self, name: &str, file: File) -> Option<String> {
        (name != "mute").then(|| format!("{file:?} of {name}\n"))
    }

    fn unload(&self, name: &str) -> bool {
        self.note(format!("unmounted {name}"));
        name != "busy"
    }

    fn warn(&self, text: String) {
        self.note(text);
    }
}

/// A tree in a directory of its own.
struct Place {
    dir: PathBuf,
    tree: Option<DevTree>,
    said: Receiver<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tree = None;
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// A tree, or `None` where this machine has no FUSE; CI's has.
fn place(test: &str) -> Option<Place> {
    let dir = std::env::temp_dir().join(format!("io-net-dev-{test}-{}", std::process::id()));
    let (sender, said) = channel();
    match DevTree::start(&dir, Arc::new(Recorder(Mutex::new(sender)))) {
        Ok(tree) => Some(Place {
            dir,
            tree: Some(tree),
            said,
        }),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            // Past the capture of tests' output: whoever counts tests reads it.
            let _ = writeln!(io::stderr(), "skipped: tree {test}: {why}");
            None
        }
    }
}

impl Place {
    fn appear(&self, name: &str, link: bool) {
        let tree = self.tree.as_ref().unwrap();
        tree.appear(name, link);
        tree.settle(Duration::from_secs(10));
    }

    fn read(&self, file: &str) -> io::Result<String> {
        std::fs::read_to_string(self.dir.join(file))
    }

    fn names(&self, of: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.join(of)).unwrap();
        let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn umount(&self, name: &str) {
        let path = self.dir.join(name);
        let umount = Command::new("umount").arg(&path).status().unwrap();
        let fusermount = || Command::new("fusermount3").arg("-u").arg(&path).status();
        assert!(umount.success() || fusermount().unwrap().success());
    }
}

#[test]
fn registrants_have_files() {
    let Some(place) = place("files") else { return };
    place.appear("en0", true);
    place.appear("ip_en", false);
    place.appear("mute", false);
    assert_eq!(place.names(""), ["en0", "ip_en", "mute"]);
    assert_eq!(place.names("en0"), ["config", "link", "stats"]);
    assert_eq!(place.names("ip_en"), ["config", "stats"]);
    assert_eq!(place.read("en0/link").unwrap(), "Link of en0\n");
    assert_eq!(place.read("ip_en/stats").unwrap(), "Stats of ip_en\n");
    assert!(place.read("mute/config").is_err());
    assert!(place.read("ip_en/link").is_err());
    assert!(std::fs::write(place.dir.join("en0/config"), "x").is_err());
    let tree = place.tree.as_ref().unwrap();
    tree.vanish("ip_en");
    tree.settle(Duration::from_secs(10));
    assert_eq!(place.names(""), ["en0", "mute"]);
}

#[test]
fn the_operators_umount_is_told_and_ours_is_not() {
    let Some(place) = place("umount") else { return };
    place.appear("en0", true);
    place.appear("en1", true);
    place.umount("en0");
    let said = place.said.recv_timeout(Duration::from_secs(10));
    assert_eq!(said.as_deref(), Ok("unmounted en0"));
    assert_eq!(place.names(""), ["en1"]);
    // Refused: it appears again.
    place.appear("busy", true);
    place.umount("busy");
    let said = place.said.recv_timeout(Duration::from_secs(10));
    assert_eq!(said.as_deref(), Ok("unmounted busy"));
    let start = Instant::now();
    while place.read("busy/stats").is_err() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    let tree = place.tree.as_ref().unwrap();
    tree.vanish("en1");
    tree.settle(Duration::from_secs(10));
    assert_eq!(place.said.try_recv().ok(), None);
}

#[test]
fn all_goes_at_the_end_even_with_somebody_inside() {
    let Some(mut place) = place("end") else {
        return;
    };
    place.appear("en0", true);
    let inside = std::fs::File::open(place.dir.join("en0/config")).unwrap();
    let start = Instant::now();
    place.tree = None;
    assert!(start.elapsed() < 2 * STOP_LIMIT);
    assert!(!place.dir.exists());
    drop(inside);
}

#[test]
fn no_place_no_tree() {
    let (sender, _said) = channel();
    let host = Arc::new(Recorder(Mutex::new(sender)));
    let error = DevTree::start(Path::new("/proc/io-net"), host).err();
    assert!(error.is_some_and(|text| text.contains("--no-dev")));
}
