//! What an io-net is to be: the one form that the command line and the configuration file lead to.
//!
//! The file is TOML and can say all that the command line can; an unknown key is an error that
//! names its line.

use io_net_pktbuf::PoolConfig;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// The most workers that one io-net may have.
pub const THREADS_MAX: usize = 64;

/// What a module is for; the start of its file's name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `devn-`: one network adaptor.
    Driver,
    /// `nfm-`: sees packets on their way.
    Filter,
    /// `ncm-`: joins two packet types.
    Converter,
    /// `npm-`: a protocol stack.
    Protocol,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Driver, Kind::Filter, Kind::Converter, Kind::Protocol];

    /// How names of modules of this kind begin.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Driver => "devn-",
            Kind::Filter => "nfm-",
            Kind::Converter => "ncm-",
            Kind::Protocol => "npm-",
        }
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Driver => "driver",
            Kind::Filter => "filter",
            Kind::Converter => "converter",
            Kind::Protocol => "protocol",
        }
    }

    /// The kind that `name` (`devn-tap`, `libdevn_tap.so`) begins with.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Kind> {
        let name = name.strip_prefix("lib").unwrap_or(name).replace('_', "-");
        Kind::ALL
            .into_iter()
            .find(|kind| name.starts_with(kind.prefix()))
    }
}

/// A module to load, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleSpec {
    /// What it must be; `None` where the name has to tell.
    pub kind: Option<Kind>,
    /// Short name (`tap`), full name (`devn-tap.so`) or path.
    pub name: String,
    /// Options, separated by commas.
    pub options: String,
}

/// All that the operator can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Modules in the order of their start.
    pub modules: Vec<ModuleSpec>,
    /// Which io-net of this machine it is: 0 is the one that programs use unless told otherwise.
    pub instance: u32,
    /// Workers.
    pub threads: usize,
    /// Load the converter that a protocol lacks.
    pub auto_convert: bool,
    /// 0: warnings and what matters once; 1 and more: debugging.
    pub verbose: u8,
    /// Directories to search for modules, before the built-in ones.
    pub module_path: Vec<PathBuf>,
    /// Where the sockets are kept, if not in the usual place.
    pub run_dir: Option<PathBuf>,
    /// Packet memory.
    pub pool: PoolConfig,
    /// Microseconds that a worker looks for work before it sleeps.
    pub spin_us: u32,
    /// Never sleep.
    pub poll: bool,
    /// Processors for the workers in turn; empty leaves them to the kernel.
    pub cpus: Vec<usize>,
    /// Where the file tree of the interfaces is mounted, if not in the usual place.
    pub dev_dir: Option<PathBuf>,
    /// Whether to mount that tree.
    pub dev: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            modules: Vec::new(),
            instance: 0,
            threads: 1,
            auto_convert: true,
            verbose: 0,
            module_path: Vec::new(),
            run_dir: None,
            pool: PoolConfig::default(),
            spin_us: 50,
            poll: false,
            cpus: Vec::new(),
            dev_dir: None,
            dev: true,
        }
    }
}

/// Why a configuration cannot be used: one or more lines for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a configuration file over the defaults.
    ///
    /// # Errors
    /// A file that cannot be read, is no TOML, or says something unknown or impossible.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError(format!("cannot read {}: {e}", path.display())))?;
        Config::parse(&text).map_err(|e| ConfigError(format!("{}: {e}", path.display())))
    }

    /// Takes a configuration from TOML text.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let file: File = toml::from_str(text).map_err(|e| ConfigError(e.to_string()))?;
        let config = file.into_config()?;
        config.check()?;
        Ok(config)
    }

    /// Checks the numbers against their limits.
    ///
    /// # Errors
    /// Names the first that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=THREADS_MAX).contains(&self.threads) {
            return Err(ConfigError(format!(
                "{} workers: there can be 1 to {THREADS_MAX}",
                self.threads
            )));
        }
        Ok(())
    }
}

