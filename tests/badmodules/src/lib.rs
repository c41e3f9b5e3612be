//! One small module for each way that a module can fail, and the means to try it on io-net itself.
//!
//! The sources are in `c/` and `rust/`; [`Workshop`] compiles them, [`IoNet`] runs io-net and speaks
//! to it through io-netctl. What must hold is in `tests/`.
#![forbid(unsafe_code)]

mod io_net;
mod workshop;

pub use io_net::IoNet;
pub use workshop::{Workshop, built};
