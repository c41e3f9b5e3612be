//! Questions about nodes: what a program and `npm-qnet` say over a message connection.
//!
//! The network manager answers as process [`PID`], channel [`CHID`] of every node, at
//! `<run>/msg/qnet`. A question is one message: a [`Question`], and behind it a text without NUL
//! where its subtype has one. The reply has status 0 and is an [`Answer`], and behind it a text
//! where there is one; or it is an error, as `MsgError` gives it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The process id under which each node's network manager is known: QNX's `SYSMGR_PID`.
pub const PID: i32 = 1;
/// Its channel: a number that no channel of a process has, as in a container process 1 is like any other.
pub const CHID: i32 = i32::MAX;

/// [`Question::kind`]: QNX's `_IO_MSG`.
pub const IO_MSG: u16 = 0x113;
/// [`Question::manager`]: QNX's `_IOMGR_NETMGR`.
pub const MANAGER: u16 = 0x0e;

/// What is asked.
pub mod subtype {
    /// How node `nd` calls the node that is `other` here. Answered in `nd`. ESRCH for no node.
    pub const REMOTE_ND: u16 = 1;
    /// The node that the text names, as far as it goes: `lab2~preferred:en0`, with or without a
    /// leading `/net/`. Answered in `nd`; `len` is how much of the text was taken. ENOENT, EINVAL.
    pub const STRTOND: u16 = 2;
    /// The name of node `nd`; `other` has QNX's `ND2S_` bits. Answered by a text. ESRCH for no node.
    pub const NDTOSTR: u16 = 3;
    /// The channel that has the name in the text, `local/NAME` or `global/NAME`, on node `nd`; with
    /// `nd` 0 a global name on any node. Answered in `nd`, `pid` and `chid`, as the asker should
    /// connect to it. ENOENT for no such name, EHOSTUNREACH for a node that does not answer. This
    /// subtype is io-net's own.
    pub const RESOLVE: u16 = 0x40;
    /// Sends a signal to a process of node `nd`; the text is its process id, its thread or 0, the
    /// signal and its value, in decimal. Answered when it is on its way; ESRCH for no node. This
    /// subtype is io-net's own.
    pub const SIGNAL: u16 = 0x41;
}

/// A question to the network manager.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Question {
    /// [`IO_MSG`].
    pub kind: u16,
    /// 0.
    pub combine_len: u16,
    /// [`MANAGER`].
    pub manager: u16,
    /// One of [`subtype`].
    pub subtype: u16,
    /// A node descriptor.
    pub nd: u32,
    /// What `subtype` says; 0 else.
    pub other: u32,
}

/// The reply.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Answer {
    /// A node descriptor.
    pub nd: u32,
    /// Bytes of text: taken from the question, or following here.
    pub len: u32,
    /// A process.
    pub pid: i32,
    /// A channel of it.
    pub chid: i32,
}

impl Question {
    /// A question of this subtype.
    #[must_use]
    pub fn new(subtype: u16, nd: u32, other: u32) -> Self {
        Self {
            kind: IO_MSG,
            combine_len: 0,
            manager: MANAGER,
            subtype,
            nd,
            other,
        }
    }

    /// The question in a message and its text, or nothing where it is none.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<(Self, &str)> {
        let (question, text) = Self::read_from_prefix(message).ok()?;
        let ours = question.kind == IO_MSG && question.manager == MANAGER;
        ours.then_some((question, std::str::from_utf8(text).ok()?))
    }
}

const _: () = {
    assert!(size_of::<Question>() == 16);
    assert!(size_of::<Answer>() == 16);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_its_manager() {
        let mut message = Question::new(subtype::STRTOND, 0, 0).as_bytes().to_vec();
        message.extend_from_slice(b"lab2");
        let (question, text) = Question::parse(&message).unwrap();
        assert_eq!((question.subtype, text), (subtype::STRTOND, "lab2"));
        assert_eq!(Question::parse(&message[..15]), None);
        message[4] ^= 1;
        assert_eq!(Question::parse(&message), None);
    }

    #[test]
    fn a_text_that_is_none_is_refused() {
        let mut message = Question::new(subtype::STRTOND, 0, 0).as_bytes().to_vec();
        message.push(0xff);
        assert_eq!(Question::parse(&message), None);
    }
}
