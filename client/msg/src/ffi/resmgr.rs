//! Resource managers: devices with names, opens of them, and which handler a message goes to.
//!
//! What a client says of itself is checked here, before a handler sees it: messages that are shorter
//! than their structure, lengths that are negative or beyond the message. A handler may rely on the
//! structure being whole, and on the data of a devctl or a write being there to be read.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void};

use libc::{iovec, size_t, ssize_t};
use zerocopy::FromBytes;

use super::convert::{bytes, number, parts, status, text};
use super::dispatch::{Context, Dispatch, IOV_MAX, dispatch, lock, with_address};
use super::receive::{MsgRead, MsgReadv, MsgWrite, MsgWritev, RawPulse};
use crate::error::{Error, Result};
use crate::handle;
use crate::name::{self, Attached};
use crate::resmgr::message::{
    CONNECT_OPEN, Connect, Devctl, Seek, Transfer, XTYPE_MASK, XTYPE_OFFSET, kind,
};

/// `_RESMGR_NOREPLY`.
const NO_REPLY: c_int = c_int::MIN;
/// `_RESMGR_DEFAULT`.
pub(super) const DEFAULT: c_int = c_int::MIN + 1;

/// `_RESMGR_FLAG_DIR`.
const FLAG_DIR: c_uint = 0x100;

/// Opens that one client may have of one dispatch.
const OPENS_MAX: usize = 4096;

/// A handler: the context, the message, the device or the open.
type Handler = unsafe extern "C" fn(*mut Context, *mut c_void, *mut c_void) -> c_int;
type OpenHandler =
    unsafe extern "C" fn(*mut Context, *mut c_void, *mut c_void, *mut c_void) -> c_int;

/// `resmgr_connect_funcs_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ConnectFuncs {
    pub(super) nfuncs: c_uint,
    pub(super) open: Option<OpenHandler>,
}

/// `resmgr_io_funcs_t`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct IoFuncs {
    pub(super) nfuncs: c_uint,
    pub(super) read: Option<Handler>,
    pub(super) write: Option<Handler>,
    pub(super) close_ocb: Option<Handler>,
    pub(super) stat: Option<Handler>,
    pub(super) devctl: Option<Handler>,
    pub(super) unblock: Option<Handler>,
    pub(super) lseek: Option<Handler>,
    pub(super) msg: Option<Handler>,
    pub(super) sync: Option<Handler>,
}

/// `resmgr_attr_t`.
#[repr(C)]
pub(crate) struct ResmgrAttr {
    flags: c_uint,
    nparts_max: c_uint,
    msg_max_size: c_uint,
}

/// A device: its name, and C's tables by address.
struct Device {
    name: Attached,
    /// As an open's path has it: `local/dev/counter`.
    path: String,
    /// Whether it has what lies below its path too.
    directory: bool,
    connect: usize,
    io: usize,
    handle: usize,
}

impl Device {
    /// What follows the device's path, where that is its to open.
    fn below<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        match path.strip_prefix(self.path.as_bytes())? {
            [] => Some(&[]),
            [b'/', rest @ ..] if self.directory => Some(rest),
            _ => None,
        }
    }
}

/// An open: C's structure, its handlers and its device.
#[derive(Clone, Copy)]
struct Open {
    ocb: usize,
    io: usize,
    id: c_int,
}

