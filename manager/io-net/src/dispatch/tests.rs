//! The packet path with registrants made here: tables in C's form, called by real workers.

use super::*;
use crate::config::Config;
use crate::instance::{Context, Link};
use crate::lifecycle::Manager;
use crate::log::Log;
use crate::options::Placement;
use crate::registry::State;
use io_net_abi::{
    Ion, NPKT_EXT, REG_FILTER_ABOVE, REG_PRODUCER_DOWN, REG_PRODUCER_UP, Registrant, RegistrantOps,
    Text,
};
use io_net_os::eventfd::EventFd;
use io_net_pktbuf::PoolConfig;
use std::ffi::{CStr, c_void};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

/// What a registrant does with packets of one direction.
#[derive(Clone, Copy)]
enum Act {
    Pass,
    Turn,
    Release,
}

/// A registrant.
struct Fake {
    ion: Ion,
    context: Box<Context>,
    handle: RegHandle,
    up: Act,
    down: Act,
    inside: AtomicBool,
    /// Marks of the packets that it was given, in order.
    seen: Mutex<Vec<u32>>,
    polls: AtomicU64,
    arms: AtomicU64,
    events: AtomicU64,
    timers: AtomicU64,
    home: AtomicU64,
}

// SAFETY: everything in it is atomic, locked, or not changed after its making.
unsafe impl Sync for Fake {}
// SAFETY: as above.
unsafe impl Send for Fake {}

impl Fake {
    fn call<R>(hdl: *mut c_void, op: impl FnOnce(&Fake) -> R) -> R {
        // SAFETY: handles are those of leaked fakes.
        let fake = unsafe { &*hdl.cast::<Fake>() };
        assert!(!fake.inside.swap(true, Ordering::Relaxed), "re-entered");
        let result = op(fake);
        fake.inside.store(false, Ordering::Relaxed);
        result
    }

    fn seen(&self) -> Vec<u32> {
        self.seen.lock().unwrap().clone()
    }

    /// # Safety
    /// As `rx_up`.
    unsafe fn take(&self, upward: bool, pkts: *mut *mut Npkt, n: u32) {
        // SAFETY: the contract of `rx_up`: we own the packets.
        unsafe {
            let given = std::slice::from_raw_parts(pkts, n as usize);
            let marks = given.iter().map(|&pkt| (*pkt).way.rx.mark);
            self.seen.lock().unwrap().extend(marks);
            let (ion, ctx) = (&self.ion, self.ion.ctx);
            match (if upward { self.up } else { self.down }, upward) {
                (Act::Release, _) => (ion.tx_done)(ctx, pkts, n),
                (Act::Pass, true) | (Act::Turn, false) => (ion.tx_up)(ctx, self.handle, pkts, n),
                (Act::Pass, false) | (Act::Turn, true) => (ion.tx_down)(ctx, self.handle, pkts, n),
            }
        }
    }

    /// Sends packets, whose marks and first bytes are given, from within an operation.
    fn send(&self, upward: bool, endpoint: u16, packets: impl Iterator<Item = (u32, [u8; 14])>) {
        let mut burst = Vec::new();
        for (mark, head) in packets {
            let mut pkt = std::ptr::null_mut();
            // SAFETY: one slot; the packet is ours alone, and large enough.
            unsafe {
                assert_eq!((self.ion.alloc)(self.ion.ctx, 60, &mut pkt, 1), 1, "pool");
                (*pkt).endpoint = endpoint;
                (*pkt).len = 60;
                (*pkt).way.rx.mark = mark;
                let data = data_of(pkt).as_ptr().cast_mut();
                std::ptr::copy_nonoverlapping(head.as_ptr(), data, 14);
            }
            burst.push(pkt);
        }
        let (pkts, n) = (burst.as_mut_ptr(), burst.len() as u32);
        let tx = if upward {
            self.ion.tx_up
        } else {
            self.ion.tx_down
        };
        // SAFETY: we give up the packets.
        unsafe { tx(self.ion.ctx, self.handle, pkts, n) };
    }
}

