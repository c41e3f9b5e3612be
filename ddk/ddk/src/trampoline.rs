//! From io-net's C calls to a [`Registrant`]'s methods.
//!
//! Each call is guarded: a panic is caught here, and leaves the registrant poisoned. From then on
//! packets that reach it are released, and io-net, which has been told, takes its module out.

use crate::cx::{self, Cx};
use crate::{Failure, Registrant, errno};
use io_net_abi::{Advert, Npkt, RegHandle, RegistrantOps};
use io_net_pktbuf::{Burst, SharedPacket};
use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A registrant with what it is lent at each call.
pub(crate) struct Slot<T> {
    registrant: Option<T>,
    cx: Cx,
    poisoned: bool,
}

// SAFETY: `Cx` holds io-net's table, which any thread may use where the slot's owner runs: io-net
// calls a slot from one thread at a time, and `T` is `Send`.
unsafe impl<T: Send> Send for Slot<T> {}

impl<T: Registrant> Slot<T> {
    pub(crate) fn empty(cx: Cx) -> Self {
        Slot {
            registrant: None,
            cx,
            poisoned: false,
        }
    }

    pub(crate) fn func_hdl(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }

    pub(crate) fn place(&mut self, reg: RegHandle, cell: u16, endpoint: u16) -> &Cx {
        (self.cx.reg, self.cx.cell, self.cx.endpoint) = (reg, cell, endpoint);
        &self.cx
    }

    pub(crate) fn fill(&mut self, registrant: T) {
        self.registrant = Some(registrant);
    }

    /// Runs `op`, or returns `otherwise` where the registrant is poisoned or panics.
    #[inline]
    fn guard<R>(&mut self, otherwise: R, op: impl FnOnce(&mut T, &Cx) -> R) -> R {
        let (Some(registrant), false) = (&mut self.registrant, self.poisoned) else {
            return otherwise;
        };
        let cx = &self.cx;
        match catch_unwind(AssertUnwindSafe(|| op(registrant, cx))) {
            Ok(result) => result,
            Err(panic) => {
                self.poison(panic);
                otherwise
            }
        }
    }

    #[cold]
    fn poison(&mut self, panic: Box<dyn Any + Send>) {
        self.poisoned = true;
        let text = format!("panicked: {}; it is taken out", panic_text(panic.as_ref()));
        // SAFETY: io-net's table outlives the instance.
        cx::fail(unsafe { &*self.cx.ion }, &Failure::new(errno::EIO, text));
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}

/// The slot behind a call's first argument.
///
/// # Safety
/// `func_hdl` is from [`Slot::func_hdl`] of a `Slot<T>` that lives, and no other call uses it now.
#[inline]
unsafe fn slot<'s, T: Registrant>(func_hdl: *mut c_void) -> &'s mut Slot<T> {
    // SAFETY: the caller's promise.
    unsafe { &mut *func_hdl.cast::<Slot<T>>() }
}

/// The burst in a call's arguments.
///
/// # Safety
/// `pkts` holds `n` owned references, which the call gives up.
#[inline]
unsafe fn burst<'b>(pkts: *mut *mut Npkt, n: u32) -> Burst<'b> {
    // SAFETY: the caller's promise.
    unsafe { Burst::from_raw(std::slice::from_raw_parts_mut(pkts, n as usize)) }
}

/// The table of calls for registrants of type `T`.
pub(crate) fn ops<T: Registrant>() -> &'static RegistrantOps {
    &const {
        RegistrantOps {
            size: size_of::<RegistrantOps>() as u32,
            reserved: 0,
            rx_up: Some(rx_up::<T>),
            rx_down: Some(rx_down::<T>),
            tx_done: Some(tx_done::<T>),
            poll: Some(poll::<T>),
            arm: Some(arm::<T>),
            event: Some(event::<T>),
            timer: Some(timer::<T>),
            dl_advert: Some(dl_advert::<T>),
            devctl: Some(devctl::<T>),
            quiesce: Some(quiesce::<T>),
            save: None,
            restore: None,
        }
    }
}

