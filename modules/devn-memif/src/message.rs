//! The messages of the control channel: 128 bytes each, native endian, unaligned fields.
//!
//! Sources: the memif chapter of the DPDK's network driver guide, and libmemif's documentation in
//! the FD.io project. Protocol version 2.0.

/// Bytes of every message.
pub(crate) const MESSAGE_LEN: usize = 128;
/// Version 2.0.
pub(crate) const VERSION: u16 = 2 << 8;
/// What every ring's header begins with.
pub(crate) const COOKIE: u32 = 0x03e3_1f20;
/// Bytes of a secret.
pub(crate) const SECRET_LEN: usize = 24;
/// The largest ring, as a power of two.
pub(crate) const MAX_LOG2_RING: u8 = 14;

const NAME_LEN: usize = 32;
const REASON_LEN: usize = 96;
/// `flags` of ADD_RING: from the client to the server.
const RING_TO_SERVER: u16 = 1;
/// `mode` of INIT: frames.
pub(crate) const MODE_ETHERNET: u8 = 0;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The last message was understood.
    Ack,
    /// Server's first: what it can do.
    Hello {
        min_version: u16,
        max_version: u16,
        /// Largest indices of regions and of rings in each direction.
        max_region: u16,
        max_ring_to_client: u16,
        max_ring_to_server: u16,
        max_log2_ring: u8,
    },
    /// Client's first: which link it wants.
    Init {
        version: u16,
        id: u32,
        mode: u8,
        secret: [u8; SECRET_LEN],
    },
    /// Shared memory; with its descriptor.
    AddRegion { index: u16, size: u64 },
    /// A ring within a region; with its eventfd.
    AddRing {
        to_server: bool,
        index: u16,
        region: u16,
        offset: u32,
        log2_size: u8,
    },
    /// Client: all is said.
    Connect,
    /// Server: the link is up.
    Connected,
    /// Either: the link ends, and why.
    Disconnect { reason: String },
}

/// Writes fields one after another.
struct Writer {
    bytes: [u8; MESSAGE_LEN],
    at: usize,
}

impl Writer {
    fn put(&mut self, field: &[u8]) -> &mut Self {
        self.bytes[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
        self
    }

    fn text(&mut self, text: &str, room: usize) -> &mut Self {
        let text = &text.as_bytes()[..text.len().min(room - 1)];
        self.bytes[self.at..self.at + text.len()].copy_from_slice(text);
        self.at += room;
        self
    }
}

/// Reads fields one after another.
struct Reader<'m> {
    rest: &'m [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk() {
            Some((field, rest)) => {
                self.rest = rest;
                *field
            }
            None => [0; N],
        }
    }

    fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.take())
    }

    fn text<const N: usize>(&mut self) -> String {
        let bytes: [u8; N] = self.take();
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(N);
        let printable = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '?',
        };
        bytes[..end].iter().map(printable).collect()
    }
}

impl Message {
    /// The bytes of the message; `name` is the sender's.
    pub(crate) fn encode(&self, name: &str) -> [u8; MESSAGE_LEN] {
        let mut writer = Writer {
            bytes: [0; MESSAGE_LEN],
            at: 0,
        };
        let out = writer.put(&self.kind().to_ne_bytes());
        match self {
            Message::Ack => {}
            Message::Hello {
                min_version,
                max_version,
                max_region,
                max_ring_to_client,
                max_ring_to_server,
                max_log2_ring,
            } => {
                out.text(name, NAME_LEN);
                for field in [
                    min_version,
                    max_version,
                    max_region,
                    max_ring_to_client,
                    max_ring_to_server,
                ] {
                    out.put(&field.to_ne_bytes());
                }
                out.put(&[*max_log2_ring]);
            }
            Message::Init {
                version,
                id,
                mode,
                secret,
            } => {
                out.put(&version.to_ne_bytes()).put(&id.to_ne_bytes());
                out.put(&[*mode]).put(secret).text(name, NAME_LEN);
            }
            Message::AddRegion { index, size } => {
                out.put(&index.to_ne_bytes()).put(&size.to_ne_bytes());
            }
            Message::AddRing {
                to_server,
                index,
                region,
                offset,
                log2_size,
            } => {
                let flags = if *to_server { RING_TO_SERVER } else { 0 };
                for field in [flags, *index, *region] {
                    out.put(&field.to_ne_bytes());
                }
                out.put(&offset.to_ne_bytes()).put(&[*log2_size]);
            }
            Message::Connect | Message::Connected => {
                out.text(name, NAME_LEN);
            }
            Message::Disconnect { reason } => {
                out.put(&0u32.to_ne_bytes()).text(reason, REASON_LEN);
            }
        }
        writer.bytes
    }

