//! The KIF messages, which carry the calls of message passing between nodes: 18 types.
//!
//! Each begins with a type and the size of its header, in 16 bits each, and is made of 32-bit fields in
//! the sender's byte order, which the type shows. Bytes of programs follow the header. Field for field
//! it is what Wireshark's dissector of QNX 6's Qnet decodes; what is io-net's own (the high halves of
//! 64-bit values, and all of `ConnectPulse` behind the size) comes after that.

use super::types::{Credentials, GROUPS_MAX, Groups, Identity, Pulse, SendInfo, Sigevent, Signal};
use io_net_wire::Malformed;

/// The version that `Connect` and its answers carry.
pub(crate) const VERSION: u32 = 1;

/// Type numbers, in the low 7 bits of the first field.
pub(crate) mod kind {
    pub(crate) const CONNECT: u16 = 0;
    pub(crate) const CONNECT_MSGSEND: u16 = 1;
    pub(crate) const CONNECT_SUCCESS: u16 = 2;
    pub(crate) const CONNECT_FAIL: u16 = 3;
    pub(crate) const UNBLOCK: u16 = 4;
    pub(crate) const MSGSEND: u16 = 5;
    pub(crate) const MSGREAD: u16 = 6;
    pub(crate) const MSGREAD_XFER: u16 = 7;
    pub(crate) const MSGWRITE: u16 = 8;
    pub(crate) const MSGREPLY: u16 = 9;
    pub(crate) const MSGERROR: u16 = 10;
    pub(crate) const EVENT: u16 = 11;
    pub(crate) const PULSE: u16 = 12;
    pub(crate) const SIGNAL: u16 = 13;
    pub(crate) const DISCONNECT: u16 = 14;
    pub(crate) const CONNECT_DEATH: u16 = 15;
    pub(crate) const MSGREAD_ERROR: u16 = 16;
    pub(crate) const CONNECT_PULSE: u16 = 17;
}

const KIND_MASK: u16 = 0x7f;
/// Credentials follow.
const CRED: u16 = 0x100;
/// In both bytes of the type: the sender is big-endian.
const BIG_ENDIAN: u8 = 0x80;
/// This machine's mark of its byte order.
const ENDIAN: u16 = if cfg!(target_endian = "big") {
    0x8080
} else {
    0
};

/// Opens a connection of a client to a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Connect {
    pub(crate) version: u32,
    pub(crate) server_pid: i32,
    pub(crate) server_chid: i32,
    /// How the client's node calls the connection.
    pub(crate) client_id: i32,
    pub(crate) client_pid: i32,
    pub(crate) identity: Option<Identity>,
}

/// A message, or its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MsgSend {
    /// How the server's node calls the connection; -1 while the client does not know.
    pub(crate) server_id: i32,
    /// How the client's node calls this send.
    pub(crate) client_handle: i32,
    pub(crate) info: SendInfo,
    /// Bytes of the message that follow.
    pub(crate) nbytes: u32,
}

/// A pulse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PulseSend {
    pub(crate) server_id: i32,
    pub(crate) tid: i32,
    pub(crate) coid: i32,
    pub(crate) pulse: Pulse,
}

/// Bytes read or written, an answer, or an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Transfer {
    /// A reply's status or an error number.
    pub(crate) status: i32,
    /// A send's handle, or that of a read.
    pub(crate) handle: i32,
    pub(crate) offset: u32,
    pub(crate) nbytes: u32,
}

/// One message. Where bytes of a program belong to it, they follow its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    Connect(Connect),
    ConnectMsgSend(Connect, MsgSend),
    ConnectSuccess {
        version: u32,
        server_id: i32,
        client_id: i32,
        scoid: i32,
        /// Bytes that a `MsgSend` may carry.
        limit: u32,
    },
    ConnectFail {
        version: u32,
        client_id: i32,
        status: i32,
    },
    Unblock {
        server_id: i32,
        client_handle: i32,
        tid: i32,
    },
    MsgSend(MsgSend),
    MsgRead {
        /// How the server's node calls this read.
        read_handle: i32,
        client_handle: i32,
        offset: u32,
        nbytes: u32,
    },
    MsgReadXfer(Transfer),
    MsgWrite(Transfer),
    MsgReply(Transfer),
    MsgError(Transfer),
    Event {
        /// The client's connection to the server that delivers the event.
        client_id: i32,
        event: Sigevent,
    },
    Pulse(PulseSend),
    Signal {
        server_id: i32,
        signal: Signal,
        identity: Option<Identity>,
    },
    Disconnect {
        server_id: i32,
    },
    ConnectDeath {
        client_id: i32,
    },
    MsgReadError(Transfer),
    ConnectPulse(Connect, PulseSend),
}

