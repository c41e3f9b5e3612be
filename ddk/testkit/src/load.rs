//! Where the module under test comes from.

use io_net_abi::Module;
use libloading::Library;
use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A module under test.
#[derive(Clone)]
pub enum Source {
    /// A shared object.
    File(PathBuf),
    /// The description in the test's own program.
    Static(&'static Module),
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Source::File(path.to_owned())
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Source::File(path)
    }
}

impl From<&'static Module> for Source {
    fn from(module: &'static Module) -> Self {
        Source::Static(module)
    }
}

/// A module's description, with the shared object that it lies in.
pub(crate) struct Loaded {
    module: *const Module,
    _library: Option<Library>,
}

impl Loaded {
    pub(crate) fn open(source: &Source) -> Result<Self, String> {
        let path = match source {
            Source::Static(module) => {
                return Ok(Loaded {
                    module: *module,
                    _library: None,
                });
            }
            Source::File(path) => path,
        };
        // SAFETY: a module's initialisers are ordinary code, and the test trusts its subject.
        let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
        // SAFETY: the symbol, where it exists, is a `Module`, as every io-net module promises.
        let module = unsafe { library.get::<*const Module>(c"io_net_module") }
            .map(|symbol| *symbol)
            .map_err(|error| format!("{}: no io_net_module: {error}", path.display()))?;
        Ok(Loaded {
            module,
            _library: Some(library),
        })
    }

    pub(crate) fn module(&self) -> &Module {
        // SAFETY: static data of the shared object, which `self` keeps loaded.
        unsafe { &*self.module }
    }
}

/// A C string of the module's as text; `None` where it is null or not UTF-8.
pub(crate) fn text<'a>(pointer: *const c_char) -> Option<&'a str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the ABI says that every such pointer is null or a NUL-terminated static string.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok()
}

/// The shared object of the workspace's package `name` (`nfm-bridge`): from the directory that
/// `IO_NET_TEST_MODULES` names, else built by cargo as the running test was.
///
/// # Panics
/// Where there is none: the test cannot run.
pub fn built_module(name: &str) -> PathBuf {
    let file = format!("lib{}.so", name.replace('-', "_"));
    if let Some(dir) = std::env::var_os("IO_NET_TEST_MODULES") {
        return Path::new(&dir).join(file);
    }
    let exe = std::env::current_exe().expect("the test's own path");
    let target = exe
        .ancestors()
        .nth(2)
        .expect("a test lies in target/PROFILE/deps");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // A test's own build leaves out a cdylib, so that has to be asked for.
    build.args(["build", "--quiet", "--package", name]);
    if target.ends_with("release") {
        build.arg("--release");
    }
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    let path = target.join(file);
    assert!(
        status.is_ok_and(|status| status.success()) && path.exists(),
        "cargo build -p {name} did not make {}",
        path.display()
    );
    path
}
