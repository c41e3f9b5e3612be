//! Modules: shared objects, checked before any of their code is asked to do something.
//!
//! One of the homes of unsafe: a module is opened, its description read, and its `init` and `shutdown`
//! called here, all on the control thread. A module in this process is trusted not to be malicious;
//! it is not trusted to be right.

mod elf;
mod search;

pub use search::SearchPath;

use crate::config::Kind;
use crate::options::{OptionInfo, ValueKind};
use io_net_abi::{
    ABI_MAJOR, ABI_MINOR, Ion, KIND_CONVERTER, KIND_DRIVER, KIND_FILTER, KIND_PROTOCOL,
    Module as Raw, OPT_FLAG, OPT_IPV4, OPT_MAC, OPT_NUMBER, OPT_TEXT, OptionSpec, Text,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{CStr, c_char, c_void};
use std::io::Read as _;
use std::path::Path;

/// Options that one module may have.
const OPTIONS_MAX: u32 = 256;

/// A module that is mapped and fits this io-net.
#[derive(Debug)]
pub struct Module {
    library: Option<Library>,
    raw: *const Raw,
    /// What it is for.
    pub kind: Kind,
    /// Its full name, `devn-tap`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is, in a line.
    pub summary: String,
    /// What options it takes.
    pub options: Vec<OptionInfo>,
}

/// A module's own pointer to an instance.
#[derive(Debug)]
pub struct InstancePointer(*mut c_void);

/// What became of `init`.
#[derive(Debug)]
pub enum InitResult {
    /// It runs.
    Started(InstancePointer),
    /// It failed with this errno, and has undone what it did.
    Failed(i32),
    /// It returned what no `init` returns; nothing is known of what it left.
    Rubbish(i32),
}

impl Module {
    /// Opens the module in `path`, which must be of `kind` where that is given.
    ///
    /// # Errors
    /// Why it is no module for this io-net, and what to do.
    pub fn open(path: &Path, kind: Option<Kind>) -> Result<Module, String> {
        let at = path.display();
        check_file(path)?;
        // SAFETY: initialisers of the object run here; that the operator names it says that it is
        // trusted.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|e| format!("{at} cannot be loaded: {}", reason(&e)))?;
        // SAFETY: the symbol is only used as an address.
        let symbol = unsafe { library.get::<*const Raw>(b"io_net_module\0") };
        let raw = symbol
            .map_err(|_| {
                format!(
                    "{at} is no io-net module: it does not export io_net_module; modules are made \
                     with the DDK"
                )
            })?
            .into_raw()
            .cast::<Raw>()
            .cast_const();
        // SAFETY: an exported object of that name is a description, which begins with size and
        // version; the library keeps it mapped.
        unsafe { check_version(raw) }.map_err(|e| format!("{at}: {e}"))?;
        // SAFETY: of this version, so the fields are there and mean what we think.
        let module = unsafe { describe(raw, library) }.map_err(|e| format!("{at}: {e}"))?;
        module.check_kind(path, kind)?;
        Ok(module)
    }

    fn check_kind(&self, path: &Path, wanted: Option<Kind>) -> Result<(), String> {
        let named = Kind::of_name(&search::module_name(path));
        for expected in [wanted, named].into_iter().flatten() {
            if expected != self.kind {
                return Err(format!(
                    "{} says that it is a {}, not a {}; load it as what it is",
                    path.display(),
                    self.kind.word(),
                    expected.word()
                ));
            }
        }
        Ok(())
    }

    /// Makes an instance. Control thread. `ion` lives until [`Module::end`] has returned, or at
    /// least as long as the object is mapped where there is no instance.
    pub(crate) fn start(&self, ion: &Ion, options: &str) -> InitResult {
        let text = Text {
            ptr: options.as_ptr(),
            len: options.len(),
        };
        let mut instance = std::ptr::null_mut();
        // SAFETY: checked when the module was opened, and mapped since.
        let init = unsafe { (*self.raw).init };
        // SAFETY: the contract of `init`: the text is borrowed, `instance` may be written.
        let result = init.map_or(-38, |init| unsafe { init(ion, text, &mut instance) });
        match result {
            0 => InitResult::Started(InstancePointer(instance)),
            -4095..0 => InitResult::Failed(-result),
            _ => InitResult::Rubbish(result),
        }
    }

    /// Ends an instance, of which no operation runs or will run. Control thread.
    pub(crate) fn end(&self, instance: InstancePointer) {
        // SAFETY: mapped; the instance is from `init` and is given up.
        unsafe {
            if let Some(shutdown) = (*self.raw).shutdown {
                shutdown(instance.0);
            }
        }
    }

    /// Leaves the shared object mapped for good: something of it may still be in use.
    pub fn keep_mapped(&mut self) {
        std::mem::forget(self.library.take());
    }
}

/// Whether the file looks like a shared object.
fn check_file(path: &Path) -> Result<(), String> {
    const START: u64 = 65536;
    let at = path.display();
    let cannot = |e: std::io::Error| format!("{at} cannot be read: {e}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err(format!("{at} is no file"));
    }
    let mut start = Vec::new();
    file.take(START).read_to_end(&mut start).map_err(cannot)?;
    elf::check(&start, about.len()).map_err(|e| format!("{at} cannot be loaded: {e}"))
}

fn reason(error: &libloading::Error) -> String {
    let mut text = error.to_string();
    if let libloading::Error::DlOpen { source, .. } = error {
        text = source.to_string();
    }
    text
}

/// Checks the head of a description.
///
/// # Safety
/// `raw` is null or points to a description, of whichever version.
unsafe fn check_version(raw: *const Raw) -> Result<(), String> {
    if raw.is_null() || !raw.is_aligned() {
        return Err("io_net_module is not where a description can be".into());
    }
    // SAFETY: the caller's promise; these fields are first in every version.
    let (size, major, minor) = unsafe { ((*raw).size, (*raw).abi_major, (*raw).abi_minor) };
    if major != ABI_MAJOR || minor > ABI_MINOR {
        return Err(format!(
            "it was built for version {major}.{minor} of the module interface, and this io-net has \
             {ABI_MAJOR}.{ABI_MINOR}; build it again with this io-net's DDK"
        ));
    }
    if (size as usize) < size_of::<Raw>() {
        return Err(format!(
            "its description has {size} bytes, and {} are needed",
            size_of::<Raw>()
        ));
    }
    Ok(())
}

/// Reads a description.
///
/// # Safety
/// `raw` is a description of this version, mapped as long as `library` is.
unsafe fn describe(raw: *const Raw, library: Library) -> Result<Module, String> {
    // SAFETY: the caller's promise.
    let module = unsafe { &*raw };
    let kind = match module.kind {
        KIND_DRIVER => Kind::Driver,
        KIND_FILTER => Kind::Filter,
        KIND_CONVERTER => Kind::Converter,
        KIND_PROTOCOL => Kind::Protocol,
        other => return Err(format!("its kind is {other}, which there is not")),
    };
    if module.init.is_none() || module.shutdown.is_none() {
        return Err("its description lacks init or shutdown".into());
    }
    if module.n_options > OPTIONS_MAX || (module.n_options > 0 && module.options.is_null()) {
        return Err("its description has an impossible list of options".into());
    }
    let specs = match module.n_options {
        0 => &[][..],
        // SAFETY: not null; the description says that so many are there.
        n => unsafe { std::slice::from_raw_parts(module.options, n as usize) },
    };
    // SAFETY: the description's strings are NUL-terminated.
    let (name, version, summary) = unsafe {
        (
            string(module.name),
            string(module.version),
            string(module.summary),
        )
    };
    if Kind::of_name(&name) != Some(kind) {
        return Err(format!(
            "it calls itself \"{name}\", and the name of a {} begins with {}",
            kind.word(),
            kind.prefix()
        ));
    }
    // SAFETY: as above.
    let option = |spec| unsafe { option(spec) };
    Ok(Module {
        options: specs.iter().map(option).collect::<Result<_, _>>()?,
        library: Some(library),
        raw,
        kind,
        name,
        version,
        summary,
    })
}

/// # Safety
/// The strings in `spec` are null or NUL-terminated.
unsafe fn option(spec: &OptionSpec) -> Result<OptionInfo, String> {
    // SAFETY: the caller's promise.
    let (name, help) = unsafe { (string(spec.name), string(spec.help)) };
    if name.is_empty() || name.contains(['=', ',']) {
        return Err(format!(
            "its option \"{name}\" has a name that nobody could give"
        ));
    }
    let kind = match spec.kind {
        OPT_FLAG => ValueKind::Flag,
        OPT_NUMBER => ValueKind::Number,
        OPT_TEXT => ValueKind::Text,
        OPT_MAC => ValueKind::Mac,
        OPT_IPV4 => ValueKind::Ipv4,
        other => {
            return Err(format!(
                "its option {name} is of kind {other}, which there is not"
            ));
        }
    };
    Ok(OptionInfo {
        name,
        kind,
        repeatable: spec.repeatable != 0,
        help,
    })
}

/// # Safety
/// `string` is null or NUL-terminated.
unsafe fn string(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    let string = unsafe { CStr::from_ptr(string) };
    string.to_string_lossy().into_owned()
}
