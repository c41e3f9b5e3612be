//! `on`: runs a program on another node.
#![forbid(unsafe_code)]

use io_net_node::errno;
use io_net_node::spawn::args::{self, Args, HELP};
use io_net_node::spawn::client::{self, Failure};
use io_net_node::spawn::message::Command;
use io_net_os::signalfd::{INT, Signals, TERM};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

/// `on` itself has failed.
const FAILED: u8 = 125;
/// The program could not be started.
const NOT_STARTED: u8 = 126;
/// There is no such program.
const NO_PROGRAM: u8 = 127;
/// SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2: passed on as SIGINT and SIGTERM are.
const OTHERS: [i32; 4] = [1, 3, 10, 12];

fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args_os().skip(1)) {
        Ok(Some(args)) => run(args),
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => Err((FAILED, why)),
    };
    match outcome {
        Ok(code) => code.into(),
        Err((code, why)) => {
            eprintln!("on: {why}");
            code.into()
        }
    }
}

/// Runs it; the exit status.
fn run(mut args: Args) -> Result<u8, (u8, String)> {
    if let Some(from) = &args.from {
        args.command[0] = file_on(&args.net.join(from), &args.command[0], args.node.is_none());
    }
    match args.node.take() {
        None => Err(here(args)),
        Some(node) => there(&node, args),
    }
}

/// Becomes the program; returns only where it could not.
fn here(args: Args) -> (u8, String) {
    let mut command = std::process::Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    if let Some(directory) = &args.directory {
        command.current_dir(directory);
    }
    let error = command.exec();
    not_started(&args.command[0], &error)
}

fn there(node: &str, args: Args) -> Result<u8, (u8, String)> {
    // Before there are threads.
    let signals = Signals::new(&[&[INT, TERM][..], &OTHERS].concat());
    let signals = signals.map_err(|error| (FAILED, format!("no signals: {error}")))?;
    let command = Command {
        directory: args.directory.unwrap_or_else(|| "/".into()).into(),
        arguments: args.command,
        variables: std::env::vars_os().collect(),
    };
    match client::run(node, &command, signals) {
        Ok(status) => Ok(code(status)),
        Err(Failure::Node(why)) => Err((FAILED, why)),
        Err(Failure::Program(errno::PERM)) => {
            let text = "its io-net-node is not root's, and may run programs for its own user only";
            Err((FAILED, format!("not permitted on {node}: {text}")))
        }
        Err(Failure::Program(error)) => Err(not_started(&command.arguments[0], &error.into())),
    }
}

fn not_started(program: &OsStr, error: &std::io::Error) -> (u8, String) {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => NO_PROGRAM,
        _ => NOT_STARTED,
    };
    (code, format!("cannot run {}: {error}", program.display()))
}

fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map_or(0, |n| 128 + n);
    status.code().unwrap_or(signal) as u8
}

/// A program's file below `root`, a node's directory: as the path says, or else where programs are.
fn file_on(root: &Path, program: &OsStr, look: bool) -> OsString {
    let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    if program.as_encoded_bytes().contains(&b'/') {
        return below(Path::new(program)).into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .collect();
    let files = directories.iter().map(|dir| below(&dir.join(program)));
    // Another node's mount cannot be looked at from here.
    let found = files.clone().find(|file| look && file.is_file());
    let usual = || below(&Path::new("/usr/bin").join(program));
    found.unwrap_or_else(usual).into()
}
