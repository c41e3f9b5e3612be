//! Copies of descriptors, in this process and others; signals.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{errno, ok, pair};

pub(crate) fn descriptors() {
    let (mut client, server) = pair();
    let fd = server.as_raw_fd();
    // SAFETY: plain calls on descriptors that are ours.
    unsafe {
        let copy = ok(libc::dup(fd));
        let high = ok(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 90));
        assert!(high >= 90);
        assert_eq!(libc::fcntl(high, libc::F_GETFD), libc::FD_CLOEXEC);
        ok(libc::dup2(copy, 80));
        ok(libc::dup3(copy, 81, libc::O_CLOEXEC));
        drop(server);
        for other in [copy, high, 80, 81] {
            assert_eq!(libc::write(other, b"x".as_ptr().cast(), 1), 1);
            client.read_exact(&mut [0; 1]).unwrap();
        }
        // O_NONBLOCK is the socket's, not the descriptor's.
        ok(libc::fcntl(80, libc::F_SETFL, libc::O_NONBLOCK));
        assert_ne!(libc::fcntl(high, libc::F_GETFL) & libc::O_NONBLOCK, 0);
        assert_eq!(libc::read(high, [0_u8; 4].as_mut_ptr().cast(), 4), -1);
        assert_eq!(errno(), libc::EAGAIN);
        let mut waiting = 0;
        client.write_all(b"12345").unwrap();
        super::wait_for("the bytes", || {
            libc::ioctl(copy, libc::FIONREAD, &raw mut waiting) == 0 && waiting == 5
        });
        ok(libc::close(copy));
        assert_eq!(libc::close(copy), -1);
        assert_eq!(errno(), libc::EBADF);
        // Closes the others, and not what the shim needs to make new sockets.
        ok(libc::close_range(80, u32::MAX, 0));
        assert_eq!(libc::fcntl(high, libc::F_GETFD), -1);
    }
    // The five bytes that were not read make it a reset.
    assert!(!matches!(client.read(&mut [0; 8]), Ok(1..)));
    let (mut a, mut b) = pair();
    a.write_all(b"y").unwrap();
    b.read_exact(&mut [0; 1]).unwrap();
}

/// Room for one descriptor's control message.
#[repr(C, align(8))]
struct Control([u8; 24]);

fn with_message<T>(run: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    let (mut byte, mut control) = ([0_u8; 1], Control([0; 24]));
    let mut iov = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    // SAFETY: all-zero bytes are an empty msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut iov, 1);
    (message.msg_control, message.msg_controllen) = ((&raw mut control).cast(), 24);
    run(&mut message)
}

/// Passes `stream` to whoever receives from the other end of `socket`.
pub(crate) fn send_stream(socket: RawFd, stream: &TcpStream) {
    with_message(|message| {
        // SAFETY: the control buffer has room for one descriptor.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
            libc::CMSG_DATA(header)
                .cast::<RawFd>()
                .write(stream.as_raw_fd());
            assert_eq!(libc::sendmsg(socket, message, 0), 1);
        }
    });
}

/// Receives what [`send_stream`] sent.
pub(crate) fn receive_stream(socket: RawFd) -> TcpStream {
    with_message(|message| {
        // SAFETY: the sender's message has one descriptor, new to this process.
        unsafe {
            assert_eq!(libc::recvmsg(socket, message, 0), 1);
            let header = libc::CMSG_FIRSTHDR(message);
            TcpStream::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read())
        }
    })
}

static RUNS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: i32) {
    RUNS.fetch_add(1, Ordering::SeqCst);
}

fn handle_alarm(flags: i32) {
    // SAFETY: the handler only counts.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as *const () as usize;
        action.sa_flags = flags;
        ok(libc::sigaction(
            libc::SIGALRM,
            &raw const action,
            std::ptr::null_mut(),
        ));
    }
}

pub(crate) fn signals() {
    let (client, server) = pair();
    // SAFETY: asks for this thread's id.
    let thread = unsafe { libc::pthread_self() };
    let receive = || {
        let mut byte = [0_u8; 1];
        // SAFETY: one byte of room.
        unsafe { libc::recv(server.as_raw_fd(), byte.as_mut_ptr().cast(), 1, 0) }
    };
    let until = |ends: &std::sync::atomic::AtomicBool| {
        while !ends.load(Ordering::SeqCst) {
            // SAFETY: the thread outlives the scope in which this runs.
            unsafe { libc::pthread_kill(thread, libc::SIGALRM) };
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    handle_alarm(0);
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| until(&ended));
        assert_eq!((receive(), errno()), (-1, libc::EINTR));
        ended.store(true, Ordering::SeqCst);
    });
    handle_alarm(libc::SA_RESTART);
    let before = RUNS.load(Ordering::SeqCst);
    ended.store(false, Ordering::SeqCst);
    std::thread::scope(|s| {
        s.spawn(|| until(&ended));
        s.spawn(|| {
            super::wait_for("signals", || RUNS.load(Ordering::SeqCst) > before + 3);
            (&client).write_all(b"x").unwrap();
        });
        assert_eq!(receive(), 1);
        ended.store(true, Ordering::SeqCst);
    });
}
