//! Who dies, is killed, forks, gives up or lies, and what the others notice.

mod support;

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use io_net_msg::{Channel, Connection, Error, Incoming, Pulse, flags, handle, pulse};
use io_net_os::map::SharedMap;
use io_net_os::region::Region;
use io_net_os::unix::{self, Wait};
use io_net_rendezvous::client::{ClientEnd, Connecting, Outgoing, Progress, Room};
use io_net_rendezvous::hello::{self, Hello};
use io_net_rendezvous::layout::WINDOW;
use io_net_rendezvous::path;
use support::{attach, child, node, pattern, receive, until};

/// What is noticed at once is noticed within this, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

fn next_pulse(channel: &Channel) -> Pulse {
    let start = Instant::now();
    let pulse = channel.receive_pulse().unwrap();
    assert!(start.elapsed() < AT_ONCE);
    pulse
}

#[test]
fn a_killed_server_ends_calls_in_every_state() {
    for received in [false, true] {
        let server = child(|parent| {
            let channel = Channel::create(flags::CHF_UNBLOCK).unwrap();
            parent.tell(channel.chid().into());
            let _held = received.then(|| receive(&channel, &mut []));
            parent.tell(1);
            parent.hear();
        });
        let connection = attach(server.pid, server.hear());
        std::thread::scope(|s| {
            let client = s.spawn(|| connection.send(&pattern(100_000), &mut [0; 100]));
            assert_eq!(server.hear(), 1);
            std::thread::sleep(Duration::from_millis(20));
            let start = Instant::now();
            server.kill();
            assert_eq!(client.join().unwrap().unwrap_err(), Error::SRCH);
            assert!(start.elapsed() < AT_ONCE);
        });
        assert_eq!(connection.send(&[], &mut []).unwrap_err(), Error::SRCH);
        assert_eq!(connection.pulse(1, 1, 1), Err(Error::SRCH));
    }
}

#[test]
fn a_killed_client_is_a_disconnect_in_every_state() {
    let channel = {
        node();
        Channel::create(flags::CHF_DISCONNECT | flags::CHF_UNBLOCK).unwrap()
    };
    for state in ["idle", "sent", "received"] {
        let client = child(|parent| {
            let connection = attach(parent.hear() as i32, parent.hear());
            connection.pulse(10, 5, 55).unwrap();
            parent.tell(connection.coid().into());
            if state != "idle" {
                let _ = connection.send(&pattern(50_000), &mut [0; 8]);
            }
            parent.hear();
        });
        client.tell(std::process::id().into());
        client.tell(channel.chid().into());
        client.hear();
        let first = next_pulse(&channel);
        assert_eq!((first.code, first.value), (5, 55));
        let held = (state == "received").then(|| receive(&channel, &mut []));
        if state == "sent" {
            until("the message is there", || {
                handle::connect_client_info(first.scoid).is_ok()
            });
        }
        assert_eq!(
            handle::connect_client_info(first.scoid).unwrap().pid,
            client.pid
        );
        drop(client);
        if let Some(received) = &held {
            let asked = next_pulse(&channel);
            let rcvid = received.rcvid().cast_unsigned().into();
            assert_eq!((asked.code, asked.value), (pulse::CODE_UNBLOCK, rcvid));
        }
        let gone = next_pulse(&channel);
        assert_eq!(
            (gone.code, gone.scoid),
            (pulse::CODE_DISCONNECT, first.scoid)
        );
        if let Some(received) = held {
            let mut buf = [0; 8];
            assert_eq!(received.read(45_000, &mut buf), Err(Error::SRCH));
            assert_eq!(received.write(0, &buf), Err(Error::SRCH));
            assert_eq!(received.reply(0, &[]), Err(Error::SRCH));
        }
        // The number is the client's until it is given back.
        handle::connect_client_info(gone.scoid).unwrap();
        handle::connect_detach(gone.scoid).unwrap();
        assert_eq!(handle::connect_client_info(gone.scoid), Err(Error::INVALID));
        assert!(channel.try_receive(&mut []).unwrap().is_none());
    }
}

