//! Making an instance: what `init` of a module works with.

use crate::cx::{self, Cx};
use crate::trampoline::{Slot, ops};
use crate::{Failure, Options, Registrant};
use io_net_abi::{
    Ion, PoolInfo, REG_CONVERTER, REG_FILTER_ABOVE, REG_FILTER_BELOW, REG_PRODUCER_DOWN,
    REG_PRODUCER_UP, RegHandle, Registrant as RawRegistrant,
};
use std::any::Any;
use std::ffi::CStr;
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Where a registrant stands in the graph, and under which name.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    flags: u32,
    name: &'a CStr,
    top: Option<&'static CStr>,
    bottom: Option<&'static CStr>,
}

impl<'a> Place<'a> {
    /// A driver: makes up packets of type `top`. io-net appends a number to `stem`, unless that ends
    /// in one.
    pub const fn driver(stem: &'a CStr, top: &'static CStr) -> Self {
        Place {
            flags: REG_PRODUCER_UP,
            name: stem,
            top: Some(top),
            bottom: None,
        }
    }

    /// A filter above the producers of `kind` that the option `above=` names.
    pub const fn filter_above(name: &'a CStr, kind: &'static CStr) -> Self {
        Place {
            flags: REG_FILTER_ABOVE,
            name,
            top: Some(kind),
            bottom: Some(kind),
        }
    }

    /// A filter above or below, as the options say: the type is that of its neighbour.
    pub const fn filter(name: &'a CStr) -> Self {
        Place {
            flags: REG_FILTER_ABOVE | REG_FILTER_BELOW,
            name,
            top: None,
            bottom: None,
        }
    }

    /// A converter from type `bottom` to type `top`.
    pub const fn converter(name: &'a CStr, top: &'static CStr, bottom: &'static CStr) -> Self {
        Place {
            flags: REG_CONVERTER,
            name,
            top: Some(top),
            bottom: Some(bottom),
        }
    }

    /// A protocol over packets of type `bottom`.
    pub const fn protocol(name: &'a CStr, bottom: &'static CStr) -> Self {
        Place {
            flags: REG_PRODUCER_DOWN,
            name,
            top: None,
            bottom: Some(bottom),
        }
    }
}

/// The making of one instance.
pub struct Init<'a> {
    pub(crate) ion: *const Ion,
    pub(crate) options: Options<'a>,
    pub(crate) slots: Vec<Box<dyn Any + Send>>,
}

impl<'a> Init<'a> {
    /// The options that the instance was given.
    pub fn options(&self) -> Options<'a> {
        self.options
    }

    /// Says something to the operator.
    pub fn log(&self, level: u32, text: fmt::Arguments<'_>) {
        cx::log(self.ion(), level, text);
    }

    /// Where the packet memory is.
    pub fn pool_info(&self) -> PoolInfo {
        cx::pool_info(self.ion())
    }

    /// The memory behind [`PoolInfo::fd`], to keep: for those who map it anew or hand it to the kernel.
    ///
    /// # Errors
    /// The kernel's: out of descriptors.
    pub fn pool_memory(&self) -> std::io::Result<OwnedFd> {
        // SAFETY: the pool, and with it its descriptor, outlives every instance.
        unsafe { BorrowedFd::borrow_raw(self.pool_info().fd) }.try_clone_to_owned()
    }

    /// The directory where this io-net keeps its sockets.
    pub fn run_dir(&self) -> PathBuf {
        // SAFETY: the text is static.
        let bytes = unsafe {
            let text = (self.ion().run_dir)(self.ion().ctx);
            std::slice::from_raw_parts(text.ptr, text.len)
        };
        PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Enters a registrant into the graph. `make` builds it, with a [`Cx`] by which it can get its
    /// counters, watch descriptors, ask for packets and advertise itself. Nothing is delivered to
    /// it before `init` has returned.
    ///
    /// # Errors
    /// The failure of `make`, or io-net's: EEXIST where the name is taken.
    pub fn register<T: Registrant>(
        &mut self,
        place: Place<'_>,
        make: impl FnOnce(&Cx) -> Result<T, Failure>,
    ) -> Result<(), Failure> {
        let cx = Cx {
            ion: self.ion,
            reg: RegHandle(0),
            cell: 0,
            endpoint: 0,
        };
        let mut slot = Box::new(Slot::<T>::empty(cx));
        let pointer = |name: Option<&'static CStr>| name.map_or(std::ptr::null(), CStr::as_ptr);
        let registrant = RawRegistrant {
            size: size_of::<RawRegistrant>() as u32,
            flags: place.flags,
            name: place.name.as_ptr(),
            top_type: pointer(place.top),
            bot_type: pointer(place.bottom),
            func_hdl: slot.func_hdl(),
            ops: ops::<T>(),
        };
        let (mut reg, mut cell, mut endpoint) = (RegHandle(0), 0, 0);
        let ion = self.ion();
        // SAFETY: `registrant` is borrowed for the call; the slot it names lives in the instance.
        let result = unsafe { (ion.reg)(ion.ctx, &registrant, &mut reg, &mut cell, &mut endpoint) };
        cx::check(result, || format!("cannot register {:?}", place.name))?;
        let made = make(slot.place(reg, cell, endpoint));
        // The slot is kept in any case: io-net knows its address until it has rolled back.
        let made = made.map(|registrant| slot.fill(registrant));
        self.slots.push(slot);
        made
    }

    fn ion(&self) -> &'a Ion {
        // SAFETY: io-net's table outlives the instance.
        unsafe { &*self.ion }
    }
}
