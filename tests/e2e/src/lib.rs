//! A laboratory for end-to-end tests: private network namespaces, io-net from the staged build and
//! real programs in them, all gone when the test ends, however it ends.
//!
//! A test is one call of [`lab`]. It names what it needs; where that is missing the test says so
//! and passes, or fails with `CI=true`.
//!
//! ```no_run
//! use io_net_e2e::{lab, Need};
//!
//! lab(&[Need::Stage, Need::Program("ping")], |lab| {
//!     let net = lab.namespace()?;
//!     let ion = lab.io_net(&net, "-d tap name=tap0 -p tcpip addr=10.9.0.2/24")?;
//!     net.ip("addr add 10.9.0.1/24 dev tap0")?;
//!     net.run("ping -c 1 10.9.0.2")?;
//!     ion.stop()?;
//!     Ok(())
//! });
//! ```
#![forbid(unsafe_code)]

mod io_net;
mod lab;
mod namespace;
mod need;
mod ovs;
mod program;
mod stage;
mod wait;

pub use io_net::IoNet;
pub use lab::{Lab, Outcome, lab};
pub use namespace::Namespace;
pub use need::Need;
pub use ovs::Ovs;
pub use program::Program;
pub use stage::Stage;
pub use wait::{holds_within, wait_for};
