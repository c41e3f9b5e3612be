//! Nodes on unreliable LANs, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use io_net_qnet::secure::{KnownNodes, Protection, SecretKey, Security};
use io_net_qnet::time::Instant;
use io_net_qnet::transport::{LinkAddr, LinkConfig, LinkId, Node as Name};
use io_net_qnet::{Config, Qnet};

use super::ledger::Ledger;
use super::programs::{Habits, Plan, Programs};
use crate::rng::Rng;

/// What LANs do to frames; chances are per mille.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Frames lost.
    pub loss: usize,
    /// Frames delivered twice.
    pub duplication: usize,
    /// Frames held back for a while.
    pub reordering: usize,
    /// Frames with a flipped bit.
    pub corruption: usize,
    /// Time on the way.
    pub delay: Duration,
}

/// A frame as it left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    /// When.
    pub at: Instant,
    /// Whose it is.
    pub from: LinkAddr,
    /// For whom.
    pub to: LinkAddr,
    /// From the padding on.
    pub frame: Vec<u8>,
}

/// What happens to one frame, and with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is lost.
    Lose,
    /// It comes twice, the second time late.
    Repeat,
    /// It comes late.
    Hold,
    /// It is lost, and its LAN goes down.
    Unplug,
    /// It is lost, and its sender restarts.
    RestartSender,
    /// It is lost, and its receiver restarts.
    RestartReceiver,
}

/// How late a frame comes that is held or repeated.
const LATE: Duration = Duration::from_millis(3);

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Nodes.
    pub nodes: usize,
    /// LANs, each with all nodes on it.
    pub lans: usize,
    /// Client threads on each node.
    pub threads: usize,
    /// Other nodes that the clients of one node send to; 0 for all.
    pub targets: usize,
    /// What happens to frames.
    pub weather: Weather,
    /// What programs do.
    pub habits: Habits,
    /// What every node is configured with, but for its name and seed.
    pub config: Config,
    /// The longest frame.
    pub mtu: usize,
    /// Nodes prove who they are, and frames are enciphered.
    pub secure: bool,
}

impl Default for Plot {
    fn default() -> Self {
        Plot {
            nodes: 2,
            lans: 1,
            threads: 2,
            targets: 0,
            weather: Weather::default(),
            habits: Habits::default(),
            config: Config::default(),
            mtu: 1500,
            secure: false,
        }
    }
}

/// Nodes and what is on the way between them.
pub struct World {
    /// The plot.
    pub plot: Plot,
    /// The time.
    pub now: Instant,
    /// What became of each message.
    pub ledger: Ledger,
    /// Frames as they left, if they are to be kept.
    pub capture: Option<Vec<Captured>>,
    /// Whether clients begin anything new.
    pub busy: bool,
    /// Frames to single nodes that were sent so far.
    pub frames: u64,
    /// What shall happen to which of them.
    pub faults: Vec<(u64, Fault)>,
    /// Nodes to be restarted before anything else happens.
    doomed: Vec<usize>,
    /// Chance.
    pub rng: Rng,
    nodes: Vec<Option<Box<Node>>>,
    /// Whether a node hears and is heard on a LAN.
    plugged: Vec<Vec<bool>>,
    /// The side that each node is on while LANs are parted.
    side: Vec<usize>,
    agenda: BinaryHeap<Reverse<Entry>>,
    count: u64,
    /// Things done at the present time.
    standing: u64,
    lives: u64,
    frame: Vec<u8>,
}

/// One life of a node.
struct Node {
    life: u64,
    qnet: Qnet,
    programs: Programs,
    timer: Option<Instant>,
}

/// Things done at one time, after which something calls for itself without end.
const STANDING_MAX: u64 = 1_000_000;

/// For what concerns a node whichever life it is in.
const ANY_LIFE: u64 = 0;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Instant,
    /// Keeps what is due at once in order.
    number: u64,
    node: usize,
    life: u64,
    what: What,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Frame(LinkId, LinkAddr, Vec<u8>),
    Timer,
    Plan(Plan),
}