/// A parsed message and where in its bytes the program's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parsed {
    pub(crate) message: Message,
    pub(crate) data_start: usize,
    pub(crate) data_len: usize,
}

impl Message {
    /// Parses any bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
        let mut reader = Reader::new(bytes)?;
        let (kind, cred) = reader.head()?;
        let message = reader.message(kind, cred)?;
        let nbytes = match message {
            Message::ConnectMsgSend(_, send) | Message::MsgSend(send) => send.nbytes,
            Message::MsgReadXfer(transfer)
            | Message::MsgWrite(transfer)
            | Message::MsgReply(transfer) => transfer.nbytes,
            _ => 0,
        };
        let data_len = nbytes as usize;
        if data_len > bytes.len() - reader.at {
            return Err(Malformed);
        }
        Ok(Parsed {
            message,
            data_start: reader.at,
            data_len,
        })
    }

    /// The header, all that there is but for a program's bytes.
    pub(crate) fn header(&self) -> Header {
        let mut header = Header::default();
        match *self {
            Message::Connect(connect) => header.connect(kind::CONNECT, &connect),
            Message::ConnectMsgSend(connect, send) => {
                header.connect(kind::CONNECT_MSGSEND, &connect);
                header.msgsend(&send);
            }
            Message::ConnectSuccess {
                version,
                server_id,
                client_id,
                scoid,
                limit,
            } => header.connect_success(version, [server_id, client_id, scoid], limit),
            Message::ConnectFail {
                version,
                client_id,
                status,
            } => header.connect_fail(version, [client_id, status]),
            Message::Unblock {
                server_id,
                client_handle,
                tid,
            } => {
                header.begin(kind::UNBLOCK, 16);
                header.signed(&[server_id, client_handle, tid]);
            }
            Message::MsgSend(send) => header.msgsend(&send),
            Message::MsgRead {
                read_handle,
                client_handle,
                offset,
                nbytes,
            } => {
                header.begin(kind::MSGREAD, 20);
                header.signed(&[read_handle, client_handle]);
                header.put(offset);
                header.put(nbytes);
            }
            Message::MsgReadXfer(transfer) => header.transfer(kind::MSGREAD_XFER, &transfer),
            Message::MsgWrite(transfer) => header.transfer(kind::MSGWRITE, &transfer),
            Message::MsgReply(transfer) => header.transfer(kind::MSGREPLY, &transfer),
            Message::MsgError(transfer) => header.transfer(kind::MSGERROR, &transfer),
            Message::MsgReadError(transfer) => header.transfer(kind::MSGREAD_ERROR, &transfer),
            Message::Event { client_id, event } => header.event(client_id, &event),
            Message::Pulse(send) => header.pulse(&send),
            Message::Signal {
                server_id,
                signal,
                identity,
            } => header.signal(server_id, &signal, identity.as_ref()),
            Message::Disconnect { server_id } => {
                header.begin(kind::DISCONNECT, 8);
                header.signed(&[server_id]);
            }
            Message::ConnectDeath { client_id } => {
                header.begin(kind::CONNECT_DEATH, 8);
                header.signed(&[client_id]);
            }
            Message::ConnectPulse(connect, send) => {
                header.connect(kind::CONNECT_PULSE, &connect);
                header.pulse(&send);
            }
        }
        header
    }
}

/// Bytes of the longest header: a connect with credentials, and a pulse or message behind it.
const HEADER_MAX: usize = 24 + IDENTITY_MAX + PULSE_LEN;
const IDENTITY_MAX: usize = IDENTITY_MIN + 4 * GROUPS_MAX;
const IDENTITY_MIN: usize = 4 * 11;
const MSGSEND_LEN: usize = 48;
const PULSE_LEN: usize = 68;
const _: () = assert!(MSGSEND_LEN <= PULSE_LEN);
const _: () = assert!(24 + IDENTITY_MAX + MSGSEND_LEN <= crate::payload::HEADROOM);

