//! The manager: receives, finds the open that a message belongs to, and calls the device.

use std::collections::HashMap;

use zerocopy::{FromBytes, IntoBytes};

use super::Attributes;
use super::data::{Input, Output};
use super::device::{Device, Ocb};
use super::message::{
    CONNECT_OPEN, Connect, Devctl, DevctlReply, Dirent, FLAG_READ, FLAG_WRITE, Seek, StatReply,
    Transfer, XTYPE_MASK, XTYPE_NONE, XTYPE_OFFSET, XTYPE_READDIR, kind,
};
use crate::channel::Incoming;
use crate::error::{Error, Result};
use crate::name::{self, Attached, CHANNEL_FLAGS};
use crate::pulse::{self, Pulse};
use crate::{Channel, Received, handle};

/// Bytes of a message that are received at once; more are read as they are needed.
const RECEIVED_MAX: usize = 16 * 1024;

/// The most data of a devctl, each way.
const DEVCTL_MAX: usize = 1 << 20;

/// Opens that one client may have.
const OPENS_MAX: usize = 4096;

/// A device with a name, and those who have opened it.
#[derive(Debug)]
pub struct Manager<D> {
    device: D,
    /// By client and its connection.
    opens: HashMap<(i32, i32), Ocb>,
    buffer: Vec<u8>,
    /// As an open's path has them: `local/dev/counter`. They go before the channel, so that nobody
    /// finds a name without one.
    names: Vec<(String, Attached)>,
    channel: Channel,
}

impl<D: Device> Manager<D> {
    /// Gives the device a path: `/dev/counter`, or a plain name, seen by clients of this node, and of
    /// others as `/net/NODE/dev/counter`. `/dev/name/global/NAME` makes it a global name.
    ///
    /// # Errors
    /// As [`Attached::new`] and [`Channel::create`]; EINVAL for a path on another node.
    pub fn attach(path: &str, device: D) -> Result<Self> {
        let mut manager = Self {
            device,
            opens: HashMap::new(),
            buffer: vec![0; RECEIVED_MAX],
            names: Vec::new(),
            channel: Channel::create(CHANNEL_FLAGS)?,
        };
        manager.also(path)?;
        Ok(manager)
    }

    /// Gives the device one more path. What [`Ocb::name`] is for opens by it.
    ///
    /// # Errors
    /// As [`Attached::new`]; EINVAL for a path on another node, EEXIST for one that it has.
    pub fn also(&mut self, path: &str) -> Result<usize> {
        let path = name::path::file(path)?;
        if path.node.is_some() {
            return Err(Error::INVALID);
        }
        let name = path.below_dev_name();
        if self.names.iter().any(|(own, _)| *own == name) {
            return Err(Error(libc::EEXIST));
        }
        let attached = Attached::new(path.name, path.scope, self.channel.chid())?;
        self.names.push((name, attached));
        Ok(self.names.len() - 1)
    }

