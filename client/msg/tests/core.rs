//! Messages, pulses and events between processes.

mod support;

use std::io::{IoSlice, IoSliceMut};
use std::time::{Duration, Instant};

use io_net_msg::{Channel, Connection, Error, Incoming, flags, handle, priority, pulse, timeout};
use io_net_os::sched;
use support::{Child, attach, child, node, pattern, receive, until};

/// A server that replies with what it got, turned round, until it gets an empty message.
fn echo(flags: u32) -> Child {
    child(move |parent| {
        let channel = Channel::create(flags).unwrap();
        parent.tell(channel.chid().into());
        let mut buf = vec![0; 1 << 20];
        loop {
            match channel.receive(&mut buf).unwrap() {
                Incoming::Pulse(pulse) => parent.tell(pulse.value.cast_signed()),
                Incoming::Message(received) => {
                    let n = received.len();
                    buf[..n].reverse();
                    received.reply(n as i64, &buf[..n]).unwrap();
                    if n == 0 {
                        return;
                    }
                }
            }
        }
    })
}

#[test]
fn messages_of_any_size_come_back_turned_round() {
    let server = echo(0);
    let connection = attach(server.pid, server.hear());
    for len in [
        1,
        2,
        63,
        64,
        65,
        4095,
        4096,
        4097,
        65_536,
        65_537,
        300_000,
        1 << 20,
    ] {
        let message = pattern(len);
        let mut reply = vec![0; len + 10];
        let got = connection.send(&message, &mut reply).unwrap();
        assert_eq!((got.status, got.len), (len as i64, len));
        assert!(reply[..len].iter().eq(message.iter().rev()), "{len} bytes");
        assert_eq!(reply[len..], [0; 10]);
    }
    let mut short = [0; 3];
    let got = connection.send(&[1, 2, 3, 4, 5], &mut short).unwrap();
    assert_eq!((got.status, got.len, short), (5, 3, [5, 4, 3]));
    connection.send(&[], &mut []).unwrap();
    server.join();
}

#[test]
fn parts_are_gathered_and_scattered() {
    let server = echo(0);
    let connection = attach(server.pid, server.hear());
    for (len, cut) in [(100, 7), (20_000, 999), (500_000, 1000)] {
        let message = pattern(len);
        let parts: Vec<IoSlice<'_>> = message.chunks(cut).map(IoSlice::new).collect();
        let mut reply = vec![0; len];
        let mut to: Vec<IoSliceMut<'_>> = reply.chunks_mut(cut + 3).map(IoSliceMut::new).collect();
        assert_eq!(connection.send_v(&parts, &mut to).unwrap().len, len);
        assert!(reply.iter().eq(message.iter().rev()));
    }
    connection.send(&[], &mut []).unwrap();
    server.join();
}

#[test]
fn a_server_reads_and_writes_what_it_wants() {
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        parent.tell(channel.chid().into());
        let mut buf = [0; 10];
        let received = receive(&channel, &mut buf);
        let info = received.info();
        assert_eq!(
            (info.msglen, info.srcmsglen, info.dstmsglen),
            (10, 100_000, 200_000)
        );
        assert_eq!(
            (info.pid, info.chid),
            (received.client().pid, channel.chid())
        );
        assert_eq!(received.client().uid, info_uid());
        let mut all = vec![0; 200_000];
        assert_eq!(received.read(0, &mut all).unwrap(), 100_000);
        assert_eq!(all[..100_000], pattern(100_000));
        assert_eq!(received.read(99_990, &mut buf).unwrap(), 10);
        assert_eq!(buf, pattern(100_000)[99_990..]);
        assert_eq!(received.read(100_000, &mut buf).unwrap(), 0);
        assert_eq!(received.read(usize::MAX, &mut buf).unwrap(), 0);
        assert_eq!(received.write(150_000, &[7; 100]).unwrap(), 100);
        assert_eq!(received.write(199_999, &[8; 100]).unwrap(), 1);
        assert_eq!(received.write(200_001, &[8; 100]).unwrap(), 0);
        received.reply(-5, b"beginning").unwrap();
    });
    let connection = attach(server.pid, server.hear());
    let mut reply = vec![0; 200_000];
    let got = connection.send(&pattern(100_000), &mut reply).unwrap();
    assert_eq!((got.status, got.len), (-5, 9));
    assert_eq!(&reply[..10], b"beginning\0");
    assert_eq!(reply[150_000..150_100], [7; 100]);
    assert_eq!(reply[199_999], 8);
    server.join();
}

fn info_uid() -> u32 {
    // SAFETY: no argument.
    unsafe { libc::geteuid() }
}

