//! The kit: starts an instance, and drives it as io-net's worker would.

use crate::current;
use crate::load::{Loaded, Source};
use crate::state::{Reg, Shared, Watch};
use crate::table;
use io_net_abi::{Advert, BURST_MAX, DEVCTL_BUF, Ion, Module, NPKT_UP, Npkt, RegistrantOps, Text};
use io_net_ddk::Failure;
use io_net_os::epoll::{self, PollFd};
use io_net_pktbuf::{Packet, PacketMemory, Pool, PoolConfig, SharedPacket, alloc_one, set_memory};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// One instance of a module in a graph of its own.
pub struct Kit {
    shared: Arc<Shared>,
    ion: Box<Ion>,
    instance: *mut c_void,
    running: bool,
    // Last: the module's code goes after everything that may call it.
    loaded: Loaded,
}

/// What a registrant told of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrantInfo {
    /// Its name; a driver's with a number.
    pub name: String,
    /// `REG_*`.
    pub flags: u32,
    /// Type of the packets above.
    pub top: Option<String>,
    /// Type of the packets below.
    pub bottom: Option<String>,
    /// Its interface, where it is a driver.
    pub endpoint: u16,
}

/// A packet that the module has sent.
pub struct Sent {
    /// The registrant that sent it, by number.
    pub reg: usize,
    /// Whether it went up; else down.
    pub up: bool,
    /// The packet.
    pub packet: SharedPacket,
}

impl Kit {
    /// Starts an instance of `module` with `options` and a pool of 4096 small and 64 large packets.
    ///
    /// # Errors
    /// What the module says in refusing; or EIO where it cannot be loaded.
    pub fn start(module: impl Into<Source>, options: &str) -> Result<Kit, Failure> {
        let config = PoolConfig {
            small: 4096,
            large: 64,
            huge: false,
        };
        Self::start_with(module, options, config)
    }

    /// As [`Kit::start`], with a pool to measure.
    ///
    /// # Errors
    /// As [`Kit::start`].
    pub fn start_with(
        module: impl Into<Source>,
        options: &str,
        pool: PoolConfig,
    ) -> Result<Kit, Failure> {
        let eio = |text: String| Failure::new(io_net_ddk::errno::EIO, text);
        let loaded = Loaded::open(&module.into()).map_err(eio)?;
        let pool = Pool::new(pool).map_err(|error| eio(error.to_string()))?;
        let run_dir = std::env::temp_dir().to_string_lossy().into_owned();
        let shared = Shared::new(pool, run_dir);
        current::enter(&shared);
        set_memory(PacketMemory {
            alloc: table::alloc,
            tx_done: table::tx_done,
        });
        let mut kit = Kit {
            ion: Box::new(table::table(&shared)),
            shared,
            instance: std::ptr::null_mut(),
            running: false,
            loaded,
        };
        kit.init(options)?;
        kit.running = true;
        Ok(kit)
    }

    fn init(&mut self, options: &str) -> Result<(), Failure> {
        let Some(init) = self.loaded.module().init else {
            return Err(Failure::new(
                io_net_ddk::errno::EINVAL,
                "the module has no init",
            ));
        };
        let text = Text {
            ptr: options.as_ptr(),
            len: options.len(),
        };
        let (ion, instance) = (&raw const *self.ion, &raw mut self.instance);
        // SAFETY: the table outlives the instance; `options` is borrowed for the call.
        let result = current::call(&self.shared, || unsafe { init(ion, text, instance) });
        if result == 0 {
            return Ok(());
        }
        self.instance = std::ptr::null_mut();
        let mut state = self.shared.state();
        let told = state.failure.take();
        let mut wrongs = state.ledger.leaks();
        if !state.watches.is_empty() {
            wrongs.push("a failed init left descriptors watched".into());
        }
        if told.is_none() {
            wrongs.push("init failed without saying why".into());
        }
        let told = told.map(|(_, text)| text);
        let text = told
            .into_iter()
            .chain(wrongs)
            .collect::<Vec<_>>()
            .join("; ");
        Err(Failure::new(result.saturating_neg(), text))
    }

    /// The module's description.
    pub fn module(&self) -> &Module {
        self.loaded.module()
    }

    /// The registrants, in the order of their registration, which is their number here.
    pub fn registrants(&self) -> Vec<RegistrantInfo> {
        let state = self.shared.state();
        let info = |reg: &Reg| RegistrantInfo {
            name: reg.name.clone(),
            flags: reg.flags,
            top: reg.top.clone(),
            bottom: reg.bottom.clone(),
            endpoint: reg.endpoint,
        };
        state.registrants.iter().map(info).collect()
    }

