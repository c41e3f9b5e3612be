//! io-net's side of the boundary, as the kit plays it.

use crate::current;
use crate::ledger::Side;
use crate::load;
use crate::state::{RawSent, Reg, Shared, State, Timer, Watch};
use io_net_abi::{
    ABI_MAJOR, ABI_MINOR, Advert, BYTE_PAT_ALL, Ion, Npkt, PoolInfo, REG_PRODUCER_UP, RegHandle,
    Registrant, Text,
};
use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ENOENT: i32 = 2;

/// The table for an instance of `kit`.
pub(crate) fn table(kit: &Arc<Shared>) -> Ion {
    Ion {
        size: size_of::<Ion>() as u32,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        ctx: Arc::as_ptr(kit).cast_mut().cast(),
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

/// # Safety
/// `ctx` is from [`table`] of a kit that lives.
unsafe fn kit<'a>(ctx: *mut c_void) -> &'a Shared {
    // SAFETY: the caller's promise.
    unsafe { &*ctx.cast::<Shared>() }
}

/// # Safety
/// `pkts` points to `n` pointers.
unsafe fn slots<'a>(pkts: *mut *mut Npkt, n: u32) -> &'a mut [*mut Npkt] {
    if n == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(pkts, n as usize) }
}

fn text_of(text: Text) -> String {
    if text.len == 0 {
        return String::new();
    }
    // SAFETY: a `Text` is borrowed for the call that this is part of.
    let bytes = unsafe { std::slice::from_raw_parts(text.ptr, text.len) };
    String::from_utf8_lossy(bytes).into_owned()
}

fn send(kit: &Shared, reg: RegHandle, up: bool, pkts: &[*mut Npkt]) {
    let how = if up { "tx_up" } else { "tx_down" };
    let mut state = kit.state();
    let reg = (reg.0 as usize).wrapping_sub(1);
    if reg >= state.registrants.len() {
        state
            .ledger
            .violation(format!("{how} by a registrant that does not exist"));
    }
    if pkts.len() > io_net_abi::BURST_MAX {
        let n = pkts.len();
        state
            .ledger
            .violation(format!("{how} of {n} packets at once"));
    }
    if state.quiesced && !pkts.is_empty() {
        state.ledger.violation(format!("{how} after quiesce"));
    }
    for &pkt in pkts {
        if state.ledger.take_from_module(pkt, how) {
            state.sent.push(RawSent { reg, up, pkt });
        }
    }
}

unsafe extern "C" fn tx_up(ctx: *mut c_void, reg: RegHandle, pkts: *mut *mut Npkt, n: u32) {
    // SAFETY: the contract of `Ion::tx_up`.
    unsafe { send(kit(ctx), reg, true, slots(pkts, n)) }
}

unsafe extern "C" fn tx_down(ctx: *mut c_void, reg: RegHandle, pkts: *mut *mut Npkt, n: u32) {
    // SAFETY: the contract of `Ion::tx_down`.
    unsafe { send(kit(ctx), reg, false, slots(pkts, n)) }
}

pub(crate) unsafe extern "C" fn tx_done(_ctx: *mut c_void, pkts: *mut *mut Npkt, n: u32) {
    let side = current::side();
    // SAFETY: the contract of `Ion::tx_done`.
    for &pkt in unsafe { slots(pkts, n) }.iter() {
        let Some(kit) = current::owner(pkt) else {
            if let (Some(kit), Side::Module) = (current::allocator(), side) {
                let what = format!("tx_done: {pkt:p} is no packet of the pool");
                kit.state().ledger.violation(what);
            }
            continue;
        };
        let mut home = Vec::new();
        let mut state = kit.state();
        state.ledger.release(pkt, side, &mut home);
        state.foreign_home.append(&mut home);
    }
}

pub(crate) unsafe extern "C" fn alloc(
    _ctx: *mut c_void,
    size: u32,
    pkts: *mut *mut Npkt,
    n: u32,
) -> u32 {
    let Some(kit) = current::allocator() else {
        return 0;
    };
    // SAFETY: the contract of `Ion::alloc`.
    let out = unsafe { slots(pkts, n) };
    let side = current::side();
    kit.state().ledger.alloc(size, out, side)
}

unsafe extern "C" fn now_ns(ctx: *mut c_void) -> u64 {
    // SAFETY: the contract of `Ion`.
    unsafe { kit(ctx) }.state().now_ns
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, text: Text) {
    // SAFETY: the contract of `Ion`.
    let kit = unsafe { kit(ctx) };
    kit.state().logs.push((level, text_of(text)));
}

unsafe extern "C" fn fail(ctx: *mut c_void, errno: i32, text: Text) {
    // SAFETY: the contract of `Ion`.
    let kit = unsafe { kit(ctx) };
    kit.state().failure = Some((errno, text_of(text)));
}

unsafe extern "C" fn reg(
    ctx: *mut c_void,
    registrant: *const Registrant,
    reg: *mut RegHandle,
    cell: *mut u16,
    endpoint: *mut u16,
) -> i32 {
    // SAFETY: the contract of `Ion::reg`.
    let (kit, registrant) = unsafe { (kit(ctx), &*registrant) };
    let mut state = kit.state();
    let producer = registrant.flags & REG_PRODUCER_UP != 0;
    let number = state.registrants.len() as u16;
    let Some(stem) = load::text(registrant.name) else {
        return -EINVAL;
    };
    let name = if producer {
        format!("{stem}{number}")
    } else {
        stem.to_owned()
    };
    if state.registrants.iter().any(|other| other.name == name) {
        return -EEXIST;
    }
    if (registrant.size as usize) < size_of::<Registrant>() || registrant.ops.is_null() {
        return -EINVAL;
    }
    state.registrants.push(Reg {
        name,
        flags: registrant.flags,
        top: load::text(registrant.top_type).map(str::to_owned),
        bottom: load::text(registrant.bot_type).map(str::to_owned),
        endpoint: number,
        func_hdl: registrant.func_hdl,
        ops: registrant.ops,
        polling: false,
    });
    // SAFETY: the contract of `Ion::reg`; C modules may leave out what they do not want.
    unsafe {
        reg.write(RegHandle(u32::from(number) + 1));
        if producer && !cell.is_null() {
            cell.write(0);
        }
        if producer && !endpoint.is_null() {
            endpoint.write(number);
        }
    }
    0
}

unsafe extern "C" fn reg_byte_pat(
    ctx: *mut c_void,
    _reg: RegHandle,
    offset: u32,
    pat: *const u8,
    len: u32,
    flags: u32,
) -> i32 {
    if flags & BYTE_PAT_ALL == 0 && !(1..=16).contains(&len) {
        return -EINVAL;
    }
    let pattern = match flags & BYTE_PAT_ALL {
        // SAFETY: the contract of `Ion::reg_byte_pat`.
        0 => unsafe { std::slice::from_raw_parts(pat, len as usize) }.to_vec(),
        _ => Vec::new(),
    };
    // SAFETY: the contract of `Ion`.
    let kit = unsafe { kit(ctx) };
    kit.state().patterns.push((offset, pattern));
    0
}

unsafe extern "C" fn dl_advert(ctx: *mut c_void, _reg: RegHandle, advert: *const Advert) -> i32 {
    // SAFETY: the contract of `Ion::dl_advert`.
    let (kit, advert) = unsafe { (kit(ctx), *advert) };
    kit.state().adverts.push(advert);
    0
}

unsafe extern "C" fn counter(
    ctx: *mut c_void,
    reg: RegHandle,
    name: *const c_char,
) -> *const AtomicU64 {
    // SAFETY: the contract of `Ion::counter`.
    let kit = unsafe { kit(ctx) };
    let Some(name) = load::text(name) else {
        return std::ptr::null();
    };
    let mut state = kit.state();
    let reg = (reg.0 as usize).wrapping_sub(1);
    let known = |(r, n, _): &(usize, String, Box<AtomicU64>)| *r == reg && n == name;
    if !state.counters.iter().any(known) {
        state
            .counters
            .push((reg, name.to_owned(), Box::new(AtomicU64::new(0))));
    }
    let found = state.counters.iter().find(|counter| known(counter));
    found.map_or(std::ptr::null(), |(_, _, cell)| std::ptr::from_ref(&**cell))
}

unsafe extern "C" fn timer(ctx: *mut c_void, reg: RegHandle, id: u32, deadline_ns: u64) -> i32 {
    // SAFETY: the contract of `Ion`.
    let mut state = unsafe { kit(ctx) }.state();
    let reg = (reg.0 as usize).wrapping_sub(1);
    if id >= 16 {
        return -EINVAL;
    }
    state
        .timers
        .retain(|timer| (timer.reg, timer.id) != (reg, id));
    if deadline_ns != 0 {
        state.timers.push(Timer {
            reg,
            id,
            deadline_ns,
        });
    }
    0
}

unsafe extern "C" fn watch(
    ctx: *mut c_void,
    reg: RegHandle,
    fd: i32,
    events: u32,
    cookie: u64,
) -> i32 {
    // SAFETY: the contract of `Ion`.
    let mut state: std::sync::MutexGuard<'_, State> = unsafe { kit(ctx) }.state();
    let reg = (reg.0 as usize).wrapping_sub(1);
    let known = state.watches.iter().position(|watch| watch.fd == fd);
    if let Some(index) = known {
        state.watches.swap_remove(index);
    }
    if events != 0 {
        state.watches.push(Watch {
            reg,
            fd,
            events,
            cookie,
        });
    } else if known.is_none() {
        return -ENOENT;
    }
    0
}

unsafe extern "C" fn poller(ctx: *mut c_void, reg: RegHandle, on: u32) -> i32 {
    // SAFETY: the contract of `Ion`.
    let mut state = unsafe { kit(ctx) }.state();
    match state.registrants.get_mut((reg.0 as usize).wrapping_sub(1)) {
        Some(reg) => {
            reg.polling = on != 0;
            0
        }
        None => -ENOENT,
    }
}

unsafe extern "C" fn wake(ctx: *mut c_void, reg: RegHandle) {
    // SAFETY: the contract of `Ion`.
    let mut state = unsafe { kit(ctx) }.state();
    state.woken.push((reg.0 as usize).wrapping_sub(1));
}

/// Nobody shares the kit's processor.
unsafe extern "C" fn expect(_: *mut c_void, _: u32) {}

unsafe extern "C" fn pool_info(ctx: *mut c_void, info: *mut PoolInfo) {
    // SAFETY: the contract of `Ion::pool_info`.
    unsafe { info.write(kit(ctx).pool.info()) }
}

unsafe extern "C" fn run_dir(ctx: *mut c_void) -> Text {
    // SAFETY: the contract of `Ion`.
    let text = unsafe { &kit(ctx).run_dir };
    Text {
        ptr: text.as_ptr(),
        len: text.len(),
    }
}
