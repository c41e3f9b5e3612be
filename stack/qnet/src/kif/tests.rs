//! Two kernel interfaces with a perfect wire between them.

use super::*;
use crate::ids::{ClientConn, RemoteClient, Vthread};
use crate::node::Nd;
use crate::qnet::Channel;

/// Number of the other node at each of the two.
const OTHER: u16 = 5;
const CHANNEL: Channel = Channel { pid: 100, chid: 1 };

struct Pair {
    client: Kif,
    server: Kif,
}

impl Pair {
    fn new(config: &Config) -> Self {
        Pair {
            client: Kif::new(config),
            server: Kif::new(config),
        }
    }

    /// Carries messages both ways until there are none.
    fn carry(&mut self) {
        let whole = |message: Outgoing| {
            assert_eq!(message.node, OTHER);
            message.bytes.as_slice().to_vec()
        };
        loop {
            if let Some(message) = self.client.out.messages.pop_front() {
                self.server.handle_message(OTHER, whole(message));
            } else if let Some(message) = self.server.out.messages.pop_front() {
                self.client.handle_message(OTHER, whole(message));
            } else {
                break;
            }
        }
    }

    fn attach(&mut self) -> ClientConn {
        let nd = Nd::new(OTHER, 0);
        let clients = &mut self.client.clients;
        clients
            .open(nd, false, CHANNEL, Identity::default())
            .unwrap()
    }

    fn send(&mut self, conn: ClientConn, length: u32, data: &[u8]) -> Result<ClientSend, Errno> {
        let info = SendInfo {
            tid: 3,
            length,
            reply_length: 100,
            ..SendInfo::default()
        };
        let kif = &mut self.client;
        let data = Payload::from(data);
        let result = kif.clients.send(&mut kif.out, conn, info, data);
        self.carry();
        result
    }

    /// A connection that the server has taken, with a message that waits there.
    fn blocked(&mut self) -> (ClientConn, ClientSend, RemoteClient, Vthread) {
        let conn = self.attach();
        let send = self.send(conn, 5, b"hello").unwrap();
        let Some(Event::Connect {
            client, pid, chid, ..
        }) = self.at_server()
        else {
            panic!("no connect");
        };
        assert_eq!((pid, chid), (CHANNEL.pid, CHANNEL.chid));
        self.accept(client, Ok(1));
        let Some(Event::Deliver { vthread, data, .. }) = self.at_server() else {
            panic!("no message");
        };
        assert_eq!(data.as_slice(), b"hello");
        (conn, send, client, vthread)
    }

    fn accept(&mut self, client: RemoteClient, result: Result<i32, Errno>) {
        let kif = &mut self.server;
        kif.servers.connected(&mut kif.out, client, result);
        self.carry();
    }

    fn reply(&mut self, vthread: Vthread, data: &[u8]) -> Result<(), Errno> {
        let kif = &mut self.server;
        let data = Payload::from(data);
        let result = kif.servers.reply(&mut kif.out, vthread, 42, 0, data);
        self.carry();
        result
    }

    fn at_client(&mut self) -> Option<Event> {
        self.client.out.events.pop_front()
    }

    fn at_server(&mut self) -> Option<Event> {
        self.server.out.events.pop_front()
    }

    /// Nothing is left of anything.
    fn assert_empty(&mut self) {
        assert_eq!(self.at_client(), None);
        assert_eq!(self.at_server(), None);
        assert_eq!(self.client.clients.counts(), (0, 0));
        assert_eq!(self.server.servers.counts(), (0, 0));
    }

    fn detach(&mut self, conn: ClientConn) {
        let kif = &mut self.client;
        kif.clients.detach(&mut kif.out, conn);
        self.carry();
    }
}

fn done(send: ClientSend, result: Result<i32, Errno>, data: &[u8]) -> Option<Event> {
    Some(Event::ClientDone {
        send,
        result,
        offset: 0,
        data: Payload::from(data),
    })
}

#[test]
fn a_message_its_reply_and_the_end() {
    let mut pair = Pair::new(&Config::default());
    let (conn, send, client, vthread) = pair.blocked();
    pair.reply(vthread, b"world").unwrap();
    assert_eq!(pair.at_client(), done(send, Ok(42), b"world"));
    assert_eq!(pair.reply(vthread, b"again"), Err(Errno::ESRCH));
    let second = pair.send(conn, 0, b"").unwrap();
    let Some(Event::Deliver { vthread, data, .. }) = pair.at_server() else {
        panic!("no message");
    };
    assert!(data.is_empty());
    pair.reply(vthread, b"").unwrap();
    assert_eq!(pair.at_client(), done(second, Ok(42), b""));
    pair.detach(conn);
    assert_eq!(pair.at_server(), Some(Event::Disconnect { client }));
    pair.assert_empty();
}

