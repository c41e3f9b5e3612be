//! The LD_PRELOAD shim: libc's socket calls, served by io-net.
//!
//! IPv4 stream and datagram sockets are io-net's, loopback addresses included: they are io-net's
//! own loopback. IPv6 sockets fail with EAFNOSUPPORT, on which programs fall back to IPv4. All
//! other descriptors go to the C library as ever.
//!
//! | file | calls |
//! | --- | --- |
//! | [`name`] | socket, bind, listen, accept, connect, shutdown, getsockname, getpeername, getsockopt, setsockopt |
//! | [`bytes`] | read, write, send, recv and their vector forms, sendfile, splice |
//! | [`message`] | sendmsg, recvmsg, sendmmsg, recvmmsg |
//! | [`descriptor`] | close, dup, fcntl, ioctl |
//! | [`ready`] | poll, select, epoll |
//! | [`stream`] | fdopen of sockets |
//! | `real` | the C library's own |
//! | `start` | what happens when the shim is loaded |
//!
//! Each call looks its descriptor up in a table (two loads) and, if it is none of io-net's, calls
//! the next library's function. Nothing here panics: what can go wrong is an errno.
//!
//! # What it cannot see
//!
//! Calls that the C library makes inside itself: its resolver's sockets (names are resolved over
//! the kernel's network; /etc/hosts works as ever) and getifaddrs, which asks the kernel. System
//! calls made without the C library.

pub mod bytes;
pub mod descriptor;
mod ffi;
pub mod message;
pub mod name;
pub mod ready;
mod real;
mod start;
pub mod stream;
