//! Events and timeouts.
//!
//! `struct sigevent` is the C library's: a value, a signal number, a kind, and room. Kinds that the C
//! library does not know have numbers of ours (`sys/neutrino.h`); a code lies in the room's first
//! int, a priority in the second.

use std::ffi::{c_int, c_void};
use std::time::Duration;

use io_net_os::clock;
use libc::{clockid_t, itimerspec, timespec};

use super::convert::{put, status};
use crate::error::{Error, Result};
use crate::{Event, handle, timeout};

const SIGNAL_CODE: c_int = 0x102;
const SIGNAL_THREAD: c_int = 0x103;
const PULSE: c_int = 0x104;
const UNBLOCK: c_int = 0x105;

/// What of `struct sigevent` matters here, which is less than half of it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct RawEvent {
    value: u64,
    signo: c_int,
    notify: c_int,
    code: c_int,
    priority: c_int,
}

const _: () = assert!(size_of::<RawEvent>() <= size_of::<libc::sigevent>());

impl RawEvent {
    /// The event, or EINVAL for a kind that cannot be delivered to another process.
    fn parse(&self) -> Result<Event> {
        let small = |code| i16::try_from(code).map_err(|_| Error::INVALID);
        Ok(match self.notify {
            libc::SIGEV_NONE => Event::None,
            UNBLOCK => Event::Unblock,
            libc::SIGEV_SIGNAL => Event::Signal { signo: self.signo },
            SIGNAL_CODE => Event::SignalValue {
                signo: self.signo,
                code: small(self.code)?,
                value: self.value,
            },
            SIGNAL_THREAD => Event::SignalThread {
                signo: self.signo,
                code: small(self.code)?,
                value: self.value,
            },
            PULSE => Event::Pulse {
                coid: self.signo,
                priority: small(self.priority)?,
                code: i8::try_from(self.code).map_err(|_| Error::INVALID)?,
                value: self.value,
            },
            _ => return Err(Error::INVALID),
        })
    }
}

/// # Safety
/// `event` is null or points to a `struct sigevent`.
unsafe fn event_in(event: *const RawEvent) -> Result<Event> {
    if event.is_null() {
        return Err(Error::FAULT);
    }
    // SAFETY: the caller's promise; the structure may lie anywhere in a message.
    unsafe { event.read_unaligned() }.parse()
}

call!(MsgDeliverEvent, MsgDeliverEvent_r, (rcvid: c_int, event: *const RawEvent) {
    // SAFETY: C's promise.
    let event = unsafe { event_in(event)? };
    handle::msg_deliver_event(rcvid, &event)
});

call!(MsgVerifyEvent, MsgVerifyEvent_r, (rcvid: c_int, event: *const RawEvent) {
    // SAFETY: C's promise.
    let event = unsafe { event_in(event)? };
    handle::msg_verify_event(rcvid, &event)
});

call!(TimerTimeout, TimerTimeout_r,
(id: clockid_t, flags: c_int, notify: *const RawEvent, ntime: *const u64, otime: *mut u64) {
    // SAFETY: C's promise.
    let time = unsafe { ntime.as_ref() }.map_or(0, |&ns| ns);
    // SAFETY: C's promise.
    let event = unsafe { notify.as_ref() };
    let left = set_timeout(id, flags, event, time)?;
    // SAFETY: C's promise.
    unsafe { put(otime, left) };
    Ok(())
});

/// As TimerTimeout, with POSIX's structure of a time.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn timer_timeout(
    id: clockid_t,
    flags: c_int,
    notify: *const RawEvent,
    ntime: *const itimerspec,
    otime: *mut itimerspec,
) -> c_int {
    // SAFETY: C's promise.
    let time = match unsafe { ntime.as_ref() }.map(|spec| nanoseconds(&spec.it_value)) {
        Some(None) => {
            return status(Err(Error::INVALID));
        }
        Some(Some(ns)) => ns,
        None => 0,
    };
    let mut left = 0;
    // SAFETY: C's promise; both times are ours.
    if unsafe { TimerTimeout(id, flags, notify, &raw const time, &raw mut left) } != 0 {
        return -1;
    }
    let spec = |ns: u64| timespec {
        tv_sec: (ns / 1_000_000_000).cast_signed(),
        tv_nsec: (ns % 1_000_000_000).cast_signed(),
    };
    let left = itimerspec {
        it_interval: spec(0),
        it_value: spec(left),
    };
    // SAFETY: C's promise.
    unsafe { put(otime, left) };
    0
}

