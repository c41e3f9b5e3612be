//! Wireshark's dissector reads what is written here, field for field.

use std::process::Command;

use io_net_wire::lwl4;

use super::client::padded;
use super::message::{Connect, Message, MsgSend, PulseSend, Transfer, tests::all};
use super::types::{Identity, SendInfo};
use crate::payload::Payload;

/// A field of the dissector's and what it is to show; several values where it occurs more than once.
type Field = (&'static str, String);

/// The frames as a file that `tshark` reads (libpcap's format, link type Ethernet).
fn pcap(messages: &[(Message, usize)]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for (message, data) in messages {
        let mut data = Payload::from(&vec![0xaa; *data][..]);
        if let Message::MsgSend(_) | Message::ConnectMsgSend(..) = message {
            data = padded(data);
        }
        let bytes = data.with_header(message.header().as_slice());
        let mut frame = vec![0; lwl4::HEADER_LEN];
        frame.extend_from_slice(bytes.as_slice());
        let header = lwl4::Header {
            kind: lwl4::TYPE_DATA,
            flags: lwl4::FLAG_FIRST | lwl4::FLAG_LAST | lwl4::FLAG_CRC,
            length: bytes.len() as u32,
            ..lwl4::Header::default()
        };
        header.emit(&mut frame);
        lwl4::write_crc(&mut frame);
        let mut ethernet = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x82, 0x04];
        ethernet.extend_from_slice(&frame);
        let len = ethernet.len() as u32;
        for word in [0, 0, len, len] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&ethernet);
    }
    out
}

fn of_identity(fields: &mut Vec<Field>, identity: &Identity) {
    let cred = &identity.credentials;
    let ids = [
        ("nd", identity.nd),
        ("pid", identity.pid as u32),
        ("sid", identity.sid as u32),
        ("cred.ruid", cred.ruid),
        ("cred.euid", cred.euid),
        ("cred.suid", cred.suid),
        ("cred.rgid", cred.rgid),
        ("cred.egid", cred.egid),
        ("cred.sgid", cred.sgid),
        ("cred.ngroups", cred.groups.as_slice().len() as u32),
    ];
    for (name, id) in ids {
        let name = format!("qnet6.kif.client_info.{name}");
        fields.push((name.leak(), id.to_string()));
    }
}

fn of_connect(fields: &mut Vec<Field>, connect: &Connect) {
    fields.extend([
        ("qnet6.kif.version", format!("0x{:08x}", connect.version)),
        (
            "qnet6.kif.connect.server_pid",
            connect.server_pid.to_string(),
        ),
        (
            "qnet6.kif.connect.client_pid",
            connect.client_pid.to_string(),
        ),
        (
            "qnet6.kif.connect.client_id",
            format!("0x{:08x}", connect.client_id),
        ),
        (
            "qnet6.kif.connect.server_chid",
            format!("0x{:08x}", connect.server_chid),
        ),
    ]);
    if let Some(identity) = &connect.identity {
        of_identity(fields, identity);
    }
}

fn of_vinfo(fields: &mut Vec<Field>, server_id: i32, info: &SendInfo) {
    fields.extend([
        ("qnet6.kif.msgsend.server_id", server_id.to_string()),
        ("qnet6.kif.msgsend.vtid_info.tid", info.tid.to_string()),
        ("qnet6.kif.msgsend.vtid_info.coid", info.coid.to_string()),
        (
            "qnet6.kif.msgsend.vtid_info.priority",
            info.priority.to_string(),
        ),
        (
            "qnet6.kif.msgsend.vtid_info.srcmsglen",
            info.length.to_string(),
        ),
        ("qnet6.kif.msgsend.vtid_info.srcnd", info.srcnd.to_string()),
        (
            "qnet6.kif.msgsend.vtid_info.dstmsglen",
            info.reply_length.to_string(),
        ),
    ]);
}

fn of_send(fields: &mut Vec<Field>, send: &MsgSend) {
    of_vinfo(fields, send.server_id, &send.info);
    fields.push((
        "qnet6.kif.msgsend.client_handle",
        send.client_handle.to_string(),
    ));
    fields.push(("qnet6.kif.msgsend.nbytes", send.nbytes.to_string()));
}

fn of_pulse(fields: &mut Vec<Field>, send: &PulseSend) {
    let info = SendInfo {
        tid: send.tid,
        coid: send.coid,
        priority: send.pulse.priority,
        ..SendInfo::default()
    };
    of_vinfo(fields, send.server_id, &info);
    fields.extend([
        ("qnet6.kif.pulse.pulse.code", send.pulse.code.to_string()),
        (
            "qnet6.kif.pulse.pulse.value",
            format!("0x{:08x}", send.pulse.value as u32),
        ),
        ("qnet6.kif.pulse.priority", send.pulse.priority.to_string()),
    ]);
}

fn of_transfer(fields: &mut Vec<Field>, transfer: &Transfer) {
    fields.extend([
        ("qnet6.kif.msgwrite.status", transfer.status.to_string()),
        ("qnet6.kif.msgwrite.handle", transfer.handle.to_string()),
        ("qnet6.kif.msgwrite.offset", transfer.offset.to_string()),
        ("qnet6.kif.msgwrite.nbytes", transfer.nbytes.to_string()),
    ]);
    if transfer.nbytes > 0 {
        let data = "aa".repeat(transfer.nbytes as usize);
        fields.push(("qnet6.kif.msgwrite.data", data));
    }
}

