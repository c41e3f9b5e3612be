//! Send, Receive, Reply: what the benches of message passing run.
//!
//! `msg serve poll|block` says `serving PID CHID` and answers until it is killed: a small message
//! with its own bytes, a large one with nothing. `msg rtt PID CHID COUNT` prints the round trip of 64
//! bytes each way in nanoseconds, `msg bulk PID CHID COUNT` the bytes a second of 1 MiB messages.
#![forbid(unsafe_code)]

use io_net_meter::{LARGE, SMALL};
use io_net_msg::{Channel, Connection, Error, Incoming, Result};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve", "poll"] => serve(poll),
        ["serve", "block"] => serve(Channel::receive),
        ["rtt", pid, chid, count] => connect(pid, chid).and_then(|to| rtt(&to, number(count))),
        ["bulk", pid, chid, count] => connect(pid, chid).and_then(|to| bulk(&to, number(count))),
        _ => {
            eprintln!("usage: msg serve poll|block | rtt PID CHID COUNT | bulk PID CHID COUNT");
            return ExitCode::FAILURE;
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("msg: {why}");
            ExitCode::FAILURE
        }
    }
}

fn number<T: std::str::FromStr + Default>(word: &str) -> T {
    word.parse().unwrap_or_default()
}

fn connect(pid: &str, chid: &str) -> Result<Connection> {
    Connection::attach(0, number(pid), number(chid), 0, 0)
}

/// Receives without ever sleeping.
fn poll(channel: &Channel, buf: &mut [u8]) -> Result<Incoming> {
    loop {
        if let Some(incoming) = channel.try_receive(buf)? {
            return Ok(incoming);
        }
        std::hint::spin_loop();
    }
}

fn serve(receive: fn(&Channel, &mut [u8]) -> Result<Incoming>) -> Result<()> {
    let channel = Channel::create(0)?;
    println!("serving {} {}", std::process::id(), channel.chid());
    let mut buf = vec![0; LARGE];
    loop {
        let Incoming::Message(message) = receive(&channel, &mut buf)? else {
            continue;
        };
        let answer = match message.len() {
            SMALL => &buf[..SMALL],
            _ => &[],
        };
        // A client that was killed needs no answer.
        let _ = message.reply(0, answer);
    }
}

fn rtt(to: &Connection, count: usize) -> Result<()> {
    let (message, mut answer) = ([7; SMALL], [0; SMALL]);
    io_net_meter::round_trips(count, || match to.send(&message, &mut answer)?.len {
        SMALL => Ok(()),
        _ => Err(Error::PROTOCOL),
    })
}

fn bulk(to: &Connection, count: usize) -> Result<()> {
    let message = vec![7; LARGE];
    // Each has arrived when it is replied to.
    let send = || to.send(&message, &mut []).map(drop);
    io_net_meter::stream(count, LARGE, send, || Ok(()))
}