#[test]
fn a_long_message_is_read_as_the_server_wants_it() {
    let mut pair = Pair::new(&Config::default());
    let conn = pair.attach();
    let length = 20_000;
    let message: Vec<u8> = (0..length).map(|at| (at / 7) as u8).collect();
    let send = pair.send(conn, length, &message[..100]).unwrap();
    let read = |offset, length| {
        Some(Event::ClientRead {
            send,
            offset,
            length,
        })
    };
    assert_eq!(pair.at_client(), read(0, FIRST_BYTES));
    let kif = &mut pair.client;
    let first = Payload::from(&message[..FIRST_BYTES as usize]);
    kif.clients.data(&mut kif.out, send, Ok(first));
    pair.carry();
    let Some(Event::Connect { client, .. }) = pair.at_server() else {
        panic!("no connect");
    };
    pair.accept(client, Ok(1));
    let Some(Event::Deliver {
        vthread,
        data,
        info,
        ..
    }) = pair.at_server()
    else {
        panic!("no message");
    };
    assert_eq!(data.as_slice(), &message[..FIRST_BYTES as usize]);
    assert_eq!(info.length, length);
    // Two reads at once, one of them beyond the end, are answered in order.
    for (offset, wanted) in [(8192, 5000), (19_000, 5000), (20_000, 1)] {
        let kif = &mut pair.server;
        kif.servers
            .read(&mut kif.out, vthread, offset, wanted)
            .unwrap();
    }
    pair.carry();
    let past_the_end = pair.at_server();
    assert!(
        matches!(past_the_end, Some(Event::ServerData { offset: 20_000, result: Ok(data), .. }) if data.is_empty())
    );
    for (offset, length) in [(8192, 5000), (19_000, 1000)] {
        assert_eq!(pair.at_client(), read(offset, length));
        let bytes = &message[offset as usize..][..length as usize];
        let kif = &mut pair.client;
        kif.clients.data(&mut kif.out, send, Ok(bytes.into()));
        pair.carry();
        let result = Ok(Payload::from(bytes));
        assert_eq!(
            pair.at_server(),
            Some(Event::ServerData {
                vthread,
                offset,
                result
            })
        );
    }
}

#[test]
fn a_long_reply_comes_in_pieces_and_never_beyond_its_room() {
    let config = Config {
        chunk: 40,
        ..Config::default()
    };
    let mut pair = Pair::new(&config);
    let (_, send, _, vthread) = pair.blocked();
    let kif = &mut pair.server;
    let written = kif
        .servers
        .write(&mut kif.out, vthread, 90, b"ten and more".as_slice().into());
    assert_eq!(written, Ok(10));
    let kif = &mut pair.server;
    let written = kif
        .servers
        .write(&mut kif.out, vthread, 100, b"outside".as_slice().into());
    assert_eq!(written, Ok(0));
    let reply: Vec<u8> = (0..150).collect();
    pair.reply(vthread, &reply).unwrap();
    let mut buffer = vec![0; 100];
    let mut put = |offset: u32, data: &Payload| {
        buffer[offset as usize..offset as usize + data.len()].copy_from_slice(data.as_slice());
    };
    let mut writes = 0;
    loop {
        match pair.at_client() {
            Some(Event::ClientWrite { offset, data, .. }) => put(offset, &data),
            Some(Event::ClientDone {
                send: over,
                result,
                offset,
                data,
            }) => {
                assert_eq!((over, result), (send, Ok(42)));
                put(offset, &data);
                break;
            }
            other => panic!("{other:?}"),
        }
        writes += 1;
    }
    assert_eq!(writes, 3);
    assert_eq!(buffer, &reply[..100]);
}

#[test]
fn an_unblocked_client_waits_for_the_server_once_it_knows() {
    let mut pair = Pair::new(&Config::default());
    let (conn, send, _, vthread) = pair.blocked();
    for _ in 0..2 {
        let kif = &mut pair.client;
        kif.clients.unblock(&mut kif.out, send);
        pair.carry();
    }
    // Asked twice, told once; the client stays blocked.
    assert_eq!(pair.at_server(), Some(Event::Unblock { vthread }));
    assert_eq!((pair.at_server(), pair.at_client()), (None, None));
    let kif = &mut pair.server;
    kif.servers
        .error(&mut kif.out, vthread, Errno::EINTR)
        .unwrap();
    pair.carry();
    assert_eq!(pair.at_client(), done(send, Err(Errno::EINTR), b""));
    pair.detach(conn);
}

