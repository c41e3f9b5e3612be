//! What messages between kernels, so to speak, carry beside bytes.

use core::fmt;

/// Supplementary groups that credentials have room for (`_NTO_NGROUPS`).
pub const GROUPS_MAX: usize = 8;

/// Up to [`GROUPS_MAX`] supplementary groups.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Groups {
    ids: [u32; GROUPS_MAX],
    len: u8,
}

impl Groups {
    /// The first [`GROUPS_MAX`] of `ids`.
    pub fn new(ids: &[u32]) -> Self {
        let mut groups = Groups::default();
        let len = ids.len().min(GROUPS_MAX);
        groups.ids[..len].copy_from_slice(&ids[..len]);
        groups.len = len as u8;
        groups
    }

    /// The groups.
    pub fn as_slice(&self) -> &[u32] {
        &self.ids[..usize::from(self.len)]
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// User and group ids of a process (`_cred_info`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Credentials {
    /// Real user.
    pub ruid: u32,
    /// Effective user.
    pub euid: u32,
    /// Saved user.
    pub suid: u32,
    /// Real group.
    pub rgid: u32,
    /// Effective group.
    pub egid: u32,
    /// Saved group.
    pub sgid: u32,
    /// Supplementary groups.
    pub groups: Groups,
}

impl Credentials {
    /// Those of a user and a group, with no other group.
    pub fn of(uid: u32, gid: u32) -> Self {
        Credentials {
            ruid: uid,
            euid: uid,
            suid: uid,
            rgid: gid,
            egid: gid,
            sgid: gid,
            groups: Groups::default(),
        }
    }
}

/// Who a process is (`_client_info`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Identity {
    /// Its node, as this node calls it.
    pub nd: u32,
    /// Its process id there.
    pub pid: i32,
    /// Its session.
    pub sid: i32,
    /// `_NTO_CI_*`.
    pub flags: u32,
    /// Its user and groups.
    pub credentials: Credentials,
}

/// What a server learns of a message beside its bytes (`_msg_info`, `_vtid_info`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SendInfo {
    /// The sending thread.
    pub tid: i32,
    /// Its connection, as the client calls it.
    pub coid: i32,
    /// Its priority.
    pub priority: i16,
    /// Bytes of the whole message (`srcmsglen`).
    pub length: u32,
    /// Bytes that the client has room for in the reply (`dstmsglen`).
    pub reply_length: u32,
    /// The server's node, as the client's node calls it (`srcnd`). Qnet fills it in.
    pub srcnd: u32,
    /// The client's machine orders bytes the other way (`_NTO_MI_ENDIAN_DIFF`). Qnet fills it in.
    pub endian_differs: bool,
}

/// A pulse on its way (`_pulse`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Pulse {
    /// Its code; a client may use 0 to 127.
    pub code: i8,
    /// Its priority.
    pub priority: i16,
    /// Its value: an integer, or a pointer that means something to whom it belongs.
    pub value: u64,
}

/// An event as a client registered it with a server (`struct sigevent`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sigevent {
    /// `SIGEV_*`.
    pub notify: i32,
    /// The signal or the connection.
    pub signo: i32,
    /// The value: an integer, or a pointer of the client's.
    pub value: u64,
    /// The code of a pulse or signal.
    pub code: i16,
    /// The priority of a pulse.
    pub priority: i16,
}

/// A signal for a process of another node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Signal {
    /// The process that is to get it.
    pub pid: i32,
    /// Its thread, 0 for any.
    pub tid: i32,
    /// Which signal.
    pub signo: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_value`.
    pub value: i32,
}
