//! The network manager: loads modules and moves packets between them.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`args`], [`config`], [`options`] | what the operator says |
//! | [`loader`] | shared objects and what they say of themselves |
//! | [`registry`] | who is in the graph, under which name and number |
//! | [`graph`] | who is next |
//! | [`dispatch`] | the packet path, and the table that modules call |
//! | [`worker`] | threads that poll, wait and carry packets |
//! | [`lifecycle`] | mounting and unmounting, start and stop |
//! | [`control`] | requests from outside |
//! | [`devfs`] | the registrants as a tree of mounts |

#![deny(unsafe_code)]

pub mod args;
pub mod config;
pub mod control;
pub mod devfs;
#[allow(unsafe_code)]
pub mod dispatch;
pub mod graph;
pub mod instance;
pub mod instances;
pub mod lifecycle;
#[allow(unsafe_code)]
pub mod loader;
pub mod log;
pub mod options;
pub mod registry;
pub mod report;
pub mod run_dir;
pub mod shared;
pub mod worker;
