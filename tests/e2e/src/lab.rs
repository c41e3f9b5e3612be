//! One test's namespaces, programs and files.

use crate::need::first_missing;
use crate::{IoNet, Namespace, Need, Program, Stage};
use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, thread};

/// What a step ends in; the error is a sentence.
pub type Outcome<T = ()> = Result<T, String>;

/// Runs a test in a laboratory, or says why it cannot.
///
/// # Panics
/// The test fails, or something is missing and `CI=true`.
pub fn lab(needs: &[Need], test: impl FnOnce(&Lab) -> Outcome) {
    let name = thread::current().name().unwrap_or("test").to_owned();
    if let Some(why) = first_missing(needs) {
        let in_ci = env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!in_ci, "{name} cannot run: {why}");
        // Not by a macro: the harness would keep those to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
        return;
    }
    let outcome = Lab::new(&name).and_then(|lab| test(&lab).inspect_err(|_| lab.failed.set(true)));
    if let Err(why) = outcome {
        panic!("{why}");
    }
}

/// A directory for a test's files, and the maker of its namespaces and programs.
///
/// What it makes is owned by the test; the directory goes with the laboratory. When the test
/// fails, the ends of all logs are printed first.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    stage: Stage,
    logs: Cell<u32>,
    failed: Cell<bool>,
}

impl Lab {
    /// An empty laboratory, for programs that are no tests. `name` is part of the directory's.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(name: &str) -> Outcome<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short, because socket paths are limited to 107 bytes.
        let short: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(16)
            .collect();
        let unique = format!("io-net-{}-{count}-{short}", std::process::id());
        let dir = env::temp_dir().join(unique);
        fs::create_dir_all(&dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
        Ok(Self {
            dir,
            stage: Stage::find(),
            logs: Cell::new(0),
            failed: Cell::new(false),
        })
    }

    /// What is missing for a laboratory with these needs, as a sentence.
    #[must_use]
    pub fn missing(needs: &[Need]) -> Option<String> {
        first_missing(needs)
    }

    /// The test's own directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The staged build.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// A new namespace with only `lo`, which is up.
    ///
    /// # Errors
    /// The kernel forbids it.
    pub fn namespace(&self) -> Outcome<Namespace> {
        Namespace::new()
    }

    /// Starts io-net in `net` with the options in `line`, and waits until it is up.
    ///
    /// # Errors
    /// It ends, with what it said, or does not come up.
    pub fn io_net<'a>(&'a self, net: &'a Namespace, line: &str) -> Outcome<IoNet<'a>> {
        IoNet::start(self, net, line)
    }

    /// Starts `command` with its output in a log.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, command: &mut Command) -> Outcome<Program> {
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let entered = words[0] == "nsenter";
        let at = words.iter().position(|word| entered && word == "--");
        let name = words
            .get(at.map_or(0, |at| at + 1))
            .map_or("program", String::as_str);
        let name = name.rsplit('/').next().unwrap_or(name);
        Program::start(command, name, &self.log_path(name))
    }

    /// Runs `command` to its end and returns its standard output.
    ///
    /// # Errors
    /// It does not start or fails; with all that it printed.
    pub fn output(&self, command: &mut Command) -> Outcome<String> {
        crate::namespace::output(command)
    }

    /// Writes a file in the test's directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> Outcome<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, bytes).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        Ok(path)
    }

    fn log_path(&self, name: &str) -> PathBuf {
        let count = self.logs.get();
        self.logs.set(count + 1);
        self.dir.join(format!("{count:02}-{name}.log"))
    }

    fn print_logs(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "log"));
        paths.sort();
        for path in paths {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!(
                "---- {}",
                path.file_name().unwrap_or_default().to_string_lossy()
            );
            eprintln!("{}", tail.join("\n"));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.failed.get() || thread::panicking() {
            self.print_logs();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
