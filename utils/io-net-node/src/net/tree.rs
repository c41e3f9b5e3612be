//! Which number is which file: the kernel calls files by numbers, the nodes by paths.
//!
//! A number lives as long as the kernel keeps it; a peer, as long as one of its numbers.

use super::peer::Peer;
use std::collections::HashMap;
use std::sync::Arc;

/// The number of the directory of nodes.
pub const ROOT: u64 = 1;

/// A file of a node.
#[derive(Clone, Debug)]
pub struct Spot {
    /// The node.
    pub peer: Arc<Peer>,
    /// Its path there: `/` for the node's directory.
    pub path: Vec<u8>,
}

#[derive(Debug)]
struct Known {
    spot: Spot,
    lookups: u64,
}

/// The numbers that the kernel has.
#[derive(Debug)]
pub struct Tree {
    by_number: HashMap<u64, Known>,
    by_name: HashMap<(String, Vec<u8>), u64>,
    last: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            by_number: HashMap::new(),
            by_name: HashMap::new(),
            last: ROOT,
        }
    }
}

impl Spot {
    /// What `name` is in this directory.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Self {
        let mut path = self.path.clone();
        if path != b"/" {
            path.push(b'/');
        }
        path.extend(name);
        let peer = self.peer.clone();
        Self { peer, path }
    }

    fn key(&self) -> (String, Vec<u8>) {
        (self.peer.name().to_owned(), self.path.clone())
    }
}

impl Tree {
    /// What a number is.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Spot> {
        self.by_number.get(&number).map(|known| known.spot.clone())
    }

    /// The peer of a node that has been looked up already.
    #[must_use]
    pub fn peer(&self, node: &str) -> Option<Arc<Peer>> {
        let number = self.by_name.get(&(node.to_owned(), b"/".to_vec()))?;
        self.get(*number).map(|spot| spot.peer)
    }

    /// The kernel learns of this file: its number, which it had before or has from now on.
    pub fn learn(&mut self, spot: &Spot) -> u64 {
        let key = spot.key();
        let number = *self.by_name.entry(key).or_insert_with(|| {
            self.last += 1;
            self.last
        });
        let known = self.by_number.entry(number).or_insert_with(|| Known {
            spot: spot.clone(),
            lookups: 0,
        });
        known.lookups += 1;
        number
    }

    /// The kernel forgets `lookups` of what it learnt.
    pub fn forget(&mut self, number: u64, lookups: u64) {
        let Some(known) = self.by_number.get_mut(&number) else {
            return;
        };
        known.lookups = known.lookups.saturating_sub(lookups);
        if known.lookups == 0
            && let Some(known) = self.by_number.remove(&number)
        {
            let key = known.spot.key();
            // Another file may have this path by now.
            if self.by_name.get(&key) == Some(&number) {
                self.by_name.remove(&key);
            }
        }
    }

    /// A file, and all that is below it, has another path.
    pub fn rename(&mut self, from: &Spot, to: &Spot) {
        let node = from.peer.name();
        let moved: Vec<u64> = self
            .by_number
            .iter()
            .filter(|(_, known)| known.spot.peer.name() == node)
            .filter(|(_, known)| is_at_or_below(&known.spot.path, &from.path))
            .map(|(number, _)| *number)
            .collect();
        // What was in its place is no more.
        self.by_name.remove(&to.key());
        for number in moved {
            let Some(known) = self.by_number.get_mut(&number) else {
                continue;
            };
            self.by_name.remove(&known.spot.key());
            let rest = known.spot.path.split_off(from.path.len());
            known.spot.path = [&to.path[..], &rest].concat();
            self.by_name.insert(known.spot.key(), number);
        }
    }
}

fn is_at_or_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_with_their_files() {
        let mut tree = Tree::default();
        let peer = Peer::start("north").unwrap();
        let root = Spot {
            peer,
            path: b"/".to_vec(),
        };
        let dir = root.child(b"a");
        let file = dir.child(b"b");
        let (r, d, f) = (tree.learn(&root), tree.learn(&dir), tree.learn(&file));
        assert_eq!(tree.learn(&file), f);
        assert!(tree.peer("north").is_some() && tree.peer("south").is_none());
        let aside = tree.learn(&root.child(b"ab"));
        tree.rename(&dir, &root.child(b"c"));
        assert_eq!(tree.get(f).unwrap().path, b"/c/b");
        assert_eq!(tree.get(aside).unwrap().path, b"/ab");
        let anew = tree.learn(&dir);
        assert_ne!(anew, d);
        tree.forget(f, 1);
        assert!(tree.get(f).is_some());
        tree.forget(f, 1);
        assert!(tree.get(f).is_none());
        tree.forget(r, 9);
        assert!(tree.get(r).is_none() && tree.peer("north").is_none());
    }

    #[test]
    fn a_file_in_the_way_of_a_rename_loses_its_path() {
        let mut tree = Tree::default();
        let peer = Peer::start("north").unwrap();
        let path = b"/".to_vec();
        let root = Spot { peer, path };
        let (from, to) = (root.child(b"from"), root.child(b"to"));
        let (a, b) = (tree.learn(&from), tree.learn(&to));
        tree.rename(&from, &to);
        assert_eq!(tree.learn(&to), a);
        tree.forget(b, 1);
        assert_eq!(tree.get(a).unwrap().path, b"/to");
        tree.forget(a, 2);
        assert!(tree.by_name.is_empty() && tree.by_number.is_empty());
    }
}
