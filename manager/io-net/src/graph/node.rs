//! What the graph needs to know of a registrant.

use super::Pattern;

/// Index of a registrant in the tables of a plan.
pub type Slot = u16;

/// Interfaces that a filter sits above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// All of its type, those to come included.
    All,
    /// These endpoints.
    Endpoints(Vec<u16>),
}

/// The place of a registrant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Makes up packets of type `cell` for one interface.
    Driver {
        /// Type above.
        cell: u16,
        /// The interface.
        endpoint: u16,
    },
    /// Sees packets between drivers and those who take their packets.
    FilterAbove {
        /// Type on both sides.
        cell: u16,
        /// Above which interfaces.
        over: Over,
    },
    /// Sees packets between a converter or protocol and what lies below it.
    FilterBelow {
        /// Type on both sides.
        cell: u16,
        /// The converter or protocol.
        under: Slot,
    },
    /// Joins two types.
    Converter {
        /// Type above.
        top: u16,
        /// Type below.
        bottom: u16,
    },
    /// Makes down packets of type `bottom`.
    Protocol {
        /// Type below.
        bottom: u16,
    },
}

/// A registrant in the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it is in the tables.
    pub slot: Slot,
    /// What it is there.
    pub role: Role,
    /// Up packets that it asked for (converters and protocols).
    pub patterns: Vec<Pattern>,
    /// Order among the filters of one place: the lower, the nearer to the wire.
    pub pos: i32,
    /// Order of arrival; decides between equals.
    pub order: u64,
}

impl Node {
    /// The type of packets that a converter or protocol takes from below.
    #[must_use]
    pub fn takes(&self) -> Option<u16> {
        match self.role {
            Role::Converter { bottom, .. } | Role::Protocol { bottom } => Some(bottom),
            _ => None,
        }
    }
}
