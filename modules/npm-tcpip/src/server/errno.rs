//! Linux's error numbers, and which of them stands for which refusal of the stack.

use io_net_tcpip::{SocketError, SocketRequestError};

pub(crate) const EAGAIN: u32 = 11;
pub(crate) const EACCES: u32 = 13;
pub(crate) const EINVAL: u32 = 22;
pub(crate) const ENFILE: u32 = 23;
pub(crate) const EMFILE: u32 = 24;
pub(crate) const EPIPE: u32 = 32;
pub(crate) const ENODEV: u32 = 19;
pub(crate) const ENOENT: u32 = 2;
pub(crate) const ENOSPC: u32 = 28;
pub(crate) const EBADF: u32 = 9;
pub(crate) const EPROTO: u32 = 71;
pub(crate) const ENOTSOCK: u32 = 88;
pub(crate) const EMSGSIZE: u32 = 90;
pub(crate) const ENOPROTOOPT: u32 = 92;
pub(crate) const EPROTONOSUPPORT: u32 = 93;
pub(crate) const ESOCKTNOSUPPORT: u32 = 94;
pub(crate) const EOPNOTSUPP: u32 = 95;
pub(crate) const EAFNOSUPPORT: u32 = 97;
pub(crate) const EADDRINUSE: u32 = 98;
pub(crate) const EADDRNOTAVAIL: u32 = 99;
pub(crate) const ENETUNREACH: u32 = 101;
pub(crate) const ECONNABORTED: u32 = 103;
pub(crate) const ECONNRESET: u32 = 104;
pub(crate) const ENOBUFS: u32 = 105;
pub(crate) const EISCONN: u32 = 106;
pub(crate) const ENOTCONN: u32 = 107;
pub(crate) const ETIMEDOUT: u32 = 110;
pub(crate) const ECONNREFUSED: u32 = 111;
pub(crate) const EHOSTUNREACH: u32 = 113;
pub(crate) const EALREADY: u32 = 114;
pub(crate) const EINPROGRESS: u32 = 115;

/// What a refused request is called.
pub(crate) fn of_request(error: SocketRequestError) -> u32 {
    use SocketRequestError as E;
    match error {
        E::Unknown => EBADF,
        E::InUse => EADDRINUSE,
        E::NotLocal | E::NoPorts => EADDRNOTAVAIL,
        E::State | E::Destination => EINVAL,
        E::Connected => EISCONN,
        E::Connecting => EALREADY,
        E::NotConnected => ENOTCONN,
        E::NoRoute => ENETUNREACH,
        E::Broadcast => EACCES,
        E::TooLong => EMSGSIZE,
        E::NoBuffer => EAGAIN,
        E::Limit => ENFILE,
        E::Shut => EPIPE,
        E::Failed => ECONNABORTED,
    }
}

/// What a failed connection is called.
pub(crate) fn of_socket(error: SocketError) -> u32 {
    use SocketError as E;
    match error {
        E::Refused => ECONNREFUSED,
        E::Reset => ECONNRESET,
        E::TimedOut => ETIMEDOUT,
        E::HostUnreachable => EHOSTUNREACH,
        E::NetUnreachable => ENETUNREACH,
        E::Protocol => EPROTO,
        E::TooLong => EMSGSIZE,
        E::Aborted => ECONNABORTED,
    }
}