#[test]
fn a_message_that_is_dropped_or_refused_ends_the_call() {
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        parent.tell(channel.chid().into());
        drop(receive(&channel, &mut []));
        receive(&channel, &mut [])
            .error(Error(libc::ENOTTY))
            .unwrap();
        let rcvid = receive(&channel, &mut []).into_rcvid();
        assert_eq!(handle::msg_info(rcvid).unwrap().msglen, 0);
        handle::msg_reply(rcvid, 3, &[]).unwrap();
        assert_eq!(handle::msg_reply(rcvid, 3, &[]), Err(Error::SRCH));
        for stale in [rcvid, 0, -1, 1, i32::MAX] {
            assert_eq!(handle::msg_error(stale, 1), Err(Error::SRCH));
            assert_eq!(handle::msg_info(stale).unwrap_err(), Error::SRCH);
            assert_eq!(handle::msg_read(stale, &mut [], 0), Err(Error::SRCH));
        }
        // The rcvid of an earlier message in the same slot.
        let next = receive(&channel, &mut []);
        assert_ne!(next.rcvid(), rcvid);
        assert_eq!(handle::msg_reply(rcvid, 0, &[]), Err(Error::SRCH));
        next.reply(4, &[]).unwrap();
    });
    let connection = attach(server.pid, server.hear());
    let send = || connection.send(b"x", &mut []);
    assert_eq!(send().unwrap_err(), Error::CANCELED);
    assert_eq!(send().unwrap_err(), Error(libc::ENOTTY));
    assert_eq!(send().unwrap().status, 3);
    assert_eq!(send().unwrap().status, 4);
    server.join();
}

#[test]
fn every_rcvid_is_a_number_above_0() {
    // A process of its own: the first client, the first slot, and more messages than generations.
    let server = child(|_| {
        let channel = Channel::create(0).unwrap();
        let chid = channel.chid();
        let connection = Connection::attach(0, 0, chid, 0, 0).unwrap();
        std::thread::spawn(move || {
            let mut last = 0;
            loop {
                let received = handle::msg_receive(chid, &mut []);
                let Ok(handle::Incoming::Message(rcvid, _)) = received else {
                    panic!("a message was due: {received:?}");
                };
                assert!(rcvid > 0 && rcvid != last);
                handle::msg_reply(rcvid, rcvid.into(), &[]).unwrap();
                last = rcvid;
            }
        });
        for _ in 0..10_000 {
            let time = Duration::from_secs(10);
            timeout::set(timeout::SEND | timeout::REPLY, Some(time));
            assert!(connection.send(&[], &mut []).unwrap().status > 0);
        }
    });
    server.join();
}

#[test]
fn who_is_not_there_cannot_be_attached_to() {
    node();
    let channel = Channel::create(0).unwrap();
    let attach = |nd, pid, chid| Connection::attach(nd, pid, chid, 0, 0).map(drop);
    assert_eq!(attach(0, i32::MAX, 1), Err(Error::SRCH));
    assert_eq!(attach(0, 0, 1000), Err(Error::SRCH));
    assert_eq!(attach(5, 1, 1), Err(Error::NO_REMOTE));
    assert_eq!(attach(0, 0, channel.chid()), Ok(()));
    assert_eq!(Channel::create(1 << 20).unwrap_err(), Error::INVALID);
    assert_eq!(
        Channel::create(flags::CHF_NET_MSG).unwrap_err(),
        Error::NOT_PERMITTED
    );
    let chid = channel.into_chid();
    handle::channel_destroy(chid).unwrap();
    assert_eq!(attach(0, 0, chid), Err(Error::SRCH));
    assert_eq!(handle::channel_destroy(chid), Err(Error::INVALID));
}

#[test]
fn pulses_come_by_priority_then_in_order() {
    node();
    let channel = Channel::create(0).unwrap();
    let connection = Connection::attach(0, 0, channel.chid(), flags::SIDE_CHANNEL, 0).unwrap();
    assert!(connection.coid().cast_unsigned() >= flags::SIDE_CHANNEL);
    for (priority, value) in [(10, 1), (20, 2), (10, 3), (20, 4), (255, 5)] {
        connection.pulse(priority, 7, value).unwrap();
    }
    assert_eq!(connection.pulse(10, -1, 0), Err(Error::INVALID));
    assert_eq!(connection.pulse(256, 0, 0), Err(Error::INVALID));
    let values: Vec<u64> = (0..5)
        .map(|_| {
            let pulse = channel.receive_pulse().unwrap();
            assert_eq!(pulse.code, 7);
            pulse.value
        })
        .collect();
    assert_eq!(values, [5, 2, 4, 1, 3]);
    assert!(channel.try_receive(&mut []).unwrap().is_none());
    // As many as there is room for, and then an error; none is lost.
    let mut sent = 0;
    while connection.pulse(1, 1, sent).is_ok() {
        sent += 1;
    }
    assert!((256..100_000).contains(&sent));
    for value in 0..sent {
        assert_eq!(channel.receive_pulse().unwrap().value, value);
    }
    connection.pulse(1, 1, 0).unwrap();
}

