//! The Network DDK: what a module is written against, in Rust.
//!
//! A module is a shared object with one [`module!`] in it. Its `init` function is given an
//! [`Init`], reads its options, and registers one or more [`Registrant`]s, which io-net then calls:
//!
//! ```
//! #![deny(unsafe_code)]
//! use io_net_ddk::prelude::*;
//!
//! /// Counts what passes, and passes it on.
//! struct Counting {
//!     up: Counter,
//! }
//!
//! impl Registrant for Counting {
//!     fn rx_up(&mut self, burst: Burst, cx: &Cx) {
//!         self.up.add(burst.len() as u64);
//!         cx.tx_up(burst);
//!     }
//! }
//!
//! fn init(init: &mut Init) -> Result<(), Failure> {
//!     let place = Place::filter_above(c"count", c"en");
//!     init.register(place, |cx| Ok(Counting { up: cx.counter(c"up") }))
//! }
//!
//! io_net_ddk::module! {
//!     kind: io_net_ddk::abi::KIND_FILTER,
//!     name: c"nfm-count",
//!     summary: c"Counts packets.",
//!     options: [],
//!     init: init,
//! }
//! # fn main() {}
//! ```
//!
//! What io-net promises a registrant, and asks of it, is in [`Registrant`]'s documentation.

pub mod offload;
pub mod vlan;
pub mod vnet;

mod advert;
mod counter;
mod cx;
mod failure;
mod init;
mod message;
mod module;
mod nic;
mod options;
mod registrant;
mod trampoline;

pub use advert::{advert, advert_name};
pub use counter::Counter;
pub use cx::{Cx, Mate, Waker};
pub use failure::{Failure, errno};
pub use init::{Init, Place};
pub use message::{InterfaceAddress, addresses_message, read_addresses};
pub use module::export;
pub use nic::{
    NicCounters, Tally, answer_config, answer_stats, nic_config, random_mac, rx_flags,
    vnet_is_sound,
};
pub use options::{Options, flag, ipv4, mac, number, text};
pub use registrant::{Registrant, answer};

pub use io_net_abi as abi;
pub use io_net_pktbuf as pktbuf;

/// What nearly every module uses.
pub mod prelude {
    pub use crate::abi::{Advert, NicConfig, NicStats};
    pub use crate::pktbuf::{Burst, BurstBuf, Packet, SharedPacket, alloc_burst, alloc_one};
    pub use crate::{Counter, Cx, Failure, Init, Options, Place, Registrant};
}
