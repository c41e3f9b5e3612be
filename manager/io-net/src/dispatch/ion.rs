//! The table that modules call, [`Ion`]: from C's arguments to this crate's types.
//!
//! Calls that belong on the home worker and come from elsewhere are refused, but for those that a
//! module may make during `init`: these are kept until the instance is in the graph.

use super::{HERE, Lane, Reg, offworker};
use crate::graph::{Pattern, Way};
use crate::instance::{Context, Wish};
use crate::registry::{Claim, Refusal};
use crate::shared::{Note, Shared};
use crate::worker::Worker;
use io_net_abi::{
    ABI_MAJOR, ABI_MINOR, Advert, BURST_MAX, BYTE_PAT_ALL, Ion, LOG_DEBUG, Npkt, PoolInfo,
    RegHandle, Registrant, Text,
};
use std::ffi::{CStr, c_char, c_void};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

const EAGAIN: i32 = 11;
const EPERM: i32 = 1;
const EINVAL: i32 = 22;

/// The table for one instance. It holds the address of `context`, which must not move or go away
/// while the module may call.
#[must_use]
pub fn table(context: &Context) -> Ion {
    Ion {
        size: size_of::<Ion>() as u32,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        ctx: std::ptr::from_ref(context).cast_mut().cast(),
        tx_up,
        tx_down,
        tx_done,
        alloc,
        now_ns,
        log,
        fail,
        reg,
        reg_byte_pat,
        dl_advert,
        counter,
        timer,
        watch,
        poller,
        wake,
        pool_info,
        run_dir,
        expect,
    }
}

/// Makes the calling thread the one that `worker` runs on.
pub fn enter_thread(worker: &Worker) {
    HERE.set(worker);
}

/// Ends what `enter_thread` began.
pub fn leave_thread() {
    HERE.set(std::ptr::null());
}

/// Lets threads that are no workers find the pool; the calling one takes it for its own.
pub fn enlist(shared: &Arc<Shared>) {
    offworker::enlist(shared);
}

/// The worker that runs on this thread.
#[inline]
fn here<'w>() -> Option<&'w Worker> {
    // SAFETY: set while the worker runs on this thread, and it outlives every call from modules.
    unsafe { HERE.get().as_ref() }
}

fn lane<'w>() -> Option<&'w Lane> {
    Some(&here()?.lane)
}

/// The context behind a call's first argument.
///
/// # Safety
/// `ctx` is from [`table`], of a context that lives.
unsafe fn context<'c>(ctx: *mut c_void) -> &'c Context {
    // SAFETY: the caller's promise.
    unsafe { &*ctx.cast::<Context>() }
}

/// Text of a module: what is not UTF-8 in it is replaced.
///
/// # Safety
/// `text` is borrowed for `'t`.
unsafe fn text<'t>(text: Text) -> std::borrow::Cow<'t, str> {
    if text.ptr.is_null() || text.len == 0 {
        return "".into();
    }
    // SAFETY: the caller's promise.
    String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(text.ptr, text.len) })
}

/// A C string of a module; `None` for null.
///
/// # Safety
/// `string` is null or NUL-terminated.
unsafe fn string(string: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    let string = unsafe { (!string.is_null()).then(|| CStr::from_ptr(string)) };
    string.map(|s| s.to_string_lossy().into_owned())
}

unsafe extern "C" fn tx_up(ctx: *mut c_void, reg: RegHandle, pkts: *mut *mut Npkt, n: u32) {
    // SAFETY: the module gives up `n` references.
    unsafe { send(ctx, reg, Way::Up, pkts, n) }
}

unsafe extern "C" fn tx_down(ctx: *mut c_void, reg: RegHandle, pkts: *mut *mut Npkt, n: u32) {
    // SAFETY: the module gives up `n` references.
    unsafe { send(ctx, reg, Way::Down, pkts, n) }
}

