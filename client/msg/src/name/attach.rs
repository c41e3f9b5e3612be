//! Giving a name to a channel.
//!
//! Who attaches holds a lock on the scope's directory meanwhile, so that of two that want one name at
//! once one gets it. An entry appears whole, by rename.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use io_net_proto::name::{DIRECTORY, Entry, LEN_MAX, is_valid, started};
use io_net_rendezvous::path;

use super::gns;
use super::path::Scope;
use super::resolve::{read, serves};
use crate::Connection;
use crate::error::{Error, Result};

/// Everybody may attach, and only remove what is theirs.
const OPEN_TO_ALL: u32 = 0o1777;
/// Only the directory's owner may attach.
const OWNERS: u32 = 0o755;

/// Where programs look for names on QNX.
const WELL_KNOWN: &str = "/dev/name";
/// The runtime directory whose names [`WELL_KNOWN`] shows.
const WELL_KNOWN_RUN: &str = "/run/io-net";

/// A name that a channel of this process has. Dropping it takes the name away.
#[derive(Debug)]
pub struct Attached {
    file: PathBuf,
    entry: Entry,
    /// Open as long as a global name is there, so that gns notices when this process dies.
    gns: Option<Connection>,
    name: String,
}

impl Attached {
    /// Gives `name` to channel `chid` of this process.
    ///
    /// # Errors
    /// EINVAL: no name can be like that. ENAMETOOLONG. EEXIST: a living process has it. EPERM: a
    /// global name without the right to, or one that another user's dead process left. EACCES: the
    /// directory is another user's. ENOSPC and the like from the file system.
    pub fn new(name: &str, scope: Scope, chid: i32) -> Result<Self> {
        if name.len() > LEN_MAX {
            return Err(Error(libc::ENAMETOOLONG));
        }
        if !is_valid(name) {
            return Err(Error::INVALID);
        }
        let pid = std::process::id().cast_signed();
        let entry = Entry {
            pid,
            chid,
            started: started(pid).ok_or(Error(libc::EIO))?,
        };
        let run = path::run();
        let attached = attach(&run, name, scope, entry);
        let mut attached = attached.map_err(|error| match (error, scope) {
            (Error(libc::EACCES), Scope::Global) => Error::NOT_PERMITTED,
            (error, _) => error,
        })?;
        if scope == Scope::Global && name != gns::NAME {
            attached.gns = gns::connect();
        }
        attached.tell();
        Ok(attached)
    }

    /// Has other nodes told that the name has come or gone. What they are not told now they find out
    /// when they ask for the name.
    fn tell(&self) {
        if let Some(gns) = &self.gns {
            let _ = gns::changed(gns, &self.name);
        }
    }

    /// The name's file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A child of fork has a copy of this, and not the name.
        let own = self.entry.pid.cast_unsigned() == std::process::id();
        if own && read(&self.file) == Some(self.entry) {
            let _ = fs::remove_file(&self.file);
            self.tell();
        }
    }
}

fn attach(run: &Path, name: &str, scope: Scope, entry: Entry) -> Result<Attached> {
    let mut dir = directories(run, scope)?;
    let lock = File::open(&dir)?;
    lock.lock()?;
    let (parents, last) = name.rsplit_once('/').unwrap_or(("", name));
    let within = match scope {
        Scope::Local => OPEN_TO_ALL,
        Scope::Global => OWNERS,
    };
    for parent in parents.split('/').filter(|p| !p.is_empty()) {
        dir.push(parent);
        make(&dir, within)?;
        trusted(&dir)?;
    }
    let file = dir.join(last);
    match fs::symlink_metadata(&file) {
        Ok(there) if there.is_dir() => return Err(Error(libc::EISDIR)),
        Ok(_) if read(&file).is_some_and(|old| serves(run, &old) && old != entry) => {
            return Err(Error(libc::EEXIST));
        }
        _ => {}
    }
    write(&dir, &file, entry)?;
    Ok(Attached {
        file,
        entry,
        gns: None,
        name: name.to_owned(),
    })
}

/// Makes the directories that names lie in, as far as they are not there, and returns the scope's.
fn directories(run: &Path, scope: Scope) -> Result<PathBuf> {
    make(run, OWNERS)?;
    let names = run.join(DIRECTORY);
    make(&names, OWNERS)?;
    make(&names.join(Scope::Local.directory()), OPEN_TO_ALL)?;
    make(&names.join(Scope::Global.directory()), OWNERS)?;
    if run == Path::new(WELL_KNOWN_RUN) {
        // A convenience for people and old scripts; no name depends on it.
        let _ = std::os::unix::fs::symlink(&names, WELL_KNOWN);
    }
    Ok(names.join(scope.directory()))
}

