//! Who a peer is, and frames that nobody else can read or make.
//!
//! Nodes prove who they are by a Noise XX handshake, and are trusted by a list or on first use. The
//! frames of a session are then enciphered, or only authenticated, one by one.

mod keys;
mod noise;
mod rng;

use std::collections::HashMap;

use crate::transport::Node;

pub(crate) use keys::{SessionKeys, TAG_LEN};
pub(crate) use noise::Noise;
pub(crate) use rng::Rng;

/// A node's public key (X25519).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl core::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self}")
    }
}

/// A node's secret key (X25519); any 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub [u8; 32]);

impl SecretKey {
    /// The public half.
    pub fn public(&self) -> PublicKey {
        noise::public_key(self)
    }
}

impl core::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SecretKey")
    }
}

/// How frames of a session are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Enciphered and authenticated.
    Encrypted,
    /// Authenticated, but readable by anyone.
    Authenticated,
}

/// How peers prove who they are.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all: every machine on the links is trusted, as QNX does.
    None,
    /// By their keys.
    Noise {
        /// This node's key.
        key: SecretKey,
        /// What is done to frames; the stronger of both ends' settings holds.
        protection: Protection,
        /// Whom to trust.
        known: KnownNodes,
    },
}

/// What is done about a node whose key is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TrustPolicy {
    /// Its key is pinned, as ssh does.
    #[default]
    FirstUse,
    /// It is refused.
    AllowList,
}

/// The nodes whose keys are known.
#[derive(Clone, Debug, Default)]
pub struct KnownNodes {
    /// What is done about the others.
    pub policy: TrustPolicy,
    /// Their keys.
    pub keys: HashMap<Node, PublicKey>,
}

/// Most keys that are pinned by themselves: strangers cannot fill the memory.
const PINNED_MAX: usize = 65_536;

/// Whether a node may come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Its key is the one that is known.
    Known,
    /// It was met for the first time.
    Pinned,
    /// It is not known, and strangers are refused.
    NotAllowed,
    /// Its key is not the one that is known.
    KeyChanged,
}

impl KnownNodes {
    /// Judges a node that has proved to hold `key`, and pins the key where the policy says so.
    pub(crate) fn judge(&mut self, node: &Node, key: PublicKey) -> Verdict {
        match self.keys.get(node) {
            Some(known) if *known == key => Verdict::Known,
            Some(_) => Verdict::KeyChanged,
            None if self.policy == TrustPolicy::AllowList => Verdict::NotAllowed,
            None if self.keys.len() >= PINNED_MAX => Verdict::NotAllowed,
            None => {
                self.keys.insert(node.clone(), key);
                Verdict::Pinned
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_use_pins_and_a_list_does_not_grow() {
        let node = Node {
            name: "lab2".into(),
            domain: String::new(),
        };
        let (key, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let mut known = KnownNodes::default();
        assert_eq!(known.judge(&node, key), Verdict::Pinned);
        assert_eq!(known.judge(&node, key), Verdict::Known);
        assert_eq!(known.judge(&node, other), Verdict::KeyChanged);
        known.policy = TrustPolicy::AllowList;
        assert_eq!(known.judge(&node, key), Verdict::Known);
        assert_eq!(known.judge(&Node::default(), key), Verdict::NotAllowed);
    }
}
