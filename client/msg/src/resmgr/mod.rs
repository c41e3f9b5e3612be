//! Files by message: resource managers, and their clients.
//!
//! A resource manager is a server with a name whose clients open, read and write it. A [`Device`] says
//! what these do; all that it does not say has a default, by which it behaves like `/dev/null`:
//!
//! ```no_run
//! use io_net_msg::resmgr::{Device, Manager};
//!
//! struct Null;
//! impl Device for Null {}
//!
//! fn main() -> io_net_msg::Result<()> {
//!     Manager::attach("/dev/nothing", Null)?.run()
//! }
//! ```
//!
//! A client opens it by that name, or from another node as `/net/NODE/dev/nothing`:
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! use std::io::Read;
//! use io_net_msg::resmgr::File;
//!
//! let mut text = String::new();
//! File::open("/dev/nothing", libc::O_RDONLY)?.read_to_string(&mut text)?;
//! # Ok(())
//! # }
//! ```
//!
//! | file | what it holds |
//! | --- | --- |
//! | `manager` | receives, and calls the device |
//! | [`device`] | what a device is and does by default |
//! | [`attributes`] | who may open it, and what stat says |
//! | [`data`] | the bytes of a read or a write, moved between client and device |
//! | [`call`], `file` | the client's side, over a coid and as an object |
//! | [`message`] | the messages |

pub mod attributes;
pub mod call;
pub mod data;
pub mod device;
mod file;
mod manager;
pub mod message;

pub use attributes::Attributes;
pub use data::{Input, Later, Output};
pub use device::{Device, Ocb};
pub use file::File;
pub use manager::Manager;
