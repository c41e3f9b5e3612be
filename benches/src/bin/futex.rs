//! The barest exchange of two processes that sleep: a word of shared memory each way, and futexes.
//!
//! `futex serve FILE` answers until it is killed, `futex rtt FILE COUNT` prints the round trip in
//! nanoseconds.
#![forbid(unsafe_code)]

use io_net_os::futex;
use io_net_os::map::SharedMap;
use io_net_ring::shared;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of the last round that each side has begun, in cache lines of their own.
struct Words<'m> {
    there: &'m AtomicU32,
    back: &'m AtomicU32,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve", file] => with_words(file, serve),
        ["rtt", file, count] => {
            with_words(file, |words| rtt(words, count.parse().unwrap_or(10_000)))
        }
        _ => Err(io::Error::other("usage: futex serve FILE | rtt FILE COUNT")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("futex: {why}");
            ExitCode::FAILURE
        }
    }
}

fn with_words(file: &str, run: impl FnOnce(&Words<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(file)?;
    file.set_len(4096)?;
    let map = SharedMap::new(file.as_fd(), 4096)?;
    let word = |offset| shared::view(&map, offset).ok_or(io::ErrorKind::InvalidData);
    run(&Words {
        there: word(0)?,
        back: word(64)?,
    })
}

fn serve(words: &Words<'_>) -> io::Result<()> {
    println!("serving");
    for round in 1.. {
        sleep_until(words.there, round);
        begin(words.back, round);
    }
    Ok(())
}

fn rtt(words: &Words<'_>, count: usize) -> io::Result<()> {
    let mut round = 0;
    io_net_meter::round_trips(count, || {
        round += 1;
        begin(words.there, round);
        sleep_until(words.back, round);
        Ok(())
    })
}

fn begin(word: &AtomicU32, round: u32) {
    word.store(round, Ordering::Release);
    futex::wake(word, 1);
}

fn sleep_until(word: &AtomicU32, round: u32) {
    loop {
        let now = word.load(Ordering::Acquire);
        if now == round {
            return;
        }
        futex::wait(word, now, None);
    }
}
