//! The names that other systems gave: QNX's `mount -T io-net` and `umount /dev/io-net/en0`, and
//! mount(8)'s helper `mount.io-net`. What is not for io-net goes to the system's own command.

use crate::failure::Failure;
use crate::instance::{instance_of, registrant_at};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A module to be mounted, as a mount command says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounting {
    /// Which io-net, where the command says.
    pub(crate) instance: Option<u32>,
    /// Module, as the user names it.
    pub(crate) module: String,
    /// Options, separated by commas.
    pub(crate) options: String,
    /// Only pretend (`-f`).
    pub(crate) fake: bool,
    /// Say what was done (`-v`).
    pub(crate) verbose: bool,
}

/// What a mount or umount command is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked<T> {
    /// io-net.
    IoNet(T),
    /// The system's command of the same name.
    System,
}

/// Understands `mount`. Only `-T` or `-t` with a type of io-net's makes it ours.
///
/// # Errors
/// A command for io-net that cannot be understood.
pub(crate) fn mount(args: &[String]) -> Result<Asked<Mounting>, Failure> {
    let words = Words::split(args, "Tto");
    let types = words
        .options
        .iter()
        .filter(|(letter, _)| "Tt".contains(*letter));
    let instance = types
        .filter_map(|(_, value)| instance_of(value))
        .next_back();
    match instance {
        None => Ok(Asked::System),
        Some(instance) => {
            let mut mounting = words.mounting("mount -T io-net [-o options] MODULE [DIR]")?;
            mounting.instance = mounting.instance.or(Some(instance));
            Ok(Asked::IoNet(mounting))
        }
    }
}

/// Understands `mount.io-net SPEC DIR [-sfnv] [-o options]`, as mount(8) calls it.
///
/// # Errors
/// Arguments that cannot be understood.
pub(crate) fn mount_helper(args: &[String]) -> Result<Mounting, Failure> {
    let words = Words::split(args, "toN");
    let mut mounting = words.mounting("mount.io-net MODULE DIR [-sfnv] [-o options]")?;
    let kept: Vec<&str> = mounting
        .options
        .split(',')
        .filter(|o| !of_mount(o))
        .collect();
    mounting.options = kept.join(",");
    Ok(mounting)
}

/// Understands `umount PATH...`: the instance and the registrant of each. It is ours where all
/// paths are of io-net's tree and nothing is asked for that only the system knows.
pub(crate) fn umount(args: &[String]) -> Asked<Vec<(u32, &str)>> {
    let paths: Option<Vec<_>> = args
        .iter()
        .filter(|arg| *arg != "-v")
        .map(|arg| registrant_at(arg))
        .collect();
    match paths {
        Some(paths) if !paths.is_empty() => Asked::IoNet(paths),
        _ => Asked::System,
    }
}

/// Becomes the system's command `name`: the first in `PATH` that is not this program.
///
/// # Errors
/// There is none.
pub(crate) fn become_system(name: &str, args: &[String]) -> Result<Infallible, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].map(PathBuf::from);
    let directories = std::env::split_paths(&path).chain(usual);
    let ourselves = std::env::current_exe()
        .and_then(|exe| exe.canonicalize())
        .ok();
    let Some(program) = find(name, directories, ourselves.as_deref()) else {
        let text = format!("there is no other {name} in PATH to do what is not for io-net");
        return Err(Failure::Usage(text));
    };
    let error = Command::new(&program).args(args).exec();
    Err(Failure::Refused(format!(
        "cannot run {}: {error}",
        program.display()
    )))
}

fn find(
    name: &str,
    directories: impl Iterator<Item = PathBuf>,
    ourselves: Option<&Path>,
) -> Option<PathBuf> {
    directories
        .map(|directory| directory.join(name))
        .find(|program| matches!(program.canonicalize(), Ok(real) if Some(&*real) != ourselves))
}

/// Whether `option` speaks to mount(8) or the kernel, not to a module.
fn of_mount(option: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "rw", "ro", "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group",
        "suid", "nosuid", "dev", "nodev", "exec", "noexec", "nofail", "_netdev", "sync", "async",
        "relatime", "noatime",
    ];
    WORDS.contains(&option) || option.starts_with("x-") || option.starts_with("X-")
}

/// Arguments sorted into options and the rest.
#[derive(Default)]
struct Words {
    /// Letter and value; the value is empty where the letter takes none.
    options: Vec<(char, String)>,
    rest: Vec<String>,
}

impl Words {
    /// Splits `args`; the letters of `valued` take a value, glued or spaced.
    fn split(args: &[String], valued: &str) -> Words {
        let mut words = Words::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let letters = match arg.strip_prefix('-') {
                Some(letters) if !letters.is_empty() => letters,
                _ => {
                    words.rest.push(arg.clone());
                    continue;
                }
            };
            for (at, letter) in letters.char_indices() {
                if !valued.contains(letter) {
                    words.options.push((letter, String::new()));
                    continue;
                }
                let glued = &letters[at + letter.len_utf8()..];
                let value = match glued {
                    "" => args.next().cloned().unwrap_or_default(),
                    glued => glued.to_owned(),
                };
                words.options.push((letter, value));
                break;
            }
        }
        words
    }

    fn mounting(self, usage: &str) -> Result<Mounting, Failure> {
        let wrong = |what: String| Err(Failure::Usage(format!("{what}\nusage: {usage}")));
        let mut mounting = Mounting::default();
        let mut options = Vec::new();
        for (letter, value) in self.options {
            match letter {
                'o' => options.push(value),
                'f' => mounting.fake = true,
                'v' => mounting.verbose = true,
                'T' | 't' => mounting.instance = instance_of(&value).filter(|&n| n > 0),
                'n' | 's' | 'N' | 'r' | 'w' => {}
                _ => return wrong(format!("-{letter} means nothing to io-net")),
            }
        }
        let mut rest = self.rest.into_iter();
        let (Some(module), directory, None) = (rest.next(), rest.next(), rest.next()) else {
            return wrong("one module is mounted at a time".into());
        };
        if let Some(directory) = directory.filter(|d| d != "none" && d != "/") {
            options.push(placed(&module, &directory)?);
            mounting.instance = mounting.instance.or(instance_at(&directory));
        }
        mounting.module = module;
        mounting.options = options.join(",");
        Ok(mounting)
    }
}

