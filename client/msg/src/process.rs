//! What this process has: channels, connections, clients, a keeper. A child of fork starts with
//! nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{
    Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    Weak,
};

use io_net_os::fork::PerProcess;
use io_net_rendezvous::server::ServerEnd;

use crate::channel::Core;
use crate::connection::Link;
use crate::error::{Error, Result};
use crate::keeper::Keeper;
use crate::session::{Session, Target};
use crate::thread::{self, Shared};

static PROCESS: PerProcess<Process> = PerProcess::new();

/// The tables.
#[derive(Debug)]
pub(crate) struct Process {
    channels: RwLock<Vec<Option<Arc<Core>>>>,
    connections: RwLock<BTreeMap<i32, Arc<Link>>>,
    /// Servers' ends, by scoid.
    clients: RwLock<Clients>,
    /// Clients' ends, by the channel that they lead to.
    pub(crate) sessions: Mutex<HashMap<Target, Weak<Session>>>,
    /// Threads that have waited, by their kernel ids.
    pub(crate) waits: Mutex<HashMap<u32, Arc<Shared>>>,
    keeper: OnceLock<Result<Arc<Keeper>>>,
    prepared: Once,
}

#[derive(Debug, Default)]
struct Clients {
    table: Vec<Option<Arc<ServerEnd>>>,
    free: Vec<usize>,
}

