//! One client of the control socket: lines in, lines out, both bounded.

use crate::log::{Line, Log};
use io_net_proto::control::{LINE_MAX, Reply};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Bytes of answers that wait for a client, at most.
const UNSENT_MAX: usize = 8 << 20;

/// See the module's documentation.
pub(super) struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
    last_active: Instant,
    follows: bool,
    /// Lines of the log that it has been sent.
    log_seen: u64,
}

impl Client {
    /// A new one, whose stream does not block.
    pub(super) fn new(stream: UnixStream) -> Client {
        Client {
            stream,
            received: Vec::new(),
            unsent: Vec::new(),
            last_active: Instant::now(),
            follows: false,
            log_seen: 0,
        }
    }

    pub(super) fn stream(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn last_active(&self) -> Instant {
        self.last_active
    }

    /// Reads some of what has come; false where the client is gone or sends a line that is too long.
    pub(super) fn fill(&mut self) -> bool {
        self.last_active = Instant::now();
        let mut chunk = [0; 16384];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.received.extend_from_slice(&chunk[..n]);
                let line_too_long =
                    self.received.len() > LINE_MAX && !self.received.contains(&b'\n');
                !line_too_long
            }
            Err(e) => matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ),
        }
    }

    /// Takes a whole line, without its end.
    pub(super) fn next_line(&mut self) -> Option<Vec<u8>> {
        if self.unsent.len() > UNSENT_MAX {
            return None;
        }
        let end = self.received.iter().position(|&byte| byte == b'\n')?;
        let mut line: Vec<u8> = self.received.drain(..=end).collect();
        line.pop();
        Some(line)
    }

    /// Puts an answer among what is to be sent.
    pub(super) fn reply(&mut self, reply: &Reply) {
        // A reply is made of strings and numbers: it always has a form in JSON.
        if let Ok(text) = serde_json::to_vec(reply) {
            self.unsent.extend_from_slice(&text);
            self.unsent.push(b'\n');
        }
    }

    /// Sends what the client takes now; true where nothing is left.
    ///
    /// # Errors
    /// It is gone, or leaves too much lying.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return if self.unsent.len() > UNSENT_MAX {
                        Err(e)
                    } else {
                        Ok(false)
                    };
                }
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    pub(super) fn follow_log(&mut self, follow: bool) {
        self.follows = follow;
    }

    pub(super) fn follows(&self) -> bool {
        self.follows
    }

    /// The lines of the log that this client has not been sent.
    pub(super) fn log_since(&mut self, log: &Log) -> Reply {
        let (lines, seen) = log.since(self.log_seen);
        self.log_seen = seen;
        Reply::Log {
            lines: lines.iter().map(text).collect(),
        }
    }

    /// Sends those lines, if there are any.
    pub(super) fn send_log(&mut self, log: &Log) {
        match self.log_since(log) {
            Reply::Log { lines } if lines.is_empty() => {}
            reply => self.reply(&reply),
        }
    }

    /// All that is kept of the log.
    pub(super) fn whole_log(log: &Log) -> Reply {
        let lines = log.since(0).0;
        Reply::Log {
            lines: lines.iter().map(text).collect(),
        }
    }
}

/// A line with its time in seconds since 1970.
fn text(line: &Line) -> String {
    let (s, ms) = (
        line.time_ns / 1_000_000_000,
        line.time_ns / 1_000_000 % 1000,
    );
    format!(
        "{s}.{ms:03} {}{}",
        crate::log::prefix(line.level),
        line.text
    )
}
