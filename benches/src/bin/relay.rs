//! What handing over costs: four processes on two processors pass a word on through shared memory, as
//! a client, its node, the server's node and the server pass a message and its reply, and do nothing
//! else.
//!
//! `relay near FILE`, `relay far FILE` (the nodes) and `relay server FILE` run until they are killed;
//! `relay rtt FILE COUNT` is the client and prints the round trip in nanoseconds. Each shares its
//! processor with the one that is busy when it is not: client and far node on 0, near node and server
//! on 1. Whoever waits for what takes more than one step gives its processor away first.
#![forbid(unsafe_code)]

use io_net_os::cpu;
use io_net_os::map::SharedMap;
use io_net_ring::shared;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

/// The steps of a round trip, a word in a cache line of its own each.
const STEPS: usize = 6;
const LINE: usize = 128;

/// Looks before the processor is given away again.
const LOOKS: u32 = 400;

/// How a process waits.
#[derive(Clone, Copy)]
enum Wait {
    /// The next step is another processor's, and soon done.
    Looking,
    /// Others need this processor first.
    Aside,
}

use Wait::{Aside, Looking};

type Words<'m> = [&'m AtomicU32; STEPS];

/// What a process that is not the client does in a round: waits for a step, does the next.
type Part = &'static [(usize, Wait)];

const NEAR: Part = &[(0, Looking), (4, Aside)];
const FAR: Part = &[(1, Aside), (3, Looking)];
const SERVER: Part = &[(2, Aside)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["near", file] => with_words(file, 1, |words| pass_on(words, NEAR)),
        ["far", file] => with_words(file, 0, |words| pass_on(words, FAR)),
        ["server", file] => with_words(file, 1, |words| pass_on(words, SERVER)),
        ["rtt", file, count] => {
            with_words(file, 0, |words| rtt(words, count.parse().unwrap_or(10_000)))
        }
        _ => Err(io::Error::other(
            "usage: relay near|far|server FILE | rtt FILE COUNT",
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("relay: {why}");
            ExitCode::FAILURE
        }
    }
}

fn with_words(
    file: &str,
    processor: usize,
    run: impl FnOnce(&Words<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(file)?;
    file.set_len(4096)?;
    let map = SharedMap::new(file.as_fd(), 4096)?;
    let mut words = Vec::with_capacity(STEPS);
    for step in 0..STEPS {
        words.push(shared::view(&map, step * LINE).ok_or(io::ErrorKind::InvalidData)?);
    }
    cpu::pin_thread(processor)?;
    let words = words.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    run(&words)
}

fn pass_on(words: &Words<'_>, part: Part) -> io::Result<()> {
    println!("serving");
    for round in 1.. {
        for &(step, how) in part {
            wait_for(words[step], round, how);
            words[step + 1].store(round, Ordering::Release);
        }
    }
    Ok(())
}

fn rtt(words: &Words<'_>, count: usize) -> io::Result<()> {
    let mut round = 0;
    io_net_meter::round_trips(count, || {
        round += 1;
        words[0].store(round, Ordering::Release);
        wait_for(words[STEPS - 1], round, Aside);
        Ok(())
    })
}

fn wait_for(word: &AtomicU32, round: u32, how: Wait) {
    if matches!(how, Aside) {
        std::thread::yield_now();
    }
    loop {
        for _ in 0..LOOKS {
            if word.load(Ordering::Acquire) == round {
                return;
            }
            cpu::pause();
        }
        std::thread::yield_now();
    }
}
