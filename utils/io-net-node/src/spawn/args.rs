//! The command line of `on`.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
usage: on [-n NODE] [-f NODE] [-C DIR] [--net DIR] COMMAND [ARGUMENT...]

Runs COMMAND on another node, with this one's input and output.

  -n NODE    run it on NODE (here)
  -f NODE    take the program's file from NODE, through /net
  -C DIR     run it in DIR (on another node /, here the present directory)
  --net DIR  where other nodes' files are mounted on the node that runs it (/net)

NODE may have a quality of service: lab2~preferred:en0. Signals are passed on. Exit status: COMMAND's, 128 + N if signal N ended
it; 125 if on failed, 126 if COMMAND could not be started, 127 if there is none.
";

/// What to run, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Args {
    /// The node to run it on.
    pub node: Option<String>,
    /// The node that has its file.
    pub from: Option<String>,
    /// The directory to run it in.
    pub directory: Option<PathBuf>,
    /// Where nodes are mounted.
    pub net: PathBuf,
    /// The command with its arguments, one at least.
    pub command: Vec<OsString>,
}

/// The arguments; None for `--help`.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Args>, String> {
    let mut parsed = Args {
        node: None,
        from: None,
        directory: None,
        net: "/net".into(),
        command: Vec::new(),
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        let name = arg.to_string_lossy().into_owned();
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value"));
        match &name[..] {
            "-h" | "--help" => return Ok(None),
            "-n" => parsed.node = Some(node(value()?)?),
            "-f" => parsed.from = Some(node(value()?)?),
            "-C" => parsed.directory = Some(value()?.into()),
            "--net" => parsed.net = value()?.into(),
            "--" => {
                parsed.command = args.collect();
                break;
            }
            _ if name.starts_with('-') => {
                return Err(format!("unknown option {name}; \"on --help\" lists them"));
            }
            _ => {
                parsed.command = std::iter::once(arg).chain(args).collect();
                break;
            }
        }
    }
    match parsed.command.is_empty() {
        true => Err("no command; \"on --help\" tells more".into()),
        false => Ok(Some(parsed)),
    }
}

fn node(text: OsString) -> Result<String, String> {
    let text = text.into_string().unwrap_or_default();
    match crate::files::message::is_name(text.as_bytes()) {
        true => Ok(text),
        false => Err("a node has a name without \"/\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Args>, String> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn options_end_at_the_command() {
        let args = parsed("-n lab2 -f lab3~exclusive:en0 -C /tmp ls -n x")
            .unwrap()
            .unwrap();
        assert_eq!(args.node.as_deref(), Some("lab2"));
        assert_eq!(args.from.as_deref(), Some("lab3~exclusive:en0"));
        assert_eq!(args.command, ["ls", "-n", "x"]);
        assert_eq!(parsed("-- -n").unwrap().unwrap().command, ["-n"]);
        assert_eq!(parsed("-h"), Ok(None));
        for wrong in ["", "-n", "-n lab2", "-x ls", "-n a/b ls", "-n .. ls"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
