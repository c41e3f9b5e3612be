//! What one direction of a link carries between two threads, and how long a hand-over takes.
//!
//! `cargo bench -p devn-pipe` prints one JSON line a figure. The first is the spin ping-pong of two
//! words, which says how near the two processors are just now: only runs of the same mode compare.

use devn_pipe::ring::{Consumer, Meta, Producer, memory_size};
use io_net_os::cpu::{pause, pin_thread};
use io_net_os::map::SharedMap;
use io_net_os::region::Region;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: u64 = 200_000;
const RUN: Duration = Duration::from_millis(700);

fn main() {
    report("spin_ping_pong", spin_ping_pong(), "us");
    for size in [256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20] {
        let rate = throughput(size, 65_536);
        report(&format!("64k_frames_ring_{}k", size >> 10), rate, "Gbit/s");
    }
    let rate = throughput(1 << 20, 1514);
    report("1514_byte_frames", rate, "Gbit/s");
    let rate = throughput(1 << 20, 60) / (60.0 * 8.0) * 1000.0;
    report("60_byte_frames", rate, "M/s");
    report("hand_over_one_way", hand_over(64), "us");
    report("hand_over_one_way_1514", hand_over(1514), "us");
}

fn report(name: &str, value: f64, unit: &str) {
    println!(r#"{{"bench":"pipe_{name}","ours":{value:.3},"unit":"{unit}"}}"#);
}

fn ends(region: &Arc<Region>, base: usize, size: usize) -> (Producer, Consumer) {
    let producer = Producer::new(region.clone(), base, size);
    let consumer = Consumer::new(region.clone(), base, size);
    producer.zip(consumer).expect("the region has room")
}

fn region(len: usize) -> Arc<Region> {
    let map = SharedMap::anonymous(len).expect("memory");
    Arc::new(Region::new(map))
}

/// Pins to `cpu` where there is one.
fn pin(cpu: usize) {
    let _ = pin_thread(cpu);
}

/// Microseconds of half a round of two threads that answer each other in memory.
fn spin_ping_pong() -> f64 {
    let words = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let theirs = words.clone();
    let peer = std::thread::spawn(move || {
        pin(1);
        for round in 1..=ROUNDS {
            while theirs[0].load(Ordering::Acquire) != round {
                pause();
            }
            theirs[1].store(round, Ordering::Release);
        }
    });
    pin(0);
    let start = Instant::now();
    for round in 1..=ROUNDS {
        words[0].store(round, Ordering::Release);
        while words[1].load(Ordering::Acquire) != round {
            pause();
        }
    }
    let took = start.elapsed();
    peer.join().expect("it ends");
    took.as_secs_f64() * 1e6 / (2 * ROUNDS) as f64
}

/// Gbit/s of frames of `len` bytes, copied in from a buffer and out to another.
fn throughput(size: usize, len: usize) -> f64 {
    let region = region(memory_size(size));
    let (mut producer, mut consumer) = ends(&region, 0, size);
    let stop = Arc::new(AtomicU64::new(0));
    let sender_stop = stop.clone();
    let sender = std::thread::spawn(move || {
        pin(1);
        let frame = vec![7_u8; len];
        while sender_stop.load(Ordering::Relaxed) == 0 {
            for _ in 0..32 {
                let frames = std::iter::once(&frame[..]);
                match producer.push(&Meta::default(), len, frames) {
                    Ok(true) if producer.unpublished() < 32 << 10 => {}
                    Ok(true) => producer.publish(),
                    _ => break,
                }
            }
            producer.publish();
            let _ = producer.must_ring();
        }
    });
    pin(0);
    let mut frame = vec![0_u8; len];
    let mut bytes = 0_u64;
    let start = Instant::now();
    while start.elapsed() < RUN {
        for _ in 0..32 {
            match consumer.take() {
                Ok(Some(record)) => {
                    consumer.copy(&record, &mut frame);
                    bytes += record.len as u64;
                }
                _ => break,
            }
        }
        let _ = consumer.release();
    }
    let took = start.elapsed();
    stop.store(1, Ordering::Relaxed);
    sender.join().expect("it ends");
    bytes as f64 * 8.0 / took.as_secs_f64() / 1e9
}

/// Microseconds from a frame's writing to its being read at the other end, by half a round.
fn hand_over(len: usize) -> f64 {
    const SIZE: usize = 1 << 20;
    let region = region(2 * memory_size(SIZE));
    let (mut there, mut their_rx) = ends(&region, 0, SIZE);
    let (mut their_tx, mut back) = ends(&region, memory_size(SIZE), SIZE);
    let peer = std::thread::spawn(move || {
        pin(1);
        let mut frame = vec![0; len];
        for _ in 0..ROUNDS {
            receive(&mut their_rx, &mut frame);
            send(&mut their_tx, &frame);
        }
    });
    pin(0);
    let mut frame = vec![7; len];
    let start = Instant::now();
    for _ in 0..ROUNDS {
        send(&mut there, &frame);
        receive(&mut back, &mut frame);
    }
    let took = start.elapsed();
    peer.join().expect("it ends");
    took.as_secs_f64() * 1e6 / (2 * ROUNDS) as f64
}

fn send(producer: &mut Producer, frame: &[u8]) {
    let sent = producer.push(&Meta::default(), frame.len(), std::iter::once(frame));
    assert_eq!(sent, Ok(true), "one frame at a time fits");
    producer.publish();
    let _ = producer.must_ring();
}

fn receive(consumer: &mut Consumer, frame: &mut [u8]) {
    loop {
        if let Ok(Some(record)) = consumer.take() {
            consumer.copy(&record, frame);
            let _ = consumer.release();
            return;
        }
        pause();
    }
}
