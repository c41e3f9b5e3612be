//! The control channel's two sides, without a socket: messages in, messages out, at the end a link.

use crate::link::{ClientMemory, Lane, Link};
use crate::message::{MAX_LOG2_RING, MODE_ETHERNET, Message, VERSION};
use crate::options::{MemifOptions, Role};
use crate::ring::Ring;
use io_net_os::eventfd::EventFd;
use io_net_os::map::{SEAL_SHRINK, SharedMap, file_len, seals};
use io_net_os::region::Region;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Regions of one link, at most.
const REGIONS_MAX: usize = 16;

/// What a server says first.
pub(crate) fn hello() -> Message {
    Message::Hello {
        min_version: VERSION,
        max_version: VERSION,
        max_region: REGIONS_MAX as u16 - 1,
        max_ring_to_client: 0,
        max_ring_to_server: 0,
        max_log2_ring: MAX_LOG2_RING,
    }
}

/// What a message led to.
pub(crate) enum Step {
    /// This is to be said.
    Say(Message),
    /// This is to be said and the link is up.
    Up(Option<Message>, Box<Link>),
    /// The peer has ended the link.
    Over(String),
}

/// One side's progress.
pub(crate) enum Session {
    Server(Serving),
    Client(Connecting),
    /// The link is up; only its end is still to come.
    Done,
}

impl Session {
    /// Takes a message and the descriptor that came with it.
    ///
    /// # Errors
    /// Why the link cannot be; the peer is to be told.
    pub(crate) fn handle(&mut self, message: Message, fd: Option<OwnedFd>) -> Result<Step, String> {
        if let Message::Disconnect { reason } = message {
            return Ok(Step::Over(reason));
        }
        let step = match self {
            Session::Server(serving) => serving.handle(message, fd)?,
            Session::Client(connecting) => connecting.handle(message)?,
            Session::Done => return Err("unexpected message".into()),
        };
        if matches!(step, Step::Up(..)) {
            *self = Session::Done;
        }
        Ok(step)
    }

    /// The descriptor that goes with `message`.
    pub(crate) fn fd_of(&self, message: &Message) -> Option<BorrowedFd<'_>> {
        let Session::Client(connecting) = self else {
            return None;
        };
        let memory = connecting.memory.as_ref()?;
        match message {
            Message::AddRegion { .. } => Some(memory.fd.as_fd()),
            Message::AddRing {
                to_server: true, ..
            } => Some(memory.link.tx.bell.as_fd()),
            Message::AddRing { .. } => Some(memory.link.rx.bell.as_fd()),
            _ => None,
        }
    }
}

/// Whether `init` asks for a link that `options` describe.
///
/// # Errors
/// Why not.
pub(crate) fn check_init(options: &MemifOptions, init: &Message) -> Result<(), String> {
    let Message::Init {
        version,
        id,
        mode,
        secret,
    } = init
    else {
        return Err("unexpected message".into());
    };
    if *version != VERSION {
        return Err("incompatible version".into());
    }
    if *id != options.id {
        return Err(format!("there is no link with id {id}"));
    }
    if *mode != MODE_ETHERNET {
        return Err("only Ethernet mode is supported".into());
    }
    if options.secret != [0; 24] && *secret != options.secret {
        return Err("incorrect secret".into());
    }
    Ok(())
}

/// A server that learns of the client's memory.
#[derive(Default)]
pub(crate) struct Serving {
    regions: Vec<Region>,
    rx: Option<Lane>,
    tx: Option<Lane>,
}

