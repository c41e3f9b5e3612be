//! Controls a running io-net. One program with several names: by the name it is called by, or by
//! its first argument, it knows what to do.
#![forbid(unsafe_code)]

mod cli;
mod client;
mod command;
mod failure;
mod front;
mod graph;
mod instance;
mod log;
mod nicinfo;
mod qnet;
mod stack;
mod stats;
mod table;

use clap::Parser;
use failure::Failure;
use front::{Asked, Mounting};
use instance::Choice;
use std::path::Path;
use std::process::ExitCode;

/// Names that are subcommands too.
const COMMANDS: &[&str] = &["nicinfo", "ifconfig", "route", "arp", "netstat"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let name = words.first().map(Path::new).and_then(Path::file_name);
    let name = name.and_then(|name| name.to_str()).unwrap_or("io-netctl");
    let args = words.get(1..).unwrap_or_default();
    let (result, status): (_, fn(&Failure) -> u8) = match name {
        "mount" => (mount(args), Failure::mount_status),
        "umount" => (umount(args), Failure::mount_status),
        "mount.io-net" => (
            front::mount_helper(args).and_then(do_mount),
            Failure::mount_status,
        ),
        name if COMMANDS.contains(&name) => {
            let line = ["io-netctl", name].map(String::from).into_iter();
            let cli = cli::Cli::parse_from(line.chain(args.iter().cloned()));
            (command::run(&cli), Failure::status)
        }
        _ => (command::run(&cli::Cli::parse()), Failure::status),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{name}: {failure}");
            ExitCode::from(status(&failure))
        }
    }
}

/// `mount -T io-net [-o options] MODULE`, or whatever else mount does.
fn mount(args: &[String]) -> Result<(), Failure> {
    match front::mount(args)? {
        Asked::IoNet(mounting) => do_mount(mounting),
        Asked::System => match front::become_system("mount", args)? {},
    }
}

fn do_mount(mounting: Mounting) -> Result<(), Failure> {
    if mounting.fake {
        return Ok(());
    }
    let names = command::mount(&mut command::connect(&of(mounting.instance))?, &mounting)?;
    if mounting.verbose {
        println!("{}: mounted {}", mounting.module, names.join(" "));
    }
    Ok(())
}

/// `umount /dev/io-net/en0`, or whatever else umount does. A name of the tree that no io-net stands
/// behind is the system's to take away.
fn umount(args: &[String]) -> Result<(), Failure> {
    let Asked::IoNet(paths) = front::umount(args) else {
        match front::become_system("umount", args)? {}
    };
    for (instance, name) in paths {
        match command::connect(&of(Some(instance))) {
            Ok(mut client) => command::umount(&mut client, name)?,
            Err(_) => match front::become_system("umount", args)? {},
        }
    }
    Ok(())
}

/// Instance 0 is also what SOCK names.
fn of(instance: Option<u32>) -> Choice {
    Choice {
        instance: instance.filter(|&instance| instance > 0),
        run_dir: None,
    }
}