/// The file's shape.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    instance: Option<u32>,
    threads: Option<usize>,
    auto_convert: Option<bool>,
    verbose: Option<u8>,
    #[serde(default)]
    module_path: Vec<PathBuf>,
    run_dir: Option<PathBuf>,
    pool: Option<FilePool>,
    spin_us: Option<u32>,
    poll: Option<bool>,
    #[serde(default)]
    cpu: Vec<usize>,
    dev_dir: Option<PathBuf>,
    dev: Option<bool>,
    #[serde(default)]
    module: Vec<FileModule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePool {
    small: Option<u32>,
    large: Option<u32>,
    huge: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileModule {
    driver: Option<String>,
    filter: Option<String>,
    converter: Option<String>,
    protocol: Option<String>,
    options: Option<FileOptions>,
}

/// `options = "a=1,b"` or `options = { a = 1, b = true }`.
#[derive(Deserialize)]
#[serde(untagged)]
enum FileOptions {
    Text(String),
    Table(toml::Table),
}

impl File {
    fn into_config(self) -> Result<Config, ConfigError> {
        let usual = Config::default();
        let pool = self.pool.unwrap_or(FilePool {
            small: None,
            large: None,
            huge: None,
        });
        Ok(Config {
            modules: self
                .module
                .into_iter()
                .map(FileModule::into_spec)
                .collect::<Result<_, _>>()?,
            instance: self.instance.unwrap_or(usual.instance),
            threads: self.threads.unwrap_or(usual.threads),
            auto_convert: self.auto_convert.unwrap_or(usual.auto_convert),
            verbose: self.verbose.unwrap_or(usual.verbose),
            module_path: self.module_path,
            run_dir: self.run_dir,
            pool: PoolConfig {
                small: pool.small.unwrap_or(usual.pool.small),
                large: pool.large.unwrap_or(usual.pool.large),
                huge: pool.huge.unwrap_or(usual.pool.huge),
            },
            spin_us: self.spin_us.unwrap_or(usual.spin_us),
            poll: self.poll.unwrap_or(usual.poll),
            cpus: self.cpu,
            dev_dir: self.dev_dir,
            dev: self.dev.unwrap_or(usual.dev),
        })
    }
}

impl FileModule {
    fn into_spec(self) -> Result<ModuleSpec, ConfigError> {
        let named = [
            (Kind::Driver, self.driver),
            (Kind::Filter, self.filter),
            (Kind::Converter, self.converter),
            (Kind::Protocol, self.protocol),
        ];
        let mut named = named
            .into_iter()
            .filter_map(|(kind, name)| Some((kind, name?)));
        let (Some((kind, name)), None) = (named.next(), named.next()) else {
            return Err(ConfigError(
                "each [[module]] has one of driver, filter, converter or protocol".into(),
            ));
        };
        let options = match self.options {
            None => String::new(),
            Some(FileOptions::Text(text)) => text,
            Some(FileOptions::Table(table)) => options_text(&name, &table)?,
        };
        Ok(ModuleSpec {
            kind: Some(kind),
            name,
            options,
        })
    }
}

/// A table of options as the text that the command line would have.
fn options_text(module: &str, table: &toml::Table) -> Result<String, ConfigError> {
    let mut words = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Array(values) => {
                for value in values {
                    words.extend(option_word(module, key, value)?);
                }
            }
            value => words.extend(option_word(module, key, value)?),
        }
    }
    Ok(words.join(","))
}

fn option_word(
    module: &str,
    key: &str,
    value: &toml::Value,
) -> Result<Option<String>, ConfigError> {
    match value {
        toml::Value::Boolean(true) => Ok(Some(key.into())),
        toml::Value::Boolean(false) => Ok(None),
        toml::Value::Integer(n) => Ok(Some(format!("{key}={n}"))),
        toml::Value::String(text) if !text.contains(',') => Ok(Some(format!("{key}={text}"))),
        _ => Err(ConfigError(format!(
            "option {key} of {module}: a value is a number, true, false, or text without a comma"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_all() {
        let config = Config::parse(
            r#"
            instance = 2
            threads = 2
            auto_convert = false
            verbose = 1
            module_path = ["/a", "/b"]
            run_dir = "/tmp/x"
            pool = { small = 1000, large = 10, huge = false }
            spin_us = 5
            poll = true
            cpu = [1, 0]
            dev_dir = "/tmp/dev"
            dev = false
            [[module]]
            driver = "tap"
            options = "name=tap0"
            [[module]]
            protocol = "tcpip"
            options = { addr = ["10.0.0.1/24", "10.0.1.1/24"], forward = true, quiet = false, mtu = 9000 }
            "#,
        )
        .unwrap();
        assert_eq!(config.modules.len(), 2);
        assert_eq!(config.modules[0].kind, Some(Kind::Driver));
        assert_eq!(config.modules[0].options, "name=tap0");
        assert_eq!(
            config.modules[1].options,
            "addr=10.0.0.1/24,addr=10.0.1.1/24,forward,mtu=9000"
        );
        assert_eq!((config.instance, config.threads), (2, 2));
        assert_eq!((config.pool.small, config.pool.large), (1000, 10));
        assert_eq!(config.cpus, [1, 0]);
        assert!(config.poll && !config.dev && !config.auto_convert && !config.pool.huge);
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let e = Config::parse("threads = 1\nthraeds = 2\n").unwrap_err();
        assert!(e.0.contains("line 2") && e.0.contains("thraeds"), "{e}");
        let e = Config::parse("[[module]]\ndriver = \"tap\"\nopts = \"\"\n").unwrap_err();
        assert!(e.0.contains("line 3") && e.0.contains("opts"), "{e}");
    }

    #[test]
    fn impossible_values_are_errors() {
        for text in [
            "threads = 0",
            "threads = 65",
            "[[module]]\noptions = \"x\"",
            "[[module]]\ndriver = \"a\"\nfilter = \"b\"",
            "[[module]]\ndriver = \"a\"\noptions = { x = \"1,2\" }",
            "instance = -1",
            "not toml",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_tell_the_kind() {
        for (name, kind) in [
            ("devn-tap.so", Some(Kind::Driver)),
            ("libnfm_bridge.so", Some(Kind::Filter)),
            ("npm-tcpip", Some(Kind::Protocol)),
            ("ncm-ip-en", Some(Kind::Converter)),
            ("tap", None),
        ] {
            assert_eq!(Kind::of_name(name), kind, "{name}");
        }
    }
}
