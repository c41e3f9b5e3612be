//! The sockets API against a server without a network.

mod fake;

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use fake::Fake;
use io_net_os::epoll::{Event, IN, OUT, PollFd};
use io_net_socket::{Errno, Socket, Until, epoll, poll};

/// All in one test: a process has one session.
#[test]
fn sockets_against_a_server_without_a_network() {
    let fake = Fake::start();
    // SAFETY: no other thread of this process reads the environment yet.
    unsafe { std::env::set_var("SOCK", fake.directory()) };
    streams();
    refused_and_not_connected();
    datagrams();
    bulk_between_threads();
    polls();
    epolls();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while fake.sockets() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "{} sockets left",
            fake.sockets()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    a_server_that_goes_away(fake);
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn pair(port: u16) -> (Socket, Socket) {
    let listener = Socket::stream().unwrap();
    listener.bind(address(port)).unwrap();
    listener.listen(5).unwrap();
    let client = Socket::stream().unwrap();
    client.connect(address(port)).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.name());
    assert_eq!(client.peer(), Ok(Some(address(port))));
    (client, server)
}

fn streams() {
    let (client, server) = pair(80);
    assert_eq!(client.send(b"request"), Ok(7));
    let mut buf = [0; 64];
    assert_eq!(server.receive(&mut buf), Ok(7));
    assert_eq!(&buf[..7], b"request");
    assert_eq!(server.send(b"reply"), Ok(5));
    assert_eq!(server.shutdown(false, true), Ok(()));
    assert_eq!(server.send(b"more"), Err(Errno::PIPE));
    assert_eq!(client.receive(&mut buf), Ok(5));
    assert_eq!(client.receive(&mut buf), Ok(0));
    client.set_nonblocking(true).unwrap();
    server
        .set_receive_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    assert_eq!(server.receive(&mut buf), Err(Errno::AGAIN));
}

fn refused_and_not_connected() {
    let socket = Socket::stream().unwrap();
    assert_eq!(socket.connect(address(1)), Err(Errno(libc::ECONNREFUSED)));
    assert_eq!(socket.send(b"x"), Err(Errno::PIPE));
    let fresh = Socket::stream().unwrap();
    assert_eq!(fresh.receive(&mut [0; 4]), Err(Errno::NOT_CONNECTED));
    assert!(matches!(fresh.accept(), Err(Errno::INVALID)));
    assert_eq!(fresh.peer(), Err(Errno::NOT_CONNECTED));
}

fn datagrams() {
    let (a, b) = (Socket::datagram().unwrap(), Socket::datagram().unwrap());
    a.bind(address(53)).unwrap();
    assert_eq!(b.send(b"x"), Err(Errno(libc::EDESTADDRREQ)));
    assert_eq!(b.send_to(b"question", address(53)), Ok(8));
    let mut buf = [0; 4];
    let (n, from) = a.receive_from(&mut buf).unwrap();
    assert_eq!((n, &buf), (4, b"ques"), "the rest is lost");
    b.connect(address(53)).unwrap();
    assert_eq!(b.send(b""), Ok(0));
    assert_eq!(a.receive(&mut buf), Ok(0));
    assert_eq!(a.send_to(b"answer", from.unwrap()), Ok(6));
    let mut buf = [0; 16];
    assert_eq!(b.receive(&mut buf), Ok(6));
    assert_eq!(b.send(&[0; 65_508]), Err(Errno(libc::EMSGSIZE)));
}

fn bulk_between_threads() {
    const TOTAL: usize = 20_000_000;
    let (client, server) = pair(81);
    std::thread::scope(|s| {
        s.spawn(move || {
            let chunk: Vec<u8> = (0..251).cycle().take(251 * 400).map(|b| b as u8).collect();
            let mut sent = 0;
            while sent < TOTAL {
                let from = sent % 251;
                let len = (chunk.len() - from).min(TOTAL - sent);
                sent += client.send(&chunk[from..from + len]).unwrap();
            }
        });
        let (mut got, mut buf) = (0, vec![0; 70_000]);
        loop {
            let n = server.receive(&mut buf).unwrap();
            if n == 0 {
                break;
            }
            let right = |(i, &byte): (usize, &u8)| usize::from(byte) == (got + i) % 251;
            assert!(buf[..n].iter().enumerate().all(right), "at {got}");
            got += n;
        }
        assert_eq!(got, TOTAL);
    });
}

