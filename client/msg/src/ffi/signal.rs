//! Signals.

use std::ffi::c_int;

use libc::pid_t;

use crate::signal::signal_kill;

call!(SignalKill, SignalKill_r,
(nd: u32, pid: pid_t, tid: c_int, signo: c_int, _code: c_int, value: c_int) {
    signal_kill(nd, pid, tid, signo, value)
});