/// What the dissector is to show of a message.
fn expected(message: &Message) -> Vec<Field> {
    let mut fields = Vec::new();
    let of_ids = |names: &[(&'static str, i32)]| -> Vec<Field> {
        let ids = names.iter();
        ids.map(|(name, id)| (*name, id.to_string())).collect()
    };
    match message {
        // The dissector knows the type of a connect with a pulse, and no more.
        Message::Connect(connect) => of_connect(&mut fields, connect),
        Message::ConnectPulse(..) => {}
        Message::ConnectMsgSend(connect, send) => {
            of_connect(&mut fields, connect);
            of_send(&mut fields, send);
        }
        Message::ConnectSuccess {
            server_id,
            client_id,
            scoid,
            limit,
            ..
        } => {
            fields = of_ids(&[
                ("qnet6.kif.connect_success.server_id", *server_id),
                ("qnet6.kif.connect_success.client_id", *client_id),
                ("qnet6.kif.connect_success.scoid", *scoid),
                ("qnet6.kif.connect_success.nbytes", *limit as i32),
            ])
        }
        Message::ConnectFail {
            client_id, status, ..
        } => {
            fields = of_ids(&[
                ("qnet6.kif.connect_fail.client_id", *client_id),
                ("qnet6.kif.connect_fail.status", *status),
            ])
        }
        Message::Unblock {
            server_id,
            client_handle,
            tid,
        } => {
            fields = of_ids(&[
                ("qnet6.kif.unblock.server_id", *server_id),
                ("qnet6.kif.unblock.client_handle", *client_handle),
                ("qnet6.kif.unblock.tid", *tid),
            ])
        }
        Message::MsgSend(send) => of_send(&mut fields, send),
        Message::Pulse(pulse) => of_pulse(&mut fields, pulse),
        Message::MsgRead {
            read_handle,
            client_handle,
            offset,
            nbytes,
        } => {
            fields = of_ids(&[
                ("qnet6.kif.msgread.msgread_handle", *read_handle),
                ("qnet6.kif.msgread.client_handle", *client_handle),
                ("qnet6.kif.msgread.offset", *offset as i32),
                ("qnet6.kif.msgread.nbytes", *nbytes as i32),
            ])
        }
        Message::MsgReadXfer(transfer)
        | Message::MsgWrite(transfer)
        | Message::MsgReply(transfer)
        | Message::MsgError(transfer)
        | Message::MsgReadError(transfer) => of_transfer(&mut fields, transfer),
        Message::Event { client_id, event } => {
            fields = of_ids(&[
                ("qnet6.kif.event.client_handle", *client_id),
                ("qnet6.kif.event.sigevent_notify", event.notify),
                ("qnet6.kif.event.sigevent_union1", event.signo),
                ("qnet6.kif.event.sigevent_sigvalue", event.value as i32),
            ])
        }
        Message::Signal {
            server_id,
            signal,
            identity,
        } => {
            fields = of_ids(&[
                ("qnet6.kif.signal.client_handle", *server_id),
                ("qnet6.kif.signal.pid", signal.pid),
                ("qnet6.kif.signal.tid", signal.tid),
                ("qnet6.kif.signal.signo", signal.signo),
                ("qnet6.kif.signal.code", signal.code),
                ("qnet6.kif.signal.value", signal.value),
            ]);
            of_identity(&mut fields, identity.as_ref().unwrap());
        }
        Message::Disconnect { server_id } => {
            fields = of_ids(&[("qnet6.kif.disconnect.server_id", *server_id)]);
        }
        Message::ConnectDeath { client_id } => {
            fields = of_ids(&[("qnet6.kif.connect_death.client_id", *client_id)]);
        }
    }
    fields
}

#[test]
fn wireshark_reads_every_field() {
    let messages = all();
    let expected: Vec<Vec<Field>> = messages.iter().map(|(m, _)| expected(m)).collect();
    let file = std::env::temp_dir().join(format!("io-net-kif-{}.pcap", std::process::id()));
    std::fs::write(&file, pcap(&messages)).unwrap();
    let mut command = Command::new("tshark");
    command.args(["-T", "fields", "-E", "separator=|", "-r"]);
    command
        .arg(&file)
        .args(["-e", "_ws.malformed", "-e", "qnet6.kif.type"]);
    let names: std::collections::BTreeSet<&str> =
        expected.iter().flatten().map(|(name, _)| *name).collect();
    for name in &names {
        command.args(["-e", name]);
    }
    let output = command.output();
    std::fs::remove_file(&file).unwrap();
    let output = output.expect("tshark is there (Debian: apt install tshark)");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), messages.len(), "{text}");
    for (row, ((message, _), fields)) in rows.iter().zip(messages.iter().zip(&expected)) {
        let mut columns = row.split('|');
        assert_eq!(columns.next(), Some(""), "malformed: {message:?}");
        let header = message.header();
        let kind = u16::from_ne_bytes([header.as_slice()[0], header.as_slice()[1]]) & 0x7f;
        let shown = columns.next().unwrap();
        let first = shown.split(',').next().unwrap();
        assert_eq!(first, format!("0x{kind:04x}"), "{message:?}");
        let shown: Vec<(&str, &str)> = names.iter().copied().zip(columns).collect();
        for (name, value) in fields {
            let found = shown.iter().find(|(other, _)| other == name).unwrap().1;
            assert_eq!(found, value, "{name} of {message:?}");
        }
    }
}