/// The first scoid, and how many there may be.
pub(crate) const SCOID_FIRST: i32 = 0x5000_0000;
pub(crate) const SCOIDS_MAX: usize = 1 << 13;
/// The last chid and coid.
const HANDLE_MAX: i32 = SCOID_FIRST - 1;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    fn new() -> Self {
        Self {
            channels: RwLock::default(),
            connections: RwLock::default(),
            clients: RwLock::default(),
            sessions: Mutex::default(),
            waits: Mutex::default(),
            keeper: OnceLock::new(),
            prepared: Once::new(),
        }
    }

    /// This process's.
    #[inline]
    pub(crate) fn get() -> &'static Self {
        PROCESS.get(Self::new)
    }

    /// This process's, if it has any.
    pub(crate) fn peek() -> Option<&'static Self> {
        PROCESS.peek()
    }

    /// The keeper, started now if it has not been.
    pub(crate) fn keeper(&self) -> Result<&Arc<Keeper>> {
        let started = self.keeper.get_or_init(Keeper::start);
        started.as_ref().map_err(|error| *error)
    }

    /// Does what is to be done once before the first channel is made.
    pub(crate) fn prepare(&self, act: impl FnOnce()) {
        self.prepared.call_once(act);
    }

    // ---- Channels ----

    pub(crate) fn channel(&self, chid: i32) -> Option<Arc<Core>> {
        let index = usize::try_from(chid).ok()?.checked_sub(1)?;
        read(&self.channels).get(index)?.clone()
    }

    /// Calls `make` with the lowest free chid from 1 that does and keeps what it makes. One may be in
    /// use by a process that has this one's number in another PID namespace.
    pub(crate) fn add_channel(&self, make: impl Fn(i32) -> Result<Arc<Core>>) -> Result<Arc<Core>> {
        let mut channels = write(&self.channels);
        let mut index = 0;
        let core = loop {
            if channels.get(index).is_some_and(Option::is_some) {
                index += 1;
                continue;
            }
            match make(index as i32 + 1) {
                Err(Error(libc::EADDRINUSE)) if index < HANDLE_MAX as usize => index += 1,
                made => break made?,
            }
        };
        if channels.len() <= index {
            channels.resize(index + 1, None);
        }
        channels[index] = Some(core.clone());
        Ok(core)
    }

    pub(crate) fn remove_channel(&self, chid: i32) -> Option<Arc<Core>> {
        let index = usize::try_from(chid).ok()?.checked_sub(1)?;
        write(&self.channels).get_mut(index)?.take()
    }

    /// The channels that were made with all of `flags`.
    pub(crate) fn channels_with(&self, flags: u32) -> Vec<Arc<Core>> {
        let channels = read(&self.channels);
        let all = channels.iter().flatten();
        all.filter(|core| core.flags() & flags == flags)
            .cloned()
            .collect()
    }

    // ---- Connections ----

    #[inline]
    pub(crate) fn connection(&self, coid: i32) -> Option<Arc<Link>> {
        read(&self.connections).get(&coid).cloned()
    }

    /// The connection with the lowest coid from `coid` on.
    pub(crate) fn connection_from(&self, coid: i32) -> Option<Arc<Link>> {
        read(&self.connections)
            .range(coid..)
            .next()
            .map(|(_, link)| link.clone())
    }

    /// Calls `make` with the lowest free coid from `lowest` on and keeps what it makes.
    pub(crate) fn add_connection(
        &self,
        lowest: i32,
        make: impl FnOnce(i32) -> Arc<Link>,
    ) -> Result<Arc<Link>> {
        let mut connections = write(&self.connections);
        let mut coid = lowest;
        for &taken in connections.range(lowest..).map(|(coid, _)| coid) {
            if taken != coid {
                break;
            }
            coid += 1;
        }
        if !(0..=HANDLE_MAX).contains(&coid) {
            return Err(Error::AGAIN);
        }
        let link = make(coid);
        connections.insert(coid, link.clone());
        Ok(link)
    }

    pub(crate) fn remove_connection(&self, coid: i32) -> Option<Arc<Link>> {
        write(&self.connections).remove(&coid)
    }

    /// Ends the wait of thread `tid` in a call of the library's, if it is in one.
    pub(crate) fn unblock(&self, tid: u32) {
        let sessions: Vec<_> = lock(&self.sessions).values().cloned().collect();
        for session in sessions.iter().filter_map(Weak::upgrade) {
            session.unblock(tid);
        }
        if thread::unblock(tid) {
            self.channels_with(0).iter().for_each(|core| core.nudge());
        }
    }

    /// The coids that lead over `session`.
    pub(crate) fn coids_of(&self, session: &Session) -> Vec<i32> {
        let connections = read(&self.connections);
        let over = |link: &Arc<Link>| std::ptr::eq(Arc::as_ptr(link.session()), session);
        let of = connections.iter().filter(|(_, link)| over(link));
        of.map(|(coid, _)| *coid).collect()
    }

    // ---- Clients ----

    pub(crate) fn client(&self, scoid: i32) -> Option<Arc<ServerEnd>> {
        let index = usize::try_from(scoid.checked_sub(SCOID_FIRST)?).ok()?;
        read(&self.clients).table.get(index)?.clone()
    }

    /// Gives `end` a scoid.
    pub(crate) fn add_client(&self, end: &Arc<ServerEnd>) -> Result<()> {
        let mut clients = write(&self.clients);
        let index = match clients.free.pop() {
            Some(index) => index,
            None if clients.table.len() < SCOIDS_MAX => {
                // The first place stays empty: an rcvid is never 0.
                let index = clients.table.len().max(1);
                clients.table.resize(index + 1, None);
                index
            }
            None => return Err(Error::AGAIN),
        };
        clients.table[index] = Some(end.clone());
        end.set_scoid(SCOID_FIRST + index as i32);
        Ok(())
    }

    /// Frees a scoid; with `of`, only if it is still that client's.
    pub(crate) fn remove_client(
        &self,
        scoid: i32,
        of: Option<&Arc<ServerEnd>>,
    ) -> Option<Arc<ServerEnd>> {
        let index = usize::try_from(scoid.checked_sub(SCOID_FIRST)?).ok()?;
        let mut clients = write(&self.clients);
        let place = clients.table.get_mut(index)?;
        let same = |end: &mut Arc<ServerEnd>| of.is_none_or(|of| Arc::ptr_eq(of, end));
        let end = place.take_if(same)?;
        clients.free.push(index);
        Some(end)
    }
}
