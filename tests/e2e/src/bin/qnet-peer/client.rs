//! The client.

use crate::{ask, checksum, pattern};
use io_net_msg::channel::Incoming;
use io_net_msg::{Channel, Connection, Error, name, netmgr, timeout};
use std::time::{Duration, Instant};

/// Does with a channel what a command line asks for, and prints what came of it.
pub(crate) fn call(
    node: &str,
    pid: &str,
    chid: &str,
    what: &str,
    numbers: &[&str],
) -> Result<(), String> {
    let (nd, pid, chid) = (find(node)?, parse(pid)? as i32, parse(chid)? as i32);
    let server = Connection::attach(nd, pid, chid, 0, 0).map_err(|e| format!("attach: {e}"))?;
    ask(&server, what, numbers)
}

/// The same with the channel of that name.
pub(crate) fn open(path: &str, global: bool, what: &str, numbers: &[&str]) -> Result<(), String> {
    let server = name::open(path, global).map_err(|e| format!("open {path}: {e}"))?;
    ask(&server, what, numbers)
}

fn parse(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn ask(server: &Connection, what: &str, numbers: &[&str]) -> Result<(), String> {
    let numbers = numbers
        .iter()
        .map(|n| parse(n))
        .collect::<Result<Vec<u64>, _>>()?;
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    match what {
        "echo" => echo(server, number(0) as usize, number(1).max(1)),
        "who" => say(text_of(server, &[ask::WHO])?),
        "sum" => sum(server, number(0) as usize),
        "get" => get(server, number(0) as usize),
        "fail" => say(outcome(server, &[ask::FAIL])),
        "hold" => hold(server, number(0)),
        "die" => say(outcome(server, &[ask::DIE])),
        "pulse" => {
            let pulsed = server.pulse(-1, number(0) as i8, number(1));
            say(pulsed.map_or_else(|e| format!("error {}", e.errno()), |()| "sent".into()))
        }
        "event" => event(server),
        "count" => count(server, number(0), Duration::ZERO),
        "steady" => count(server, number(0), Duration::from_millis(1)),
        "crowd" => crowd(server, number(0), number(1)),
        _ => Err(format!("{what} is nothing that can be asked for")),
    }
}

/// Prints a node's descriptor and what it is called.
pub(crate) fn name_node(name: &str) -> Result<(), String> {
    let nd = find(name)?;
    let name = netmgr::ndtostr(0, nd).map_err(|e| format!("ndtostr: {e}"))?;
    say(format!("{nd} {name}"))
}

fn find(node: &str) -> Result<u32, String> {
    if node == "." {
        return Ok(0);
    }
    let (nd, _) = netmgr::strtond(node).map_err(|e| format!("strtond {node}: {e}"))?;
    Ok(nd)
}

fn say(text: String) -> Result<(), String> {
    println!("{text}");
    Ok(())
}

fn outcome(server: &Connection, message: &[u8]) -> String {
    match server.send(message, &mut []) {
        Ok(reply) => format!("status {}", reply.status),
        Err(error) => format!("error {}", error.errno()),
    }
}

fn text_of(server: &Connection, message: &[u8]) -> Result<String, String> {
    let mut reply = [0; 1000];
    let got = server.send(message, &mut reply).map_err(sending)?;
    Ok(String::from_utf8_lossy(&reply[..got.len.min(1000)]).into_owned())
}

fn sending(error: Error) -> String {
    format!("send: {error}")
}

fn message(kind: u8, len: usize) -> Vec<u8> {
    let mut message: Vec<u8> = (0..len.max(1)).map(pattern).collect();
    message[0] = kind;
    message
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(number.to_ne_bytes());
    message
}

fn echo(server: &Connection, len: usize, times: u64) -> Result<(), String> {
    let sent = message(ask::ECHO, len);
    let mut back = vec![0; sent.len() + 10];
    let start = Instant::now();
    for _ in 0..times {
        let reply = server.send(&sent, &mut back).map_err(sending)?;
        if reply.status != sent.len() as i64 || back[..sent.len()] != sent {
            return Err(format!("status {}, or other bytes came back", reply.status));
        }
    }
    say(format!("echoed {times} in {:?}", start.elapsed()))
}

fn sum(server: &Connection, len: usize) -> Result<(), String> {
    let sent = message(ask::SUM, len);
    let mut answer = [0; 16];
    server.send(&sent, &mut answer).map_err(sending)?;
    let expected = [sent.len() as u64, checksum(&sent)].map(u64::to_ne_bytes);
    if answer != *expected.as_flattened() {
        return Err("the server read something else".into());
    }
    say(format!("summed {len}"))
}

fn get(server: &Connection, len: usize) -> Result<(), String> {
    let mut got = vec![0xff; len + 10];
    let reply = server
        .send(&numbered(ask::GET, len as u64), &mut got)
        .map_err(sending)?;
    let right = got
        .iter()
        .take(len)
        .enumerate()
        .all(|(at, &b)| b == pattern(at));
    if reply.status != len as i64 || !right || got[len..] != [0xff; 10] {
        return Err(format!("status {}, or other bytes came", reply.status));
    }
    say(format!("got {len}"))
}

/// Waits for `ms` milliseconds; for ever where that is 0.
fn hold(server: &Connection, ms: u64) -> Result<(), String> {
    if ms > 0 {
        timeout::set(timeout::REPLY, Some(Duration::from_millis(ms)));
    }
    println!("waiting");
    say(outcome(server, &[ask::HOLD]))
}

/// Has the server deliver a pulse to a channel of this process.
fn event(server: &Connection) -> Result<(), String> {
    let channel = Channel::create(0).map_err(|e| format!("no channel: {e}"))?;
    let own = Connection::attach(0, 0, channel.chid(), 0, 0).map_err(|e| format!("attach: {e}"))?;
    server
        .send(&numbered(ask::EVENT, own.coid() as u64), &mut [])
        .map_err(sending)?;
    timeout::set(timeout::RECEIVE, Some(Duration::from_secs(10)));
    match channel.receive(&mut []) {
        Ok(Incoming::Pulse(pulse)) => say(format!("event {} {}", pulse.code, pulse.value)),
        Ok(_) => Err("a message came instead".into()),
        Err(error) => Err(format!("no event: {error}")),
    }
}

/// Sends messages with numbers that no other process uses, with a pause after each. Each must be
/// counted at most once, and exactly once where it succeeded.
fn count(server: &Connection, times: u64, pause: Duration) -> Result<(), String> {
    let (mut done, mut failed, mut longest) = (0, 0, Duration::ZERO);
    let first = u64::from(std::process::id()) << 32;
    for number in first..first + times {
        if number == first + 20 {
            println!("begun");
        }
        let start = Instant::now();
        match server.send(&numbered(ask::COUNT, number), &mut []) {
            Ok(reply) if reply.status == 1 => done += 1,
            Ok(_) => return Err(format!("message {number} came twice")),
            Err(_) => failed += 1,
        }
        longest = longest.max(start.elapsed());
        std::thread::sleep(pause);
    }
    say(format!(
        "counted {done} failed {failed}, the longest took {longest:?}"
    ))
}

/// Many threads send over one connection at once; each gets its own answers, or is told that there
/// is no room for so many and sends again.
fn crowd(server: &Connection, threads: u64, times: u64) -> Result<(), String> {
    let one = |thread: u64| -> Result<u64, String> {
        let sent = numbered(ask::ECHO, thread);
        let mut done = 0;
        while done < times {
            let mut back = [0; 9];
            match server.send(&sent, &mut back) {
                Ok(_) if back[..] == sent => done += 1,
                Ok(_) => return Err("another thread's answer came".into()),
                Err(Error::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(sending(error)),
            }
        }
        Ok(done)
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|n| scope.spawn(move || one(n))).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(_) => Err("a thread panicked".into()),
        });
        joined.sum::<Result<u64, String>>()
    })?;
    say(format!("crowded {done}"))
}
