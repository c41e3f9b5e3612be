//! Requests for programs, and what is replied.
//!
//! | request | of the head | body | reply: status, bytes |
//! | --- | --- | --- | --- |
//! | START | length: how many arguments | [`Command`] | job |
//! | INPUT | handle: job | bytes; none at the end | how many, when the program has them |
//! | OUTPUT | handle, mode: 1 or 2 | | bytes, when there are some; none at the end |
//! | SIGNAL | handle, mode: which | | 0 |
//! | WAIT | handle | | wait(2)'s status, when the program has ended |
//!
//! A client has one job's OUTPUT of a stream, and its WAIT, under way at once. A client that goes
//! away takes its jobs with it.

use crate::errno;
use io_net_msg::Result;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Requests.
pub mod op {
    #![allow(missing_docs, reason = "the table above")]
    pub const START: u32 = 1;
    pub const INPUT: u32 = 2;
    pub const OUTPUT: u32 = 3;
    pub const SIGNAL: u32 = 4;
    pub const WAIT: u32 = 5;
}

/// Bytes of input or output that go at once.
pub const CHUNK: usize = 64 << 10;
/// Bytes of a command with all that belongs to it.
const COMMAND_MAX: usize = 512 << 10;

/// What is to run: each text ends with NUL; the directory, the arguments, `NAME=VALUE`s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Where.
    pub directory: OsString,
    /// The program and its arguments.
    pub arguments: Vec<OsString>,
    /// Variables of the environment.
    pub variables: Vec<(OsString, OsString)>,
}

impl Command {
    /// As a body.
    ///
    /// # Errors
    /// EMSGSIZE where it is too much; EINVAL for NUL in a text.
    pub fn to_body(&self) -> Result<Vec<u8>> {
        let pair = |(name, value): &(OsString, OsString)| {
            [name.as_bytes(), b"=", value.as_bytes()].concat()
        };
        let arguments = self.arguments.iter().map(|text| text.as_bytes().to_vec());
        let texts = std::iter::once(self.directory.as_bytes().to_vec())
            .chain(arguments)
            .chain(self.variables.iter().map(pair));
        let mut body = Vec::new();
        for text in texts {
            if text.contains(&0) {
                return Err(errno::INVAL);
            }
            body.extend(text);
            body.push(0);
        }
        match body.len() <= COMMAND_MAX {
            true => Ok(body),
            false => Err(errno::MSGSIZE),
        }
    }

    /// From a body with `count` arguments.
    ///
    /// # Errors
    /// EINVAL for what is none.
    pub fn parse(body: &[u8], count: u32) -> Result<Self> {
        let texts = body.strip_suffix(b"\0").ok_or(errno::INVAL)?;
        if body.len() > COMMAND_MAX {
            return Err(errno::MSGSIZE);
        }
        let mut texts = texts
            .split(|byte| *byte == 0)
            .map(|t| OsString::from_vec(t.to_vec()));
        let directory = texts.next().ok_or(errno::INVAL)?;
        let arguments: Vec<OsString> = texts.by_ref().take(count as usize).collect();
        if arguments.is_empty() || arguments.len() != count as usize || arguments[0].is_empty() {
            return Err(errno::INVAL);
        }
        let pair = |text: OsString| {
            let bytes = text.as_bytes();
            let at = bytes
                .iter()
                .position(|byte| *byte == b'=')
                .filter(|at| *at > 0)?;
            let part = |bytes| OsStr::from_bytes(bytes).to_owned();
            Some((part(&bytes[..at]), part(&bytes[at + 1..])))
        };
        let variables = texts.map(pair).collect::<Option<_>>().ok_or(errno::INVAL)?;
        Ok(Self {
            directory,
            arguments,
            variables,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_go_over_and_others_are_refused() {
        let command = Command {
            directory: "/tmp".into(),
            arguments: vec!["ls".into(), "".into(), "-l".into()],
            variables: vec![("A".into(), "b=c".into()), ("D".into(), "".into())],
        };
        let body = command.to_body().unwrap();
        assert_eq!(Command::parse(&body, 3), Ok(command.clone()));
        for count in [0, 6, u32::MAX] {
            assert_eq!(Command::parse(&body, count), Err(errno::INVAL), "{count}");
        }
        for body in [&b""[..], b"x", b"\0", b"\0\0"] {
            assert_eq!(Command::parse(body, 1), Err(errno::INVAL), "{body:?}");
        }
        let arguments = vec!["a\0b".into()];
        let bad = Command {
            arguments,
            ..command
        };
        assert_eq!(bad.to_body(), Err(errno::INVAL));
    }
}