impl Serving {
    fn handle(&mut self, message: Message, fd: Option<OwnedFd>) -> Result<Step, String> {
        match message {
            Message::AddRegion { index, size } => {
                if usize::from(index) != self.regions.len() || self.regions.len() == REGIONS_MAX {
                    return Err("invalid region index".into());
                }
                let fd = fd.ok_or("a region without its descriptor")?;
                self.regions.push(map_region(fd, size)?);
                Ok(Step::Say(Message::Ack))
            }
            Message::AddRing {
                to_server,
                index,
                region,
                offset,
                log2_size,
            } => {
                let place = if to_server {
                    &mut self.rx
                } else {
                    &mut self.tx
                };
                if index != 0 || place.is_some() {
                    return Err("invalid ring index".into());
                }
                if !(1..=MAX_LOG2_RING).contains(&log2_size) {
                    return Err("invalid ring size".into());
                }
                let bell = fd.ok_or("a ring without its descriptor")?;
                *place = Some(Lane {
                    ring: Ring::new(region, offset, log2_size),
                    bell: EventFd::from(bell),
                });
                Ok(Step::Say(Message::Ack))
            }
            Message::Connect => {
                let rx = self.rx.take().ok_or("no ring to the server")?;
                let tx = self.tx.take().ok_or("no ring to the client")?;
                let mut link = Link {
                    role: Role::Server,
                    regions: std::mem::take(&mut self.regions),
                    rx,
                    tx,
                    buffer_size: 0,
                    may_sleep: false,
                };
                let started = link.start();
                started.map_err(|_| "a ring is not where it should be")?;
                Ok(Step::Up(Some(Message::Connected), Box::new(link)))
            }
            _ => Err("unexpected message".into()),
        }
    }
}

/// Maps a client's region. It must be unable to shrink, or touching it could kill io-net.
fn map_region(fd: OwnedFd, size: u64) -> Result<Region, String> {
    let len = usize::try_from(size).map_err(|_| "a region is too large")?;
    let sealed = seals(fd.as_fd()).is_ok_and(|seals| seals & SEAL_SHRINK != 0);
    if !sealed {
        return Err("a region is not sealed against shrinking".into());
    }
    let there = file_len(fd.as_fd()).map_err(|error| format!("a region: {error}"))?;
    if there < len {
        return Err("a region is shorter than it says".into());
    }
    let map = SharedMap::new(fd.as_fd(), len);
    let map = map.map_err(|error| format!("cannot map a region: {error}"))?;
    Ok(Region::new(map))
}

/// A client that tells of its memory, one message for each acknowledgment.
pub(crate) struct Connecting {
    options: MemifOptions,
    memory: Option<ClientMemory>,
    script: VecDeque<Message>,
}

impl Connecting {
    pub(crate) fn new(options: &MemifOptions) -> Connecting {
        Connecting {
            options: options.clone(),
            memory: None,
            script: VecDeque::new(),
        }
    }

    fn handle(&mut self, message: Message) -> Result<Step, String> {
        match message {
            Message::Hello {
                min_version,
                max_version,
                max_log2_ring,
                ..
            } if self.memory.is_none() => {
                if !(min_version..=max_version).contains(&VERSION) {
                    return Err("incompatible version".into());
                }
                self.prepare(max_log2_ring)
            }
            Message::Ack => match self.script.pop_front() {
                Some(message) => Ok(Step::Say(message)),
                None => Err("unexpected acknowledgment".into()),
            },
            Message::Connected if self.script.is_empty() => {
                let memory = self.memory.take().ok_or("connected too early")?;
                let mut link = memory.link;
                link.start().map_err(|_| "the rings were overwritten")?;
                Ok(Step::Up(None, Box::new(link)))
            }
            _ => Err("unexpected message".into()),
        }
    }

    fn prepare(&mut self, max_log2: u8) -> Result<Step, String> {
        let log2 = self.options.log2_ring.min(max_log2);
        let memory = ClientMemory::new(log2, self.options.buffer_size);
        let memory = memory.map_err(|error| format!("no memory for the link: {error}"))?;
        let ring = |to_server: bool, offset: u32| Message::AddRing {
            to_server,
            index: 0,
            region: 0,
            offset,
            log2_size: memory.log2,
        };
        self.script = VecDeque::from([
            Message::AddRegion {
                index: 0,
                size: memory.len as u64,
            },
            ring(true, 0),
            ring(false, memory.rx_offset),
            Message::Connect,
        ]);
        self.memory = Some(memory);
        Ok(Step::Say(Message::Init {
            version: VERSION,
            id: self.options.id,
            mode: MODE_ETHERNET,
            secret: self.options.secret,
        }))
    }
}
