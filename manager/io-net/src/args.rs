//! The command line, in QNX's form: an option's value may be glued to it, and a module's options are
//! the argument that follows its name, unless that begins with a dash.

use crate::config::{Config, ConfigError, Kind, ModuleSpec};
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: io-net [options] [-d driver[ opts]]... [-f filter[ opts]]...
              [-n converter[ opts]]... [-p protocol[ opts]]...

Loads modules in the order given and moves packets between them. Options of a module are
separated by commas: io-net -d tap name=tap0 -p tcpip addr=10.0.0.1/24. The value of a
one-letter option may be glued to it: io-net -dtap -ptcpip.

  -d driver       load a driver (tap stands for devn-tap.so; a path may be given)
  -f filter       load a filter (nfm-)
  -n converter    load a converter (ncm-)
  -p protocol     load a protocol (npm-)
  -a              do not load converters that a protocol needs by itself
  -c FILE         read a configuration file first (TOML)
  -i N            be instance N: another run directory (default 0)
  -t N            workers (default 1)
  -v              say more; may be repeated
  --module-path DIR[:DIR]   search here for modules first; may be repeated
  --run-dir DIR             keep the control socket here
  --pool SMALL:LARGE        packet buffers of 2 KiB and of 68 KiB (default 16384:512)
  --spin-us N               look for work this long before sleeping (default 50)
  --poll                    never sleep
  --cpu LIST                pin workers to these processors (0,2 or 0-3)
  --dev-dir DIR             mount the tree of interfaces here (default /dev/io-net)
  --no-dev                  do not mount it
  --help, --version

Options that io-net takes for every module: worker=N (the worker that runs it), as=NAME (its
name in the graph); for a driver: lan=N (its interface's number); for a filter: above=en0[:en1...]
or below=NAME, and pos=N (its place among others: the lower, the nearer to the wire).

Environment: IO_NET_MODULE_PATH=DIR[:DIR], searched after --module-path.
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Run with this configuration.
    Run(Box<Config>),
    /// Print [`USAGE`].
    Help,
    /// Print the version.
    Version,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// What is wrong with which argument.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Request, ConfigError> {
    let mut args = Arguments {
        rest: args.into_iter().collect::<Vec<_>>().into_iter().peekable(),
    };
    let mut line = CommandLine::default();
    while let Some(arg) = args.rest.next() {
        if let Some(long) = arg.strip_prefix("--") {
            match long {
                "help" => return Ok(Request::Help),
                "version" => return Ok(Request::Version),
                _ => line.long(long, &mut args)?,
            }
        } else if let Some(short) = arg.strip_prefix('-').filter(|s| !s.is_empty()) {
            line.short(short, &mut args)?;
        } else {
            return usage(format!("{arg}: an option was expected here"));
        }
    }
    let config = line.onto_file()?;
    config.check()?;
    Ok(Request::Run(Box::new(config)))
}

fn usage<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError(format!(
        "{text}\nsee io-net --help for what can be said"
    )))
}

struct Arguments {
    rest: std::iter::Peekable<std::vec::IntoIter<String>>,
}

impl Arguments {
    /// The value of `option`: what is glued to it, or the next argument.
    fn value(&mut self, option: &str, glued: &str) -> Result<String, ConfigError> {
        if !glued.is_empty() {
            return Ok(glued.into());
        }
        match self.rest.next_if(|next| !next.starts_with('-')) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => usage(format!("{option} needs a value")),
        }
    }
}

/// What the arguments said; `None` leaves it to the file.
#[derive(Default)]
struct CommandLine {
    file: Option<PathBuf>,
    modules: Vec<ModuleSpec>,
    instance: Option<u32>,
    threads: Option<usize>,
    no_convert: bool,
    verbose: u8,
    module_path: Vec<PathBuf>,
    run_dir: Option<PathBuf>,
    pool: Option<(u32, u32)>,
    spin_us: Option<u32>,
    poll: bool,
    cpus: Option<Vec<usize>>,
    dev_dir: Option<PathBuf>,
    no_dev: bool,
}

