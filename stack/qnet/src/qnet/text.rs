//! Nodes in paths: `/net/lab2.example.com~preferred:en0/dev/ser1`.

use crate::node_name::NodeName;

/// Where nodes are seen in the file system.
const DIRECTORY: &str = "/net/";

/// What this node may be called on itself.
pub(super) const LOCALHOST: &str = "localhost";

/// The part of a path that names a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Named<'a> {
    pub(super) node: &'a str,
    pub(super) qos: Option<&'a str>,
    /// Bytes of the path up to the end of the node's part.
    pub(super) taken: usize,
}

impl<'a> Named<'a> {
    /// Takes a path apart, with or without the directory before the node.
    pub(super) fn split(path: &'a str) -> Self {
        let rest = path.strip_prefix(DIRECTORY).unwrap_or(path);
        let part = rest.split('/').next().unwrap_or_default();
        let (node, qos) = match part.split_once('~') {
            Some((node, qos)) => (node, Some(qos)),
            None => (part, None),
        };
        Named {
            node,
            qos,
            taken: path.len() - rest.len() + part.len(),
        }
    }
}

/// The bits of `netmgr_ndtostr`.
mod flag {
    pub(super) const DIR_SHOW: u32 = 0x0001;
    pub(super) const DIR_HIDE: u32 = 0x0002;
    pub(super) const QOS_SHOW: u32 = 0x0004;
    pub(super) const QOS_HIDE: u32 = 0x0008;
    pub(super) const NAME_SHOW: u32 = 0x0010;
    pub(super) const NAME_HIDE: u32 = 0x0020;
    pub(super) const DOMAIN_SHOW: u32 = 0x0040;
    pub(super) const DOMAIN_HIDE: u32 = 0x0080;
    pub(super) const LOCAL_STR: u32 = 0x1000;
    pub(super) const SEP_FORCE: u32 = 0x2000;
}

/// The name of a node as the flags want it. What is neither shown nor hidden by a flag appears where it
/// says something: the name always, the domain if it is not `own`'s, the quality of service if it is not
/// the default one, the directory never.
pub(super) fn join(flags: u32, name: &NodeName, qos: Option<&str>, own: &NodeName) -> String {
    let shown = |show: u32, hide: u32, otherwise: bool| match flags {
        _ if flags & show != 0 => true,
        _ if flags & hide != 0 => false,
        _ => otherwise,
    };
    let mut text = String::new();
    if shown(flag::DIR_SHOW, flag::DIR_HIDE, false) {
        text.push_str(DIRECTORY);
    } else if flags & flag::SEP_FORCE != 0 {
        text.push('/');
    }
    if flags & flag::LOCAL_STR != 0 && name == own {
        // Short, and understood on this node only.
        text.push_str(LOCALHOST);
        return text;
    }
    if shown(flag::NAME_SHOW, flag::NAME_HIDE, true) {
        text.push_str(name.name());
    }
    let foreign = name.domain() != own.domain();
    if shown(flag::DOMAIN_SHOW, flag::DOMAIN_HIDE, foreign) && !name.domain().is_empty() {
        text.push('.');
        text.push_str(name.domain());
    }
    if shown(flag::QOS_SHOW, flag::QOS_HIDE, qos.is_some()) {
        text.push('~');
        text.push_str(qos.unwrap_or("loadbalance"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let cases = [
            ("lab2", "lab2", None, 4),
            ("/net/lab2", "lab2", None, 9),
            ("/net/lab2/dev/ser1", "lab2", None, 9),
            ("lab2.example.com/x", "lab2.example.com", None, 16),
            ("lab2~preferred:en0/x", "lab2", Some("preferred:en0"), 18),
            ("", "", None, 0),
            ("/dev", "", None, 0),
        ];
        for (path, node, qos, taken) in cases {
            assert_eq!(Named::split(path), Named { node, qos, taken }, "{path}");
        }
    }

    #[test]
    fn names_are_put_together() {
        let name = |text: &str| text.parse::<NodeName>().unwrap();
        let (own, near, far) = (name("a.lab"), name("b.lab"), name("c.far.org"));
        let join = |flags, node: &NodeName, qos| join(flags, node, qos, &own);
        assert_eq!(join(0, &near, None), "b");
        assert_eq!(join(0, &far, None), "c.far.org");
        assert_eq!(join(flag::DOMAIN_SHOW, &near, None), "b.lab");
        assert_eq!(join(flag::DOMAIN_HIDE, &far, None), "c");
        assert_eq!(join(flag::DIR_SHOW, &near, None), "/net/b");
        assert_eq!(join(flag::SEP_FORCE, &near, None), "/b");
        assert_eq!(join(0, &near, Some("exclusive:en0")), "b~exclusive:en0");
        assert_eq!(join(flag::QOS_HIDE, &near, Some("exclusive:en0")), "b");
        assert_eq!(join(flag::QOS_SHOW, &near, None), "b~loadbalance");
        assert_eq!(
            join(flag::NAME_HIDE | flag::QOS_SHOW, &near, None),
            "~loadbalance"
        );
        assert_eq!(join(flag::LOCAL_STR, &own, None), "localhost");
        assert_eq!(join(flag::LOCAL_STR, &near, None), "b");
        // Hiding loses against showing.
        assert_eq!(join(flag::DIR_SHOW | flag::DIR_HIDE, &near, None), "/net/b");
    }
}
