//! The exported description of a module.

use crate::cx;
use crate::trampoline::panic_text;
use crate::{Failure, Init, Options, errno};
use io_net_abi::{Ion, Text};
use io_net_pktbuf::{PacketMemory, set_memory};
use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The slots of one instance's registrants.
type Instance = Vec<Box<dyn Any + Send>>;

/// Describes the module that this shared object is: exports `io_net_module`.
///
/// `kind` is a `KIND_*`; `name` and `summary` are C strings; `options` lists
/// [`crate::OptionSpec`](io_net_abi::OptionSpec)s made by [`crate::text`] and its like; `init` is
/// a `fn(&mut Init) -> Result<(), Failure>`.
#[macro_export]
macro_rules! module {
    (
        kind: $kind:expr,
        name: $name:expr,
        summary: $summary:expr,
        options: [$($option:expr),* $(,)?],
        init: $init:expr $(,)?
    ) => {
        #[allow(unsafe_code, missing_docs)]
        #[doc(hidden)]
        mod __io_net_module {
            use super::*;

            const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

            static OPTIONS: &[$crate::abi::OptionSpec] = &[$($option),*];

            unsafe extern "C" fn start(
                ion: *const $crate::abi::Ion,
                options: $crate::abi::Text,
                instance: *mut *mut ::core::ffi::c_void,
            ) -> i32 {
                // SAFETY: io-net keeps the contract of `Module::init`.
                unsafe { $crate::export::start(ion, options, instance, $init) }
            }

            #[unsafe(no_mangle)]
            pub static io_net_module: $crate::abi::Module = $crate::abi::Module {
                size: size_of::<$crate::abi::Module>() as u32,
                abi_major: $crate::abi::ABI_MAJOR,
                abi_minor: $crate::abi::ABI_MINOR,
                kind: $kind,
                n_options: OPTIONS.len() as u32,
                name: $name.as_ptr(),
                version: VERSION.as_ptr().cast(),
                summary: $summary.as_ptr(),
                options: OPTIONS.as_ptr(),
                init: Some(start),
                shutdown: Some($crate::export::shutdown),
            };
        }
    };
}

/// What [`module!`] expands to calls of.
#[doc(hidden)]
pub mod export {
    use super::*;

    /// # Safety
    /// The contract of [`io_net_abi::Module::init`].
    pub unsafe fn start(
        ion: *const Ion,
        options: Text,
        instance: *mut *mut c_void,
        init: fn(&mut Init) -> Result<(), Failure>,
    ) -> i32 {
        // SAFETY: the table outlives the instance; the text is borrowed for the call.
        let (table, text) = unsafe {
            let bytes = match options.len {
                0 => &[][..],
                len => std::slice::from_raw_parts(options.ptr, len),
            };
            (&*ion, String::from_utf8_lossy(bytes))
        };
        set_memory(PacketMemory {
            alloc: table.alloc,
            tx_done: table.tx_done,
        });
        let mut making = Init {
            ion,
            options: Options::new(&text),
            slots: Vec::new(),
        };
        let made = catch_unwind(AssertUnwindSafe(|| init(&mut making))).unwrap_or_else(|panic| {
            let text = format!("panicked at start: {}", panic_text(panic.as_ref()));
            Err(Failure::new(errno::EIO, text))
        });
        match made {
            Ok(()) => {
                let slots: Box<Instance> = Box::new(making.slots);
                // SAFETY: `instance` is writable.
                unsafe { *instance = Box::into_raw(slots).cast() };
                0
            }
            Err(failure) => {
                cx::fail(table, &failure);
                -failure.errno.max(1)
            }
        }
    }

    /// # Safety
    /// The contract of [`io_net_abi::Module::shutdown`]; `instance` is from [`start`].
    pub unsafe extern "C" fn shutdown(instance: *mut c_void) {
        if instance.is_null() {
            return;
        }
        // SAFETY: the box that `start` gave away, come back once.
        let slots = unsafe { Box::from_raw(instance.cast::<Instance>()) };
        // A registrant whose drop panics has leaked what it held; there is nobody left to tell.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(slots)));
    }
}
