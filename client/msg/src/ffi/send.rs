//! MsgSend: one part (s) or several (v) of message and reply. No call here is a point of
//! cancellation, so that the `nc` forms are the same.

use std::ffi::{c_int, c_long, c_void};
use std::io::{IoSlice, IoSliceMut};

use libc::{iovec, pid_t, size_t};

use super::convert::{bytes, bytes_mut, number, parts, parts_mut};
use crate::error::{Error, Result};
use crate::{handle, priority};

fn send(coid: c_int, message: &[IoSlice<'_>], reply: &mut [IoSliceMut<'_>]) -> Result<c_long> {
    handle::msg_send(coid, message, reply).map(|reply| reply.status)
}

/// The four forms of MsgSend, under one set of names.
macro_rules! sends {
    ($ss:ident $ss_r:ident, $sv:ident $sv_r:ident, $vs:ident $vs_r:ident, $vv:ident $vv_r:ident) => {
        call!($ss, $ss_r,
        (coid: c_int, smsg: *const c_void, sbytes: size_t, rmsg: *mut c_void, rbytes: size_t)
        -> c_long {
            // SAFETY: C's promise.
            let (message, reply) = unsafe { (bytes(smsg, sbytes)?, bytes_mut(rmsg, rbytes)?) };
            send(coid, &[IoSlice::new(message)], &mut [IoSliceMut::new(reply)])
        });

        call!($sv, $sv_r,
        (coid: c_int, smsg: *const c_void, sbytes: size_t, riov: *const iovec, rparts: size_t)
        -> c_long {
            // SAFETY: C's promise.
            let (message, mut reply) = unsafe { (bytes(smsg, sbytes)?, parts_mut(riov, rparts)?) };
            send(coid, &[IoSlice::new(message)], &mut reply)
        });

        call!($vs, $vs_r,
        (coid: c_int, siov: *const iovec, sparts: size_t, rmsg: *mut c_void, rbytes: size_t)
        -> c_long {
            // SAFETY: C's promise.
            let (message, reply) = unsafe { (parts(siov, sparts)?, bytes_mut(rmsg, rbytes)?) };
            send(coid, &message, &mut [IoSliceMut::new(reply)])
        });

        call!($vv, $vv_r,
        (coid: c_int, siov: *const iovec, sparts: size_t, riov: *const iovec, rparts: size_t)
        -> c_long {
            // SAFETY: C's promise.
            let (message, mut reply) = unsafe { (parts(siov, sparts)?, parts_mut(riov, rparts)?) };
            send(coid, &message, &mut reply)
        });
    };
}

sends!(MsgSend MsgSend_r, MsgSendsv MsgSendsv_r, MsgSendvs MsgSendvs_r, MsgSendv MsgSendv_r);
sends!(
    MsgSendnc MsgSendnc_r,
    MsgSendsvnc MsgSendsvnc_r,
    MsgSendvsnc MsgSendvsnc_r,
    MsgSendvnc MsgSendvnc_r
);

call!(MsgSendPulse, MsgSendPulse_r, (coid: c_int, priority: c_int, code: c_int, value: c_int) {
    pulse(coid, priority, code, value.cast_unsigned().into())
});

call!(MsgSendPulsePtr, MsgSendPulsePtr_r,
(coid: c_int, priority: c_int, code: c_int, value: *mut c_void) {
    pulse(coid, priority, code, value.addr() as u64)
});

fn pulse(coid: c_int, priority: c_int, code: c_int, value: u64) -> Result<()> {
    let code = i8::try_from(code).map_err(|_| Error::INVALID)?;
    handle::msg_send_pulse(coid, priority, code, value)
}

/// The calling thread's priority; `pid` is 0, or EINVAL.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn getprio(pid: pid_t) -> c_int {
    number(own(pid).map(|()| priority::get().into()))
}

/// Sets the calling thread's priority, 1 to 255; the one before.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn setprio(pid: pid_t, prio: c_int) -> c_int {
    number(own(pid).and_then(|()| {
        let level = u8::try_from(prio).map_err(|_| Error::INVALID)?;
        let before = priority::get();
        if level == 0 {
            return Err(Error::INVALID);
        }
        priority::set(level);
        Ok(before.into())
    }))
}

fn own(pid: pid_t) -> Result<()> {
    (pid == 0).then_some(()).ok_or(Error::INVALID)
}