#[test]
fn messages_come_by_priority() {
    node();
    let channel = Channel::create(flags::CHF_FIXED_PRIORITY).unwrap();
    let connection = Connection::attach(0, 0, channel.chid(), 0, 0).unwrap();
    std::thread::scope(|s| {
        for level in [5, 50, 20] {
            let connection = &connection;
            s.spawn(move || {
                io_net_msg::priority::set(level);
                let status = connection.send(&[level], &mut []).unwrap().status;
                assert_eq!(status, level.into());
            });
        }
        let sent = || handle::connect_server_info(connection.coid()).is_ok();
        assert!(sent());
        std::thread::sleep(Duration::from_millis(100));
        for level in [50, 20, 5] {
            let mut buf = [0];
            let received = receive(&channel, &mut buf);
            assert_eq!((buf[0], received.info().priority), (level, level.into()));
            received.reply(level.into(), &[]).unwrap();
        }
    });
}

#[test]
fn a_receiver_takes_on_the_senders_priority() {
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        let fixed = Channel::create(flags::CHF_FIXED_PRIORITY).unwrap();
        parent.tell(channel.chid().into());
        parent.tell(fixed.chid().into());
        receive(&channel, &mut []).reply(0, &[]).unwrap();
        assert_eq!(io_net_msg::priority::get(), 33);
        receive(&fixed, &mut []).reply(0, &[]).unwrap();
        assert_eq!(io_net_msg::priority::get(), 33);
    });
    let (inheriting, fixed) = (
        attach(server.pid, server.hear()),
        attach(server.pid, server.hear()),
    );
    io_net_msg::priority::set(33);
    inheriting.send(&[], &mut []).unwrap();
    io_net_msg::priority::set(44);
    fixed.send(&[], &mut []).unwrap();
    io_net_msg::priority::set(10);
    server.join();
}

/// Where this user may have realtime threads, the kernel's scheduling changes too.
#[test]
fn a_message_that_waits_makes_who_receives_there_hurry() {
    node();
    let channel = Channel::create(0).unwrap();
    let connection = attach(0, channel.chid().into());
    let realtime = sched::realtime_priority;
    std::thread::scope(|threads| {
        threads.spawn(|| connection.send(b"slow", &mut []).unwrap());
        let slow = receive(&channel, &mut []);
        assert_eq!((priority::get(), realtime()), (10, None));
        let may = threads.spawn(|| {
            let may = sched::set_realtime_priority(Some(20)).is_ok();
            priority::set(20);
            connection.send(b"fast", &mut []).unwrap();
            may
        });
        until("to be urged", || priority::get() == 20);
        let level = realtime();
        slow.reply(0, &[]).unwrap();
        let fast = receive(&channel, &mut []);
        assert_eq!(priority::get(), 20);
        fast.reply(0, &[]).unwrap();
        let may = may.join().unwrap();
        assert_eq!(level, may.then_some(20));
        threads.spawn(|| {
            // A thread begins as who makes it.
            sched::set_realtime_priority(None).unwrap();
            connection.send(b"slow", &mut []).unwrap()
        });
        receive(&channel, &mut []).reply(0, &[]).unwrap();
        assert_eq!((priority::get(), realtime()), (10, None));
    });
}

#[test]
fn timeouts_end_each_state() {
    node();
    let channel = Channel::create(0).unwrap();
    let connection = Connection::attach(0, 0, channel.chid(), 0, 0).unwrap();
    let short = Some(Duration::from_millis(20));
    timeout::set(timeout::RECEIVE, short);
    assert_eq!(channel.receive(&mut []).unwrap_err(), Error::TIMED_OUT);
    timeout::set(timeout::RECEIVE, Some(Duration::ZERO));
    assert_eq!(channel.receive(&mut []).unwrap_err(), Error::TIMED_OUT);
    // Nobody receives.
    timeout::set(timeout::SEND, short);
    assert_eq!(
        connection.send(&[1], &mut []).unwrap_err(),
        Error::TIMED_OUT
    );
    assert!(channel.try_receive(&mut []).unwrap().is_none(), "withdrawn");
    // Nobody replies; the time in the other state does not end the call.
    std::thread::scope(|s| {
        let server = s.spawn(|| {
            std::thread::sleep(Duration::from_millis(60));
            // The client may give up before the message is handed over: its time has run out.
            timeout::set(timeout::RECEIVE, Some(Duration::from_millis(200)));
            let received = match channel.receive(&mut []) {
                Ok(Incoming::Message(received)) => received,
                other => {
                    assert_eq!(other.unwrap_err(), Error::TIMED_OUT);
                    return Err(Error::SRCH);
                }
            };
            until("the client gives up", || {
                handle::msg_info(received.rcvid()).is_err()
            });
            received.reply(0, &[])
        });
        timeout::set(timeout::REPLY, short);
        assert_eq!(
            connection.send(&[2], &mut []).unwrap_err(),
            Error::TIMED_OUT
        );
        assert_eq!(server.join().unwrap(), Err(Error::SRCH));
    });
    // One call uses it up.
    timeout::set(timeout::SEND, Some(Duration::ZERO));
    assert_eq!(timeout::set(0, None), Some((timeout::SEND, Duration::ZERO)));
    std::thread::scope(|s| {
        s.spawn(|| receive(&channel, &mut []).reply(9, &[]).unwrap());
        assert_eq!(connection.send(&[3], &mut []).unwrap().status, 9);
    });
}

