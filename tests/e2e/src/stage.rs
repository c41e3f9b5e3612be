//! Where the staged build is.

use std::path::{Path, PathBuf};

/// The directory that `cargo xtask stage` fills.
#[derive(Clone, Debug)]
pub struct Stage {
    root: PathBuf,
}

impl Stage {
    /// `$IO_NET_STAGE`, or `target/stage` of this workspace.
    #[must_use]
    pub fn find() -> Self {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/stage");
        let root = std::env::var_os("IO_NET_STAGE").map_or(default, PathBuf::from);
        Self {
            root: root.canonicalize().unwrap_or(root),
        }
    }

    /// Whether something has been staged there.
    #[must_use]
    pub fn is_built(&self) -> bool {
        self.bin("io-net").exists()
    }

    /// A program.
    #[must_use]
    pub fn bin(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// The directory of modules.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.root.join("lib/io-net")
    }

    /// The directory to give a C compiler for `<io_net/ddk.h>`.
    #[must_use]
    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}
