//! What a client and a channel say to each other over the doorbell.
//!
//! The client connects to the channel's socket (see [`crate::path`]) and sends [`Hello`]; the
//! channel answers with [`Welcome`], which with errno 0 carries the session's memory, the port's
//! memory and the port's eventfd. After that the channel sends an [`Event`] now and then, and the
//! client, to a channel of a process of its node, an [`Urge`]. The connection's end is the session's, on either side. A message of another
//! length than is due ends it too.
//!
//! The kernel says who is at the other end (SO_PEERCRED). A client whose uid is 0 or the channel's
//! own may speak for somebody else: that is how Qnet brings remote clients.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First word of each message: "ionetmsg" read as little-endian bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ionetmsg");
/// Both sides must have the same.
pub const VERSION: u32 = 1;

/// In [`Hello::flags`]: the client speaks for `for_*`.
pub const REPRESENTS: u32 = 1;
/// In [`Hello::flags`]: no memory of the client is to be touched; it gives help with everything.
pub const NO_PEER_MEMORY: u32 = 2;
/// In [`Hello::flags`]: an eventfd comes along, its *bell*: it is raised with an answer when the
/// client waits for that, and nobody sleeps on a slot.
pub const BELL: u32 = 4;

/// In [`Welcome::flags`]: received messages are unblocked by the server only (`_NTO_CHF_UNBLOCK`).
pub const UNBLOCK: u32 = 1;
/// In [`Welcome::flags`]: the server reads and writes the client's memory; messages are staged up
/// to [`crate::layout::INLINE`] bytes only.
pub const PEER_MEMORY: u32 = 2;

/// The client's first message.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// [`REPRESENTS`] and others.
    pub flags: u32,
    /// Node of the channel that is wanted, 0 for this one.
    pub nd: u32,
    /// Its process.
    pub pid: i32,
    /// Its number.
    pub chid: i32,
    /// Node of the client that is represented, as this node calls it.
    pub for_nd: u32,
    /// This node, as that node calls it.
    pub for_srcnd: u32,
    /// Process of the client that is represented.
    pub for_pid: i32,
    /// Its uid on this node.
    pub for_uid: u32,
    /// Its gid on this node.
    pub for_gid: u32,
    /// Where `probe` lies in the client's memory: whoever reads it there can read all of it.
    pub probe_at: u64,
    /// A number that nobody guesses.
    pub probe: u64,
}

/// The channel's answer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Welcome {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// 0, or why there is no session.
    pub errno: i32,
    /// [`UNBLOCK`], [`PEER_MEMORY`].
    pub flags: u32,
    /// The session's bit in its port.
    pub bit: u32,
    /// What the server calls the session.
    pub scoid: i32,
    /// 0.
    pub reserved: u32,
}

/// The length of the longest of these messages.
pub const LONGEST: usize = size_of::<Hello>();

/// The kinds of [`Event::kind`].
pub mod kind {
    /// A signal to the process.
    pub const SIGNAL: u32 = 1;
    /// A signal with a value to the process.
    pub const SIGNAL_VALUE: u32 = 2;
    /// A signal with a value to thread `tid`.
    pub const SIGNAL_THREAD: u32 = 3;
    /// A pulse over connection `coid`.
    pub const PULSE: u32 = 4;
    /// Ends thread `tid`'s wait that a timeout was set for.
    pub const UNBLOCK: u32 = 5;
}

/// An event that the server delivers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Event {
    /// One of [`kind`].
    pub kind: u32,
    /// Signal's number.
    pub signo: i32,
    /// Signal's or pulse's code.
    pub code: i32,
    /// Pulse's connection.
    pub coid: i32,
    /// Pulse's priority; -1: the server's.
    pub priority: i32,
    /// Thread.
    pub tid: u32,
    /// Value.
    pub value: u64,
}

/// A message of the client's waits that is more urgent, perhaps, than what the channel's threads do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Urge {
    /// Its priority, as in its slot.
    pub priority: u32,
    /// 0.
    pub reserved: u32,
}

const _: () = {
    assert!(size_of::<Urge>() == 8);
    assert!(size_of::<Hello>() == 64);
    assert!(size_of::<Welcome>() == 32);
    assert!(size_of::<Event>() == 32);
};
