//! A cluster of etcd that keeps names: a key `/io-net/gns/NAME@NODE` for each, under a lease, so that
//! they go with this node.

use crate::keeper::Keeper;
use io_net_etcd::{Etcd, Lease};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What all keys begin with.
const ROOT: &str = "/io-net/gns/";
/// What a name ends with in a key, and the byte after it: no node has it in its name.
const AT: &str = "@";
const AFTER: &str = "A";
/// Seconds for which the names of a node that says nothing any more stay there.
const LEASE_S: u64 = 30;
/// How long a server may take to connect, and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Names in etcd.
#[derive(Debug)]
pub struct Names {
    etcd: Etcd,
    /// This node's full name.
    node: String,
    lease: Mutex<Option<Lease>>,
}

impl Names {
    /// Those in the cluster of these servers; this node is `node`.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>, node: String) -> Self {
        Self {
            etcd: Etcd::new(servers, PATIENCE),
            node,
            lease: Mutex::new(None),
        }
    }

    fn lease(&self) -> MutexGuard<'_, Option<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, name: &str) -> Vec<u8> {
        [ROOT, name, AT, &self.node].concat().into_bytes()
    }
}

impl Keeper for Names {
    fn name(&self) -> &str {
        "etcd"
    }

    fn begin(&self) -> Result<(), String> {
        self.end();
        let lease = self.etcd.grant(LEASE_S).map_err(|e| e.to_string())?;
        *self.lease() = Some(lease);
        Ok(())
    }

    fn tell(&self, come: &[&str], gone: &[&str]) -> Result<(), String> {
        let lease = self.lease().ok_or("there is no lease")?;
        for name in gone {
            let deleted = self.etcd.delete(&self.key(name));
            deleted.map_err(|e| e.to_string())?;
        }
        for name in come {
            let put = self.etcd.put(&self.key(name), self.node.as_bytes(), lease);
            put.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn look_after(&self) -> Result<(), String> {
        let lease = self.lease().ok_or("there is no lease")?;
        match self.etcd.keep_alive(lease) {
            Ok(true) => Ok(()),
            Ok(false) => Err("the lease has ended".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn find(&self, name: &str) -> Result<Vec<String>, String> {
        let first = [ROOT, name, AT].concat().into_bytes();
        let end = [ROOT, name, AFTER].concat().into_bytes();
        let entries = self.etcd.range(&first, &end).map_err(|e| e.to_string())?;
        let nodes = entries.iter().filter_map(|(key, _)| {
            let node = std::str::from_utf8(key.strip_prefix(&first[..])?).ok()?;
            // Else it is a name that has the mark in it.
            (!node.contains(AT)).then(|| node.to_owned())
        });
        Ok(nodes.collect())
    }

    fn lost(&self, _coid: i32) -> bool {
        false
    }

    fn end(&self) {
        let lease = self.lease().take();
        // Where that fails, it ends by itself.
        let _ = lease.map(|lease| self.etcd.revoke(lease));
    }
}