    /// A packet with these bytes, in one fragment. `None` where the pool is dry.
    pub fn packet(&self, bytes: &[u8]) -> Option<Packet> {
        current::from(&self.shared, || {
            let mut packet = alloc_one(bytes.len() as u32)?;
            packet.append(bytes.len())?.copy_from_slice(bytes);
            Some(packet)
        })
    }

    /// A second reference to `packet` that stays with the test. One made by
    /// [`SharedPacket::share`] would be taken for the module's.
    pub fn share(&self, packet: &SharedPacket) -> SharedPacket {
        let shared = packet.share().into_raw();
        self.shared.state().ledger.shared_by_kit(shared);
        // SAFETY: the reference that was just given up.
        unsafe { SharedPacket::from_raw(shared) }
    }

    fn reg(&self, reg: usize) -> (*mut c_void, &RegistrantOps) {
        let state = self.shared.state();
        let reg = &state.registrants[reg];
        // SAFETY: the table is static in the module, which `self` keeps loaded.
        (reg.func_hdl, unsafe { &*reg.ops })
    }

    fn deliver(&self, reg: usize, packets: Vec<SharedPacket>, up: bool) {
        let (hdl, ops) = self.reg(reg);
        let (op, how) = match up {
            true => (ops.rx_up, "given to rx_up"),
            false => (ops.rx_down, "given to rx_down"),
        };
        let Some(op) = op else { return };
        let mut pkts: Vec<*mut Npkt> = packets.into_iter().map(SharedPacket::into_raw).collect();
        for burst in pkts.chunks_mut(BURST_MAX) {
            for &pkt in burst.iter() {
                self.shared.state().ledger.give_to_module(pkt, how);
            }
            let (pkts, n) = (burst.as_mut_ptr(), burst.len() as u32);
            // SAFETY: `n` owned references, which go to the module.
            current::call(&self.shared, || unsafe { op(hdl, pkts, n) });
        }
    }

    /// Hands packets on their way up to registrant `reg`, from interface `endpoint`.
    pub fn rx_up(&mut self, reg: usize, endpoint: u16, packets: Vec<Packet>) {
        let arrived = packets.into_iter().map(|mut packet| {
            packet.set_flags(NPKT_UP, 0);
            packet.set_way(0, endpoint, 0);
            packet.into()
        });
        self.deliver(reg, arrived.collect(), true);
    }

    /// Hands packets on their way down to registrant `reg`, for interface `endpoint`.
    pub fn rx_down(&mut self, reg: usize, endpoint: u16, packets: Vec<Packet>) {
        let sent = packets.into_iter().map(|mut packet| {
            packet.set_flags(0, NPKT_UP);
            packet.set_way(0, endpoint, 0);
            packet.into()
        });
        self.deliver(reg, sent.collect(), false);
    }

    /// Hands over packets as they are, shared ones too.
    pub fn rx_raw(&mut self, reg: usize, up: bool, packets: Vec<SharedPacket>) {
        self.deliver(reg, packets, up);
    }