    /// Serves until the channel fails.
    ///
    /// # Errors
    /// As [`Manager::turn`], never Ok.
    pub fn run(&mut self) -> Result<()> {
        loop {
            match self.turn() {
                Ok(()) | Err(Error::INTERRUPTED) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for one message or pulse, and deals with it.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn turn(&mut self) -> Result<()> {
        match self.channel.receive(&mut self.buffer)? {
            Incoming::Pulse(pulse) => self.pulse(pulse),
            Incoming::Message(message) => {
                let buffer = std::mem::take(&mut self.buffer);
                self.message(message, &buffer);
                self.buffer = buffer;
            }
        }
        Ok(())
    }

    /// The channel, for connections of its own (timers) and for its descriptor.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    fn message(&mut self, message: Received, buffer: &[u8]) {
        let bytes = &buffer[..message.len().min(buffer.len())];
        let of = u16::read_from_prefix(bytes).map_or(0, |(kind, _)| kind);
        // Whoever has gone in the meantime needs no answer, hence no look at what answering gives.
        let _ = match of {
            kind::CONNECT => {
                let result = self.open(&message, bytes);
                answer(message, result.map(|()| 0), &[])
            }
            kind::READ => self.read(message, bytes),
            kind::WRITE => {
                let result = self.write(&message, bytes);
                answer(message, result.map(|n| n as i64), &[])
            }
            kind::LSEEK => {
                let result = self.seek(&message, bytes);
                let offset = result.unwrap_or_default();
                answer(message, result.map(|_| 0), offset.as_bytes())
            }
            kind::STAT => {
                let found = open_of(&mut self.opens, &message);
                let found = found.and_then(|ocb| self.device.lookup(ocb));
                let stat = found.map_or_else(|_| StatReply::default(), |it| it.reply());
                answer(message, found.map(|_| 0), stat.as_bytes())
            }
            kind::DEVCTL => match self.devctl(&message, bytes) {
                Ok(reply) => message.reply(0, &reply),
                Err(error) => message.error(error),
            },
            kind::SYNC => {
                let result = self.ocb(&message).map(|_| 0);
                answer(message, result, &[])
            }
            kind::CLOSE => {
                let result = self.close(&message).map(|()| 0);
                answer(message, result, &[])
            }
            _ => {
                self.device.message(message, bytes);
                Ok(())
            }
        };
    }

    fn open(&mut self, message: &Received, bytes: &[u8]) -> Result<()> {
        let (connect, rest) = Connect::read_from_prefix(bytes).map_err(|_| Error::INVALID)?;
        if connect.subtype != CONNECT_OPEN {
            return Err(Error::NO_SYS);
        }
        let key = key(message);
        let opened = self.opens.keys().filter(|of| of.0 == key.0).count();
        if opened >= OPENS_MAX {
            return Err(Error(libc::EMFILE));
        }
        let path = rest.split(|&byte| byte == 0).next().unwrap_or_default();
        let path = std::str::from_utf8(path).map_err(|_| Error(libc::ENOENT))?;
        let (name, path) = self.find(path).ok_or(Error(libc::ENOENT))?;
        let mut ocb = Ocb {
            name,
            path,
            offset: 0,
            ioflag: connect.ioflag,
            client: message.client(),
        };
        let attributes = self.look_up(&ocb, connect.mode)?;
        attributes.permit(&ocb.client, connect.ioflag)?;
        if attributes.is_directory() && ocb.is_writable() {
            return Err(Error(libc::EISDIR));
        }
        self.device.open(&mut ocb)?;
        // A connection that is opened again was closed without a word.
        if let Some(old) = self.opens.insert(key, ocb) {
            self.device.close(old);
        }
        Ok(())
    }

    /// The name that a path begins with, and what of it follows: the longest, where there are several.
    fn find(&self, path: &str) -> Option<(usize, String)> {
        let below = |name: &str| match path.strip_prefix(name)? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        };
        let names = self.names.iter().enumerate();
        let found = names.filter_map(|(n, (name, _))| Some((name.len(), n, below(name)?)));
        found.max().map(|(_, n, rest)| (n, rest.to_owned()))
    }

    /// What is to be opened, made now where it is to be.
    fn look_up(&mut self, ocb: &Ocb, mode: u32) -> Result<Attributes> {
        let flag = |flag: i32| ocb.ioflag & flag.cast_unsigned() != 0;
        let create = flag(libc::O_CREAT);
        match self.device.lookup(ocb) {
            Err(Error(libc::ENOENT)) if create => {
                self.device.create(ocb, mode)?;
                self.device.lookup(ocb)
            }
            Ok(_) if create && flag(libc::O_EXCL) => Err(Error(libc::EEXIST)),
            found => found,
        }
    }

    /// The directory's entries from the open's offset on.
    fn read_directory(&mut self, message: Received, room: usize) -> Result<()> {
        let listed = open_of(&mut self.opens, &message).and_then(|ocb| {
            let names = self.device.list(ocb)?;
            let mut records = Vec::new();
            for (n, name) in names.iter().enumerate().skip(ocb.offset as usize) {
                let next = n as u64 + 1;
                let Some(record) = Dirent::with_name(next, next, name) else {
                    continue;
                };
                if records.len() + record.len() > room {
                    break;
                }
                records.extend(record);
                ocb.offset = next;
            }
            Ok(records)
        });
        match listed {
            Ok(records) => message.reply(records.len() as i64, &records),
            Err(error) => message.error(error),
        }
    }

    fn read(&mut self, message: Received, bytes: &[u8]) -> Result<()> {
        let directory = open_of(&mut self.opens, &message)
            .and_then(|ocb| self.device.lookup(ocb))
            .is_ok_and(|it| it.is_directory());
        if directory {
            let found = start(&mut self.opens, &message, bytes, FLAG_READ);
            return match found.map(|(_, span)| span.nbytes) {
                Ok(nbytes) => self.read_directory(message, nbytes),
                Err(error) => message.error(error),
            };
        }
        let opens = &mut self.opens;
        let found = start(opens, &message, bytes, FLAG_READ);
        let (ocb, span) = match found {
            Ok(found) => found,
            Err(error) => return message.error(error),
        };
        let mut to = Output::new(message, span.nbytes);
        let at = span.at.unwrap_or(ocb.offset);
        let result = self.device.read(ocb, at, &mut to);
        if let Some(len) = to.finish(result)
            && span.at.is_none()
        {
            ocb.offset = at.saturating_add(len as u64);
        }
        Ok(())
    }

    fn write(&mut self, message: &Received, bytes: &[u8]) -> Result<usize> {
        let (ocb, span) = start(&mut self.opens, message, bytes, FLAG_WRITE)?;
        let append = ocb.ioflag & libc::O_APPEND.cast_unsigned() != 0;
        let own = match append {
            true => self.device.lookup(ocb)?.size,
            false => ocb.offset,
        };
        let at = span.at.unwrap_or(own);
        let mut from = Input::new(message, bytes, span.data, span.nbytes);
        self.device.write(ocb, at, &mut from)?;
        let len = from.taken();
        if span.at.is_none() {
            ocb.offset = at.saturating_add(len as u64);
        }
        Ok(len)
    }

    fn seek(&mut self, message: &Received, bytes: &[u8]) -> Result<u64> {
        let (seek, _) = Seek::read_from_prefix(bytes).map_err(|_| Error::INVALID)?;
        let ocb = open_of(&mut self.opens, message)?;
        let size = self.device.lookup(ocb)?.size;
        let from = match i32::from(seek.whence) {
            libc::SEEK_SET => 0,
            libc::SEEK_CUR => ocb.offset,
            libc::SEEK_END => size,
            _ => return Err(Error::INVALID),
        };
        let to = from.checked_add_signed(seek.offset);
        ocb.offset = to
            .filter(|&to| i64::try_from(to).is_ok())
            .ok_or(Error::INVALID)?;
        Ok(ocb.offset)
    }

    fn devctl(&mut self, message: &Received, bytes: &[u8]) -> Result<Vec<u8>> {
        let (devctl, _) = Devctl::read_from_prefix(bytes).map_err(|_| Error::INVALID)?;
        let nbytes = usize::try_from(devctl.nbytes).map_err(|_| Error::INVALID)?;
        if nbytes > DEVCTL_MAX {
            return Err(Error::TOO_BIG);
        }
        let mut input = Input::new(message, bytes, size_of::<Devctl>(), nbytes);
        let mut data = vec![0; input.len()];
        input.take(&mut data)?;
        let ocb = open_of(&mut self.opens, message)?;
        let ret_val = self.device.devctl(ocb, devctl.dcmd, &mut data)?;
        data.truncate(nbytes);
        let reply = DevctlReply {
            zero: 0,
            ret_val,
            nbytes: i32::try_from(data.len()).map_err(|_| Error::TOO_BIG)?,
            zero2: 0,
        };
        Ok([reply.as_bytes(), &data].concat())
    }

    fn close(&mut self, message: &Received) -> Result<()> {
        let ocb = self.opens.remove(&key(message)).ok_or(Error::BADF)?;
        self.device.close(ocb);
        Ok(())
    }

    fn pulse(&mut self, pulse: Pulse) {
        match pulse.code {
            pulse::CODE_DISCONNECT => self.disconnect(pulse.scoid),
            pulse::CODE_UNBLOCK => self.device.unblock(pulse.value as i32),
            _ => self.device.pulse(pulse),
        }
    }

    /// A client has gone without closing.
    fn disconnect(&mut self, scoid: i32) {
        let gone: Vec<_> = self.opens.extract_if(|key, _| key.0 == scoid).collect();
        for (_, ocb) in gone {
            self.device.close(ocb);
        }
        // It was reserved until now, so that no other client could be taken for this one.
        let _ = handle::connect_detach(scoid);
    }

    fn ocb(&mut self, message: &Received) -> Result<&mut Ocb> {
        open_of(&mut self.opens, message)
    }
}

/// What part of the file a read or a write is about.
struct Span {
    nbytes: usize,
    /// None: the open's own offset.
    at: Option<u64>,
    /// Where the data of a write begins in the message.
    data: usize,
}

fn key(message: &Received) -> (i32, i32) {
    let info = message.info();
    (info.scoid, info.coid)
}

fn open_of<'o>(opens: &'o mut HashMap<(i32, i32), Ocb>, message: &Received) -> Result<&'o mut Ocb> {
    opens.get_mut(&key(message)).ok_or(Error::BADF)
}

