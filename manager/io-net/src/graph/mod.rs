//! The packet graph: which registrant a packet goes to next.
//!
//! [`layout`] computes it from the [`Node`]s, without a pointer or a thread; [`plan`] is the dense,
//! immutable form that workers use, one for each version of the graph.

pub mod columns;
pub mod layout;
pub mod node;
pub mod pattern;
pub mod plan;

pub use layout::{Layout, Next};
pub use node::{Node, Over, Role, Slot};
pub use pattern::Pattern;
pub use plan::{Edge, EdgeBook, Hop, Plan, Way, slot_of};
