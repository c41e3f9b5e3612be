//! A running io-net and its utilities.

use crate::namespace::output;
use crate::wait::wait_for;
use crate::{Lab, Namespace, Outcome, Program};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long io-net may take to come up; generous, for loaded machines.
const UP_LIMIT: Duration = Duration::from_secs(20);

/// An io-net with a run directory of its own. Dropping it kills it.
#[derive(Debug)]
pub struct IoNet<'a> {
    program: Program,
    lab: &'a Lab,
    net: &'a Namespace,
    run_dir: PathBuf,
    dev_dir: PathBuf,
}

impl<'a> IoNet<'a> {
    pub(crate) fn start(lab: &'a Lab, net: &'a Namespace, line: &str) -> Outcome<Self> {
        let unique = (0..).map(|n| lab.dir().join(format!("run{n}")));
        let run_dir = unique
            .into_iter()
            .find(|dir| !dir.exists())
            .unwrap_or_default();
        let dev_dir = run_dir.with_extension("dev");
        for dir in [&run_dir, &dev_dir] {
            std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        let mut command = net.command(lab.stage().bin("io-net"));
        command
            .args(line.split_whitespace())
            .arg("--run-dir")
            .arg(&run_dir)
            .arg("--module-path")
            .arg(lab.stage().modules());
        if !line.contains("-dev") {
            command.arg("--dev-dir").arg(&dev_dir);
        }
        let program = lab.start(&mut command)?;
        let mut this = Self {
            program,
            lab,
            net,
            run_dir,
            dev_dir,
        };
        this.wait_up()?;
        Ok(this)
    }

    /// It listens before its modules are there, and answers when they are.
    fn wait_up(&mut self) -> Outcome {
        let control = self.run_dir.join("control");
        let up = wait_for("io-net to come up", UP_LIMIT, || {
            let running = self.program.is_running();
            let up = answers(&control);
            (up || !running).then_some(up)
        })?;
        if up {
            return Ok(());
        }
        Err(format!("io-net ended: {}", self.program.printed()))
    }

    /// The process.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// What programs have as `SOCK`.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Where the tree of interfaces is mounted (seen from inside the namespace).
    #[must_use]
    pub fn dev_dir(&self) -> &Path {
        &self.dev_dir
    }

    /// A command that runs `program` on this io-net's sockets.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.net.command(self.lab.stage().bin("io-net-run"));
        command.env("SOCK", &self.run_dir).arg(program);
        command
    }

    /// Runs `line` on this io-net's sockets to its end and returns what it printed.
    ///
    /// # Errors
    /// It does not start or fails.
    pub fn run(&self, line: &str) -> Outcome<String> {
        let mut words = line.split_whitespace();
        output(self.command(words.next().unwrap_or_default()).args(words))
    }

    /// Starts `line` on this io-net's sockets.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_on(&self, line: &str) -> Outcome<Program> {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().unwrap_or_default());
        self.lab.start(command.args(words))
    }

    /// A command of `io-netctl`, or of one of its other names, for this io-net.
    #[must_use]
    pub fn control(&self, name: &str) -> Command {
        let mut command = self.net.command(self.lab.stage().bin(name));
        command.env("SOCK", &self.run_dir);
        command
    }

    /// Runs `io-netctl` with `line` and returns what it printed.
    ///
    /// # Errors
    /// It fails.
    pub fn ctl(&self, line: &str) -> Outcome<String> {
        output(self.control("io-netctl").args(line.split_whitespace()))
    }

    /// `io-netctl stats --json`.
    ///
    /// # Errors
    /// It fails or prints no JSON.
    pub fn stats(&self) -> Outcome<Value> {
        let text = self.ctl("stats --json")?;
        serde_json::from_str(&text).map_err(|e| format!("stats --json is no JSON: {e}: {text}"))
    }

    /// Ends it by SIGTERM; returns how long it took. Its exit status tells of leaked packets.
    ///
    /// # Errors
    /// It does not end, or has leaked, with what it said.
    pub fn stop(mut self) -> Outcome<Duration> {
        let start = Instant::now();
        self.program.signal("TERM")?;
        let status = self.program.wait(Duration::from_secs(20))?;
        let took = start.elapsed();
        if !status.success() {
            return Err(format!(
                "io-net failed ({status}): {}",
                self.program.printed()
            ));
        }
        Ok(took)
    }
}

/// Whether the io-net behind this socket answers.
fn answers(control: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(control) else {
        return false;
    };
    let asked = stream.set_read_timeout(Some(UP_LIMIT)).is_ok()
        && stream.write_all(b"{\"request\":\"graph\"}\n").is_ok();
    let mut answer = [0; 1];
    asked && matches!(stream.read(&mut answer), Ok(1))
}
