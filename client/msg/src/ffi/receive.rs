//! MsgReceive, and what a server does with the message.

use std::ffi::{c_int, c_long, c_void};
use std::io::{IoSlice, IoSliceMut};

use libc::{iovec, pid_t, size_t, ssize_t};
use zerocopy::{Immutable, IntoBytes};

use super::convert::{bytes, bytes_mut, parts, parts_mut, put};
use crate::error::Result;
use crate::handle::{self, Incoming};
use crate::{MsgInfo, Pulse};

/// `struct _pulse`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct RawPulse {
    kind: u16,
    subtype: u16,
    pub(super) code: i8,
    zero: [u8; 3],
    pub(super) value: u64,
    pub(super) scoid: i32,
    padding: u32,
}

impl From<Pulse> for RawPulse {
    fn from(pulse: Pulse) -> Self {
        Self {
            kind: 0,
            subtype: 0,
            code: pulse.code,
            zero: [0; 3],
            value: pulse.value,
            scoid: pulse.scoid,
            padding: 0,
        }
    }
}

/// `struct _msg_info`.
#[repr(C)]
pub(crate) struct RawMsgInfo {
    nd: u32,
    srcnd: u32,
    pid: pid_t,
    tid: i32,
    chid: i32,
    pub(super) scoid: i32,
    pub(super) coid: i32,
    pub(super) msglen: size_t,
    pub(super) srcmsglen: size_t,
    dstmsglen: size_t,
    priority: i16,
    flags: i16,
    reserved: u32,
}

impl From<MsgInfo> for RawMsgInfo {
    fn from(info: MsgInfo) -> Self {
        Self {
            nd: info.nd,
            srcnd: info.srcnd,
            pid: info.pid,
            tid: info.tid,
            chid: info.chid,
            scoid: info.scoid,
            coid: info.coid,
            msglen: info.msglen as size_t,
            srcmsglen: info.srcmsglen as size_t,
            dstmsglen: info.dstmsglen as size_t,
            priority: info.priority,
            flags: info.flags,
            reserved: 0,
        }
    }
}

// As tests/c/names.c finds them in C.
const _: () = {
    assert!(size_of::<RawPulse>() == 24);
    assert!(size_of::<RawMsgInfo>() == 64);
};

call!(MsgReceive, MsgReceive_r,
(chid: c_int, msg: *mut c_void, len: size_t, info: *mut RawMsgInfo) -> c_int {
    // SAFETY: C's promise.
    let msg = unsafe { bytes_mut(msg, len)? };
    // SAFETY: C's promise.
    unsafe { receive(chid, &mut [IoSliceMut::new(msg)], info) }
});

call!(MsgReceivev, MsgReceivev_r,
(chid: c_int, riov: *const iovec, rparts: size_t, info: *mut RawMsgInfo) -> c_int {
    // SAFETY: C's promise.
    unsafe { receive(chid, &mut parts_mut(riov, rparts)?, info) }
});

call!(MsgReceivePulse, MsgReceivePulse_r,
(chid: c_int, pulse: *mut c_void, len: size_t, _info: *mut RawMsgInfo) -> c_int {
    // SAFETY: C's promise.
    let pulse = unsafe { bytes_mut(pulse, len)? };
    receive_pulse(chid, &mut [IoSliceMut::new(pulse)])
});

call!(MsgReceivePulsev, MsgReceivePulsev_r,
(chid: c_int, piov: *const iovec, pparts: size_t, _info: *mut RawMsgInfo) -> c_int {
    // SAFETY: C's promise.
    receive_pulse(chid, &mut unsafe { parts_mut(piov, pparts)? })
});

call!(MsgReply, MsgReply_r,
(rcvid: c_int, status: c_long, msg: *const c_void, len: size_t) {
    // SAFETY: C's promise.
    let msg = unsafe { bytes(msg, len)? };
    handle::msg_reply(rcvid, status, &[IoSlice::new(msg)])
});

