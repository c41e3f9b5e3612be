//! The shim under real C-library calls: each test runs itself again, preloaded, against a server without a
//! network. Nothing here names io-net's API; the calls are the standard library's and libc's.

#[path = "../../socket/tests/fake/mod.rs"]
mod fake;

mod scenario;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use scenario::{pair, under_shim};

#[test]
fn streams_and_datagrams_of_the_standard_library() {
    under_shim("streams_and_datagrams_of_the_standard_library", || {
        let (mut client, mut server) = pair();
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        client.write_all(b"question").unwrap();
        let mut buf = [0; 16];
        assert_eq!(server.peek(&mut buf).unwrap(), 8);
        assert_eq!(server.read(&mut buf).unwrap(), 8);
        server
            .set_read_timeout(Some(Duration::from_millis(30)))
            .unwrap();
        assert_eq!(
            server.read(&mut buf).unwrap_err().raw_os_error(),
            Some(libc::EAGAIN)
        );
        client.set_nonblocking(true).unwrap();
        assert_eq!(
            client.read(&mut buf).unwrap_err().raw_os_error(),
            Some(libc::EAGAIN)
        );
        server.shutdown(Shutdown::Write).unwrap();
        scenario::wait_for("end of file", || {
            client.read(&mut buf).is_ok_and(|n| n == 0)
        });
        let refused = TcpStream::connect(("127.0.0.1", 1)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));

        let (a, b) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        a.send_to(b"datagram", b.local_addr().unwrap()).unwrap();
        let (n, from) = b.recv_from(&mut buf).unwrap();
        assert_eq!((n, from.port()), (8, a.local_addr().unwrap().port()));
    });
}

#[test]
fn other_families_are_left_alone_and_ipv6_is_refused() {
    under_shim("other_families_are_left_alone_and_ipv6_is_refused", || {
        let v6 = UdpSocket::bind("[::1]:0").unwrap_err();
        assert_eq!(v6.raw_os_error(), Some(libc::EAFNOSUPPORT));
        let (mut a, mut b) = std::os::unix::net::UnixStream::pair().unwrap();
        a.write_all(b"x").unwrap();
        assert_eq!(b.read(&mut [0; 4]).unwrap(), 1);
    });
}

#[test]
fn a_connection_ends_when_its_last_copy_is_closed() {
    under_shim("a_connection_ends_when_its_last_copy_is_closed", || {
        let (mut client, server) = pair();
        // SAFETY: the child only uses the socket and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            drop(client);
            let mut copy = server.try_clone().unwrap();
            drop(server);
            copy.write_all(b"child").unwrap();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
        drop(server);
        let mut all = String::new();
        client.read_to_string(&mut all).unwrap();
        assert_eq!(all, "child");
        // SAFETY: waits for the child just made.
        let ended = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        assert_eq!(ended, child);
    });
}

