//! A server's loop: a channel, and handlers for what comes over it.
//!
//! Any thread may block on a dispatch with a context of its own. Handlers run one at a time, under
//! [`Dispatch::turn`], so that an open cannot be closed while it is used. The tables are not locked
//! while a handler runs, as handlers change them.

use std::collections::HashMap;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::{iovec, size_t};

use super::convert::{bytes_mut, number, set_errno, status};
use super::receive::{RawMsgInfo, RawPulse, receive};
use super::resmgr::{self, Devices};
use crate::error::{Error, Result};
use crate::{Connection, flags, handle, name, pulse};

/// `_RESMGR_IOV_MAX`.
pub(super) const IOV_MAX: usize = 64;

/// The least room for a message.
const MESSAGE_MIN: usize = 4096;
/// The most.
const MESSAGE_MAX: usize = 1 << 24;

/// `MSG_FLAG_ALLOC_PULSE`.
const ALLOC_PULSE: c_int = 4;

/// A handler of messages or pulses.
type Handler = unsafe extern "C" fn(*mut Context, c_int, c_uint, *mut c_void) -> c_int;

/// `resmgr_context_t`.
#[repr(C)]
pub(crate) struct Context {
    pub(super) rcvid: c_int,
    pub(super) info: RawMsgInfo,
    pub(super) msg: *mut c_void,
    dpp: *const Dispatch,
    pub(super) id: c_int,
    pub(super) msg_max_size: c_uint,
    pub(super) status: c_long,
    offset: size_t,
    pub(super) size: size_t,
    pub(super) iov: [iovec; IOV_MAX],
}

// As tests/c/names.c finds it in C.
const _: () = assert!(size_of::<Context>() == 1144);

/// A context with the memory that its message is in, aligned for any structure.
#[repr(C)]
struct Allocated {
    context: Context,
    message: Vec<u128>,
}

/// `dispatch_t`.
pub(crate) struct Dispatch {
    pub(super) chid: c_int,
    message_max: Mutex<usize>,
    /// By the first and the last type; with the argument, an address of C's.
    messages: Mutex<Vec<(u16, u16, Handler, usize)>>,
    pulses: Mutex<HashMap<i8, (Handler, usize)>>,
    pub(super) devices: Mutex<Devices>,
    turn: Mutex<()>,
}

/// Locks what no panic leaves half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `dpp` is null or a dispatch that is not destroyed through `'d`.
pub(super) unsafe fn dispatch<'d>(dpp: *const Dispatch) -> Result<&'d Dispatch> {
    // SAFETY: the caller's promise.
    unsafe { dpp.as_ref() }.ok_or(Error::INVALID)
}

impl Context {
    /// Whose the message is: the client, and its connection.
    pub(super) fn client(&self) -> (i32, i32) {
        (self.info.scoid, self.info.coid)
    }

    /// # Safety
    /// The dispatch is not destroyed through `'d`.
    pub(super) unsafe fn dispatch<'d>(&self) -> Result<&'d Dispatch> {
        // SAFETY: the caller's promise.
        unsafe { dispatch(self.dpp) }
    }
}

