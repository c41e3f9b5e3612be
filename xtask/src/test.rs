//! Runs all tests and counts them: units, models under loom, end to end.
//!
//! A test that cannot run here writes a line `skipped: NAME: WHY` on standard error and returns;
//! with `CI=true` it fails instead.

use crate::shell::{self, Outcome};
use crate::{packages, stage, workspace};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Crates whose atomics loom can take over, with tests called `model` to run under it.
const MODELLED: &[&str] = &["io-net-ring", "io-net-rendezvous"];

/// Seconds that one run of cargo may take in CI before it is ended, so that a test that hangs is
/// named in a log that somebody gets to read. A whole run takes a third of it.
const CI_LIMIT: &str = "1200";

/// timeout(1)'s exit status when the time is up.
const TIMED_OUT: i32 = 124;

/// Units first, then models, then end to end on the staged build.
pub(crate) fn run(filter: Option<&str>) -> Outcome {
    packages::install()?;
    let mut total = Count::default();
    let units = ["--workspace", "--exclude", "io-net-e2e"];
    total.add(tests(&units, &[], filter)?);
    if filter.is_none() {
        total.add(models()?);
    }
    let stage = stage::build(false)?;
    // Two at a time: the tests bring programs of their own that want processors too.
    let env = [("IO_NET_STAGE", stage.as_os_str())];
    total.add(tests_with(
        &["--package", "io-net-e2e"],
        &["--test-threads=2"],
        filter,
        &env,
    )?);
    total.report()
}

/// The models, built apart: `--cfg loom` is for every crate of a build.
fn models() -> Outcome<Count> {
    let dir = workspace::target_dir().join("loom");
    let mut cargo = shell::cargo();
    cargo
        .current_dir(workspace::root())
        .args(["test", "--no-fail-fast", "--lib", "--target-dir"])
        .arg(dir);
    for name in MODELLED {
        cargo.args(["--package", name]);
    }
    cargo.args(["--", "model"]).env("RUSTFLAGS", "--cfg loom");
    watch(&mut cargo)
}

fn tests(cargo_args: &[&str], test_args: &[&str], filter: Option<&str>) -> Outcome<Count> {
    tests_with(cargo_args, test_args, filter, &[])
}

fn tests_with(
    cargo_args: &[&str],
    test_args: &[&str],
    filter: Option<&str>,
    env: &[(&str, &std::ffi::OsStr)],
) -> Outcome<Count> {
    let mut cargo = shell::cargo();
    cargo
        .current_dir(workspace::root())
        .args(["test", "--no-fail-fast"])
        .args(cargo_args)
        .arg("--")
        .args(test_args)
        .args(filter)
        .envs(env.iter().copied());
    watch(&mut cargo)
}

/// Runs `cargo`, passing its output on, and counts; in CI for so long only.
fn watch(cargo: &mut Command) -> Outcome<Count> {
    let mut limited = limited(cargo);
    let mut child = if in_ci() { &mut limited } else { cargo }
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cargo does not start: {e}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let noise = std::thread::spawn(move || count_lines(stderr, |line| eprintln!("{line}")));
    let results = std::thread::spawn(move || count_lines(stdout, |line| println!("{line}")));
    let status = child.wait().map_err(|e| format!("cargo is lost: {e}"))?;
    if in_ci() && status.code() == Some(TIMED_OUT) {
        // Not waiting for the rest of the output: who hangs may hold its other end.
        return Err(format!(
            "no end within {CI_LIMIT} s: see which test is running above"
        ));
    }
    let mut count = results.join().unwrap_or_default();
    count.add(noise.join().unwrap_or_default());
    count.broken = !status.success() && count.failed == 0;
    Ok(count)
}

/// The same command under timeout(1), which ends its children too.
fn limited(cargo: &Command) -> Command {
    let mut timeout = Command::new("timeout");
    timeout.args(["--kill-after=10", CI_LIMIT]);
    timeout.arg(cargo.get_program()).args(cargo.get_args());
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => timeout.env(name, value),
            None => timeout.env_remove(name),
        };
    }
    timeout.current_dir(cargo.get_current_dir().unwrap_or(Path::new(".")));
    timeout
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

fn count_lines(from: Option<impl Read>, show: impl Fn(&str)) -> Count {
    let mut count = Count::default();
    let Some(from) = from else { return count };
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        show(&line);
        count.line(&line);
    }
    count
}

/// What came of the tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
    /// `NAME: WHY` of each test that could not run here; cargo counts it as passed.
    skipped: Vec<String>,
    /// Failed without a failed test: did not build, or a test program died.
    broken: bool,
}

impl Count {
    fn line(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix("skipped: ") {
            self.skipped.push(what.to_owned());
        } else if line.starts_with("test result: ") {
            self.passed += number_before(line, " passed");
            self.failed += number_before(line, " failed");
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
        self.broken |= other.broken;
    }

    fn report(mut self) -> Outcome {
        self.skipped.sort();
        for what in &self.skipped {
            println!("skipped: {what}");
        }
        let passed = self.passed.saturating_sub(self.skipped.len());
        println!("{passed} passed, {} failed", self.failed);
        if self.broken {
            return Err("some tests did not build or died".into());
        }
        if self.failed > 0 {
            return Err("tests failed".into());
        }
        if in_ci() && !self.skipped.is_empty() {
            return Err("CI=true: nothing may be skipped".into());
        }
        Ok(())
    }
}

fn number_before(line: &str, word: &str) -> usize {
    let before = line.split(word).next().unwrap_or_default();
    let digits = before.rsplit(' ').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_skips_are_counted() {
        let out = "running 3 tests\ntest a ... ok\nskipped: b: no nginx\n\
                   test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured\n\
                   test result: ok. 5 passed; 0 failed; 0 ignored\n";
        let count = count_lines(Some(out.as_bytes()), |_| {});
        assert_eq!((count.passed, count.failed), (7, 1));
        assert_eq!(count.skipped, ["b: no nginx"]);
    }
}
