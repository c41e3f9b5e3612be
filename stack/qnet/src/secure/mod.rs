//! Who a peer is, and frames that nobody else can read or make.
//!
//! Nodes prove who they are by a Noise XX handshake, and are trusted by a list or on first use. The
//! frames of a session are then enciphered, or only authenticated, one by one.

use std::collections::HashMap;

use crate::transport::Node;

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
