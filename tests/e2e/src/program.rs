//! A program that runs beside the test.

use crate::Outcome;
use crate::wait::{holds_within, wait_for};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A running program whose output goes to a file. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
    name: String,
}

impl Program {
    pub(crate) fn start(command: &mut Command, name: &str, log: &Path) -> Outcome<Self> {
        let file = File::create(log).map_err(|e| format!("cannot make {}: {e}", log.display()))?;
        let copy = file.try_clone().map_err(|e| e.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .map_err(|e| format!("{name} does not start: {e}"))?;
        Ok(Self {
            child,
            log: log.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    /// It ends or `limit` passes before.
    pub fn wait_printed(&mut self, text: &str, limit: Duration) -> Outcome {
        let what = format!("{} to print `{text}`", self.name);
        let seen = wait_for(&what, limit, || {
            let running = self.is_running();
            let seen = self.printed().contains(text);
            (seen || !running).then_some(seen)
        });
        match seen {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{} ended: {}", self.name, self.printed())),
            Err(why) => Err(format!("{why}; it printed: {}", self.printed())),
        }
    }

    /// Sends it a signal by name (`TERM`).
    ///
    /// # Errors
    /// It has gone.
    pub fn signal(&self, signal: &str) -> Outcome {
        // The shell's own: a bare system has no program of that name.
        let kill = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {}", self.pid())])
            .output();
        match kill {
            Ok(out) if out.status.success() => Ok(()),
            Ok(out) => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
            Err(e) => Err(format!("kill does not start: {e}")),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `limit` passes before.
    pub fn wait(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let what = format!("{} to end", self.name);
        wait_for(&what, limit, || self.child.try_wait().ok().flatten())
    }

    /// Waits for its end and returns what it printed.
    ///
    /// # Errors
    /// `limit` passes before, or it fails.
    pub fn finish(&mut self, limit: Duration) -> Outcome<String> {
        let status = self.wait(limit)?;
        let printed = self.printed();
        if status.success() {
            return Ok(printed);
        }
        Err(format!("{} failed ({status}): {printed}", self.name))
    }

    /// Processor time that it and its threads have used.
    ///
    /// # Errors
    /// It has gone.
    pub fn cpu_time(&self) -> Outcome<Duration> {
        let mut total = Duration::ZERO;
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid()))
            .map_err(|e| format!("{}: {e}", self.name))?;
        for task in tasks.flatten() {
            let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let ns = stat
                .split_whitespace()
                .next()
                .and_then(|ns| ns.parse().ok());
            total += Duration::from_nanos(ns.unwrap_or(0));
        }
        Ok(total)
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// It has gone.
    pub fn resident_kib(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .map_err(|e| format!("{}: {e}", self.name))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| format!("{} has no VmRSS", self.name))
    }

    /// Waits until a TCP listener stands on `port` in the program's network namespace (the
    /// kernel's sockets, not io-net's).
    ///
    /// # Errors
    /// `limit` passes before.
    pub fn wait_listening(&self, port: u16, limit: Duration) -> Outcome {
        let table = format!("/proc/{}/net/tcp", self.pid());
        let wanted = format!(":{port:04X} 00000000:0000 0A");
        holds_within(limit, &format!("{} to listen on {port}", self.name), || {
            fs::read_to_string(&table).is_ok_and(|text| text.contains(&wanted))
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Killed, a server leaves its workers behind.
        let workers = descendants(self.pid());
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !workers.is_empty() {
            let script = format!("kill -KILL {}", workers.join(" "));
            let _ = Command::new("sh").args(["-c", &script]).output();
        }
    }
}

/// Process ids of the children of `pid`, of theirs, and so on.
fn descendants(pid: u32) -> Vec<String> {
    let all: Vec<(String, String)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name, which may hold anything: the state and the parent.
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?;
            Some((
                entry.file_name().to_string_lossy().into_owned(),
                parent.to_owned(),
            ))
        })
        .collect();
    let mut found = vec![pid.to_string()];
    let mut at = 0;
    while at < found.len() {
        let children = all.iter().filter(|(_, parent)| *parent == found[at]);
        let children: Vec<String> = children.map(|(child, _)| child.clone()).collect();
        found.extend(children);
        at += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_go_with_their_server() {
        let dir = std::env::temp_dir().join(format!("io-net-workers-{}", std::process::id()));
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 300 & echo $!; wait"]);
        let mut server = Program::start(&mut shell, "sh", &dir).expect("starts");
        let limit = Duration::from_secs(10);
        server.wait_printed("\n", limit).expect("tells its worker");
        let worker = server.printed().trim().to_owned();
        assert_eq!(descendants(server.pid()).join(" "), worker);
        drop(server);
        let _ = fs::remove_file(dir);
        let stat = format!("/proc/{worker}/stat");
        let gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        holds_within(limit, "the worker to go", gone).expect("goes");
    }
}
