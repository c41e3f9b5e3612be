//! Signals between nodes: `SignalKill` of programs here to processes there, and the reverse.
//!
//! A signal travels over a connection to the other node's network manager, which carries who sends it.
//! Who it comes from may do here what the user may that this node maps it to: the rule of kill(2).

use io_net_os::pidfd::Pidfd;
use io_net_os::sigqueue;
use io_net_qnet::time::Instant;
use io_net_qnet::{ClientConn, Credentials, Errno, Identity, Nd, Qnet, Signal};
use std::collections::VecDeque;
use std::io;

use crate::netmgr::MANAGER;

/// Connections that are kept for signals, at most.
const CONNS_MAX: usize = 64;

/// The connections over which signals of programs here leave, the oldest first.
#[derive(Default)]
pub(crate) struct Signals(VecDeque<(Nd, Credentials, ClientConn)>);

impl Signals {
    /// Sends the signal that `text` says to a process of node `nd`, for a program here.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        nd: Nd,
        from: Identity,
        text: &str,
        qnet: &mut Qnet,
    ) -> Result<(), Errno> {
        let signal = parse(text).ok_or(Errno::EINVAL)?;
        let of = |(node, user, _): &(Nd, Credentials, ClientConn)| {
            (*node, *user) == (nd, from.credentials)
        };
        let conn = match self.0.iter().find(|kept| of(kept)) {
            Some(&(.., conn)) => conn,
            None => {
                let conn = qnet.client_connect(now, nd, MANAGER, from)?;
                self.0.push_back((nd, from.credentials, conn));
                conn
            }
        };
        if self.0.len() > CONNS_MAX
            && let Some((.., oldest)) = self.0.pop_front()
        {
            qnet.client_detach(now, oldest);
        }
        qnet.client_signal(now, conn, signal)
    }

    /// A connection is dead. Whether it was one of these.
    pub(crate) fn dead(&mut self, conn: ClientConn) -> bool {
        let before = self.0.len();
        self.0.retain(|(.., own)| *own != conn);
        self.0.len() != before
    }
}

fn parse(text: &str) -> Option<Signal> {
    let mut numbers = text.split(' ').map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten();
    Some(Signal {
        pid: next()?,
        tid: next()?,
        signo: next()?,
        code: 0,
        value: next()?,
    })
}

/// Sends a signal of another node's to a process here, if its sender may.
///
/// # Errors
/// EPERM; ESRCH, EINVAL.
pub(crate) fn deliver(from: &Identity, signal: &Signal) -> io::Result<()> {
    if signal.pid <= 0 || signal.tid < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let process = Pidfd::open(signal.pid)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", signal.pid))?;
    if !may(&from.credentials, &status) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // The number is still this process's.
    process.signal(0)?;
    let tid = (signal.tid > 0).then_some(signal.tid.cast_unsigned());
    let value = signal.value.cast_unsigned().into();
    sigqueue::send_to(signal.pid, tid, signal.signo, value)
}

/// Whether a user may send signals to the process of which the kernel says `status`.
fn may(user: &Credentials, status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let mut ids = line.unwrap_or_default().split_whitespace();
    // Real, effective, saved.
    let real_and_saved = [ids.next(), ids.nth(1)];
    let its = |id: u32| {
        let id = id.to_string();
        real_and_saved.contains(&Some(id.as_str()))
    };
    user.euid == 0 || its(user.euid) || its(user.ruid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_four_numbers() {
        let signal = parse("12 0 15 -3").unwrap();
        assert_eq!((signal.pid, signal.tid), (12, 0));
        assert_eq!((signal.signo, signal.value), (15, -3));
        assert_eq!(parse("12 0 15"), None);
        assert_eq!(parse("12 0 x 1"), None);
    }

    #[test]
    fn users_signal_their_own() {
        let status = "Name:\tcat\nUid:\t5\t6\t7\t6\nGid:\t1\t1\t1\t1\n";
        let user = |uid| Credentials::of(uid, uid);
        assert!(may(&user(5), status) && may(&user(7), status) && may(&user(0), status));
        assert!(!may(&user(6), status) && !may(&user(65_534), status));
        assert!(!may(&user(5), "") && !may(&user(5), "Uid:\n"));
    }

    #[test]
    fn nobody_in_particular_cannot_signal_this_process() {
        let nobody = Identity {
            credentials: Credentials::of(65_534, 65_534),
            ..Identity::default()
        };
        let own = std::process::id().cast_signed();
        let signal = |pid| Signal {
            pid,
            signo: 9,
            ..Signal::default()
        };
        if io_net_os::task::user_id() != 65_534 {
            let refused = deliver(&nobody, &signal(own)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        }
        assert!(deliver(&nobody, &signal(0)).is_err());
        assert!(deliver(&nobody, &signal(-1)).is_err());
        assert!(deliver(&nobody, &signal(i32::MAX)).is_err());
    }
}
