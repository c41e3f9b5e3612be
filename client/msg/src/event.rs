//! Events: how a client wants to be told about something later. The client fills one in and sends
//! it in a message; the server delivers it, without waiting, when its time has come.

/// `sigevent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Event {
    /// SIGEV_NONE.
    #[default]
    None,
    /// SIGEV_SIGNAL: a signal to the process.
    Signal {
        /// Its number.
        signo: i32,
    },
    /// SIGEV_SIGNAL_CODE: a signal to the process, with a code and a value.
    SignalValue {
        /// Its number.
        signo: i32,
        /// `si_code`; QNX's SI_MINAVAIL and above. Linux delivers it as SI_QUEUE.
        code: i16,
        /// `si_value`.
        value: u64,
    },
    /// SIGEV_SIGNAL_THREAD: a signal to the thread that sent the message.
    SignalThread {
        /// Its number.
        signo: i32,
        /// `si_code`, see above.
        code: i16,
        /// `si_value`.
        value: u64,
    },
    /// SIGEV_PULSE: a pulse over one of the client's connections, mostly to a channel of its own.
    Pulse {
        /// The client's connection.
        coid: i32,
        /// Priority; -1: that of the thread that delivers.
        priority: i16,
        /// Code, 0 to 127.
        code: i8,
        /// Value.
        value: u64,
    },
    /// SIGEV_UNBLOCK: ends the wait that [`crate::timeout`] was set for. Delivered by a server: ends
    /// what the thread that sent waits in, if it does, as if its time were up.
    Unblock,
}