static OPS: RegistrantOps = {
    unsafe extern "C" fn rx_up(hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
        // SAFETY: the contract of `rx_up`.
        Fake::call(hdl, |fake| unsafe { fake.take(true, pkts, n) });
    }
    unsafe extern "C" fn rx_down(hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
        // SAFETY: the contract of `rx_down`.
        Fake::call(hdl, |fake| unsafe { fake.take(false, pkts, n) });
    }
    unsafe extern "C" fn tx_done(hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
        Fake::call(hdl, |fake| {
            fake.home.fetch_add(n.into(), Ordering::Relaxed);
            // SAFETY: the packets are ours again; over the pool's memory, they go back there.
            unsafe {
                for &pkt in std::slice::from_raw_parts(pkts, n as usize) {
                    (*pkt).flags &= !NPKT_EXT;
                }
                (fake.ion.tx_done)(fake.ion.ctx, pkts, n);
            }
        });
    }
    unsafe extern "C" fn poll(hdl: *mut c_void, _: u32) -> u32 {
        Fake::call(hdl, |fake| fake.polls.fetch_add(1, Ordering::Relaxed));
        0
    }
    unsafe extern "C" fn arm(hdl: *mut c_void, sleeping: u32) -> i32 {
        Fake::call(hdl, |fake| {
            fake.arms.fetch_add(sleeping.into(), Ordering::Relaxed);
        });
        0
    }
    unsafe extern "C" fn event(hdl: *mut c_void, cookie: u64, _: u32) -> i32 {
        Fake::call(hdl, |fake| fake.events.fetch_add(cookie, Ordering::Relaxed));
        0
    }
    unsafe extern "C" fn timer(hdl: *mut c_void, id: u32, _: u64) {
        Fake::call(hdl, |fake| {
            fake.timers.fetch_add(1 << (8 * id), Ordering::Relaxed)
        });
    }
    unsafe extern "C" fn devctl(
        _: *mut c_void,
        cmd: u32,
        data: *mut c_void,
        size: u32,
        len: u32,
    ) -> i32 {
        match cmd {
            1 => len as i32,
            2 => size as i32 + 1,
            3 => i32::MIN,
            _ => {
                // SAFETY: `size` bytes are lent.
                unsafe {
                    std::ptr::copy_nonoverlapping(c"no such thing".as_ptr(), data.cast(), 14)
                };
                -22
            }
        }
    }
    RegistrantOps {
        size: size_of::<RegistrantOps>() as u32,
        reserved: 0,
        rx_up: Some(rx_up),
        rx_down: Some(rx_down),
        tx_done: Some(tx_done),
        poll: Some(poll),
        arm: Some(arm),
        event: Some(event),
        timer: Some(timer),
        dl_advert: None,
        devctl: Some(devctl),
        quiesce: None,
        save: None,
        restore: None,
    }
};

/// An io-net with fakes in it.
struct Bench {
    manager: Manager,
    next: u64,
}

/// The head of a frame of an ethertype.
fn head(ethertype: u16) -> [u8; 14] {
    let mut head = [0; 14];
    head[12..].copy_from_slice(&ethertype.to_be_bytes());
    head
}

impl Bench {
    fn new(threads: usize, small: u32) -> Bench {
        let config = Config {
            threads,
            pool: PoolConfig {
                small,
                large: 1,
                huge: false,
            },
            ..Config::default()
        };
        let manager = Manager::new(&config, "/nowhere".into(), Log::new(0, true)).unwrap();
        Bench { manager, next: 1 }
    }

