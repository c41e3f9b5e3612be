//! Builds what a test needs: io-net itself, and modules in C.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The directory of programs and shared objects that cargo has built: `target/debug`.
///
/// # Panics
/// Where io-net does not build.
#[must_use]
pub fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let packages = ["-p", "io-net", "-p", "io-netctl"];
        run(Command::new(env!("CARGO"))
            .arg("build")
            .arg("--quiet")
            .args(packages)
            .current_dir(env!("CARGO_MANIFEST_DIR")));
        // The test runs in target/debug/deps.
        let test = std::env::current_exe().expect("this test has a path");
        let debug = test
            .ancestors()
            .nth(2)
            .expect("it lies in target/debug/deps");
        debug.to_owned()
    })
}

/// A directory in which modules are made. It vanishes with the value.
#[derive(Debug)]
pub struct Workshop {
    dir: TempDir,
}

impl Workshop {
    /// An empty one.
    ///
    /// # Panics
    /// Where no directory can be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Workshop {
            dir: TempDir::with_prefix("io-net-bad-").expect("a directory for the test"),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Compiles `c/NAME.c` to `NAME.so`, with further arguments to the compiler.
    ///
    /// # Panics
    /// Where there is no C compiler, or it refuses.
    #[must_use]
    pub fn compile(&self, name: &str, args: &[&str]) -> PathBuf {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let module = self.dir().join(format!("{name}.so"));
        run(Command::new("cc")
            .args([
                "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
            ])
            .arg("-I")
            .arg(here.join("../../ddk/abi/include"))
            .arg("-I")
            .arg(here.join("../../ddk/testkit/c"))
            .arg("-o")
            .arg(&module)
            .arg(here.join("c").join(format!("{name}.c")))
            .args(args));
        module
    }

    /// A file `name` with these bytes.
    ///
    /// # Panics
    /// Where it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir().join(name);
        std::fs::write(&path, bytes).expect("a file for the test");
        path
    }
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
