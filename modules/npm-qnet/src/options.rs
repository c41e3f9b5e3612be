//! The module's options. Names are QNX's where QNX has them; a tick is 200 ms, as there.

use crate::services::Wanted;
use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options};
use io_net_qnet::secure::{Protection, Security, TrustPolicy};
use io_net_qnet::transport::{self, Node};
use io_net_qnet::{Config, MapTo, NOBODY, UserMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(200);
/// Bytes of a node name or a domain, at most.
const NAME_MAX: usize = 100;

/// All that an instance can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The node's name, without dots.
    pub(crate) host: String,
    /// The domain that the name is in; may be empty.
    pub(crate) domain: String,
    /// Where programs find Qnet; `None` for the runtime directory.
    pub(crate) prefix: Option<PathBuf>,
    /// Files and programs, of this node for others and of others for this one.
    pub(crate) services: Wanted,
    /// Interfaces to speak on; all where empty.
    pub(crate) bind: Vec<Bind>,
    /// How names are found, in this order.
    pub(crate) resolve: Vec<Resolver>,
    /// What is done to frames of nodes that have proved who they are; `None`: nodes prove nothing.
    pub(crate) protection: Option<Protection>,
    pub(crate) trust: TrustPolicy,
    /// The node's secret key.
    pub(crate) key: PathBuf,
    /// The keys of others.
    pub(crate) known: PathBuf,
    /// Who remote users are here.
    pub(crate) users: UserMap,
    /// Whether frames carry a checksum of their own, where they are not enciphered.
    pub(crate) crc: bool,
    pub(crate) times: Times,
}

/// Where Qnet speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    /// On an Ethernet interface (`en0`).
    Interface(String),
    /// Over IP, protocol 106, on every interface that has addresses.
    Ip,
}

/// Something that finds nodes by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    /// Asking the LAN.
    Ndp,
    /// The system's names.
    Dns,
    /// Lines of a file: name, address.
    File(PathBuf),
    /// An etcd server.
    Etcd(SocketAddr),
}

/// Times and counts; `None` leaves it to the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Between announcements of the node; 0 is silence.
    pub(crate) announce: Option<Duration>,
    /// For which an attempt to reach a node waits, and how many times it does so again.
    pub(crate) connect: Option<Duration>,
    pub(crate) again: u32,
    /// Idle time after which a heartbeat is sent.
    pub(crate) idle: Option<Duration>,
    /// Between looks at links that are down.
    pub(crate) periodic: Option<Duration>,
    /// Unanswered transmissions after which a link is down.
    pub(crate) retries: Option<u32>,
    /// Times that a LAN is asked once more.
    pub(crate) resolve_retries: Option<u32>,
}

impl Settings {
    /// Reads the options. `hostname` is the system's name, `state_dir` where keys are kept unless
    /// the options say otherwise.
    ///
    /// # Errors
    /// EINVAL, naming the value that makes no sense.
    pub(crate) fn parse(
        options: Options,
        hostname: &str,
        state_dir: &Path,
    ) -> Result<Self, Failure> {
        let (system_host, system_domain) = hostname.split_once('.').unwrap_or((hostname, ""));
        let host = named(options, "host", system_host, is_node_name)?;
        let domain = named(options, "domain", system_domain, is_domain)?;
        let own_file = |name: &str, end: &str| -> Result<PathBuf, Failure> {
            let given = each(options, name, PATH, parse_path)?.pop();
            Ok(given.unwrap_or_else(|| state_dir.join(format!("{host}.{end}"))))
        };
        let settings = Settings {
            prefix: each(options, "prefix", PATH, parse_path)?.pop(),
            services: Wanted {
                net: each(options, "net", PATH, parse_path)?.pop(),
                exports: each(options, "export", EXPORT, parse_export)?,
                spawn: options.flag("spawn"),
            },
            bind: each(options, "bind", "enN or ip", parse_bind)?,
            resolve: resolvers(options)?,
            protection: one_of(
                options,
                "security",
                &[
                    ("authenticated", Some(Protection::Authenticated)),
                    ("encrypted", Some(Protection::Encrypted)),
                    ("none", None),
                ],
            )?,
            trust: one_of(
                options,
                "trust",
                &[
                    ("first", TrustPolicy::FirstUse),
                    ("listed", TrustPolicy::AllowList),
                ],
            )?,
            key: own_file("key", "key")?,
            known: own_file("known", "known")?,
            users: users(options)?,
            crc: one_of(options, "do_crc", &[("1", true), ("0", false)])?,
            times: Times::parse(options)?,
            host,
            domain,
        };
        settings.check_resolvers()?;
        Ok(settings)
    }

