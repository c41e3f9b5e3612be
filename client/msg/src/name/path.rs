//! Paths of names: which node, which directory, which name.

use io_net_proto::name::is_valid;

use crate::error::{Error, Result};

/// In which directory a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Known on its node.
    Local,
    /// Known on all nodes.
    Global,
}

/// A path, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'p> {
    /// The node as it was written, with its quality of service; None: this one.
    pub node: Option<&'p str>,
    /// The directory.
    pub scope: Scope,
    /// The name in it.
    pub name: &'p str,
}

impl Scope {
    /// Its directory below `/dev/name`.
    #[must_use]
    pub fn directory(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Global => "global",
        }
    }
}

impl Path<'_> {
    /// Its path below `/dev/name`.
    #[must_use]
    pub fn below_dev_name(&self) -> String {
        format!("{}/{}", self.scope.directory(), self.name)
    }
}

/// What `name_open` means: a name, or a path below `/dev/name` or `/net/NODE/dev/name`.
///
/// # Errors
/// EINVAL for anything else.
pub fn name(text: &str, global: bool) -> Result<Path<'_>> {
    let scope = if global { Scope::Global } else { Scope::Local };
    let (node, rest) = node(text)?;
    let (scope, name) = match in_directory(rest) {
        Some(found) => found,
        None if rest.starts_with('/') => return Err(Error::INVALID),
        None => (scope, rest),
    };
    checked(node, scope, name)
}

/// What opening a file means: as [`name`], and any other absolute path is the local name without its
/// leading slash: `/dev/counter` is the name `dev/counter`.
///
/// # Errors
/// EINVAL as for a name.
pub fn file(text: &str) -> Result<Path<'_>> {
    let (node, rest) = node(text)?;
    let (scope, name) = in_directory(rest).unwrap_or((Scope::Local, rest));
    checked(node, scope, name.strip_prefix('/').unwrap_or(name))
}

fn checked<'p>(node: Option<&'p str>, scope: Scope, name: &'p str) -> Result<Path<'p>> {
    if is_valid(name) {
        Ok(Path { node, scope, name })
    } else {
        Err(Error::INVALID)
    }
}

/// Splits `/net/NODE` off.
fn node(text: &str) -> Result<(Option<&str>, &str)> {
    let Some(rest) = text.strip_prefix("/net/") else {
        return Ok((None, text));
    };
    match rest.find('/') {
        Some(at) if at > 0 => Ok((Some(&rest[..at]), &rest[at..])),
        _ => Err(Error::INVALID),
    }
}

/// Splits `/dev/name/local` or `/dev/name/global` off.
fn in_directory(path: &str) -> Option<(Scope, &str)> {
    let rest = path.strip_prefix("/dev/name/")?;
    [Scope::Local, Scope::Global].into_iter().find_map(|scope| {
        let name = rest.strip_prefix(scope.directory())?.strip_prefix('/')?;
        Some((scope, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path<'p>(node: Option<&'p str>, scope: Scope, name: &'p str) -> Result<Path<'p>> {
        Ok(Path { node, scope, name })
    }

    #[test]
    fn names_and_paths_below_dev_name() {
        use Scope::{Global, Local};
        assert_eq!(name("a/b", false), path(None, Local, "a/b"));
        assert_eq!(name("a", true), path(None, Global, "a"));
        assert_eq!(name("/dev/name/global/a", false), path(None, Global, "a"));
        let far = "/net/lab2~exclusive:en0/dev/name/local/a/b";
        assert_eq!(
            name(far, false),
            path(Some("lab2~exclusive:en0"), Local, "a/b")
        );
    }

    #[test]
    fn what_cannot_be_a_name() {
        for bad in [
            "",
            "/a",
            "/dev/a",
            "a/../b",
            "/dev/name/local/",
            "/dev/name/local/..",
            "/dev/name/other/a",
            "/net/",
            "/net//dev/name/local/a",
            "/net/lab2",
            "/net/lab2/dev/counter",
        ] {
            assert_eq!(name(bad, false), Err(Error::INVALID), "{bad}");
        }
    }

    #[test]
    fn files_are_local_names_without_their_slash() {
        use Scope::{Global, Local};
        assert_eq!(file("/dev/counter"), path(None, Local, "dev/counter"));
        assert_eq!(file("counter"), path(None, Local, "counter"));
        assert_eq!(file("/dev/name/local/counter"), file("counter"));
        assert_eq!(
            file("/net/lab2/dev/counter"),
            path(Some("lab2"), Local, "dev/counter")
        );
        assert_eq!(
            file("/net/lab2/dev/name/global/c"),
            path(Some("lab2"), Global, "c")
        );
        assert_eq!(file("/"), Err(Error::INVALID));
        assert_eq!(file("//a"), Err(Error::INVALID));
    }
}
