//! The options, checked.

use crate::message::{MAX_LOG2_RING, SECRET_LEN};
use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options, random_mac};
use io_net_os::seqpacket::Name;
use std::path::PathBuf;

/// Which end of the link this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Listens; maps the client's memory.
    Server,
    /// Connects; the memory is its own.
    Client,
}

/// How the link is to be.
#[derive(Clone, Debug)]
pub(crate) struct MemifOptions {
    pub(crate) role: Role,
    pub(crate) socket: Name,
    pub(crate) id: u32,
    /// NUL-padded; all zero for none.
    pub(crate) secret: [u8; SECRET_LEN],
    pub(crate) log2_ring: u8,
    /// Bytes of a packet buffer that a client makes.
    pub(crate) buffer_size: u32,
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
}

impl MemifOptions {
    /// Reads `options`; the socket is by default in `run_dir`.
    pub(crate) fn parse(options: Options, run_dir: PathBuf) -> Result<Self, Failure> {
        let role = match options.text("role") {
            None | Some("server" | "master") => Role::Server,
            Some("client" | "slave") => Role::Client,
            Some(other) => return Err(wrong("role", other, "server or client")),
        };
        let is_abstract = options.flag("abstract");
        let socket = match (options.text("socket"), is_abstract) {
            (None, true) => return Err(wrong("abstract", "", "socket=NAME with it")),
            (None, false) => Name::Path(run_dir.join("memif.sock")),
            (Some(""), _) => return Err(wrong("socket", "", "a path, or a name with abstract")),
            (Some(name), true) => Name::Abstract(name.to_owned()),
            (Some(path), false) => Name::Path(path.into()),
        };
        let text = options.text("secret").unwrap_or("");
        if text.len() > SECRET_LEN {
            return Err(wrong("secret", text, "24 bytes at most"));
        }
        let mut secret = [0; SECRET_LEN];
        secret[..text.len()].copy_from_slice(text.as_bytes());
        let log2_ring = ranged(options, "ring", 10, 1..=MAX_LOG2_RING.into())?;
        let mtu = ranged(options, "mtu", 1500, 68..=65521)?;
        Ok(MemifOptions {
            role,
            socket,
            id: options.number("id")?.unwrap_or(0),
            secret,
            log2_ring: log2_ring as u8,
            buffer_size: ranged(options, "buffer", 2048, 64..=65536)?,
            mac: options.mac("mac")?.unwrap_or_else(random_mac),
            mtu,
        })
    }
}

fn ranged(
    options: Options,
    name: &str,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, Failure> {
    let value = options.number(name)?.unwrap_or(default);
    match range.contains(&value) {
        true => Ok(value),
        false => {
            let wanted = format!("a number from {} to {}", range.start(), range.end());
            Err(wrong(name, &value.to_string(), &wanted))
        }
    }
}

fn wrong(name: &str, value: &str, wanted: &str) -> Failure {
    Failure::new(EINVAL, format!("option {name}={value}: give {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<MemifOptions, Failure> {
        MemifOptions::parse(Options::new(text), "/run/io-net".into())
    }

    #[test]
    fn defaults() {
        let options = parse("").unwrap();
        assert_eq!(options.role, Role::Server);
        assert_eq!(options.socket, Name::Path("/run/io-net/memif.sock".into()));
        assert_eq!((options.id, options.log2_ring), (0, 10));
        assert_eq!((options.buffer_size, options.mtu), (2048, 1500));
    }

    #[test]
    fn an_abstract_client() {
        let options = parse("role=client,socket=link,abstract,id=7,secret=abc").unwrap();
        assert_eq!(options.role, Role::Client);
        assert_eq!(options.socket, Name::Abstract("link".into()));
        assert_eq!((options.id, &options.secret[..4]), (7, &b"abc\0"[..]));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let long = format!("secret={}", "x".repeat(25));
        for bad in [
            "role=boss",
            "abstract",
            "socket=",
            "ring=0",
            "ring=15",
            "mtu=67",
            "buffer=63",
            "buffer=65537",
            "id=0x100000000",
            &long,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