    /// What the module has sent since the last call, in order.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        let mut state = self.shared.state();
        let sent = std::mem::take(&mut state.sent);
        for raw in &sent {
            state.ledger.check_untouched(raw.pkt);
        }
        drop(state);
        sent.into_iter()
            .map(|raw| Sent {
                reg: raw.reg,
                up: raw.up,
                // SAFETY: the module gave this reference up, and the ledger saw that it had it.
                packet: unsafe { SharedPacket::from_raw(raw.pkt) },
            })
            .collect()
    }

    /// Moves the clock, calling the timers that run out, in their order.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now_ns() + by.as_nanos() as u64;
        loop {
            let mut state = self.shared.state();
            let due = state.timers.iter().enumerate();
            let next = due
                .filter(|(_, timer)| timer.deadline_ns <= until)
                .min_by_key(|(_, timer)| timer.deadline_ns)
                .map(|(index, _)| index);
            let Some(index) = next else {
                state.now_ns = until;
                return;
            };
            let timer = state.timers.swap_remove(index);
            state.now_ns = state.now_ns.max(timer.deadline_ns);
            let now = state.now_ns;
            drop(state);
            let (hdl, ops) = self.reg(timer.reg);
            if let Some(op) = ops.timer {
                // SAFETY: the registrant is in the graph.
                current::call(&self.shared, || unsafe { op(hdl, timer.id, now) });
            }
        }
    }

    /// The clock, nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.shared.state().now_ns
    }

    /// Polls registrant `reg`, whether or not it asked to be.
    pub fn poll(&mut self, reg: usize, budget: u32) -> u32 {
        let (hdl, ops) = self.reg(reg);
        // SAFETY: the registrant is in the graph.
        let poll = |op: unsafe extern "C" fn(*mut c_void, u32) -> u32| unsafe { op(hdl, budget) };
        current::call(&self.shared, || ops.poll.map_or(0, poll))
    }

    /// Tells registrant `reg` that its worker goes to sleep, or has woken.
    pub fn arm(&mut self, reg: usize, sleeping: bool) -> bool {
        let (hdl, ops) = self.reg(reg);
        let sleeping = u32::from(sleeping);
        // SAFETY: the registrant is in the graph.
        let arm = |op: unsafe extern "C" fn(*mut c_void, u32) -> i32| unsafe { op(hdl, sleeping) };
        current::call(&self.shared, || ops.arm.map_or(0, arm)) != 0
    }

    /// One turn of the worker's loop: pollers, foreign packets that came home, ready descriptors.
    pub fn turn(&mut self) {
        let pollers: Vec<usize> = {
            let mut state = self.shared.state();
            let woken = std::mem::take(&mut state.woken);
            let all = state.registrants.iter().enumerate();
            all.filter(|(index, reg)| reg.polling || woken.contains(index))
                .map(|(index, _)| index)
                .collect()
        };
        for reg in pollers {
            self.poll(reg, BURST_MAX as u32);
        }
        self.bring_home();
        for (watch, events) in self.ready() {
            let (hdl, ops) = self.reg(watch.reg);
            let still = |now: &Watch| (now.fd, now.cookie) == (watch.fd, watch.cookie);
            if !self.shared.state().watches.iter().any(still) {
                continue;
            }
            if let Some(op) = ops.event {
                // SAFETY: the registrant is in the graph.
                current::call(&self.shared, || unsafe { op(hdl, watch.cookie, events) });
            }
        }
    }

    /// Turns the loop until `done` says so.
    ///
    /// # Panics
    /// Where that has not happened within ten seconds.
    pub fn run_until(&mut self, mut done: impl FnMut(&mut Kit) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "nothing came of ten seconds; the module said: {:?}",
                self.logs()
            );
            self.turn();
            std::thread::yield_now();
        }
    }

    fn bring_home(&mut self) {
        let mut home = std::mem::take(&mut self.shared.state().foreign_home);
        for pkt in &mut home {
            // SAFETY: a live descriptor that its owner is to get back.
            let owner = unsafe { (**pkt).owner };
            let (hdl, ops) = self.reg(usize::from(owner).saturating_sub(1));
            if let Some(op) = ops.tx_done {
                // SAFETY: one packet, whose owner gets it back.
                current::call(&self.shared, || unsafe { op(hdl, pkt, 1) });
            }
        }
    }

    fn ready(&self) -> Vec<(Watch, u32)> {
        let watches = self.shared.state().watches.clone();
        let poll_fd = |watch: &Watch| PollFd {
            fd: watch.fd,
            events: watch.events as i16,
            revents: 0,
        };
        let mut fds: Vec<PollFd> = watches.iter().map(poll_fd).collect();
        if fds.is_empty() || epoll::poll(&mut fds, Some(Duration::ZERO)).is_err() {
            return Vec::new();
        }
        let all = watches.into_iter().zip(&fds);
        all.filter(|(_, fd)| fd.revents != 0)
            .map(|(watch, fd)| (watch, u32::from(fd.revents.cast_unsigned())))
            .collect()
    }

    /// Whether any watched descriptor is ready. Nothing is called.
    pub fn is_any_ready(&self) -> bool {
        !self.ready().is_empty()
    }

    /// Tells every registrant of an interface.
    pub fn advertise(&mut self, advert: &Advert) {
        for reg in 0..self.registrants().len() {
            let (hdl, ops) = self.reg(reg);
            if let Some(op) = ops.dl_advert {
                // SAFETY: the registrant is in the graph; `advert` is borrowed for the call.
                current::call(&self.shared, || unsafe { op(hdl, advert) });
            }
        }
    }

    /// Makes a control call.
    ///
    /// # Errors
    /// The negative errno that came back, as a positive one, and the text beside it.
    pub fn devctl(&mut self, reg: usize, cmd: u32, request: &[u8]) -> Result<Vec<u8>, Failure> {
        let (hdl, ops) = self.reg(reg);
        let unsupported = || Failure::new(io_net_ddk::errno::EOPNOTSUPP, "no devctl");
        let op = ops.devctl.ok_or_else(unsupported)?;
        let mut data = vec![0; DEVCTL_BUF];
        data[..request.len()].copy_from_slice(request);
        let (at, size, len) = (
            data.as_mut_ptr().cast(),
            DEVCTL_BUF as u32,
            request.len() as u32,
        );
        // SAFETY: the registrant is in the graph; `data` is lent for the call.
        let result = current::call(&self.shared, || unsafe { op(hdl, cmd, at, size, len) });
        match usize::try_from(result) {
            Ok(len) if len <= DEVCTL_BUF => Ok(data[..len].to_vec()),
            Ok(len) => Err(Failure::new(
                io_net_ddk::errno::EIO,
                format!("the answer claims {len} bytes"),
            )),
            Err(_) => {
                let end = data.iter().position(|&byte| byte == 0).unwrap_or(0);
                let text = String::from_utf8_lossy(&data[..end]).into_owned();
                Err(Failure::new(result.saturating_neg(), text))
            }
        }
    }

    /// The counter `name`, over all registrants.
    pub fn counter(&self, name: &str) -> u64 {
        let state = self.shared.state();
        let named = state.counters.iter().filter(|(_, n, _)| n == name);
        named.map(|(_, _, cell)| cell.load(Ordering::Relaxed)).sum()
    }

    /// Every counter that was asked for, by name.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let state = self.shared.state();
        let all = state.counters.iter();
        all.map(|(_, name, cell)| (name.clone(), cell.load(Ordering::Relaxed)))
            .collect()
    }

    /// The adverts that the module has made, in order.
    pub fn adverts(&self) -> Vec<Advert> {
        self.shared.state().adverts.clone()
    }

    /// The byte patterns that the module asked for; an empty one is for all packets.
    pub fn patterns(&self) -> Vec<(u32, Vec<u8>)> {
        self.shared.state().patterns.clone()
    }

    /// What the module has said, with its level.
    pub fn logs(&self) -> Vec<(u32, String)> {
        self.shared.state().logs.clone()
    }

    /// Why the module gave up, where it did.
    pub fn failure(&self) -> Option<String> {
        let state = self.shared.state();
        state.failure.as_ref().map(|(_, text)| text.clone())
    }

    /// Timers that run.
    pub fn timers(&self) -> usize {
        self.shared.state().timers.len()
    }

    /// How many descriptors are watched.
    pub fn watches(&self) -> usize {
        self.shared.state().watches.len()
    }

    /// The descriptors that are watched.
    pub fn watched(&self) -> Vec<i32> {
        let state = self.shared.state();
        state.watches.iter().map(|watch| watch.fd).collect()
    }

    /// Packets that the module holds.
    pub fn held_by_module(&self) -> usize {
        self.shared.state().ledger.held_by_module()
    }

    /// What has gone wrong so far with the ownership of packets.
    pub fn violations(&self) -> Vec<String> {
        self.shared.state().ledger.violations.clone()
    }

    /// Takes the registrants out of the graph; true where the module then holds no packet.
    pub fn quiesce(&mut self) -> bool {
        for reg in 0..self.registrants().len() {
            let (hdl, ops) = self.reg(reg);
            if let Some(op) = ops.quiesce {
                // SAFETY: the registrant is in the graph, for the last time.
                current::call(&self.shared, || unsafe { op(hdl) });
            }
        }
        self.bring_home();
        let mut state = self.shared.state();
        state.quiesced = true;
        state.timers.clear();
        state.ledger.held_by_module() == 0
    }

    fn shutdown(&mut self) {
        if !std::mem::take(&mut self.running) {
            return;
        }
        if !self.shared.state().quiesced {
            self.quiesce();
        }
        if let Some(op) = self.loaded.module().shutdown {
            let instance = std::mem::replace(&mut self.instance, std::ptr::null_mut());
            // SAFETY: the instance is `init`'s, and every registrant has been quiesced.
            current::call(&self.shared, || unsafe { op(instance) });
        }
    }

    /// Ends the instance. Packets that the test still holds are its own affair.
    ///
    /// # Errors
    /// Every way in which the module broke the rules of ownership, a sentence each.
    pub fn stop(mut self) -> Result<(), Vec<String>> {
        self.shutdown();
        drop(self.take_sent());
        let state = self.shared.state();
        let wrongs = [state.ledger.violations.clone(), state.ledger.leaks()].concat();
        if wrongs.is_empty() {
            Ok(())
        } else {
            Err(wrongs)
        }
    }
}

impl Drop for Kit {
    fn drop(&mut self) {
        self.shutdown();
        drop(self.take_sent());
        if self.shared.pool.count_free() != self.shared.pool.count() {
            // The test, or a module that leaks, still points into the pool: let it stay.
            std::mem::forget(self.shared.clone());
        }
    }
}
