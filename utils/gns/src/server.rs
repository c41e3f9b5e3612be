//! Another node's gns that keeps names: a server.

use crate::keeper::Keeper;
use io_net_msg::name;
use io_net_msg::{Connection, timeout};
use io_net_proto::gns::{LEN_MAX, NAME, question, subtype, texts};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Names that go in one message: they fit, as long as names may be.
const AT_ONCE: usize = 48;

/// A server.
pub struct Server {
    node: String,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Server {
    /// The one on that node.
    #[must_use]
    pub fn new(node: String) -> Self {
        Self {
            node,
            connection: Mutex::new(None),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks it. After an error it is not asked again before it was begun with anew: one that hangs
    /// costs its patience once.
    fn ask(&self, message: &[u8], reply: &mut [u8]) -> Result<usize, String> {
        let connection = self.slot().clone();
        let connection = connection.ok_or("it is not connected")?;
        let asked = ask(&connection, message, reply);
        if asked.is_err() {
            let mut slot = self.slot();
            if slot
                .as_ref()
                .is_some_and(|own| Arc::ptr_eq(own, &connection))
            {
                *slot = None;
            }
        }
        asked
    }
}

/// Bytes of the reply.
fn ask(connection: &Connection, message: &[u8], reply: &mut [u8]) -> Result<usize, String> {
    timeout::set(timeout::SEND | timeout::REPLY, Some(PATIENCE));
    match connection.send(message, reply) {
        Ok(sent) => Ok(sent.len.min(reply.len())),
        Err(error) => Err(match error.errno() {
            ENOSYS => "it keeps no names: start it with -s".to_owned(),
            EAGAIN => "it keeps too many names already".to_owned(),
            _ => error.to_string(),
        }),
    }
}

/// Linux's numbers of these.
const ENOSYS: i32 = 38;
const EAGAIN: i32 = 11;

impl Keeper for Server {
    fn name(&self) -> &str {
        &self.node
    }

    fn begin(&self) -> Result<(), String> {
        *self.slot() = None;
        let path = format!("/net/{}/dev/name/global/{NAME}", self.node);
        let opened = name::open(&path, false).map_err(|e| format!("no gns there: {e}"))?;
        ask(&opened, &question(subtype::BEGIN, []), &mut [])?;
        *self.slot() = Some(Arc::new(opened));
        Ok(())
    }

    fn tell(&self, come: &[&str], gone: &[&str]) -> Result<(), String> {
        for (subtype, names) in [(subtype::REMOVE, gone), (subtype::ADD, come)] {
            for names in names.chunks(AT_ONCE) {
                self.ask(&question(subtype, names.iter().copied()), &mut [])?;
            }
        }
        Ok(())
    }

    fn look_after(&self) -> Result<(), String> {
        // Its death is told, by a pulse; this is for one that hangs.
        self.ask(&question(subtype::ADD, []), &mut []).map(drop)
    }

    fn find(&self, name: &str) -> Result<Vec<String>, String> {
        let mut reply = vec![0; LEN_MAX];
        let len = self.ask(&question(subtype::FIND, [name]), &mut reply)?;
        let nodes = texts(&reply[..len]).ok_or("its answer makes no sense")?;
        Ok(nodes.into_iter().map(str::to_owned).collect())
    }

    fn lost(&self, coid: i32) -> bool {
        let mut slot = self.slot();
        let ours = slot.as_ref().is_some_and(|own| own.coid() == coid);
        if ours {
            *slot = None;
        }
        ours
    }

    fn end(&self) {
        *self.slot() = None;
    }
}
