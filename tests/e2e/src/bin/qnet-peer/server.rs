//! The server.

use crate::{ask, checksum, pattern};
use io_net_msg::channel::Incoming;
use io_net_msg::name::{Attached, Scope};
use io_net_msg::{Channel, Error, Event, Pulse, Received, flags, handle, pulse};
use std::collections::HashSet;

/// Bytes received at once, and moved at once after that.
const PIECE: usize = 10_000;
const EACCES: Error = Error(13);

/// Messages that wait, and numbers that have come.
#[derive(Default)]
struct State {
    held: Vec<Received>,
    counted: HashSet<u64>,
}

/// Serves until it is killed; where a name is given, under that.
pub(crate) fn serve(channel_flags: u32, name: Option<(&str, Scope)>) -> Result<(), String> {
    let wanted = channel_flags | flags::CHF_DISCONNECT;
    let channel = Channel::create(wanted).map_err(|e| format!("no channel: {e}"))?;
    let named = name.map(|(name, scope)| Attached::new(name, scope, channel.chid()));
    let _named = named.transpose().map_err(|e| format!("no name: {e}"))?;
    println!("serving {} {}", std::process::id(), channel.chid());
    let mut state = State::default();
    let mut buf = vec![0; PIECE];
    loop {
        match channel.receive(&mut buf) {
            Ok(Incoming::Message(message)) => {
                let first = &buf[..message.len()];
                if let Err(error) = state.take(message, first) {
                    println!("reply failed: {error}");
                }
            }
            Ok(Incoming::Pulse(pulse)) => state.take_pulse(pulse),
            Err(error) => return Err(format!("receive: {error}")),
        }
    }
}

impl State {
    fn take(&mut self, message: Received, first: &[u8]) -> Result<(), Error> {
        match first.first().copied().unwrap_or(ask::ECHO) {
            ask::ECHO => {
                let whole = read_all(&message, first)?;
                message.reply(whole.len() as i64, &whole)
            }
            ask::WHO => {
                let (info, client) = (message.info(), message.client());
                let text = format!(
                    "nd={} pid={} uid={} gid={} tid={}",
                    client.nd, client.pid, client.uid, client.gid, info.tid
                );
                message.reply(0, text.as_bytes())
            }
            ask::SUM => {
                let whole = read_all(&message, first)?;
                let answer = [whole.len() as u64, checksum(&whole)].map(u64::to_ne_bytes);
                message.reply(0, answer.as_flattened())
            }
            ask::GET => write_all(message, number(first) as usize),
            ask::FAIL => message.error(EACCES),
            ask::HOLD => {
                println!("holding");
                self.held.push(message);
                Ok(())
            }
            ask::DIE => std::process::exit(0),
            ask::EVENT => {
                let event = Event::Pulse {
                    coid: number(first) as i32,
                    priority: 10,
                    code: 5,
                    value: 77,
                };
                message.deliver_event(&event)?;
                message.reply(0, b"")
            }
            ask::COUNT => {
                let fresh = self.counted.insert(number(first));
                message.reply(i64::from(fresh), b"")
            }
            _ => message.error(Error::INVALID),
        }
    }

    fn take_pulse(&mut self, pulse: Pulse) {
        match pulse.code {
            pulse::CODE_UNBLOCK => {
                println!("unblock");
                let rcvid = pulse.value as i32;
                let at = self.held.iter().position(|held| held.rcvid() == rcvid);
                if let Some(at) = at {
                    // Who was unblocked gets what the server makes of it.
                    let _ = self.held.swap_remove(at).reply(42, b"late");
                }
            }
            pulse::CODE_DISCONNECT => {
                println!("disconnect");
                let _ = handle::connect_detach(pulse.scoid);
                self.held.retain(|held| held.info().scoid != pulse.scoid);
            }
            code => println!("pulse {code} {}", pulse.value),
        }
    }
}

/// The whole message, of which `first` has come.
fn read_all(message: &Received, first: &[u8]) -> Result<Vec<u8>, Error> {
    let mut whole = first.to_vec();
    let len = message.info().srcmsglen as usize;
    while whole.len() < len {
        let at = whole.len();
        whole.resize(len.min(at + 5 * PIECE), 0);
        let got = message.read(at, &mut whole[at..])?;
        whole.truncate(at + got);
        if got == 0 {
            break;
        }
    }
    Ok(whole)
}

/// Writes `len` bytes of the pattern, the first of them by the reply.
fn write_all(message: Received, len: usize) -> Result<(), Error> {
    let whole: Vec<u8> = (0..len).map(pattern).collect();
    let first = len.min(PIECE);
    let mut at = first;
    while at < len {
        let end = len.min(at + 7 * PIECE);
        let written = message.write(at, &whole[at..end])?;
        if written == 0 {
            return message.error(Error::INVALID);
        }
        at += written;
    }
    message.reply(len as i64, &whole[..first])
}

/// The number that follows a message's first byte.
fn number(message: &[u8]) -> u64 {
    let bytes = message.get(1..9).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u64::from_ne_bytes)
}