call!(MsgReplyv, MsgReplyv_r,
(rcvid: c_int, status: c_long, riov: *const iovec, rparts: size_t) {
    // SAFETY: C's promise.
    handle::msg_reply(rcvid, status, &unsafe { parts(riov, rparts)? })
});

call!(MsgError, MsgError_r, (rcvid: c_int, error: c_int) {
    handle::msg_error(rcvid, error)
});

call!(MsgRead, MsgRead_r,
(rcvid: c_int, msg: *mut c_void, len: size_t, offset: size_t) -> ssize_t {
    // SAFETY: C's promise.
    let msg = unsafe { bytes_mut(msg, len)? };
    handle::msg_read(rcvid, &mut [IoSliceMut::new(msg)], offset).map(|n| n as ssize_t)
});

call!(MsgReadv, MsgReadv_r,
(rcvid: c_int, riov: *const iovec, rparts: size_t, offset: size_t) -> ssize_t {
    // SAFETY: C's promise.
    let mut to = unsafe { parts_mut(riov, rparts)? };
    handle::msg_read(rcvid, &mut to, offset).map(|n| n as ssize_t)
});

call!(MsgWrite, MsgWrite_r,
(rcvid: c_int, msg: *const c_void, len: size_t, offset: size_t) -> ssize_t {
    // SAFETY: C's promise.
    let msg = unsafe { bytes(msg, len)? };
    handle::msg_write(rcvid, &[IoSlice::new(msg)], offset).map(|n| n as ssize_t)
});

call!(MsgWritev, MsgWritev_r,
(rcvid: c_int, iov: *const iovec, count: size_t, offset: size_t) -> ssize_t {
    // SAFETY: C's promise.
    let from = unsafe { parts(iov, count)? };
    handle::msg_write(rcvid, &from, offset).map(|n| n as ssize_t)
});

call!(MsgInfo, MsgInfo_r, (rcvid: c_int, info: *mut RawMsgInfo) {
    let found = handle::msg_info(rcvid)?;
    // SAFETY: C's promise.
    unsafe { put(info, found.into()) };
    Ok(())
});

call!(MsgCurrent, MsgCurrent_r, (rcvid: c_int) {
    handle::msg_current(rcvid)
});

/// # Safety
/// `info` is null or valid for writing.
pub(super) unsafe fn receive(
    chid: c_int,
    parts: &mut [IoSliceMut<'_>],
    info: *mut RawMsgInfo,
) -> Result<c_int> {
    match handle::msg_receive(chid, parts)? {
        Incoming::Message(rcvid, about) => {
            // SAFETY: the caller's promise.
            unsafe { put(info, about.into()) };
            Ok(rcvid)
        }
        Incoming::Pulse(pulse) => {
            scatter(&RawPulse::from(pulse), parts);
            Ok(0)
        }
    }
}

fn receive_pulse(chid: c_int, parts: &mut [IoSliceMut<'_>]) -> Result<c_int> {
    let pulse = handle::msg_receive_pulse(chid)?;
    scatter(&RawPulse::from(pulse), parts);
    Ok(0)
}

/// Copies a pulse into the buffers, as far as they reach.
fn scatter(pulse: &RawPulse, parts: &mut [IoSliceMut<'_>]) {
    let mut rest = pulse.as_bytes();
    for part in parts {
        let (now, later) = rest.split_at(rest.len().min(part.len()));
        part[..now.len()].copy_from_slice(now);
        rest = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_fills_what_room_there_is() {
        let pulse = RawPulse::from(Pulse {
            code: -33,
            value: 7,
            priority: 10,
            scoid: 5,
        });
        let (mut head, mut rest) = ([9; 5], [9; 30]);
        scatter(
            &pulse,
            &mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)],
        );
        assert_eq!(head, [0, 0, 0, 0, 223]);
        assert_eq!(rest[..11], [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((rest[11], rest[18], rest[19]), (5, 0, 9));
    }
}