unsafe extern "C" fn rx_up<T: Registrant>(hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
    // SAFETY: io-net keeps the contract of `RegistrantOps`.
    let (slot, burst) = unsafe { (slot::<T>(hdl), burst(pkts, n)) };
    slot.guard((), |registrant, cx| registrant.rx_up(burst, cx));
}

unsafe extern "C" fn rx_down<T: Registrant>(hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
    // SAFETY: as in `rx_up`.
    let (slot, burst) = unsafe { (slot::<T>(hdl), burst(pkts, n)) };
    slot.guard((), |registrant, cx| registrant.rx_down(burst, cx));
}

unsafe extern "C" fn tx_done<T: Registrant>(hdl: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
    // SAFETY: as in `rx_up`.
    let (slot, burst) = unsafe { (slot::<T>(hdl), burst(pkts, n)) };
    slot.guard((), |registrant, cx| {
        burst.for_each(|packet: SharedPacket| registrant.tx_done(packet, cx));
    });
}

unsafe extern "C" fn poll<T: Registrant>(hdl: *mut c_void, budget: u32) -> u32 {
    // SAFETY: as in `rx_up`.
    let slot = unsafe { slot::<T>(hdl) };
    slot.guard(0, |registrant, cx| {
        registrant.poll(budget as usize, cx) as u32
    })
}

unsafe extern "C" fn arm<T: Registrant>(hdl: *mut c_void, sleeping: u32) -> i32 {
    // SAFETY: as in `rx_up`.
    let slot = unsafe { slot::<T>(hdl) };
    slot.guard(0, |registrant, cx| {
        i32::from(registrant.arm(sleeping != 0, cx))
    })
}

unsafe extern "C" fn event<T: Registrant>(hdl: *mut c_void, cookie: u64, events: u32) -> i32 {
    // SAFETY: as in `rx_up`.
    let slot = unsafe { slot::<T>(hdl) };
    slot.guard(0, |registrant, cx| {
        i32::from(registrant.event(cookie, events, cx))
    })
}

unsafe extern "C" fn timer<T: Registrant>(hdl: *mut c_void, id: u32, now_ns: u64) {
    // SAFETY: as in `rx_up`.
    let slot = unsafe { slot::<T>(hdl) };
    slot.guard((), |registrant, cx| registrant.timer(id, now_ns, cx));
}

unsafe extern "C" fn dl_advert<T: Registrant>(hdl: *mut c_void, advert: *const Advert) {
    // SAFETY: as in `rx_up`; `advert` is borrowed for the call.
    let (slot, advert) = unsafe { (slot::<T>(hdl), &*advert) };
    slot.guard((), |registrant, cx| registrant.dl_advert(advert, cx));
}

unsafe extern "C" fn devctl<T: Registrant>(
    hdl: *mut c_void,
    cmd: u32,
    data: *mut c_void,
    size: u32,
    len: u32,
) -> i32 {
    // SAFETY: as in `rx_up`; `data` is `size` bytes, lent for the call.
    let (slot, data) = unsafe {
        (
            slot::<T>(hdl),
            std::slice::from_raw_parts_mut(data.cast::<u8>(), size as usize),
        )
    };
    slot.guard(-errno::EIO, |registrant, cx| {
        match registrant.devctl(cmd, data, (len as usize).min(data.len()), cx) {
            Ok(len) => i32::try_from(len).unwrap_or(-errno::ENOMEM),
            Err(failure) => fail_devctl(data, &failure),
        }
    })
}

/// A devctl's failure: the errno is the result, and the reason goes into the caller's buffer as
/// NUL-terminated text.
fn fail_devctl(data: &mut [u8], failure: &Failure) -> i32 {
    if let Some(room) = data.len().checked_sub(1) {
        let len = failure.text.len().min(room);
        data[..len].copy_from_slice(&failure.text.as_bytes()[..len]);
        data[len] = 0;
    }
    -failure.errno.max(1)
}

unsafe extern "C" fn quiesce<T: Registrant>(hdl: *mut c_void) {
    // SAFETY: as in `rx_up`.
    let slot = unsafe { slot::<T>(hdl) };
    slot.guard((), |registrant, cx| registrant.quiesce(cx));
}
