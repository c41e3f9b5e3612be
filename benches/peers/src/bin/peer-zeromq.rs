//! ZeroMQ (the system's libzmq): 64 bytes each way between a REQ and a REP socket.
//!
//! `peer-zeromq serve ENDPOINT` answers until it is killed; `peer-zeromq rtt ENDPOINT COUNT` prints
//! the round trip in nanoseconds. An endpoint is `tcp://ADDR:PORT`.

use io_net_meter::{self as meter, SMALL};
use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::ptr::NonNull;

#[link(name = "zmq")]
unsafe extern "C" {
    fn zmq_ctx_new() -> *mut c_void;
    fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    fn zmq_bind(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_connect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_send(socket: *mut c_void, buf: *const c_void, len: usize, flags: c_int) -> c_int;
    fn zmq_recv(socket: *mut c_void, buf: *mut c_void, len: usize, flags: c_int) -> c_int;
}

const ZMQ_REQ: c_int = 3;
const ZMQ_REP: c_int = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", endpoint] => Ok(serve(endpoint)?),
        ["rtt", endpoint, count] => Ok(rtt(endpoint, count.parse()?)?),
        _ => Err("usage: peer-zeromq serve ENDPOINT | rtt ENDPOINT COUNT".into()),
    }
}

fn serve(endpoint: &str) -> io::Result<()> {
    let socket = Socket::new(ZMQ_REP)?;
    socket.join(zmq_bind, endpoint)?;
    println!("serving");
    let mut message = [0; SMALL];
    loop {
        socket.receive(&mut message)?;
        socket.send(&message)?;
    }
}

fn rtt(endpoint: &str, count: usize) -> io::Result<()> {
    let socket = Socket::new(ZMQ_REQ)?;
    socket.join(zmq_connect, endpoint)?;
    let mut message = [7; SMALL];
    meter::round_trips(count, || {
        socket.send(&message)?;
        socket.receive(&mut message)
    })
}

/// A socket in a context of its own; both last as long as the program.
struct Socket(NonNull<c_void>);

impl Socket {
    fn new(kind: c_int) -> io::Result<Self> {
        // SAFETY: both calls take what the one before returned; null is refused below.
        let socket = unsafe { zmq_socket(zmq_ctx_new(), kind) };
        NonNull::new(socket)
            .map(Self)
            .ok_or_else(io::Error::last_os_error)
    }

    fn join(
        &self,
        how: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
        endpoint: &str,
    ) -> io::Result<()> {
        let endpoint = CString::new(endpoint)?;
        // SAFETY: the socket is open and the text ends in a zero.
        done(unsafe { how(self.0.as_ptr(), endpoint.as_ptr()) }).map(drop)
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        let (buf, len) = (message.as_ptr().cast(), message.len());
        // SAFETY: the socket is open and `message` lives through the call.
        done(unsafe { zmq_send(self.0.as_ptr(), buf, len, 0) }).map(drop)
    }

    fn receive(&self, message: &mut [u8]) -> io::Result<()> {
        let (buf, len) = (message.as_mut_ptr().cast(), message.len());
        // SAFETY: the socket is open and `message` lives through the call.
        let got = done(unsafe { zmq_recv(self.0.as_ptr(), buf, len, 0) })?;
        match got as usize == len {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn done(result: c_int) -> io::Result<c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        other => Ok(other),
    }
}