#[test]
fn a_client_killed_while_its_memory_is_read_or_written_is_gone() {
    node();
    let channel = Channel::create(0).unwrap();
    for writes in [false, true] {
        let client = child(|parent| {
            let connection = attach(parent.hear() as i32, parent.hear());
            let mut reply = vec![0; 32 << 20];
            let _ = connection.send(&vec![1; 32 << 20], &mut reply);
        });
        client.tell(std::process::id().into());
        client.tell(channel.chid().into());
        let received = receive(&channel, &mut []);
        let mut all = vec![0; 32 << 20];
        let start = Instant::now();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(client);
        });
        // A copy that was under way ends short, the next one with an error.
        let copied = || match writes {
            true => received.write(0, &all),
            false => received.read(0, &mut all),
        };
        let error = std::iter::repeat_with(copied).find_map(Result::err);
        assert!([Some(Error::SRCH), Some(Error::FAULT)].contains(&error));
        assert!(start.elapsed() < AT_ONCE);
        killer.join().unwrap();
        until("it is noticed", || {
            received.read(0, &mut [0; 8192]) == Err(Error::SRCH)
        });
        assert_eq!(received.reply(0, &all), Err(Error::SRCH));
    }
}

#[test]
fn the_last_detach_is_a_disconnect_and_a_death_is_told() {
    let server = child(|parent| {
        let channel = Channel::create(flags::CHF_DISCONNECT).unwrap();
        parent.tell(channel.chid().into());
        assert_eq!(receive(&channel, &mut []).reply(0, &[]), Ok(()));
        let gone = channel.receive_pulse().unwrap();
        assert_eq!(gone.code, pulse::CODE_DISCONNECT);
        handle::connect_detach(gone.scoid).unwrap();
        // Another session of the same process.
        assert_eq!(receive(&channel, &mut []).reply(0, &[]), Ok(()));
        parent.tell(1);
    });
    let deaths = Channel::create(flags::CHF_COID_DISCONNECT).unwrap();
    let chid = server.hear();
    let (one, two) = (attach(server.pid, chid), attach(server.pid, chid));
    assert_ne!(one.coid(), two.coid());
    drop(one);
    two.send(&[], &mut []).unwrap();
    drop(two);
    let again = attach(server.pid, chid);
    again.send(&[], &mut []).unwrap();
    assert_eq!(server.hear(), 1);
    server.join();
    let death = next_pulse(&deaths);
    assert_eq!(
        (death.code, death.value),
        (pulse::CODE_COIDDEATH, again.coid() as u64)
    );
}

#[test]
fn a_threads_end_is_told() {
    let server = child(|_| {
        let channel = Channel::create(flags::CHF_THREAD_DEATH).unwrap();
        let tid = std::thread::spawn(|| {
            // A thread is known once it has used the library.
            assert_eq!(handle::msg_info(5).unwrap_err(), Error::SRCH);
            let _ = io_net_msg::priority::get();
            io_net_os::task::thread_id()
        })
        .join()
        .unwrap();
        let death = channel.receive_pulse().unwrap();
        assert_eq!(
            (death.code, death.value),
            (pulse::CODE_THREADDEATH, tid.into())
        );
    });
    server.join();
}

#[test]
fn a_destroyed_channel_ends_all_that_wait() {
    node();
    let channel = Channel::create(0).unwrap();
    let chid = channel.into_chid();
    let connection = Connection::attach(0, 0, chid, 0, 0).unwrap();
    std::thread::scope(|s| {
        let receivers: Vec<_> = (0..4)
            .map(|_| s.spawn(|| handle::msg_receive(chid, &mut []).map(drop)))
            .collect();
        std::thread::sleep(Duration::from_millis(30));
        // One of them gets the message and the other three go on waiting.
        let client = s.spawn(|| connection.send(&[], &mut []));
        until("it is received", || {
            receivers.iter().any(|r| r.is_finished())
        });
        std::thread::sleep(Duration::from_millis(30));
        handle::channel_destroy(chid).unwrap();
        let ends: Vec<_> = receivers.into_iter().map(|r| r.join().unwrap()).collect();
        assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1);
        assert_eq!(
            ends.iter().filter(|&&end| end == Err(Error::SRCH)).count(),
            3
        );
        assert_eq!(client.join().unwrap().unwrap_err(), Error::SRCH);
    });
}

