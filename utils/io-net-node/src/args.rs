//! The command line of `io-net-node`.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
usage: io-net-node [--net DIR | --no-net] [--export DIR[:ro]]... [--spawn]

Serves this node's names, and what is exported, to other nodes, and shows theirs.

  --net DIR          mount other nodes' files at DIR (/net)
  --no-net           do not
  --export DIR[:ro]  let other nodes use DIR, or with \":ro\" read it, as DIR of this node
  --spawn            let other nodes run programs here, as the users that they are here
  --while-stdin      end when standard input does

SOCK=DIR says which io-net is meant (/run/io-net). It ends with SIGTERM or SIGINT.
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Args {
    /// Where to mount.
    pub net: Option<PathBuf>,
    /// What to export; whether it may be changed.
    pub exports: Vec<(PathBuf, bool)>,
    /// Whether programs may be run.
    pub spawn: bool,
    /// Whether the end of standard input is the end.
    pub while_stdin: bool,
}

/// The arguments; None for `--help`.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Args>, String> {
    let mut parsed = Args {
        net: Some("/net".into()),
        exports: Vec::new(),
        spawn: false,
        while_stdin: false,
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        let arg = text(arg)?;
        let (name, glued) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&arg[..], None),
        };
        let mut value = || match glued
            .clone()
            .map_or_else(|| args.next().map(text), |v| Some(Ok(v)))
        {
            Some(value) => value,
            None => Err(format!("{name} needs a directory")),
        };
        match name {
            "-h" | "--help" => return Ok(None),
            "--net" => parsed.net = Some(value()?.into()),
            "--no-net" => parsed.net = None,
            "--export" => parsed.exports.push(export(&value()?)),
            "--spawn" => parsed.spawn = true,
            "--while-stdin" => parsed.while_stdin = true,
            _ => {
                return Err(format!(
                    "unknown argument {arg}; \"io-net-node --help\" lists them"
                ));
            }
        }
    }
    Ok(Some(parsed))
}

fn export(value: &str) -> (PathBuf, bool) {
    match value.strip_suffix(":ro") {
        Some(dir) => (dir.into(), false),
        None => (value.into(), true),
    }
}

fn text(arg: OsString) -> Result<String, String> {
    arg.into_string()
        .map_err(|arg| format!("{} is no text", arg.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Args>, String> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn lines_and_what_they_mean() {
        let nothing = parsed("").unwrap().unwrap();
        assert_eq!(nothing.net, Some("/net".into()));
        assert!(nothing.exports.is_empty() && !nothing.spawn);
        let line = "--net=/n --export /srv --export=/etc:ro --spawn --while-stdin";
        let all = parsed(line).unwrap().unwrap();
        let exports = vec![("/srv".into(), true), ("/etc".into(), false)];
        let (net, spawn) = (Some("/n".into()), true);
        assert_eq!(
            all,
            Args {
                net,
                exports,
                spawn,
                while_stdin: true
            }
        );
        assert_eq!(parsed("--no-net").unwrap().unwrap().net, None);
        assert_eq!(parsed("--help"), Ok(None));
        for wrong in ["--export", "extra", "--spwan", "--net"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