impl World {
    /// All nodes started.
    pub fn new(plot: Plot, seed: u64) -> Self {
        let nodes = plot.nodes;
        let mut world = World {
            now: Instant::from_millis(1000),
            ledger: Ledger::default(),
            capture: None,
            busy: true,
            frames: 0,
            faults: Vec::new(),
            doomed: Vec::new(),
            rng: Rng::new(seed),
            nodes: std::iter::repeat_with(|| None).take(nodes).collect(),
            plugged: vec![vec![true; plot.lans]; nodes],
            side: vec![0; nodes],
            agenda: BinaryHeap::new(),
            count: 0,
            standing: 0,
            lives: 0,
            frame: Vec::new(),
            plot,
        };
        for node in 0..nodes {
            world.start(node);
        }
        world
    }

    // ---- What happens to nodes ---------------------------------------------------------------

    /// Starts a node that is down.
    pub fn start(&mut self, node: usize) {
        self.lives += 1;
        let mut config = self.plot.config.clone();
        config.transport.node = Name {
            name: name_of(node),
            domain: String::new(),
        };
        for byte in &mut config.transport.seed {
            *byte = self.rng.number() as u8;
        }
        if self.plot.secure {
            // A node's key is the same in all its lives.
            config.transport.security = Security::Noise {
                key: SecretKey([node as u8 + 1; 32]),
                protection: Protection::Encrypted,
                known: KnownNodes::default(),
            };
        }
        let qnet = Qnet::new(self.now, config).expect("the name is one");
        let all = (1..self.plot.nodes).map(|step| (node + step) % self.plot.nodes);
        let targets = match self.plot.targets {
            0 => all.map(name_of).collect(),
            some => all.take(some).map(name_of).collect(),
        };
        let rng = Rng::new(self.rng.number());
        let (threads, habits) = (self.plot.threads, &self.plot.habits);
        let programs = Programs::new(habits, targets, threads, self.lives, self.now, rng);
        self.nodes[node] = Some(Box::new(Node {
            life: self.lives,
            qnet,
            programs,
            timer: None,
        }));
        for lan in 0..self.plot.lans {
            let config = LinkConfig { mtu: self.plot.mtu };
            self.touch(node, |now, this, _| {
                let name = format!("en{lan}");
                let addr = station(node, lan);
                this.qnet
                    .add_link(now, LinkId(lan as u8), &name, addr, config);
            });
        }
    }

