//! Which names other nodes have, as they tell a server.
//!
//! It is a hint: whether a node still has a name, that node is asked when the name is opened. So what
//! a node claims here can send others on a vain way to that node, and no further. Any user of a node may
//! claim; none can take back what another has claimed.

use io_net_proto::name::is_valid;
use std::collections::BTreeSet;

/// Claimants, and those of one node, at most.
const CLAIMS_MAX: usize = 8192;
const CLAIMS_OF_NODE_MAX: usize = 16;
/// Names of one, at most.
const NAMES_MAX: usize = 4096;
/// Bytes of all names, at most.
const BYTES_MAX: usize = 64 << 20;

/// The names of other nodes, oldest claim first.
#[derive(Debug, Default)]
pub struct Index {
    claims: Vec<Claim>,
    bytes: usize,
}

/// What one claimant, which is its node's gns, says.
#[derive(Debug)]
struct Claim {
    node: String,
    /// The connection by which it does: when that ends, so does this.
    scoid: i32,
    names: BTreeSet<String>,
}

/// There are too many claims, or names; or what is claimed is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl Index {
    /// By connection `scoid`, `node` claims these names and no others.
    ///
    /// # Errors
    /// It is refused; then it claims none.
    pub fn begin(&mut self, node: &str, scoid: i32, names: &[&str]) -> Result<(), Refused> {
        self.gone(scoid);
        let of_node = self.claims.iter().filter(|claim| claim.node == node);
        if self.claims.len() >= CLAIMS_MAX || of_node.count() >= CLAIMS_OF_NODE_MAX {
            return Err(Refused);
        }
        self.claims.push(Claim {
            node: node.to_owned(),
            scoid,
            names: BTreeSet::new(),
        });
        self.add(scoid, names)
    }

    /// It claims these names too.
    ///
    /// # Errors
    /// It has not begun; or is refused, with what it claimed before this one.
    pub fn add(&mut self, scoid: i32, names: &[&str]) -> Result<(), Refused> {
        let claim = self.claims.iter_mut().find(|claim| claim.scoid == scoid);
        let claim = claim.ok_or(Refused)?;
        for name in names {
            let room = claim.names.len() < NAMES_MAX && self.bytes + name.len() <= BYTES_MAX;
            if !is_valid(name) || !room {
                return Err(Refused);
            }
            if claim.names.insert((*name).to_owned()) {
                self.bytes += name.len();
            }
        }
        Ok(())
    }

    /// It claims these no more.
    pub fn remove(&mut self, scoid: i32, names: &[&str]) {
        if let Some(claim) = self.claims.iter_mut().find(|claim| claim.scoid == scoid) {
            for name in names.iter().filter(|name| claim.names.remove(**name)) {
                self.bytes -= name.len();
            }
        }
    }

    /// Connection `scoid` has ended. The node whose claim went with it.
    pub fn gone(&mut self, scoid: i32) -> Option<String> {
        let at = self.claims.iter().position(|claim| claim.scoid == scoid)?;
        let claim = self.claims.remove(at);
        self.bytes -= claim.names.iter().map(String::len).sum::<usize>();
        Some(claim.node)
    }

    /// The nodes that claim a name.
    pub fn find(&self, name: &str) -> impl Iterator<Item = &str> {
        let claims = self.claims.iter();
        let having = claims.filter(move |claim| claim.names.contains(name));
        having.map(|claim| &claim.node[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(index: &Index, name: &str) -> Vec<String> {
        index.find(name).map(str::to_owned).collect()
    }

    #[test]
    fn nodes_are_found_by_their_names_until_they_have_them_no_more() {
        let mut index = Index::default();
        index.begin("a.lan", 1, &["x", "y"]).unwrap();
        index.begin("b.lan", 2, &["y"]).unwrap();
        index.add(2, &["z"]).unwrap();
        assert_eq!(find(&index, "y"), ["a.lan", "b.lan"]);
        assert_eq!(find(&index, "z"), ["b.lan"]);
        index.remove(1, &["y", "unheard"]);
        assert_eq!(find(&index, "y"), ["b.lan"]);
        assert_eq!(index.gone(2).as_deref(), Some("b.lan"));
        assert_eq!(index.gone(2), None);
        assert!(find(&index, "y").is_empty() && find(&index, "z").is_empty());
        assert_eq!(find(&index, "x"), ["a.lan"]);
        assert_eq!(index.add(2, &["z"]), Err(Refused));
        index.gone(1);
        assert_eq!(index.bytes, 0);
    }

    #[test]
    fn who_begins_anew_replaces_its_own_claim_and_nobody_elses() {
        let mut index = Index::default();
        index.begin("a.lan", 1, &["x", "y"]).unwrap();
        index.begin("a.lan", 2, &[]).unwrap();
        assert_eq!(find(&index, "y"), ["a.lan"]);
        index.begin("a.lan", 1, &["y"]).unwrap();
        assert_eq!(find(&index, "y"), ["a.lan"]);
        assert!(find(&index, "x").is_empty());
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut index = Index::default();
        let names: Vec<String> = (0..=NAMES_MAX).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(index.begin("a", 1, &names), Err(Refused));
        assert_eq!(index.begin("b", 2, &["../x"]), Err(Refused));
        let long = "x".repeat(1000);
        for n in 3..=CLAIMS_MAX as i32 {
            let node = (n / CLAIMS_OF_NODE_MAX as i32).to_string();
            index.begin(&node, n, &[&long]).unwrap();
        }
        assert_eq!(
            index.begin("1", -1, &[]),
            Err(Refused),
            "one more of its node"
        );
        assert_eq!(index.begin("one more", -1, &[]), Err(Refused));
        index.begin("b", 2, &["x"]).unwrap();
        for n in 3..=CLAIMS_MAX as i32 {
            let more: Vec<String> = (0..8).map(|n| format!("{long}{n}")).collect();
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            if index.add(n, &more) == Err(Refused) {
                assert!(index.bytes > BYTES_MAX - 2000 && index.bytes <= BYTES_MAX);
                return;
            }
        }
        panic!("no end");
    }
}