/// A header under construction, in this machine's byte order.
pub(crate) struct Header {
    bytes: [u8; HEADER_MAX],
    len: usize,
}

impl Default for Header {
    fn default() -> Self {
        Header {
            bytes: [0; HEADER_MAX],
            len: 0,
        }
    }
}

impl Header {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn put(&mut self, field: u32) {
        self.raw(&field.to_ne_bytes());
    }

    fn signed(&mut self, fields: &[i32]) {
        for &field in fields {
            self.put(field as u32);
        }
    }

    fn begin(&mut self, kind: u16, size: usize) {
        self.raw(&(kind | ENDIAN).to_ne_bytes());
        self.raw(&(size as u16).to_ne_bytes());
    }

    /// Type and size of a message that may have credentials at its end.
    fn begin_with(&mut self, kind: u16, size: usize, identity: Option<&Identity>) {
        match identity {
            Some(identity) => {
                let groups = identity.credentials.groups.as_slice().len();
                self.begin(kind | CRED, size + IDENTITY_MIN + 4 * groups);
            }
            None => self.begin(kind, size),
        }
    }

    fn identity(&mut self, identity: &Identity) {
        let cred = &identity.credentials;
        self.put(identity.nd);
        self.signed(&[identity.pid, identity.sid]);
        self.put(identity.flags);
        for id in [
            cred.ruid, cred.euid, cred.suid, cred.rgid, cred.egid, cred.sgid,
        ] {
            self.put(id);
        }
        let groups = cred.groups.as_slice();
        self.put(groups.len() as u32);
        for &group in groups {
            self.put(group);
        }
    }

    fn connect(&mut self, kind: u16, connect: &Connect) {
        self.begin_with(kind, 24, connect.identity.as_ref());
        self.put(connect.version);
        self.signed(&[
            connect.server_pid,
            connect.server_chid,
            connect.client_id,
            connect.client_pid,
        ]);
        if let Some(identity) = &connect.identity {
            self.identity(identity);
        }
    }

    /// `ids` are the server's, the client's and the scoid.
    fn connect_success(&mut self, version: u32, ids: [i32; 3], limit: u32) {
        self.begin(kind::CONNECT_SUCCESS, 24);
        self.put(version);
        self.signed(&ids);
        self.put(limit);
    }

    /// `fields` are the client's id and the status.
    fn connect_fail(&mut self, version: u32, fields: [i32; 2]) {
        self.begin(kind::CONNECT_FAIL, 16);
        self.put(version);
        self.signed(&fields);
    }

    fn msgsend(&mut self, send: &MsgSend) {
        self.begin(kind::MSGSEND, MSGSEND_LEN);
        self.signed(&[send.server_id, send.client_handle]);
        self.vinfo(&send.info);
        self.put(send.nbytes);
    }

    /// `_vtid_info`: what a server learns of a thread of another node.
    fn vinfo(&mut self, info: &SendInfo) {
        self.signed(&[info.tid, info.coid, i32::from(info.priority)]);
        self.put(info.length);
        self.put(0); // keydata
        self.put(info.srcnd);
        self.put(info.reply_length);
        self.put(0);
    }

    fn pulse(&mut self, send: &PulseSend) {
        const TYPE: u16 = 0;
        const SUBTYPE: u16 = 0;
        self.begin(kind::PULSE, PULSE_LEN);
        self.signed(&[send.server_id, 0]);
        self.vinfo(&SendInfo {
            tid: send.tid,
            coid: send.coid,
            priority: send.pulse.priority,
            ..SendInfo::default()
        });
        self.raw(&TYPE.to_ne_bytes());
        self.raw(&SUBTYPE.to_ne_bytes());
        self.raw(&[send.pulse.code as u8, 0, 0, 0]);
        self.put(send.pulse.value as u32);
        self.put(0); // scoid: the server's node knows it
        self.signed(&[i32::from(send.pulse.priority)]);
        self.put((send.pulse.value >> 32) as u32);
    }

