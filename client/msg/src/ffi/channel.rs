//! Channels and connections.

use std::ffi::{c_int, c_uint};

use libc::{gid_t, pid_t, uid_t};

use super::convert::put;
use crate::error::Result;
use crate::{ClientInfo, handle};

/// `struct _server_info`.
#[repr(C)]
pub(crate) struct ServerInfo {
    nd: u32,
    pid: pid_t,
    chid: i32,
    scoid: i32,
}

/// `_NTO_NGROUPS`.
const GROUPS: usize = 8;

/// `struct _cred_info`.
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
        Self {
            nd: client.nd,
            pid: client.pid,
            sid: client.sid,
            flags: 0,
            cred: CredInfo {
                ruid: uid,
                euid: uid,
                suid: uid,
                rgid: gid,
                egid: gid,
                sgid: gid,
                ngroups: 0,
                grouplist: [0; GROUPS],
            },
        }
    }
}

// As tests/c/names.c finds them in C.
const _: () = {
    assert!(size_of::<ServerInfo>() == 16);
    assert!(size_of::<RawClientInfo>() == 76);
};

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
(pid: pid_t, coid: c_int, info: *mut ServerInfo) -> c_int {
    own(pid)?;
    let found = handle::connect_server_info(coid)?;
    let to = ServerInfo {
        nd: found.nd,
        pid: found.pid,
        chid: found.chid,
        scoid: found.scoid,
    };
    // SAFETY: C's promise.
    unsafe { put(info, to) };
    Ok(found.coid)
});

// The groups that a client is in beside its own are not known, so that none are given, however many
// are asked for.
call!(ConnectClientInfo, ConnectClientInfo_r,
(scoid: c_int, info: *mut RawClientInfo, _ngroups: c_int) {
    let client = handle::connect_client_info(scoid)?;
    // SAFETY: C's promise.
    unsafe { put(info, client.into()) };
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
