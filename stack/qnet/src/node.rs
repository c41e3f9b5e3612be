//! Node descriptors: this node's own numbers for nodes and for the way that messages take to them.

use core::fmt;

/// A node descriptor: the node in the low 16 bits, its quality of service in those above.
///
/// It means something on this node only, and only while this node runs: pass names between nodes. Two
/// descriptors of one node differ where their qualities of service do; see [`Nd::same_node`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nd(pub u32);

impl Nd {
    /// This node (`ND_LOCAL_NODE`).
    pub const LOCAL: Nd = Nd(0);

    /// The descriptor of a node's number and the index of a quality of service.
    pub const fn new(node: u16, qos: u16) -> Nd {
        Nd(node as u32 | (qos as u32) << 16)
    }

    /// The node's number.
    pub const fn node(self) -> u16 {
        self.0 as u16
    }

    /// The index of the quality of service; 0 is the default one.
    pub const fn qos(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Whether both name the same node (`ND_NODE_CMP` gives 0).
    pub const fn same_node(self, other: Nd) -> bool {
        self.node() == other.node()
    }

    /// Whether it names this node.
    pub const fn is_local(self) -> bool {
        self.node() == 0
    }
}

impl fmt::Debug for Nd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nd {}", self.node())?;
        if self.qos() != 0 {
            write!(f, "~{}", self.qos())?;
        }
        Ok(())
    }
}
