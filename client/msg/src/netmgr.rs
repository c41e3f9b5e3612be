//! Node descriptors, as Qnet gives them.
//!
//! Each question is a message to the network manager of this node ([`io_net_proto::netmgr`]). Where no
//! Qnet runs, there are no nodes but this one: ENOTSUP.

use io_net_proto::netmgr::{Answer, CHID, PID, Question, subtype};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Error, Result};
use crate::name::Place;
use crate::{Connection, flags};

/// Room for the text of an answer: a node with its domain and quality of service.
const TEXT_MAX: usize = 1024;

const UNSUPPORTED: Error = Error(libc::ENOTSUP);

/// `netmgr_strtond`: the node that a text begins with (`lab2~preferred:en0`, `/net/lab2/dev`), and
/// how many bytes of the text were taken.
///
/// # Errors
/// ENOTSUP without Qnet; ENOENT, EINVAL for a text that names no node.
pub fn strtond(text: &str) -> Result<(u32, usize)> {
    let (answer, _) = ask(Question::new(subtype::STRTOND, 0, 0), text)?;
    Ok((answer.nd, (answer.len as usize).min(text.len())))
}

/// `netmgr_ndtostr`: the name of node `nd`; `shown` are QNX's `ND2S_` bits.
///
/// # Errors
/// ENOTSUP without Qnet, ESRCH for no node.
pub fn ndtostr(shown: u32, nd: u32) -> Result<String> {
    ask(Question::new(subtype::NDTOSTR, nd, shown), "").map(|(_, name)| name)
}

/// `netmgr_remote_nd`: how node `remote` calls the node that is `local` here.
///
/// # Errors
/// ENOTSUP without Qnet, ESRCH for no node.
pub fn remote_nd(remote: u32, local: u32) -> Result<u32> {
    ask(Question::new(subtype::REMOTE_ND, remote, local), "").map(|(answer, _)| answer.nd)
}

/// The channel that has a name (`local/NAME`, `global/NAME`) on node `nd`; with `nd` 0 a global name
/// on whichever node.
///
/// # Errors
/// ENOTSUP without Qnet; ENOENT for no such name; EHOSTUNREACH for a node that does not answer.
pub fn resolve(nd: u32, name: &str) -> Result<Place> {
    let (answer, _) = ask(Question::new(subtype::RESOLVE, nd, 0), name)?;
    Ok(Place {
        nd: answer.nd,
        pid: answer.pid,
        chid: answer.chid,
    })
}

/// `SignalKill` on another node: hands the signal to the network manager.
///
/// # Errors
/// EREMOTE without Qnet; ESRCH for no node.
pub(crate) fn signal(nd: u32, pid: i32, tid: i32, signo: i32, value: i32) -> Result<()> {
    let text = format!("{pid} {tid} {signo} {value}");
    let asked = ask(Question::new(subtype::SIGNAL, nd, 0), &text);
    asked.map(drop).map_err(|error| match error {
        UNSUPPORTED => Error::NO_REMOTE,
        other => other,
    })
}

fn ask(question: Question, text: &str) -> Result<(Answer, String)> {
    let manager = Connection::attach(
        flags::ND_LOCAL_NODE,
        PID,
        CHID,
        flags::SIDE_CHANNEL,
        flags::COF_CLOEXEC,
    )
    .map_err(|error| match error {
        Error::SRCH | Error::NO_REMOTE | Error::NO_SYS => UNSUPPORTED,
        other => other,
    })?;
    let message = [question.as_bytes(), text.as_bytes()].concat();
    let mut reply = [0; size_of::<Answer>() + TEXT_MAX];
    let len = manager.send(&message, &mut reply)?.len.min(reply.len());
    let (answer, name) = Answer::read_from_prefix(&reply[..len]).map_err(|_| Error::PROTOCOL)?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| Error::PROTOCOL)?;
    Ok((answer, name))
}