fn nanoseconds(time: &timespec) -> Option<u64> {
    let (s, ns) = (
        u64::try_from(time.tv_sec).ok()?,
        u64::try_from(time.tv_nsec).ok()?,
    );
    s.checked_mul(1_000_000_000)?.checked_add(ns)
}

/// Sets this thread's timeout; returns what was left of the one before, in nanoseconds.
fn set_timeout(id: clockid_t, flags: c_int, notify: Option<&RawEvent>, time: u64) -> Result<u64> {
    if notify.is_some_and(|event| event.notify != UNBLOCK) {
        return Err(Error::INVALID);
    }
    let states = flags & !libc::TIMER_ABSTIME;
    let known = (timeout::SEND | timeout::RECEIVE | timeout::REPLY).cast_signed();
    if states & !known != 0 {
        return Err(Error::INVALID);
    }
    let now = match id {
        libc::CLOCK_REALTIME => clock::realtime_ns(),
        libc::CLOCK_MONOTONIC => clock::monotonic_ns(),
        _ => return Err(Error::INVALID),
    };
    let wait = if flags & libc::TIMER_ABSTIME == 0 {
        time
    } else {
        time.saturating_sub(now)
    };
    let wait = (states != 0).then_some(Duration::from_nanos(wait));
    let before = timeout::set(states.cast_unsigned(), wait);
    Ok(before.map_or(0, |(_, left)| {
        left.as_nanos().try_into().unwrap_or(u64::MAX)
    }))
}

/// A `void *` of C's has the width of an event's value.
const _: () = assert!(size_of::<*const c_void>() == size_of::<u64>());

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: RawEvent = RawEvent {
        value: 3,
        signo: 4,
        notify: libc::SIGEV_NONE,
        code: 5,
        priority: 6,
    };

    #[test]
    fn events_of_each_kind() {
        let parse = |notify| RawEvent { notify, ..PLAIN }.parse();
        assert_eq!(parse(libc::SIGEV_NONE), Ok(Event::None));
        assert_eq!(parse(libc::SIGEV_SIGNAL), Ok(Event::Signal { signo: 4 }));
        assert_eq!(parse(UNBLOCK), Ok(Event::Unblock));
        assert_eq!(
            parse(PULSE),
            Ok(Event::Pulse {
                coid: 4,
                priority: 6,
                code: 5,
                value: 3
            })
        );
        assert_eq!(
            parse(SIGNAL_THREAD),
            Ok(Event::SignalThread {
                signo: 4,
                code: 5,
                value: 3
            })
        );
        // A thread cannot be made in another process, and nobody knows the last one.
        assert_eq!(parse(libc::SIGEV_THREAD), Err(Error::INVALID));
        assert_eq!(parse(0x999), Err(Error::INVALID));
    }

    #[test]
    fn a_pulse_event_is_within_a_pulses_range() {
        let wide = RawEvent {
            notify: PULSE,
            code: 300,
            ..PLAIN
        };
        assert_eq!(wide.parse(), Err(Error::INVALID));
    }

    #[test]
    fn a_timeout_only_unblocks_and_only_these_states() {
        let reply = timeout::REPLY.cast_signed();
        let set = |id, flags, event: Option<&RawEvent>| set_timeout(id, flags, event, 1);
        assert_eq!(
            set(libc::CLOCK_MONOTONIC, reply, Some(&PLAIN)),
            Err(Error::INVALID)
        );
        assert_eq!(
            set(libc::CLOCK_MONOTONIC, 1 << 12, None),
            Err(Error::INVALID)
        );
        assert_eq!(
            set(libc::CLOCK_PROCESS_CPUTIME_ID, reply, None),
            Err(Error::INVALID)
        );
    }
}
