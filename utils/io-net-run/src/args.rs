//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::Outcome;

pub(crate) const HELP: &str = "\
usage: io-net-run [--sock DIR] [--preload FILE] PROGRAM [ARGUMENT...]

Runs PROGRAM with its IPv4 TCP and UDP sockets served by io-net.

  --sock DIR      the runtime directory of the io-net to use
                  (else $SOCK, else that of instance 0)
  --preload FILE  the shim, if it is not where io-net was installed

PROGRAM must be dynamically linked against the C library of this system, and not setuid.
Programs that it starts are served too. IPv6 sockets are refused with EAFNOSUPPORT.
Exit status: PROGRAM's; 125 if io-net-run failed, 126 if PROGRAM could not be started.
";

/// What to run, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) sock: Option<PathBuf>,
    pub(crate) preload: Option<PathBuf>,
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Help,
    Run(Args),
}

/// Options end at the program: what follows is the program's.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Outcome<Parsed> {
    let (mut sock, mut preload) = (None, None);
    let mut args = args;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        let (name, glued) = match text.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (text.as_str(), None),
        };
        let place = match name {
            "-h" | "--help" => return Ok(Parsed::Help),
            "--sock" => &mut sock,
            "--preload" => &mut preload,
            "--" => match args.next() {
                Some(program) => return Ok(run(sock, preload, program, args)),
                None => break,
            },
            _ if name.starts_with('-') => {
                return Err(format!(
                    "unknown option {name}; \"io-net-run --help\" lists them"
                ));
            }
            _ => return Ok(run(sock, preload, arg, args)),
        };
        let value = glued.or_else(|| args.next());
        *place = Some(value.ok_or(format!("{name} needs a value"))?.into());
    }
    Err("no program given; usage: io-net-run [--sock DIR] PROGRAM [ARGUMENT...]".into())
}

fn run(
    sock: Option<PathBuf>,
    preload: Option<PathBuf>,
    program: OsString,
    rest: impl Iterator<Item = OsString>,
) -> Parsed {
    Parsed::Run(Args {
        sock,
        preload,
        program,
        arguments: rest.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Outcome<Parsed> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_end_at_the_program() {
        for line in ["--sock /r p --sock x", "--sock=/r -- p --sock x"] {
            let Ok(Parsed::Run(args)) = parsed(line) else {
                panic!("{line}")
            };
            assert_eq!(args.sock, Some("/r".into()));
            assert_eq!(args.program, "p");
            assert_eq!(args.arguments, ["--sock", "x"]);
        }
        assert_eq!(parsed("--help p"), Ok(Parsed::Help));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("", "no program"),
            ("--", "no program"),
            ("--sock", "needs a value"),
            ("-x p", "-x"),
        ] {
            assert!(parsed(line).unwrap_err().contains(part), "{line}");
        }
    }
}