    /// The LAN resolver finds link-layer addresses, all others IP addresses.
    fn check_resolvers(&self) -> Result<(), Failure> {
        let over_ip = self.bind.contains(&Bind::Ip);
        let by_name = self.resolve.iter().any(|r| *r != Resolver::Ndp);
        if over_ip && !by_name {
            let text = "bind=ip finds no nodes by itself: add resolve=dns or resolve=file:PATH";
            return Err(Failure::new(EINVAL, text));
        }
        if by_name && !over_ip {
            let text = "resolve= other than ndp gives IP addresses: add bind=ip";
            return Err(Failure::new(EINVAL, text));
        }
        Ok(())
    }
}

impl Settings {
    /// The protocol's configuration, with a seed that no start has had before.
    pub(crate) fn config(&self, security: Security, seed: [u8; 32]) -> Config {
        let usual = Config::default();
        let transport = transport::Config {
            node: Node {
                name: self.host.clone(),
                domain: self.domain.clone(),
            },
            seed,
            security,
            crc: self.crc,
            connect_timeout: (1 + self.times.again)
                * (self.times.connect).unwrap_or(usual.transport.connect_timeout),
            heartbeat: self.times.idle.unwrap_or(usual.transport.heartbeat),
            maintenance: self.times.periodic.unwrap_or(usual.transport.maintenance),
            path_probes: self.times.retries.unwrap_or(usual.transport.path_probes),
            ..usual.transport
        };
        Config {
            transport,
            users: self.users,
            resolvers: self.resolve.iter().map(Resolver::kind).collect(),
            announce: self.times.announce.unwrap_or(usual.announce),
            resolve_retries: self.times.resolve_retries.unwrap_or(usual.resolve_retries),
            ..usual
        }
    }
}

impl Resolver {
    /// Which kind of resolver it is.
    pub(crate) fn kind(&self) -> io_net_qnet::Resolver {
        match self {
            Resolver::Ndp => io_net_qnet::Resolver::Ndp,
            Resolver::Dns => io_net_qnet::Resolver::Dns,
            Resolver::File(_) => io_net_qnet::Resolver::File,
            Resolver::Etcd(_) => io_net_qnet::Resolver::Etcd,
        }
    }
}

impl Times {
    fn parse(options: Options) -> Result<Self, Failure> {
        let ticks = |name: &str, least: u32| -> Result<Option<Duration>, Failure> {
            let ticks = number(options, name, least, 1_000_000)?;
            Ok(ticks.map(|ticks| TICK * ticks))
        };
        Ok(Times {
            announce: ticks("auto_add", 0)?,
            connect: ticks("conn_est_timeout", 1)?,
            again: number(options, "conn_est_retries", 0, 1000)?.unwrap_or(0),
            idle: ticks("conn_up_idle", 1)?,
            periodic: ticks("periodic_ticks", 1)?,
            retries: number(options, "tx_retries", 1, 1000)?,
            resolve_retries: number(options, "res_retries", 0, 1000)?,
        })
    }
}