#[test]
fn a_child_of_fork_has_nothing_and_hides_nothing() {
    let server = child(|parent| {
        let channel = Channel::create(flags::CHF_DISCONNECT).unwrap();
        parent.tell(channel.chid().into());
        receive(&channel, &mut []).reply(0, &[]).unwrap();
        // Noticed although a child of the client's lives on.
        assert_eq!(
            channel.receive_pulse().unwrap().code,
            pulse::CODE_DISCONNECT
        );
        parent.tell(2);
    });
    let chid = server.hear();
    let server_pid = server.pid;
    let client = child(move |parent| {
        let connection = attach(server_pid, chid);
        connection.send(&[], &mut []).unwrap();
        let own = Channel::create(0).unwrap();
        // SAFETY: the child ends without returning.
        match unsafe { libc::fork() } {
            0 => {
                let bad = connection.send(&[], &mut []).unwrap_err() == Error::BADF
                    && own.try_receive(&mut []).unwrap_err() == Error::SRCH
                    && handle::msg_send(connection.coid(), &[], &mut []).unwrap_err()
                        == Error::BADF;
                drop((connection, own));
                // A life of its own.
                let channel = Channel::create(0).unwrap();
                let to_self = Connection::attach(0, 0, channel.chid(), 0, 0).unwrap();
                to_self.pulse(1, 2, 3).unwrap();
                let good = channel.receive_pulse().unwrap().value == 3;
                parent.tell((bad && good).into());
                std::thread::sleep(Duration::from_secs(60));
                // SAFETY: ends the process.
                unsafe { libc::_exit(0) }
            }
            grandchild => parent.tell(grandchild.into()),
        }
        parent.hear();
    });
    let (a, b) = (client.hear(), client.hear());
    let (grandchild, good) = if a > 1 { (a, b) } else { (b, a) };
    assert_eq!(good, 1);
    client.kill();
    assert_eq!(server.hear(), 2);
    // SAFETY: our grandchild, which sleeps.
    unsafe { libc::kill(grandchild as i32, libc::SIGKILL) };
    server.join();
}

#[test]
fn a_signal_ends_a_call() {
    extern "C" fn nothing(_signal: i32) {}
    let client = child(|parent| {
        // SAFETY: the handler does nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
        }
        let channel = Channel::create(0).unwrap();
        let connection = Connection::attach(0, 0, channel.chid(), 0, 0).unwrap();
        parent.tell(0);
        let interrupted = Some(Error::INTERRUPTED);
        assert_eq!(connection.send(&[], &mut []).err(), interrupted);
        assert_eq!(channel.receive(&mut []).err(), interrupted);
    });
    client.hear();
    let pid = client.pid;
    let ended = std::thread::spawn(move || client.join());
    until("both calls are interrupted", || {
        // SAFETY: our child, or nobody.
        unsafe { libc::kill(pid, libc::SIGUSR1) };
        ended.is_finished()
    });
    ended.join().unwrap();
}

