//! Names of channels: what a name may be, and the line in `<run>/name/{local,global}/NAME`.

use std::path::{Component, Path};

/// The directory of names in the runtime directory.
pub const DIRECTORY: &str = "name";

/// The longest name, in bytes.
pub const LEN_MAX: usize = 1024;

/// Who has a name: the one line of its file, `pid chid started`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The server's process.
    pub pid: i32,
    /// Its channel.
    pub chid: i32,
    /// When the process began, in clock ticks since the machine did: field 22 of `/proc/PID/stat`. A
    /// process that got a dead one's number began later.
    pub started: u64,
}

/// Whether `name` may be attached or opened: one or more components, none of them `.` or `..`, not
/// from the root, no NUL, not longer than [`LEN_MAX`].
#[must_use]
pub fn is_valid(name: &str) -> bool {
    let plain = |component| matches!(component, Component::Normal(_));
    (1..=LEN_MAX).contains(&name.len())
        && !name.contains('\0')
        && !name.ends_with('/')
        && name.split('/').all(|part| part != ".")
        && Path::new(name).components().all(plain)
}

impl Entry {
    /// Reads a name's file.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let entry = Self {
            pid: words.next()?.parse().ok()?,
            chid: words.next()?.parse().ok()?,
            started: words.next()?.parse().ok()?,
        };
        (words.next().is_none() && entry.pid > 0 && entry.chid >= 0).then_some(entry)
    }

    /// Whether the process that made this entry still lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// Whether its process lives in another PID namespace, where it has another number here:
    /// `listener`, the process that listens on its channel; 0 for one that is not seen from here.
    #[must_use]
    pub fn is_elsewhere(&self, listener: Option<i32>) -> bool {
        match listener {
            Some(0) => true,
            Some(pid) => started(pid) == Some(self.started),
            None => false,
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} {} {}", self.pid, self.chid, self.started)
    }
}

/// When a process began, as [`Entry::started`]; nothing where there is no such process, or where it
/// is dead and only waits for its parent.
#[must_use]
pub fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // Field 22 of the line: `state` was the third.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_their_directory() {
        for good in ["a", "printer/1", "a.b", "..a", "dev/counter"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "", "/a", "..", "a/../b", "a/..", "./a", "a/.", "a\0", "a/", "/",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
        assert!(!is_valid(&"x".repeat(LEN_MAX + 1)));
    }

    #[test]
    fn an_entry_is_the_line_that_it_writes() {
        let entry = Entry {
            pid: 12,
            chid: 3,
            started: 456,
        };
        assert_eq!(Entry::parse(&entry.to_string()), Some(entry));
        for bad in ["", "1 2", "1 2 3 4", "0 1 1", "1 -1 1", "-1 1 1", "1 x 1"] {
            assert_eq!(Entry::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_entry_dies_with_its_process() {
        let pid = std::process::id().cast_signed();
        let own = Entry {
            pid,
            chid: 1,
            started: started(pid).unwrap(),
        };
        assert!(own.is_alive());
        let later = Entry {
            started: own.started + 1,
            ..own
        };
        assert!(!later.is_alive());
        let elsewhere = Entry {
            pid: i32::MAX,
            ..own
        };
        assert!(elsewhere.is_elsewhere(Some(own.pid)) && elsewhere.is_elsewhere(Some(0)));
        assert!(!later.is_elsewhere(Some(own.pid)) && !own.is_elsewhere(None));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let child_pid = child.id().cast_signed();
        child.wait().unwrap();
        assert_eq!(started(child_pid), None);
    }
}