/// The number that option `name` gives, within bounds.
fn number(options: Options, name: &str, least: u32, most: u32) -> Result<Option<u32>, Failure> {
    let Some(value) = options.number::<u32>(name)? else {
        return Ok(None);
    };
    if (least..=most).contains(&value) {
        return Ok(Some(value));
    }
    let wanted = format!("a number from {least} to {most}");
    Err(malformed(name, &value.to_string(), &wanted))
}

/// What `export=` takes.
const EXPORT: &str = "a path from the root, with or without :ro";
/// What `prefix=`, `net=`, `key=` and `known=` take.
const PATH: &str = "a path from the root";
/// What `maproot=` and `mapany=` take.
const MAPPED: &str = "a user's number, with or without :GROUP, or same";

fn malformed(name: &str, value: &str, wanted: &str) -> Failure {
    Failure::new(EINVAL, format!("option {name}={value}: give {wanted}"))
}

/// Every value of option `name`, read by `parse`.
fn each<T>(
    options: Options,
    name: &str,
    wanted: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Failure> {
    options
        .all(name)
        .map(|text| parse(text).ok_or_else(|| malformed(name, text, wanted)))
        .collect()
}

/// The choice that option `name` names; the first where it is not given.
fn one_of<T: Copy>(options: Options, name: &str, choices: &[(&str, T)]) -> Result<T, Failure> {
    let Some(value) = options.text(name) else {
        return Ok(choices[0].1);
    };
    let found = choices.iter().find(|(word, _)| *word == value);
    found.map(|&(_, choice)| choice).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        malformed(name, value, &words.join(" or "))
    })
}

fn named(
    options: Options,
    name: &str,
    usual: &str,
    fits: fn(&str) -> bool,
) -> Result<String, Failure> {
    let value = options.text(name).unwrap_or(usual);
    if fits(value) {
        return Ok(value.to_owned());
    }
    let text = format!(
        "{value:?} is no {name} name: up to {NAME_MAX} letters, digits, - and _ (give {name}=NAME)"
    );
    Err(Failure::new(EINVAL, text))
}

fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(fits)
}

fn is_node_name(text: &str) -> bool {
    is_word(text)
}

fn is_domain(text: &str) -> bool {
    text.is_empty() || text.len() <= NAME_MAX && text.split('.').all(is_word)
}

/// io-net's own directory is none that anybody has in mind.
fn parse_path(text: &str) -> Option<PathBuf> {
    (text.len() > 1 && text.starts_with('/')).then(|| PathBuf::from(text))
}

/// The root itself may be exported.
fn parse_export(text: &str) -> Option<String> {
    text.starts_with('/').then(|| text.to_owned())
}

fn parse_bind(text: &str) -> Option<Bind> {
    match text {
        "ip" => Some(Bind::Ip),
        name => is_word(name).then(|| Bind::Interface(name.to_owned())),
    }
}

/// Remote users are nobody unless one of the options says otherwise.
fn users(options: Options) -> Result<UserMap, Failure> {
    let usual = UserMap::default();
    let last = |name| Ok(each(options, name, MAPPED, parse_mapped)?.pop());
    Ok(UserMap {
        any: last("mapany")?.unwrap_or(usual.any),
        root: last("maproot")?.unwrap_or(usual.root),
    })
}

fn parse_mapped(text: &str) -> Option<MapTo> {
    if text == "same" {
        return Some(MapTo::Same);
    }
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, gid.parse().ok()?),
        None => (text, NOBODY),
    };
    let uid = uid.parse().ok()?;
    Some(MapTo::User { uid, gid })
}

fn resolvers(options: Options) -> Result<Vec<Resolver>, Failure> {
    let wanted = "ndp, dns, file:PATH or etcd:ADDRESS:PORT";
    let found = each(options, "resolve", wanted, parse_resolver)?;
    Ok(match found[..] {
        [] => vec![Resolver::Ndp],
        _ => found,
    })
}

