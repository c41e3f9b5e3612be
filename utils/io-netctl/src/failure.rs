//! Why a command ended without doing what it was asked, and with which status.

use std::fmt;

/// A failure, by whose part it is to do something about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// io-net refused or could not: its own words.
    Refused(String),
    /// The command cannot be understood.
    Usage(String),
    /// There is no io-net to speak to.
    Unreachable(String),
}

impl Failure {
    /// The exit status of io-netctl.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Failure::Refused(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unreachable(_) => 3,
        }
    }

    /// The exit status as mount(8) has it: 1 for a wrong invocation, 32 for a mount that failed.
    pub(crate) fn mount_status(&self) -> u8 {
        match self {
            Failure::Usage(_) => 1,
            Failure::Refused(_) | Failure::Unreachable(_) => 32,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(text) | Failure::Usage(text) | Failure::Unreachable(text) => {
                f.write_str(text)
            }
        }
    }
}
