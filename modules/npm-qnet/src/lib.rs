//! `npm-qnet`: message passing between nodes. A thin shell over the sans-IO protocol in `stack/qnet`.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`protocol`] | the registrant: frames, timers, descriptors, devctl |
//! | [`node`] | the protocol's events, and what is done about them |
//! | [`links`] | interfaces that come and go, and frames that go out |
//! | [`door`] | programs that ask for sessions |
//! | [`clients`], [`transfer`] | local clients of other nodes' channels |
//! | [`servers`] | local servers of other nodes' clients |
//! | [`resolver`] | finding nodes by DNS, file and etcd |
//! | [`services`] | the program that serves files to other nodes, and mounts theirs |
//! | [`aside`] | what the threads of these two tell |
//! | [`netmgr`] | questions about nodes and names |
//! | [`signals`] | signals to processes of other nodes, and from there |
//! | [`key`], [`known`] | this node's key, and other nodes' |
//! | [`control`] | `io-netctl qnet` |
//! | [`options`], [`watch`], [`ids`] | what it can be told, what it watches, maps by number |
//! | [`stats`], [`figures`] | what is counted, here and by the protocol |
//!
//! Programs and Qnet share memory, as any two programs that pass messages do (`lib/rendezvous`): Qnet
//! is the server of clients whose channels are on other nodes, and a client of servers whose clients
//! are. All state belongs to the registrant's home worker, and nothing on it waits.
#![deny(unsafe_code)]

mod aside;
mod clients;
mod control;
mod door;
mod figures;
mod ids;
mod key;
mod known;
mod links;
mod netmgr;
mod node;
mod options;
mod outlook;
mod protocol;
mod resolver;
mod servers;
mod services;
mod signals;
mod staged;
mod stats;
mod transfer;
mod watch;

use aside::Teller;
use clients::Clients;
use door::Door;
use figures::Figures;
use io_net_ddk::prelude::*;
use io_net_ddk::{Waker, flag, number, text};
use io_net_os::eventfd::EventFd;
use io_net_qnet::Qnet;
use io_net_qnet::secure::{KnownNodes, SecretKey, Security};
use io_net_qnet::time::Instant;
use io_net_rendezvous::inbox::Inbox;
use known::KnownFile;
use links::Links;
use netmgr::Netmgr;
use node::Node;
use options::Settings;
use resolver::Resolvers;
use servers::Servers;
use services::Services;
use std::path::PathBuf;
use watch::{Cookie, Kind, Watcher};

fn init(init: &mut Init) -> Result<(), Failure> {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let settings = Settings::parse(init.options(), hostname.trim(), &state_dir())?;
    let (known, keys) = KnownFile::load(&settings.known)?;
    let security = match settings.protection {
        Some(protection) => Security::Noise {
            key: SecretKey(key::load_or_make(&settings.key)?),
            protection,
            known: KnownNodes {
                policy: settings.trust,
                keys,
            },
        },
        None => Security::None,
    };
    let system = |error: std::io::Error| Failure::io("cannot start Qnet", &error);
    let config = settings.config(security, key::random().map_err(system)?);
    let run_dir = settings.prefix.clone().unwrap_or_else(|| init.run_dir());
    let door = Door::open(&run_dir)?;
    let inbox = Inbox::new().map_err(system)?;
    let bell = EventFd::new().map_err(system)?;
    let (asides, told) = aside::queue();
    let wanted = settings.services.any();
    let services = wanted.then(|| settings.services.command(&run_dir));
    init.register(Place::protocol(c"qnet", c"qnet"), |cx| {
        cx.all_packets()?;
        let now = Instant::from_nanos(cx.now_ns());
        let refused = |errno| Failure::new(io_net_ddk::errno::EINVAL, format!("Qnet: {errno}"));
        let qnet = Qnet::new(now, config).map_err(refused)?;
        let teller = |waker: Waker| Teller::new(&asides, move || waker.wake());
        let services = services.map(|command| Services::start(command, teller(cx.waker())));
        let resolvers = Resolvers::start(&settings.resolve, teller(cx.waker()));
        let node = Node {
            figures: Figures::new(&qnet, cx),
            qnet,
            links: Links::new(settings.bind),
            door,
            clients: Clients::new(inbox),
            netmgr: Netmgr::new(&run_dir),
            servers: Servers::new(run_dir, bell),
            askers: Default::default(),
            resolvers: resolvers.map_err(system)?,
            services: services.transpose().map_err(system)?,
            asides: told,
            notes: Vec::new(),
            published_at: None,
            known,
            refused_at: None,
            stats: stats::Stats::new(cx),
        };
        let watcher = Watcher {
            cx,
            stats: &node.stats,
        };
        node.door.watch(&watcher);
        door::watch_newest_bell(&node.clients, &watcher);
        watcher.watch(node.servers.bell(), Cookie::new(Kind::ServerBell, 0));
        cx.poller(true);
        cx.timer(protocol::TIMER_BOUND, cx.now_ns() + protocol::BOUND_NS);
        Ok(protocol::Protocol::new(node))
    })
}

/// Where keys are kept from one start to the next: the system's directory for root, else the user's.
fn state_dir() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let user_dir = || {
        let of_home = || Some(variable("HOME")?.join(".local/state"));
        variable("XDG_STATE_HOME").or_else(of_home)
    };
    let dir = match io_net_os::task::user_id() {
        0 => None,
        _ => user_dir(),
    };
    dir.unwrap_or_else(|| "/var/lib".into()).join("io-net/qnet")
}

io_net_ddk::module! {
    kind: io_net_ddk::abi::KIND_PROTOCOL,
    name: c"npm-qnet",
    summary: c"Qnet: message passing between nodes.",
    options: [
        text(c"host", false, c"the node's name (the system's)"),
        text(c"domain", false, c"the domain that the name is in (the system's)"),
        text(c"bind", true, c"an interface to speak on, enN, or ip (all that there are)"),
        text(c"resolve", true, c"how names are found: ndp, dns, file:PATH, etcd:ADDRESS:PORT (ndp)"),
        text(c"security", false, c"authenticated; encrypted, too; or none: a trusted LAN (authenticated)"),
        text(c"trust", false, c"first: a new node's key is remembered; listed: only known ones (first)"),
        text(c"key", false, c"file of the node's secret key"),
        text(c"known", false, c"file of other nodes' keys"),
        text(c"maproot", false, c"who remote root is here: a user's number, or same (nobody)"),
        text(c"mapany", false, c"who a remote user is here: a user's number, or same (nobody)"),
        text(c"net", false, c"where to mount other nodes' files (nowhere)"),
        text(c"export", true, c"a directory that other nodes may use; with :ro, read"),
        flag(c"spawn", c"other nodes may run programs here"),
        text(c"prefix", false, c"directory of the sockets of programs (io-net's own)"),
        number(c"do_crc", c"1: frames that are not enciphered carry a checksum of their own; 0: not (1)"),
        number(c"auto_add", c"ticks of 200 ms between announcements, 0 for silence (150)"),
        number(c"conn_est_timeout", c"ticks for which an attempt to reach a node waits (10)"),
        number(c"conn_est_retries", c"times that this is waited for once more (0)"),
        number(c"conn_up_idle", c"idle ticks before a heartbeat (5)"),
        number(c"periodic_ticks", c"ticks between looks at links that are down (1)"),
        number(c"tx_retries", c"unanswered transmissions after which a link is down (5)"),
        number(c"res_retries", c"times that a LAN is asked once more (2)"),
    ],
    init: init,
}
