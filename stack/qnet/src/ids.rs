//! Handles that Qnet gives out: plain numbers, stale once what they named is gone.

/// Declares handles that wrap a slab's.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The handle as a number below 2^31 that names nothing else of its kind meanwhile.
            pub const fn as_u32(self) -> u32 {
                self.0
            }
        }
    };
}

handle! {
    /// A local client's connection to a remote channel.
    ClientConn
}
handle! {
    /// A message on such a connection, from the client's send to the end of its reply.
    ClientSend
}
handle! {
    /// A remote client's connection to a local channel.
    RemoteClient
}
handle! {
    /// A message on such a connection, and the remote thread that waits for its reply.
    Vthread
}
handle! {
    /// A question whose answer comes as an event.
    Query
}