impl Dispatch {
    /// Contexts that are allocated from now on have room for messages of this size.
    pub(super) fn reserve(&self, message: c_uint) -> Result<()> {
        let message = message as usize;
        if message > MESSAGE_MAX {
            return Err(Error::INVALID);
        }
        let mut max = lock(&self.message_max);
        *max = message.max(*max);
        Ok(())
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn dispatch_create() -> *mut Dispatch {
    match handle::channel_create(name::CHANNEL_FLAGS) {
        Ok(chid) => Box::into_raw(Box::new(Dispatch {
            chid,
            message_max: Mutex::new(MESSAGE_MIN),
            messages: Mutex::default(),
            pulses: Mutex::default(),
            devices: Mutex::default(),
            turn: Mutex::default(),
        })),
        Err(error) => {
            set_errno(error);
            null_mut()
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dispatch_destroy(dpp: *mut Dispatch) -> c_int {
    if dpp.is_null() {
        return status(Err(Error::INVALID));
    }
    // SAFETY: C's promise: dispatch_create made it, and nobody uses it any more.
    let chid = unsafe {
        let ctp = dispatch_context_alloc(dpp);
        resmgr::end(&*dpp, ctp);
        dispatch_context_free(ctp);
        Box::from_raw(dpp).chid
    };
    status(handle::channel_destroy(chid))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dispatch_context_alloc(dpp: *mut Dispatch) -> *mut Context {
    // SAFETY: C's promise.
    let dispatch = match unsafe { dispatch(dpp) } {
        Ok(dispatch) => dispatch,
        Err(error) => {
            set_errno(error);
            return null_mut();
        }
    };
    let size = *lock(&dispatch.message_max);
    let mut message = vec![0_u128; size.div_ceil(size_of::<u128>())];
    let empty = iovec {
        iov_base: null_mut(),
        iov_len: 0,
    };
    let context = Context {
        rcvid: 0,
        info: crate::MsgInfo::default().into(),
        msg: message.as_mut_ptr().cast(),
        dpp,
        id: 0,
        msg_max_size: size as c_uint,
        status: 0,
        offset: 0,
        size: 0,
        iov: [empty; IOV_MAX],
    };
    Box::into_raw(Box::new(Allocated { context, message })).cast()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dispatch_context_free(ctp: *mut Context) {
    if !ctp.is_null() {
        // SAFETY: C's promise: dispatch_context_alloc made it, and a context is its first field.
        drop(unsafe { Box::from_raw(ctp.cast::<Allocated>()) });
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dispatch_block(ctp: *mut Context) -> *mut Context {
    // SAFETY: C's promise.
    match unsafe { block(ctp) } {
        Ok(()) => ctp,
        Err(error) => {
            set_errno(error);
            null_mut()
        }
    }
}

/// # Safety
/// As `dispatch_block`.
unsafe fn block(ctp: *mut Context) -> Result<()> {
    // SAFETY: C's promise: it is null or a context that no other thread uses, whose dispatch lives,
    // and whose message is its own memory.
    let (context, dispatch, message) = unsafe {
        let context = ctp.as_mut().ok_or(Error::INVALID)?;
        let dispatch = dispatch(context.dpp)?;
        let message = bytes_mut(context.msg, context.msg_max_size as usize)?;
        (context, dispatch, message)
    };
    let mut parts = [std::io::IoSliceMut::new(message)];
    // SAFETY: the info is the context's own.
    context.rcvid = unsafe { receive(dispatch.chid, &mut parts, &raw mut context.info)? };
    (context.status, context.offset, context.id) = (0, 0, 0);
    context.size = match context.rcvid {
        0 => size_of::<RawPulse>(),
        _ => context.info.msglen.min(context.msg_max_size as usize),
    };
    Ok(())
}

/// Nothing is to be done: thread_pool_destroy ends the waits of its threads itself.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dispatch_unblock(_ctp: *mut Context) {}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dispatch_handler(ctp: *mut Context) -> c_int {
    // SAFETY: C's promise.
    status(unsafe { handle_one(ctp) })
}

/// # Safety
/// As `dispatch_handler`.
unsafe fn handle_one(ctp: *mut Context) -> Result<()> {
    // SAFETY: C's promise, as in `block`.
    let (context, dispatch) = unsafe {
        let context = ctp.as_mut().ok_or(Error::INVALID)?;
        (&*context, dispatch(context.dpp)?)
    };
    let _turn = lock(&dispatch.turn);
    if context.rcvid == 0 {
        // SAFETY: the message is a pulse, as block left it.
        unsafe { on_pulse(dispatch, ctp) };
        return Ok(());
    }
    let kind = match context.size {
        0 | 1 => 0,
        // SAFETY: two bytes are there.
        _ => unsafe { context.msg.cast::<u16>().read() },
    };
    let found = lock(&dispatch.messages)
        .iter()
        .find(|(low, high, ..)| (*low..=*high).contains(&kind))
        .map(|&(_, _, handler, argument)| (handler, argument));
    match found {
        Some((handler, argument)) => {
            // SAFETY: C gave the handler for this, and its argument.
            unsafe { handler(ctp, kind.into(), 0, with_address(argument)) };
        }
        // SAFETY: the context holds a message.
        None => unsafe { resmgr::on_message(dispatch, ctp, kind) },
    }
    Ok(())
}

/// # Safety
/// The context of `dispatch` holds a pulse.
unsafe fn on_pulse(dispatch: &Dispatch, ctp: *mut Context) {
    // SAFETY: the caller's promise.
    let pulse = unsafe { (*ctp).msg.cast::<RawPulse>().read() };
    let found = lock(&dispatch.pulses).get(&pulse.code).copied();
    match (found, pulse.code) {
        (Some((handler, argument)), code) => {
            // SAFETY: C gave the handler for this, and its argument.
            unsafe { handler(ctp, code.into(), 0, with_address(argument)) };
        }
        (None, pulse::CODE_DISCONNECT) => {
            // SAFETY: the caller's promise.
            unsafe { resmgr::on_disconnect(dispatch, ctp, pulse.scoid) };
            let _ = handle::connect_detach(pulse.scoid);
        }
        (None, pulse::CODE_UNBLOCK) => {
            // SAFETY: the caller's promise.
            unsafe { resmgr::on_unblock(dispatch, ctp, pulse.value as c_int) };
        }
        (None, _) => {}
    }
}

/// The pointer that C gave, kept as a number since tables are shared between threads.
pub(super) fn with_address<T>(address: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address)
}

/// `message_attr_t`.
#[repr(C)]
pub(crate) struct MessageAttr {
    flags: c_uint,
    nparts_max: c_uint,
    msg_max_size: c_uint,
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn message_attach(
    dpp: *mut Dispatch,
    attr: *const MessageAttr,
    low: c_int,
    high: c_int,
    handler: Option<Handler>,
    argument: *mut c_void,
) -> c_int {
    let attach = || {
        // SAFETY: C's promise.
        let (dispatch, attr) = unsafe { (dispatch(dpp)?, attr.as_ref()) };
        let handler = handler.ok_or(Error::INVALID)?;
        let (low, high) = range(low, high)?;
        dispatch.reserve(attr.map_or(0, |attr| attr.msg_max_size))?;
        let argument = argument.expose_provenance();
        lock(&dispatch.messages).push((low, high, handler, argument));
        Ok(())
    };
    status(attach())
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn message_detach(
    dpp: *mut Dispatch,
    low: c_int,
    high: c_int,
    _flags: c_uint,
) -> c_int {
    let detach = || {
        // SAFETY: C's promise.
        let mut messages = lock(&unsafe { dispatch(dpp)? }.messages);
        let of = range(low, high)?;
        let there = messages.len();
        messages.retain(|&(low, high, ..)| (low, high) != of);
        if messages.len() < there {
            Ok(())
        } else {
            Err(Error::INVALID)
        }
    };
    status(detach())
}

fn range(low: c_int, high: c_int) -> Result<(u16, u16)> {
    match (u16::try_from(low), u16::try_from(high)) {
        (Ok(low), Ok(high)) if low <= high => Ok((low, high)),
        _ => Err(Error::INVALID),
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn message_connect(dpp: *mut Dispatch, flags: c_int) -> c_int {
    // SAFETY: C's promise.
    number(unsafe { dispatch(dpp) }.and_then(|dispatch| {
        let (own, side) = (flags::ND_LOCAL_NODE, flags::SIDE_CHANNEL);
        Connection::attach(own, 0, dispatch.chid, side, flags.cast_unsigned())
            .map(Connection::into_coid)
    }))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pulse_attach(
    dpp: *mut Dispatch,
    flags: c_int,
    code: c_int,
    handler: Option<Handler>,
    argument: *mut c_void,
) -> c_int {
    let attach = || {
        // SAFETY: C's promise.
        let mut pulses = lock(&unsafe { dispatch(dpp)? }.pulses);
        let handler = handler.ok_or(Error::INVALID)?;
        let code = if flags & ALLOC_PULSE == 0 {
            i8::try_from(code).map_err(|_| Error::INVALID)?
        } else {
            let mut free = (0..=i8::MAX).rev();
            free.find(|code| !pulses.contains_key(code))
                .ok_or(Error::AGAIN)?
        };
        if pulses.contains_key(&code) {
            return Err(Error(libc::EBUSY));
        }
        pulses.insert(code, (handler, argument.expose_provenance()));
        Ok(c_int::from(code))
    };
    number(attach())
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pulse_detach(
    dpp: *mut Dispatch,
    code: c_int,
    _flags: c_int,
) -> c_int {
    let detach = || {
        // SAFETY: C's promise.
        let mut pulses = lock(&unsafe { dispatch(dpp)? }.pulses);
        let code = i8::try_from(code).map_err(|_| Error::INVALID)?;
        pulses.remove(&code).map(drop).ok_or(Error::INVALID)
    };
    status(detach())
}
