//! Whose rights a remote user has here.

use super::types::{Credentials, Identity};
use crate::config::{MapTo, UserMap};

/// The identity that a server sees: the client's node as this node calls it, and mapped credentials.
/// What another node says of its users is worth no more than that node, so it is never taken over
/// unless the options say so.
pub(crate) fn mapped(users: &UserMap, node: u16, pid: i32, claimed: Option<&Identity>) -> Identity {
    let root = claimed.is_some_and(|identity| {
        let cred = &identity.credentials;
        [cred.ruid, cred.euid, cred.suid].contains(&0)
    });
    let to = if root { users.root } else { users.any };
    let credentials = match (to, claimed) {
        (MapTo::User { uid, gid }, _) => Credentials::of(uid, gid),
        (MapTo::Same, Some(identity)) => identity.credentials,
        (MapTo::Same, None) => Credentials::of(crate::NOBODY, crate::NOBODY),
    };
    Identity {
        nd: u32::from(node),
        pid,
        sid: claimed.map_or(0, |identity| identity.sid),
        flags: claimed.map_or(0, |identity| identity.flags),
        credentials,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NOBODY;

    fn claim(uid: u32) -> Identity {
        Identity {
            nd: 77,
            credentials: Credentials::of(uid, uid),
            ..Identity::default()
        }
    }

    fn uid(users: &UserMap, claimed: Option<Identity>) -> u32 {
        let seen = mapped(users, 5, 9, claimed.as_ref());
        assert_eq!((seen.nd, seen.pid), (5, 9));
        assert_eq!(seen.credentials.ruid, seen.credentials.suid);
        seen.credentials.euid
    }

    #[test]
    fn remote_users_are_nobody_unless_mapped() {
        let mut users = UserMap::default();
        assert_eq!(uid(&users, Some(claim(0))), NOBODY);
        assert_eq!(uid(&users, Some(claim(1000))), NOBODY);
        assert_eq!(uid(&users, None), NOBODY);
        users.root = MapTo::User { uid: 7, gid: 7 };
        users.any = MapTo::Same;
        assert_eq!(uid(&users, Some(claim(0))), 7);
        assert_eq!(uid(&users, Some(claim(1000))), 1000);
        assert_eq!(uid(&users, None), NOBODY);
    }

    #[test]
    fn a_root_that_only_seems_none_is_not_believed() {
        // Real or saved uid 0 could become root by setuid; with the same numbers it would be root here.
        let users = UserMap {
            any: MapTo::Same,
            ..UserMap::default()
        };
        let mut sly = claim(1000);
        sly.credentials.suid = 0;
        assert_eq!(uid(&users, Some(sly)), NOBODY);
    }
}
