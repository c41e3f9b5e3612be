//! Programs and the built protocol, over its loopback.

mod program;

use io_net_ddk::abi::DEVCTL_JSON;
use io_net_os::unix::{self, Wait};
use io_net_proto::request::op as request;
use io_net_proto::session::{Call, Hello, MAGIC, op};
use io_net_proto::slot::{Record, SHUT_RX, SHUT_TX, STATE_RX_END, State};
use io_net_testkit::Kit;
use program::{Directory, Program, Socket, receive, truncated};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

fn localhost(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The sockets that the stack has, as netstat tells.
fn sockets(kit: &mut Kit) -> usize {
    let text = kit
        .devctl(0, DEVCTL_JSON, br#"{"cmd":"socket-list"}"#)
        .unwrap();
    let list: serde_json::Value = serde_json::from_slice(&text).unwrap();
    list["total"].as_u64().unwrap() as usize
}

/// Waits until no socket is left, TIME-WAIT included.
fn await_none(kit: &mut Kit) {
    kit.run_until(|kit| {
        kit.advance(Duration::from_secs(1));
        sockets(kit) == 0
    });
}

#[test]
fn a_connection_lives_and_ends_in_order() {
    let directory = Directory::new("order");
    let mut kit = directory.start("");
    let program = Program::greet(&directory, &mut kit);
    let (listener, mut client, mut server) = program.connection(&mut kit, localhost(4000));
    let (local, remote) = client.shown().addresses.get();
    assert_eq!(remote.to_std(), Some(localhost(4000)));
    assert_eq!(server.shown().addresses.get(), (remote, local));
    let sent: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let n = client.send(&sent);
    assert_eq!(server.receive_all(&mut kit, n), sent[..n]);
    assert_eq!(server.send(b"reply"), 5);
    assert_eq!(client.receive_all(&mut kit, 5), b"reply");
    client
        .shown()
        .program
        .shutdown
        .store(SHUT_TX, Ordering::Release);
    client.mark();
    kit.run_until(|_| server.flags() & STATE_RX_END != 0);
    assert_eq!(server.send(b"bye"), 3);
    drop(server);
    assert_eq!(client.receive_all(&mut kit, 3), b"bye");
    kit.run_until(|_| client.state() == Some(State::Closed));
    assert_eq!(client.error(), 0);
    drop((client, listener));
    await_none(&mut kit);
    kit.stop().unwrap();
}

#[test]
fn refusals() {
    let directory = Directory::new("refusals");
    let mut kit = directory.start("sockets=4");
    let program = Program::greet(&directory, &mut kit);
    assert_eq!(program.welcome.sockets_max, 4);
    let refused = |kit: &mut Kit, args| program.socket(kit, args).err();
    assert_eq!(refused(&mut kit, [10, 1, 0]), Some(97), "EAFNOSUPPORT");
    assert_eq!(refused(&mut kit, [2, 3, 1]), Some(94), "ESOCKTNOSUPPORT");
    let mut socket = program.socket(&mut kit, [2, 1, 0]).unwrap();
    assert_eq!(socket.connect(&mut kit, localhost(4001)), 115);
    kit.run_until(|_| socket.error() != 0);
    assert_eq!((socket.error(), socket.state()), (111, Some(State::Closed)));
    assert_eq!(socket.connect(&mut kit, localhost(4001)), 115, "once more");
    let mut first = program.socket(&mut kit, [2, 1, 0]).unwrap();
    assert_eq!(first.bind(&mut kit, localhost(4002)), 0);
    assert_eq!(first.bind(&mut kit, localhost(4003)), 22, "bound already");
    let mut second = program.socket(&mut kit, [2, 1, 0]).unwrap();
    assert_eq!(first.listen(&mut kit, 5), 0);
    assert_eq!(second.bind(&mut kit, localhost(4002)), 98, "EADDRINUSE");
    let unknown = second.request(&mut kit, |request| request.op = 99);
    assert_eq!(unknown, 95, "EOPNOTSUPP");
    let option = second.request(&mut kit, |r| {
        (r.op, r.args) = (request::GET_OPTION, [77, 77]);
    });
    assert_eq!(option, 92, "ENOPROTOOPT");
    let third = program.socket(&mut kit, [2, 2, 0]).unwrap();
    assert_eq!(refused(&mut kit, [2, 1, 0]), Some(24), "EMFILE");
    drop((socket, first, second, third));
    await_none(&mut kit);
    kit.stop().unwrap();
}

#[test]
fn datagrams_there_and_back() {
    let directory = Directory::new("datagrams");
    let mut kit = directory.start("");
    let program = Program::greet(&directory, &mut kit);
    let mut server = program.socket(&mut kit, [2, 2, 0]).unwrap();
    assert_eq!(server.bind(&mut kit, localhost(4010)), 0);
    let mut client = program.socket(&mut kit, [2, 2, 0]).unwrap();
    let mut record = Record::new_zeroed();
    (record.len, record.peer) = (5, localhost(4010).into());
    let mut message = record.as_bytes().to_vec();
    message.extend(b"hello\0\0\0");
    assert_eq!(client.send(&message), 80);
    let got = server.receive_all(&mut kit, 80);
    let header = Record::read_from_bytes(&got[..72]).unwrap();
    assert_eq!((header.len, &got[72..77]), (5, &b"hello"[..]));
    assert_eq!(header.local.to_std(), Some(localhost(4010)));
    let (local, _) = client.shown().addresses.get();
    let port = header.peer.to_std().map(|peer| peer.port());
    assert_eq!(port, local.to_std().map(|local| local.port()));
    assert_eq!(client.connect(&mut kit, localhost(4010)), 0);
    drop((client, server));
    await_none(&mut kit);
    kit.stop().unwrap();
}

#[test]
fn a_killed_program_leaves_nothing() {
    let directory = Directory::new("killed");
    let mut kit = directory.start("");
    let watches = kit.watches();
    let survivor = Program::greet(&directory, &mut kit);
    let mut mine = survivor.socket(&mut kit, [2, 1, 0]).unwrap();
    assert_eq!(mine.bind(&mut kit, localhost(4020)), 0);
    assert_eq!(mine.listen(&mut kit, 5), 0);
    let killed = Program::greet(&directory, &mut kit);
    let mut connections = Vec::new();
    for _ in 0..20 {
        let mut client = killed.socket(&mut kit, [2, 1, 0]).unwrap();
        assert_eq!(client.connect(&mut kit, localhost(4020)), 115);
        let (mut server, _) = survivor.accept(&mut kit, &mine);
        client.send(&[1; 100_000]);
        server.send(&[2; 100_000]);
        connections.push((client, server));
    }
    let (clients, servers): (Vec<Socket>, Vec<Socket>) = connections.into_iter().unzip();
    drop((killed, clients));
    kit.run_until(|_| servers.iter().all(|s| s.flags() & STATE_RX_END != 0));
    drop((servers, mine, survivor));
    await_none(&mut kit);
    assert_eq!(kit.watches(), watches, "descriptors still watched");
    kit.stop().unwrap();
}

#[test]
fn a_session_that_breaks_the_protocol_ends() {
    let directory = Directory::new("protocol");
    let mut kit = directory.start("");
    let hello = Hello {
        magic: MAGIC,
        major: io_net_proto::MAJOR,
        minor: 0,
        pid: 0,
    };
    let no_magic = Hello { magic: 1, ..hello };
    for first in [no_magic.as_bytes(), truncated(&hello), b"x"] {
        let connection = directory.connect();
        unix::send_fds(connection.as_fd(), first, &[], Wait::DontWait).unwrap();
        assert!(receive(&mut kit, connection.as_fd(), &mut [0; 256]).is_none());
    }
    let newer = Hello {
        major: hello.major + 1,
        ..hello
    };
    let connection = directory.connect();
    unix::send_fds(connection.as_fd(), newer.as_bytes(), &[], Wait::DontWait).unwrap();
    let mut welcome = io_net_proto::session::Welcome::new_zeroed();
    let answer = receive(&mut kit, connection.as_fd(), welcome.as_mut_bytes());
    assert!(answer.is_some() && welcome.errno == 71, "EPROTO");
    let program = Program::greet(&directory, &mut kit);
    let adopt = Call {
        op: op::ADOPT,
        ..Call::new_zeroed()
    };
    let (answer, _) = program.call(&mut kit, &adopt, &[connection.as_fd()]);
    assert_eq!(answer.errno, 88, "ENOTSOCK");
    let (answer, _) = program.call(&mut kit, &adopt, &[]);
    assert_eq!(answer.errno, 88);
    kit.stop().unwrap();
}

#[test]
fn doorbells_are_known_by_their_copies() {
    let directory = Directory::new("adopt");
    let mut kit = directory.start("");
    let program = Program::greet(&directory, &mut kit);
    let socket = program.socket(&mut kit, [2, 1, 0]).unwrap();
    let other = Program::greet(&directory, &mut kit);
    let call = |op| Call {
        op,
        ..Call::new_zeroed()
    };
    let copy = socket.doorbell.try_clone().unwrap();
    let fds = [copy.as_fd()];
    let (answer, mut received) = other.call(&mut kit, &call(op::ADOPT), &fds);
    assert_eq!((answer.errno, answer.slot), (0, socket.slot));
    assert_eq!(answer.segment, program.welcome.segment);
    assert_eq!(answer.has_segment, 1);
    let descriptors = std::iter::from_fn(|| received.take_fd()).count();
    assert_eq!(descriptors, 3);
    let (again, _) = other.call(&mut kit, &call(op::ADOPT), &fds);
    assert_eq!(again.has_segment, 0);
    let (bell, mut received) = program.call(&mut kit, &call(op::BELL), &fds);
    assert_eq!((bell.errno, bell.slot), (0, 1));
    assert!(received.take_fd().is_some());
    kit.stop().unwrap();
}

#[test]
fn lies_in_shared_memory_cost_the_session_and_nothing_else() {
    let directory = Directory::new("lies");
    let mut kit = directory.start("");
    let honest = Program::greet(&directory, &mut kit);
    let (_listener, mut client, mut server) = honest.connection(&mut kit, localhost(4030));
    type Lie = fn(&Socket);
    let lies: [Lie; 3] = [
        |s| s.shown().program.tx_tail.store(u32::MAX, Ordering::Relaxed),
        |s| s.shown().program.rx_head.store(77, Ordering::Relaxed),
        |s| {
            for word in &s.shown().options {
                word.store(u32::MAX, Ordering::Relaxed);
            }
            let program = &s.shown().program;
            program.options_sequence.store(u32::MAX, Ordering::Relaxed);
            program.shutdown.store(u32::MAX, Ordering::Relaxed);
            program.request_sequence.store(u32::MAX, Ordering::Relaxed);
            program.tx_tail.store(1 << 31, Ordering::Relaxed);
        },
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let liar = Program::greet(&directory, &mut kit);
        let (_l, bad, mut peer) = liar.connection(&mut kit, localhost(4031 + number as u16));
        let _other = liar.socket(&mut kit, [2, 2, 0]).unwrap();
        lie(&bad);
        peer.send(b"hello");
        bad.mark();
        assert!(bad.hung_up(&mut kit), "lie {number}");
        assert_eq!(kit.counter("liars"), number as u64 + 1);
    }
    assert_eq!(client.send(b"still"), 5);
    assert_eq!(server.receive_all(&mut kit, 5), b"still");
    kit.stop().unwrap();
}

#[test]
fn a_listener_that_is_shut_listens_no_more() {
    let directory = Directory::new("shut");
    let mut kit = directory.start("");
    let program = Program::greet(&directory, &mut kit);
    let (listener, client, _server) = program.connection(&mut kit, localhost(4050));
    let shutdown = &listener.shown().program.shutdown;
    shutdown.store(SHUT_RX, Ordering::Release);
    listener.mark();
    assert!(listener.hung_up(&mut kit));
    assert_eq!(listener.state(), Some(State::Open));
    assert_eq!(client.state(), Some(State::Connected));
    let mut late = program.socket(&mut kit, [2, 1, 0]).unwrap();
    assert_eq!(late.connect(&mut kit, localhost(4050)), 115);
    kit.run_until(|_| late.error() == 111);
    kit.stop().unwrap();
}

#[test]
fn malformed_requests_are_answered_or_counted() {
    let directory = Directory::new("malformed");
    let mut kit = directory.start("");
    let program = Program::greet(&directory, &mut kit);
    let mut socket = program.socket(&mut kit, [2, 1, 0]).unwrap();
    for message in [&[1u8; 3][..], &[9; 47], &[9; 400]] {
        unix::send_fds(socket.doorbell.as_fd(), message, &[], Wait::DontWait).unwrap();
    }
    kit.run_until(|kit| kit.counter("malformed_requests") == 3);
    assert_eq!(socket.bind(&mut kit, localhost(4040)), 0);
    kit.stop().unwrap();
}
