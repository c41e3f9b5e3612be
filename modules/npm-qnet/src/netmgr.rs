//! The network manager: questions about nodes and names, from programs here and from other nodes.
//!
//! What only another node knows is asked of its network manager, as a client of it.

use io_net_proto::name::{DIRECTORY, Entry, is_valid};
use io_net_proto::netmgr::{Answer, CHID, PID, Question, subtype};
use io_net_qnet::time::Instant;
use io_net_qnet::{
    Channel, ClientConn, ClientSend, Errno, Identity, Lookup, Nd, Payload, Qnet, Query, SendInfo,
    Vthread,
};
use io_net_rendezvous::path;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use zerocopy::{FromBytes, IntoBytes};

/// The channel of every node's network manager.
pub(crate) const MANAGER: Channel = Channel {
    pid: PID,
    chid: CHID,
};
/// Bytes of a question with its text, at most.
pub(crate) const QUESTION_MAX: usize = 4096;
/// Bytes of an answer with its text, at most.
const ANSWER_MAX: u32 = 4096;
/// Questions under way, at most.
const PENDING_MAX: usize = 4096;
/// `ND2S_NAME_SHOW` and `ND2S_DOMAIN_SHOW`: a name that another node understands.
const FULL_NAME: u32 = 0x10 | 0x40;

/// Nodes that are asked for a global name, at most.
const SEARCHED_MAX: usize = 256;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// A program of this node, by its message's number.
    Local(u64),
    /// Another node.
    Remote(Vthread),
}

/// What came of a question: the bytes of the reply, or the error.
pub(crate) type Outcome = Result<Vec<u8>, Errno>;

/// A question that another node has been asked.
struct Forwarded {
    asker: Asker,
    nd: Nd,
    subtype: u16,
}

/// The network manager.
pub(crate) struct Netmgr {
    run_dir: PathBuf,
    /// Names that are being looked up, and how much of the text they were.
    lookups: HashMap<Query, (Asker, u32)>,
    forwarded: HashMap<ClientSend, Forwarded>,
    /// Global names that are looked for on all nodes, and how many of those have not answered.
    searches: HashMap<Asker, usize>,
    /// Our connections to other nodes' network managers.
    conns: HashMap<Nd, ClientConn>,
    /// Answers to be handed out.
    pub(crate) finished: Vec<(Asker, Outcome)>,
}

impl Netmgr {
    pub(crate) fn new(run_dir: &std::path::Path) -> Self {
        Netmgr {
            run_dir: run_dir.to_owned(),
            lookups: HashMap::new(),
            forwarded: HashMap::new(),
            searches: HashMap::new(),
            conns: HashMap::new(),
            finished: Vec::new(),
        }
    }

    /// Takes a question; its answer is, or will be, among those that are finished.
    pub(crate) fn ask(&mut self, now: Instant, asker: Asker, message: &[u8], qnet: &mut Qnet) {
        let taken = match Question::parse(message) {
            Some(_) if self.lookups.len() + self.forwarded.len() >= PENDING_MAX => {
                Err(Errno::EAGAIN)
            }
            Some((question, text)) => self.take(now, asker, question, text, qnet),
            None => Err(Errno::EINVAL),
        };
        match taken {
            Ok(None) => {}
            Ok(Some(reply)) => self.finished.push((asker, Ok(reply))),
            Err(errno) => self.finished.push((asker, Err(errno))),
        }
    }

