//! The thread that reads the capture ahead. It alone waits for the disk.

use crate::format::{Capture, Record, Unreadable};
use io_net_ddk::{Failure, Waker, errno};
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};

/// Chunks read ahead.
const DEPTH: usize = 4;
/// Bytes and frames of a chunk, about.
const CHUNK_BYTES: usize = 256 << 10;
const CHUNK_FRAMES: usize = 1024;

/// Frames that have been read.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    frames: Vec<(Range<usize>, Record)>,
    /// The first frame is the capture's first.
    pub(crate) begins_pass: bool,
}

impl Chunk {
    /// The frame at `index`.
    #[inline]
    pub(crate) fn frame(&self, index: usize) -> Option<(&[u8], Record)> {
        let (range, record) = self.frames.get(index)?;
        Some((self.bytes.get(range.clone())?, *record))
    }
}

/// What the thread hands over.
enum Item {
    Chunk(Chunk),
    /// The capture cannot be read on, and why.
    Unreadable(String),
}

/// What comes next.
pub(crate) enum Next {
    Chunk(Chunk),
    /// Nothing yet; the waker will be called.
    Wait,
    /// Nothing any more, and why where that was not to be expected.
    End(Option<String>),
}

/// The thread, from the worker's side. Dropping it waits for the read under way.
pub(crate) struct Reader {
    items: Option<Receiver<Item>>,
    empties: SyncSender<Chunk>,
    hungry: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Opens `path`, and has it read `repeat` times, 0 for ever.
    ///
    /// # Errors
    /// Where it cannot be opened or is no capture, or there is no thread to be had.
    pub(crate) fn start(path: &Path, repeat: u64, waker: Waker) -> Result<Self, Failure> {
        let capture = open(path).map_err(|why| unreadable(path, &why))?;
        let (sender, items) = sync_channel(DEPTH);
        let (empties, returns) = sync_channel(DEPTH);
        let hungry = Arc::new(AtomicBool::new(false));
        let job = Job {
            path: path.to_owned(),
            repeat,
            items: sender,
            returns,
            hungry: hungry.clone(),
            waker,
        };
        let thread = thread::Builder::new()
            .name("replay".into())
            .spawn(move || job.run(capture))
            .map_err(|error| Failure::io("cannot start the reading thread", &error))?;
        Ok(Reader {
            items: Some(items),
            empties,
            hungry,
            thread: Some(thread),
        })
    }

    /// The next chunk, in place of `done`.
    pub(crate) fn next(&self, done: Chunk) -> Next {
        let _ = self.empties.try_send(done);
        let Some(items) = &self.items else {
            return Next::End(None);
        };
        // Said before looking, so that what comes after the look wakes us.
        self.hungry.store(true, Ordering::SeqCst);
        match items.try_recv() {
            Ok(Item::Chunk(chunk)) => Next::Chunk(chunk),
            Ok(Item::Unreadable(why)) => Next::End(Some(why)),
            Err(TryRecvError::Empty) => Next::Wait,
            Err(TryRecvError::Disconnected) => Next::End(None),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The thread sees that nobody listens any more.
        self.items = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Open = Capture<BufReader<File>>;

fn open(path: &Path) -> Result<Open, Unreadable> {
    // A FIFO's or a device's end might never come.
    if !path.metadata()?.is_file() {
        return Err(Unreadable::Malformed("it is no plain file"));
    }
    Capture::open(BufReader::with_capacity(CHUNK_BYTES, File::open(path)?))
}

fn unreadable(path: &Path, why: &Unreadable) -> Failure {
    let number = match why {
        Unreadable::Io(error) => error.raw_os_error().unwrap_or(errno::EIO),
        Unreadable::Malformed(_) => errno::EINVAL,
    };
    let text = format!("cannot read {}: {why}; give another read=", path.display());
    Failure::new(number, text)
}

/// What the thread has.
struct Job {
    path: PathBuf,
    repeat: u64,
    items: SyncSender<Item>,
    returns: Receiver<Chunk>,
    hungry: Arc<AtomicBool>,
    waker: Waker,
}

impl Job {
    fn run(self, first: Open) {
        let mut capture = Some(first);
        let mut pass = 0;
        while self.repeat == 0 || pass < self.repeat {
            let opened = capture.take().map_or_else(|| open(&self.path), Ok);
            match opened.and_then(|capture| self.pass(capture)) {
                Ok(true) => pass += 1,
                Ok(false) => return,
                Err(why) => {
                    let text = format!("{}: {why}", self.path.display());
                    self.hand_over(Item::Unreadable(text));
                    return;
                }
            }
        }
        let Job { items, waker, .. } = self;
        drop(items);
        // The end is news too.
        waker.wake();
    }

    /// Reads the capture once; false where nobody listens any more or it holds no frame.
    fn pass(&self, mut capture: Open) -> Result<bool, Unreadable> {
        let mut begins_pass = true;
        loop {
            let mut chunk = self.returns.try_recv().unwrap_or_default();
            chunk.bytes.clear();
            chunk.frames.clear();
            chunk.begins_pass = begins_pass;
            let filled = fill(&mut chunk, &mut capture);
            let is_end = !matches!(filled, Ok(true));
            if !chunk.frames.is_empty() {
                begins_pass = false;
                if !self.hand_over(Item::Chunk(chunk)) {
                    return Ok(false);
                }
            }
            filled?;
            if is_end {
                // An empty capture would be read for ever.
                return Ok(!begins_pass);
            }
        }
    }

    fn hand_over(&self, item: Item) -> bool {
        let taken = self.items.send(item).is_ok();
        if self.hungry.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
        taken
    }
}

/// Reads frames until the chunk is full: true then, false at the capture's end.
fn fill(chunk: &mut Chunk, capture: &mut Open) -> Result<bool, Unreadable> {
    while chunk.bytes.len() < CHUNK_BYTES && chunk.frames.len() < CHUNK_FRAMES {
        let start = chunk.bytes.len();
        let Some(record) = capture.next(&mut chunk.bytes)? else {
            return Ok(false);
        };
        chunk.frames.push((start..chunk.bytes.len(), record));
    }
    Ok(true)
}
