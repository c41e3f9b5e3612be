//! `io-net-node` beside this io-net (`net=`, `export=`, `spawn`): started, started again where it ends, and
//! ended with this instance.
//!
//! A thread of its own does it, which sleeps until the program ends. The program is started by
//! posix_spawn, as nothing is to be done between fork and exec: a process with threads and shared
//! memory is not copied. It is in a process group of its own, and ends by itself when its standard
//! input does, should io-net be killed.

use crate::aside::{Aside, Teller};
use io_net_ddk::abi::LOG_WARNING;
use io_net_os::group;
use io_net_os::signalfd::TERM;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The program.
const PROGRAM: &str = "io-net-node";
/// How soon it is started again: at first, and at last.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Running that long, it was started well.
const STEADY: Duration = Duration::from_secs(10);
/// How long it may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(1);
/// SIGKILL.
const KILL: i32 = 9;

/// What is asked of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Where other nodes' files are mounted.
    pub(crate) net: Option<PathBuf>,
    /// Directories that other nodes may use; with `:ro`, read.
    pub(crate) exports: Vec<String>,
    /// Whether other nodes may run programs here.
    pub(crate) spawn: bool,
}

impl Wanted {
    /// Whether anything is.
    pub(crate) fn any(&self) -> bool {
        *self != Wanted::default()
    }

    /// The command, for the node whose programs meet in `run_dir`.
    pub(crate) fn command(&self, run_dir: &Path) -> Command {
        let beside = std::env::current_exe().map(|io_net| io_net.with_file_name(PROGRAM));
        let program = beside.ok().filter(|program| program.is_file());
        let mut command = Command::new(program.unwrap_or_else(|| PROGRAM.into()));
        command.env("SOCK", run_dir).arg("--while-stdin");
        match &self.net {
            Some(net) => command.arg("--net").arg(net),
            None => command.arg("--no-net"),
        };
        for export in &self.exports {
            command.args(["--export", export]);
        }
        if self.spawn {
            command.arg("--spawn");
        }
        command
    }
}

/// The program and the thread that sees to it. Dropping it ends both.
pub(crate) struct Services {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The program's process, until it has been waited for: the number is its own.
    running: Option<u32>,
    ending: bool,
    /// The thread is done.
    ended: bool,
}

impl Services {
    /// Has `command` run from now on.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(command: Command, teller: Teller) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        let work = move || {
            supervise(command, &for_thread, &teller);
            for_thread.state().ended = true;
            for_thread.changed.notify_all();
        };
        let builder = std::thread::Builder::new().name("io-net-services".into());
        Ok(Services {
            shared,
            thread: Some(builder.spawn(work)?),
        })
    }

    /// Has the program end, without waiting for it.
    pub(crate) fn end(&self) {
        let mut state = self.shared.state();
        state.ending = true;
        state.signal(TERM);
        self.shared.changed.notify_all();
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.end();
        let running = |state: &mut State| !state.ended;
        let wait = |limit| {
            let changed = &self.shared.changed;
            let waited = changed.wait_timeout_while(self.shared.state(), limit, running);
            waited.unwrap_or_else(PoisonError::into_inner).0.ended
        };
        if !wait(PATIENCE) {
            self.shared.state().signal(KILL);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn signal(&self, signal: i32) {
        if let Some(leader) = self.running {
            // It may have ended, and be about to be waited for.
            let _ = group::signal(leader, signal);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `limit`, or until there is to be an end. Returns whether there is.
    fn wait_for_end(&self, limit: Duration) -> bool {
        let going_on = |state: &mut State| !state.ending;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), limit, going_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.ending
    }

    /// Runs the program to its end; how it ended.
    fn run(&self, command: &mut Command) -> std::io::Result<String> {
        let mut state = self.state();
        if state.ending {
            return Ok(String::new());
        }
        let mut child = command.spawn()?;
        state.running = Some(child.id());
        drop(state);
        // Not waited for yet, so that its number is nobody else's while it may be signalled.
        let _ = group::wait_for_end(child.id());
        let mut state = self.state();
        state.running = None;
        child.wait().map(|status| status.to_string())
    }
}

/// Runs the program again and again, until there is to be an end.
fn supervise(mut command: Command, shared: &Shared, teller: &Teller) {
    command.stdin(Stdio::piped()).process_group(0);
    let mut pause = PAUSE;
    loop {
        let begun = Instant::now();
        let ran = shared.run(&mut command);
        if shared.wait_for_end(Duration::ZERO) {
            return;
        }
        if begun.elapsed() >= STEADY {
            pause = PAUSE;
        }
        let what = match ran {
            Ok(how) => format!("has ended ({how})"),
            Err(error) => format!("does not start: {error}"),
        };
        let again = pause.as_secs_f32();
        let note = format!("{PROGRAM} {what}; started again in {again} s");
        teller.tell(Aside::Note(LOG_WARNING, note));
        if shared.wait_for_end(pause) {
            return;
        }
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aside::queue;
    use std::fs;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A shell that runs `script`, which may write to the file `$0`.
    fn shell(script: &str, file: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(file);
        command
    }

    fn wait_for<T>(mut ready: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            match ready() {
                Some(value) => return value,
                None => assert!(begun.elapsed() < LIMIT, "in vain"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_command_says_what_is_wanted() {
        let wanted = Wanted {
            net: Some("/net".into()),
            exports: vec!["/srv".into(), "/etc:ro".into()],
            spawn: true,
        };
        let command = wanted.command(Path::new("/run/x"));
        let words: Vec<_> = command.get_args().map(|w| w.to_str().unwrap()).collect();
        let line = "--while-stdin --net /net --export /srv --export /etc:ro --spawn";
        assert_eq!(words.join(" "), line);
        let nothing = Wanted::default();
        assert!(wanted.any() && !nothing.any());
        assert!(
            nothing
                .command(Path::new("/x"))
                .get_args()
                .any(|w| w == "--no-net")
        );
    }

    #[test]
    fn what_ends_is_started_again_and_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("starts");
        let (queue, asides) = queue();
        let command = shell("echo >> $0; exit 3", &file);
        let services = Services::start(command, Teller::new(&queue, || {})).unwrap();
        wait_for(|| (fs::read_to_string(&file).ok()?.len() >= 2).then_some(()));
        drop(services);
        let Ok(Aside::Note(LOG_WARNING, note)) = asides.try_recv() else {
            panic!("nothing is said");
        };
        assert!(note.contains("has ended (exit status: 3)"), "{note}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (queue, asides) = queue();
        let command = Command::new("/nonexistent/program");
        let services = Services::start(command, Teller::new(&queue, || {})).unwrap();
        let note = wait_for(|| asides.try_recv().ok());
        assert!(format!("{note:?}").contains("does not start"), "{note:?}");
        drop(services);
    }

    #[test]
    fn it_ends_with_its_services_whether_it_wants_to_or_not() {
        let dir = tempfile::tempdir().unwrap();
        for stubborn in ["", "trap '' TERM; "] {
            let file = dir.path().join("pid");
            let script =
                format!("{stubborn}echo $$ > $0.new; mv $0.new $0; sleep 1000 & wait; wait");
            let (queue, _asides) = queue();
            let command = shell(&script, &file);
            let services = Services::start(command, Teller::new(&queue, || {})).unwrap();
            let pid = wait_for(|| fs::read_to_string(&file).ok());
            drop(services);
            assert!(!Path::new("/proc").join(pid.trim()).exists(), "{stubborn}");
            fs::remove_file(file).unwrap();
        }
    }
}
