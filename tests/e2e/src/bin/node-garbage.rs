//! A client that sends a service of a node whatever comes: `node-garbage SERVICE SEED COUNT`.
//!
//! It prints `sent COUNT` when each message has been answered somehow.

use io_net_msg::{Error, name, timeout};
use std::time::Duration;

/// The service has not answered in time.
const TIMED_OUT: Error = Error(110);
/// The service has gone.
const GONE: Error = Error(3);
/// Generous, for loaded machines.
const LIMIT: Duration = Duration::from_secs(20);

/// Numbers that look like chance, the same for the same seed (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A message: often one that begins like a request.
    fn message(&mut self) -> Vec<u8> {
        let length = match self.next() % 4 {
            0 => self.next() % 60,
            1 => self.next() % 2_000_000,
            _ => 40 + self.next() % 5000,
        };
        let mut message: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
        if !self.next().is_multiple_of(4) && message.len() >= 40 {
            // Neither waiting for output nor for an end: those may take for ever.
            let op = [1, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
            message[..4]
                .copy_from_slice(&(op[self.next() as usize % op.len()] as u32).to_le_bytes());
            message[16..32].fill(0);
            message[36..40].copy_from_slice(&(self.next() as u32 % 100).to_le_bytes());
            if self.next().is_multiple_of(2) {
                message[40..].fill(b'/');
            }
        }
        message
    }
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().collect();
    let number = |n: usize| args.get(n).and_then(|text| text.parse().ok()).unwrap_or(1);
    let service = args.get(1).map_or("io-net/files", String::as_str);
    let (seed, count) = (number(2), number(3));
    let connection = name::open(service, false)?;
    let mut chance = Chance(seed | 1);
    let mut reply = vec![0; 100_000];
    for _ in 0..count {
        let message = chance.message();
        let room = chance.next() as usize % reply.len();
        timeout::set(timeout::SEND | timeout::REPLY, Some(LIMIT));
        match connection.send(&message, &mut reply[..room]) {
            Err(TIMED_OUT) => return Err(TIMED_OUT),
            // A handle that there is not gives the same; a service that has gone cannot be found.
            Err(GONE) => drop(name::open(service, false)?),
            _ => {}
        }
    }
    println!("sent {count}");
    Ok(())
}