/// The devices of a dispatch and the opens of them, by client and its connection.
#[derive(Default)]
pub(crate) struct Devices {
    devices: HashMap<c_int, Device>,
    opens: HashMap<(i32, i32), Open>,
    last_id: c_int,
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn resmgr_attach(
    dpp: *mut Dispatch,
    attr: *const ResmgrAttr,
    path: *const c_char,
    _file_type: c_int,
    flags: c_uint,
    connect_funcs: *const ConnectFuncs,
    io_funcs: *const IoFuncs,
    handle: *mut c_void,
) -> c_int {
    let attach = || {
        // SAFETY: C's promise.
        let (dispatch, attr, path) = unsafe { (dispatch(dpp)?, attr.as_ref(), text(path)?) };
        if connect_funcs.is_null() || io_funcs.is_null() {
            return Err(Error::INVALID);
        }
        if let Some(attr) = attr {
            if attr.nparts_max as usize > IOV_MAX {
                return Err(Error::INVALID);
            }
            dispatch.reserve(attr.msg_max_size)?;
        }
        let path = name::path::file(path)?;
        if path.node.is_some() {
            return Err(Error::INVALID);
        }
        // The table is locked until the device is in it: an open that comes at once finds it.
        let mut devices = lock(&dispatch.devices);
        let device = Device {
            name: Attached::new(path.name, path.scope, dispatch.chid)?,
            path: path.below_dev_name(),
            directory: flags & FLAG_DIR != 0,
            connect: connect_funcs.expose_provenance(),
            io: io_funcs.expose_provenance(),
            handle: handle.expose_provenance(),
        };
        devices.last_id += 1;
        let id = devices.last_id;
        devices.devices.insert(id, device);
        Ok(id)
    };
    number(attach())
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn resmgr_detach(
    dpp: *mut Dispatch,
    id: c_int,
    _flags: c_uint,
) -> c_int {
    // SAFETY: C's promise.
    status(unsafe { dispatch(dpp) }.and_then(|dispatch| {
        let device = lock(&dispatch.devices).devices.remove(&id);
        device.map(|device| drop(device.name)).ok_or(Error::INVALID)
    }))
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn resmgr_open_bind(
    ctp: *mut Context,
    ocb: *mut c_void,
    io_funcs: *const IoFuncs,
) -> c_int {
    let bind = || {
        // SAFETY: C's promise: the context of the open that is being handled.
        let (context, dispatch) = unsafe {
            let context = ctp.as_ref().ok_or(Error::INVALID)?;
            (context, context.dispatch()?)
        };
        let mut devices = lock(&dispatch.devices);
        let io = match io_funcs.is_null() {
            true => devices.devices.get(&context.id).ok_or(Error::INVALID)?.io,
            false => io_funcs.expose_provenance(),
        };
        let open = Open {
            ocb: ocb.expose_provenance(),
            io,
            id: context.id,
        };
        devices.opens.insert(context.client(), open);
        Ok(())
    };
    status(bind())
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn resmgr_msgread(
    ctp: *mut Context,
    msg: *mut c_void,
    size: size_t,
    offset: size_t,
) -> ssize_t {
    // SAFETY: C's promise.
    unsafe { MsgRead((*ctp).rcvid, msg, size, offset) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn resmgr_msgreadv(
    ctp: *mut Context,
    riov: *const iovec,
    rparts: size_t,
    offset: size_t,
) -> ssize_t {
    // SAFETY: C's promise.
    unsafe { MsgReadv((*ctp).rcvid, riov, rparts, offset) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn resmgr_msgwrite(
    ctp: *mut Context,
    msg: *const c_void,
    size: size_t,
    offset: size_t,
) -> ssize_t {
    // SAFETY: C's promise.
    unsafe { MsgWrite((*ctp).rcvid, msg, size, offset) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn resmgr_msgwritev(
    ctp: *mut Context,
    iov: *const iovec,
    count: size_t,
    offset: size_t,
) -> ssize_t {
    // SAFETY: C's promise.
    unsafe { MsgWritev((*ctp).rcvid, iov, count, offset) }
}

/// Calls the handler of a message and replies as it says.
///
/// # Safety
/// The context of `dispatch` holds a message, whose first two bytes are `of`; nobody else uses it.
pub(super) unsafe fn on_message(dispatch: &Dispatch, ctp: *mut Context, of: u16) {
    // SAFETY: the caller's promise.
    let result = unsafe {
        match of {
            kind::CONNECT => open(dispatch, ctp),
            kind::READ..=kind::MAX => io(dispatch, ctp, of),
            _ => Err(Error::NO_SYS),
        }
    };
    // SAFETY: the caller's promise.
    unsafe { reply(ctp, result) };
}

/// # Safety
/// As [`on_message`].
unsafe fn open(dispatch: &Dispatch, ctp: *mut Context) -> Result<c_int> {
    // SAFETY: the caller's promise; the borrow ends before the handler runs.
    let (path, client) = unsafe {
        let context = &mut *ctp;
        let message = bytes(context.msg, context.size)?;
        let (connect, rest) = Connect::read_from_prefix(message).map_err(|_| Error::INVALID)?;
        if connect.subtype != CONNECT_OPEN {
            return Err(Error::NO_SYS);
        }
        let path = rest.split(|&byte| byte == 0).next().unwrap_or_default();
        (path.to_vec(), context.client())
    };
    let below;
    let (id, connect, handle) = {
        let devices = lock(&dispatch.devices);
        let of = |open: &&(i32, i32)| open.0 == client.0;
        if devices.opens.keys().filter(of).count() >= OPENS_MAX {
            return Err(Error(libc::EMFILE));
        }
        let all = devices.devices.iter();
        let found = all.filter_map(|(&id, device)| Some((device.below(&path)?, id, device)));
        // Of several the nearest: least of the path is below it.
        let found = found.min_by_key(|(below, ..)| below.len());
        let (rest, id, device) = found.ok_or(Error(libc::ENOENT))?;
        below = rest.to_vec();
        (id, device.connect, device.handle)
    };
    // A connection that is opened again was closed without a word.
    // SAFETY: the caller's promise.
    unsafe { close(dispatch, ctp, client) };
    // SAFETY: the tables outlive the device, as C promised; what the handler sees of the path is
    // what follows its own name, which is shorter, so that the message has room for it.
    unsafe {
        (*ctp).id = id;
        let context = &mut *ctp;
        (*context.msg.cast::<Connect>()).path_len = below.len() as u16 + 1;
        let path = context.msg.cast::<u8>().add(size_of::<Connect>());
        std::ptr::copy_nonoverlapping(below.as_ptr(), path, below.len());
        path.add(below.len()).write(0);
        let handler = (*with_address::<ConnectFuncs>(connect)).open;
        let handler = handler.ok_or(Error::NO_SYS)?;
        Ok(handler(
            ctp,
            context.msg,
            with_address(handle),
            std::ptr::null_mut(),
        ))
    }
}

/// # Safety
/// As [`on_message`].
unsafe fn io(dispatch: &Dispatch, ctp: *mut Context, of: u16) -> Result<c_int> {
    // SAFETY: the caller's promise; the borrow ends before the handler runs.
    let (client, msg) = unsafe {
        let context = &mut *ctp;
        let message = bytes(context.msg, context.size)?;
        check(of, message, context)?;
        (context.client(), context.msg)
    };
    let open = lock(&dispatch.devices).opens.get(&client).copied();
    let open = open.ok_or(Error::BADF)?;
    if of == kind::CLOSE {
        // SAFETY: the caller's promise.
        unsafe { close(dispatch, ctp, client) };
        return Ok(0);
    }
    // SAFETY: the tables outlive the device, as C promised; the open is not closed meanwhile, as
    // that is done here.
    unsafe {
        (*ctp).id = open.id;
        let io = *with_address::<IoFuncs>(open.io);
        let handler = match of {
            kind::READ => io.read,
            kind::WRITE => io.write,
            kind::STAT => io.stat,
            kind::DEVCTL => io.devctl,
            kind::LSEEK => io.lseek,
            kind::MSG => io.msg,
            kind::SYNC => io.sync,
            _ => None,
        };
        let result = handler.ok_or(Error::NO_SYS)?(ctp, msg, with_address(open.ocb));
        match (result, of) {
            (DEFAULT, kind::DEVCTL) => Err(Error(libc::ENOTTY)),
            (DEFAULT, _) => Err(Error::NO_SYS),
            (result, _) => Ok(result),
        }
    }
}

/// Whether the message has what its kind needs.
fn check(of: u16, message: &[u8], context: &Context) -> Result<()> {
    match of {
        kind::READ | kind::WRITE => {
            let (transfer, rest) =
                Transfer::read_from_prefix(message).map_err(|_| Error::INVALID)?;
            let nbytes = usize::try_from(transfer.nbytes).map_err(|_| Error::INVALID)?;
            let extra = match transfer.xtype & XTYPE_MASK {
                XTYPE_OFFSET => size_of::<i64>(),
                _ => 0,
            };
            let data = if of == kind::WRITE { nbytes } else { 0 };
            let whole = size_of::<Transfer>() + extra + data;
            if rest.len() >= extra && context.info.srcmsglen >= whole {
                Ok(())
            } else {
                Err(Error::INVALID)
            }
        }
        kind::LSEEK => Seek::read_from_prefix(message)
            .map(drop)
            .map_err(|_| Error::INVALID),
        kind::DEVCTL => {
            let (devctl, rest) = Devctl::read_from_prefix(message).map_err(|_| Error::INVALID)?;
            let nbytes = usize::try_from(devctl.nbytes).map_err(|_| Error::INVALID)?;
            let room = context.msg_max_size as usize - size_of::<Devctl>();
            match nbytes {
                _ if nbytes > room => Err(Error::TOO_BIG),
                _ if devctl.dcmd & DEVDIR_TO != 0 && nbytes > rest.len() => Err(Error::INVALID),
                _ => Ok(()),
            }
        }
        _ if message.len() < 8 => Err(Error::INVALID),
        _ => Ok(()),
    }
}

/// `_POSIX_DEVDIR_TO`.
const DEVDIR_TO: u32 = 0x8000_0000;

/// Replies as a handler's result says.
///
/// # Safety
/// As [`on_message`].
unsafe fn reply(ctp: *mut Context, result: Result<c_int>) {
    // SAFETY: the caller's promise.
    let context = unsafe { &*ctp };
    // A client that has gone in the meantime needs no answer.
    let _ = match result {
        Ok(NO_REPLY) => Ok(()),
        Ok(error @ 1..) => handle::msg_error(context.rcvid, error),
        Ok(nparts) => {
            let count = (nparts.unsigned_abs() as usize).min(IOV_MAX);
            // SAFETY: the handler filled in so many, and what they point to lives until here.
            match unsafe { parts(context.iov.as_ptr(), count) } {
                Ok(parts) => handle::msg_reply(context.rcvid, context.status, &parts),
                Err(error) => handle::msg_error(context.rcvid, error.errno()),
            }
        }
        Err(error) => handle::msg_error(context.rcvid, error.errno()),
    };
}

/// Ends an open, if there is one.
///
/// # Safety
/// As [`on_message`], but for the message.
unsafe fn close(dispatch: &Dispatch, ctp: *mut Context, client: (i32, i32)) {
    let open = lock(&dispatch.devices).opens.remove(&client);
    let Some(open) = open else {
        return;
    };
    // SAFETY: the tables outlive the device, as C promised; nobody finds the open any more.
    unsafe {
        (*ctp).id = open.id;
        if let Some(handler) = (*with_address::<IoFuncs>(open.io)).close_ocb {
            handler(ctp, std::ptr::null_mut(), with_address(open.ocb));
        }
    }
}

/// A client has gone without closing.
///
/// # Safety
/// As [`on_message`], but for the message.
pub(super) unsafe fn on_disconnect(dispatch: &Dispatch, ctp: *mut Context, scoid: i32) {
    // SAFETY: the caller's promise.
    unsafe { close_all(dispatch, ctp, |client| client.0 == scoid) };
}

/// No device has a name any more, and no client an open.
///
/// # Safety
/// As [`on_message`], but for the message.
pub(super) unsafe fn end(dispatch: &Dispatch, ctp: *mut Context) {
    let devices = std::mem::take(&mut lock(&dispatch.devices).devices);
    // The names go first, so that nobody opens what is closed here.
    drop(devices);
    // SAFETY: the caller's promise.
    unsafe { close_all(dispatch, ctp, |_| true) };
}

/// # Safety
/// As [`on_message`], but for the message.
unsafe fn close_all(dispatch: &Dispatch, ctp: *mut Context, which: impl Fn(&(i32, i32)) -> bool) {
    let devices = lock(&dispatch.devices);
    let clients: Vec<_> = devices.opens.keys().copied().filter(which).collect();
    drop(devices);
    for client in clients {
        // SAFETY: the caller's promise.
        unsafe { close(dispatch, ctp, client) };
    }
}

/// A client wants to be unblocked. Where no handler sees to it, its call ends with EINTR.
///
/// # Safety
/// The context of `dispatch` holds the pulse; nobody else uses it.
pub(super) unsafe fn on_unblock(dispatch: &Dispatch, ctp: *mut Context, rcvid: c_int) {
    let Ok(info) = handle::msg_info(rcvid) else {
        return;
    };
    let client = (info.scoid, info.coid);
    let open = lock(&dispatch.devices).opens.get(&client).copied();
    // SAFETY: the caller's promise; the tables outlive the device, as C promised.
    unsafe {
        let context = &mut *ctp;
        (context.rcvid, context.info) = (rcvid, info.into());
        let pulse = context.msg;
        debug_assert!(context.size == size_of::<RawPulse>());
        let result = open.and_then(|open| {
            (*ctp).id = open.id;
            let handler = (*with_address::<IoFuncs>(open.io)).unblock?;
            Some(handler(ctp, pulse, with_address(open.ocb)))
        });
        let result = match result {
            None | Some(DEFAULT) => Err(Error::INTERRUPTED),
            Some(result) => Ok(result),
        };
        reply(ctp, result);
    }
}
