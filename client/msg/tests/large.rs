//! Messages of all lengths, up to the longest.

mod support;

use std::io::{IoSlice, IoSliceMut};

use io_net_msg::{Channel, Incoming, handle};
use support::{attach, child, pattern, receive};

const PAGE: usize = 4096;
const LONGEST: usize = 1 << 30;

/// Receives all of each message at once and gives it back.
#[test]
fn lengths_around_pages_there_and_back() {
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        parent.tell(channel.chid().into());
        let mut buf = vec![0; 64 << 20];
        loop {
            let received = receive(&channel, &mut buf);
            let len = received.len();
            received.reply(len as i64, &buf[..len]).unwrap();
            if len == 1 {
                return;
            }
        }
    });
    let connection = attach(server.pid, server.hear());
    let mut lengths = vec![0, 64 << 20, (64 << 20) - 1];
    for pages in [1, 2, 16, 256] {
        lengths.extend([pages * PAGE - 1, pages * PAGE, pages * PAGE + 1]);
    }
    lengths.push(1);
    let message = pattern(64 << 20);
    let mut reply = vec![0; 64 << 20];
    for len in lengths {
        let got = connection.send(&message[..len], &mut reply).unwrap();
        assert_eq!((got.status, got.len), (len as i64, len));
        assert!(reply[..len] == message[..len], "{len} bytes");
        reply[..len].fill(0);
    }
    server.join();
}

/// More than one system call takes.
#[test]
fn a_message_in_thousands_of_parts() {
    const LEN: usize = 200_000;
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        parent.tell(channel.chid().into());
        let mut buf = vec![0; LEN];
        let mut parts: Vec<_> = buf.chunks_mut(31).map(IoSliceMut::new).collect();
        let Incoming::Message(received) = channel.receive_v(&mut parts).unwrap() else {
            panic!("a message was due");
        };
        assert_eq!(received.len(), LEN);
        assert!(buf == pattern(LEN));
        buf.reverse();
        let parts: Vec<_> = buf.chunks(61).map(IoSlice::new).collect();
        received.reply_v(0, &parts).unwrap();
    });
    let connection = attach(server.pid, server.hear());
    let (message, mut reply) = (pattern(LEN), vec![0; LEN]);
    let parts: Vec<_> = message.chunks(37).map(IoSlice::new).collect();
    let mut room: Vec<_> = reply.chunks_mut(41).map(IoSliceMut::new).collect();
    assert!(parts.len() > 5000 && room.len() > 4000);
    assert_eq!(connection.send_v(&parts, &mut room).unwrap().len, LEN);
    assert!(reply.iter().eq(message.iter().rev()));
    server.join();
}

/// The server takes samples of it, and writes its last byte back.
#[test]
fn a_gibibyte_is_a_message() {
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        parent.tell(channel.chid().into());
        let mut head = [0; PAGE];
        let received = receive(&channel, &mut head);
        let info = received.info();
        assert_eq!((info.srcmsglen, info.msglen), (LONGEST as u64, PAGE as u64));
        assert_eq!(info.dstmsglen, LONGEST as u64);
        let mut piece = vec![0; 1 << 20];
        for at in (0..LONGEST).step_by(LONGEST / 8) {
            assert_eq!(received.read(at, &mut piece).unwrap(), piece.len());
            assert_eq!((piece[0], piece[1]), ((at >> 24) as u8, 0));
        }
        assert_eq!(received.read(LONGEST - 1, &mut piece).unwrap(), 1);
        assert_eq!(piece[0], 77);
        assert_eq!(received.write(LONGEST - 1, &[78, 79]).unwrap(), 1);
        received.reply(5, b"end").unwrap();
    });
    let connection = attach(server.pid, server.hear());
    // Pages that nobody touches are not there.
    let (mut message, mut reply) = (vec![0_u8; LONGEST], vec![0_u8; LONGEST]);
    for at in (0..LONGEST).step_by(LONGEST / 8) {
        message[at] = (at >> 24) as u8;
    }
    message[LONGEST - 1] = 77;
    let got = handle::msg_send(
        connection.coid(),
        &[IoSlice::new(&message)],
        &mut [IoSliceMut::new(&mut reply)],
    );
    assert_eq!(got.unwrap().status, 5);
    assert_eq!((&reply[..3], reply[LONGEST - 1]), (&b"end"[..], 78));
    server.join();
}