fn polls() {
    let (client, server) = pair(82);
    let fd = |s: &Socket, events| PollFd {
        fd: s.as_fd().as_raw_fd(),
        events,
        revents: 0,
    };
    let mut fds = [
        fd(&client, libc::POLLIN | libc::POLLOUT),
        fd(&server, libc::POLLIN),
    ];
    assert_eq!(poll::poll(&mut fds, Until::Now, None), Ok(1));
    assert_eq!((fds[0].revents, fds[1].revents), (libc::POLLOUT, 0));
    fds[0].events = libc::POLLIN;
    assert_eq!(poll::poll(&mut fds, Until::after(5_000_000), None), Ok(0));
    std::thread::scope(|s| {
        s.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            client.send(b"x").unwrap();
        });
        assert_eq!(poll::poll(&mut fds, Until::Ever, None), Ok(1));
    });
    assert_eq!((fds[0].revents, fds[1].revents), (0, libc::POLLIN));
}

fn epolls() {
    let kernel = io_net_os::epoll::Epoll::new().unwrap();
    let epfd = kernel.as_fd();
    let instance = epoll::create().unwrap();
    let (client, server) = pair(83);
    let mut events = [Event::default(); 4];
    let add = |socket: &Socket, bits, token| {
        let fd = socket.as_fd().as_raw_fd();
        instance.ctl(epfd.as_raw_fd(), epoll::ADD, fd, Event::new(bits, token))
    };
    add(&server, IN, 7).unwrap();
    assert_eq!(add(&server, IN, 8), Err(Errno(libc::EEXIST)));
    add(&client, IN | OUT | io_net_os::epoll::EDGE, 9).unwrap();
    let mut wait = |until| {
        let n = instance.wait(epfd, &mut events, until, None).unwrap();
        events[..n]
            .iter()
            .map(|e| (e.token(), e.events()))
            .collect::<Vec<_>>()
    };
    assert_eq!(wait(Until::Now), [(9, OUT)]);
    assert_eq!(wait(Until::Now), [], "an edge is reported once");
    client.send(b"hello").unwrap();
    assert_eq!(wait(Until::after(10_000_000_000)), [(7, IN)]);
    assert_eq!(wait(Until::Now), [(7, IN)], "a level as long as it lasts");
    server.receive(&mut [0; 8]).unwrap();
    assert_eq!(wait(Until::after(5_000_000)), []);
    std::thread::scope(|s| {
        s.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            server.send(b"x").unwrap();
        });
        assert_eq!(wait(Until::Ever), [(9, IN | OUT)]);
    });
    drop(client);
    let closed = wait(Until::after(10_000_000_000));
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].0, closed[0].1 & IN), (7, IN));
    instance.remove_descriptor();
}

fn a_server_that_goes_away(fake: Fake) {
    let (client, server) = pair(84);
    let listener = Socket::stream().unwrap();
    listener.bind(address(85)).unwrap();
    listener.listen(5).unwrap();
    let kernel = io_net_os::epoll::Epoll::new().unwrap();
    let instance = epoll::create().unwrap();
    let (epfd, fd) = (kernel.as_fd(), listener.as_fd().as_raw_fd());
    let ctl = |op| instance.ctl(epfd.as_raw_fd(), op, fd, Event::new(IN, 3));
    ctl(epoll::ADD).unwrap();
    std::thread::scope(|s| {
        let waiting = s.spawn(|| server.receive(&mut [0; 8]));
        std::thread::sleep(Duration::from_millis(20));
        drop(fake);
        assert_eq!(waiting.join().unwrap(), Err(Errno::RESET));
    });
    let mut events = [Event::default(); 4];
    let mut wait = |until| instance.wait(epfd, &mut events, until, None).unwrap();
    assert_eq!(wait(Until::after(10_000_000_000)), 1, "its end is told");
    assert!(matches!(listener.accept(), Err(Errno::NET_DOWN)));
    let nothing = "an orphan is silent";
    assert_eq!(wait(Until::after(20_000_000)), 0, "{nothing}");
    ctl(epoll::MOD).unwrap();
    assert_eq!(wait(Until::Now), 0, "{nothing}");
    ctl(epoll::DEL).unwrap();
    ctl(epoll::ADD).unwrap();
    assert_eq!(wait(Until::Now), 0, "{nothing}");
    instance.remove_descriptor();
    let mut fds = [PollFd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }];
    assert_eq!(poll::poll(&mut fds, Until::after(20_000_000), None), Ok(0));
    assert!(matches!(listener.accept(), Err(Errno::NET_DOWN)));
    assert!(Socket::stream().is_err());
    assert!(
        client.send(b"x").is_err(),
        "the session's end resets its sockets"
    );
}
