//! Carrying a command out: what to ask io-net, and how to show its answer.

use crate::cli::{Cli, Command, Mount, Netstat};
use crate::client::Client;
use crate::failure::Failure;
use crate::front::Mounting;
use crate::instance::{Choice, Environment, instance_of, run_dirs};
use crate::stack::{self, Call};
use crate::{graph, log, nicinfo, qnet, stats};
use io_net_proto::control::{Reply, Request};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};

/// Carries out `cli` and prints what comes of it.
///
/// # Errors
/// Why it could not be done.
pub(crate) fn run(cli: &Cli) -> Result<(), Failure> {
    let mut choice = cli.choice();
    match &cli.command {
        Command::Mount(line) => {
            let mounting = mounting(line, &mut choice)?;
            let names = mount(&mut connect(&choice)?, &mounting)?;
            let text = names.iter().map(|name| format!("{name}\n")).collect();
            print(cli, &json!({ "names": names }), || text)
        }
        Command::Umount { names } => {
            let mut client = connect(&choice)?;
            names.iter().try_for_each(|name| umount(&mut client, name))
        }
        Command::Graph => match connect(&choice)?.ask(&Request::Graph)? {
            Reply::Graph(answer) => print(cli, &json!(answer), || graph::show(&answer)),
            other => Err(unexpected(&other)),
        },
        Command::Stats { name } => statistics(cli, &choice, name.as_deref()),
        Command::Nicinfo { names } => nics(cli, &choice, names),
        Command::Log { follow } => show_log(cli, &choice, *follow),
        Command::Shutdown => done(connect(&choice)?.ask(&Request::Shutdown)?),
        Command::Devctl { name, body } => {
            let answer = devctl(&choice, name, body.clone())?;
            put(&format!("{answer}\n"))
        }
        Command::Ifconfig(line) => call(cli, &choice, &stack::ifconfig(line)?),
        Command::Route(line) => call(cli, &choice, &stack::route(line)?),
        Command::Arp(line) => call(cli, &choice, &stack::arp(line)),
        Command::Netstat(Netstat {
            statistics: true, ..
        }) => statistics(cli, &choice, Some("tcpip")),
        Command::Netstat(line) => call(cli, &choice, &stack::netstat(line)),
        Command::Qnet { what } => call(cli, &choice, &qnet::qnet(what)),
    }
}

/// Connects to the io-net that is meant.
///
/// # Errors
/// Unreachable.
pub(crate) fn connect(choice: &Choice) -> Result<Client, Failure> {
    Client::connect(&run_dirs(choice, &Environment::present()))
}

/// Mounts a module; returns the names of what it registered.
///
/// # Errors
/// io-net's refusal.
pub(crate) fn mount(client: &mut Client, mounting: &Mounting) -> Result<Vec<String>, Failure> {
    let request = Request::Mount {
        kind: None,
        path: from_anywhere(&mounting.module),
        options: mounting.options.clone(),
    };
    match client.ask(&request)? {
        Reply::Mounted { names } => Ok(names),
        other => Err(unexpected(&other)),
    }
}

/// A path from the root, because io-net has another working directory. A mere name is one that
/// io-net looks for.
fn from_anywhere(module: &str) -> String {
    match std::path::absolute(module) {
        Ok(path) if module.contains('/') => path.to_string_lossy().into_owned(),
        _ => module.to_owned(),
    }
}

/// Unmounts the module of registrant `name`.
///
/// # Errors
/// io-net's refusal.
pub(crate) fn umount(client: &mut Client, name: &str) -> Result<(), Failure> {
    done(client.ask(&Request::Umount { name: name.into() })?)
}

/// What `io-netctl mount` says; its `-T io-net1` is `-i 1`.
fn mounting(line: &Mount, choice: &mut Choice) -> Result<Mounting, Failure> {
    if let Some(kind) = &line.kind {
        let unknown = || {
            Failure::Usage(format!(
                "{kind} is no type of io-net's: io-net, io-net1, ..."
            ))
        };
        let instance = instance_of(kind).ok_or_else(unknown)?;
        choice.instance = choice.instance.or((instance > 0).then_some(instance));
    }
    Ok(Mounting {
        module: line.module.clone(),
        options: line.options.join(","),
        ..Mounting::default()
    })
}

fn statistics(cli: &Cli, choice: &Choice, only: Option<&str>) -> Result<(), Failure> {
    let Reply::Stats(mut answer) = connect(choice)?.ask(&Request::Stats)? else {
        return Err(Failure::Unreachable("io-net gave no counters".into()));
    };
    if let Some(only) = only {
        answer.counters.retain(|name, _| name == only);
        if answer.counters.is_empty() {
            let text = format!("there is no registrant {only}; io-netctl graph lists them");
            return Err(Failure::Refused(text));
        }
    }
    let colour = io::stdout().is_terminal();
    print(cli, &json!(answer), || stats::show(&answer, colour))
}

fn nics(cli: &Cli, choice: &Choice, names: &[String]) -> Result<(), Failure> {
    let mut client = connect(choice)?;
    let mut ask = |name: Option<&String>| {
        let name = name.map(|name| name.trim_start_matches("/dev/io-net/").to_owned());
        match client.ask(&Request::Nicinfo { name })? {
            Reply::Nics { nics } => Ok(nics),
            other => Err(unexpected(&other)),
        }
    };
    let mut nics = Vec::new();
    for name in names {
        nics.extend(ask(Some(name))?);
    }
    if names.is_empty() {
        nics = ask(None)?;
    }
    print(cli, &json!({ "nics": nics }), || nicinfo::show(&nics))
}

fn show_log(cli: &Cli, choice: &Choice, follow: bool) -> Result<(), Failure> {
    let mut client = connect(choice)?;
    client.send(&Request::Log { follow })?;
    while let Some(reply) = client.next()? {
        let Reply::Log { lines } = reply else {
            return Err(unexpected(&reply));
        };
        let text = || lines.iter().map(|line| log::show(line)).collect();
        print(cli, &json!({ "lines": lines }), text)?;
        if !follow {
            break;
        }
    }
    Ok(())
}

fn call(cli: &Cli, choice: &Choice, call: &Call) -> Result<(), Failure> {
    let text = devctl(choice, call.to, call.body.to_string())?;
    let wrong = |e| Failure::Unreachable(format!("{} answered no JSON: {e}", call.to));
    let answer: Value = serde_json::from_str(&text).map_err(wrong)?;
    print(cli, &answer, || stack::show(&answer, &call.show))
}

fn devctl(choice: &Choice, name: &str, body: String) -> Result<String, Failure> {
    let name = name.to_owned();
    match connect(choice)?.ask(&Request::Devctl { name, body })? {
        Reply::Devctl { body } => Ok(body),
        other => Err(unexpected(&other)),
    }
}

fn done(reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &Reply) -> Failure {
    Failure::Unreachable(format!("io-net answered something else: {reply:?}"))
}

/// Prints `answer` as JSON or as text, as asked.
fn print(cli: &Cli, answer: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
    if cli.json {
        put(&format!("{answer}\n"))
    } else {
        put(&text())
    }
}

/// Writes to standard output. A reader who has seen enough is no failure.
fn put(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|e| Failure::Refused(format!("cannot print: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_and_names_are_not() {
        assert_eq!(from_anywhere("devn-tap.so"), "devn-tap.so");
        assert_eq!(from_anywhere("/lib/devn-tap.so"), "/lib/devn-tap.so");
        let here = std::env::current_dir().unwrap().join("devn-tap.so");
        assert_eq!(from_anywhere("./devn-tap.so"), here.to_string_lossy());
    }
}
