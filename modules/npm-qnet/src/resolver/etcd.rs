//! etcd: each node tells where it is under `/io-net/qnet/nodes/NAME`, for as long as it says so again,
//! and is found there.

use super::PATIENCE;
use io_net_etcd::{Etcd, Lease};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Where nodes are listed.
const NODES: &str = "/io-net/qnet/nodes/";
/// Seconds for which a node that says nothing any more stays listed.
pub(super) const LEASE_S: u64 = 60;

/// The nodes that a server of etcd lists.
pub(super) struct Nodes {
    etcd: Etcd,
    /// What this node is listed under.
    lease: Option<Lease>,
}

impl Nodes {
    pub(super) fn new(server: SocketAddr) -> Self {
        Nodes {
            etcd: Etcd::new(vec![server], PATIENCE),
            lease: None,
        }
    }

    /// The addresses of the node `name`.
    pub(super) fn find(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let value = self.etcd.get(&key(name))?.unwrap_or_default();
        Ok(addresses(&value))
    }

    /// Tells where the node `name`, this one, is.
    pub(super) fn publish(&mut self, name: &str, addresses: &[IpAddr]) -> io::Result<()> {
        // Whatever goes wrong with it, the next is a new one.
        let kept = match self.lease.take() {
            Some(lease) if self.etcd.keep_alive(lease)? => lease,
            _ => self.etcd.grant(LEASE_S)?,
        };
        let words: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        self.etcd
            .put(&key(name), words.join(" ").as_bytes(), kept)?;
        self.lease = Some(kept);
        Ok(())
    }
}

impl Drop for Nodes {
    /// This node is gone, and found no more.
    fn drop(&mut self) {
        let _ = self.lease.map(|lease| self.etcd.revoke(lease));
    }
}

fn key(name: &str) -> Vec<u8> {
    [NODES, name].concat().into_bytes()
}

fn addresses(value: &[u8]) -> Vec<IpAddr> {
    let text = String::from_utf8_lossy(value);
    let words = text.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_passed_over() {
        assert_eq!(addresses(b"10.0.0.2 x 10.1.0.2").len(), 2);
        assert!(addresses(b"\xff").is_empty() && addresses(b"").is_empty());
    }
}
