//! A server and a client, and the figure that the client prints.

use crate::series::Run;
use crate::waited::Waited;
use io_net_e2e::{Lab, Outcome, Program};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How often is looked whether the client has ended: seldom, as the look takes a processor.
const LOOK: Duration = Duration::from_millis(100);

/// The longest that a run takes.
const RUN_MAX: Duration = Duration::from_secs(120);

/// Which processors the two run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// One each. A run in which one of them waited for its own is not to be counted.
    Apart,
    /// The same one.
    Together,
    /// One each, which the other's node has too: each has its processor to itself while its own node
    /// does what is to be done.
    Crosswise,
    /// Where the kernel puts them.
    Any,
}

impl Cores {
    /// `command` on the server's processor (1) or the client's (0).
    pub(crate) fn pin(self, command: &Command, server: bool) -> Command {
        let cpus = match self {
            Self::Apart | Self::Crosswise if server => "1",
            Self::Apart | Self::Crosswise | Self::Together => "0",
            Self::Any => "0-1",
        };
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", cpus]).arg(command.get_program());
        pinned.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        pinned
    }
}

/// A program of the benches', beside this one.
pub(crate) fn program(name: &str) -> Command {
    let here = std::env::current_exe().unwrap_or_default();
    Command::new(here.with_file_name(name))
}

/// A program of a peer's; `cargo xtask bench` builds them.
pub(crate) fn peer(name: &str) -> Command {
    Command::new(PathBuf::from(std::env::var_os("IO_NET_PEERS").unwrap_or_default()).join(name))
}

/// Starts a server and waits until it serves.
///
/// # Errors
/// It ends.
pub(crate) fn serve(lab: &Lab, cores: Cores, server: &Command) -> Outcome<Program> {
    let mut server = lab.start(&mut cores.pin(server, true))?;
    server.wait_printed("serving", Duration::from_secs(10))?;
    Ok(server)
}

/// Runs `client` against `server` to its end; the run's value is what it printed.
///
/// # Errors
/// It fails or prints no number.
pub(crate) fn measure(lab: &Lab, cores: Cores, server: &Program, client: &Command) -> Outcome<Run> {
    let mut client = lab.start(&mut cores.pin(client, false))?;
    let watch = Waited::watch(&[server.pid(), client.pid()]);
    let (mut waited, mut looks) = (0.0, 0);
    while client.is_running() && LOOK * looks < RUN_MAX {
        std::thread::sleep(LOOK);
        looks += 1;
        waited = watch.share();
    }
    let said = client.finish(Duration::ZERO)?;
    let value = said
        .trim()
        .parse()
        .map_err(|_| format!("no figure: {said}"))?;
    Ok(match cores {
        Cores::Apart => Run { value, waited },
        Cores::Together | Cores::Crosswise | Cores::Any => Run::of(value),
    })
}
