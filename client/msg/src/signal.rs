//! `SignalKill`: signals to processes of this node and of others.

use io_net_os::{sigqueue, task};

use crate::error::{Error, Result};
use crate::flags::ND_LOCAL_NODE;
use crate::netmgr;

/// `SignalKill`: sends signal `signo`, with `value`, to process `pid` of node `nd`, or with `tid`
/// above 0 to that thread of it. Signal 0 only checks. On this node `pid` 0 is the caller's process
/// group, or with a `tid` the caller's process, and below 0 the process group `-pid`.
///
/// To another node, success means that it is on its way.
///
/// # Errors
/// EINVAL for what is no signal; ESRCH where there is no such process or thread; EPERM where the
/// caller may not; EAGAIN; EREMOTE for another node without Qnet.
pub fn signal_kill(nd: u32, pid: i32, tid: i32, signo: i32, value: i32) -> Result<()> {
    if !(0..=64).contains(&signo) {
        return Err(Error::INVALID);
    }
    if nd != ND_LOCAL_NODE {
        return netmgr::signal(nd, pid, tid, signo, value);
    }
    let tid = match u32::try_from(tid) {
        Ok(0) => None,
        Ok(tid) => Some(tid),
        Err(_) => return Err(Error::SRCH),
    };
    let sent = match (pid, tid) {
        (..0, Some(_)) => return Err(Error::SRCH),
        (..=0, None) => sigqueue::send_to_group(pid.wrapping_neg(), signo),
        (0, tid) => sigqueue::send_to(
            task::process_id().cast_signed(),
            tid,
            signo,
            value_word(value),
        ),
        (_, tid) => sigqueue::send_to(pid, tid, signo, value_word(value)),
    };
    Ok(sent?)
}

/// An int in a `union sigval`.
fn value_word(value: i32) -> u64 {
    value.cast_unsigned().into()
}
