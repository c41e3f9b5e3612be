//! Events: from a server's call to what happens in the client.

use io_net_os::sigqueue;
use io_net_rendezvous::hello::{Event as Wire, kind};
use io_net_rendezvous::server::ServerEnd;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::process::Process;

/// The highest signal.
const SIGNAL_MAX: i32 = 64;

/// Sends `event` to a client; `tid`: its thread that sent the message.
pub(crate) fn send(end: &ServerEnd, tid: u32, event: &Event) -> Result<()> {
    check(event)?;
    let Some(wire) = to_wire(event, tid) else {
        return Ok(());
    };
    if end.is_dead() {
        return Err(Error::SRCH);
    }
    end.deliver(&wire).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::AGAIN,
        _ => Error::SRCH,
    })
}

/// Whether an event could be delivered, as far as its fields tell.
pub(crate) fn check(event: &Event) -> Result<()> {
    let valid = match *event {
        Event::None => true,
        Event::Signal { signo }
        | Event::SignalValue { signo, .. }
        | Event::SignalThread { signo, .. } => (1..=SIGNAL_MAX).contains(&signo),
        Event::Pulse {
            coid,
            priority,
            code,
            ..
        } => coid >= 0 && (-1..=255).contains(&priority) && code >= 0,
        Event::Unblock => true,
    };
    if valid { Ok(()) } else { Err(Error::INVALID) }
}

fn to_wire(event: &Event, tid: u32) -> Option<Wire> {
    let wire = match *event {
        Event::None => return None,
        Event::Unblock => Wire {
            kind: kind::UNBLOCK,
            tid,
            ..Wire::default()
        },
        Event::Signal { signo } => Wire {
            kind: kind::SIGNAL,
            signo,
            ..Wire::default()
        },
        Event::SignalValue { signo, code, value } => Wire {
            kind: kind::SIGNAL_VALUE,
            signo,
            code: code.into(),
            value,
            ..Wire::default()
        },
        Event::SignalThread { signo, code, value } => Wire {
            kind: kind::SIGNAL_THREAD,
            signo,
            code: code.into(),
            value,
            tid,
            ..Wire::default()
        },
        Event::Pulse {
            coid,
            priority,
            code,
            value,
        } => Wire {
            kind: kind::PULSE,
            coid,
            priority: match priority {
                -1 => (crate::thread::priority() & 0xff).into(),
                other => other.into(),
            },
            code: code.into(),
            value,
            ..Wire::default()
        },
    };
    Some(wire)
}

/// Does what a server's event says, in the client's process. What cannot be done is not: the server
/// has been told that delivery is all that is promised.
pub(crate) fn act(wire: &Wire) {
    let _ = match wire.kind {
        kind::SIGNAL => sigqueue::send(None, wire.signo, 0).map_err(Error::from),
        kind::SIGNAL_VALUE => sigqueue::send(None, wire.signo, wire.value).map_err(Error::from),
        kind::SIGNAL_THREAD => {
            sigqueue::send(Some(wire.tid), wire.signo, wire.value).map_err(Error::from)
        }
        kind::PULSE => pulse(wire),
        kind::UNBLOCK => {
            Process::get().unblock(wire.tid);
            Ok(())
        }
        _ => Ok(()),
    };
}

/// Does what an event of this process's own says, to the calling thread.
pub(crate) fn to_self(event: &Event) {
    if let Some(wire) = to_wire(event, crate::thread::id()) {
        act(&wire);
    }
}

fn pulse(wire: &Wire) -> Result<()> {
    let link = Process::get().connection(wire.coid).ok_or(Error::BADF)?;
    let code = i8::try_from(wire.code).map_err(|_| Error::INVALID)?;
    link.pulse(wire.priority, code, wire.value)
}
