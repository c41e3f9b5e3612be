//! Modules in C, loaded as shared objects, mounted and unmounted while packets flow.

use io_net::config::{Config, Kind, ModuleSpec};
use io_net::lifecycle::Manager;
use io_net::log::Log;
use io_net::report;
use io_net_pktbuf::PoolConfig;
use io_net_proto::control::Failure;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const EBUSY: i32 = 16;
const ENOENT: i32 = 2;
const EINVAL: i32 = 22;
const EEXIST: i32 = 17;

/// The directory with the modules, compiled once. It lies beside this test and is made anew by each
/// run.
fn modules() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mount");
        std::fs::create_dir_all(&dir).unwrap();
        for name in [
            "devn-spin",
            "devn-lend",
            "nfm-keep",
            "nfm-plain",
            "ncm-tst-en",
            "ncm-high-tst",
            "npm-order",
        ] {
            let built = Command::new("cc")
                .args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"])
                .args(["-shared", "-fPIC", "-I"])
                .arg(here.join("../../ddk/abi/include"))
                .arg("-I")
                .arg(here.join("../../ddk/testkit/c"))
                .arg("-o")
                .arg(dir.join(format!("{name}.so")))
                .arg(here.join(format!("tests/c/{name}.c")))
                .output()
                .expect("a C compiler, cc, is needed");
            let said = String::from_utf8_lossy(&built.stderr);
            assert!(built.status.success(), "{name}: {said}");
        }
        dir
    })
}

/// An io-net in this process, and what its operator does.
struct Bench(Manager);

impl Bench {
    fn new(threads: usize) -> Bench {
        let config = Config {
            threads,
            module_path: vec![modules().into()],
            pool: PoolConfig {
                small: 8192,
                large: 1,
                huge: false,
            },
            ..Config::default()
        };
        Bench(Manager::new(&config, "/nowhere".into(), Log::new(1, true)).unwrap())
    }

    fn try_mount(&mut self, kind: Kind, name: &str, options: &str) -> Result<Vec<String>, Failure> {
        self.0.mount(&ModuleSpec {
            kind: Some(kind),
            name: name.into(),
            options: options.into(),
        })
    }

    fn mount(&mut self, kind: Kind, name: &str, options: &str) -> Vec<String> {
        self.try_mount(kind, name, options)
            .unwrap_or_else(|e| panic!("{e}"))
    }

    fn counter(&self, registrant: &str, name: &str) -> u64 {
        let stats = report::stats(&self.0);
        let counter = stats.counters.get(registrant).and_then(|c| c.get(name));
        counter.copied().unwrap_or(0)
    }

    fn names(&self) -> Vec<String> {
        let graph = report::graph(&self.0);
        graph.registrants.into_iter().map(|r| r.name).collect()
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Bench) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_secs(30), "{what}: never");
            std::thread::sleep(Duration::from_millis(1));
            self.0.handle_notes();
        }
    }

    fn until_more(&mut self, registrant: &str, name: &str, more: u64) {
        let enough = self.counter(registrant, name) + more;
        self.until(name, |bench| bench.counter(registrant, name) >= enough);
    }

    fn stop(self) {
        assert_eq!(self.0.stop().unwrap(), 0, "leaked packets");
    }
}

#[test]
fn a_protocol_brings_its_converter_and_takes_it_away() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.mount(Kind::Driver, "spin", ""), ["en0"]);
    assert_eq!(bench.mount(Kind::Protocol, "order", ""), ["order"]);
    assert_eq!(bench.names(), ["en0", "order", "tst_en"]);
    bench.until_more("order", "got", 1000);
    bench.until("an advert", |bench| bench.counter("order", "adverts") > 0);
    let busy = bench.0.unmount("tst_en").unwrap_err();
    assert_eq!(busy.errno, EBUSY);
    assert!(busy.why.contains("order"), "{busy}");
    bench.0.unmount("order").unwrap();
    assert_eq!(bench.names(), ["en0"]);
    assert_eq!(bench.0.unmount("order").unwrap_err().errno, ENOENT);
    bench.stop();
}

#[test]
fn a_converter_brings_the_one_below_it() {
    let mut bench = Bench::new(1);
    bench.mount(Kind::Driver, "spin", "");
    assert_eq!(bench.mount(Kind::Converter, "high-tst", ""), ["high_tst"]);
    assert_eq!(bench.names(), ["en0", "high_tst", "tst_en"]);
    assert_eq!(bench.0.unmount("tst_en").unwrap_err().errno, EBUSY);
    bench.0.unmount("high_tst").unwrap();
    assert_eq!(bench.names(), ["en0"]);
    bench.stop();
}

