//! The global names of this node, and how far those who keep them have been told.
//!
//! Each change has a number. A thread for each keeper ([`crate::keeper`]) waits for a new one, tells, and
//! says up to which it has; whoever made the change waits for those that can be reached.

use io_net_msg::name::{Scope, here};
use io_net_proto::gns::NAME;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Names, at most: as many as a server keeps of one node.
const NAMES_MAX: usize = 4096;
/// Directories within each other in which names are looked for.
const DEPTH_MAX: usize = 16;

/// The names of this node.
#[derive(Debug)]
pub struct Own {
    /// Where they are files.
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    names: BTreeSet<String>,
    /// The number of the last change.
    change: u64,
    /// For each keeper, the change up to which it has been told; none while it cannot be reached.
    told: Vec<Option<u64>>,
    /// Keepers that are to be looked at.
    woken: Vec<bool>,
    ending: bool,
}

/// What a keeper's thread wakes up for.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// These are the names now, after the change of that number.
    Names(BTreeSet<String>, u64),
    /// Time has passed, or something has happened to the keeper.
    Nothing,
    /// The program ends.
    End,
}

impl Own {
    /// The names in directory `dir`, which `keepers` keepers are to be told.
    #[must_use]
    pub fn new(dir: PathBuf, keepers: usize) -> Self {
        let own = Self {
            dir,
            state: Mutex::new(State {
                names: BTreeSet::new(),
                change: 1,
                told: vec![None; keepers],
                woken: vec![false; keepers],
                ending: false,
            }),
            changed: Condvar::new(),
        };
        own.look_at_all();
        own
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this node has a name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.state().names.contains(name)
    }

    /// Looks whether this node has the names, which have come or gone. Returns the change's number.
    pub fn look_at<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> u64 {
        let mut state = self.state();
        let before = state.change;
        for name in names {
            let there = name != NAME && here(Scope::Global, name).is_some();
            let changes = match there {
                true => state.names.len() < NAMES_MAX && state.names.insert(name.to_owned()),
                false => state.names.remove(name),
            };
            if changes {
                state.change = before + 1;
            }
        }
        if state.change != before {
            self.changed.notify_all();
        }
        state.change
    }

    /// Looks at all names there are, and at those there were.
    pub fn look_at_all(&self) {
        let mut names = self.state().names.clone();
        collect(&self.dir, "", DEPTH_MAX, &mut names);
        self.look_at(names.iter().map(String::as_str));
    }

    /// Waits until all keepers that can be reached have been told of a change, or for `limit`.
    pub fn wait_told(&self, change: u64, limit: Duration) {
        let open = |state: &mut State| state.told.iter().flatten().any(|told| *told < change);
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, limit, open);
        drop(waited);
    }

    /// Has keeper `at`'s thread look at it.
    pub fn wake(&self, at: usize) {
        self.state().woken[at] = true;
        self.changed.notify_all();
    }

    /// Has all threads end.
    pub fn end(&self) {
        self.state().ending = true;
        self.changed.notify_all();
    }

    /// Keeper `at` has been told up to that change; none: it cannot be reached.
    pub fn told(&self, at: usize, change: Option<u64>) {
        self.state().told[at] = change;
        self.changed.notify_all();
    }

    /// Waits for `limit`, or until the program ends: whether it does.
    #[must_use]
    pub fn wait_for_end(&self, limit: Duration) -> bool {
        let going_on = |state: &mut State| !state.ending;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), limit, going_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.ending
    }

    /// Waits until keeper `at` is to be told more than change `told`, or for `limit`.
    #[must_use]
    pub fn wait(&self, at: usize, told: u64, limit: Duration) -> News {
        let idle = |s: &mut State| !s.ending && !s.woken[at] && s.change == told;
        let waited = self.changed.wait_timeout_while(self.state(), limit, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.woken[at] = false;
        match (state.ending, state.change == told) {
            (true, _) => News::End,
            (false, true) => News::Nothing,
            (false, false) => News::Names(state.names.clone(), state.change),
        }
    }
}

/// Adds the names in a directory, which may be anything, to `names`.
fn collect(dir: &Path, before: &str, depth: usize, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (Ok(kind), Ok(last)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        let name = format!("{before}{last}");
        if names.len() >= 2 * NAMES_MAX || last.starts_with('.') {
            continue;
        }
        if kind.is_dir() && depth > 0 {
            collect(&entry.path(), &format!("{name}/"), depth - 1, names);
        } else if kind.is_file() {
            names.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn names_are_collected_from_all_depths() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for file in ["x", "a/y", "a/b/z", ".new"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let mut names = BTreeSet::new();
        collect(dir.path(), "", DEPTH_MAX, &mut names);
        assert_eq!(Vec::from_iter(names), ["a/b/z", "a/y", "x"]);
    }

    #[test]
    fn a_keeper_hears_of_changes_and_those_who_made_them_of_the_keeper() {
        let dir = tempfile::tempdir().unwrap();
        let own = Own::new(dir.path().to_owned(), 2);
        assert_eq!(own.wait(0, 0, LIMIT), News::Names(BTreeSet::new(), 1));
        assert_eq!(own.wait(0, 1, Duration::ZERO), News::Nothing);
        own.wake(1);
        assert_eq!(own.wait(1, 1, LIMIT), News::Nothing);
        // Nobody can be reached: nobody is waited for.
        own.wait_told(1, LIMIT);
        own.told(0, Some(0));
        std::thread::scope(|scope| {
            scope.spawn(|| own.told(0, Some(1)));
            let begin = std::time::Instant::now();
            own.wait_told(1, LIMIT);
            assert!(begin.elapsed() < LIMIT);
        });
        own.end();
        assert_eq!(own.wait(0, 1, LIMIT), News::End);
    }
}
