//! Files by message.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`message`] | requests, attributes, directories |
//! | [`export`] | what a node shows: directories of its own, and names |
//! | [`caller`] | for whom a request is done |
//! | [`disk`] | what is done to the files of a directory |
//! | [`server`] | the service |
//! | [`remote`] | the client: another node's files |

pub mod caller;
pub mod disk;
pub mod export;
pub mod message;
pub mod remote;
pub mod server;
