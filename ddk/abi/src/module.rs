//! What a shared object exports: one static [`Module`] named `io_net_module`.

use crate::{Ion, Text};
use core::ffi::{c_char, c_void};

/// [`Module::kind`] of a driver, `devn-`.
pub const KIND_DRIVER: u32 = 1;
/// [`Module::kind`] of a filter, `nfm-`.
pub const KIND_FILTER: u32 = 2;
/// [`Module::kind`] of a converter, `ncm-`.
pub const KIND_CONVERTER: u32 = 3;
/// [`Module::kind`] of a protocol, `npm-`.
pub const KIND_PROTOCOL: u32 = 4;

/// [`OptionSpec::kind`]: present or absent, no value.
pub const OPT_FLAG: u32 = 0;
/// [`OptionSpec::kind`]: an unsigned number, decimal or 0x-hexadecimal.
pub const OPT_NUMBER: u32 = 1;
/// [`OptionSpec::kind`]: any text without a comma.
pub const OPT_TEXT: u32 = 2;
/// [`OptionSpec::kind`]: six bytes in hexadecimal, with colons or none.
pub const OPT_MAC: u32 = 3;
/// [`OptionSpec::kind`]: a dotted IPv4 address, with `/prefix` or none.
pub const OPT_IPV4: u32 = 4;

/// One option that a module takes. The manager refuses unknown names and malformed values
/// before [`Module::init`] is called, and makes its usage text from these.
#[repr(C)]
pub struct OptionSpec {
    /// Name before the `=`, NUL-terminated.
    pub name: *const c_char,
    /// `OPT_*`.
    pub kind: u32,
    /// Non-zero where the option may be given more than once.
    pub repeatable: u32,
    /// One line for the usage text, NUL-terminated.
    pub help: *const c_char,
}

/// A module's description of itself. It is static: it outlives every instance.
#[repr(C)]
pub struct Module {
    /// `sizeof` this structure where the module was built.
    pub size: u32,
    /// [`crate::ABI_MAJOR`] where the module was built; another is refused.
    pub abi_major: u16,
    /// [`crate::ABI_MINOR`] where the module was built; a greater one than io-net's is refused.
    pub abi_minor: u16,
    /// `KIND_*`.
    pub kind: u32,
    /// Length of `options`.
    pub n_options: u32,
    /// Name with its prefix (`devn-tap`), NUL-terminated.
    pub name: *const c_char,
    /// Version of the module, NUL-terminated.
    pub version: *const c_char,
    /// What it is, in one line, NUL-terminated.
    pub summary: *const c_char,
    /// The options it takes.
    pub options: *const OptionSpec,
    /// Makes an instance: parses `options` (`key=value,key`), opens the device, registers.
    ///
    /// Runs on the control thread; nothing is delivered before it has returned. On success it
    /// stores the instance and returns 0. On failure it has undone all it did, has said why
    /// through [`Ion::fail`], and returns a negative errno.
    /// OWNERSHIP: `ion` outlives the instance; `options` is borrowed for the call.
    pub init: Option<
        unsafe extern "C" fn(ion: *const Ion, options: Text, instance: *mut *mut c_void) -> i32,
    >,
    /// Ends an instance: closes the device and frees it. Every registrant has been quiesced and
    /// taken out of the graph; no other call of the instance runs or will.
    /// Runs on the control thread.
    pub shutdown: Option<unsafe extern "C" fn(instance: *mut c_void)>,
}

// SAFETY: a `Module` is immutable and points to static data only.
unsafe impl Sync for Module {}
// SAFETY: as above.
unsafe impl Sync for OptionSpec {}
