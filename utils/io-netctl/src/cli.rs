//! The command line of io-netctl.

use crate::instance::Choice;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const STATUS: &str = "\
Exit status: 0 done; 1 io-net refused or could not, and says why; 2 the command makes no sense; \
3 no io-net answers. As mount, umount or mount.io-net: 32 instead of 1 and 3, 1 instead of 2, as \
mount(8) has it.

Environment: SOCK, the run directory of the io-net that is meant.";

/// Controls a running io-net.
#[derive(Debug, Parser)]
#[command(name = "io-netctl", version, about, after_help = STATUS)]
pub(crate) struct Cli {
    /// Instance of io-net
    #[arg(short = 'i', long, global = true, value_name = "N")]
    instance: Option<u32>,
    /// Run directory of the io-net that is meant
    #[arg(long, global = true, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Which io-net is meant.
    pub(crate) fn choice(&self) -> Choice {
        Choice {
            instance: self.instance,
            run_dir: self.run_dir.clone(),
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load a module; prints the names of what it registered
    Mount(Mount),
    /// Unload the modules of these registrants
    Umount {
        /// en0, tcpip, /dev/io-net/en0, ...
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Show who is there and what passed between them
    Graph,
    /// Show all counters; losses are marked
    Stats {
        /// Of this registrant only
        name: Option<String>,
    },
    /// Show adaptors in QNX's layout
    Nicinfo {
        /// en0, ...; all where none is given
        names: Vec<String>,
    },
    /// Show the log
    Log {
        /// Go on as lines come
        #[arg(short, long)]
        follow: bool,
    },
    /// Stop io-net
    Shutdown,
    /// Send a registrant a control call in JSON and print its answer
    Devctl {
        /// Registrant
        name: String,
        /// JSON text
        body: String,
    },
    /// Show interfaces of TCP/IP, or give one an address
    Ifconfig(Ifconfig),
    /// Show routes of TCP/IP, add or delete one
    Route(Route),
    /// Show neighbours, add or delete one
    Arp(Arp),
    /// Show sockets of TCP/IP
    Netstat(Netstat),
    /// Show what Qnet knows
    Qnet {
        #[command(subcommand)]
        what: Qnet,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Mount {
    /// Options of the module, separated by commas
    #[arg(short, value_name = "OPTIONS")]
    pub(crate) options: Vec<String>,
    /// QNX's type, io-net or io-netN: the instance
    #[arg(short = 'T', value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// devn-tap.so, devn-tap or a path
    pub(crate) module: String,
}

#[derive(Debug, Args)]
pub(crate) struct Ifconfig {
    /// All interfaces
    #[arg(short = 'a')]
    pub(crate) all: bool,
    /// Interface; all where none is given
    pub(crate) interface: Option<String>,
    /// ADDRESS/PREFIX, delete ADDRESS/PREFIX, up, down
    pub(crate) settings: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Route {
    /// Do not look names up (never done)
    #[arg(short = 'n')]
    pub(crate) numeric: bool,
    /// show, add DESTINATION GATEWAY, delete DESTINATION
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Arp {
    /// All neighbours (as with nothing)
    #[arg(short = 'a')]
    pub(crate) all: bool,
    /// Do not look names up (never done)
    #[arg(short = 'n')]
    pub(crate) numeric: bool,
    /// Interface
    #[arg(short = 'I', value_name = "INTERFACE", default_value = "en0")]
    pub(crate) interface: String,
    /// Add a neighbour for good
    #[arg(short = 's', num_args = 2, value_names = ["ADDRESS", "MAC"], conflicts_with = "delete")]
    pub(crate) set: Option<Vec<String>>,
    /// Delete a neighbour
    #[arg(short = 'd', value_name = "ADDRESS")]
    pub(crate) delete: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Netstat {
    /// Listening sockets too
    #[arg(short = 'a')]
    pub(crate) all: bool,
    /// Do not look names up (never done)
    #[arg(short = 'n')]
    pub(crate) numeric: bool,
    /// Routes instead
    #[arg(short = 'r', conflicts_with = "statistics")]
    pub(crate) routes: bool,
    /// Counters instead
    #[arg(short = 's')]
    pub(crate) statistics: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Qnet {
    /// Nodes that have been heard of, this one first
    Nodes,
    /// Interfaces that Qnet speaks on
    Links,
    /// Who is connected to whom
    Connections,
    /// Forget the key of a node that was set up anew
    Forget {
        /// The node
        node: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_instance_may_stand_anywhere() {
        for line in [
            "io-netctl -i 2 graph",
            "io-netctl graph -i2",
            "io-netctl graph --instance 2",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.choice().instance, Some(2), "{line}");
        }
    }

    #[test]
    fn qnx_mount_line() {
        let line = "io-netctl mount -T io-net1 -o name=tap0 -o up devn-tap.so";
        let Command::Mount(mount) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line}")
        };
        assert_eq!(
            (mount.kind.as_deref(), mount.module.as_str()),
            (Some("io-net1"), "devn-tap.so")
        );
        assert_eq!(mount.options, ["name=tap0", "up"]);
    }
}
