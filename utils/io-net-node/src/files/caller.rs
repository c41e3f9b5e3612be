//! For whom a request is done.
//!
//! A client is who its node says, as Qnet maps it. It may ask for another user, as the mount of
//! another node does for each of its users: only one that is root here is believed; another gets
//! `nobody`'s rights, so that no user of that node has the rights that its root has here.

use crate::errno;
use crate::head::{Head, ONESELF};
use io_net_msg::Result;
use io_net_msg::info::ClientInfo;
use io_net_os::identity::as_user;

/// A user with no rights of his own, and the group.
const NOBODY: u32 = 65534;

/// A user and a group of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Caller {
    /// Who is meant.
    #[must_use]
    pub fn of(client: &ClientInfo, head: &Head) -> Self {
        let (uid, gid) = match (head.uid.get(), client.uid) {
            (ONESELF, uid) => (uid, client.gid),
            (other, 0) => (other, head.gid.get()),
            _ => (NOBODY, NOBODY),
        };
        Self { uid, gid }
    }

    /// Does `work` with this user's rights.
    ///
    /// # Errors
    /// EACCES where this process may not act for him; else the work's.
    pub fn does<T>(self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match as_user(self.uid, self.gid, work) {
            Ok(done) => done,
            Err(_) => Err(errno::ACCES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_speaks_for_others() {
        let client = |uid| ClientInfo {
            uid,
            gid: uid,
            ..ClientInfo::default()
        };
        let asks = |uid: u32, own: u32| {
            let mut head = Head::new(1);
            (head.uid, head.gid) = (uid.into(), 7.into());
            let caller = Caller::of(&client(own), &head);
            (caller.uid, caller.gid)
        };
        assert_eq!(asks(ONESELF, 0), (0, 0));
        assert_eq!(asks(ONESELF, 1000), (1000, 1000));
        assert_eq!(asks(1000, 0), (1000, 7));
        assert_eq!(asks(1000, 1234), (NOBODY, NOBODY));
        assert_eq!(asks(0, 1234), (NOBODY, NOBODY));
    }
}
