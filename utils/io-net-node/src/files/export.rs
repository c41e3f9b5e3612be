//! What a node shows: directories that it was told to, and its names, each at its own path.

use super::message::{self, Attributes, Entry, kind};
use crate::errno;
use io_net_msg::Result;
use io_net_os::beneath::Beneath;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A directory that is shown.
#[derive(Debug)]
pub struct Export {
    /// The path by which others call it, absolute and plain.
    at: PathBuf,
    dir: Beneath,
    writable: bool,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Place<'e> {
    /// A directory that is there because exports are below it.
    Way,
    /// Something in an export; whether it is a way to other exports too.
    Inside(&'e Export, PathBuf, bool),
}

/// All that is shown.
#[derive(Debug, Default)]
pub struct Exports {
    all: Vec<Export>,
    /// Where this node has mounted other nodes: that is theirs to show.
    hidden: Option<PathBuf>,
}

impl Export {
    /// Shows `dir` at path `at`.
    ///
    /// # Errors
    /// EINVAL where `at` is not absolute or has `.` or `..`; why the directory cannot be opened.
    pub fn new(at: &Path, dir: &Path, writable: bool) -> io::Result<Self> {
        let (at, dir) = (plain(at)?, Beneath::open(dir)?);
        Ok(Self { at, dir, writable })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Beneath {
        &self.dir
    }

    /// # Errors
    /// EROFS where it is shown for reading only.
    pub fn check_writable(&self) -> Result<()> {
        self.writable.then_some(()).ok_or(errno::ROFS)
    }
}

impl PartialEq for Export {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Export {}

/// The path without slashes that say nothing.
fn plain(at: &Path) -> io::Result<PathBuf> {
    let mut components = at.components();
    let absolute = components.next() == Some(Component::RootDir);
    if !absolute || !components.all(|c| matches!(c, Component::Normal(_))) {
        let text = "the path must be absolute, without \"..\"";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(at.components().collect())
}

impl Exports {
    /// Shows these, and hides what is below `hidden`.
    #[must_use]
    pub fn new(mut all: Vec<Export>, hidden: Option<PathBuf>) -> Self {
        // The innermost of those that hold a path is the first that is found.
        all.sort_by_key(|export| std::cmp::Reverse(export.at.components().count()));
        Self { all, hidden }
    }

    /// What the path in a request leads to.
    ///
    /// # Errors
    /// ENOENT for what is not shown; as [`message::path`].
    pub fn find(&self, path: &[u8]) -> Result<Place<'_>> {
        let path = message::path(path)?;
        if self
            .hidden
            .as_ref()
            .is_some_and(|dir| path.starts_with(dir))
        {
            return Err(errno::NOENT);
        }
        let is_way = self.names_below(path).next().is_some();
        let inside = self.all.iter().find_map(|export| {
            let rest = path.strip_prefix(&export.at).ok()?;
            Some((export, rest))
        });
        match inside {
            Some((export, rest)) => Ok(Place::Inside(export, rest.to_owned(), is_way)),
            None if is_way => Ok(Place::Way),
            None => Err(errno::NOENT),
        }
    }

    /// Something that can be changed: in an export that may be, and not the export itself.
    ///
    /// # Errors
    /// EROFS, EACCES; as [`Exports::find`].
    pub fn find_writable(&self, path: &[u8]) -> Result<(&Export, PathBuf)> {
        match self.find(path)? {
            Place::Inside(export, rest, is_way) => {
                export.check_writable()?;
                match is_way || rest.as_os_str().is_empty() {
                    true => Err(errno::ACCES),
                    false => Ok((export, rest)),
                }
            }
            Place::Way => Err(errno::ROFS),
        }
    }

    /// The entries that a way has for the exports below it.
    #[must_use]
    pub fn entries(&self, path: &Path) -> Vec<Entry> {
        let names: BTreeSet<&OsStr> = self.names_below(path).collect();
        let entry = |name: &OsStr| Entry {
            kind: kind::DIRECTORY,
            name: name.as_bytes().to_vec(),
        };
        names.into_iter().map(entry).collect()
    }

    /// The next component of each export below `path`.
    fn names_below<'e>(&'e self, path: &'e Path) -> impl Iterator<Item = &'e OsStr> {
        self.all.iter().filter_map(move |export| {
            let rest = export.at.strip_prefix(path).ok()?;
            rest.components().next().map(|c| c.as_os_str())
        })
    }
}

/// The attributes of a way.
#[must_use]
pub fn way() -> Attributes {
    Attributes {
        inode: 1.into(),
        mode: (kind::DIRECTORY | 0o555).into(),
        links: 2.into(),
        ..Attributes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exports(list: &[(&str, bool)]) -> Exports {
        let new =
            |&(at, writable): &(&str, bool)| Export::new(at.as_ref(), "/tmp".as_ref(), writable);
        let all = list.iter().map(new).collect::<io::Result<_>>().unwrap();
        Exports::new(all, Some("/net".into()))
    }

    fn rest(place: Result<Place<'_>>) -> Option<(String, String)> {
        match place {
            Ok(Place::Inside(export, rest, _)) => {
                Some((export.at.display().to_string(), rest.display().to_string()))
            }
            _ => None,
        }
    }

    #[test]
    fn the_innermost_export_holds_a_path() {
        let shown = exports(&[
            ("/srv", true),
            ("/srv/pub/all/", false),
            ("/dev/name/local", false),
        ]);
        let found = |path: &str| rest(shown.find(path.as_bytes()));
        assert_eq!(found("/srv/a/b"), Some(("/srv".into(), "a/b".into())));
        assert_eq!(
            found("/srv/pub/all"),
            Some(("/srv/pub/all".into(), "".into()))
        );
        assert!(matches!(
            shown.find(b"/srv/pub"),
            Ok(Place::Inside(_, _, true))
        ));
        assert_eq!(shown.find(b"/dev"), Ok(Place::Way));
        assert_eq!(shown.find(b"/srvx"), Err(errno::NOENT));
        assert_eq!(shown.find(b"/etc"), Err(errno::NOENT));
        let names = |path: &str| -> Vec<_> {
            let names = shown.entries(path.as_ref()).into_iter();
            names.map(|e| String::from_utf8(e.name).unwrap()).collect()
        };
        assert_eq!(names("/"), ["dev", "srv"]);
        assert_eq!(names("/srv/pub/all"), [""; 0]);
        assert!(shown.find_writable(b"/srv/x").is_ok());
        assert_eq!(shown.find_writable(b"/srv/pub/all/x"), Err(errno::ROFS));
        assert_eq!(shown.find_writable(b"/srv"), Err(errno::ACCES));
        assert_eq!(shown.find_writable(b"/dev"), Err(errno::ROFS));
    }

    #[test]
    fn all_may_be_shown_but_other_nodes() {
        let shown = exports(&[("/", true)]);
        assert!(matches!(shown.find(b"/"), Ok(Place::Inside(_, _, false))));
        assert_eq!(shown.find(b"/net/other/etc"), Err(errno::NOENT));
        assert!(rest(shown.find(b"/nets")).is_some());
        assert!(Export::new("srv".as_ref(), "/tmp".as_ref(), true).is_err());
        assert!(Export::new("/srv/../etc".as_ref(), "/tmp".as_ref(), true).is_err());
    }
}
