//! A file of nodes: on each line a node's full name and its addresses; `#` begins a comment.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

/// Bytes of the file that are read, at most.
const FILE_MAX: u64 = 16 << 20;

/// The addresses of the node `name`.
pub(super) fn find(path: &Path, name: &str) -> Result<Vec<IpAddr>, String> {
    let unread = |error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(unread)?;
    let lines = BufReader::new(file.take(FILE_MAX)).lines();
    let mut found = lines
        .map_while(Result::ok)
        .filter_map(|line| of(&line, name));
    Ok(found.next().unwrap_or_default())
}

/// The addresses in a line that is about `name`.
fn of(line: &str, name: &str) -> Option<Vec<IpAddr>> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    (words.next()? == name).then(|| words.filter_map(|word| word.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_node_and_its_addresses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nodes");
        std::fs::write(
            &path,
            "# all\nlab1.net 10.0.0.1\nlab2 10.0.0.2 x 10.1.0.2 # two\n",
        )
        .unwrap();
        let find = |name| find(&path, name).unwrap();
        assert_eq!(find("lab1.net"), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(find("lab2").len(), 2);
        assert!(find("lab1").is_empty() && find("#").is_empty());
        assert!(super::find(&dir.path().join("none"), "lab1").is_err());
    }
}