    /// The answer, where there is one at once.
    fn take(
        &mut self,
        now: Instant,
        asker: Asker,
        question: Question,
        text: &str,
        qnet: &mut Qnet,
    ) -> Result<Option<Vec<u8>>, Errno> {
        let nd = Nd(question.nd);
        match question.subtype {
            subtype::STRTOND => match qnet.strtond(now, text)? {
                (Lookup::Known(found), len) => Ok(Some(node_answer(found, len as u32))),
                (Lookup::Asked(query), len) => {
                    self.lookups.insert(query, (asker, len as u32));
                    Ok(None)
                }
            },
            subtype::NDTOSTR => {
                let name = qnet.ndtostr(question.other, nd).ok_or(Errno::ESRCH)?;
                Ok(Some(text_answer(&name)))
            }
            subtype::REMOTE_ND if nd.is_local() => Ok(Some(node_answer(Nd(question.other), 0))),
            subtype::REMOTE_ND => {
                let name = qnet
                    .ndtostr(FULL_NAME, Nd(question.other))
                    .ok_or(Errno::ESRCH)?;
                let question = Question::new(subtype::STRTOND, 0, 0);
                self.forward(now, asker, nd, question, &name, qnet)
            }
            subtype::RESOLVE if nd.is_local() => match self.resolve_here(text) {
                Err(Errno::ENOENT) if text.starts_with("global/") => {
                    self.search(now, asker, text, qnet)
                }
                resolved => resolved.map(Some),
            },
            subtype::RESOLVE => {
                let question = Question::new(subtype::RESOLVE, 0, 0);
                self.forward(now, asker, nd, question, text, qnet)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// The channel that has a name on this node: `local/NAME` or `global/NAME`.
    fn resolve_here(&self, text: &str) -> Result<Vec<u8>, Errno> {
        let (scope, name) = text.split_once('/').ok_or(Errno::EINVAL)?;
        if !matches!(scope, "local" | "global") || !is_valid(name) {
            return Err(Errno::EINVAL);
        }
        let file = self.run_dir.join(DIRECTORY).join(scope).join(name);
        let serves = |entry: &Entry| {
            entry.is_alive() && path::channel(&self.run_dir, entry.pid, entry.chid).exists()
        };
        let entry = read_entry(&file).filter(serves).ok_or(Errno::ENOENT)?;
        let answer = Answer {
            nd: 0,
            len: 0,
            pid: entry.pid,
            chid: entry.chid,
        };
        Ok(answer.as_bytes().to_vec())
    }

    /// Asks all nodes that are known for a global name. The first that has it is the answer.
    fn search(
        &mut self,
        now: Instant,
        asker: Asker,
        text: &str,
        qnet: &mut Qnet,
    ) -> Result<Option<Vec<u8>>, Errno> {
        let mut asked = 0;
        for node in qnet.nodes().into_iter().take(SEARCHED_MAX) {
            let question = Question::new(subtype::RESOLVE, 0, 0);
            let sent = self.forward(now, asker, node.nd, question, text, qnet);
            asked += usize::from(sent.is_ok());
        }
        match asked {
            0 => Err(Errno::ENOENT),
            _ => {
                self.searches.insert(asker, asked);
                Ok(None)
            }
        }
    }

    /// Asks the network manager of another node.
    fn forward(
        &mut self,
        now: Instant,
        asker: Asker,
        nd: Nd,
        question: Question,
        text: &str,
        qnet: &mut Qnet,
    ) -> Result<Option<Vec<u8>>, Errno> {
        // Who is asked by another node asks no third one.
        if let Asker::Remote(_) = asker {
            return Err(Errno::EINVAL);
        }
        // One connection a node, whatever way to it the program prefers.
        let node = Nd::new(nd.node(), 0);
        let conn = match self.conns.get(&node) {
            Some(&conn) => conn,
            None => {
                let conn = qnet.client_connect(now, node, MANAGER, own_identity())?;
                self.conns.insert(node, conn);
                conn
            }
        };
        let message = [question.as_bytes(), text.as_bytes()].concat();
        let info = SendInfo {
            tid: 1,
            priority: 10,
            length: message.len() as u32,
            reply_length: ANSWER_MAX,
            ..SendInfo::default()
        };
        let send = qnet.client_send(now, conn, info, Payload::from(&message[..]))?;
        let forwarded = Forwarded {
            asker,
            nd,
            subtype: question.subtype,
        };
        self.forwarded.insert(send, forwarded);
        Ok(None)
    }
}

// ---- What comes back ----

impl Netmgr {
    /// A name was looked up.
    pub(crate) fn looked_up(&mut self, query: Query, result: Result<Nd, Errno>) {
        if let Some((asker, len)) = self.lookups.remove(&query) {
            let outcome = result.map(|nd| node_answer(nd, len));
            self.finished.push((asker, outcome));
        }
    }

    /// Whether a send is one of ours.
    pub(crate) fn owns(&self, send: ClientSend) -> bool {
        self.forwarded.contains_key(&send)
    }

    /// Another node has answered.
    pub(crate) fn answered(
        &mut self,
        send: ClientSend,
        result: Result<i32, Errno>,
        offset: u32,
        data: &Payload,
    ) {
        let Some(forwarded) = self.forwarded.remove(&send) else {
            return;
        };
        let read = || {
            let data = data.as_slice();
            let (mut answer, text) = Answer::read_from_prefix(data).map_err(|_| Errno::EPROTO)?;
            // A program connects to what the other node found by our descriptor of that node.
            if forwarded.subtype == subtype::RESOLVE {
                answer.nd = forwarded.nd.0;
            }
            Ok([answer.as_bytes(), text].concat())
        };
        let outcome = match (result, offset) {
            (Ok(_), 0) => read(),
            (Ok(_), _) => Err(Errno::EPROTO),
            (Err(errno), _) => Err(errno),
        };
        match (self.searches.get_mut(&forwarded.asker), &outcome) {
            (Some(left), Err(_)) if *left > 1 => *left -= 1,
            (searched, _) => {
                let was_searched = searched.is_some();
                self.finish(forwarded.asker, outcome, was_searched);
            }
        }
    }

    /// Ends a question, and with it what others were asked for it.
    fn finish(&mut self, asker: Asker, outcome: Outcome, was_searched: bool) {
        if was_searched {
            self.searches.remove(&asker);
            // The others' answers are not waited for.
            self.forwarded
                .retain(|_, forwarded| forwarded.asker != asker);
        }
        let nowhere = outcome.map_err(|errno| match was_searched {
            true => Errno::ENOENT,
            false => errno,
        });
        self.finished.push((asker, nowhere));
    }

    /// A connection is dead. Returns whether it was ours.
    pub(crate) fn dead(&mut self, conn: ClientConn) -> bool {
        let before = self.conns.len();
        self.conns.retain(|_, own| *own != conn);
        self.conns.len() != before
    }

    /// Whoever asked has gone. Returns whether there was a question.
    pub(crate) fn forget(&mut self, now: Instant, gone: Asker, qnet: &mut Qnet) -> bool {
        let before = self.lookups.len() + self.forwarded.len();
        self.lookups.retain(|_, (asker, _)| *asker != gone);
        self.searches.remove(&gone);
        self.forwarded.retain(|&send, forwarded| {
            let keep = forwarded.asker != gone;
            if !keep {
                qnet.client_abandon(now, send);
            }
            keep
        });
        before != self.lookups.len() + self.forwarded.len()
    }
}

fn node_answer(nd: Nd, len: u32) -> Vec<u8> {
    let answer = Answer {
        nd: nd.0,
        len,
        ..Answer::default()
    };
    answer.as_bytes().to_vec()
}

fn text_answer(text: &str) -> Vec<u8> {
    let answer = Answer {
        len: text.len() as u32,
        ..Answer::default()
    };
    [answer.as_bytes(), text.as_bytes()].concat()
}

/// This process, as other nodes are told.
fn own_identity() -> Identity {
    Identity {
        pid: io_net_os::task::process_id().cast_signed(),
        ..Identity::default()
    }
}

/// The entry in a name's file. Whatever else is there, it is neither waited for nor read to its end.
fn read_entry(file: &std::path::Path) -> Option<Entry> {
    if !file.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(file)
        .ok()?
        .take(200)
        .read_to_string(&mut text)
        .ok()?;
    Entry::parse(&text)
}
