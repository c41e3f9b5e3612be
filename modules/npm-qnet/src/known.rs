//! The nodes that are known, with their keys: a file that grows by itself, as ssh's `known_hosts`
//! does, or an allow-list that is only read.
//!
//! Each line holds a node's full name and its public key in hexadecimal digits; `#` begins a
//! comment. A node's first key is the only one that is good for it until its line is removed.

use crate::key::from_hex;
use io_net_ddk::Failure;
use io_net_ddk::errno::EINVAL;
use io_net_qnet::NodeName;
use io_net_qnet::secure::PublicKey;
use io_net_qnet::transport::Node;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Lines that are added, at most: who invents names on the network fills no disk.
const LINES_MAX: usize = 8192;

/// The file of known nodes.
#[derive(Debug)]
pub(crate) struct KnownFile {
    path: PathBuf,
    lines: usize,
}

impl KnownFile {
    /// Reads the file, where there is one.
    ///
    /// # Errors
    /// It cannot be read, or a line makes no sense.
    pub(crate) fn load(path: &Path) -> Result<(Self, HashMap<Node, PublicKey>), Failure> {
        let at = path.display();
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                let text = format!("cannot read the known nodes in {at}");
                return Err(Failure::io(text, &error));
            }
            Ok(text) => text,
        };
        let mut keys = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let Some((node, key)) = parse(line) else {
                let number = number + 1;
                let text = format!("{at}, line {number}: give a node's full name and its key");
                return Err(Failure::new(EINVAL, text));
            };
            keys.insert(node, key);
        }
        let file = KnownFile {
            path: path.to_owned(),
            lines: keys.len(),
        };
        Ok((file, keys))
    }

    /// Adds a node.
    ///
    /// # Errors
    /// The file cannot be written, or is full; the node stays known until the end.
    pub(crate) fn add(&mut self, node: &str, key: &PublicKey) -> io::Result<()> {
        if self.lines >= LINES_MAX {
            return Err(io::Error::other("it has too many lines already"));
        }
        self.lines += 1;
        if let Some(dir) = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        file.write_all(format!("{node} {key}\n").as_bytes())
    }

    /// Removes a node's lines, and keeps all else as it is. Returns whether there were any.
    ///
    /// # Errors
    /// The file cannot be read or written; then it is as it was.
    pub(crate) fn forget(&mut self, node: &NodeName) -> io::Result<bool> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            text => text?,
        };
        let about = |line: &&str| {
            let line = line.split('#').next().unwrap_or_default();
            line.split_whitespace().next() == Some(&node.to_string()[..])
        };
        let (gone, kept): (Vec<&str>, Vec<&str>) = text.split_inclusive('\n').partition(about);
        if gone.is_empty() {
            return Ok(false);
        }
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".new");
        let mut file = OpenOptions::new();
        let file = file.write(true).create(true).truncate(true).mode(0o600);
        file.open(&beside)
            .and_then(|mut file| {
                file.write_all(kept.concat().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&beside, &self.path))
            .inspect_err(|_| drop(fs::remove_file(&beside)))?;
        self.lines = self.lines.saturating_sub(gone.len());
        Ok(true)
    }

    /// Where they are kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn parse(line: &str) -> Option<(Node, PublicKey)> {
    let (name, key) = line.split_once(char::is_whitespace)?;
    let (name, domain) = name.split_once('.').unwrap_or((name, ""));
    let node = Node {
        name: name.to_owned(),
        domain: domain.to_owned(),
    };
    Some((node, PublicKey(from_hex(key.trim())?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::to_hex;

    fn node(name: &str, domain: &str) -> Node {
        Node {
            name: name.to_owned(),
            domain: domain.to_owned(),
        }
    }

    #[test]
    fn what_is_added_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/known");
        let (mut file, keys) = KnownFile::load(&path).unwrap();
        assert!(keys.is_empty());
        let (far, near) = (node("lab2", "example.net"), node("lab3", ""));
        file.add("lab2.example.net", &PublicKey([1; 32])).unwrap();
        file.add("lab3", &PublicKey([2; 32])).unwrap();
        let (_, keys) = KnownFile::load(&path).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[&far], PublicKey([1; 32]));
        assert_eq!(keys[&near], PublicKey([2; 32]));
    }

    #[test]
    fn a_node_is_forgotten_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known");
        let name = |text: &str| text.parse::<NodeName>().unwrap();
        let (mut file, _) = KnownFile::load(&path).unwrap();
        assert!(!file.forget(&name("lab2.net")).unwrap());
        fs::write(&path, "# ours\n").unwrap();
        for (n, node) in ["lab2", "lab2.net", "lab22.net"].iter().enumerate() {
            file.add(node, &PublicKey([n as u8; 32])).unwrap();
        }
        assert!(file.forget(&name("lab2.net")).unwrap());
        assert!(!file.forget(&name("lab2.net")).unwrap());
        assert!(
            fs::read_to_string(&path)
                .unwrap()
                .starts_with("# ours\nlab2 ")
        );
        let (_, keys) = KnownFile::load(&path).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[&node("lab22", "net")], PublicKey([2; 32]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn comments_are_for_people() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known");
        let key = to_hex(&[7; 32]);
        fs::write(&path, format!("# ours\n\nlab2.net  {key}  # the second\n")).unwrap();
        let (_, keys) = KnownFile::load(&path).unwrap();
        assert_eq!(keys[&node("lab2", "net")], PublicKey([7; 32]));
    }

    #[test]
    fn invented_nodes_fill_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, _) = KnownFile::load(&dir.path().join("known")).unwrap();
        file.lines = LINES_MAX;
        assert!(file.add("more", &PublicKey([1; 32])).is_err());
    }

    #[test]
    fn rubbish_is_named_by_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known");
        let swapped = format!("{} lab2", to_hex(&[1; 32]));
        for text in ["lab2", "lab2 12", "lab2 x y", &swapped] {
            fs::write(&path, format!("# one\n{text}\n")).unwrap();
            let failure = KnownFile::load(&path).unwrap_err();
            assert!(failure.text.contains("line 2"), "{failure}");
        }
    }
}
