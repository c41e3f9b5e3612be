//! The channel: questions of this node's programs, and what other nodes tell.

use crate::index::{Index, Refused};
use crate::keeper::Keeper;
use crate::own::Own;
use io_net_msg::name::{Attached, Scope};
use io_net_msg::pulse::{CODE_COIDDEATH, CODE_DISCONNECT};
use io_net_msg::{Channel, Error, Incoming, Pulse, Received, Result, flags, handle, netmgr};
use io_net_proto::gns::{LEN_MAX, NAME, parse, put, subtype};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a program that attaches a name waits at most until others have been told.
const PATIENCE: Duration = Duration::from_secs(4);
/// Names of one program that are looked at when it ends, at most; the others are, too, before long.
const NAMES_MAX: usize = 4096;
/// `ND2S_NAME_SHOW`, `ND2S_DOMAIN_SHOW` and `ND2S_QOS_HIDE`: a name that all nodes understand.
pub const FULL_NAME: u32 = 0x10 | 0x40 | 0x8;

const EINVAL: Error = Error(22);
const EAGAIN: Error = Error(11);
const ENOSYS: Error = Error(38);
const EHOSTUNREACH: Error = Error(113);

/// The channel of gns, and its name.
///
/// # Errors
/// EEXIST where this node has a gns; EPERM without the right to; as [`Channel::create`].
pub fn open() -> Result<(Channel, Attached)> {
    let flags = flags::CHF_DISCONNECT | flags::CHF_COID_DISCONNECT | flags::CHF_FIXED_PRIORITY;
    let channel = Channel::create(flags)?;
    let name = Attached::new(NAME, Scope::Global, channel.chid())?;
    Ok((channel, name))
}

/// What is known, and who is asked.
pub struct Service {
    own: Arc<Own>,
    keepers: Vec<Arc<dyn Keeper>>,
    /// What other nodes tell; none where this is no server.
    index: Option<Mutex<Index>>,
    /// The names that each program here has told of.
    programs: Mutex<HashMap<i32, Vec<String>>>,
    verbose: bool,
}

impl Service {
    /// A service that asks these keepers, and keeps names itself where it is a `server`.
    #[must_use]
    pub fn new(own: Arc<Own>, keepers: Vec<Arc<dyn Keeper>>, server: bool, verbose: bool) -> Self {
        Self {
            own,
            keepers,
            index: server.then(Mutex::default),
            programs: Mutex::default(),
            verbose,
        }
    }

    /// A thread: receives until the channel ends.
    pub fn receive(&self, channel: &Channel) {
        let mut buf = vec![0; LEN_MAX];
        loop {
            match channel.receive(&mut buf) {
                Ok(Incoming::Message(received)) => {
                    let len = received.len();
                    self.answer(&buf[..len], received);
                }
                Ok(Incoming::Pulse(pulse)) => self.take_pulse(pulse),
                Err(Error::INTERRUPTED) => {}
                Err(_) => return,
            }
        }
    }

    fn answer(&self, message: &[u8], received: Received) {
        let info = received.info();
        let question = match parse(message) {
            Some(question) if info.srcmsglen == message.len() as u64 => Ok(question),
            _ => Err(EINVAL),
        };
        let from_here = info.nd == flags::ND_LOCAL_NODE;
        let answered = question.and_then(|(subtype, texts)| match (subtype, &texts[..]) {
            (subtype::CHANGED, [name]) if from_here => Ok(self.changed(info.scoid, name)),
            (subtype::FIND, [name]) => self.find(name, from_here),
            (subtype::BEGIN | subtype::ADD | subtype::REMOVE, names) if !from_here => {
                self.told(subtype, info.nd, info.scoid, names)
            }
            _ => Err(EINVAL),
        });
        // Who asked may have gone.
        let _ = match answered {
            Ok(reply) => received.reply(0, &reply),
            Err(error) => received.error(error),
        };
    }

    fn take_pulse(&self, pulse: Pulse) {
        match pulse.code {
            CODE_DISCONNECT => {
                let names = lock(&self.programs)
                    .remove(&pulse.scoid)
                    .unwrap_or_default();
                self.own.look_at(names.iter().map(String::as_str));
                let index = self.index.as_ref().map(lock);
                let gone = index.and_then(|mut index| index.gone(pulse.scoid));
                if let Some(node) = gone.filter(|_| self.verbose) {
                    eprintln!("gns: {node} has gone, and its names");
                }
                let _ = handle::connect_detach(pulse.scoid);
            }
            CODE_COIDDEATH => {
                let lost = |keeper: &Arc<dyn Keeper>| keeper.lost(pulse.value as i32);
                if let Some(at) = self.keepers.iter().position(lost) {
                    self.own.wake(at);
                }
            }
            _ => {}
        }
    }
}

// ---- Questions ----

impl Service {
    /// A program here has attached or detached a name.
    fn changed(&self, scoid: i32, name: &str) -> Vec<u8> {
        let change = self.own.look_at([name]);
        let mut programs = lock(&self.programs);
        let names = programs.entry(scoid).or_default();
        names.retain(|other| other != name);
        if self.own.has(name) && names.len() < NAMES_MAX {
            names.push(name.to_owned());
        }
        drop(programs);
        self.own.wait_told(change, PATIENCE);
        Vec::new()
    }

    /// The nodes that have a name. Programs here get all that is known; other nodes, which ask every
    /// server themselves, what is known here.
    fn find(&self, name: &str, from_here: bool) -> Result<Vec<u8>> {
        let mut nodes: Vec<String> = Vec::new();
        let mut reached = false;
        if let Some(index) = &self.index {
            reached = true;
            nodes.extend(lock(index).find(name).map(str::to_owned));
            if self.own.has(name) {
                nodes.extend(netmgr::ndtostr(FULL_NAME, flags::ND_LOCAL_NODE));
            }
        }
        let asked = if from_here { &self.keepers[..] } else { &[] };
        for (at, keeper) in asked.iter().enumerate() {
            match keeper.find(name) {
                Ok(found) => {
                    reached = true;
                    nodes.extend(found);
                }
                Err(_) => self.own.wake(at),
            }
        }
        if !reached {
            return Err(EHOSTUNREACH);
        }
        let mut reply = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for node in nodes.iter().filter(|node| seen.insert(&node[..])) {
            if reply.len() + node.len() < LEN_MAX {
                put(&mut reply, [&node[..]]);
            }
        }
        Ok(reply)
    }

    /// Another node tells its names.
    fn told(&self, subtype: u16, nd: u32, scoid: i32, names: &[&str]) -> Result<Vec<u8>> {
        let index = self.index.as_ref().ok_or(ENOSYS)?;
        let done = match subtype {
            subtype::BEGIN => {
                // Its name is Qnet's to say, not its own.
                let node = netmgr::ndtostr(FULL_NAME, nd)?;
                if self.verbose {
                    eprintln!("gns: {node} tells its names");
                }
                lock(index).begin(&node, scoid, names)
            }
            subtype::ADD => lock(index).add(scoid, names),
            _ => {
                lock(index).remove(scoid, names);
                Ok(())
            }
        };
        done.map(|()| Vec::new()).map_err(|Refused| EAGAIN)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
