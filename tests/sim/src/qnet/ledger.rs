//! What became of each message, seen from above.

use io_net_qnet::Errno;

/// Everything that was sent, by number.
#[derive(Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    /// Pulses by number: how often each came.
    pulses: Vec<u32>,
    /// What was found out, for tests that want something to have happened.
    pub tally: Tally,
    /// The error of each send that ended with one, by its number.
    pub errors: Vec<(u64, Errno)>,
}

/// How sends ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Answered by the server.
    pub answered: u64,
    /// Ended with an error, and executed by nobody.
    pub failed: u64,
    /// Ended with an error after the server had taken it.
    pub failed_executed: u64,
    /// Pulses that came.
    pub pulses: u64,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    length: u32,
    executed: u32,
    ended: bool,
    /// The client's node went down: nobody is left to be told.
    forgotten: bool,
}

impl Ledger {
    /// A client is about to send `length` bytes; the number of that send.
    pub fn sent(&mut self, length: u32) -> u64 {
        self.entries.push(Entry {
            length,
            ..Entry::default()
        });
        self.entries.len() as u64 - 1
    }

    /// A server takes that message to execute it.
    pub fn executed(&mut self, id: u64) {
        let entry = self.entry(id);
        entry.executed += 1;
        assert_eq!(entry.executed, 1, "message {id} was executed twice");
    }

    /// The client has an end of it.
    pub fn ended(&mut self, id: u64, result: Result<(), Errno>) {
        let entry = self.entry(id);
        assert!(!entry.ended, "message {id} ended twice");
        entry.ended = true;
        let executed = entry.executed == 1;
        self.errors.extend(result.err().map(|errno| (id, errno)));
        match result {
            Ok(()) => {
                assert!(executed, "message {id} was answered but not executed");
                self.tally.answered += 1;
            }
            Err(_) if executed => self.tally.failed_executed += 1,
            Err(_) => self.tally.failed += 1,
        }
    }

    /// The client is gone.
    pub fn forgotten(&mut self, id: u64) {
        self.entry(id).forgotten = true;
    }

    /// A client is about to send a pulse; its number.
    pub fn pulse_sent(&mut self) -> u64 {
        self.pulses.push(0);
        self.pulses.len() as u64 - 1
    }

    /// A pulse came.
    pub fn pulse_came(&mut self, id: u64) {
        let came = &mut self.pulses[id as usize];
        *came += 1;
        assert_eq!(*came, 1, "pulse {id} came twice");
        self.tally.pulses += 1;
    }

    /// Whether `bytes` are those of the message at `offset`.
    pub fn check(&mut self, id: u64, offset: u32, bytes: &[u8]) {
        let length = self.entry(id).length as usize;
        assert!(offset as usize + bytes.len() <= length);
        let expected = piece(id, offset, bytes.len());
        assert!(bytes == expected, "message {id} from {offset} on");
    }

    /// Sends without an end, of which somebody waits for one.
    pub fn open(&self) -> Vec<u64> {
        let entries = self.entries.iter().enumerate();
        let open = entries.filter(|(_, entry)| !entry.ended && !entry.forgotten);
        open.map(|(id, _)| id as u64).collect()
    }

    fn entry(&mut self, id: u64) -> &mut Entry {
        let known = self.entries.len();
        let entry = self.entries.get_mut(id as usize);
        entry.unwrap_or_else(|| panic!("message {id} of {known} was made up"))
    }
}

/// Bytes after which what messages are filled with comes again.
const PERIOD: usize = 4093;

/// What messages are filled with, twice over.
static FILLING: [u8; 2 * PERIOD] = {
    let mut filling = [0; 2 * PERIOD];
    let mut at = 0;
    while at < filling.len() {
        let mixed = ((at % PERIOD) as u32).wrapping_mul(0x9e37_79b1);
        filling[at] = (mixed >> 24) as u8;
        at += 1;
    }
    filling
};

/// A piece of message `id`: its number first, then what follows from it.
pub fn piece(id: u64, offset: u32, len: usize) -> Vec<u8> {
    let mut place = offset as usize;
    let mut bytes = Vec::with_capacity(len);
    let number = id.to_le_bytes();
    let head = number.get(place..).unwrap_or_default();
    bytes.extend_from_slice(&head[..head.len().min(len)]);
    place += bytes.len();
    while bytes.len() < len {
        let from = (place + id as usize) % PERIOD;
        let run = (len - bytes.len()).min(PERIOD);
        bytes.extend_from_slice(&FILLING[from..from + run]);
        place += run;
    }
    bytes
}

/// The number of the message that begins with `bytes`.
pub fn id_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(
        *bytes
            .first_chunk()
            .expect("a message has at least its number"),
    )
}
