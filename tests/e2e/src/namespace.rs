//! A private network and mount namespace, held by a process that ends with the test.

use crate::Outcome;
use crate::need::{is_root, unshare_args};
use crate::wait::holds_within;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A network and mount namespace of its own; without root a user namespace too.
///
/// The holder is `cat` on a pipe from this process: should this process die without cleaning up,
/// the pipe closes, `cat` ends, and the namespace goes with its last program.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    pub(crate) fn new() -> Outcome<Self> {
        let holder = Command::new("unshare")
            .args(unshare_args())
            .arg("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("unshare does not start: {e}"))?;
        let namespace = Self { holder };
        let comm = format!("/proc/{}/comm", namespace.pid());
        holds_within(Duration::from_secs(10), "a namespace", || {
            fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "cat")
        })?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Process id of the holder, which names the namespace to `ip link ... netns PID`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A command that runs `program` inside.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid().to_string(), "--net", "--mount"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
        command
            .arg(format!("--wdns={}", here.display()))
            .arg("--")
            .arg(program);
        command
    }

    /// Runs `line`, words separated by spaces, and returns what it printed.
    ///
    /// # Errors
    /// It does not start or fails; with what it printed.
    pub fn run(&self, line: &str) -> Outcome<String> {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().unwrap_or_default());
        output(command.args(words))
    }

    /// Runs `ip` with `line`.
    ///
    /// # Errors
    /// As [`Namespace::run`].
    pub fn ip(&self, line: &str) -> Outcome<String> {
        self.run(&format!("ip {line}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
/// It does not start or fails; with all that it printed.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{command:?} does not start: {e}"))?;
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    if out.status.success() {
        return Ok(stdout);
    }
    Err(format!(
        "{command:?} failed ({}): {stdout}{}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    ))
}
