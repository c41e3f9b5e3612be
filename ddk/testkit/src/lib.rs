//! A manager in miniature, for tests of modules.
//!
//! A [`Kit`] starts one instance of a module, over a real packet pool and a clock that only the
//! test moves, and stands in for the rest of the graph: the test hands packets to a registrant and
//! collects what it sends. Meanwhile a ledger follows every reference to every packet. Handing a
//! packet on twice, releasing it twice, writing it after it was given away and forgetting it are
//! each named in [`Kit::stop`]'s answer.
//!
//! [`conformance::run`] holds any built module against what io-net expects of all of them.
//!
//! Several kits may live in one thread (the two ends of a link); a kit stays on its thread.

pub mod conformance;
pub mod frames;
pub mod namespace;

mod current;
mod kit;
mod ledger;
mod load;
mod state;
mod table;

pub use kit::{Kit, RegistrantInfo, Sent};
pub use load::{Source, built_module};
