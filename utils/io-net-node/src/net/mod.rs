//! `/net`: other nodes' files, as a file system of this node.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`mount`] | the mount: made, tuned, taken away |
//! | [`tree`] | which number is which file of which node |
//! | [`peer`] | one node's threads, so that none waits for another's |
//! | [`nodes`] | which nodes there are |
//! | [`attributes`] | what stat tells, between the messages and FUSE |
//! | `filesystem` | FUSE's requests; its thread never waits |
//! | `handles` | what programs have open |

pub mod attributes;
mod filesystem;
mod handles;
pub mod mount;
pub mod nodes;
pub mod peer;
pub mod tree;