impl CommandLine {
    /// One-letter options: letters without a value may stand together.
    fn short(&mut self, letters: &str, args: &mut Arguments) -> Result<(), ConfigError> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let option = format!("-{letter}");
            let kind = match letter {
                'a' => {
                    self.no_convert = true;
                    continue;
                }
                'v' => {
                    self.verbose = self.verbose.saturating_add(1);
                    continue;
                }
                'd' => Some(Kind::Driver),
                'f' => Some(Kind::Filter),
                'n' => Some(Kind::Converter),
                'p' => Some(Kind::Protocol),
                'c' | 'i' | 't' => None,
                _ => return usage(format!("{option}: there is no such option")),
            };
            let value = args.value(&option, rest.as_str())?;
            match (kind, letter) {
                (Some(_), _) => self.modules.push(ModuleSpec {
                    kind,
                    name: value,
                    options: args
                        .rest
                        .next_if(|next| !next.starts_with('-'))
                        .unwrap_or_default(),
                }),
                (None, 'c') => self.file = Some(value.into()),
                (None, 'i') => self.instance = Some(number(&option, &value)?),
                (None, _) => self.threads = Some(number(&option, &value)?),
            }
            break;
        }
        Ok(())
    }

    fn long(&mut self, text: &str, args: &mut Arguments) -> Result<(), ConfigError> {
        let (name, glued) = text.split_once('=').unwrap_or((text, ""));
        let option = format!("--{name}");
        match name {
            "poll" => self.poll = true,
            "no-dev" => self.no_dev = true,
            "module-path" => {
                let value = args.value(&option, glued)?;
                self.module_path.extend(std::env::split_paths(&value));
            }
            "run-dir" => self.run_dir = Some(args.value(&option, glued)?.into()),
            "dev-dir" => self.dev_dir = Some(args.value(&option, glued)?.into()),
            "pool" => self.pool = Some(pool(&args.value(&option, glued)?)?),
            "spin-us" => self.spin_us = Some(number(&option, &args.value(&option, glued)?)?),
            "cpu" => self.cpus = Some(cpu_list(&args.value(&option, glued)?)?),
            _ => return usage(format!("{option}: there is no such option")),
        }
        Ok(())
    }

    /// Lays what was said over the file's, or the usual, configuration.
    fn onto_file(self) -> Result<Config, ConfigError> {
        let mut config = match &self.file {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        config.modules.extend(self.modules);
        config.instance = self.instance.unwrap_or(config.instance);
        config.threads = self.threads.unwrap_or(config.threads);
        config.auto_convert &= !self.no_convert;
        config.verbose = config.verbose.saturating_add(self.verbose);
        config.module_path = [self.module_path, config.module_path].concat();
        config.run_dir = self.run_dir.or(config.run_dir);
        if let Some((small, large)) = self.pool {
            (config.pool.small, config.pool.large) = (small, large);
        }
        config.spin_us = self.spin_us.unwrap_or(config.spin_us);
        config.poll |= self.poll;
        config.cpus = self.cpus.unwrap_or(config.cpus);
        config.dev_dir = self.dev_dir.or(config.dev_dir);
        config.dev &= !self.no_dev;
        Ok(config)
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, ConfigError> {
    text.parse()
        .or_else(|_| usage(format!("{option} {text}: a number was expected")))
}

/// `SMALL:LARGE`.
fn pool(text: &str) -> Result<(u32, u32), ConfigError> {
    let Some((small, large)) = text.split_once(':') else {
        return usage(format!(
            "--pool {text}: two numbers were expected, such as 16384:512"
        ));
    };
    Ok((number("--pool", small)?, number("--pool", large)?))
}

/// `0,2` or `0-3`, or a mixture.
fn cpu_list(text: &str) -> Result<Vec<usize>, ConfigError> {
    const CPU_MAX: usize = 4095;
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (number("--cpu", first)?, number("--cpu", last)?);
        if first > last || last > CPU_MAX {
            return usage(format!("--cpu {part}: there is no such range"));
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Config {
        match parse(line.split_whitespace().map(String::from)).unwrap() {
            Request::Run(config) => *config,
            other => panic!("{other:?}"),
        }
    }

    fn module(kind: Kind, name: &str, options: &str) -> ModuleSpec {
        ModuleSpec {
            kind: Some(kind),
            name: name.into(),
            options: options.into(),
        }
    }

    #[test]
    fn glued_and_spaced_are_the_same() {
        let spaced =
            run("-d tap name=tap0,up -f bridge -n ip-en -p tcpip addr=10.0.0.1/24 -t 2 -i 1");
        let glued = run("-dtap name=tap0,up -fbridge -nip-en -ptcpip addr=10.0.0.1/24 -t2 -i1");
        assert_eq!(spaced, glued);
        assert_eq!(
            spaced.modules,
            [
                module(Kind::Driver, "tap", "name=tap0,up"),
                module(Kind::Filter, "bridge", ""),
                module(Kind::Converter, "ip-en", ""),
                module(Kind::Protocol, "tcpip", "addr=10.0.0.1/24"),
            ]
        );
        assert_eq!((spaced.threads, spaced.instance), (2, 1));
    }

    #[test]
    fn flags_may_stand_together() {
        let config = run("-avvdtap -v");
        assert_eq!(config.verbose, 3);
        assert!(!config.auto_convert);
        assert_eq!(config.modules, [module(Kind::Driver, "tap", "")]);
    }

    #[test]
    fn long_options() {
        let config = run(
            "--module-path /a:/b --module-path=/c --run-dir /r --pool 100:10 --spin-us=7 --poll \
             --cpu 0,2-4 --dev-dir /d --no-dev",
        );
        assert_eq!(
            config.module_path,
            ["/a", "/b", "/c"].map(PathBuf::from).to_vec()
        );
        assert_eq!(config.run_dir, Some("/r".into()));
        assert_eq!((config.pool.small, config.pool.large), (100, 10));
        assert_eq!((config.spin_us, config.poll), (7, true));
        assert_eq!(config.cpus, [0, 2, 3, 4]);
        assert_eq!((config.dev_dir, config.dev), (Some("/d".into()), false));
    }

    #[test]
    fn the_command_line_lies_over_the_file() {
        let path = std::env::temp_dir().join(format!("io-net-args-{}.toml", std::process::id()));
        std::fs::write(
            &path,
            "threads = 2\ninstance = 3\nmodule_path = [\"/file\"]\n[[module]]\ndriver = \"tap\"\n",
        )
        .unwrap();
        let config = run(&format!(
            "-c {} -t 4 --module-path /line -p tcpip",
            path.display()
        ));
        std::fs::remove_file(&path).unwrap();
        assert_eq!((config.threads, config.instance), (4, 3));
        assert_eq!(config.module_path, ["/line", "/file"].map(PathBuf::from));
        let names: Vec<_> = config.modules.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["tap", "tcpip"]);
    }

    #[test]
    fn help_and_version() {
        let ask = |arg: &str| parse([arg.to_string()]).unwrap();
        assert_eq!(ask("--help"), Request::Help);
        assert_eq!(ask("--version"), Request::Version);
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for line in [
            "tap",
            "-d",
            "-d -p tcpip",
            "-x",
            "-t two",
            "-t 0",
            "-i -1",
            "--pool 12",
            "--pool 1:x",
            "--cpu 3-1",
            "--cpu 0-99999999",
            "--spin-us",
            "--nonsense",
            "-",
            "-c /does/not/exist",
        ] {
            let result = parse(line.split_whitespace().map(String::from));
            assert!(result.is_err(), "{line}");
        }
    }
}
