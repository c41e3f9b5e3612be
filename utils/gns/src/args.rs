//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;

/// What `--help` prints.
pub const HELP: &str = "\
usage: gns [-v] -s [server...]
       gns [-v] [-c] server...
       gns [-v] -e address:port[,address:port]...

Global name service: programs find the global names of all nodes (name_open with
NAME_FLAG_ATTACH_GLOBAL) without asking every node.

  -s  keep the names that other nodes tell; further servers are told this node's, and asked
  -c  tell these servers' gns this node's names, and ask them
  -e  keep the names in etcd, at one of these servers
  -v  print more of what happens

Servers are nodes, as Qnet names them. SOCK=DIR says which io-net is meant (/run/io-net). It ends
with SIGTERM or SIGINT.
";

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// Whether to keep other nodes' names.
    pub serve: bool,
    /// Nodes that keep this one's.
    pub servers: Vec<String>,
    /// A cluster of etcd that does.
    pub etcd: Vec<SocketAddr>,
    /// Whether to print more.
    pub verbose: bool,
}

/// The arguments; None for `--help`.
///
/// # Errors
/// What is wrong with them.
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<Args>, String> {
    let mut args = Args::default();
    let mut client = false;
    let mut words = words;
    while let Some(word) = words.next() {
        let word = text(word)?;
        match &word[..] {
            "-h" | "--help" => return Ok(None),
            "-s" => args.serve = true,
            "-c" => client = true,
            "-v" => args.verbose = true,
            "-e" => {
                let list = words
                    .next()
                    .ok_or("-e needs the address and port of etcd")?;
                args.etcd.extend(addresses(&text(list)?)?);
            }
            option if option.starts_with('-') => {
                return Err(format!(
                    "unknown option {option}; \"gns --help\" lists them"
                ));
            }
            // QNX's clients have them with commas too.
            servers => {
                let named = servers.split(',').filter(|name| !name.is_empty());
                args.servers.extend(named.map(str::to_owned));
            }
        }
    }
    let of_etcd = !args.etcd.is_empty();
    let why = match () {
        () if args.serve && client => "a server (-s) is a client of the servers named after it",
        () if of_etcd && (args.serve || client || !args.servers.is_empty()) => {
            "with etcd (-e) there are no servers among the nodes"
        }
        () if !of_etcd && !args.serve && args.servers.is_empty() => {
            "name a server, be one (-s), or use etcd (-e)"
        }
        () => return Ok(Some(args)),
    };
    Err(why.to_owned())
}

fn addresses(list: &str) -> Result<Vec<SocketAddr>, String> {
    let all = list.split(',').map(|one| {
        let wrong = |_| format!("-e {one}: give an address and a port, as 10.0.0.5:2379");
        one.parse().map_err(wrong)
    });
    all.collect()
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string()
        .map_err(|word| format!("{} is no text", word.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Args>, String> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn lines_and_what_they_mean() {
        let server = parsed("-s lab2 lab3").unwrap().unwrap();
        assert!(server.serve && server.servers == ["lab2", "lab3"]);
        let client = Args {
            servers: vec!["lab1".into(), "lab2".into()],
            verbose: true,
            ..Args::default()
        };
        for line in ["-v lab1 lab2", "-c lab1,lab2 -v"] {
            assert_eq!(parsed(line).unwrap().as_ref(), Some(&client), "{line}");
        }
        let etcd = parsed("-e 10.0.0.5:2379,[::1]:2379").unwrap().unwrap();
        assert_eq!(etcd.etcd.len(), 2);
        assert!(parsed("-x --help").is_err());
        assert_eq!(parsed("--help"), Ok(None));
        for wrong in [
            "",
            "-c",
            "-s -c lab1",
            "-e",
            "-e x",
            "-e 10.0.0.5:1 -s",
            "-v",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
