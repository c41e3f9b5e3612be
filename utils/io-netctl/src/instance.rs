//! Which io-net is meant: the directory where it keeps its sockets.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How the user names an io-net, and what the environment says of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// `-i`.
    pub(crate) instance: Option<u32>,
    /// `--run-dir`.
    pub(crate) run_dir: Option<PathBuf>,
}

/// What the choice depends on beside the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `SOCK`.
    pub(crate) sock: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// The user.
    pub(crate) uid: u32,
}

impl Environment {
    /// This process's.
    pub(crate) fn present() -> Self {
        let path = |name| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        Environment {
            sock: path("SOCK"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            uid: std::fs::metadata("/proc/self").map_or(0, |meta| meta.uid()),
        }
    }
}

/// Directories to look for the control socket in, the likeliest first.
///
/// A user who is not root may run an io-net of his own, and else means the system's.
pub(crate) fn run_dirs(choice: &Choice, environment: &Environment) -> Vec<PathBuf> {
    if let Some(dir) = &choice.run_dir {
        return vec![dir.clone()];
    }
    if let (None, Some(sock)) = (choice.instance, &environment.sock) {
        return vec![sock.clone()];
    }
    let number = match choice.instance.unwrap_or(0) {
        0 => String::new(),
        n => n.to_string(),
    };
    let system = PathBuf::from(format!("/run/io-net{number}"));
    if environment.uid == 0 {
        return vec![system];
    }
    let own = match &environment.runtime_dir {
        Some(dir) => dir.join(format!("io-net{number}")),
        None => {
            let dash = if number.is_empty() { "" } else { "-" };
            Path::new("/tmp").join(format!("io-net-{}{dash}{number}", environment.uid))
        }
    };
    vec![own, system]
}

/// The instance in a type of QNX's (`io-net`, `io-net1`) or a directory's name; `None` for another.
pub(crate) fn instance_of(name: &str) -> Option<u32> {
    match name.strip_prefix("io-net")? {
        "" => Some(0),
        number if number.starts_with('0') => None,
        number => number.parse().ok(),
    }
}

/// The instance and the registrant that a path such as `/dev/io-net1/en0` names.
pub(crate) fn registrant_at(path: &str) -> Option<(u32, &str)> {
    let (directory, name) = path.strip_prefix("/dev/")?.split_once('/')?;
    let name = name.trim_end_matches('/');
    let instance = instance_of(directory)?;
    (!name.is_empty() && !name.contains('/')).then_some((instance, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(choice: Choice, environment: &Environment) -> Vec<String> {
        let dirs = run_dirs(&choice, environment);
        dirs.iter().map(|dir| dir.display().to_string()).collect()
    }

    fn number(n: u32) -> Choice {
        Choice {
            instance: Some(n),
            run_dir: None,
        }
    }

    #[test]
    fn root_means_the_systems() {
        let root = Environment::default();
        assert_eq!(dirs(Choice::default(), &root), ["/run/io-net"]);
        assert_eq!(dirs(number(2), &root), ["/run/io-net2"]);
    }

    #[test]
    fn a_user_means_his_own_first() {
        let mut user = Environment {
            uid: 1000,
            ..Environment::default()
        };
        assert_eq!(dirs(number(0), &user), ["/tmp/io-net-1000", "/run/io-net"]);
        assert_eq!(
            dirs(number(1), &user),
            ["/tmp/io-net-1000-1", "/run/io-net1"]
        );
        user.runtime_dir = Some("/run/user/1000".into());
        assert_eq!(dirs(number(1), &user)[0], "/run/user/1000/io-net1");
    }

    #[test]
    fn the_command_line_beats_the_environment() {
        let environment = Environment {
            sock: Some("/alt".into()),
            ..Environment::default()
        };
        assert_eq!(dirs(Choice::default(), &environment), ["/alt"]);
        assert_eq!(dirs(number(0), &environment), ["/run/io-net"]);
        let choice = Choice {
            run_dir: Some("/r".into()),
            instance: Some(3),
        };
        assert_eq!(dirs(choice, &environment), ["/r"]);
    }

    #[test]
    fn names_of_the_tree() {
        assert_eq!(registrant_at("/dev/io-net/en0"), Some((0, "en0")));
        assert_eq!(registrant_at("/dev/io-net12/ip_en/"), Some((12, "ip_en")));
        for other in [
            "/dev/sda1",
            "/dev/io-net",
            "/dev/io-net/",
            "/dev/io-net01/en0",
            "/dev/io-net/en0/stats",
            "en0",
        ] {
            assert_eq!(registrant_at(other), None, "{other}");
        }
    }
}
