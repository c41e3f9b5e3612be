//! The module's options, checked.

use crate::ring::SIZES;
use io_net_ddk::{Failure, Options, errno::EINVAL, random_mac};
use std::path::PathBuf;

/// MTUs that a link may have: what IPv4 asks for at least (RFC 791), and what one record holds.
const MTU: std::ops::RangeInclusive<u32> = 68..=65_521;
const DEFAULT_MTU: u32 = 1500;
/// Two of these are as much as a processor's second-level cache often holds.
const DEFAULT_SIZE: usize = 1 << 20;

/// Which side of the meeting an end takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Whoever comes first listens.
    Either,
    /// Listens.
    Server,
    /// Connects.
    Client,
}

/// How the two ends find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// At a Unix socket.
    Path(PathBuf, Role),
    /// Both ends are in this instance.
    Both,
}

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PipeOptions {
    pub(crate) peer: Peer,
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
    /// Bytes of each direction's ring.
    pub(crate) size: usize,
}

impl PipeOptions {
    /// Reads option text.
    ///
    /// # Errors
    /// EINVAL where a value is out of range, or it is not said where the other end is.
    pub(crate) fn parse(options: Options<'_>) -> Result<Self, Failure> {
        let mac = options.mac("mac")?.unwrap_or_else(random_mac);
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return refuse("mac=: give a unicast address such as 02:00:00:00:00:01");
        }
        let mtu = options.number("mtu")?.unwrap_or(DEFAULT_MTU);
        if !MTU.contains(&mtu) {
            return refuse(&format!("mtu={mtu}: give a number from 68 to 65521"));
        }
        let size = options.number("size")?.unwrap_or(DEFAULT_SIZE);
        if !size.is_power_of_two() || !SIZES.contains(&size) {
            let limits = "a power of two from 262144 (256 KiB) to 67108864 (64 MiB)";
            return refuse(&format!("size={size}: give {limits}"));
        }
        Ok(PipeOptions {
            peer: peer(options)?,
            mac,
            mtu,
            size,
        })
    }
}

fn peer(options: Options<'_>) -> Result<Peer, Failure> {
    let role = match options.text("role") {
        None => Role::Either,
        Some("server") => Role::Server,
        Some("client") => Role::Client,
        Some(other) => return refuse(&format!("role={other}: give server or client")),
    };
    match (options.text("path"), options.flag("both")) {
        (Some(path), false) if !path.is_empty() => Ok(Peer::Path(path.into(), role)),
        (None, true) if role == Role::Either => Ok(Peer::Both),
        (_, true) => refuse("both: it needs neither path= nor role="),
        _ => refuse("path=: give the Unix socket at which the two ends meet, or both"),
    }
}

fn refuse<T>(text: &str) -> Result<T, Failure> {
    Err(Failure::new(EINVAL, format!("option {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PipeOptions, Failure> {
        PipeOptions::parse(Options::new(text))
    }

    #[test]
    fn a_path_or_both() {
        let options = parse("path=/tmp/p").unwrap();
        assert_eq!(options.peer, Peer::Path("/tmp/p".into(), Role::Either));
        assert_eq!((options.mtu, options.size), (1500, 1 << 20));
        assert_eq!(parse("both").unwrap().peer, Peer::Both);
        let server = parse("path=p,role=server,size=0x40000,mtu=9000").unwrap();
        assert_eq!(server.peer, Peer::Path("p".into(), Role::Server));
        assert_eq!((server.mtu, server.size), (9000, 256 << 10));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (bad, named) in [
            ("", "path="),
            ("path=", "path="),
            ("both,path=p", "both"),
            ("both,role=client", "both"),
            ("path=p,role=x", "role=x"),
            ("path=p,size=300000", "size=300000"),
            ("path=p,size=131072", "size=131072"),
            ("path=p,mtu=67", "mtu=67"),
            ("path=p,mac=01:00:00:00:00:00", "mac="),
        ] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{bad}");
            assert!(failure.text.contains(named), "{bad}: {failure}");
        }
    }
}
