//! Channels and connections.

use std::ffi::{c_int, c_uint};

use io_net_os::task;
use libc::{gid_t, pid_t, uid_t};

use super::convert::put;
use super::receive::RawMsgInfo;
use crate::error::Result;
use crate::info::Groups;
use crate::{ClientInfo, handle};

/// `_NTO_NGROUPS`.
const GROUPS: usize = Groups::MAX;
/// A scoid that stands for this process.
const SELF: c_int = -1;

/// `struct _cred_info`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct CredInfo {
    ruid: uid_t,
    euid: uid_t,
    suid: uid_t,
    rgid: gid_t,
    egid: gid_t,
    sgid: gid_t,
    ngroups: u32,
    grouplist: [gid_t; GROUPS],
}

/// `struct _client_info`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct RawClientInfo {
    nd: u32,
    pid: pid_t,
    sid: pid_t,
    flags: u32,
    cred: CredInfo,
}

impl RawClientInfo {
    /// Its effective user and group.
    pub(super) fn ids(&self) -> (uid_t, gid_t) {
        (self.cred.euid, self.cred.egid)
    }
}

impl From<ClientInfo> for RawClientInfo {
    fn from(client: ClientInfo) -> Self {
        let (uid, gid) = (client.uid, client.gid);
        let cred = CredInfo {
            ruid: uid,
            euid: uid,
            suid: uid,
            rgid: gid,
            egid: gid,
            sgid: gid,
            ..CredInfo::default()
        };
        Self {
            nd: client.nd,
            pid: client.pid,
            sid: client.sid,
            flags: 0,
            cred: cred.with_groups(client.groups.as_slice()),
        }
    }
}

impl CredInfo {
    fn with_groups(mut self, groups: &[u32]) -> Self {
        let len = groups.len().min(GROUPS);
        self.grouplist[..len].copy_from_slice(&groups[..len]);
        self.ngroups = len as u32;
        self
    }

    /// Only so many groups.
    fn limited(self, ngroups: c_int) -> Self {
        let len = usize::try_from(ngroups).unwrap_or(0);
        let groups = self.grouplist;
        let had = self.ngroups as usize;
        Self {
            grouplist: [0; GROUPS],
            ..self
        }
        .with_groups(&groups[..had.min(len)])
    }
}

/// This process, as its clients' servers would see it, and more.
fn own_client_info() -> RawClientInfo {
    let own = task::credentials();
    let ([ruid, euid, suid], [rgid, egid, sgid]) = (own.uids, own.gids);
    let cred = CredInfo {
        ruid,
        euid,
        suid,
        rgid,
        egid,
        sgid,
        ..CredInfo::default()
    };
    RawClientInfo {
        nd: 0,
        pid: task::process_id().cast_signed(),
        sid: task::session_id(0).unwrap_or(-1),
        flags: 0,
        cred: cred.with_groups(&own.groups),
    }
}

// As tests/c/names.c finds it in C.
const _: () = assert!(size_of::<RawClientInfo>() == 76);

call!(ChannelCreate, ChannelCreate_r, (flags: c_uint) -> c_int {
    handle::channel_create(flags)
});

call!(ChannelDestroy, ChannelDestroy_r, (chid: c_int) {
    handle::channel_destroy(chid)
});

call!(ChannelFd, ChannelFd_r, (chid: c_int) -> c_int {
    handle::channel_fd(chid)
});

call!(ConnectAttach, ConnectAttach_r,
(nd: u32, pid: pid_t, chid: c_int, index: c_uint, flags: c_int) -> c_int {
    handle::connect_attach(nd, pid, chid, index, flags.cast_unsigned())
});

call!(ConnectDetach, ConnectDetach_r, (coid: c_int) {
    handle::connect_detach(coid)
});

call!(ConnectFlags, ConnectFlags_r,
(pid: pid_t, coid: c_int, mask: c_uint, bits: c_uint) -> c_int {
    own(pid)?;
    Ok(handle::connect_flags(coid, mask, bits)?.cast_signed())
});

call!(ConnectServerInfo, ConnectServerInfo_r,
(pid: pid_t, coid: c_int, info: *mut RawMsgInfo) -> c_int {
    own(pid)?;
    let found = handle::connect_server_info(coid)?;
    // SAFETY: C's promise.
    unsafe { put(info, found.into()) };
    Ok(found.coid)
});

call!(ConnectClientInfo, ConnectClientInfo_r,
(scoid: c_int, info: *mut RawClientInfo, ngroups: c_int) {
    let mut client = match scoid {
        SELF => own_client_info(),
        _ => handle::connect_client_info(scoid)?.into(),
    };
    client.cred = client.cred.limited(ngroups);
    // SAFETY: C's promise.
    unsafe { put(info, client) };
    Ok(())
});

/// Connections of other processes cannot be looked at.
fn own(pid: pid_t) -> Result<()> {
    if pid == 0 || pid.cast_unsigned() == std::process::id() {
        Ok(())
    } else {
        Err(crate::Error(libc::EPERM))
    }
}