/// The instance in `/dev/io-net1/en0`.
fn instance_at(directory: &str) -> Option<u32> {
    registrant_at(directory).map(|(instance, _)| instance)
}

/// The option that gives a module the place it is mounted at: `/dev/io-net/en1` makes a driver's
/// interface number 1, and another module's registrant is named after its place.
fn placed(module: &str, directory: &str) -> Result<String, Failure> {
    let name = |path: &str| {
        Path::new(path)
            .file_name()
            .and_then(OsStr::to_str)
            .map(str::to_owned)
    };
    let place = name(directory).unwrap_or_default();
    let file = name(module).unwrap_or_default().replace('_', "-");
    if !file.trim_start_matches("lib").starts_with("devn-") {
        return Ok(format!("as={place}"));
    }
    let stem = place.trim_end_matches(|c: char| c.is_ascii_digit());
    match place[stem.len()..].parse::<u32>() {
        Ok(number) if !stem.is_empty() => Ok(format!("lan={number}")),
        _ => Err(Failure::Usage(format!(
            "{directory}: a driver is mounted at the name of an interface, such as /dev/io-net/en1"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    fn ours(line: &str) -> Mounting {
        match mount(&words(line)) {
            Ok(Asked::IoNet(mounting)) => mounting,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn qnx_forms() {
        let plain = ours("-T io-net devn-pipe.so");
        assert_eq!(
            (plain.module.as_str(), plain.options.as_str()),
            ("devn-pipe.so", "")
        );
        assert_eq!(plain.instance, Some(0));
        let glued = ours("-Tio-net1 -oen0,en1 nfm-bridge.so");
        assert_eq!(
            (glued.instance, glued.options.as_str()),
            (Some(1), "en0,en1")
        );
        let spaced = ours("-v -T io-net -o path=/x -o end=a devn-pipe.so");
        assert_eq!(spaced.options, "path=/x,end=a");
        assert!(spaced.verbose);
        let placed = ours("-t io-net devn-pipe.so /dev/io-net/en1");
        assert_eq!(placed.options, "lan=1");
    }

    #[test]
    fn the_rest_is_the_systems() {
        for line in [
            "",
            "-a",
            "-t tmpfs none /mnt",
            "/dev/sda1 /mnt",
            "-o remount,rw /",
            "-t io-netx a b",
        ] {
            assert_eq!(mount(&words(line)), Ok(Asked::System), "{line}");
        }
        assert!(mount(&words("-T io-net")).is_err());
        assert!(mount(&words("-T io-net a b c")).is_err());
        assert!(mount(&words("-T io-net -z a")).is_err());
    }

    #[test]
    fn the_helper_drops_what_mount_adds() {
        let line =
            "devn-pipe.so /dev/io-net1/en2 -n -o rw,path=/x,nosuid,_netdev,x-systemd.automount";
        let mounting = mount_helper(&words(line)).unwrap();
        assert_eq!(mounting.instance, Some(1));
        assert_eq!(mounting.options, "path=/x,lan=2");
        assert!(mount_helper(&words("devn-pipe.so /mnt/somewhere -o rw")).is_err());
        let filter = mount_helper(&words("nfm-capture.so /dev/io-net/watch -o rw")).unwrap();
        assert_eq!(filter.options, "as=watch");
    }

    #[test]
    fn umount_takes_paths_of_the_tree_only() {
        let both = words("-v /dev/io-net/en0 /dev/io-net2/ip_en");
        assert_eq!(umount(&both), Asked::IoNet(vec![(0, "en0"), (2, "ip_en")]));
        for line in [
            "",
            "-v",
            "/mnt",
            "-l /dev/io-net/en0",
            "/dev/io-net/en0 /mnt",
        ] {
            assert_eq!(umount(&words(line)), Asked::System, "{line}");
        }
    }

    #[test]
    fn the_system_command_is_not_this_one() {
        let root = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|d| root.path().join(d));
        for directory in [&first, &second] {
            std::fs::create_dir(directory).unwrap();
        }
        let ourselves = root.path().join("io-netctl");
        std::fs::write(&ourselves, "").unwrap();
        std::os::unix::fs::symlink(&ourselves, first.join("mount")).unwrap();
        std::fs::write(second.join("mount"), "").unwrap();
        let real = ourselves.canonicalize().unwrap();
        let found = find(
            "mount",
            [first.clone(), second.clone()].into_iter(),
            Some(&real),
        );
        assert_eq!(found, Some(second.join("mount")));
        assert_eq!(find("mount", [first].into_iter(), Some(&real)), None);
    }
}
