//! How a node's name becomes addresses: a chain of resolvers, asked one after the other.

use core::fmt;
use core::str::FromStr;

/// A way to find a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Resolver {
    /// By asking on each LAN; done here.
    Ndp,
    /// By the DNS; the surroundings ask.
    Dns,
    /// By a file of names and addresses; the surroundings read it.
    File,
    /// By etcd; the surroundings ask.
    Etcd,
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resolver::Ndp => "ndp",
            Resolver::Dns => "dns",
            Resolver::File => "file",
            Resolver::Etcd => "etcd",
        })
    }
}

/// A resolver's name that is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownResolver;

impl fmt::Display for UnknownResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the resolvers are ndp, dns, file and etcd")
    }
}

impl core::error::Error for UnknownResolver {}

impl FromStr for Resolver {
    type Err = UnknownResolver;

    fn from_str(text: &str) -> Result<Self, UnknownResolver> {
        match text {
            "ndp" => Ok(Resolver::Ndp),
            "dns" => Ok(Resolver::Dns),
            "file" => Ok(Resolver::File),
            "etcd" => Ok(Resolver::Etcd),
            _ => Err(UnknownResolver),
        }
    }
}
