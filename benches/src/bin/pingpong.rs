//! A TCP ping-pong: 64 bytes there and 64 back, blocking sockets, one at a time.
//!
//! `pingpong serve PORT` answers every connection. `pingpong connect ADDR COUNT` prints the mean
//! round trip in nanoseconds, then its median and 99th percentile. `pingpong awake CPU` keeps a
//! processor from sleeping.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Instant;

const MESSAGE: usize = 64;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve", port] => serve(port),
        ["connect", address, count] => connect(address, count.parse().unwrap_or(10_000)),
        ["awake", cpu] => awake(cpu.parse().unwrap_or(0)),
        _ => {
            eprintln!("usage: pingpong serve PORT | connect ADDR:PORT COUNT | awake CPU");
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

fn serve(port: &str) -> io::Result<()> {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    println!("serving");
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        let mut message = [0; MESSAGE];
        while stream.read_exact(&mut message).is_ok() {
            stream.write_all(&message)?;
        }
    }
    Ok(())
}

fn connect(address: &str, count: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    for _ in 0..count / 10 {
        round_trip(&mut stream)?;
    }
    let mut took = Vec::with_capacity(count);
    let start = Instant::now();
    for _ in 0..count {
        let before = Instant::now();
        round_trip(&mut stream)?;
        took.push(before.elapsed().as_nanos());
    }
    let mean = start.elapsed().as_nanos() / count.max(1) as u128;
    took.sort_unstable();
    let at = |part: usize| took.get(count * part / 100).copied().unwrap_or(mean);
    println!("{mean} {} {}", at(50), at(99));
    Ok(())
}

fn round_trip(stream: &mut TcpStream) -> io::Result<()> {
    let mut message = [7; MESSAGE];
    stream.write_all(&message)?;
    stream.read_exact(&mut message)
}

fn awake(cpu: usize) -> io::Result<()> {
    io_net_os::cpu::pin_thread(cpu)?;
    loop {
        std::hint::spin_loop();
    }
}
