//! The many ways to move bytes.

use std::ffi::{CString, c_void};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, IntoRawFd};

use super::{errno, ok, pair};

pub(crate) fn transfers() {
    vectors();
    messages();
    files();
    stdio();
    options();
}

fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

fn vectors() {
    let (client, server) = pair();
    let out = [iovec(b"he"), iovec(b""), iovec(b"llo")];
    // SAFETY: the vectors describe living buffers, those read into being writable.
    unsafe {
        assert_eq!(libc::writev(client.as_raw_fd(), out.as_ptr(), 3), 5);
        let (mut a, mut b) = ([0_u8; 1], [0_u8; 9]);
        let into = [
            libc::iovec {
                iov_base: a.as_mut_ptr().cast(),
                iov_len: 1,
            },
            libc::iovec {
                iov_base: b.as_mut_ptr().cast(),
                iov_len: 9,
            },
        ];
        assert_eq!(libc::readv(server.as_raw_fd(), into.as_ptr(), 2), 5);
        assert_eq!((&a, &b[..4]), (b"h", &b"ello"[..]));
        assert_eq!(libc::writev(client.as_raw_fd(), out.as_ptr(), 5000), -1);
        assert_eq!(errno(), libc::EINVAL);
        let mut all = [0_u8; 6];
        assert_eq!(
            libc::send(client.as_raw_fd(), b"abc".as_ptr().cast(), 3, 0),
            3
        );
        std::thread::scope(|s| {
            s.spawn(|| (&client).write_all(b"def").unwrap());
            let n = libc::recv(
                server.as_raw_fd(),
                all.as_mut_ptr().cast(),
                6,
                libc::MSG_WAITALL,
            );
            assert_eq!(n, 6);
        });
        assert_eq!(&all, b"abcdef");
    }
}

fn messages() {
    let (a, b) = (
        UdpSocket::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    b.connect(a.local_addr().unwrap()).unwrap();
    let parts = [iovec(b"four"), iovec(b"teen")];
    let mut buf = [0_u8; 5];
    let mut into = libc::iovec {
        iov_base: buf.as_mut_ptr().cast(),
        iov_len: 5,
    };
    // SAFETY: the headers describe living buffers.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (parts.as_ptr().cast_mut(), 2);
        assert_eq!(libc::sendmsg(b.as_raw_fd(), &raw const message, 0), 8);
        let mut batch = [libc::mmsghdr {
            msg_hdr: message,
            msg_len: 0,
        }; 3];
        assert_eq!(libc::sendmmsg(b.as_raw_fd(), batch.as_mut_ptr(), 3, 0), 3);
        assert_eq!(batch[2].msg_len, 8);

        let mut from: libc::sockaddr_in = std::mem::zeroed();
        message = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut into, 1);
        (message.msg_name, message.msg_namelen) = ((&raw mut from).cast(), 16);
        assert_eq!(libc::recvmsg(a.as_raw_fd(), &raw mut message, 0), 5);
        assert_eq!(message.msg_flags & libc::MSG_TRUNC, libc::MSG_TRUNC);
        assert_eq!(u16::from_be(from.sin_port), b.local_addr().unwrap().port());
        let full = libc::MSG_TRUNC;
        assert_eq!(
            libc::recv(a.as_raw_fd(), buf.as_mut_ptr().cast(), 5, full),
            8
        );
        let wait = libc::MSG_WAITFORONE;
        let mut batch = [libc::mmsghdr {
            msg_hdr: message,
            msg_len: 0,
        }; 4];
        super::wait_for("the last two", || {
            let mut waiting = 0;
            libc::ioctl(a.as_raw_fd(), libc::FIONREAD, &raw mut waiting) == 0 && waiting == 8
        });
        let null = std::ptr::null_mut();
        let n = libc::recvmmsg(a.as_raw_fd(), batch.as_mut_ptr(), 4, wait, null);
        assert!((1..=2).contains(&n), "{n}");
    }
}

fn files() {
    let path = std::env::temp_dir().join(format!("io-net-preload-{}", std::process::id()));
    let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i % 253) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (client, mut server) = pair();
    std::thread::scope(|s| {
        s.spawn(move || {
            let mut offset = 1000;
            let mut left = bytes.len() - 1000;
            while left > 0 {
                // SAFETY: `offset` lives through the call.
                let n = unsafe {
                    libc::sendfile(client.as_raw_fd(), file.as_raw_fd(), &raw mut offset, left)
                };
                left -= ok(n as i32) as usize;
            }
            assert_eq!(offset, 200_000);
        });
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        let right = |(i, &b): (usize, &u8)| usize::from(b) == (i + 1000) % 253;
        assert!(all.len() == 199_000 && all.iter().enumerate().all(right));
    });
}

fn stdio() {
    let (client, mut server) = pair();
    let mode = CString::new("r+").unwrap();
    let mut line = [0_u8; 32];
    // SAFETY: the stream owns the descriptor from here on; the buffer has 32 bytes.
    unsafe {
        let fd = client.into_raw_fd();
        let stream = libc::fdopen(fd, mode.as_ptr());
        assert!(!stream.is_null() && libc::fileno(stream) == fd);
        server.write_all(b"a line\n").unwrap();
        assert!(!libc::fgets(line.as_mut_ptr().cast(), 32, stream).is_null());
        assert_eq!(&line[..7], b"a line\n");
        assert!(libc::fputs(c"an answer\n".as_ptr(), stream) >= 0);
        assert_eq!(libc::fflush(stream), 0);
        let mut answer = [0; 10];
        server.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"an answer\n");
        assert_eq!(libc::fclose(stream), 0);
    }
    assert_eq!(server.read(&mut line).unwrap(), 0);
}

fn options() {
    let (client, _server) = pair();
    let fd = client.as_raw_fd();
    let get = |level, name| {
        let (mut value, mut len) = (0_i32, 4);
        let place: *mut c_void = (&raw mut value).cast();
        // SAFETY: four bytes of room.
        ok(unsafe { libc::getsockopt(fd, level, name, place, &raw mut len) });
        value
    };
    let set = |level, name, value: i32| {
        // SAFETY: four bytes.
        unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), 4) }
    };
    assert_eq!(get(libc::SOL_SOCKET, libc::SO_TYPE), libc::SOCK_STREAM);
    assert_eq!(get(libc::SOL_SOCKET, libc::SO_PROTOCOL), libc::IPPROTO_TCP);
    assert_eq!(get(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), 7200);
    assert_eq!(set(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 9), 0);
    assert_eq!(get(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), 9);
    assert_eq!(
        (set(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 0), errno()),
        (-1, libc::EINVAL)
    );
    assert_eq!(
        (set(libc::IPPROTO_TCP, 9999, 1), errno()),
        (-1, libc::ENOPROTOOPT)
    );
    assert_eq!(
        (set(libc::IPPROTO_UDP, libc::UDP_CORK, 1), errno()),
        (-1, libc::ENOPROTOOPT)
    );
    assert_eq!(set(libc::SOL_SOCKET, libc::SO_SNDBUF, 50_000), 0);
    assert_eq!(get(libc::SOL_SOCKET, libc::SO_SNDBUF), 100_000);
}