/// The open that a read or a write belongs to, if that may do so, and where.
fn start<'o>(
    opens: &'o mut HashMap<(i32, i32), Ocb>,
    message: &Received,
    bytes: &[u8],
    flag: u32,
) -> Result<(&'o mut Ocb, Span)> {
    let (transfer, rest) = Transfer::read_from_prefix(bytes).map_err(|_| Error::INVALID)?;
    let ocb = open_of(opens, message)?;
    if ocb.ioflag & flag == 0 {
        return Err(Error::BADF);
    }
    let nbytes = usize::try_from(transfer.nbytes).map_err(|_| Error::INVALID)?;
    let header = size_of::<Transfer>();
    let (at, data) = match transfer.xtype & XTYPE_MASK {
        XTYPE_NONE => (None, header),
        XTYPE_READDIR if flag == FLAG_READ => (None, header),
        XTYPE_OFFSET => {
            let (at, _) = i64::read_from_prefix(rest).map_err(|_| Error::INVALID)?;
            let at = u64::try_from(at).map_err(|_| Error::INVALID)?;
            (Some(at), header + size_of::<i64>())
        }
        _ => return Err(Error::NO_SYS),
    };
    Ok((ocb, Span { nbytes, at, data }))
}

fn answer(message: Received, result: Result<i64>, bytes: &[u8]) -> Result<()> {
    match result {
        Ok(status) => message.reply(status, bytes),
        Err(error) => message.error(error),
    }
}
