//! A runtime directory of a test's own, and the processes in it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Says in a process what part of its test it plays.
const PART: &str = "IO_NET_TEST_PART";

/// The directory, which goes with this.
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
}

/// A process that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("io-net-msg-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir }
    }

    /// A program that uses this directory.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("SOCK", &self.dir);
        command
    }

    /// `test` of this same program once more, playing a part.
    pub(crate) fn again(&self, test: &str, part: &str) -> Command {
        let mut command = self.command(&std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]);
        command.env(PART, part);
        command
    }

    /// Starts a server, and returns when it has said that it is ready.
    pub(crate) fn start(&self, mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let server = Running(child);
        // A test that runs again says things of its own before.
        let ready = output.lines().map_while(Result::ok).any(|l| l == "ready");
        assert!(ready, "{command:?} has ended");
        server
    }

    /// Runs a client to its good end.
    pub(crate) fn run(&self, mut command: Command) {
        let output = command.output().unwrap();
        let (text, errors) = (&output.stdout, &output.stderr);
        assert!(
            output.status.success(),
            "{command:?}: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(text),
            String::from_utf8_lossy(errors)
        );
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The part that this process plays; None in the test itself.
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}
