//! Which names other nodes have, as they tell a server.
//!
//! It is a hint: whether a node still has a name, that node is asked when the name is opened. So what
//! a node claims here can send others on a vain way to that node, and no further.

use std::collections::BTreeSet;

/// Nodes, at most.
const NODES_MAX: usize = 4096;
/// Names of one node, at most.
const NAMES_MAX: usize = 4096;

/// The names of other nodes, oldest node first.
#[derive(Debug, Default)]
pub struct Index {
    nodes: Vec<Told>,
}

/// What one node tells.
#[derive(Debug)]
struct Told {
    node: String,
    /// The connection by which it does: when that ends, so does this.
    scoid: i32,
    names: BTreeSet<String>,
}

/// There are too many nodes, or names of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Index {
    /// `node` has these names and no others; from now on it tells by connection `scoid`.
    ///
    /// # Errors
    /// There are too many nodes, or names; then it has none here.
    pub fn begin(&mut self, node: &str, scoid: i32, names: &[&str]) -> Result<(), Full> {
        let full = self.nodes.len() >= NODES_MAX;
        match self.nodes.iter_mut().find(|told| told.node == node) {
            Some(told) => {
                told.scoid = scoid;
                told.names.clear();
            }
            None if full => return Err(Full),
            None => self.nodes.push(Told {
                node: node.to_owned(),
                scoid,
                names: BTreeSet::new(),
            }),
        }
        self.add(scoid, names)
    }

    /// The node of connection `scoid` has these names too.
    ///
    /// # Errors
    /// It has not begun, or there are too many.
    pub fn add(&mut self, scoid: i32, names: &[&str]) -> Result<(), Full> {
        let told = self.nodes.iter_mut().find(|told| told.scoid == scoid);
        let told = told.ok_or(Full)?;
        for name in names {
            if told.names.len() >= NAMES_MAX {
                return Err(Full);
            }
            told.names.insert((*name).to_owned());
        }
        Ok(())
    }

    /// It has these no more.
    pub fn remove(&mut self, scoid: i32, names: &[&str]) {
        let told = self.nodes.iter_mut().find(|told| told.scoid == scoid);
        if let Some(told) = told {
            told.names.retain(|name| !names.contains(&&name[..]));
        }
    }

    /// Connection `scoid` has ended. The node whose names went with it.
    pub fn gone(&mut self, scoid: i32) -> Option<String> {
        let at = self.nodes.iter().position(|told| told.scoid == scoid)?;
        Some(self.nodes.remove(at).node)
    }

    /// The nodes that have a name.
    pub fn find(&self, name: &str) -> impl Iterator<Item = &str> {
        let having = self
            .nodes
            .iter()
            .filter(move |told| told.names.contains(name));
        having.map(|told| &told.node[..])
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
        assert_eq!(index.add(2, &["z"]), Err(Full));
    }

    #[test]
    fn a_node_that_begins_anew_replaces_what_it_said() {
        let mut index = Index::default();
        index.begin("a.lan", 1, &["x", "y"]).unwrap();
        // It is back before its former connection is known to have ended.
        index.begin("a.lan", 7, &["y"]).unwrap();
        assert_eq!(index.gone(1), None);
        assert_eq!(find(&index, "y"), ["a.lan"]);
        assert!(find(&index, "x").is_empty());
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut index = Index::default();
        let names: Vec<String> = (0..=NAMES_MAX).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(index.begin("a", 1, &names), Err(Full));
        for n in 2..=NODES_MAX as i32 {
            index.begin(&n.to_string(), n, &["x"]).unwrap();
        }
        assert_eq!(index.begin("one more", -1, &[]), Err(Full));
        index.begin("a", 1, &["x"]).unwrap();
    }
}
