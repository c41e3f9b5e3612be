//! `io-net-node`: the services of a node.
#![forbid(unsafe_code)]

use io_net_node::args::{self, Args, HELP};
use io_net_node::errno;
use io_net_node::files::export::{Export, Exports};
use io_net_node::files::server::Files;
use io_net_node::net::mount::Mount;
use io_net_node::service::{FILES, SPAWN, Serve, Service};
use io_net_node::spawn::server::Programs;
use io_net_os::epoll::{Epoll, Event, IN};
use io_net_os::signalfd::{INT, Signals, TERM};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Requests for files that are worked on at once.
const FILE_THREADS: usize = 4;
/// The token of standard input.
const STDIN: u64 = 1;
/// Requests about programs; what takes long has threads of its own.
const SPAWN_THREADS: usize = 2;

fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args_os().skip(1)) {
        Ok(Some(args)) => serve(&args),
        Ok(None) => {
            print!("{HELP}");
            Ok(())
        }
        Err(why) => Err(why),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("io-net-node: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal ends it.
fn serve(args: &Args) -> Result<(), String> {
    // Before there are threads.
    let signals = Signals::new(&[INT, TERM]).map_err(|e| format!("no signals: {e}"))?;
    let files = claim(FILES)?;
    let names = files.names().map_err(|e| e.to_string())?;
    let run = names.parent().unwrap_or(names);
    let mount = args.net.as_ref().map(|at| {
        Mount::new(at, run).map_err(|e| format!("cannot mount at {}: {e}", at.display()))
    });
    let mount = mount.transpose()?;
    let hidden = mount.as_ref().map(|mount| mount.at().to_owned());
    let exports = exports(args, names, hidden)?;
    start(&files, FILE_THREADS, Files::new(exports))?;
    let programs = args.spawn.then(|| claim(SPAWN)).transpose()?;
    if let Some(programs) = &programs {
        start(programs, SPAWN_THREADS, Programs::default())?;
    }
    wait(&signals, args.while_stdin).map_err(|e| format!("cannot wait: {e}"))
}

fn claim(name: &str) -> Result<Service, String> {
    Service::claim(name).map_err(|error| match error {
        errno::EXIST => "another io-net-node serves this node already".to_owned(),
        error => format!("cannot serve {name}: {error}"),
    })
}

fn start(service: &Service, threads: usize, server: impl Serve) -> Result<(), String> {
    let started = service.start(threads, Arc::new(server));
    started.map_err(|e| format!("cannot start threads: {e}"))
}

/// What is shown: names always, and what was asked for.
fn exports(args: &Args, names: &Path, hidden: Option<PathBuf>) -> Result<Exports, String> {
    let scope = |name: &str| (Path::new("/dev/name").join(name), names.join(name), false);
    let names = ["local", "global"].map(scope);
    let told = args.exports.iter();
    let told = told.map(|(dir, writable)| (dir.clone(), dir.clone(), *writable));
    let all = names.into_iter().chain(told).map(|(at, dir, writable)| {
        let export = Export::new(&at, &dir, writable);
        export.map_err(|e| format!("cannot export {}: {e}", dir.display()))
    });
    Ok(Exports::new(all.collect::<Result<_, _>>()?, hidden))
}

/// Waits for a signal, or for the end of standard input: for that of whoever holds its other end.
fn wait(signals: &Signals, while_stdin: bool) -> std::io::Result<()> {
    let epoll = Epoll::new()?;
    epoll.add(signals.as_fd(), IN, 0)?;
    let mut stdin = std::io::stdin();
    if while_stdin {
        epoll.add(stdin.as_fd(), IN, STDIN)?;
    }
    let mut events = [Event::default()];
    while signals.take().is_none() {
        let ready = epoll.wait(&mut events, None)?;
        let said = ready.iter().any(|event| event.token() == STDIN);
        if said && stdin.read(&mut [0; 512])? == 0 {
            break;
        }
    }
    Ok(())
}
