//! Runs all tests and counts them: units, models under loom, end to end.
//!
//! A test that cannot run here writes a line `skipped: NAME: WHY` on standard error and returns;
//! with `CI=true` it fails instead.

use crate::shell::{self, Outcome};
use crate::{packages, stage, workspace};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Crates whose atomics loom can take over, with tests called `model` to run under it.
const MODELLED: &[&str] = &["io-net-ring", "io-net-rendezvous"];

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

/// Runs `cargo test`, passing its output on, and counts.
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

fn watch(cargo: &mut Command) -> Outcome<Count> {
    let mut child = cargo
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cargo does not start: {e}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let noise = std::thread::spawn(move || count_lines(stderr, |line| eprintln!("{line}")));
    let mut count = count_lines(stdout, |line| println!("{line}"));
    count.add(noise.join().unwrap_or_default());
    let status = child.wait().map_err(|e| format!("cargo is lost: {e}"))?;
    count.broken = !status.success() && count.failed == 0;
    Ok(count)
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
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        if self.broken {
            return Err("some tests did not build or died".into());
        }
        if self.failed > 0 {
            return Err("tests failed".into());
        }
        if in_ci && !self.skipped.is_empty() {
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
