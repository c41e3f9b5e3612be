//! The packet pool, and owned packets from it.
//!
//! The manager owns the one [`Pool`]; modules see [`Packet`] (sole owner: may write), [`SharedPacket`]
//! (one of several references: may read) and [`Burst`] (up to 256 of either, handed on at once).
//! Dropping any of them releases the references, which is QNX's `tx_done`.
//!
//! This crate is one of the homes of unsafe: a descriptor is shared between modules, threads and,
//! by the pool's memfd, processes, and the types here are what makes its handling linear.

mod burst;
mod memory;
mod packet;
mod pool;

pub use burst::{Burst, BurstBuf};
pub use memory::{PacketMemory, alloc_burst, alloc_one, set_memory};
pub use packet::{Packet, SharedPacket};
pub use pool::{Cache, Pool, PoolConfig, PoolError};

pub use io_net_abi as abi;