/// # Safety
/// The table's contract: `pkts` holds `n` owned references, given up by the call.
#[inline]
unsafe fn send(ctx: *mut c_void, reg: RegHandle, way: Way, pkts: *mut *mut Npkt, n: u32) {
    if n == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        let pkts = std::slice::from_raw_parts_mut(pkts, n as usize);
        match lane() {
            Some(lane) if n as usize <= BURST_MAX => lane.send(reg, way, pkts),
            Some(lane) => {
                for burst in pkts.chunks_mut(BURST_MAX) {
                    lane.send(reg, way, burst);
                }
            }
            None => {
                context(ctx).shared.count_astray(pkts.len());
                offworker::release(pkts);
            }
        }
    }
}

unsafe extern "C" fn tx_done(_: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
    if n == 0 {
        return;
    }
    // SAFETY: the module gives up `n` references.
    unsafe {
        let pkts = std::slice::from_raw_parts(pkts, n as usize);
        match lane() {
            Some(lane) => lane.release(pkts),
            None => offworker::release(pkts),
        }
    }
}

unsafe extern "C" fn alloc(_: *mut c_void, size: u32, pkts: *mut *mut Npkt, n: u32) -> u32 {
    if n == 0 {
        return 0;
    }
    // SAFETY: the module lends `n` slots to write.
    let out = unsafe { std::slice::from_raw_parts_mut(pkts, n as usize) };
    match lane() {
        Some(lane) => lane.cache.borrow_mut().alloc(size, out),
        None => offworker::alloc(size, out),
    }
}

unsafe extern "C" fn now_ns(_: *mut c_void) -> u64 {
    io_net_os::clock::monotonic_ns()
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, said: Text) {
    // SAFETY: the table's contract.
    let (context, said) = unsafe { (context(ctx), text(said)) };
    let level = level.min(LOG_DEBUG);
    let log = &context.shared.log;
    log.say(
        context.link.module(),
        level,
        &said,
        context.placement.verbose,
    );
}

unsafe extern "C" fn fail(ctx: *mut c_void, code: i32, said: Text) {
    // SAFETY: the table's contract.
    let (context, said) = unsafe { (context(ctx), text(said)) };
    let mut stage = context.stage();
    if stage.starting && here().is_none() {
        stage.reason = Some((code.saturating_abs().max(1), said.into_owned()));
        return;
    }
    drop(stage);
    if context.link.set_failed() {
        let log = &context.shared.log;
        log.say(context.link.module(), io_net_abi::LOG_ERROR, &said, true);
        context.shared.tell_control(Note::Failed(context.link.id()));
    }
}

unsafe extern "C" fn reg(
    ctx: *mut c_void,
    registrant: *const Registrant,
    reg: *mut RegHandle,
    cell: *mut u16,
    endpoint: *mut u16,
) -> i32 {
    const SIZE_MIN: u32 = size_of::<Registrant>() as u32;
    // SAFETY: the table's contract.
    let context = unsafe { context(ctx) };
    // SAFETY: as above; the size is read before the rest.
    if registrant.is_null() || unsafe { (*registrant).size } < SIZE_MIN {
        return refuse(context, &refusal("its description is missing or too small"));
    }
    // SAFETY: not null and large enough.
    let registrant = unsafe { &*registrant };
    // SAFETY: names are null or NUL-terminated.
    let claim = unsafe {
        Claim {
            flags: registrant.flags,
            name: string(registrant.name).unwrap_or_default(),
            top: string(registrant.top_type),
            bottom: string(registrant.bot_type),
        }
    };
    let first = context.stage().registered == 0;
    let make = |handle, name| {
        let link = context.link.clone();
        // SAFETY: the module promises that its table and handle are good until its shutdown.
        unsafe {
            Reg::new(
                handle,
                context.home,
                name,
                link,
                registrant.func_hdl,
                registrant.ops,
            )
        }
    };
    let mut registry = context.shared.registry();
    let entered = registry.enter(&claim, &context.placement, first, make);
    drop(registry);
    match entered {
        Ok((handle, its_cell, its_endpoint)) => {
            // SAFETY: where they are not null, the module lends them to write.
            unsafe {
                write(reg, handle);
                write(cell, its_cell);
                write(endpoint, its_endpoint);
            }
            let mut stage = context.stage();
            stage.registered += 1;
            if !stage.starting || here().is_some() {
                context.shared.tell_control(Note::Changed);
            }
            0
        }
        Err(refusal) => refuse(context, &refusal),
    }
}

