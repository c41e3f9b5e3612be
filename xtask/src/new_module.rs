//! Makes a new module from `modules/template`.

use crate::shell::{self, Outcome};
use crate::workspace;
use std::path::Path;

/// The kinds of module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// One network adaptor
    Driver,
    /// Sees packets above or below a producer
    Filter,
    /// Encapsulates between layers
    Converter,
    /// A protocol stack
    Protocol,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Driver => "devn",
            Self::Filter => "nfm",
            Self::Converter => "ncm",
            Self::Protocol => "npm",
        }
    }
}

/// Makes `modules/PREFIX-NAME`.
pub(crate) fn run(kind: Kind, name: &str) -> Outcome {
    let _ = (kind.prefix(), name, Path::new(""), workspace::root());
    shell::make_dir(Path::new("/tmp"))?;
    Err("later".into())
}