/// Makes a directory with these permissions whatever the umask, unless it is there.
fn make(dir: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(fs::set_permissions(dir, Permissions::from_mode(mode))?),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A directory within a name may have been put there by anybody, and may lead anywhere: it is used
/// only where it is a real one, of root's or of our own, so that nobody else can replace it.
fn trusted(dir: &Path) -> Result<()> {
    let there = fs::symlink_metadata(dir)?;
    let owner = there.uid();
    if there.is_dir() && (owner == 0 || owner == io_net_os::task::user_id()) {
        Ok(())
    } else {
        Err(Error(libc::EACCES))
    }
}

fn write(dir: &Path, file: &Path, entry: Entry) -> Result<()> {
    let new = dir.join(format!(".{}.{}", entry.pid, entry.chid));
    let _ = fs::remove_file(&new);
    let mut opened = File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&new)?;
    let written = opened
        .write_all(entry.to_string().as_bytes())
        .and_then(|()| opened.set_permissions(Permissions::from_mode(0o644)))
        .and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A runtime directory of the test's own, with channels 1 and 2 of this process.
    struct Run(PathBuf);

    impl Run {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir();
            let run = dir.join(format!("io-net-msg-name-{}-{n}", std::process::id()));
            path::make(&run).unwrap();
            for chid in [1, 2] {
                fs::write(path::channel(&run, own(chid).pid, chid), "").unwrap();
            }
            Self(run)
        }
    }

    impl Drop for Run {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn own(chid: i32) -> Entry {
        let pid = std::process::id().cast_signed();
        let started = started(pid).unwrap();
        Entry { pid, chid, started }
    }

    #[test]
    fn a_name_is_there_until_it_is_dropped() {
        let run = Run::new();
        let attached = attach(&run.0, "dev/counter", Scope::Local, own(4)).unwrap();
        let file = run.0.join("name/local/dev/counter");
        assert_eq!(attached.file(), file);
        assert_eq!(read(&file), Some(own(4)));
        drop(attached);
        assert!(!file.exists());
    }

    #[test]
    fn the_name_of_the_living_is_refused_and_of_the_dead_replaced() {
        let run = Run::new();
        let first = attach(&run.0, "a", Scope::Global, own(1)).unwrap();
        let second = attach(&run.0, "a", Scope::Global, own(2)).unwrap_err();
        assert_eq!(second, Error(libc::EEXIST));
        let dead = Entry {
            started: own(1).started + 1,
            ..own(1)
        };
        fs::write(first.file(), dead.to_string()).unwrap();
        let second = attach(&run.0, "a", Scope::Global, own(2)).unwrap();
        // The first one's name is another's by now, and stays.
        drop(first);
        assert_eq!(read(second.file()), Some(own(2)));
        // As good as dead: its channel is gone.
        fs::remove_file(path::channel(&run.0, own(2).pid, 2)).unwrap();
        let third = attach(&run.0, "a", Scope::Global, own(1)).unwrap();
        assert_eq!(read(third.file()), Some(own(1)));
    }

    #[test]
    fn rubbish_in_a_names_place_is_replaced() {
        let run = Run::new();
        let dir = directories(&run.0, Scope::Local).unwrap();
        fs::write(dir.join("a"), "1 2").unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.join("b")).unwrap();
        for name in ["a", "b"] {
            let attached = attach(&run.0, name, Scope::Local, own(1)).unwrap();
            assert_eq!(read(attached.file()), Some(own(1)));
        }
        fs::create_dir(dir.join("c")).unwrap();
        let over = attach(&run.0, "c", Scope::Local, own(1)).unwrap_err();
        assert_eq!(over, Error(libc::EISDIR));
    }

    #[test]
    fn a_link_in_the_middle_of_a_name_is_not_followed() {
        let run = Run::new();
        let dir = directories(&run.0, Scope::Local).unwrap();
        let elsewhere = run.0.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.join("a")).unwrap();
        let refused = attach(&run.0, "a/b", Scope::Local, own(1)).unwrap_err();
        assert_eq!(refused, Error(libc::EACCES));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn whoever_can_attaches_locally_and_the_owner_globally() {
        let run = Run::new();
        directories(&run.0, Scope::Local).unwrap();
        let mode = |dir| fs::metadata(run.0.join(dir)).unwrap().mode() & 0o7777;
        assert_eq!(mode("name/local"), OPEN_TO_ALL);
        assert_eq!(mode("name/global"), OWNERS);
    }
}
