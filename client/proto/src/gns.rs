//! Questions about global names: what programs and `gns` say over a message connection, and `gns` to
//! that of another node.
//!
//! Each node that has one finds its `gns` under the global name [`NAME`]. A question is one message: a
//! [`Question`], and behind it texts, each of which ends with a NUL. The reply has status 0 and is such
//! texts too, or it is an error.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::netmgr::IO_MSG;

/// The global name of `gns` itself, which each node has for itself: it is told to nobody.
pub const NAME: &str = "gns";

/// [`Question::manager`]: none of QNX's.
pub const MANAGER: u16 = 0x1e;

/// Bytes of a question or a reply with its texts, at most.
pub const LEN_MAX: usize = 64 << 10;

/// What is asked.
pub mod subtype {
    /// Look whether this node has the global name in the text, which a program has attached or
    /// detached. Answered when those who keep names have been told. From programs of this node.
    pub const CHANGED: u16 = 1;
    /// The nodes that have the global name in the text, as far as is known. Answered by their full names,
    /// best first. EHOSTUNREACH where nobody who keeps names answers.
    pub const FIND: u16 = 2;
    /// The sender's node has these global names and no others. From another node. ENOSYS where no
    /// names are kept, EAGAIN where there are too many.
    pub const BEGIN: u16 = 3;
    /// It has these ones too.
    pub const ADD: u16 = 4;
    /// It has these ones no more.
    pub const REMOVE: u16 = 5;
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
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
}

/// The message that asks `subtype` about `texts`.
#[must_use]
pub fn question<'t>(subtype: u16, texts: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
    let head = Question {
        kind: IO_MSG,
        combine_len: 0,
        manager: MANAGER,
        subtype,
    };
    let mut message = head.as_bytes().to_vec();
    put(&mut message, texts);
    message
}

/// What a message asks, and about which texts; nothing where it is none of these questions.
#[must_use]
pub fn parse(message: &[u8]) -> Option<(u16, Vec<&str>)> {
    let (head, rest) = Question::read_from_prefix(message).ok()?;
    let ours = head.kind == IO_MSG && head.manager == MANAGER;
    ours.then_some((head.subtype, texts(rest)?))
}

/// Appends texts to a question or a reply.
pub fn put<'t>(message: &mut Vec<u8>, texts: impl IntoIterator<Item = &'t str>) {
    for text in texts {
        message.extend_from_slice(text.as_bytes());
        message.push(0);
    }
}

/// The texts of a reply; nothing where it is none.
#[must_use]
pub fn texts(bytes: &[u8]) -> Option<Vec<&str>> {
    let Some(text) = std::str::from_utf8(bytes).ok()?.strip_suffix('\0') else {
        return bytes.is_empty().then(Vec::new);
    };
    Some(text.split('\0').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_understood() {
        for texts in [vec![], vec!["a"], vec!["a/b", "", "c d"]] {
            let message = question(subtype::ADD, texts.iter().copied());
            assert_eq!(parse(&message), Some((subtype::ADD, texts)));
        }
    }

    #[test]
    fn rubbish_is_no_question() {
        let mut message = question(subtype::FIND, ["a"]);
        for len in 0..message.len() {
            // Without any text it is a question about nothing.
            assert_eq!(parse(&message[..len]).is_some(), len == 8, "{len}");
        }
        message[8] = 0xff;
        assert_eq!(parse(&message), None);
        let other = crate::netmgr::Question::new(subtype::FIND, 0, 0);
        assert_eq!(parse(other.as_bytes()), None);
    }
}
