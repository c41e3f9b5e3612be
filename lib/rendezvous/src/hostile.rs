//! Tests: one side writes rubbish wherever it can, and the other side goes on.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{ClientEnd, Connecting, Outgoing, Progress, Room};
use crate::greet::Listener;
use crate::hello::{self, Hello};
use crate::inbox::{Inbox, Item};
use crate::layout::{SLOTS, Slot, WINDOW};
use crate::pulse::Pulse;
use crate::server::ServerEnd;

/// A generator of numbers (xorshift) whose seed is printed where a test fails.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

fn seed() -> u64 {
    let seed = io_net_os::clock::realtime_ns() | 1;
    println!("seed {seed}");
    seed
}

/// A client and a server in this process.
fn pair(name: &str, inbox: &mut Inbox, flags: u32, unblock: bool) -> (ClientEnd, Arc<ServerEnd>) {
    let file = format!("io-net-hostile-{name}-{}", std::process::id());
    let path = std::env::temp_dir().join(file);
    let listener = Listener::new(&path).unwrap();
    let probe = Box::new(0x1234_5678_9abc_def0_u64);
    let hello = Hello {
        magic: hello::MAGIC,
        version: hello::VERSION,
        flags,
        probe_at: std::ptr::from_ref::<u64>(&probe).expose_provenance() as u64,
        probe: *probe,
        ..Hello::default()
    };
    let mut connecting = Connecting::start(&path, &hello, None).unwrap();
    let greeting = listener.accept().unwrap().greet().unwrap();
    let (seat, _) = inbox.reserve(greeting.owner()).unwrap();
    let prepared = greeting.accept(&seat, unblock).unwrap();
    inbox.admit(prepared.end.clone());
    prepared.welcome().unwrap();
    (connecting.poll().unwrap().unwrap(), prepared.end)
}

/// A word that may mean something: small, large, or near what is there.
fn rubbish(random: &mut Random, old: u64) -> u64 {
    match random.below(6) {
        0 => random.next() % 8,
        1 => old.wrapping_add(random.next() % 33),
        2 => old ^ 1 << random.below(64),
        3 => u64::MAX - random.next() % 5000,
        4 => random.next() % (WINDOW as u64 * 2),
        _ => random.next(),
    }
}

/// Scribbles over what matters most: header, ring, slots' words; and anywhere, windows included.
fn scribble(random: &mut Random, memory: &crate::layout::Memory) {
    let slot = Slot::new(random.below(4));
    let at = match random.below(5) {
        0 => random.below(16) * 8,
        1 => 4096 + random.below(8192) / 8 * 8,
        2 => slot.message_at() - 64 + random.below(8) * 8,
        3 => slot.reply_at() - 64 + random.below(8) * 8,
        _ => random.below(Slot::new(4).window_at() / 8) * 8,
    };
    let word = memory.bytes().word64(at).unwrap();
    word.store(
        rubbish(random, word.load(Ordering::Relaxed)),
        Ordering::Relaxed,
    );
}

fn send(client: &ClientEnd, slot: Slot, bytes: &[u8], reply: &mut [u8]) -> crate::client::InFlight {
    let out = Outgoing {
        message: &[IoSlice::new(bytes)],
        len: bytes.len() as u64,
        room: Room::of(&mut [IoSliceMut::new(reply)]),
        priority: 10,
        tid: 1,
        coid: 1,
    };
    client.send(slot, &out)
}

/// What a server does with what comes, whatever it is.
fn serve(random: &mut Random, item: Item) {
    let Item::Message(end, message) = item else {
        return;
    };
    let mut buf = vec![0; random.below(3 * WINDOW)];
    // Each of these may fail, in each of its ways.
    let _ = end.read(
        &message,
        rubbish(random, 0),
        &mut [IoSliceMut::new(&mut buf)],
    );
    let _ = end.write(&message, rubbish(random, 0), &[IoSlice::new(&buf)]);
    if random.below(2) == 0 {
        let _ = end.ask_message(&message, rubbish(random, 0), random.below(2 * WINDOW));
        if let Ok(Some(n)) = end.helped(&message) {
            end.read_window(&message, n, &mut [IoSliceMut::new(&mut buf)], 0);
        }
        let _ = end.ask_reply(&message, rubbish(random, 0), &[IoSlice::new(&buf)], 3);
    }
    end.records().put(message);
    let _ = end.reply(&message, 0, 0, &[IoSlice::new(&buf)]);
    let _ = end.reply_rest(&message, 0, 0, random.below(WINDOW), &[IoSlice::new(&buf)]);
}

