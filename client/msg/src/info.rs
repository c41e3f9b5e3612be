//! What a server is told about a message and its sender.

/// `_msg_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsgInfo {
    /// Node of the sender as this node calls it; 0: this node.
    pub nd: u32,
    /// This node as the sender's calls it; 0: the same node.
    pub srcnd: u32,
    /// The sender's process.
    pub pid: i32,
    /// The sender's thread: its kernel id.
    pub tid: i32,
    /// The channel that received it.
    pub chid: i32,
    /// The server's connection to the client: for [`crate::handle::connect_client_info`].
    pub scoid: i32,
    /// The client's connection to the server.
    pub coid: i32,
    /// Bytes that the receive put into its buffers.
    pub msglen: u64,
    /// Bytes that the sender offers.
    pub srcmsglen: u64,
    /// Bytes that the sender has room for in reply.
    pub dstmsglen: u64,
    /// The sender's priority.
    pub priority: i16,
    /// [`MI_UNBLOCK_REQ`] and others.
    pub flags: i16,
}

/// The client has asked to be unblocked.
pub const MI_UNBLOCK_REQ: i16 = 0x100;
/// The credentials of the client's process have changed (remote clients).
pub const MI_NET_CRED_DIRTY: i16 = 0x200;

/// `_client_info`: who is at the other end of a `scoid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Node; 0: this one.
    pub nd: u32,
    /// Process id.
    pub pid: i32,
    /// Session id of the process; -1 where it cannot be known.
    pub sid: i32,
    /// Effective user id as the kernel, or for a remote client Qnet's mapping, gives it.
    pub uid: u32,
    /// Effective group id, likewise.
    pub gid: u32,
    /// Its other groups; of a remote client none.
    pub groups: Groups,
}

impl ClientInfo {
    /// Whether it is in a group.
    #[must_use]
    pub fn is_in(&self, group: u32) -> bool {
        self.gid == group || self.groups.as_slice().contains(&group)
    }
}

/// Up to [`Groups::MAX`] groups (`_NTO_NGROUPS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    ids: [u32; Groups::MAX],
    len: usize,
}

impl Groups {
    /// How many there is room for.
    pub const MAX: usize = 8;

    /// The first of `ids`.
    #[must_use]
    pub fn new(ids: &[u32]) -> Self {
        let len = ids.len().min(Self::MAX);
        let mut groups = Self {
            len,
            ..Self::default()
        };
        groups.ids[..len].copy_from_slice(&ids[..len]);
        groups
    }

    /// Their ids.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.ids[..self.len]
    }
}