#[test]
fn a_client_is_unblocked_at_once_while_the_server_knows_nothing() {
    let mut pair = Pair::new(&Config::default());
    let conn = pair.attach();
    let first = pair.send(conn, 1, b"1").unwrap();
    // Waiting for the connection, and for its own bytes.
    let held = pair.send(conn, 1, b"2").unwrap();
    let reading = pair.send(conn, 9, b"3").unwrap();
    let _ = pair.at_client();
    for send in [held, reading, first] {
        let kif = &mut pair.client;
        kif.clients.unblock(&mut kif.out, send);
    }
    assert_eq!(pair.at_client(), done(held, Err(Errno::TAKEN_BACK), b""));
    assert_eq!(pair.at_client(), done(reading, Err(Errno::TAKEN_BACK), b""));
    assert_eq!(pair.at_client(), None);
    // The first went along with the connect: it can be named once the connection has an answer.
    let Some(Event::Connect { client, .. }) = pair.at_server() else {
        panic!("no connect");
    };
    pair.accept(client, Ok(1));
    let Some(Event::Deliver { vthread, .. }) = pair.at_server() else {
        panic!("no message");
    };
    assert_eq!(pair.at_server(), Some(Event::Unblock { vthread }));
    assert_eq!(pair.at_server(), None);
}

#[test]
fn nothing_more_is_heard_of_an_abandoned_send() {
    let mut pair = Pair::new(&Config::default());
    let (conn, send, client, vthread) = pair.blocked();
    let kif = &mut pair.server;
    // A read that the client will never answer does not hang the server.
    kif.servers.read(&mut kif.out, vthread, 0, 5).unwrap();
    pair.carry();
    assert!(matches!(pair.at_client(), Some(Event::ClientRead { .. })));
    let kif = &mut pair.client;
    kif.clients.abandon(&mut kif.out, send);
    pair.carry();
    assert!(matches!(
        pair.at_server(),
        Some(Event::ServerData {
            result: Err(Errno::ESRCH),
            ..
        })
    ));
    assert_eq!(pair.at_server(), Some(Event::Unblock { vthread }));
    pair.reply(vthread, b"late").unwrap();
    assert_eq!(pair.at_client(), None);
    pair.detach(conn);
    assert_eq!(pair.at_server(), Some(Event::Disconnect { client }));
    pair.assert_empty();
}

#[test]
fn a_refused_connection_fails_its_sends() {
    let mut pair = Pair::new(&Config::default());
    let conn = pair.attach();
    let sends = [1, 2].map(|_| pair.send(conn, 1, b"x").unwrap());
    let Some(Event::Connect { client, .. }) = pair.at_server() else {
        panic!("no connect");
    };
    pair.accept(client, Err(Errno::ESRCH));
    for send in sends {
        assert_eq!(pair.at_client(), done(send, Err(Errno::ESRCH), b""));
    }
    let errno = Errno::ESRCH;
    assert_eq!(pair.at_client(), Some(Event::ClientDead { conn, errno }));
    assert_eq!(pair.send(conn, 1, b"x"), Err(Errno::ESRCH));
    pair.detach(conn);
    pair.assert_empty();
}

#[test]
fn a_server_that_dies_frees_its_clients() {
    let mut pair = Pair::new(&Config::default());
    let (conn, send, client, vthread) = pair.blocked();
    let kif = &mut pair.server;
    kif.servers.gone(&mut kif.out, client);
    pair.carry();
    assert_eq!(pair.at_client(), done(send, Err(Errno::ESRCH), b""));
    let errno = Errno::ESRCH;
    assert_eq!(pair.at_client(), Some(Event::ClientDead { conn, errno }));
    assert_eq!(pair.reply(vthread, b""), Err(Errno::ESRCH));
    pair.detach(conn);
    pair.assert_empty();
}

