//! Names of channels: `name_attach` and `name_open`.
//!
//! A name is a file below `<run>/name/local` or `<run>/name/global`, whose one line says which channel
//! of which process it is ([`io_net_proto::name::Entry`]). `/dev/name` leads there where this process
//! may make that link and nothing else is in its place.
//!
//! A name goes with its process: an entry whose process is dead counts as absent, and is replaced by
//! the next that attaches it.
//!
//! | file | what it does |
//! | --- | --- |
//! | `attach` | gives a name to a channel |
//! | `gns` | the service that knows which nodes have a global name |
//! | [`path`] | takes `/net/NODE/dev/name/...` and other paths apart |
//! | `resolve` | finds the channel that a path means, on this node or another |

mod attach;
mod gns;
pub mod path;
mod resolve;

pub use attach::Attached;
pub use path::{Path, Scope};
pub use resolve::{Place, here, resolve};

use crate::{Channel, Connection, Error, Result, flags};

/// What name_attach sets for the channel that it makes.
pub const CHANNEL_FLAGS: u32 =
    flags::CHF_UNBLOCK | flags::CHF_DISCONNECT | flags::CHF_COID_DISCONNECT;

/// `name_attach`: makes a channel that has a name.
///
/// # Errors
/// As [`Attached::new`] and [`Channel::create`].
pub fn attach(name: &str, scope: Scope) -> Result<(Channel, Attached)> {
    let channel = Channel::create(CHANNEL_FLAGS)?;
    let attached = Attached::new(name, scope, channel.chid())?;
    Ok((channel, attached))
}

/// `name_open`: connects to the channel of a local name, of a global one where `global`, or of a path
/// (`/dev/name/local/NAME`, `/net/NODE/dev/name/global/NAME`).
///
/// # Errors
/// EINVAL for what cannot be a name; ENOENT where nobody serves it; ENOTSUP for another node without
/// Qnet; as [`Connection::attach`].
pub fn open(name: &str, global: bool) -> Result<Connection> {
    let path = path::name(name, global)?;
    connect(&path)
}

/// Connects to what a path means.
pub(crate) fn connect(path: &Path<'_>) -> Result<Connection> {
    let place = resolve(path)?;
    match Connection::attach(place.nd, place.pid, place.chid, 0, flags::COF_CLOEXEC) {
        // Its server has gone since.
        Err(Error::SRCH) => Err(Error(libc::ENOENT)),
        other => other,
    }
}