/// # Safety
/// `to` is null or may be written.
unsafe fn write<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the caller's promise.
        unsafe { to.write(value) };
    }
}

fn refusal(text: &str) -> Refusal {
    Refusal {
        errno: EINVAL,
        text: text.into(),
    }
}

/// Keeps the reason for the mount's error, and gives the module its errno.
fn refuse(context: &Context, refusal: &Refusal) -> i32 {
    let mut stage = context.stage();
    if stage.starting {
        stage.refusal = Some(refusal.text.clone());
    } else {
        context.shared.log.warning(format_args!(
            "{}: refused: {}",
            context.link.module(),
            refusal.text
        ));
    }
    -refusal.errno
}

unsafe extern "C" fn reg_byte_pat(
    ctx: *mut c_void,
    reg: RegHandle,
    offset: u32,
    pat: *const u8,
    len: u32,
    flags: u32,
) -> i32 {
    // SAFETY: the table's contract.
    let context = unsafe { context(ctx) };
    let pattern = if flags & BYTE_PAT_ALL != 0 {
        Some(Pattern::All)
    } else if pat.is_null() || len as usize > crate::graph::pattern::PATTERN_MAX {
        None
    } else {
        // SAFETY: not null, and the module lends `len` bytes.
        Pattern::bytes(offset, unsafe {
            std::slice::from_raw_parts(pat, len as usize)
        })
    };
    let Some(pattern) = pattern else {
        return refuse(context, &refusal("a byte pattern has 1 to 16 bytes"));
    };
    let added = context.shared.registry().add_pattern(reg, pattern);
    match added {
        Ok(()) => {
            if !context.stage().starting || here().is_some() {
                context.shared.tell_control(Note::Changed);
            }
            0
        }
        Err(refusal) => refuse(context, &refusal),
    }
}

unsafe extern "C" fn dl_advert(ctx: *mut c_void, reg: RegHandle, advert: *const Advert) -> i32 {
    // SAFETY: the table's contract.
    let context = unsafe { context(ctx) };
    // SAFETY: the size is read before the rest.
    if advert.is_null() || unsafe { (*advert).size } < size_of::<Advert>() as u32 {
        return -EINVAL;
    }
    // SAFETY: not null and large enough.
    let advert = unsafe { *advert };
    if context.wish(Wish::Advert(reg, advert)) {
        return 0;
    }
    let told = context.shared.tell_control(Note::Advert(reg, advert));
    if told { 0 } else { -EAGAIN }
}

/// Where counts go that are too many to have a counter each.
static SPARE: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn counter(
    ctx: *mut c_void,
    reg: RegHandle,
    name: *const c_char,
) -> *const AtomicU64 {
    // SAFETY: the table's contract; the name is null or NUL-terminated.
    let (context, name) = unsafe { (context(ctx), string(name)) };
    let registry = context.shared.registry();
    let entry = registry.entry(reg);
    let counter = entry.and_then(|entry| entry.reg.counter(name.as_deref()?));
    counter.unwrap_or(&raw const SPARE)
}

/// The worker of this thread, if `reg` is one of its registrants.
fn at_home(reg: RegHandle) -> Option<(&'static Worker, Arc<Reg>)> {
    let worker = here()?;
    let reg = worker.lane.plan().reg(reg)?;
    (reg.home() == worker.lane.index).then(|| (worker, reg.clone()))
}