    fn kind(&self) -> u16 {
        match self {
            Message::Ack => 1,
            Message::Hello { .. } => 2,
            Message::Init { .. } => 3,
            Message::AddRegion { .. } => 4,
            Message::AddRing { .. } => 5,
            Message::Connect => 6,
            Message::Connected => 7,
            Message::Disconnect { .. } => 8,
        }
    }

    /// The message in `bytes`; `None` where it is of no known kind.
    pub(crate) fn decode(bytes: &[u8; MESSAGE_LEN]) -> Option<Message> {
        let mut reader = Reader { rest: bytes };
        let message = match reader.u16() {
            1 => Message::Ack,
            2 => {
                let _name: [u8; NAME_LEN] = reader.take();
                Message::Hello {
                    min_version: reader.u16(),
                    max_version: reader.u16(),
                    max_region: reader.u16(),
                    max_ring_to_client: reader.u16(),
                    max_ring_to_server: reader.u16(),
                    max_log2_ring: reader.u8(),
                }
            }
            3 => Message::Init {
                version: reader.u16(),
                id: reader.u32(),
                mode: reader.u8(),
                secret: reader.take(),
            },
            4 => Message::AddRegion {
                index: reader.u16(),
                size: reader.u64(),
            },
            5 => Message::AddRing {
                to_server: reader.u16() & RING_TO_SERVER != 0,
                index: reader.u16(),
                region: reader.u16(),
                offset: reader.u32(),
                log2_size: reader.u8(),
            },
            6 => Message::Connect,
            7 => Message::Connected,
            8 => {
                let _code = reader.u32();
                Message::Disconnect {
                    reason: reader.text::<REASON_LEN>(),
                }
            }
            _ => return None,
        };
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_way() {
        let messages = [
            Message::Ack,
            Message::Hello {
                min_version: 1,
                max_version: 2,
                max_region: 3,
                max_ring_to_client: 4,
                max_ring_to_server: 5,
                max_log2_ring: 6,
            },
            Message::Init {
                version: VERSION,
                id: 0x1234_5678,
                mode: MODE_ETHERNET,
                secret: [7; SECRET_LEN],
            },
            Message::AddRegion {
                index: 1,
                size: 1 << 40,
            },
            Message::AddRing {
                to_server: true,
                index: 2,
                region: 3,
                offset: 1 << 20,
                log2_size: 10,
            },
            Message::Connect,
            Message::Connected,
            Message::Disconnect {
                reason: "enough".into(),
            },
        ];
        for message in messages {
            assert_eq!(Message::decode(&message.encode("name")), Some(message));
        }
    }

    #[test]
    fn fields_are_where_the_protocol_has_them() {
        let ring = Message::AddRing {
            to_server: true,
            index: 0x0102,
            region: 0x0304,
            offset: 0x0506_0708,
            log2_size: 9,
        };
        let bytes = ring.encode("");
        assert_eq!(bytes[..2], 5u16.to_ne_bytes());
        assert_eq!(bytes[2..4], 1u16.to_ne_bytes());
        assert_eq!(bytes[4..6], 0x0102u16.to_ne_bytes());
        assert_eq!(bytes[6..8], 0x0304u16.to_ne_bytes());
        assert_eq!(bytes[8..12], 0x0506_0708u32.to_ne_bytes());
        assert_eq!(bytes[12], 9);
        let init = Message::Init {
            version: VERSION,
            id: 9,
            mode: 0,
            secret: [0x5a; SECRET_LEN],
        };
        let bytes = init.encode("peer");
        assert_eq!(bytes[2..4], 0x0200u16.to_ne_bytes());
        assert_eq!(bytes[4..8], 9u32.to_ne_bytes());
        assert_eq!((bytes[8], bytes[9], bytes[32]), (0, 0x5a, 0x5a));
        assert_eq!(&bytes[33..38], b"peer\0");
    }

    #[test]
    fn rubbish_is_no_message() {
        assert_eq!(Message::decode(&[0; MESSAGE_LEN]), None);
        assert_eq!(Message::decode(&[0xff; MESSAGE_LEN]), None);
        let mut endless = [0xff; MESSAGE_LEN];
        endless[..2].copy_from_slice(&8u16.to_ne_bytes());
        let Some(Message::Disconnect { reason }) = Message::decode(&endless) else {
            panic!("a disconnect");
        };
        assert_eq!(reason, "?".repeat(96));
    }
}
