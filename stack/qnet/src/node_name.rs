//! Names of nodes, and the quality of service that a path may ask for.

use core::fmt;
use core::str::FromStr;

/// Bytes in a node's name or domain.
pub const NAME_MAX: usize = 255;

/// A node's fully qualified name: its name, which has no `/`, `.` or `~`, and its domain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeName {
    name: String,
    domain: String,
}

/// A text that cannot be a node's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadName;

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a node's name is 1 to 255 letters, digits, `-` or `_`; a domain has dots between such",
        )
    }
}

impl core::error::Error for BadName {}

impl NodeName {
    /// A name in a domain, which may be empty.
    pub fn new(name: &str, domain: &str) -> Result<Self, BadName> {
        let domain_good = domain.is_empty() || domain.split('.').all(is_label);
        if !is_label(name) || !domain_good || domain.len() > NAME_MAX {
            return Err(BadName);
        }
        Ok(NodeName {
            name: name.to_owned(),
            domain: domain.to_owned(),
        })
    }

    /// A name that may leave out its domain, which is then `domain`.
    pub fn parse_in(text: &str, domain: &str) -> Result<Self, BadName> {
        match text.split_once('.') {
            Some((name, own)) if !own.is_empty() => NodeName::new(name, own),
            Some(_) => Err(BadName),
            None => NodeName::new(text, domain),
        }
    }

    /// The name in its domain.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The domain, empty where there is none.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

/// One part of a name between dots. Other bytes would make trouble in paths, terminals and resolvers.
fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(fits)
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.domain.is_empty() {
            write!(f, ".{}", self.domain)?;
        }
        Ok(())
    }
}

impl FromStr for NodeName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        NodeName::parse_in(text, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_labels() {
        let long = "a".repeat(NAME_MAX);
        for good in ["a", "A-1_b", "a.b", "a.b.c.d", &long] {
            assert_eq!(good.parse::<NodeName>().unwrap().to_string(), good);
        }
        let too_long = "a".repeat(NAME_MAX + 1);
        for bad in [
            "", ".", "a.", ".a", "a..b", "a/b", "a b", "a~b", "\u{e4}", &too_long,
        ] {
            assert_eq!(bad.parse::<NodeName>(), Err(BadName), "{bad}");
        }
    }

    #[test]
    fn a_name_without_a_domain_is_in_this_one() {
        let name = |text| NodeName::parse_in(text, "lab").unwrap().to_string();
        assert_eq!((name("a"), name("a.b")), ("a.lab".into(), "a.b".into()));
    }
}