#[test]
fn a_node_that_is_lost_takes_all_with_it_but_what_was_never_used() {
    let mut pair = Pair::new(&Config::default());
    let (conn, send, client, vthread) = pair.blocked();
    let unused = pair.attach();
    pair.client.node_down(OTHER, Errno::ESRCH);
    pair.server.node_down(OTHER, Errno::ESRCH);
    assert_eq!(pair.at_client(), done(send, Err(Errno::ESRCH), b""));
    let errno = Errno::ESRCH;
    assert_eq!(pair.at_client(), Some(Event::ClientDead { conn, errno }));
    assert_eq!(pair.at_server(), Some(Event::Abandoned { vthread }));
    assert_eq!(pair.at_server(), Some(Event::Disconnect { client }));
    pair.detach(conn);
    // A stale one finds nothing; one that never was on the wire finds the new life of the node.
    assert_eq!(pair.send(conn, 1, b"x"), Err(Errno::ESRCH));
    assert!(pair.send(unused, 1, b"x").is_ok());
    pair.detach(unused);
    let Some(Event::Connect { client, .. }) = pair.at_server() else {
        panic!("no connect");
    };
    // The client has gone before the server answered.
    pair.accept(client, Ok(1));
    while pair.at_server().is_some() {}
    pair.assert_empty();
}

#[test]
fn pulses_signals_and_events() {
    let mut pair = Pair::new(&Config::default());
    let conn = pair.attach();
    let pulse = |code| Pulse {
        code,
        priority: 10,
        value: 1 << 40,
    };
    let signal = Signal {
        signo: 15,
        ..Signal::default()
    };
    for code in [1, 2] {
        let kif = &mut pair.client;
        kif.clients
            .pulse(&mut kif.out, conn, (3, 4), pulse(code))
            .unwrap();
    }
    let kif = &mut pair.client;
    kif.clients.signal(&mut kif.out, conn, signal).unwrap();
    pair.carry();
    let Some(Event::Connect {
        client,
        identity,
        srcnd,
        ..
    }) = pair.at_server()
    else {
        panic!("no connect");
    };
    assert_eq!(srcnd, u32::from(OTHER), "as the client calls it");
    pair.accept(client, Ok(1));
    for code in [1, 2] {
        let pulse = pulse(code);
        assert_eq!(pair.at_server(), Some(Event::ServerPulse { client, pulse }));
    }
    assert_eq!(
        pair.at_server(),
        Some(Event::ServerSignal { identity, signal })
    );
    assert_eq!(identity.credentials.euid, crate::NOBODY);
    let event = Sigevent {
        notify: 1,
        value: u64::MAX,
        ..Sigevent::default()
    };
    let kif = &mut pair.server;
    kif.servers.event(&mut kif.out, client, event).unwrap();
    pair.carry();
    assert_eq!(pair.at_client(), Some(Event::ClientEvent { conn, event }));
}

#[test]
fn full_tables_say_so_and_recover() {
    let config = Config {
        remote_clients_per_node_max: 1,
        vthreads_per_node_max: 1,
        ..Config::default()
    };
    let mut pair = Pair::new(&config);
    let (conn, send, _, vthread) = pair.blocked();
    let second = pair.send(conn, 1, b"x").unwrap();
    assert_eq!(pair.at_client(), done(second, Err(Errno::EAGAIN), b""));
    let other = pair.attach();
    let third = pair.send(other, 1, b"x").unwrap();
    assert_eq!(pair.at_client(), done(third, Err(Errno::EAGAIN), b""));
    pair.reply(vthread, b"").unwrap();
    assert_eq!(pair.at_client(), done(send, Ok(42), b""));
    pair.detach(conn);
    assert!(matches!(pair.at_server(), Some(Event::Disconnect { .. })));
    // There is room again, and the connection was not lost for want of it.
    pair.send(other, 1, b"x").unwrap();
    assert!(matches!(pair.at_server(), Some(Event::Connect { .. })));
    assert_eq!(pair.at_client(), None);
    assert_eq!(pair.server.out.stats.refused, 2);
}

#[test]
fn reads_wait_while_too_much_waits_for_the_node() {
    let mut pair = Pair::new(&Config::default());
    let conn = pair.attach();
    pair.client.set_congested(OTHER, true);
    let live = pair.send(conn, 10, b"").unwrap();
    let gone = pair.send(conn, 10, b"").unwrap();
    let kif = &mut pair.client;
    kif.clients.unblock(&mut kif.out, gone);
    assert_eq!(pair.at_client(), done(gone, Err(Errno::TAKEN_BACK), b""));
    assert_eq!(pair.at_client(), None);
    pair.client.set_congested(OTHER, false);
    let read = Event::ClientRead {
        send: live,
        offset: 0,
        length: 10,
    };
    assert_eq!(pair.at_client(), Some(read));
    assert_eq!(pair.at_client(), None);
}

