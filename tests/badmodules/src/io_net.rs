//! A running io-net with a run directory of its own.

use crate::{Workshop, built};
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take to hold; generous, for loaded machines.
const LIMIT: Duration = Duration::from_secs(30);

/// An io-net. Dropping it kills it.
#[derive(Debug)]
pub struct IoNet {
    process: Child,
    run_dir: PathBuf,
    said: PathBuf,
}

impl IoNet {
    /// Starts io-net without modules and waits until it answers.
    ///
    /// # Panics
    /// Where it does not come up.
    #[must_use]
    pub fn start(workshop: &Workshop) -> IoNet {
        IoNet::start_with(workshop, &["--no-dev"])
    }

    /// As [`IoNet::start`], with these arguments.
    ///
    /// # Panics
    /// Where it does not come up.
    #[must_use]
    pub fn start_with(workshop: &Workshop, args: &[&str]) -> IoNet {
        let run_dir = workshop.dir().join("run");
        let said = workshop.dir().join("said");
        let out = File::create(&said).expect("a file for io-net's words");
        let process = Command::new(built().join("io-net"))
            .args(["--pool", "1024:16", "--run-dir"])
            .arg(&run_dir)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a second handle"))
            .stderr(out)
            .spawn()
            .expect("io-net starts");
        let mut this = IoNet {
            process,
            run_dir,
            said,
        };
        let control = this.run_dir.join("control");
        this.until("it to answer", |_| UnixStream::connect(&control).is_ok());
        this
    }

    /// What it has printed.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Whether its process has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Runs io-netctl.
    ///
    /// # Panics
    /// Where it cannot be run at all.
    pub fn ctl(&self, args: &[&str]) -> Output {
        Command::new(built().join("io-netctl"))
            .arg("--run-dir")
            .arg(&self.run_dir)
            .args(args)
            .output()
            .expect("io-netctl runs")
    }

    /// Runs io-netctl and returns what it prints.
    ///
    /// # Panics
    /// Where it fails.
    pub fn done(&mut self, args: &[&str]) -> String {
        let output = self.ctl(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{args:?}: {error}\nio-net said: {}",
            self.said()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Mounts a module that must come up.
    ///
    /// # Panics
    /// Where it does not.
    pub fn mount(&mut self, module: &Path, options: &str) {
        self.done(&["mount", "-o", options, &module.to_string_lossy()]);
    }

    /// Mounts a module that must be refused; returns why.
    ///
    /// # Panics
    /// Where it comes up, or io-net ends.
    pub fn refusal(&mut self, module: &Path, options: &str) -> String {
        let output = self.ctl(&["mount", "-o", options, &module.to_string_lossy()]);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{why}\nio-net said: {}",
            self.said()
        );
        assert!(self.is_running(), "io-net ended: {}", self.said());
        why
    }

    /// Waits until `holds`.
    ///
    /// # Panics
    /// Where it does not in time, or io-net ends before.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut IoNet) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(
                self.is_running(),
                "waited for {what}, and io-net ended: {}",
                self.said()
            );
            assert!(
                start.elapsed() < LIMIT,
                "waited for {what} in vain: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it by SIGTERM; it must say that it leaked this many packets, and fail if it did.
    ///
    /// # Panics
    /// Where it does not end, or says something else.
    pub fn stop(mut self, leaked: usize) {
        let pid = self.process.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        let start = Instant::now();
        let status = loop {
            if let Ok(Some(status)) = self.process.try_wait() {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        };
        let said = self.said();
        assert!(said.contains(&format!("leaked {leaked}")), "{said}");
        let expected = if leaked == 0 { 0 } else { 3 };
        assert_eq!(status.code(), Some(expected), "{said}");
    }
}

/// SIGKILL.
impl Drop for IoNet {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