    fn enter(
        &mut self,
        (flags, name, top, bottom): (u32, &CStr, bool, bool),
        home: usize,
        patterns: &[u16],
        (up, down): (Act, Act),
    ) -> &'static Fake {
        let shared = self.manager.shared().clone();
        let link = Link::new(self.next, "fake".into());
        let context = Box::new(Context::new(shared, link, Placement::default(), home));
        // Leaked: the registrant's handle is its address.
        let fake = Box::leak(Box::new(Fake {
            ion: table(&context),
            context,
            handle: RegHandle(0),
            up,
            down,
            inside: AtomicBool::new(false),
            seen: Mutex::default(),
            polls: AtomicU64::new(0),
            arms: AtomicU64::new(0),
            events: AtomicU64::new(0),
            timers: AtomicU64::new(0),
            home: AtomicU64::new(0),
        }));
        let kind = |there: bool| {
            if there {
                c"en".as_ptr()
            } else {
                std::ptr::null()
            }
        };
        let registrant = Registrant {
            size: size_of::<Registrant>() as u32,
            flags,
            name: name.as_ptr(),
            top_type: kind(top),
            bot_type: kind(bottom),
            func_hdl: std::ptr::from_mut(fake).cast(),
            ops: &OPS,
        };
        let (ctx, mut handle) = (fake.ion.ctx, RegHandle(0));
        // SAFETY: the table's contract; the registrant is borrowed for the call.
        unsafe {
            let null = std::ptr::null_mut();
            assert_eq!((fake.ion.reg)(ctx, &registrant, &mut handle, null, null), 0);
            for pattern in patterns {
                let bytes = pattern.to_be_bytes();
                let added = (fake.ion.reg_byte_pat)(ctx, handle, 12, bytes.as_ptr(), 2, 0);
                assert_eq!(added, 0);
            }
        }
        fake.handle = handle;
        fake.context.stage().starting = false;
        self.manager
            .shared()
            .registry()
            .set_state(self.next, State::Live);
        self.next += 1;
        self.manager.publish().unwrap();
        fake
    }

    fn driver(&mut self, home: usize, act: Act) -> &'static Fake {
        let place = (REG_PRODUCER_UP, c"en", true, false);
        self.enter(place, home, &[], (Act::Release, act))
    }

    fn filter(&mut self, home: usize) -> &'static Fake {
        let place = (REG_FILTER_ABOVE, c"filter", true, true);
        self.enter(place, home, &[], (Act::Pass, Act::Pass))
    }

    fn taker(&mut self, name: &CStr, home: usize, patterns: &[u16], act: Act) -> &'static Fake {
        let place = (REG_PRODUCER_DOWN, name, false, true);
        self.enter(place, home, patterns, (act, Act::Release))
    }

    fn reg(&self, fake: &Fake) -> Arc<Reg> {
        let registry = self.manager.shared().registry();
        registry.entry(fake.handle).unwrap().reg.clone()
    }

    /// Does something as an operation of `fake`, and waits for it.
    fn within(&self, fake: &'static Fake, op: impl FnOnce(&Fake) + Send + 'static) {
        let reg = self.reg(fake);
        let home = self.manager.shared().worker(reg.home());
        let done = home.ask(move |worker| {
            let done = worker.lane.run(&reg, |_| op(fake)).is_some();
            while worker.lane.settle() > 0 {}
            done
        });
        assert!(done.recv().unwrap());
    }

    /// Sends `n` frames of one ethertype up from a driver, in bursts.
    fn send_up(&self, driver: &'static Fake, n: u32, ethertype: u16) {
        self.within(driver, move |driver| {
            for start in (0..n).step_by(BURST_MAX) {
                let marks = start..n.min(start + BURST_MAX as u32);
                driver.send(true, 0, marks.map(|mark| (mark, head(ethertype))));
            }
        });
    }

    fn drops(&self, fake: &Fake, reason: Drop) -> u64 {
        self.reg(fake).stats.drops[reason as usize].load(Ordering::Relaxed)
    }

    /// Packets counted on the edges between two.
    fn edge(&self, from: &Fake, to: &Fake) -> (u64, u64) {
        let registry = self.manager.shared().registry();
        let mut edges = registry.edges();
        let edge = edges.find(|e| (e.from, e.to) == (from.handle, to.handle));
        edge.map_or((0, 0), |e| {
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            (load(&e.packets), load(&e.drops))
        })
    }

    /// Takes everything out of the graph and counts the packets that are missing.
    fn leaked(self) -> usize {
        for id in 1..self.next {
            self.manager.shared().registry().remove(id);
        }
        self.manager.publish().unwrap();
        self.manager.stop().unwrap()
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: never");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_burst_goes_up_and_comes_back_in_order() {
    let mut bench = Bench::new(1, 2000);
    let driver = bench.driver(0, Act::Release);
    let filter = bench.filter(0);
    let taker = bench.taker(c"taker", 0, &[0x0800], Act::Turn);
    bench.send_up(driver, 600, 0x0800);
    let marks: Vec<u32> = (0..600).collect();
    assert_eq!(taker.seen(), marks);
    assert_eq!(driver.seen(), marks);
    assert_eq!(filter.seen().len(), 1200);
    assert_eq!(bench.edge(driver, filter), (600, 0));
    assert_eq!(bench.edge(filter, taker), (600, 0));
    assert_eq!(bench.edge(taker, filter), (600, 0));
    assert_eq!(bench.edge(filter, driver), (600, 0));
    let reg = bench.reg(filter);
    assert_eq!(reg.stats.packets_in.load(Ordering::Relaxed), 1200);
    assert_eq!(reg.stats.packets_out.load(Ordering::Relaxed), 1200);
    assert_eq!(reg.waiting(), 0);
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn what_does_not_fit_the_queue_of_a_running_registrant_is_counted() {
    let mut bench = Bench::new(1, 20_000);
    let driver = bench.driver(0, Act::Release);
    let filter = bench.filter(0);
    let _taker = bench.taker(c"taker", 0, &[0x0800], Act::Turn);
    let sent = DEFERRED_MAX as u32 + 1000;
    // One operation: nothing that waits is delivered before its end.
    bench.send_up(driver, sent, 0x0800);
    assert_eq!(driver.seen().len(), DEFERRED_MAX);
    assert_eq!(bench.drops(filter, Drop::DeferredFull), 1000);
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn each_packet_goes_to_those_who_asked_for_it() {
    let mut bench = Bench::new(1, 2000);
    let driver = bench.driver(0, Act::Release);
    let ip = bench.taker(c"ip", 0, &[0x0800, 0x0806], Act::Release);
    let qnet = bench.taker(c"qnet", 0, &[0x8204], Act::Release);
    let watcher = bench.taker(c"watcher", 0, &[0x0806, 0x8204], Act::Release);
    bench.within(driver, |driver| {
        let types = [0x0800, 0x0800, 0x8204, 0x86dd, 0x0806, 0x0800];
        let packets = types.iter().zip(0..);
        driver.send(true, 0, packets.map(|(ty, mark)| (mark, head(*ty))));
        driver.send(true, 9, [(7, head(0x0800))].into_iter());
    });
    assert_eq!(ip.seen(), [0, 1, 4, 5]);
    assert_eq!(qnet.seen(), [2]);
    assert_eq!(watcher.seen(), [2, 4]);
    assert_eq!(bench.drops(driver, Drop::NoTaker), 2);
    assert_eq!(bench.edge(driver, ip), (4, 0));
    assert_eq!(bench.edge(driver, watcher), (2, 0));
    bench.within(ip, |ip| ip.send(false, 3, [(8, head(0))].into_iter()));
    assert_eq!(bench.drops(ip, Drop::NoPath), 1);
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn packets_cross_between_workers_in_order() {
    let mut bench = Bench::new(2, 5000);
    let driver = bench.driver(0, Act::Release);
    let taker = bench.taker(c"taker", 1, &[0x0800], Act::Turn);
    for round in 1..=50 {
        bench.send_up(driver, 700, 0x0800);
        until("they come back", || driver.seen().len() == round * 700);
    }
    let marks: Vec<u32> = (0..50).flat_map(|_| 0..700).collect();
    assert_eq!(taker.seen(), marks);
    assert_eq!(driver.seen(), marks);
    assert_eq!(bench.edge(driver, taker), (35_000, 0));
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn a_full_crossing_is_counted_and_loses_nothing_else() {
    let mut bench = Bench::new(2, 20_000);
    let driver = bench.driver(0, Act::Release);
    let taker = bench.taker(c"taker", 1, &[0x0800], Act::Release);
    // The other worker is held up while more is sent than the ring holds.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    bench
        .manager
        .shared()
        .worker(1)
        .post(move |_| wait.recv().unwrap_or_default());
    bench.send_up(driver, 10_000, 0x0800);
    drop(go);
    let lost = bench.drops(taker, Drop::CrossingFull);
    assert!(lost > 0);
    until("the others arrive", || {
        taker.seen().len() as u64 + lost == 10_000
    });
    assert_eq!(bench.edge(driver, taker), (10_000, lost));
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn one_that_has_failed_is_given_nothing_more() {
    let mut bench = Bench::new(1, 2000);
    let driver = bench.driver(0, Act::Release);
    let taker = bench.taker(c"taker", 0, &[0x0800], Act::Release);
    bench.send_up(driver, 10, 0x0800);
    bench.within(taker, |taker| {
        let text = "it is over";
        let said = Text {
            ptr: text.as_ptr(),
            len: text.len(),
        };
        // SAFETY: the table's contract; the text is borrowed for the call.
        unsafe { (taker.ion.fail)(taker.ion.ctx, 5, said) };
    });
    bench.send_up(driver, 10, 0x0800);
    assert_eq!(taker.seen().len(), 10);
    assert_eq!(bench.drops(taker, Drop::Dead), 10);
    let notes = bench.manager.shared().take_notes();
    assert!(matches!(notes[0], crate::shared::Note::Failed(2)));
    let (lines, _) = bench.manager.shared().log.since(0);
    assert!(lines.iter().any(|line| line.text == "fake: it is over"));
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn descriptors_timers_pollers_and_wakes() {
    let mut bench = Bench::new(1, 100);
    let driver = bench.driver(0, Act::Release);
    let ready = Arc::new(EventFd::new().unwrap());
    let raw = ready.as_fd().as_raw_fd();
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    ready.raise();
    bench.within(driver, move |driver| {
        let (ion, ctx, reg) = (&driver.ion, driver.ion.ctx, driver.handle);
        // SAFETY: the table's contract, within an operation.
        unsafe {
            assert_eq!((ion.watch)(ctx, reg, raw, io_net_os::epoll::IN, 5), 0);
            assert_eq!((ion.watch)(ctx, reg, -1, 1, 5), -22);
            let now = (ion.now_ns)(ctx);
            assert_eq!((ion.timer)(ctx, reg, 1, now + 1_000_000), 0);
            assert_eq!((ion.timer)(ctx, reg, 2, now + 2_000_000), 0);
            assert_eq!((ion.timer)(ctx, reg, 2, 0), 0);
            assert_eq!((ion.timer)(ctx, reg, 16, now), -22);
        }
    });
    until("an event", || load(&driver.events) >= 5);
    until("a timer", || load(&driver.timers) == 1 << 8);
    bench.within(driver, move |driver| {
        let (ion, ctx, reg) = (&driver.ion, driver.ion.ctx, driver.handle);
        // SAFETY: the table's contract, within an operation.
        assert_eq!(unsafe { (ion.watch)(ctx, reg, raw, 0, 0) }, 0);
    });
    let (events, polls) = (load(&driver.events), load(&driver.polls));
    // SAFETY: `wake` may come from any thread.
    unsafe { (driver.ion.wake)(driver.ion.ctx, driver.handle) };
    until("a poll", || load(&driver.polls) == polls + 1);
    assert_eq!(load(&driver.events), events);
    bench.within(driver, |driver| {
        // SAFETY: the table's contract, within an operation.
        unsafe { (driver.ion.poller)(driver.ion.ctx, driver.handle, 1) };
    });
    until("polls until it sleeps", || load(&driver.arms) > 0);
    assert!(load(&driver.polls) >= polls + 2);
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn an_idle_worker_sleeps() {
    let mut bench = Bench::new(2, 100);
    let driver = bench.driver(0, Act::Release);
    bench.within(driver, |driver| {
        // SAFETY: the table's contract, within an operation.
        unsafe { (driver.ion.poller)(driver.ion.ctx, driver.handle, 1) };
    });
    let turns = || -> Vec<u64> {
        let workers = bench.manager.workers().iter();
        workers
            .map(|w| w.stats.idle_turns.load(Ordering::Relaxed))
            .collect()
    };
    until("both sleep", || {
        let before = turns();
        std::thread::sleep(Duration::from_millis(50));
        turns() == before
    });
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn packets_over_foreign_memory_go_home() {
    let mut bench = Bench::new(2, 2000);
    let driver = bench.driver(0, Act::Release);
    let here = bench.taker(c"here", 0, &[0x0800], Act::Release);
    let there = bench.taker(c"there", 1, &[0x0806], Act::Release);
    bench.within(driver, |driver| {
        let slot = crate::graph::slot_of(driver.handle) as u16;
        for (mark, ethertype) in [(1, 0x0800_u16), (2, 0x0806)] {
            let mut pkt = std::ptr::null_mut();
            // SAFETY: one slot; the packet is ours until it is sent.
            unsafe {
                assert_eq!((driver.ion.alloc)(driver.ion.ctx, 60, &mut pkt, 1), 1);
                (*pkt).flags = NPKT_EXT;
                (*pkt).owner = slot;
                (*pkt).len = 60;
                (*pkt).way.rx.mark = mark;
                let data = data_of(pkt).as_ptr().cast_mut();
                std::ptr::copy_nonoverlapping(head(ethertype).as_ptr(), data, 14);
                (driver.ion.tx_up)(driver.ion.ctx, driver.handle, &mut pkt, 1);
            }
        }
    });
    until("both are home", || driver.home.load(Ordering::Relaxed) == 2);
    assert_eq!((here.seen(), there.seen()), (vec![1], vec![2]));
    assert_eq!(bench.manager.shared().orphans(), 0);
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn what_comes_from_elsewhere_is_released() {
    let mut bench = Bench::new(2, 2000);
    let driver = bench.driver(0, Act::Release);
    let taker = bench.taker(c"taker", 1, &[0x0800], Act::Release);
    // From no worker, from another's, and under a handle that is not there.
    driver.send(true, 0, [(1, head(0x0800))].into_iter());
    bench.within(taker, |_| ());
    let reg = bench.reg(taker);
    let foreign = bench.manager.shared().worker(1).ask(move |worker| {
        worker.lane.run(&reg, |_| {
            driver.send(true, 0, [(2, head(0x0800))].into_iter());
        });
    });
    foreign.recv().unwrap();
    bench.within(driver, |driver| {
        let mut pkt = std::ptr::null_mut();
        // SAFETY: one slot; the packet is given up.
        unsafe {
            (driver.ion.alloc)(driver.ion.ctx, 60, &mut pkt, 1);
            (driver.ion.tx_up)(driver.ion.ctx, RegHandle(0xdead_beef), &mut pkt, 1);
        }
    });
    assert!(taker.seen().is_empty());
    assert_eq!(bench.manager.shared().astray(), 3);
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn answers_of_control_calls_are_checked() {
    let mut bench = Bench::new(1, 100);
    bench.driver(0, Act::Release);
    let ask = |cmd| bench.manager.devctl("en0", cmd, b"abc");
    assert_eq!(ask(1).unwrap(), b"abc");
    assert_eq!(ask(2).unwrap_err().errno, 5);
    assert_eq!(ask(3).unwrap_err().errno, 5);
    let refused = ask(4).unwrap_err();
    assert_eq!((refused.errno, &*refused.why), (22, "no such thing"));
    assert_eq!(bench.manager.devctl("en9", 1, &[]).unwrap_err().errno, 2);
    assert_eq!(bench.leaked(), 0);
}

#[test]
fn one_that_was_quiesced_is_called_no_more() {
    let mut bench = Bench::new(1, 100);
    let driver = bench.driver(0, Act::Release);
    let taker = bench.taker(c"taker", 0, &[0x0800], Act::Release);
    let reg = bench.reg(taker);
    let home = bench.manager.shared().worker(0);
    let quiesced = home.ask(move |worker| worker.quiesce(&reg));
    quiesced.recv().unwrap();
    bench.send_up(driver, 5, 0x0800);
    // SAFETY: `wake` may come from any thread.
    unsafe { (taker.ion.wake)(taker.ion.ctx, taker.handle) };
    bench.within(driver, |_| ());
    assert_eq!(taker.polls.load(Ordering::Relaxed), 0);
    assert!(taker.seen().is_empty());
    assert_eq!(bench.drops(taker, Drop::Dead), 5);
    assert_eq!(bench.leaked(), 0);
}