#[test]
fn a_client_that_scribbles_disturbs_itself_only() {
    let mut random = Random(seed());
    let mut inbox = Inbox::new().unwrap();
    let (honest, served) = pair("honest", &mut inbox, 0, false);
    assert!(served.peer_memory());
    let mut hostile = Vec::new();
    // Not with their memory shown: that is this process's own.
    for (name, unblock) in [("a", true), ("b", false)] {
        hostile.push(pair(name, &mut inbox, hello::NO_PEER_MEMORY, unblock));
    }
    let end = Instant::now() + Duration::from_secs(2);
    let (mut rounds, mut to) = (0_u32, vec![0; 100]);
    while Instant::now() < end {
        for (client, _) in &hostile {
            for _ in 0..random.below(20) {
                scribble(&mut random, client.memory());
            }
            let _ = client.pulse(Pulse {
                code: -1,
                priority: 1,
                value: 2,
                coid: 3,
            });
            let slot = Slot::new(random.below(SLOTS));
            let mut flight = send(client, slot, &[1; 20], &mut to);
            scribble(&mut random, client.memory());
            let _ = (client.look(&mut flight), client.withdraw(&flight));
        }
        // The honest one's turn comes among the others', and is served as it should be.
        let slot = honest.claim().unwrap();
        let message = rounds.to_ne_bytes();
        let mut reply = [0; 4];
        let mut flight = send(&honest, slot, &message, &mut reply);
        let mut answered = false;
        for _ in 0..100_000 {
            let Some(item) = inbox.poll() else { break };
            match item {
                Item::Message(end, message) if Arc::ptr_eq(&end, &served) => {
                    let mut buf = [0; 4];
                    let n = end.read(&message, 0, &mut [IoSliceMut::new(&mut buf)]);
                    assert_eq!((n, u32::from_ne_bytes(buf)), (Ok(4), rounds));
                    end.reply(&message, 0, 0, &[IoSlice::new(&buf)]).unwrap();
                    answered = true;
                }
                other => serve(&mut random, other),
            }
        }
        assert!(answered, "round {rounds}");
        let Some(Progress::Reply(answer)) = honest.look(&mut flight) else {
            panic!("round {rounds}: no reply");
        };
        honest.read_reply(&flight, answer.rest, &mut [IoSliceMut::new(&mut reply)]);
        assert_eq!(reply, message);
        honest.release(slot);
        rounds += 1;
    }
    assert!(rounds > 10, "{rounds} rounds");
}

#[test]
fn a_server_that_scribbles_cannot_make_a_client_leave_its_buffers() {
    let mut random = Random(seed());
    let mut inbox = Inbox::new().unwrap();
    let (client, end) = pair("server", &mut inbox, hello::NO_PEER_MEMORY, false);
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            let mut random = Random(random.next() | 1);
            while !stop.load(Ordering::Relaxed) {
                scribble(&mut random, &end.memory);
            }
        });
        let until = Instant::now() + Duration::from_secs(1);
        let (mut answers, patience) = (0_u32, Duration::from_secs(60));
        while Instant::now() < until || answers == 0 && Instant::now() < until + patience {
            let mut guarded = [0x5a_u8; 96];
            let (_, rest) = guarded.split_at_mut(32);
            let (reply, _) = rest.split_at_mut(32);
            let mut flight = send(&client, Slot::new(answers as usize % 4), &[7; 5000], reply);
            for _ in 0..50 {
                match client.look(&mut flight) {
                    None => (),
                    Some(Progress::Reply(answer)) => {
                        client.read_reply(&flight, answer.rest, &mut [IoSliceMut::new(reply)]);
                        answers += 1;
                    }
                    Some(Progress::WantsMessage(piece)) => {
                        client.help_message(&flight, piece, &[IoSlice::new(&[7; 5000])], 0);
                    }
                    Some(Progress::HasReply(piece)) => {
                        client.help_reply(&flight, piece, &mut [IoSliceMut::new(reply)]);
                    }
                }
            }
            let _ = client.withdraw(&flight);
            let _ = client.sleep(&flight, Some(Duration::from_micros(1)));
            assert!(guarded[..32] == [0x5a; 32] && guarded[64..] == [0x5a; 32]);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(answers > 0);
    });
}
