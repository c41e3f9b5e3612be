//! A service: a channel that has a name, and threads that receive on it.

use crate::errno;
use io_net_msg::name::{Attached, Scope};
use io_net_msg::pulse::{CODE_DISCONNECT, Pulse};
use io_net_msg::{Channel, Incoming, Received, Result, flags, handle};
use io_net_os::identity;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// The name of files and names.
pub const FILES: &str = "io-net/files";
/// The name of programs.
pub const SPAWN: &str = "io-net/spawn";

/// The longest message: a piece of a file with its head.
const MESSAGE_MAX: usize = PIECE_MAX + 8192;
/// The largest piece of a file that one message carries.
pub const PIECE_MAX: usize = 1 << 20;

/// What is done about messages. Any thread may call.
pub trait Serve: Send + Sync + 'static {
    /// Answers a message, now or later.
    fn message(&self, message: &[u8], received: Received);

    /// A client has gone.
    fn gone(&self, scoid: i32);
}

/// A service: it has its name from the beginning, and lasts until the process ends.
#[derive(Debug)]
pub struct Service {
    name: Attached,
    channel: Arc<Channel>,
}

impl Service {
    /// Takes the name. Whoever calls waits until it is started.
    ///
    /// # Errors
    /// EEXIST where another process has the name; as [`Channel::create`].
    pub fn claim(name: &str) -> Result<Self> {
        // Whoever gives up is let go at once, and priorities of others are not this process's.
        let flags = flags::CHF_DISCONNECT | flags::CHF_FIXED_PRIORITY;
        let channel = Arc::new(Channel::create(flags)?);
        let name = Attached::new(name, Scope::Local, channel.chid())?;
        Ok(Self { name, channel })
    }

    /// The directory of this node's names: `local` and `global` are in it.
    ///
    /// # Errors
    /// EINVAL for a name that is not like the services' here.
    pub fn names(&self) -> Result<&Path> {
        // SCOPE/io-net/SERVICE
        self.name.file().ancestors().nth(3).ok_or(errno::INVAL)
    }

    /// Has `threads` threads answer by `server`.
    ///
    /// # Errors
    /// EAGAIN where there are no more threads.
    pub fn start(&self, threads: usize, server: Arc<impl Serve>) -> Result<()> {
        for n in 0..threads {
            let (channel, server) = (self.channel.clone(), server.clone());
            let thread = thread::Builder::new().name(format!("serve-{n}"));
            thread.spawn(move || receive(&channel, &*server))?;
        }
        Ok(())
    }
}

/// A thread: receives until the channel ends.
fn receive(channel: &Channel, server: &impl Serve) {
    identity::leave_groups();
    let mut buf = vec![0; MESSAGE_MAX];
    loop {
        match channel.receive(&mut buf) {
            Ok(Incoming::Message(received)) => match complete(&received, &mut buf) {
                Ok(len) => server.message(&buf[..len], received),
                // The client may have gone.
                Err(error) => drop(received.error(error)),
            },
            Ok(Incoming::Pulse(Pulse { code, scoid, .. })) if code == CODE_DISCONNECT => {
                server.gone(scoid);
                let _ = handle::connect_detach(scoid);
            }
            Ok(Incoming::Pulse(_)) | Err(io_net_msg::Error::INTERRUPTED) => {}
            Err(_) => return,
        }
    }
}

/// Fetches what the receive has left out; how long the message is.
fn complete(received: &Received, buf: &mut [u8]) -> Result<usize> {
    let len = usize::try_from(received.info().srcmsglen).unwrap_or(usize::MAX);
    let mut there = received.len();
    if len > buf.len() {
        return Err(errno::MSGSIZE);
    }
    while there < len {
        match received.read(there, &mut buf[there..len])? {
            0 => return Err(errno::IO),
            n => there += n,
        }
    }
    Ok(len)
}
