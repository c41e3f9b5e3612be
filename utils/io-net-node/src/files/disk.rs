//! What is done to the files of a directory, with the calling thread's rights.
//!
//! Paths are relative to the directory and lead nowhere else. Only plain files are opened: a
//! device or a FIFO might do something, or wait.

use super::message::{Attributes, Change, Entry, change, kind, open};
use crate::errno;
use io_net_msg::{Error, Result};
use io_net_os::beneath::{Beneath, path_of};
use std::fs::{self, DirBuilder, File, FileTimes, Metadata, OpenOptions, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{self as unix, DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Permissions that a request may give.
const PERMISSIONS: u32 = 0o7777;

/// What stat tells.
///
/// # Errors
/// As [`Beneath::find`].
pub fn stat(dir: &Beneath, path: &Path) -> Result<Attributes> {
    let found = File::from(dir.find(path)?);
    Ok(attributes(&found.metadata()?))
}

/// What stat tells of an open file.
#[must_use]
pub fn attributes(meta: &Metadata) -> Attributes {
    let fraction = |n: i64| (n as u32).into();
    Attributes {
        inode: meta.ino().into(),
        size: meta.size().into(),
        blocks: meta.blocks().into(),
        mode: meta.mode().into(),
        links: (meta.nlink() as u32).into(),
        uid: meta.uid().into(),
        gid: meta.gid().into(),
        seconds: [meta.atime(), meta.mtime(), meta.ctime()].map(Into::into),
        nanoseconds: [meta.atime_nsec(), meta.mtime_nsec(), meta.ctime_nsec()].map(fraction),
        ..Attributes::default()
    }
}

/// The entries of a directory but the first `skip`; stops when `take` wants no more.
///
/// # Errors
/// ENOTDIR, EACCES; as [`Beneath::find`].
pub fn list(
    dir: &Beneath,
    path: &Path,
    skip: u64,
    mut take: impl FnMut(Entry) -> bool,
) -> Result<()> {
    let found = dir.find(path)?;
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    for entry in fs::read_dir(path_of(&found))?.skip(skip) {
        let entry = entry?;
        let name = entry.file_name().as_bytes().to_vec();
        // One that has gone meanwhile has no type, and is nothing any more.
        let kind = entry.file_type().map_or(kind::FILE, type_of);
        if !take(Entry { kind, name }) {
            return Ok(());
        }
    }
    Ok(())
}

fn type_of(of: fs::FileType) -> u32 {
    use std::os::unix::fs::FileTypeExt;
    [
        (of.is_dir(), kind::DIRECTORY),
        (of.is_symlink(), kind::LINK),
        (of.is_fifo(), kind::FIFO),
        (of.is_socket(), kind::SOCKET),
        (of.is_char_device(), kind::CHARACTER),
        (of.is_block_device(), kind::BLOCK),
    ]
    .into_iter()
    .find_map(|(is, kind)| is.then_some(kind))
    .unwrap_or(kind::FILE)
}

/// Opens a plain file as `flags` ([`open()`]) say; made anew it gets `mode`.
///
/// # Errors
/// EEXIST, EISDIR; EOPNOTSUPP for what is no plain file; as [`Beneath::find`].
pub fn open(dir: &Beneath, path: &Path, flags: u32, mode: u32) -> Result<File> {
    let (create, exclusive) = (flags & open::CREATE != 0, flags & open::EXCLUSIVE != 0);
    // A second time, if it has appeared between the two looks.
    for _ in 0..2 {
        match dir.find(path).map_err(Error::from) {
            Ok(_) if create && exclusive => return Err(errno::EXIST),
            Ok(found) => return reopen(found, flags),
            Err(errno::NOENT) if create => {}
            Err(error) => return Err(error),
        }
        match dir
            .create(path, mode & PERMISSIONS & 0o777)
            .map_err(Error::from)
        {
            Ok(made) => {
                // Exactly these, whatever this process's umask.
                made.set_permissions(Permissions::from_mode(mode & PERMISSIONS))?;
                return Ok(made);
            }
            Err(errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Err(errno::AGAIN)
}

/// Opens what has been found.
fn reopen(found: OwnedFd, flags: u32) -> Result<File> {
    let found = File::from(found);
    let kind = found.metadata()?.file_type();
    let has = |flag| flags & flag != 0;
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => {}
        (_, true) => return Err(errno::ISDIR),
        _ => return Err(errno::OPNOTSUPP),
    }
    let mut options = OpenOptions::new();
    options
        .read(has(open::READ) || !has(open::WRITE))
        .write(has(open::WRITE))
        .truncate(has(open::TRUNCATE) && has(open::WRITE));
    Ok(options.open(path_of(&found.into()))?)
}

/// Changes what `to` says.
///
/// # Errors
/// EPERM, EACCES; as [`Beneath::find`].
pub fn change(dir: &Beneath, path: &Path, to: &Change) -> Result<Attributes> {
    let found = dir.find(path)?;
    let at = path_of(&found);
    let has = |what| to.what.get() & what != 0;
    if has(change::UID) || has(change::GID) {
        let uid = has(change::UID).then(|| to.uid.get());
        let gid = has(change::GID).then(|| to.gid.get());
        unix::chown(&at, uid, gid)?;
    }
    if has(change::MODE) {
        fs::set_permissions(&at, Permissions::from_mode(to.mode.get() & PERMISSIONS))?;
    }
    let found = File::from(found);
    if has(change::SIZE) {
        let file = reopen(found.try_clone()?.into(), open::WRITE)?;
        file.set_len(to.size.get())?;
    }
    if has(change::READ_TIME) || has(change::WRITE_TIME) {
        set_times(&found, &at, to)?;
    }
    Ok(attributes(&found.metadata()?))
}

fn set_times(found: &File, at: &Path, to: &Change) -> Result<()> {
    let kind = found.metadata()?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(errno::OPNOTSUPP);
    }
    let time = |n: usize| {
        let (seconds, fraction) = (to.seconds[n].get(), to.nanoseconds[n].get());
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let time = match seconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(whole),
            false => SystemTime::UNIX_EPOCH.checked_add(whole),
        };
        let time = time.and_then(|t| t.checked_add(Duration::from_nanos(fraction.into())));
        time.ok_or(errno::INVAL)
    };
    let mut times = FileTimes::new();
    if to.what.get() & change::READ_TIME != 0 {
        times = times.set_accessed(time(0)?);
    }
    if to.what.get() & change::WRITE_TIME != 0 {
        times = times.set_modified(time(1)?);
    }
    // Whoever may write it may set its times, though perhaps not read it.
    let opened = File::open(at).or_else(|_| OpenOptions::new().write(true).open(at))?;
    Ok(opened.set_times(times)?)
}

/// Makes a directory.
///
/// # Errors
/// EEXIST; as [`Beneath::find`].
pub fn make_dir(dir: &Beneath, path: &Path, mode: u32) -> Result<()> {
    let (_parent, at) = name_in(dir, path)?;
    DirBuilder::new().mode(mode & 0o777).create(&at)?;
    let made = dir.find(path)?;
    let mode = Permissions::from_mode(mode & PERMISSIONS);
    Ok(fs::set_permissions(path_of(&made), mode)?)
}

/// Takes a name away that is no directory's.
///
/// # Errors
/// EISDIR; as [`Beneath::find`].
pub fn unlink(dir: &Beneath, path: &Path) -> Result<()> {
    let (_parent, at) = name_in(dir, path)?;
    Ok(fs::remove_file(at)?)
}

/// Takes an empty directory away.
///
/// # Errors
/// ENOTEMPTY, ENOTDIR; as [`Beneath::find`].
pub fn remove_dir(dir: &Beneath, path: &Path) -> Result<()> {
    let (_parent, at) = name_in(dir, path)?;
    Ok(fs::remove_dir(at)?)
}

/// Gives something another name, in place of what has it.
///
/// # Errors
/// ENOTEMPTY, EISDIR, ENOTDIR; as [`Beneath::find`].
pub fn rename(dir: &Beneath, from: &Path, to: &Path) -> Result<()> {
    let ((_of, from), (_to, to)) = (name_in(dir, from)?, name_in(dir, to)?);
    Ok(fs::rename(from, to)?)
}

/// Gives something a further name.
///
/// # Errors
/// EEXIST, EPERM for a directory; as [`Beneath::find`].
pub fn link(dir: &Beneath, from: &Path, to: &Path) -> Result<()> {
    let ((_of, from), (_to, to)) = (name_in(dir, from)?, name_in(dir, to)?);
    Ok(fs::hard_link(from, to)?)
}

/// Makes a link that says `text`.
///
/// # Errors
/// EEXIST; as [`Beneath::find`].
pub fn symlink(dir: &Beneath, text: &Path, path: &Path) -> Result<()> {
    let (_parent, at) = name_in(dir, path)?;
    Ok(unix::symlink(text, at)?)
}

/// What a link says.
///
/// # Errors
/// EINVAL for what is none; as [`Beneath::find`].
pub fn read_link(dir: &Beneath, path: &Path) -> Result<PathBuf> {
    let (_parent, at) = name_in(dir, path)?;
    Ok(fs::read_link(at)?)
}

/// A path to the name itself, by its directory, which stays open meanwhile.
fn name_in(dir: &Beneath, path: &Path) -> Result<(OwnedFd, PathBuf)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(errno::ACCES);
    };
    let parent = dir.find(parent)?;
    let at = path_of(&parent).join(name);
    Ok((parent, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Beneath) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        unix::symlink("../secret", dir.path().join("in/out")).unwrap();
        unix::symlink("..", dir.path().join("in/up")).unwrap();
        let beneath = Beneath::open(&dir.path().join("in")).unwrap();
        (dir, beneath)
    }

    fn p(path: &str) -> &Path {
        Path::new(path)
    }

    #[test]
    fn files_are_made_changed_and_taken_away() {
        use std::io::{Read, Write};
        let (_dir, at) = place();
        make_dir(&at, p("d"), 0o770).unwrap();
        let flags = open::CREATE | open::WRITE | open::EXCLUSIVE;
        let mut file = open(&at, p("d/f"), flags, 0o666).unwrap();
        file.write_all(b"hello").unwrap();
        assert_eq!(open(&at, p("d/f"), flags, 0).unwrap_err(), errno::EXIST);
        let attributes = stat(&at, p("d/f")).unwrap();
        let mode = attributes.mode.get();
        assert_eq!((attributes.size.get(), mode), (5, kind::FILE | 0o666));
        rename(&at, p("d/f"), p("g")).unwrap();
        link(&at, p("g"), p("h")).unwrap();
        let to = Change {
            what: (change::SIZE | change::MODE | change::WRITE_TIME).into(),
            mode: 0o600.into(),
            size: 2.into(),
            seconds: [0.into(), 1234.into()],
            nanoseconds: [0.into(), 5.into()],
            ..Change::default()
        };
        let changed = change(&at, p("g"), &to).unwrap();
        assert_eq!(changed.seconds[1].get(), 1234);
        assert_eq!(changed.links.get(), 2);
        let mut text = String::new();
        let mut file = open(&at, p("h"), open::READ, 0).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "he");
        open(&at, p("h"), open::WRITE | open::TRUNCATE, 0).unwrap();
        assert_eq!(stat(&at, p("g")).unwrap().size.get(), 0);
        symlink(&at, p("g"), p("l")).unwrap();
        assert_eq!(read_link(&at, p("l")), Ok("g".into()));
        let mut names = Vec::new();
        list(&at, p(""), 0, |entry| {
            names.push(String::from_utf8(entry.name).unwrap());
            true
        })
        .unwrap();
        names.sort();
        assert_eq!(names, ["d", "g", "h", "l", "out", "up"]);
        unlink(&at, p("l")).unwrap();
        remove_dir(&at, p("d")).unwrap();
        assert_eq!(stat(&at, p("d")).unwrap_err(), errno::NOENT);
    }

    #[test]
    fn nothing_outside_is_reached() {
        let (dir, at) = place();
        let secret = || fs::read_to_string(dir.path().join("secret")).unwrap();
        let write = open::WRITE | open::TRUNCATE | open::CREATE;
        assert_eq!(
            open(&at, p("out"), open::READ, 0).unwrap_err(),
            errno::OPNOTSUPP
        );
        assert_eq!(
            open(&at, p("out"), write, 0o666).unwrap_err(),
            errno::OPNOTSUPP
        );
        assert!(open(&at, p("up/secret"), open::READ, 0).is_err());
        assert!(open(&at, p("up/new"), write, 0o666).is_err());
        assert!(list(&at, p("up"), 0, |_| true).is_err());
        assert!(rename(&at, p("up/secret"), p("mine")).is_err());
        assert!(link(&at, p("up/secret"), p("mine")).is_err());
        assert!(unlink(&at, p("up/secret")).is_err());
        assert!(make_dir(&at, p("up/new"), 0o777).is_err());
        assert!(remove_dir(&at, p("")).is_err());
        let to = Change {
            what: (change::SIZE).into(),
            ..Change::default()
        };
        assert!(change(&at, p("out"), &to).is_err());
        let mode = Change {
            what: (change::MODE).into(),
            ..Change::default()
        };
        assert!(change(&at, p("out"), &mode).is_err());
        assert_eq!(secret(), "secret");
        assert!(!dir.path().join("new").exists());
        let outside = fs::metadata(dir.path().join("secret")).unwrap();
        assert_ne!(outside.mode() & 0o777, 0);
    }

    #[test]
    fn what_might_wait_is_not_opened() {
        let at = Beneath::open(p("/dev")).unwrap();
        let opened = open(&at, p("null"), open::READ, 0);
        assert_eq!(opened.unwrap_err(), errno::OPNOTSUPP);
        assert_eq!(open(&at, p(""), open::READ, 0).unwrap_err(), errno::ISDIR);
    }
}
