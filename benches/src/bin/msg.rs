//! Send, Receive, Reply: what the benches of message passing run, on one node or over Qnet.
//!
//! `msg serve poll|block` attaches the name `bench` and answers until it is killed: a small message
//! with its own bytes, an empty one with the number of empty ones so far, any other with nothing.
//!
//! With NAME as for `name_open`: `msg rtt NAME COUNT` prints the round trip of 64 bytes each way in
//! nanoseconds. `msg bulk NAME COUNT THREADS` prints the bytes a second of 1 MiB messages, COUNT
//! for each thread. `msg gap NAME SECONDS` alone sends empty messages, one after another, checks that
//! each was executed once, and prints the longest time between two answers in milliseconds.
#![forbid(unsafe_code)]

use io_net_meter::{LARGE, SMALL};
use io_net_msg::name::{self, Scope};
use io_net_msg::{Channel, Connection, Error, Incoming, Result};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The server's name.
const NAME: &str = "bench";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve", "poll"] => serve(poll),
        ["serve", "block"] => serve(Channel::receive),
        ["rtt", name, count] => open(name).and_then(|to| rtt(&to, number(count))),
        ["bulk", name, count, threads] => bulk(name, number(count), number(threads)),
        ["gap", name, seconds] => {
            let time = Duration::from_secs(number(seconds) as u64);
            open(name).and_then(|to| gap(&to, time))
        }
        _ => {
            eprintln!(
                "usage: msg serve poll|block | rtt NAME COUNT | bulk NAME COUNT THREADS | \
                 gap NAME SECONDS"
            );
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

fn number(word: &str) -> usize {
    word.parse().unwrap_or(1)
}

fn open(name: &str) -> Result<Connection> {
    name::open(name, false)
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
    let (channel, _attached) = name::attach(NAME, Scope::Local)?;
    println!("serving");
    let mut buf = vec![0; LARGE];
    let mut empty = 0_u64;
    loop {
        let Incoming::Message(message) = receive(&channel, &mut buf)? else {
            continue;
        };
        // A client that was killed needs no answer.
        let _ = match message.len() {
            SMALL => message.reply(0, &buf[..SMALL]),
            0 => {
                empty += 1;
                message.reply(0, &empty.to_ne_bytes())
            }
            _ => message.reply(0, &[]),
        };
    }
}

fn rtt(to: &Connection, count: usize) -> Result<()> {
    let (message, mut answer) = ([7; SMALL], [0; SMALL]);
    io_net_meter::round_trips(count, || match to.send(&message, &mut answer)?.len {
        SMALL => Ok(()),
        _ => Err(Error::PROTOCOL),
    })
}

fn bulk(name: &str, count: usize, threads: usize) -> Result<()> {
    let to = open(name)?;
    send_large(&to, count / 10, threads)?;
    io_net_meter::rate(count * threads * LARGE, || send_large(&to, count, threads))
}

/// Sends `count` large messages from each of `threads`. Each has arrived when it is replied to.
fn send_large(to: &Connection, count: usize, threads: usize) -> Result<()> {
    let message = vec![7; LARGE];
    let send = || (0..count).try_for_each(|_| to.send(&message, &mut []).map(drop));
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..threads).map(|_| scope.spawn(send)).collect();
        let mut ends = senders.into_iter().map(|sender| sender.join());
        ends.try_for_each(|end| end.unwrap_or(Err(Error::CANCELED)))
    })
}

fn gap(to: &Connection, time: Duration) -> Result<()> {
    let (start, mut last) = (Instant::now(), Instant::now());
    let mut longest = Duration::ZERO;
    let executed = || {
        let mut answer = [0; 8];
        to.send(&[], &mut answer)
            .map(|_| u64::from_ne_bytes(answer))
    };
    let before = executed()?;
    for sent in 1.. {
        let count = executed()? - before;
        if count != sent {
            eprintln!("msg: of {sent} messages {count} were executed");
            return Err(Error::PROTOCOL);
        }
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
        if now - start > time {
            break;
        }
    }
    println!("{:.3}", longest.as_secs_f64() * 1e3);
    Ok(())
}