#[test]
fn a_protocol_learns_of_interfaces_that_come_and_go() {
    let mut bench = Bench::new(2);
    bench.mount(Kind::Converter, "tst-en", "");
    bench.mount(Kind::Protocol, "order", "");
    bench.mount(Kind::Driver, "spin", "");
    bench.mount(Kind::Driver, "spin", "lan=7");
    bench.until("both", |bench| bench.counter("order", "adverts") >= 2);
    bench.0.unmount("en7").unwrap();
    bench.until("one dies", |bench| bench.counter("order", "dying") > 0);
    bench.stop();
}

/// Mounts and unmounts everything else while interface 0 sends: none of its packets is lost or
/// overtaken.
fn swap_under_traffic(threads: usize, rounds: u32) {
    let mut bench = Bench::new(threads);
    let last = threads - 1;
    bench.mount(Kind::Driver, "spin", "worker=0");
    bench.mount(Kind::Protocol, "order", &format!("worker={last}"));
    bench.until_more("order", "got", 100);
    let reg_drops = |bench: &Bench| -> u64 {
        let stats = report::stats(&bench.0);
        let drops = stats.counters.values().flatten();
        drops
            .filter(|(name, _)| name.starts_with("drop_") || *name == "packets_astray")
            .map(|(_, n)| n)
            .sum()
    };
    let dropped_before = reg_drops(&bench);
    for round in 0..rounds {
        let worker = round as usize % threads;
        let keep = format!("above=en0,worker={worker}");
        bench.mount(Kind::Filter, "keep", &keep);
        bench.mount(Kind::Driver, "spin", "lan=3");
        bench.mount(Kind::Filter, "plain", "below=order,worker=0");
        bench.until_more("order", "got", 64);
        bench.0.unmount("en3").unwrap();
        bench.0.unmount("plain").unwrap();
        bench.0.unmount("keep").unwrap();
        bench.until_more("order", "got", 64);
    }
    if threads == 1 {
        assert_eq!(bench.counter("order", "wrong"), 0);
        assert_eq!(reg_drops(&bench), dropped_before);
    }
    assert_eq!(bench.names(), ["en0", "order", "tst_en"]);
    bench.stop();
}

#[test]
fn modules_come_and_go_under_traffic() {
    swap_under_traffic(1, 200);
}

#[test]
fn modules_come_and_go_under_traffic_of_two_workers() {
    swap_under_traffic(2, 100);
}

#[test]
fn what_is_needed_stays_and_anything_else_may_go_first() {
    let mut bench = Bench::new(1);
    bench.mount(Kind::Driver, "spin", "");
    bench.mount(Kind::Protocol, "order", "");
    bench.mount(Kind::Filter, "plain", "below=order,as=under");
    bench.mount(Kind::Filter, "plain", "above=en0,as=over");
    for (name, needed_by) in [("en0", "over"), ("order", "under"), ("tst_en", "order")] {
        let busy = bench.0.unmount(name).unwrap_err();
        assert_eq!(busy.errno, EBUSY);
        assert!(busy.why.contains(needed_by), "{busy}");
    }
    for name in ["over", "en0", "under", "order"] {
        bench.0.unmount(name).unwrap();
    }
    assert!(bench.names().is_empty());
    bench.stop();
}

#[test]
fn mounts_that_cannot_be_leave_nothing() {
    let mut bench = Bench::new(1);
    bench.mount(Kind::Driver, "spin", "");
    bench.mount(Kind::Filter, "plain", "");
    for (kind, name, options, errno) in [
        (Kind::Driver, "nothing", "", ENOENT),
        (Kind::Driver, "plain", "", ENOENT),
        (Kind::Driver, "spin", "lan=0", EEXIST),
        (Kind::Driver, "spin", "worker=1", EINVAL),
        (Kind::Driver, "spin", "speed=3", EINVAL),
        (Kind::Filter, "plain", "", EEXIST),
        (Kind::Filter, "plain", "above=en9", EEXIST),
    ] {
        let refused = bench.try_mount(kind, name, options).unwrap_err();
        assert_eq!(refused.errno, errno, "{name} {options}: {refused}");
        assert_eq!(bench.names(), ["en0", "plain"]);
    }
    bench.stop();
}

#[test]
fn memory_that_is_lent_stays_until_it_is_back() {
    let mut bench = Bench::new(2);
    bench.mount(Kind::Driver, "lend", "worker=1");
    bench.until("all are home", |bench| bench.counter("en0", "home") == 10);
    bench.0.unmount("en0").unwrap();
    // This filter keeps the last of them.
    bench.mount(Kind::Filter, "keep", "");
    bench.mount(Kind::Driver, "lend", "worker=1");
    bench.until("most are home", |bench| bench.counter("en0", "home") == 9);
    bench.0.unmount("en0").unwrap();
    let (lines, _) = bench.0.shared().log.since(0);
    assert!(lines.iter().any(|line| line.text.contains("still in use")));
    bench.0.unmount("keep").unwrap();
    assert_eq!(bench.counter("io-net", "packets_orphaned"), 1);
    assert_eq!(bench.0.stop().unwrap(), 1);
}