unsafe extern "C" fn timer(ctx: *mut c_void, reg: RegHandle, id: u32, deadline_ns: u64) -> i32 {
    if id as usize >= super::TIMERS_MAX {
        return -EINVAL;
    }
    if let Some(worker) = here()
        && let Some(reg) = worker.lane.plan().reg(reg)
        && reg.home() == worker.lane.index
    {
        worker.set_timer(reg, id, deadline_ns);
        return 0;
    }
    // SAFETY: the table's contract.
    let kept = unsafe { context(ctx) }.wish(Wish::Timer(reg, id, deadline_ns));
    if kept { 0 } else { -EPERM }
}

unsafe extern "C" fn watch(
    ctx: *mut c_void,
    reg: RegHandle,
    fd: i32,
    events: u32,
    cookie: u64,
) -> i32 {
    let result = match at_home(reg) {
        Some((worker, reg)) => worker.watch(&reg, fd, events, cookie),
        None => probe(fd, events).and_then(|()| {
            // SAFETY: the table's contract.
            let kept = unsafe { context(ctx) }.wish(Wish::Watch(reg, fd, events, cookie));
            if kept {
                Ok(())
            } else {
                Err(std::io::Error::from_raw_os_error(EPERM))
            }
        }),
    };
    match result {
        Ok(()) => 0,
        Err(e) => -e.raw_os_error().unwrap_or(EINVAL),
    }
}

/// Whether a descriptor can be watched, asked of an epoll instance that nobody waits on.
fn probe(fd: i32, events: u32) -> std::io::Result<()> {
    if fd < 0 {
        return Err(std::io::Error::from_raw_os_error(EINVAL));
    }
    let epoll = io_net_os::epoll::Epoll::new()?;
    // SAFETY: used for epoll_ctl only, which tells us where the descriptor is not open.
    epoll.add(unsafe { BorrowedFd::borrow_raw(fd) }, events, 0)
}

unsafe extern "C" fn poller(ctx: *mut c_void, reg: RegHandle, on: u32) -> i32 {
    if let Some((worker, reg)) = at_home(reg) {
        worker.set_poller(&reg, on != 0);
        return 0;
    }
    // SAFETY: the table's contract.
    let kept = unsafe { context(ctx) }.wish(Wish::Poller(reg, on != 0));
    if kept { 0 } else { -EPERM }
}

unsafe extern "C" fn wake(ctx: *mut c_void, reg: RegHandle) {
    if let Some(worker) = here()
        && let Some(reg) = worker.lane.plan().reg(reg)
    {
        return worker.wake(reg);
    }
    // SAFETY: the table's contract.
    let context = unsafe { context(ctx) };
    if context.wish(Wish::Wake(reg)) {
        return;
    }
    let found = context.shared.registry().entry(reg).map(|e| e.reg.clone());
    if let Some(reg) = found
        && reg.ask_poll()
    {
        let home = context.shared.worker(reg.home());
        let handle = reg.handle();
        home.post(move |worker| worker.poll_asked(handle));
    }
}

unsafe extern "C" fn expect(_: *mut c_void, within_ns: u32) {
    if let Some(worker) = here() {
        worker.expect(within_ns);
    }
}

unsafe extern "C" fn pool_info(ctx: *mut c_void, info: *mut PoolInfo) {
    // SAFETY: the table's contract; the module lends `info` to write.
    unsafe { write(info, context(ctx).shared.pool().info()) };
}

unsafe extern "C" fn run_dir(ctx: *mut c_void) -> Text {
    // SAFETY: the table's contract. The text lives as long as the context's io-net.
    let dir = unsafe { context(ctx) }.shared.run_dir();
    let bytes = dir.as_os_str().as_encoded_bytes();
    Text {
        ptr: bytes.as_ptr(),
        len: bytes.len(),
    }
}
