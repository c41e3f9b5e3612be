//! Both ends of message passing, for the tests of Qnet: a server that does as each message's first
//! byte says, and a client that sends such messages and checks what comes of them.
//!
//! ```text
//! qnet-peer serve [plain]                     prints "serving PID CHID", then each pulse
//! qnet-peer serve (local|global) NAME         the same under a name
//! qnet-peer call NODE PID CHID WHAT [NUMBER]...
//! qnet-peer open (local|global) PATH WHAT [NUMBER]...
//! qnet-peer node NAME                         prints the node's descriptor and its name
//! ```
#![forbid(unsafe_code)]

mod client;
mod server;

use io_net_msg::flags::CHF_UNBLOCK;
use io_net_msg::name::Scope;
use std::process::ExitCode;

/// What a message asks the server for: its first byte.
mod ask {
    /// Give the whole message back.
    pub(crate) const ECHO: u8 = b'e';
    /// Say who sent it.
    pub(crate) const WHO: u8 = b'w';
    /// Read all of it, piece by piece, and give its length and checksum.
    pub(crate) const SUM: u8 = b's';
    /// Write as many bytes as the message's number says, piece by piece.
    pub(crate) const GET: u8 = b'g';
    /// Fail with EACCES.
    pub(crate) const FAIL: u8 = b'x';
    /// Do not reply before the client wants to be unblocked.
    pub(crate) const HOLD: u8 = b'h';
    /// End the process.
    pub(crate) const DIE: u8 = b'd';
    /// Deliver a pulse over the connection in the message's number.
    pub(crate) const EVENT: u8 = b'v';
    /// Count the message's number; complain where it comes twice.
    pub(crate) const COUNT: u8 = b'c';
}

/// A byte of a long message, by its place.
fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

/// A sum in which each byte's place counts.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |sum: u64, &byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    })
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["serve"] => server::serve(CHF_UNBLOCK, None),
        ["serve", "plain"] => server::serve(0, None),
        ["serve", "local", name] => server::serve(CHF_UNBLOCK, Some((name, Scope::Local))),
        ["serve", "global", name] => server::serve(CHF_UNBLOCK, Some((name, Scope::Global))),
        ["call", node, pid, chid, what, ref numbers @ ..] => {
            client::call(node, pid, chid, what, numbers)
        }
        ["open", scope, path, what, ref numbers @ ..] => {
            client::open(path, scope == "global", what, numbers)
        }
        ["node", name] => client::name_node(name),
        _ => Err("what to do is said at the head of this program's source".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("failed: {why}");
            ExitCode::FAILURE
        }
    }
}