#[test]
fn who_has_a_message_is_asked_to_end_it() {
    node();
    let channel = Channel::create(flags::CHF_UNBLOCK).unwrap();
    let connection = Connection::attach(0, 0, channel.chid(), 0, 0).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            let received = receive(&channel, &mut []);
            assert_eq!(received.info().flags, 0);
            let asked = channel.receive_pulse().unwrap();
            assert_eq!(asked.code, pulse::CODE_UNBLOCK);
            assert_eq!(asked.value, received.rcvid().cast_unsigned().into());
            assert_eq!(received.info().flags, io_net_msg::info::MI_UNBLOCK_REQ);
            std::thread::sleep(Duration::from_millis(30));
            received.reply(77, &[]).unwrap();
        });
        let start = Instant::now();
        timeout::set(timeout::REPLY, Some(Duration::from_millis(10)));
        assert_eq!(connection.send(&[1], &mut []).unwrap().status, 77);
        assert!(start.elapsed() > Duration::from_millis(30));
    });
}

#[test]
fn the_descriptor_is_readable_while_something_is_there() {
    use std::os::fd::BorrowedFd;
    node();
    let channel = Channel::create(0).unwrap();
    // SAFETY: the channel owns it and lives.
    let fd = unsafe { BorrowedFd::borrow_raw(channel.fd().unwrap()) };
    let epoll = io_net_os::epoll::Epoll::new().unwrap();
    epoll.add(fd, io_net_os::epoll::IN, 0).unwrap();
    let ready = |ms| {
        let mut events = [Default::default(); 1];
        let time = Some(Duration::from_millis(ms));
        !epoll.wait(&mut events, time).unwrap().is_empty()
    };
    while channel.try_receive(&mut []).unwrap().is_some() {}
    assert!(!ready(20));
    let sender = child({
        let chid = channel.chid();
        move |parent| {
            let connection = attach(parent.hear() as i32, chid.into());
            for i in 0..50 {
                connection.pulse(10, 1, i).unwrap();
                assert_eq!(
                    connection.send(&[i as u8], &mut []).unwrap().status,
                    i as i64
                );
            }
        }
    });
    sender.tell(std::process::id().into());
    let (mut pulses, mut messages) = (0, 0);
    while pulses + messages < 100 {
        assert!(ready(10_000), "{pulses} pulses, {messages} messages");
        let mut buf = [0];
        while let Some(incoming) = channel.try_receive(&mut buf).unwrap() {
            match incoming {
                Incoming::Pulse(_) => pulses += 1,
                Incoming::Message(received) => {
                    received.reply(buf[0].into(), &[]).unwrap();
                    messages += 1;
                }
            }
        }
    }
    assert_eq!((pulses, messages), (50, 50));
    sender.join();
}

#[test]
fn events_reach_the_client_that_asked() {
    let server = child(|parent| {
        let channel = Channel::create(0).unwrap();
        parent.tell(channel.chid().into());
        let mut buf = [0; 4];
        let received = receive(&channel, &mut buf);
        let event = io_net_msg::Event::Pulse {
            coid: i32::from_ne_bytes(buf),
            priority: 30,
            code: 11,
            value: 1 << 40,
        };
        handle::msg_verify_event(received.rcvid(), &event).unwrap();
        let rcvid = received.into_rcvid();
        handle::msg_reply(rcvid, 0, &[]).unwrap();
        handle::msg_deliver_event(rcvid, &event).unwrap();
        let bad = io_net_msg::Event::Signal { signo: 1000 };
        assert_eq!(handle::msg_deliver_event(rcvid, &bad), Err(Error::INVALID));
        parent.hear();
    });
    let connection = attach(server.pid, server.hear());
    let own = Channel::create(0).unwrap();
    let to_own = Connection::attach(0, 0, own.chid(), 0, 0).unwrap();
    connection
        .send(&to_own.coid().to_ne_bytes(), &mut [])
        .unwrap();
    let pulse = own.receive_pulse().unwrap();
    assert_eq!((pulse.code, pulse.value, pulse.priority), (11, 1 << 40, 30));
    server.tell(0);
    server.join();
}
