//! Events and timeouts.
//!
//! `struct sigevent` is the C library's: a value, a signal number, a kind, and room. Kinds that the C
//! library does not know have numbers of ours (`sys/neutrino.h`); a code lies in the room's first
//! int, a priority in the second.

use std::ffi::{c_int, c_void};
use std::time::Duration;

use io_net_os::clock;
use libc::{clockid_t, timespec};

use super::convert::put;
use crate::error::{Error, Result};
use crate::{Event, handle, timeout};

const SIGNAL_CODE: c_int = 0x102;
const SIGNAL_THREAD: c_int = 0x103;
const PULSE: c_int = 0x104;
const UNBLOCK: c_int = 0x105;
const INTR: c_int = 0x106;

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
            // No thread here waits for an interrupt.
            libc::SIGEV_NONE | INTR => Event::None,
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

call!(MsgRegisterEvent, MsgRegisterEvent_r, (event: *mut RawEvent, coid: c_int) {
    // SAFETY: C's promise.
    let event = unsafe { event_in(event)? };
    handle::msg_register_event(&event, coid)
});

// Nothing was noted that could be forgotten.
call!(MsgUnregisterEvent, MsgUnregisterEvent_r, (event: *const RawEvent) {
    // SAFETY: C's promise.
    unsafe { event_in(event) }.map(drop)
});

call!(TimerTimeout, TimerTimeout_r,
(id: clockid_t, flags: c_int, notify: *const RawEvent, ntime: *const u64, otime: *mut u64) {
    // SAFETY: C's promise.
    let time = unsafe { ntime.as_ref() }.map_or(0, |&ns| ns);
    // SAFETY: C's promise.
    let left = set_timeout(id, flags, unsafe { notify.as_ref() }, time)?;
    // SAFETY: C's promise.
    unsafe { put(otime, left) };
    Ok(())
});

// As TimerTimeout, with POSIX's structure of a time.
call!(timer_timeout, timer_timeout_r,
(id: clockid_t, flags: c_int, notify: *const RawEvent, ntime: *const timespec, otime: *mut timespec)
{
    // SAFETY: C's promise.
    let time = match unsafe { ntime.as_ref() } {
        Some(time) => nanoseconds(time).ok_or(Error::INVALID)?,
        None => 0,
    };
    // SAFETY: C's promise.
    let left = set_timeout(id, flags, unsafe { notify.as_ref() }, time)?;
    let left = timespec {
        tv_sec: (left / SECOND).cast_signed(),
        tv_nsec: (left % SECOND).cast_signed(),
    };
    // SAFETY: C's promise.
    unsafe { put(otime, left) };
    Ok(())
});

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

fn nanoseconds(time: &timespec) -> Option<u64> {
    let s = u64::try_from(time.tv_sec).ok()?;
    let ns = u64::try_from(time.tv_nsec).ok().filter(|&ns| ns < SECOND)?;
    s.checked_mul(SECOND)?.checked_add(ns)
}

/// Sets this thread's timeout; returns what was left of the one before, in nanoseconds.
fn set_timeout(id: clockid_t, flags: c_int, notify: Option<&RawEvent>, time: u64) -> Result<u64> {
    let event = notify.map_or(Ok(Event::Unblock), RawEvent::parse)?;
    handle::msg_verify_event(0, &event)?;
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
    let before = timeout::set_with(states.cast_unsigned(), wait, event);
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
        assert_eq!(parse(INTR), Ok(Event::None));
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
    fn a_timeout_has_these_states_and_an_event_that_is_one() {
        let reply = timeout::REPLY.cast_signed();
        let set = |id, flags, event: Option<&RawEvent>| set_timeout(id, flags, event, 1);
        let nothing = RawEvent {
            notify: libc::SIGEV_THREAD,
            ..PLAIN
        };
        assert_eq!(
            set(libc::CLOCK_MONOTONIC, reply, Some(&nothing)),
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
        let time = |tv_sec, tv_nsec| nanoseconds(&timespec { tv_sec, tv_nsec });
        assert_eq!(time(2, 3), Some(2_000_000_003));
        assert_eq!((time(0, 1_000_000_000), time(-1, 0)), (None, None));
    }
}
