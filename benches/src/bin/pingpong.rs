//! Messages over stream sockets: 64 bytes there and 64 back, one at a time, or 1 MiB one way.
//!
//! `pingpong serve ADDR` answers every connection, `pingpong connect ADDR COUNT` prints the round
//! trip in nanoseconds. `pingpong drain ADDR` reads what comes, `pingpong pour ADDR COUNT` prints the
//! bytes a second at which it arrives there. ADDR is ADDR:PORT, or the path of a Unix socket. `pingpong
//! awake CPU` keeps a processor from sleeping.
#![forbid(unsafe_code)]

use io_net_meter::{LARGE, SMALL};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve", address] => accept_all(address, answer),
        ["connect", address, count] => round_trips(address, count.parse().unwrap_or(10_000)),
        ["drain", address] => accept_all(address, drain),
        ["pour", address, count] => pour(address, count.parse().unwrap_or(1000)),
        ["awake", cpu] => awake(cpu.parse().unwrap_or(0)),
        _ => {
            eprintln!(
                "usage: pingpong serve ADDR | connect ADDR COUNT | drain ADDR | pour ADDR COUNT | \
                 awake CPU"
            );
            return ExitCode::FAILURE;
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("pingpong: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A connected stream socket of either kind.
trait Stream: Read + Write {
    /// No more will be written.
    fn finish(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn finish(&self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn finish(&self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

fn is_path(address: &str) -> bool {
    address.contains('/')
}

fn connect(address: &str) -> io::Result<Box<dyn Stream>> {
    if is_path(address) {
        return Ok(Box::new(UnixStream::connect(address)?));
    }
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// Accepts one connection after another, and has `serve` deal with each.
fn accept_all(address: &str, serve: fn(&mut dyn Stream) -> io::Result<()>) -> io::Result<()> {
    if is_path(address) {
        let listener = UnixListener::bind(address)?;
        println!("serving");
        for stream in listener.incoming() {
            serve(&mut stream?)?;
        }
        return Ok(());
    }
    let listener = TcpListener::bind(address)?;
    println!("serving");
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        serve(&mut stream)?;
    }
    Ok(())
}

fn answer(stream: &mut dyn Stream) -> io::Result<()> {
    let mut message = [0; SMALL];
    while stream.read_exact(&mut message).is_ok() {
        stream.write_all(&message)?;
    }
    Ok(())
}

fn round_trips(address: &str, count: usize) -> io::Result<()> {
    let mut stream = connect(address)?;
    let mut message = [7; SMALL];
    io_net_meter::round_trips(count, || {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)
    })
}

fn drain(stream: &mut dyn Stream) -> io::Result<()> {
    let mut message = vec![0; LARGE];
    while stream.read(&mut message)? > 0 {}
    Ok(())
}

fn pour(address: &str, count: usize) -> io::Result<()> {
    let mut stream = connect(address)?;
    let message = vec![7; LARGE];
    for _ in 0..count / 10 {
        stream.write_all(&message)?;
    }
    io_net_meter::rate(count * LARGE, || {
        for _ in 0..count {
            stream.write_all(&message)?;
        }
        stream.finish()?;
        // The other side closes when it has read all.
        stream.read(&mut [0; 1]).map(drop)
    })
}

fn awake(cpu: usize) -> io::Result<()> {
    io_net_os::cpu::pin_thread(cpu)?;
    loop {
        std::hint::spin_loop();
    }
}
