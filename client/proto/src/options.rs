//! Socket options that are words in the slot: the program checks and stores them, marks the slot
//! dirty, and io-net reads them when it next looks at the socket, clamping each. No round trip.
//!
//! io-net copies a listener's words to the sockets accepted from it. All words 0: the defaults.

/// Index into [`crate::slot::Slot::options`]: what each word is.
pub mod word {
    /// Bits, see [`super::flag`].
    pub const FLAGS: usize = 0;
    /// SO_LINGER: 0 off, else 1 + seconds (so 1 is "reset on close").
    pub const LINGER: usize = 1;
    /// TCP_KEEPIDLE in seconds; 0: 7200.
    pub const KEEP_IDLE: usize = 2;
    /// TCP_KEEPINTVL in seconds; 0: 75.
    pub const KEEP_INTERVAL: usize = 3;
    /// TCP_KEEPCNT; 0: 9.
    pub const KEEP_COUNT: usize = 4;
    /// TCP_USER_TIMEOUT in milliseconds; 0: none.
    pub const USER_TIMEOUT: usize = 5;
    /// TCP_MAXSEG wanted; 0: from the MTU.
    pub const MAX_SEGMENT: usize = 6;
    /// IP_TOS.
    pub const TOS: usize = 7;
    /// IP_TTL; 0: 64.
    pub const TTL: usize = 8;
    /// 1 + IP_MULTICAST_TTL; 0: 1.
    pub const MULTICAST_TTL: usize = 9;
    /// SO_RCVBUF as the program gave it (Linux doubles it when asked); 0: never set.
    pub const RECEIVE_BUFFER: usize = 10;
    /// SO_SNDBUF likewise.
    pub const SEND_BUFFER: usize = 11;
    /// TCP_DEFER_ACCEPT in seconds.
    pub const DEFER_ACCEPT: usize = 12;
    /// TCP_NOTSENT_LOWAT in bytes; 0: none.
    pub const NOT_SENT_LOW: usize = 13;
    /// TCP_SYNCNT; 0: 6.
    pub const SYN_COUNT: usize = 14;
    /// SO_PRIORITY.
    pub const PRIORITY: usize = 15;
    /// SO_MARK.
    pub const MARK: usize = 16;
    /// IP_MULTICAST_IF: IPv4 address in network order.
    pub const MULTICAST_INTERFACE: usize = 17;
    /// TCP_WINDOW_CLAMP in bytes.
    pub const WINDOW_CLAMP: usize = 18;
    /// 1 + TCP_LINGER2 in seconds; 0: 60.
    pub const LINGER2: usize = 19;
    /// How many words there are, with room for more.
    pub const COUNT: usize = 32;
}

/// Bits of [`word::FLAGS`].
pub mod flag {
    /// TCP_NODELAY.
    pub const NO_DELAY: u32 = 1 << 0;
    /// TCP_CORK.
    pub const CORK: u32 = 1 << 1;
    /// SO_KEEPALIVE.
    pub const KEEP_ALIVE: u32 = 1 << 2;
    /// SO_REUSEADDR.
    pub const REUSE_ADDRESS: u32 = 1 << 3;
    /// SO_REUSEPORT.
    pub const REUSE_PORT: u32 = 1 << 4;
    /// SO_BROADCAST.
    pub const BROADCAST: u32 = 1 << 5;
    /// SO_OOBINLINE.
    pub const OOB_INLINE: u32 = 1 << 6;
    /// TCP_QUICKACK switched off (it is on by default).
    pub const NO_QUICK_ACK: u32 = 1 << 7;
    /// SO_DONTROUTE.
    pub const DONT_ROUTE: u32 = 1 << 8;
    /// IP_RECVERR.
    pub const RECEIVE_ERRORS: u32 = 1 << 9;
    /// IP_PKTINFO.
    pub const PACKET_INFO: u32 = 1 << 10;
    /// IP_RECVTTL.
    pub const RECEIVE_TTL: u32 = 1 << 11;
    /// IP_RECVTOS.
    pub const RECEIVE_TOS: u32 = 1 << 12;
    /// SO_TIMESTAMP.
    pub const TIMESTAMP: u32 = 1 << 13;
    /// IP_MULTICAST_LOOP switched off (it is on by default).
    pub const NO_MULTICAST_LOOP: u32 = 1 << 14;
    /// IP_FREEBIND.
    pub const FREE_BIND: u32 = 1 << 15;
    /// IP_TRANSPARENT.
    pub const TRANSPARENT: u32 = 1 << 16;
    /// IP_MTU_DISCOVER is IP_PMTUDISC_DONT.
    pub const NO_PATH_MTU: u32 = 1 << 17;
    /// SO_TIMESTAMPNS.
    pub const TIMESTAMP_NS: u32 = 1 << 18;
    /// IP_BIND_ADDRESS_NO_PORT.
    pub const BIND_NO_PORT: u32 = 1 << 19;
    /// TCP_FASTOPEN or TCP_FASTOPEN_CONNECT asked for; io-net may ignore it.
    pub const FAST_OPEN: u32 = 1 << 20;
}