fn parse_resolver(text: &str) -> Option<Resolver> {
    match text.split_once(':').unwrap_or((text, "")) {
        ("ndp", "") => Some(Resolver::Ndp),
        ("dns", "") => Some(Resolver::Dns),
        ("file", path) if path.starts_with('/') => Some(Resolver::File(path.into())),
        ("etcd", server) => server.parse().ok().map(Resolver::Etcd),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Failure> {
        Settings::parse(Options::new(text), "lab1.example.net", Path::new("/state"))
    }

    #[test]
    fn the_usual() {
        let settings = parse("").unwrap();
        assert_eq!(settings.host, "lab1");
        assert_eq!(settings.domain, "example.net");
        assert_eq!(settings.key, Path::new("/state/lab1.key"));
        assert_eq!(settings.known, Path::new("/state/lab1.known"));
        assert_eq!(settings.resolve, [Resolver::Ndp]);
        assert_eq!(settings.protection, Some(Protection::Authenticated));
        assert!(settings.bind.is_empty());
        assert_eq!(settings.trust, TrustPolicy::FirstUse);
        assert_eq!(settings.users, UserMap::default());
        assert!(!settings.services.any());
    }

    #[test]
    fn options_are_read() {
        let settings = parse(
            "host=lab2,domain=,prefix=/p,bind=en0,bind=ip,resolve=file:/etc/nodes,resolve=etcd:10.0.0.1:2379,\
             security=none,trust=listed,key=/k,known=/n,mapany=1000:100,maproot=same,auto_add=150,\
             conn_est_timeout=2,tx_retries=9,do_crc=0,net=/net,export=/srv,export=/etc:ro,spawn",
        )
        .unwrap();
        assert_eq!(settings.services.exports, ["/srv", "/etc:ro"]);
        assert!(settings.services.net.is_some() && settings.services.spawn);
        assert_eq!((&*settings.host, &*settings.domain), ("lab2", ""));
        assert_eq!(settings.prefix, Some(PathBuf::from("/p")));
        let bind = [Bind::Interface("en0".into()), Bind::Ip];
        assert_eq!(settings.bind, bind);
        assert_eq!(settings.resolve[0], Resolver::File("/etc/nodes".into()));
        assert!(matches!(settings.resolve[1], Resolver::Etcd(_)));
        assert_eq!(settings.protection, None);
        assert_eq!(settings.trust, TrustPolicy::AllowList);
        assert_eq!(settings.users.root, MapTo::Same);
        let user = MapTo::User {
            uid: 1000,
            gid: 100,
        };
        assert_eq!(settings.users.any, user);
        let config = settings.config(Security::None, [7; 32]);
        assert_eq!(config.announce, Duration::from_secs(30));
        assert_eq!(config.transport.connect_timeout, 2 * TICK);
        assert_eq!(config.transport.path_probes, 9);
        let again = parse("conn_est_timeout=2,conn_est_retries=2").unwrap();
        let again = again.config(Security::None, [7; 32]);
        assert_eq!(again.transport.connect_timeout, 6 * TICK);
        assert!(!config.transport.crc);
        assert_eq!(config.transport.node.name, "lab2");
        assert_eq!(config.resolvers.len(), 2);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "host=a.b",
            "host=",
            "host=a/b",
            "host=a~b",
            "domain=a..b",
            "bind=",
            "bind=ip",
            "prefix=..",
            "key=",
            "known=/",
            "net=net",
            "net=",
            "export=srv",
            "bind=en0,resolve=dns",
            "resolve=nis",
            "resolve=file:etc",
            "resolve=etcd:x",
            "security=yes",
            "trust=all",
            "maproot=root",
            "mapany=1000:",
            "mapany=1000:x",
            "auto_add=99999999999",
            "tx_retries=0",
            "do_crc=2",
        ] {
            assert_eq!(parse(text).unwrap_err().errno, EINVAL, "{text}");
        }
    }
}
