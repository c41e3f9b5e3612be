//! `gns`: the global name service of a node.
#![forbid(unsafe_code)]

use gns::args::{self, Args, HELP};
use gns::etcd::Names;
use gns::keeper::{Keeper, keep_told};
use gns::own::Own;
use gns::server::Server;
use gns::service::{self, FULL_NAME, Service};
use io_net_msg::{Error, flags, netmgr};
use io_net_os::epoll::{Epoll, Event, IN};
use io_net_os::signalfd::{INT, Signals, TERM};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Questions that are worked on at once.
const THREADS: usize = 8;
/// How often all names are looked at: for those whose program was killed before this one began, or
/// that were attached then.
const LOOK: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args_os().skip(1)) {
        Ok(Some(args)) => serve(args),
        Ok(None) => {
            print!("{HELP}");
            Ok(())
        }
        Err(why) => Err(why),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("gns: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal ends it.
fn serve(args: Args) -> Result<(), String> {
    // Before there are threads.
    let signals = Signals::new(&[INT, TERM]).map_err(|e| format!("no signals: {e}"))?;
    // The name goes when this function ends.
    let (channel, name) = service::open().map_err(|error| match error.errno() {
        EEXIST => "this node has a gns already".to_owned(),
        _ => format!("cannot serve: {error}"),
    })?;
    let channel = Arc::new(channel);
    let names = name.file().parent().unwrap_or(name.file()).to_owned();
    let verbose = args.verbose;
    let keepers = keepers(&args)?;
    let own = Arc::new(Own::new(names, keepers.len()));
    let service = Service::new(own.clone(), keepers.clone(), args.serve, verbose);
    let service = Arc::new(service);
    for n in 0..THREADS {
        let (channel, service) = (channel.clone(), service.clone());
        start(format!("serve-{n}"), move || service.receive(&channel))?;
    }
    let mut tellers = Vec::new();
    for (at, keeper) in keepers.into_iter().enumerate() {
        let own = own.clone();
        let tell = move || keep_told(&keeper, at, &own, verbose);
        tellers.push(start(format!("tell-{at}"), tell)?);
    }
    println!("gns: serving");
    let waited = wait(&signals, &own).map_err(|e| format!("cannot wait: {e}"));
    own.end();
    for teller in tellers {
        let _ = teller.join();
    }
    waited
}

/// Linux's number of it.
const EEXIST: i32 = 17;

/// Who keeps this node's names.
fn keepers(args: &Args) -> Result<Vec<Arc<dyn Keeper>>, String> {
    if args.etcd.is_empty() {
        let server = |node: &String| -> Arc<dyn Keeper> { Arc::new(Server::new(node.clone())) };
        return Ok(args.servers.iter().map(server).collect());
    }
    let node = netmgr::ndtostr(FULL_NAME, flags::ND_LOCAL_NODE);
    let node = node.map_err(|error: Error| format!("this node has no Qnet: {error}"))?;
    Ok(vec![Arc::new(Names::new(args.etcd.clone(), node))])
}

fn start(
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, String> {
    let started = thread::Builder::new().name(name).spawn(work);
    started.map_err(|e| format!("cannot start threads: {e}"))
}

/// Waits for a signal, and looks at the names now and then.
fn wait(signals: &Signals, own: &Own) -> std::io::Result<()> {
    let epoll = Epoll::new()?;
    epoll.add(signals.as_fd(), IN, 0)?;
    let mut events = [Event::default()];
    let mut looked = Instant::now();
    while signals.take().is_none() {
        epoll.wait(&mut events, Some(LOOK))?;
        if looked.elapsed() >= LOOK {
            own.look_at_all();
            looked = Instant::now();
        }
    }
    Ok(())
}
