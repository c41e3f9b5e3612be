//! The binary interface between io-net and its modules.
//!
//! Only `repr(C)` types live here: what crosses the boundary, and nothing that acts on it. The C
//! header `include/io_net/ddk.h` is generated from these files, so the comments here are the
//! reference for authors in both languages; `abi.lock` pins every size and offset.
//!
//! Conventions of the boundary:
//!
//! - Who allocates frees. No Rust type with an owner (`String`, `Vec`, `Box`) crosses.
//! - Packets are linear: whoever is handed one owns it, and passes it on, keeps it or releases it.
//! - Calls that fail return a negative errno; text about the failure goes through [`Ion::fail`].
//! - Tables begin with their size in bytes, so that a later minor version can append fields.
#![no_std]

mod advert;
mod devctl;
mod manager;
mod message;
mod module;
mod npkt;
mod registrant;

pub use advert::*;
pub use devctl::*;
pub use manager::*;
pub use message::*;
pub use module::*;
pub use npkt::*;
pub use registrant::*;

/// A change of this number breaks every built module.
pub const ABI_MAJOR: u16 = 1;
/// A change of this number only appends.
pub const ABI_MINOR: u16 = 1;

/// Text that is borrowed for the length of a call: UTF-8, not NUL-terminated.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    /// First byte; may be null where `len` is 0.
    pub ptr: *const u8,
    /// Bytes.
    pub len: usize,
}
