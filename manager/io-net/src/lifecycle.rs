//! Mounting and unmounting modules, and the start and stop of an io-net.
//!
//! All on the control thread. A change of the graph is a new plan: published to every worker, and
//! acknowledged by all of them before the next step, so that what has left the graph is no longer
//! running anywhere when it is ended.

use crate::config::{Config, Kind, ModuleSpec};
use crate::dispatch::{self, Reg};
use crate::graph::{Plan, Role, slot_of};
use crate::instance::Wish;
use crate::instances::{Instance, Making};
use crate::loader::{Module, SearchPath};
use crate::log::Log;
use crate::options;
use crate::registry::State;
use crate::shared::{Note, Shared};
use crate::worker::{self, Pace, Worker};
use io_net_abi::{ADVERT_DYING, Advert, RegHandle};
use io_net_pktbuf::Pool;
use io_net_proto::control::Failure;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How long a worker may take to answer before it counts as stuck in a module.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a module's memory may be in use by others after it has left the graph.
const LENT_WITHIN: Duration = Duration::from_secs(1);
/// How long a stop may take in all.
const STOP_WITHIN: Duration = Duration::from_millis(1800);

const EIO: i32 = 5;
const ENOENT: i32 = 2;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const ETIMEDOUT: i32 = 110;

/// Told of registrants that come and go. Called on the control thread, which must not wait in it for
/// anything that needs the control thread.
pub trait Observer {
    /// A registrant is there and works; `interface` where it is a driver's.
    fn appeared(&mut self, name: &str, interface: bool);
    /// A registrant is gone.
    fn gone(&mut self, name: &str);
}

/// One io-net.
pub struct Manager {
    shared: Arc<Shared>,
    workers: Vec<worker::Handle>,
    instances: Vec<Instance>,
    observers: Vec<Box<dyn Observer>>,
    search: SearchPath,
    auto_convert: bool,
    next_id: u64,
    /// Drivers mounted so far: they take turns on the workers.
    drivers: usize,
    /// When everything must be over; `None` before the stop.
    stop_by: Option<Instant>,
}

impl Manager {
    /// Makes an io-net without modules, with its workers running.
    ///
    /// # Errors
    /// No memory, no threads or no descriptors.
    pub fn new(config: &Config, run_dir: PathBuf, log: Log) -> Result<Manager, String> {
        let pool = Pool::new(config.pool).map_err(|e| e.to_string())?;
        let shared = Shared::new(pool, config.threads, run_dir, log)
            .map_err(|e| format!("cannot start: {e}"))?;
        dispatch::enlist(&shared);
        let pace = Pace {
            spin: Duration::from_micros(config.spin_us.into()),
            poll: config.poll,
        };
        let workers = worker::start(&shared, pace, &config.cpus)
            .map_err(|e| format!("cannot start the workers: {e}; check -t and --cpu"))?;
        Ok(Manager {
            shared,
            workers,
            instances: Vec::new(),
            observers: Vec::new(),
            search: SearchPath::new(&config.module_path),
            auto_convert: config.auto_convert,
            next_id: 1,
            drivers: 0,
            stop_by: None,
        })
    }