    fn event(&mut self, client_id: i32, event: &Sigevent) {
        self.begin(kind::EVENT, 28);
        self.signed(&[client_id, event.notify, event.signo]);
        self.put(event.value as u32);
        self.raw(&event.code.to_ne_bytes());
        self.raw(&event.priority.to_ne_bytes());
        self.put((event.value >> 32) as u32);
    }

    fn signal(&mut self, server_id: i32, signal: &Signal, identity: Option<&Identity>) {
        self.begin_with(kind::SIGNAL, 28, identity);
        self.signed(&[
            server_id,
            signal.pid,
            signal.tid,
            signal.signo,
            signal.code,
            signal.value,
        ]);
        if let Some(identity) = identity {
            self.identity(identity);
        }
    }

    fn transfer(&mut self, kind: u16, transfer: &Transfer) {
        self.begin(kind, 20);
        self.signed(&[transfer.status, transfer.handle]);
        self.put(transfer.offset);
        self.put(transfer.nbytes);
    }
}

/// Reads fields in the sender's byte order.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        // A little-endian type has a clear bit there, as no type number needs it.
        let big = bytes.first().ok_or(Malformed)? & BIG_ENDIAN != 0;
        Ok(Reader { bytes, at: 0, big })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let rest = self.bytes.get(self.at..).ok_or(Malformed)?;
        let field = rest.first_chunk::<N>().ok_or(Malformed)?;
        self.at += N;
        Ok(*field)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let field = self.take()?;
        Ok(if self.big {
            u16::from_be_bytes(field)
        } else {
            u16::from_le_bytes(field)
        })
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        let field = self.take()?;
        Ok(if self.big {
            u32::from_be_bytes(field)
        } else {
            u32::from_le_bytes(field)
        })
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(self.u32()? as i32)
    }

    /// The high half of a value whose low half is `low`. Peers that are not io-net do not send it.
    fn high(&mut self, low: u32) -> u64 {
        u64::from(low) | u64::from(self.u32().unwrap_or(0)) << 32
    }

    fn head(&mut self) -> Result<(u16, bool), Malformed> {
        let head = self.u16()?;
        let _size = self.u16()?;
        Ok((head & KIND_MASK, head & CRED != 0))
    }

    /// The message of that type, whose head was read.
    fn message(&mut self, kind: u16, cred: bool) -> Result<Message, Malformed> {
        Ok(match kind {
            kind::CONNECT => Message::Connect(self.connect(cred)?),
            kind::CONNECT_MSGSEND => {
                let connect = self.connect(cred)?;
                let (kind::MSGSEND, false) = self.head()? else {
                    return Err(Malformed);
                };
                Message::ConnectMsgSend(connect, self.msgsend()?)
            }
            kind::CONNECT_SUCCESS => Message::ConnectSuccess {
                version: self.u32()?,
                server_id: self.i32()?,
                client_id: self.i32()?,
                scoid: self.i32()?,
                limit: self.u32()?,
            },
            kind::CONNECT_FAIL => Message::ConnectFail {
                version: self.u32()?,
                client_id: self.i32()?,
                status: self.i32()?,
            },
            kind::UNBLOCK => Message::Unblock {
                server_id: self.i32()?,
                client_handle: self.i32()?,
                tid: self.i32()?,
            },
            kind::MSGSEND if !cred => Message::MsgSend(self.msgsend()?),
            kind::MSGREAD => Message::MsgRead {
                read_handle: self.i32()?,
                client_handle: self.i32()?,
                offset: self.u32()?,
                nbytes: self.u32()?,
            },
            kind::MSGREAD_XFER => Message::MsgReadXfer(self.transfer()?),
            kind::MSGWRITE => Message::MsgWrite(self.transfer()?),
            kind::MSGREPLY => Message::MsgReply(self.transfer()?),
            kind::MSGERROR => Message::MsgError(self.transfer()?),
            kind::MSGREAD_ERROR => Message::MsgReadError(self.transfer()?),
            kind::EVENT => self.event()?,
            kind::PULSE => Message::Pulse(self.pulse()?),
            kind::SIGNAL => self.signal(cred)?,
            kind::DISCONNECT => Message::Disconnect {
                server_id: self.i32()?,
            },
            kind::CONNECT_DEATH => Message::ConnectDeath {
                client_id: self.i32()?,
            },
            kind::CONNECT_PULSE => {
                let connect = self.connect(cred)?;
                let (kind::PULSE, false) = self.head()? else {
                    return Err(Malformed);
                };
                Message::ConnectPulse(connect, self.pulse()?)
            }
            _ => return Err(Malformed),
        })
    }

    fn connect(&mut self, cred: bool) -> Result<Connect, Malformed> {
        Ok(Connect {
            version: self.u32()?,
            server_pid: self.i32()?,
            server_chid: self.i32()?,
            client_id: self.i32()?,
            client_pid: self.i32()?,
            identity: if cred { Some(self.identity()?) } else { None },
        })
    }

    fn identity(&mut self) -> Result<Identity, Malformed> {
        let mut identity = Identity {
            nd: self.u32()?,
            pid: self.i32()?,
            sid: self.i32()?,
            flags: self.u32()?,
            credentials: Credentials {
                ruid: self.u32()?,
                euid: self.u32()?,
                suid: self.u32()?,
                rgid: self.u32()?,
                egid: self.u32()?,
                sgid: self.u32()?,
                groups: Groups::default(),
            },
        };
        let count = self.u32()? as usize;
        let mut groups = [0; GROUPS_MAX];
        for group in groups.get_mut(..count).ok_or(Malformed)? {
            *group = self.u32()?;
        }
        identity.credentials.groups = Groups::new(&groups[..count]);
        Ok(identity)
    }

    fn msgsend(&mut self) -> Result<MsgSend, Malformed> {
        Ok(MsgSend {
            server_id: self.i32()?,
            client_handle: self.i32()?,
            info: self.vinfo()?,
            nbytes: self.u32()?,
        })
    }

    fn vinfo(&mut self) -> Result<SendInfo, Malformed> {
        let tid = self.i32()?;
        let coid = self.i32()?;
        let priority = self.i32()?;
        let length = self.u32()?;
        let _keydata = self.u32()?;
        let srcnd = self.u32()?;
        let reply_length = self.u32()?;
        let _zero = self.u32()?;
        Ok(SendInfo {
            tid,
            coid,
            priority: narrow(priority),
            length,
            reply_length,
            srcnd,
            endian_differs: self.big != cfg!(target_endian = "big"),
        })
    }

    fn pulse(&mut self) -> Result<PulseSend, Malformed> {
        let server_id = self.i32()?;
        let _client_handle = self.i32()?;
        let info = self.vinfo()?;
        let _type_and_subtype = self.u32()?;
        let [code, _, _, _] = self.take()?;
        let low = self.u32()?;
        let _scoid = self.u32()?;
        let priority = narrow(self.i32()?);
        Ok(PulseSend {
            server_id,
            tid: info.tid,
            coid: info.coid,
            pulse: Pulse {
                code: code as i8,
                priority,
                value: self.high(low),
            },
        })
    }

    fn event(&mut self) -> Result<Message, Malformed> {
        let client_id = self.i32()?;
        let notify = self.i32()?;
        let signo = self.i32()?;
        let low = self.u32()?;
        let code = self.u16()? as i16;
        let priority = self.u16()? as i16;
        let event = Sigevent {
            notify,
            signo,
            value: self.high(low),
            code,
            priority,
        };
        Ok(Message::Event { client_id, event })
    }

    fn signal(&mut self, cred: bool) -> Result<Message, Malformed> {
        let server_id = self.i32()?;
        let signal = Signal {
            pid: self.i32()?,
            tid: self.i32()?,
            signo: self.i32()?,
            code: self.i32()?,
            value: self.i32()?,
        };
        let identity = if cred { Some(self.identity()?) } else { None };
        Ok(Message::Signal {
            server_id,
            signal,
            identity,
        })
    }

    fn transfer(&mut self) -> Result<Transfer, Malformed> {
        Ok(Transfer {
            status: self.i32()?,
            handle: self.i32()?,
            offset: self.u32()?,
            nbytes: self.u32()?,
        })
    }
}

/// A priority in 16 bits; what does not fit is held at the end of the range.
fn narrow(priority: i32) -> i16 {
    priority.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

#[cfg(test)]
#[path = "message_tests.rs"]
pub(super) mod tests;
