//! How a node's name becomes addresses: a chain of resolvers, asked one after the other.

pub(crate) mod lan;

use core::fmt;
use core::str::FromStr;

use crate::errno::Errno;
use crate::time::Instant;

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

/// A search for a node, under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Search {
    /// Which resolver of the chain is asked.
    pub(crate) step: usize,
    /// How many times it was asked before.
    pub(crate) tries: u32,
    /// When it counts as silent.
    pub(crate) deadline: Instant,
    /// What the surroundings were asked, if they were.
    pub(crate) query: Option<u32>,
    /// Why a resolver before it could not be asked.
    pub(crate) failed: Option<Errno>,
}
