//! One small error for each kind of request, and the reasons for which a socket fails.

use core::fmt;

macro_rules! errors {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => $text,)* })
            }
        }

        impl core::error::Error for $name {}
    };
}

errors! {
    /// Why an interface, address or route request was refused.
    IfaceError {
        /// That identifier is in use.
        Exists => "there is already one",
        /// No such interface, address or route.
        Unknown => "there is none such",
        /// The MTU is below 68 (RFC 791) or above 65535.
        Mtu => "the MTU must lie between 68 and 65535",
        /// The prefix is longer than the address, or the address cannot be an interface's.
        Address => "not a usable address and prefix",
        /// The gateway is on no attached network.
        Gateway => "the gateway is not on an attached network",
        /// A limit of [`crate::Config`] is reached.
        Limit => "too many",
    }
}

errors! {
    /// Why a socket request was refused. Each has its customary errno.
    SocketRequestError {
        /// No such socket (EBADF).
        Unknown => "no such socket",
        /// The address is in use (EADDRINUSE).
        InUse => "address in use",
        /// The address is not one of this host's (EADDRNOTAVAIL).
        NotLocal => "address not available",
        /// All ephemeral ports towards that peer are taken (EADDRNOTAVAIL).
        NoPorts => "no free local port",
        /// The request does not fit the socket's state (EINVAL).
        State => "not possible in this state",
        /// Connected already (EISCONN).
        Connected => "already connected",
        /// Being connected (EALREADY).
        Connecting => "connection attempt in progress",
        /// Not connected, and no destination given (ENOTCONN, EDESTADDRREQ).
        NotConnected => "not connected",
        /// No route to the destination (ENETUNREACH).
        NoRoute => "network unreachable",
        /// The destination cannot be used: unspecified, port 0, wrong family (EINVAL, EAFNOSUPPORT).
        Destination => "destination not usable",
        /// Broadcasting was not asked for (EACCES).
        Broadcast => "broadcast not permitted",
        /// The datagram is longer than one can be (EMSGSIZE).
        TooLong => "message too long",
        /// No packet buffer now: try again (EAGAIN).
        NoBuffer => "no packet buffer",
        /// A limit of [`crate::Config`] is reached (ENFILE).
        Limit => "too many sockets",
        /// The write side is shut (EPIPE).
        Shut => "write side is shut",
        /// The socket failed earlier: see the error (ECONNREFUSED and others).
        Failed => "the socket has failed",
    }
}

errors! {
    /// Why a connection or socket failed. Each has its customary errno.
    SocketError {
        /// The peer refused the connection, or the port is unreachable (ECONNREFUSED).
        Refused => "connection refused",
        /// The peer reset the connection (ECONNRESET).
        Reset => "connection reset by peer",
        /// No answer within the allowed time (ETIMEDOUT).
        TimedOut => "connection timed out",
        /// The network says the host cannot be reached (EHOSTUNREACH).
        HostUnreachable => "host unreachable",
        /// The network says the network cannot be reached, or the route went away (ENETUNREACH).
        NetUnreachable => "network unreachable",
        /// A fatal protocol error from the network (EPROTO).
        Protocol => "protocol not available at the peer",
        /// The datagram needs fragmenting (EMSGSIZE).
        TooLong => "message too long",
        /// The local side aborted it (ECONNABORTED).
        Aborted => "connection aborted",
    }
}