    /// What the threads share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> &[worker::Handle] {
        &self.workers
    }

    /// The instances, in the order of their start.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// Adds somebody to be told of registrants, and tells of those there are.
    pub fn observe(&mut self, mut observer: Box<dyn Observer>) {
        for instance in &self.instances {
            for (name, interface) in self.members_of(instance.link.id()) {
                observer.appeared(&name, interface);
            }
        }
        self.observers.push(observer);
    }

    /// Loads a module and starts an instance of it. Returns the names of what it entered into the
    /// graph.
    ///
    /// # Errors
    /// Anything that is wrong with the module, its options or its start; nothing is left of it then.
    pub fn mount(&mut self, spec: &ModuleSpec) -> Result<Vec<String>, Failure> {
        self.mount_for(spec, None)
    }

    fn mount_for(
        &mut self,
        spec: &ModuleSpec,
        serves: Option<u64>,
    ) -> Result<Vec<String>, Failure> {
        let what = format!("cannot mount {}", spec.name);
        let fail = |errno: i32, why: String| failure(errno, &what, why);
        let path = self
            .search
            .find(&spec.name, spec.kind)
            .map_err(|why| fail(ENOENT, why))?;
        let module = Module::open(&path, spec.kind).map_err(|why| fail(EINVAL, why))?;
        let (placement, own_options) =
            options::split(&module.name, module.kind, &module.options, &spec.options)
                .map_err(|why| fail(EINVAL, why))?;
        let home = self
            .home(module.kind, placement.worker)
            .map_err(|why| fail(EINVAL, why))?;
        let (id, kind) = (self.next_id, module.kind);
        self.next_id += 1;
        let making = Making {
            id,
            module,
            path,
            options: spec.options.clone(),
            placement,
            own_options,
            home,
            serves,
        };
        let instance = Instance::start(&self.shared, making)?;
        self.instances.push(instance);
        if matches!(kind, Kind::Protocol | Kind::Converter) {
            self.provide_converters(id, kind);
        }
        if let Err(failure) = self.admit(id, kind, home) {
            // Nothing may be ended while a worker does not answer; it stays, and is named.
            self.shared.log.error(&failure);
            return Err(failure);
        }
        if kind == Kind::Driver {
            self.drivers += 1;
        }
        let names = self.names_of(id);
        self.shared.log.debug(format_args!(
            "mounted {} as {}",
            spec.name,
            names.join(", ")
        ));
        for (name, interface) in self.members_of(id) {
            self.observers
                .iter_mut()
                .for_each(|o| o.appeared(&name, interface));
        }
        Ok(names)
    }

    /// Which worker runs a new instance: the one asked for; else drivers take turns, and all others
    /// are on the first.
    fn home(&self, kind: Kind, asked: Option<usize>) -> Result<usize, String> {
        let count = self.shared.worker_count();
        match asked {
            Some(worker) if worker >= count => Err(format!(
                "worker={worker}: there are {count} workers, counted from 0; start io-net with more (-t)"
            )),
            Some(worker) => Ok(worker),
            None if kind == Kind::Driver => Ok(self.drivers % count),
            None => Ok(0),
        }
    }

    /// Sees to it that the packet types that a new protocol or converter takes are made by somebody:
    /// loads the converter `ncm-TYPE-BELOW` where one is found. What a converter takes may also come
    /// from drivers that are still to be mounted, so for that nobody is warned.
    fn provide_converters(&mut self, id: u64, taker: Kind) {
        for cell in self.types_taken_by(id) {
            let (kind, missing) = {
                let registry = self.shared.registry();
                let missing = !registry.has_producer(cell, id);
                (registry.type_name(cell).to_string(), missing)
            };
            if !missing {
                continue;
            }
            match self.find_converter(&kind).filter(|_| self.auto_convert) {
                Some(name) => {
                    let spec = ModuleSpec {
                        kind: Some(Kind::Converter),
                        name,
                        options: String::new(),
                    };
                    if let Err(failure) = self.mount_for(&spec, Some(id)) {
                        self.shared.log.warning(&failure);
                    }
                }
                None if taker == Kind::Converter => {}
                None => self.shared.log.warning(format_args!(
                    "nothing makes {kind} packets for {}; mount a converter for them",
                    self.names_of(id).join(", ")
                )),
            }
        }
    }

    fn types_taken_by(&self, id: u64) -> Vec<u16> {
        let registry = self.shared.registry();
        let own = registry
            .entries()
            .filter(|entry| entry.reg.link().id() == id);
        let mut cells: Vec<u16> = own.filter_map(|entry| entry.node.takes()).collect();
        cells.dedup();
        cells
    }

    /// A converter module from type `kind` to a type that drivers make now, else to any.
    fn find_converter(&self, kind: &str) -> Option<String> {
        let prefix = format!("{}{kind}-", Kind::Converter.prefix());
        let mut found = self.search.list(Kind::Converter);
        found.retain(|name| name.starts_with(&prefix));
        let registry = self.shared.registry();
        let made = |name: &&String| {
            let below = registry.known_cell(&name[prefix.len()..]);
            below.is_some_and(|cell| registry.has_producer(cell, 0))
        };
        found.iter().find(made).or(found.first()).cloned()
    }

    /// Takes a new instance into the graph. A filter is told of the interfaces before it is sent
    /// anything, and gets its place so that no packet overtakes another.
    fn admit(&mut self, id: u64, kind: Kind, home: usize) -> Result<(), Failure> {
        if kind != Kind::Filter {
            self.shared.registry().set_state(id, State::Live);
            self.publish()?;
            return self.fulfil(id);
        }
        self.shared.registry().set_state(id, State::Joining);
        self.publish()?;
        self.fulfil(id)?;
        self.shared.registry().set_state(id, State::Live);
        self.reroute(home, |_| ())
    }

    /// Has the home worker do what the module asked for during `init`, tells it of the interfaces
    /// there are, and others of its own.
    fn fulfil(&mut self, id: u64) -> Result<(), Failure> {
        let Some(instance) = self.instances.iter().find(|i| i.link.id() == id) else {
            return Ok(());
        };
        let (wishes, home) = (instance.take_wishes(), instance.home);
        let adverts = self.shared.registry().adverts();
        for (from, advert) in adverts {
            let audience = self.shared.registry().audience(from, &advert);
            for reg in audience.iter().filter(|reg| reg.link().id() == id) {
                self.tell(reg, advert);
            }
        }
        let own_adverts: Vec<(RegHandle, Advert)> = wishes
            .iter()
            .filter_map(|wish| match *wish {
                Wish::Advert(from, advert) => Some((from, advert)),
                _ => None,
            })
            .collect();
        let fulfilled = self.shared.worker(home).ask(move |worker| {
            let results = wishes.iter().map(|wish| worker.fulfil(wish));
            results.filter_map(Result::err).next()
        });
        if let Some(error) = self.wait(&fulfilled, home)? {
            self.shared.log.warning(format_args!(
                "a descriptor that a module watches from its start: {error}"
            ));
        }
        for (from, advert) in own_adverts {
            self.spread(from, advert);
        }
        Ok(())
    }

    /// Makes a plan and waits until every worker uses it.
    pub(crate) fn publish(&self) -> Result<(), Failure> {
        let plan: Arc<Plan> = Arc::new(self.shared.registry().plan());
        let adopt = |worker: usize| {
            let plan = plan.clone();
            self.shared.worker(worker).ask(move |w| w.adopt(plan))
        };
        let answers: Vec<_> = (0..self.shared.worker_count()).map(adopt).collect();
        let mut answers = answers.iter().enumerate();
        answers.try_for_each(|(worker, answer)| self.wait(answer, worker))
    }

    /// Makes a plan in which the way of packets through registrants of worker `home` is another, and
    /// has every worker use it so that no packet overtakes another: the others stand by, passing
    /// on only what has crossed to them, until `home` has delivered what was under way and done
    /// `then`.
    fn reroute(
        &self,
        home: usize,
        then: impl FnOnce(&Worker) + Send + 'static,
    ) -> Result<(), Failure> {
        let plan: Arc<Plan> = Arc::new(self.shared.registry().plan());
        let over = StandBy::default();
        for worker in (0..self.shared.worker_count()).filter(|&worker| worker != home) {
            let (plan, over) = (plan.clone(), over.0.clone());
            let (met, adopted) = sync_channel(1);
            self.shared.worker(worker).post(move |w| {
                w.adopt(plan);
                // Whoever waited may have given up.
                let _ = met.send(());
                w.stand_by(&over);
            });
            self.wait(&adopted, worker)?;
        }
        let done = self.shared.worker(home).ask(move |worker| {
            worker.adopt(plan);
            worker.lane.settle_crossed();
            then(worker);
        });
        self.wait(&done, home)
    }

    /// Publishes a plan in which `regs`, all of one instance, are no longer sent to, and has them
    /// quiesced: what they kept is passed on before any packet that no longer goes through them.
    fn quiesce(&self, regs: &[Arc<Reg>], home: usize) -> Result<(), Failure> {
        let regs = regs.to_vec();
        self.reroute(home, move |worker| {
            regs.iter().for_each(|reg| worker.quiesce(reg));
        })
    }

    /// Waits for a worker's answer.
    fn wait<T>(&self, answer: &Receiver<T>, worker: usize) -> Result<T, Failure> {
        let patience = self
            .stop_by
            .map_or(PATIENCE, |by| by.saturating_duration_since(Instant::now()));
        answer.recv_timeout(patience).map_err(|_| {
            failure(
                ETIMEDOUT,
                "cannot change the graph",
                format!("worker {worker} does not answer: a module on it does not return"),
            )
        })
    }

    /// Gives an advert to one registrant.
    fn tell(&self, reg: &Arc<Reg>, advert: Advert) {
        let target = reg.clone();
        self.shared.worker(reg.home()).post(move |worker| {
            if worker.lane.plan().reg(target.handle()).is_some() {
                worker
                    .lane
                    .run(&target, |running| running.dl_advert(&advert));
            }
        });
    }

    /// Keeps an advert and gives it to all whom it concerns.
    fn spread(&self, from: RegHandle, advert: Advert) {
        let mut registry = self.shared.registry();
        if registry.entry(from).is_none() && advert.flags & ADVERT_DYING == 0 {
            return;
        }
        registry.keep_advert(from, advert);
        let audience = registry.audience(from, &advert);
        drop(registry);
        audience.iter().for_each(|reg| self.tell(reg, advert));
    }

    /// Says that every advertised interface for which `dying` is true goes away.
    fn bury(&self, dying: impl Fn(RegHandle, &Advert) -> bool) {
        let adverts = self.shared.registry().adverts();
        for (from, mut advert) in adverts {
            if dying(from, &advert) {
                advert.flags = advert.flags & !io_net_abi::ADVERT_LINK_UP | ADVERT_DYING;
                self.spread(from, advert);
            }
        }
    }

    /// Acts on what workers have noted.
    pub fn handle_notes(&mut self) {
        for note in self.shared.take_notes() {
            match note {
                Note::Failed(id) => {
                    if let Err(failure) = self.detach(id) {
                        self.shared.log.error(failure);
                    }
                }
                Note::Advert(from, advert) => self.spread(from, advert),
                Note::Changed => self.admit_late(),
            }
        }
    }

    /// Puts registrants into the graph that were entered while their instance ran.
    fn admit_late(&mut self) {
        let ids: Vec<u64> = self.instances.iter().map(|i| i.link.id()).collect();
        for id in ids {
            self.shared.registry().set_state(id, State::Live);
        }
        if let Err(failure) = self.publish() {
            self.shared.log.error(failure);
        }
    }

    /// Unmounts the instance that has the registrant `name`.
    ///
    /// # Errors
    /// ENOENT for no such name, EBUSY where others depend on it.
    pub fn unmount(&mut self, name: &str) -> Result<(), Failure> {
        let what = format!("cannot unmount {name}");
        let registry = self.shared.registry();
        let Some(entry) = registry.named(name) else {
            let names: Vec<_> = registry.entries().map(|e| e.reg.name()).collect();
            let mut failure = failure(ENOENT, &what, "there is no such registrant".into());
            failure.help = format!("there are: {}", names.join(", "));
            return Err(failure);
        };
        let id = entry.reg.link().id();
        let dependants = registry.dependants(id);
        drop(registry);
        if !dependants.is_empty() {
            let mut failure = failure(
                EBUSY,
                &what,
                format!("it is needed by {}", dependants.join(", ")),
            );
            failure.help = "unmount that first".into();
            return Err(failure);
        }
        self.detach(id)?;
        let helpers: Vec<u64> = self
            .instances
            .iter()
            .filter(|i| i.serves == Some(id))
            .map(|i| i.link.id())
            .collect();
        for helper in helpers {
            if self.shared.registry().dependants(helper).is_empty() {
                self.detach(helper)?;
            }
        }
        Ok(())
    }

    /// Takes an instance out of the graph and ends it, whoever depends on it.
    ///
    /// # Errors
    /// A worker does not answer: the instance is left as it is, out of the graph as far as possible.
    fn detach(&mut self, id: u64) -> Result<(), Failure> {
        let Some(at) = self.instances.iter().position(|i| i.link.id() == id) else {
            return Ok(());
        };
        let regs = self.shared.registry().of_instance(id);
        let members = self.members_of(id);
        let own = |handle| regs.iter().any(|reg| reg.handle() == handle);
        self.bury(|from, _| own(from));
        self.shared.registry().set_state(id, State::Leaving);
        self.quiesce(&regs, self.instances[at].home)?;
        let lent = self.await_lent(&regs);
        self.shared.registry().remove(id);
        self.publish()?;
        let instance = self.instances.remove(at);
        let module = instance.module.name.clone();
        self.bury_instance(instance, lent);
        for (name, _) in members {
            self.observers.iter_mut().for_each(|o| o.gone(&name));
        }
        self.bury_orphans();
        self.shared.log.debug(format_args!(
            "unmounted {module} ({})",
            regs.iter().map(|r| r.name()).collect::<Vec<_>>().join(", ")
        ));
        Ok(())
    }

    /// Waits until the packets over the memory of `regs` have come home, and returns how many have
    /// not in time.
    fn await_lent(&self, regs: &[Arc<Reg>]) -> usize {
        let by = Instant::now() + LENT_WITHIN;
        let by = self.stop_by.map_or(by, |stop_by| stop_by.min(by));
        loop {
            let slots = regs.iter().map(|reg| slot_of(reg.handle()) as u16);
            let lent = slots
                .map(|slot| dispatch::count_foreign(self.shared.pool(), slot))
                .sum();
            if lent == 0 || Instant::now() > by {
                return lent;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends an instance that has left the graph, of whose memory `lent` packets are held by others.
    fn bury_instance(&self, mut instance: Instance, lent: usize) {
        if lent > 0 {
            self.shared.log.error(format_args!(
                "{lent} packets over memory of {} are still in use: it stays mapped",
                instance.module.name
            ));
            // Neither ended nor unmapped: what they point to stays.
            std::mem::forget(instance);
            return;
        }
        instance.shutdown();
        if instance.link.has_failed() {
            instance.module.keep_mapped();
        }
    }

    /// Takes back what converters said of interfaces whose driver has gone.
    fn bury_orphans(&self) {
        let endpoints: Vec<u16> = self
            .shared
            .registry()
            .entries()
            .filter_map(|entry| match entry.node.role {
                Role::Driver { endpoint, .. } => Some(endpoint),
                _ => None,
            })
            .collect();
        self.bury(|_, advert| !endpoints.contains(&advert.endpoint));
    }

    fn names_of(&self, id: u64) -> Vec<String> {
        let regs = self.shared.registry().of_instance(id);
        regs.iter().map(|reg| reg.name().to_string()).collect()
    }

    /// The registrants of an instance, and whether they are interfaces.
    fn members_of(&self, id: u64) -> Vec<(String, bool)> {
        let registry = self.shared.registry();
        let own = registry
            .entries()
            .filter(|entry| entry.reg.link().id() == id);
        own.map(|entry| {
            let interface = matches!(entry.node.role, Role::Driver { .. });
            (entry.reg.name().to_string(), interface)
        })
        .collect()
    }

    /// An out-of-band call to the registrant `name`: `data[..len]` is the request; the answer comes
    /// in its place.
    ///
    /// # Errors
    /// ENOENT for no such name; the module's errno and what it says of it; ETIMEDOUT.
    pub fn devctl(&self, name: &str, cmd: u32, request: &[u8]) -> Result<Vec<u8>, Failure> {
        let what = format!("cannot ask {name}");
        let found = self.shared.registry().named(name).map(|e| e.reg.clone());
        let Some(reg) = found else {
            let why = "there is no such registrant".into();
            return Err(failure(ENOENT, &what, why));
        };
        let mut data = request.to_vec();
        data.resize(io_net_abi::DEVCTL_BUF.max(request.len()), 0);
        let (len, home) = (request.len(), reg.home());
        let answer = self.shared.worker(home).ask(move |worker| {
            let result = worker
                .lane
                .run(&reg, |running| running.devctl(cmd, &mut data, len));
            (result, data)
        });
        let (result, mut data) = self.wait(&answer, home)?;
        match result {
            None => Err(failure(EIO, &what, "it has failed".into())),
            Some(n) if n >= 0 && n as usize <= data.len() => {
                data.truncate(n as usize);
                Ok(data)
            }
            Some(n @ -4095..0) => Err(failure(-n, &what, refusal_text(n, &data))),
            Some(n) => {
                let why = format!("its answer has the impossible length {n}");
                Err(failure(EIO, &what, why))
            }
        }
    }

    /// Ends everything: protocols, converters, filters, drivers, then the workers. Returns how many
    /// packets were leaked.
    ///
    /// # Errors
    /// A worker does not end in time.
    pub fn stop(mut self) -> Result<usize, Failure> {
        self.end()?;
        let pool = self.shared.pool();
        Ok(pool.count() - pool.count_free())
    }

    fn end(&mut self) -> Result<(), Failure> {
        let by = Instant::now() + STOP_WITHIN;
        self.stop_by = Some(by);
        for kind in [Kind::Protocol, Kind::Converter, Kind::Filter, Kind::Driver] {
            let mut ids: Vec<u64> = self
                .instances
                .iter()
                .filter(|i| i.module.kind == kind)
                .map(|i| i.link.id())
                .collect();
            ids.reverse();
            for id in ids {
                self.detach(id)?;
            }
        }
        for worker in 0..self.shared.worker_count() {
            self.shared.worker(worker).post(worker::Worker::stop);
        }
        while !self.workers.iter().all(worker::Handle::is_finished) {
            if Instant::now() > by {
                let why = "a worker does not end: a module on it does not return".into();
                return Err(failure(ETIMEDOUT, "cannot stop", why));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.workers.drain(..).for_each(worker::Handle::join);
        Ok(())
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if !self.workers.is_empty() && self.stop_by.is_none() {
            // Nobody waits for the result.
            let _ = self.end();
        }
        // What could not be ended may still run: it stays mapped, with all that it knows.
        self.instances.drain(..).for_each(std::mem::forget);
    }
}

/// Workers stand by as long as this lives.
#[derive(Default)]
struct StandBy(Arc<AtomicBool>);

impl Drop for StandBy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The reason that a module has put into the buffer of a failed devctl, else the errno's text.
fn refusal_text(result: i32, data: &[u8]) -> String {
    let end = data.iter().position(|&b| b == 0).unwrap_or(0);
    match std::str::from_utf8(&data[..end]) {
        Ok(text) if !text.is_empty() && !text.starts_with('{') => text.into(),
        _ => std::io::Error::from_raw_os_error(-result).to_string(),
    }
}

fn failure(errno: i32, what: &str, why: String) -> Failure {
    Failure {
        errno,
        what: what.into(),
        why,
        help: String::new(),
    }
}