#[test]
fn a_thousand_clients_and_four_threads() {
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        parent.tell(channel.chid().into());
        let served = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let mut buf = [0; 64];
                    loop {
                        let received = match channel.receive(&mut buf) {
                            Ok(Incoming::Message(received)) => received,
                            other => panic!("{other:?}"),
                        };
                        let n = received.len();
                        received.reply(0, &buf[..n]).unwrap();
                        let served = served.fetch_add(1, Ordering::Relaxed);
                        if served + 1 == 3 * 1100 {
                            parent.tell(1);
                        }
                    }
                });
            }
        });
    });
    let (pid, chid) = (server.pid, server.hear());
    let clients: Vec<_> = (0..1100_u32)
        .map(|i| {
            child(move |_| {
                let connection = attach(pid, chid);
                for n in 0..3_u32 {
                    let mut reply = [0; 4];
                    connection.send(&(i + n).to_ne_bytes(), &mut reply).unwrap();
                    assert_eq!(u32::from_ne_bytes(reply), i + n);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join());
    assert_eq!(server.hear(), 1);
}

#[test]
fn more_threads_than_slots() {
    node();
    let channel = Channel::create(0).unwrap();
    let connection = Connection::attach(0, 0, channel.chid(), 0, 0).unwrap();
    std::thread::scope(|s| {
        let clients: Vec<_> = (0..100_u64)
            .map(|i| {
                let connection = &connection;
                s.spawn(move || {
                    for n in 0..20 {
                        let mut reply = [0; 8];
                        connection
                            .send(&(i << 32 | n).to_ne_bytes(), &mut reply)
                            .unwrap();
                        assert_eq!(u64::from_ne_bytes(reply), i << 32 | n);
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            s.spawn(|| {
                let mut buf = [0; 8];
                while let Ok(incoming) = channel.receive(&mut buf) {
                    match incoming {
                        Incoming::Message(received) => received.reply(0, &buf).unwrap(),
                        Incoming::Pulse(_) => return,
                    }
                }
            });
        }
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        for _ in 0..3 {
            connection.pulse(1, 0, 0).unwrap();
        }
    });
}

/// A client of another user's, where we may become one; else of our own, which must see the same.
#[test]
fn another_users_client_is_served_through_the_window() {
    let len = 3 * WINDOW + 1000;
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        parent.tell(channel.chid().into());
        let mut buf = vec![0; len];
        let received = receive(&channel, &mut buf);
        assert_eq!(received.len(), len);
        assert!(buf == pattern(len));
        let mut piece = [0; 100];
        assert_eq!(received.read(len - 50, &mut piece).unwrap(), 50);
        assert_eq!(piece[..50], pattern(len)[len - 50..]);
        assert_eq!(received.read(0, &mut piece).unwrap(), 100);
        assert_eq!(piece, pattern(len)[..100]);
        buf.reverse();
        received.reply(1, &buf).unwrap();
        let received = receive(&channel, &mut piece);
        assert_eq!(received.len(), 100);
        assert_eq!(received.write(len - 3, b"abcdef").unwrap(), 3);
        assert_eq!(received.write(WINDOW, b"abcdef").unwrap(), 6);
        received.reply(2, &[9; 10_000]).unwrap();
        receive(&channel, &mut []).reply(3, &[8; 50]).unwrap();
    });
    let (pid, chid) = (server.pid, server.hear());
    let client = child(move |_| {
        // SAFETY: plain calls. They fail for who is not root, and then all is as before.
        unsafe {
            libc::setgid(65534);
            libc::setuid(65534);
        }
        let connection = attach(pid, chid);
        let message = pattern(len);
        let parts: Vec<IoSlice<'_>> = message.chunks(1021).map(IoSlice::new).collect();
        let mut reply = vec![0; len];
        let mut to: Vec<IoSliceMut<'_>> = reply.chunks_mut(40_000).map(IoSliceMut::new).collect();
        let got = connection.send_v(&parts, &mut to).unwrap();
        assert_eq!((got.status, got.len), (1, len));
        assert!(reply.iter().eq(message.iter().rev()));
        assert_eq!(
            connection.send(&message[..5000], &mut reply).unwrap().len,
            10_000
        );
        assert!(reply[..10_000] == [9; 10_000] && reply[10_000] == message[len - 10_001]);
        assert_eq!(reply[len - 3..], *b"abc");
        assert_eq!(reply[WINDOW..WINDOW + 6], *b"abcdef");
        assert_eq!(connection.send(&[], &mut reply).unwrap().len, 50);
        assert_eq!(reply[..50], [8; 50]);
    });
    client.join();
    server.join();
}

/// A session as a client makes it that may not, or does not want to, show its memory.
fn end(channel: &Channel, flags: u32) -> ClientEnd {
    let pid = std::process::id().cast_signed();
    let hello = Hello {
        magic: hello::MAGIC,
        version: hello::VERSION,
        flags: hello::NO_PEER_MEMORY | flags,
        pid,
        chid: channel.chid(),
        for_nd: 7,
        for_pid: 70,
        for_uid: 700,
        for_gid: 7000,
        ..Hello::default()
    };
    let path = path::channel(node(), pid, channel.chid());
    ClientEnd::connect(&path, &hello, Duration::from_secs(10)).unwrap()
}

#[test]
fn a_client_that_speaks_for_another_is_that_other() {
    node();
    let channel = Channel::create(0).unwrap();
    let end = end(&channel, hello::REPRESENTS);
    assert!(!end.peer_memory());
    let slot = end.claim().unwrap();
    let message = pattern(WINDOW * 2);
    let out = Outgoing {
        message: &[IoSlice::new(&message[..10])],
        len: message.len() as u64,
        room: Room::remote(10),
        priority: 42,
        tid: 5,
        coid: 6,
    };
    let mut flight = end.send(slot, &out);
    std::thread::scope(|s| {
        let server = s.spawn(|| {
            let mut all = vec![0; WINDOW * 2];
            let received = receive(&channel, &mut all);
            let (info, client) = (received.info(), received.client());
            assert_eq!((info.nd, info.pid, info.tid, info.coid), (7, 70, 5, 6));
            assert_eq!((info.priority, info.msglen), (42, WINDOW as u64 * 2));
            assert_eq!((client.uid, client.gid, client.sid), (700, 7000, -1));
            assert!(all == pattern(WINDOW * 2));
            received.reply(8, b"0123456789abc").unwrap();
        });
        let mut reply = [0; 10];
        loop {
            match end.look(&mut flight) {
                None => std::thread::yield_now(),
                Some(Progress::WantsMessage(piece)) => {
                    end.help_message(&flight, piece, &[IoSlice::new(&message)], 0);
                }
                Some(Progress::Reply(answer)) if answer.error != 0 => panic!("{answer:?}"),
                Some(Progress::Reply(answer)) => {
                    assert_eq!((answer.status, answer.len), (8, 10));
                    end.read_reply(&flight, answer.rest, &mut [IoSliceMut::new(&mut reply)]);
                    break;
                }
                Some(other) => panic!("a short reply needs no help: {other:?}"),
            }
        }
        assert_eq!(&reply, b"0123456789");
        server.join().unwrap();
    });
}

#[test]
fn callers_that_talk_rubbish_are_hung_up_on() {
    node();
    let channel = Channel::create(0).unwrap();
    let pid = std::process::id().cast_signed();
    let path = path::channel(node(), pid, channel.chid());
    let mut silent = Vec::new();
    for bytes in [&b""[..], b"x", &[0xff; 64], &[0; 64], &[0; 200]] {
        let caller = unix::connect_seqpacket(&path).unwrap();
        if !bytes.is_empty() {
            unix::send_fds(caller.as_fd(), bytes, &[], Wait::Block).unwrap();
            let mut buf = [0; 8];
            assert_eq!(
                unix::recv_fds(caller.as_fd(), &mut buf, Wait::Block)
                    .unwrap()
                    .len,
                0
            );
        }
        silent.push(caller);
    }
    let refused = |version, chid| {
        let hello = Hello {
            magic: hello::MAGIC,
            version,
            pid,
            chid,
            ..Hello::default()
        };
        let mut connecting = Connecting::start(&path, &hello, None).unwrap();
        let mut end = None;
        until("an answer", || {
            end = connecting.poll().err();
            end.is_some()
        });
        end.unwrap().raw_os_error()
    };
    assert_eq!(refused(99, channel.chid()), Some(libc::EPROTO));
    assert_eq!(
        refused(hello::VERSION, channel.chid() + 100),
        Some(libc::ESRCH)
    );
    // A client that says more than its hello has lost its session.
    let talker = end(&channel, 0);
    unix::send_fds(talker.doorbell().unwrap(), b"more", &[], Wait::Block).unwrap();
    until("it is hung up on", || talker.next_event().is_err());
    // Everybody else is served.
    let connection = Connection::attach(0, 0, channel.chid(), 0, 0).unwrap();
    connection.pulse(1, 2, 3).unwrap();
    assert_eq!(channel.receive_pulse().unwrap().value, 3);
}

/// A client that writes rubbish all over its session and its port until it is killed.
fn scribbler(pid: i32, chid: i64) -> support::Child {
    child(move |parent| {
        let path = path::channel(node(), pid, chid as i32);
        let probe = Box::new(99_u64);
        let hello = Hello {
            magic: hello::MAGIC,
            version: hello::VERSION,
            pid,
            chid: chid as i32,
            probe_at: std::ptr::from_ref::<u64>(&probe).expose_provenance() as u64,
            probe: *probe,
            ..Hello::default()
        };
        let doorbell = unix::connect_seqpacket(&path).unwrap();
        // SAFETY: a plain structure of integers.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const hello).cast::<u8>(), 64) };
        unix::send_fds(doorbell.as_fd(), bytes, &[], Wait::Block).unwrap();
        let mut welcome = [0; 32];
        let mut got = unix::recv_fds(doorbell.as_fd(), &mut welcome, Wait::Block).unwrap();
        let mut region = || {
            let fd = got.take_fd().unwrap();
            let len = io_net_os::map::file_len(fd.as_fd()).unwrap();
            Region::new(SharedMap::new(fd.as_fd(), len).unwrap())
        };
        let (session, port) = (region(), region());
        parent.tell(1);
        let mut random = 88_172_645_463_325_252_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        // Where two slots, the header and the ring of pulses lie.
        let places = [
            0..128,
            4096..12_288,
            12_288..12_416,
            16_512..16_640,
            20_736..20_864,
        ];
        loop {
            let place = places[next() as usize % places.len()].clone();
            let at = place.start + next() as usize % (place.end - place.start) / 8 * 8;
            let old = session.word64(at).unwrap();
            let value = match next() % 4 {
                0 => next() % 20,
                1 => old.load(Ordering::Relaxed) + next() % 20,
                2 => next(),
                // Sent, in the next generation.
                _ => (old.load(Ordering::Relaxed) & !0xf) + 0x11,
            };
            old.store(value, Ordering::Relaxed);
            if next() % 8 == 0 {
                let word = port.word64(next() as usize % 128 * 8).unwrap();
                word.store(next() & next(), Ordering::Relaxed);
                port.word64(0).unwrap().store(next(), Ordering::Relaxed);
            }
        }
    })
}

#[test]
fn a_client_that_scribbles_disturbs_its_own_user_at_most() {
    let server = child(|parent| {
        let channel = Channel::create(flags::CHF_UNBLOCK | flags::CHF_DISCONNECT).unwrap();
        parent.tell(channel.chid().into());
        let mut buf = vec![0; 10_000];
        loop {
            match channel.receive(&mut buf).unwrap() {
                Incoming::Pulse(pulse) if pulse.code == 100 => return,
                Incoming::Pulse(_) => (),
                Incoming::Message(received) => {
                    // Whatever comes of it.
                    let mut more = [0; 100];
                    let _ = received.read(5000, &mut more);
                    let _ = received.write(5000, &more);
                    let n = received.len().min(16);
                    let _ = received.reply(0, &buf[..n]);
                }
            }
        }
    });
    let (pid, chid) = (server.pid, server.hear());
    let scribblers = [scribbler(pid, chid), scribbler(pid, chid)];
    scribblers.iter().for_each(|s| assert_eq!(s.hear(), 1));
    let connection = attach(pid, chid);
    let end = Instant::now() + Duration::from_secs(1);
    let mut n = 0_u64;
    while Instant::now() < end {
        n += 1;
        let mut reply = [0; 8];
        // Their marks in the port are ours too: a message may lie unseen until the next mark.
        io_net_msg::timeout::set(io_net_msg::timeout::SEND, Some(Duration::from_millis(100)));
        match connection.send(&n.to_ne_bytes(), &mut reply) {
            Ok(_) => assert_eq!(u64::from_ne_bytes(reply), n),
            // Perhaps every one of them: the scribblers are of the same user.
            Err(error) => assert_eq!(error, Error::TIMED_OUT),
        }
    }
    drop(scribblers);
    until("it is served again", || {
        io_net_msg::timeout::set(io_net_msg::timeout::SEND, Some(Duration::from_millis(100)));
        connection.send(&[1], &mut []).is_ok()
    });
    connection.pulse(200, 100, 0).unwrap();
    server.join();
}
