//! The runtime directory: where channels and names of this node are.

use std::path::{Path, PathBuf};

/// `SOCK` of the environment, or the runtime directory of io-net's instance 0: `/run/io-net`, without
/// root `$XDG_RUNTIME_DIR/io-net` or `/tmp/io-net-UID`. It need not exist.
#[must_use]
pub fn run() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|dir| !dir.is_empty());
    if let Some(dir) = set("SOCK") {
        return dir.into();
    }
    let uid = io_net_os::task::user_id();
    if uid == 0 {
        return "/run/io-net".into();
    }
    match set("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("io-net"),
        None => format!("/tmp/io-net-{uid}").into(),
    }
}