/// Messages of every type, with handles of all kinds, some of them real, from the right node and from
/// another.
#[test]
fn hostile_messages_harm_nobody() {
    let mut state = 1u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut pair = Pair::new(&Config {
        vthreads_per_node_max: 50,
        remote_clients_per_node_max: 50,
        ..Config::default()
    });
    let (_, _, bystander, vthread) = pair.blocked();
    let samples = message::tests::all();
    for _ in 0..20_000 {
        let (message, data) = samples[random() as usize % samples.len()];
        let mut bytes = message.header().as_slice().to_vec();
        bytes.resize(bytes.len() + data, 0);
        for _ in 0..random() % 8 {
            // Small numbers in place of fields: these are what handles look like.
            let at = 4 * (random() as usize % (bytes.len() / 4));
            let field = match random() % 4 {
                0 => random() as u32,
                1 => 0,
                _ => (random() % 4) as u32,
            };
            bytes[at..at + 4].copy_from_slice(&field.to_ne_bytes());
        }
        let node = if random() % 2 == 0 {
            OTHER + 1
        } else {
            OTHER + 2
        };
        pair.server.handle_message(node, bytes.clone());
        pair.client.handle_message(node, bytes);
        while let Some(event) = pair.at_server() {
            match event {
                Event::Connect { client, .. } if random() % 2 == 0 => {
                    let kif = &mut pair.server;
                    kif.servers.connected(&mut kif.out, client, Ok(1));
                }
                Event::Deliver { vthread, .. } if random() % 2 == 0 => {
                    let kif = &mut pair.server;
                    let reply = Payload::zeroed(9);
                    kif.servers
                        .reply(&mut kif.out, vthread, 0, 0, reply)
                        .unwrap();
                }
                Event::Disconnect { client } => assert_ne!(client, bystander),
                Event::Abandoned { vthread: other } => assert_ne!(other, vthread),
                _ => {}
            }
        }
        // Nothing of the client's could be named by nodes that it does not talk to.
        while let Some(event) = pair.at_client() {
            let about_its_own = matches!(
                event,
                Event::ClientDone { .. }
                    | Event::ClientDead { .. }
                    | Event::ClientEvent { .. }
                    | Event::ClientRead { .. }
                    | Event::ClientWrite { .. }
            );
            assert!(!about_its_own, "{event:?}");
        }
        pair.client.out.messages.clear();
        pair.server.out.messages.clear();
        let (clients, vthreads) = pair.server.servers.counts();
        assert!(clients <= 101 && vthreads <= 101);
    }
    assert!(pair.server.out.stats.refused > 0 && pair.server.out.stats.stale > 0);
    for node in [OTHER + 1, OTHER + 2] {
        pair.server.node_down(node, Errno::ESRCH);
    }
    assert_eq!(pair.server.servers.counts(), (1, 1));
    pair.reply(vthread, b"still there").unwrap();
    assert!(matches!(
        pair.at_client(),
        Some(Event::ClientDone { result: Ok(42), .. })
    ));
}

#[test]
fn a_node_that_takes_less_at_once_gets_more_messages() {
    let mut pair = Pair::new(&Config::default());
    let (_, first, _, vthread) = pair.blocked();
    pair.client.set_longest(OTHER, 1000);
    pair.server.set_longest(OTHER, 40);
    let kif = &mut pair.server;
    let reply = Payload::from(&[7; 100][..]);
    kif.servers
        .reply(&mut kif.out, vthread, 0, 0, reply)
        .unwrap();
    let lengths: Vec<_> = kif.out.messages.iter().map(|m| m.bytes.len()).collect();
    assert_eq!(lengths.len(), 3);
    assert!(
        lengths
            .iter()
            .all(|len| *len <= 40 + crate::payload::HEADROOM)
    );
    pair.carry();
    let mut got = vec![0; 100];
    while let Some(event) = pair.client.out.events.pop_front() {
        let (offset, data) = match event {
            Event::ClientWrite { offset, data, .. } => (offset, data),
            Event::ClientDone {
                send, offset, data, ..
            } => {
                assert_eq!(send, first);
                (offset, data)
            }
            other => panic!("{other:?}"),
        };
        let at = offset as usize;
        got[at..at + data.len()].copy_from_slice(data.as_slice());
    }
    assert_eq!(got, [7; 100]);

    // A message's first bytes too; the rest is fetched.
    let conn = pair.attach();
    pair.send(conn, 5000, &[8; 5000]).unwrap();
    let Some(Event::Connect { client, .. }) = pair.at_server() else {
        panic!("no connect");
    };
    pair.accept(client, Ok(1));
    let Some(Event::Deliver { info, data, .. }) = pair.at_server() else {
        panic!("no message");
    };
    assert_eq!((info.length, data.len()), (5000, 1000));
}