#[test]
fn a_program_that_is_executed_finds_its_inherited_socket() {
    under_shim(
        "a_program_that_is_executed_finds_its_inherited_socket",
        || {
            let (mut client, server) = pair();
            let copy = server.try_clone().unwrap();
            let (stdin, stdout) = (
                std::os::fd::OwnedFd::from(copy),
                std::os::fd::OwnedFd::from(server),
            );
            let mut cat = Command::new("cat")
                .stdin(stdin)
                .stdout(stdout)
                .spawn()
                .unwrap();
            let sent = vec![7; 300_000];
            let echoed = std::thread::scope(|s| {
                let mut writer = client.try_clone().unwrap();
                s.spawn(move || {
                    writer.write_all(&vec![7; 300_000]).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                let mut all = Vec::new();
                client.read_to_end(&mut all).unwrap();
                all
            });
            assert!(echoed == sent, "{} bytes came back", echoed.len());
            assert!(cat.wait().unwrap().success());
        },
    );
}

#[test]
fn a_socket_passed_to_another_process_works_there() {
    under_shim("a_socket_passed_to_another_process_works_there", || {
        use io_net_os::unix::seqpacket_pair;
        let (mut client, server) = pair();
        let (ours, theirs) = seqpacket_pair(false).unwrap();
        // SAFETY: the child only uses the sockets and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            drop((client, server));
            let mut passed = scenario::receive_stream(theirs.as_raw_fd());
            passed.write_all(b"passed").unwrap();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
        scenario::send_stream(ours.as_raw_fd(), &server);
        drop(server);
        let mut all = String::new();
        client.read_to_string(&mut all).unwrap();
        assert_eq!(all, "passed");
        // SAFETY: waits for the child just made.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    });
}

#[test]
fn poll_select_and_epoll_see_sockets_and_pipes_together() {
    under_shim(
        "poll_select_and_epoll_see_sockets_and_pipes_together",
        scenario::readiness,
    );
}

#[test]
fn edges_levels_and_one_shots() {
    under_shim("edges_levels_and_one_shots", scenario::triggers);
}

#[test]
fn copies_of_descriptors() {
    under_shim("copies_of_descriptors", scenario::descriptors);
}

#[test]
fn vectors_messages_files_and_stdio() {
    under_shim("vectors_messages_files_and_stdio", scenario::transfers);
}

#[test]
fn threads_in_both_directions() {
    under_shim("threads_in_both_directions", || {
        const LEN: usize = 400_000;
        std::thread::scope(|s| {
            for _ in 0..8 {
                let (client, server) = pair();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    s.spawn(move || from.write_all(&vec![1; LEN]).unwrap());
                    s.spawn(move || {
                        let mut all = vec![0; LEN];
                        to.read_exact(&mut all).unwrap();
                        assert!(all.iter().all(|&b| b == 1));
                    });
                }
            }
        });
    });
}

#[test]
fn signals_interrupt_or_restart() {
    under_shim("signals_interrupt_or_restart", scenario::signals);
}

#[test]
fn a_write_to_nobody_raises_sigpipe() {
    under_shim("a_write_to_nobody_raises_sigpipe", || {
        let (client, server) = pair();
        client.shutdown(Shutdown::Write).unwrap();
        let send = |flags| {
            // SAFETY: the buffer has one byte.
            unsafe { libc::send(client.as_raw_fd(), b"x".as_ptr().cast(), 1, flags) }
        };
        assert_eq!(send(libc::MSG_NOSIGNAL), -1);
        assert_eq!(scenario::errno(), libc::EPIPE);
        // SAFETY: the child has one thread and only sends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: back to what programs start with; the test harness ignores it.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            send(0);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(ExitStatus::from_raw(status).signal(), Some(libc::SIGPIPE));
        drop(server);
    });
}

/// The child is killed at a random moment of a transfer; its sockets are closed and its peers hear of it.
#[test]
fn a_killed_program_leaves_nothing_behind() {
    const NAME: &str = "a_killed_program_leaves_nothing_behind";
    if scenario::is_child() {
        let (mut client, mut server) = pair();
        println!("\nready");
        std::thread::spawn(move || while client.write_all(&[0; 100_000]).is_ok() {});
        let mut buf = vec![0; 50_000];
        while server.read(&mut buf).is_ok_and(|n| n > 0) {}
        return;
    }
    let fake = fake::Fake::start();
    for round in 0..20_u64 {
        let mut child = scenario::preloaded(NAME, &fake)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim() != "ready" {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut out, &mut line).unwrap() > 0);
        }
        std::thread::sleep(Duration::from_millis(round % 7));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while fake.sockets() > 0 {
        assert!(Instant::now() < deadline, "{} sockets left", fake.sockets());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn without_an_io_net_there_are_no_sockets() {
    let listens = || TcpListener::bind("127.0.0.1:0").unwrap_err().raw_os_error();
    if scenario::is_child() {
        assert_eq!(listens(), Some(libc::ENETDOWN));
        return;
    }
    let mut command =
        scenario::preloaded_at("without_an_io_net_there_are_no_sockets", "/nonexistent");
    assert!(command.status().unwrap().success());
}