    /// A node goes down with all that is in its memory.
    pub fn crash(&mut self, node: usize) {
        if let Some(old) = self.nodes[node].take() {
            old.programs.forget(&mut self.ledger);
        }
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].is_some()
    }

    /// The server of a node dies, or comes back as another.
    pub fn set_server(&mut self, node: usize, up: bool) {
        self.lives += 1;
        let epoch = self.lives;
        self.touch(node, |now, this, _| {
            this.programs.restart_server(now, up, epoch, &mut this.qnet);
        });
    }

    /// A node's cable of one LAN is plugged in or pulled out.
    pub fn plug(&mut self, node: usize, lan: usize, plugged: bool) {
        self.plugged[node][lan] = plugged;
    }

    /// Frames pass between nodes of one side only.
    pub fn part(&mut self, side: impl Fn(usize) -> usize) {
        for node in 0..self.side.len() {
            self.side[node] = side(node);
        }
    }

    /// A node as it is.
    pub fn qnet(&mut self, node: usize) -> &mut Qnet {
        &mut self.nodes[node].as_mut().expect("it is up").qnet
    }

    /// Calls a node, and does what follows from that.
    pub fn with(&mut self, node: usize, call: impl FnOnce(Instant, &mut Qnet)) {
        self.touch(node, |now, this, _| call(now, &mut this.qnet));
    }

    /// All is mended: cables, sides, nodes and servers.
    pub fn heal(&mut self) {
        for node in 0..self.plot.nodes {
            self.plugged[node].fill(true);
            self.side[node] = 0;
            if self.is_up(node) {
                self.set_server(node, true);
            } else {
                self.start(node);
            }
        }
        self.plot.weather = Weather::default();
    }

    // ---- Time --------------------------------------------------------------------------------

    /// Lets time pass.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(Reverse(entry)) = self.agenda.peek()
            && entry.at <= until
        {
            self.step();
        }
        self.now = until;
    }

    /// Lets time pass until every client has an end of all it began, at most `span`. Nothing new begins.
    pub fn settle(&mut self, span: Duration) {
        self.busy = false;
        let until = self.now + span;
        while !self.at_rest() {
            match self.agenda.peek() {
                Some(Reverse(entry)) if entry.at <= until => self.step(),
                _ => panic!("no end of {:?} within {span:?}", self.ledger.open()),
            }
        }
        assert_eq!(self.ledger.open(), []);
    }

    fn at_rest(&self) -> bool {
        self.nodes
            .iter()
            .flatten()
            .all(|node| node.programs.at_rest())
    }

    /// All clients detach; after that, nothing of any message or connection is left on any node.
    pub fn assert_nothing_stays(&mut self, span: Duration) {
        for node in 0..self.nodes.len() {
            self.touch(node, |now, this, _| {
                this.programs.detach_all(now, &mut this.qnet);
            });
        }
        self.run_for(span);
        for node in self.nodes.iter().flatten() {
            assert_eq!(node.qnet.counts(), io_net_qnet::Counts::default());
        }
    }

    /// The next thing on the agenda.
    fn step(&mut self) {
        while let Some(node) = self.doomed.pop() {
            self.crash(node);
            self.start(node);
        }
        let Some(Reverse(entry)) = self.agenda.pop() else {
            return;
        };
        self.standing = if entry.at > self.now {
            0
        } else {
            self.standing + 1
        };
        assert!(self.standing < STANDING_MAX, "time stands still");
        self.now = self.now.max(entry.at);
        let node = entry.node;
        let life = self.nodes[node].as_ref().map(|node| node.life);
        if entry.life != ANY_LIFE && life != Some(entry.life) {
            return;
        }
        let busy = self.busy;
        match entry.what {
            What::Frame(link, from, mut bytes) => {
                self.touch(node, |now, this, _| {
                    this.qnet.handle_frame(now, link, from, &mut bytes);
                });
            }
            What::Timer => {
                if let Some(this) = &mut self.nodes[node]
                    && this.timer == Some(entry.at)
                {
                    this.timer = None;
                    self.touch(node, |now, this, _| this.qnet.handle_timeout(now));
                }
            }
            What::Plan(plan) => {
                self.touch(node, |now, this, ledger| {
                    this.programs.act(now, plan, &mut this.qnet, ledger, busy);
                });
            }
        }
    }

    /// Calls a node that is up, and carries on until it has nothing to tell or to send.
    fn touch(&mut self, node: usize, call: impl FnOnce(Instant, &mut Node, &mut Ledger)) {
        let now = self.now;
        let Some(mut this) = self.nodes[node].take() else {
            return;
        };
        call(now, &mut this, &mut self.ledger);
        loop {
            while let Some(event) = this.qnet.poll_event() {
                let (qnet, ledger) = (&mut this.qnet, &mut self.ledger);
                this.programs.handle(now, event, qnet, ledger);
            }
            let Some(transmit) = this.qnet.poll_transmit(now) else {
                break;
            };
            let mut frame = std::mem::take(&mut self.frame);
            frame.clear();
            frame.resize(transmit.len, 0);
            if let Some(len) = this.qnet.emit(now, &mut frame) {
                self.transmit(node, transmit.link, transmit.to, &frame[..len]);
            }
            self.frame = frame;
        }
        for (at, plan) in std::mem::take(&mut this.programs.plans) {
            self.enter(at, node, this.life, What::Plan(plan));
        }
        let timer = this.qnet.poll_timeout().map(|at| at.max(now));
        if timer != this.timer {
            this.timer = timer;
            if let Some(at) = timer {
                self.enter(at, node, this.life, What::Timer);
            }
        }
        self.nodes[node] = Some(this);
    }

    fn enter(&mut self, at: Instant, node: usize, life: u64, what: What) {
        self.count += 1;
        let number = self.count;
        self.agenda.push(Reverse(Entry {
            at,
            number,
            node,
            life,
            what,
        }));
    }

    // ---- LANs --------------------------------------------------------------------------------

    fn transmit(&mut self, from: usize, link: LinkId, to: LinkAddr, frame: &[u8]) {
        let lan = usize::from(link.0);
        let sender = station(from, lan);
        if let Some(capture) = &mut self.capture {
            capture.push(Captured {
                at: self.now,
                from: sender,
                to,
                frame: frame.to_vec(),
            });
        }
        if !self.plugged[from][lan] {
            return;
        }
        if to == LinkAddr::BROADCAST {
            for node in 0..self.nodes.len() {
                if node != from {
                    self.fly(from, node, link, sender, frame);
                }
            }
        } else if let Some(node) = owner(to, lan)
            && node < self.nodes.len()
            && !self.strike((from, node), link, sender, frame)
        {
            self.fly(from, node, link, sender, frame);
        }
    }

    /// Counts a frame, and does to it what was planned; true where it does not fly as others do.
    fn strike(
        &mut self,
        (from, node): (usize, usize),
        link: LinkId,
        sender: LinkAddr,
        frame: &[u8],
    ) -> bool {
        let number = self.frames;
        self.frames += 1;
        let planned = self.faults.iter().find(|(at, _)| *at == number);
        let Some(&(_, fault)) = planned else {
            return false;
        };
        match fault {
            Fault::Lose => {}
            Fault::Repeat | Fault::Hold => {
                let what = What::Frame(link, sender, frame.to_vec());
                self.enter(self.now + LATE, node, ANY_LIFE, what);
            }
            Fault::Unplug => {
                for plugged in &mut self.plugged {
                    plugged[usize::from(link.0)] = false;
                }
            }
            Fault::RestartSender => self.doomed.push(from),
            Fault::RestartReceiver => self.doomed.push(node),
        }
        fault != Fault::Repeat
    }

    fn fly(&mut self, from: usize, node: usize, link: LinkId, sender: LinkAddr, frame: &[u8]) {
        let plugged = self.plugged[node][usize::from(link.0)];
        if !plugged || self.side[from] != self.side[node] {
            return;
        }
        let weather = self.plot.weather;
        let copies = 1 + usize::from(self.rng.chance(weather.duplication));
        for _ in 0..copies {
            if self.rng.chance(weather.loss) {
                continue;
            }
            let mut bytes = frame.to_vec();
            if self.rng.chance(weather.corruption) {
                // Not in the padding, which means nothing.
                let at = 2 + self.rng.below(bytes.len() - 2);
                bytes[at] ^= 1 << self.rng.below(8);
            }
            let jitter = self.rng.below(1 + weather.delay.as_nanos() as usize / 8) as u64;
            let mut delay = weather.delay + Duration::from_nanos(1000 + jitter);
            if self.rng.chance(weather.reordering) {
                delay += weather.delay * 2 + Duration::from_micros(200);
            }
            self.enter(
                self.now + delay,
                node,
                ANY_LIFE,
                What::Frame(link, sender, bytes),
            );
        }
    }
}

/// The name of a node.
pub fn name_of(node: usize) -> String {
    format!("node{node}")
}

/// A node's station address on a LAN.
pub fn station(node: usize, lan: usize) -> LinkAddr {
    let [.., high, low] = (node as u32).to_be_bytes();
    LinkAddr::Mac([2, 0, 0, lan as u8, high, low])
}

fn owner(addr: LinkAddr, lan: usize) -> Option<usize> {
    match addr {
        LinkAddr::Mac([2, 0, 0, at, high, low]) if usize::from(at) == lan => {
            Some(usize::from(high) << 8 | usize::from(low))
        }
        _ => None,
    }
}
