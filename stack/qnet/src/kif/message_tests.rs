//! Every type of message, both ways, and bytes that are none.

use super::*;

fn identity(groups: &[u32]) -> Identity {
    Identity {
        nd: 1,
        pid: 2,
        sid: 3,
        flags: 4,
        credentials: Credentials {
            ruid: 5,
            euid: 6,
            suid: 7,
            rgid: 8,
            egid: 9,
            sgid: 10,
            groups: Groups::new(groups),
        },
    }
}

fn connect(identity: Option<Identity>) -> Connect {
    Connect {
        version: VERSION,
        server_pid: 100,
        server_chid: 1,
        client_id: 7,
        client_pid: 200,
        identity,
    }
}

fn send(nbytes: u32) -> MsgSend {
    MsgSend {
        server_id: 9,
        client_handle: 8,
        info: SendInfo {
            tid: 1,
            coid: 0x4000_0003,
            priority: 10,
            length: 1 << 30,
            reply_length: 77,
            srcnd: 5,
            endian_differs: false,
        },
        nbytes,
    }
}

fn pulse() -> PulseSend {
    PulseSend {
        server_id: 9,
        tid: 1,
        coid: 3,
        pulse: Pulse {
            code: -5,
            priority: 255,
            value: 0xfedc_ba98_7654_3210,
        },
    }
}

fn transfer(nbytes: u32) -> Transfer {
    Transfer {
        status: -1,
        handle: 8,
        offset: 4096,
        nbytes,
    }
}

/// One message of each type and shape, with the bytes that follow each.
pub(crate) fn all() -> Vec<(Message, usize)> {
    let groups = [1, 2, 3, 4, 5, 6, 7, 8];
    vec![
        (Message::Connect(connect(None)), 0),
        (Message::Connect(connect(Some(identity(&[])))), 0),
        (
            Message::ConnectMsgSend(connect(Some(identity(&groups))), send(5)),
            5,
        ),
        (
            Message::ConnectSuccess {
                version: VERSION,
                server_id: 9,
                client_id: 7,
                scoid: 3,
                limit: 8192,
            },
            0,
        ),
        (
            Message::ConnectFail {
                version: VERSION,
                client_id: 7,
                status: 3,
            },
            0,
        ),
        (
            Message::Unblock {
                server_id: 9,
                client_handle: 8,
                tid: 1,
            },
            0,
        ),
        (Message::MsgSend(send(0)), 0),
        (Message::MsgSend(send(3)), 3),
        (
            Message::MsgRead {
                read_handle: 4,
                client_handle: 8,
                offset: 5,
                nbytes: 6,
            },
            0,
        ),
        (Message::MsgReadXfer(transfer(3)), 3),
        (Message::MsgWrite(transfer(3)), 3),
        (Message::MsgReply(transfer(3)), 3),
        (Message::MsgError(transfer(0)), 0),
        (
            Message::Event {
                client_id: 7,
                event: Sigevent {
                    notify: 0x104,
                    signo: 3,
                    value: u64::MAX - 1,
                    code: -1,
                    priority: 10,
                },
            },
            0,
        ),
        (Message::Pulse(pulse()), 0),
        (
            Message::Signal {
                server_id: 9,
                signal: Signal {
                    pid: 1,
                    tid: 2,
                    signo: 15,
                    code: 0,
                    value: 5,
                },
                identity: Some(identity(&[1])),
            },
            0,
        ),
        (Message::Disconnect { server_id: 9 }, 0),
        (Message::ConnectDeath { client_id: 7 }, 0),
        (Message::MsgReadError(transfer(0)), 0),
        (
            Message::ConnectPulse(connect(Some(identity(&[]))), pulse()),
            0,
        ),
    ]
}

fn bytes(message: &Message, data: usize) -> Vec<u8> {
    let mut bytes = message.header().as_slice().to_vec();
    bytes.resize(bytes.len() + data, 0xaa);
    bytes
}

#[test]
fn what_is_written_is_read() {
    let mut kinds = std::collections::BTreeSet::new();
    for (message, data) in all() {
        let bytes = bytes(&message, data);
        let kind = u16::from_ne_bytes([bytes[0], bytes[1]]);
        kinds.insert(kind & KIND_MASK);
        let parsed = Message::parse(&bytes).unwrap();
        assert_eq!(parsed.message, message);
        assert_eq!(
            (parsed.data_start, parsed.data_len),
            (bytes.len() - data, data)
        );
    }
    assert_eq!(kinds.len(), 18);
}

#[test]
fn the_size_field_is_that_of_the_first_header() {
    for (message, _) in all() {
        let header = message.header();
        let bytes = header.as_slice();
        let size = usize::from(u16::from_ne_bytes([bytes[2], bytes[3]]));
        match message {
            // Both parts have a size of their own.
            Message::ConnectMsgSend(..) => assert_eq!(size + MSGSEND_LEN, bytes.len()),
            Message::ConnectPulse(..) => assert_eq!(size + PULSE_LEN, bytes.len()),
            _ => assert_eq!(size, bytes.len(), "{message:?}"),
        }
    }
}

#[test]
fn a_part_of_a_message_is_malformed() {
    for (message, data) in all() {
        let bytes = bytes(&message, data);
        // The high half of a 64-bit value may be missing: peers that are not io-net do not send it.
        let optional = match message {
            Message::Event { .. } | Message::Pulse(_) | Message::ConnectPulse(..) => 4,
            _ => 0,
        };
        for len in 0..bytes.len() - optional {
            assert_eq!(Message::parse(&bytes[..len]), Err(Malformed), "{message:?}");
        }
        let whole = Message::parse(&bytes[..bytes.len() - optional]);
        assert!(whole.is_ok(), "{message:?}");
    }
}

#[test]
fn the_other_byte_order_is_read() {
    let Message::MsgSend(native) = all()[6].0 else {
        panic!("not the one meant");
    };
    let mut bytes = bytes(&Message::MsgSend(native), 0);
    let kind = u16::from_ne_bytes([bytes[0], bytes[1]]) ^ 0x8080;
    bytes[..2].copy_from_slice(&kind.swap_bytes().to_ne_bytes());
    bytes[2..4].reverse();
    for field in bytes[4..].chunks_exact_mut(4) {
        field.reverse();
    }
    let parsed = Message::parse(&bytes).unwrap().message;
    let mut foreign = native;
    foreign.info.endian_differs = true;
    assert_eq!(parsed, Message::MsgSend(foreign));
}

#[test]
fn unknown_types_and_too_many_groups_are_malformed() {
    let mut unknown = bytes(&Message::Disconnect { server_id: 1 }, 100);
    for kind in 18..=0x7f {
        unknown[..2].copy_from_slice(&(kind | ENDIAN).to_ne_bytes());
        assert_eq!(Message::parse(&unknown), Err(Malformed));
    }
    let mut greedy = bytes(&Message::Connect(connect(Some(identity(&[])))), 100);
    let count = 24 + IDENTITY_MIN - 4;
    greedy[count..count + 4].copy_from_slice(&9u32.to_ne_bytes());
    assert_eq!(Message::parse(&greedy), Err(Malformed));
    assert_eq!(Message::parse(&[]), Err(Malformed));
}
