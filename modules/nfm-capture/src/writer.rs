//! The thread that writes. It alone waits for the disk or for a FIFO's reader.

use crate::pcapng;
use io_net_ddk::{Failure, errno};
use io_net_os::epoll::{self, PollFd};
use io_net_os::fifo;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Chunks on their way to the thread, at most.
const DEPTH: usize = 32;
/// How long the end of a capture waits for a FIFO's reader.
const LAST_WAIT: Duration = Duration::from_millis(500);
/// How often a FIFO's writer looks whether the end has been called.
const RETRY: Duration = Duration::from_millis(50);

/// Blocks, whole ones.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    /// Packet blocks among them.
    pub(crate) packets: u64,
}

enum Item {
    Packets(Chunk),
    /// An interface block, which each section needs.
    Interface(Vec<u8>),
}

/// What the thread tells.
#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicBool,
    ending: AtomicBool,
}

/// The thread, from the worker's side. Dropping it waits until what was handed over is written, or
/// for half a second where a FIFO's reader does not read.
pub(crate) struct Writer {
    items: Option<SyncSender<Item>>,
    empties: Receiver<Vec<u8>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens `path` and starts the thread.
    ///
    /// # Errors
    /// Where the file cannot be opened, or there is no thread to be had.
    pub(crate) fn start(path: &Path) -> Result<Self, Failure> {
        let output = Output::open(path).map_err(|error| {
            let text = format!(
                "cannot write {}: {error}; give another file=",
                path.display()
            );
            Failure::new(error.raw_os_error().unwrap_or(errno::EIO), text)
        })?;
        let (items, inbox) = sync_channel(DEPTH);
        let (returns, empties) = sync_channel(DEPTH);
        let shared = Arc::new(Shared::default());
        let job = Job {
            output,
            interfaces: Vec::new(),
            shared: shared.clone(),
            deadline: None,
        };
        let thread = thread::Builder::new()
            .name("capture".into())
            .spawn(move || job.run(&inbox, &returns))
            .map_err(|error| Failure::io("cannot start the writing thread", &error))?;
        Ok(Writer {
            items: Some(items),
            empties,
            shared,
            thread: Some(thread),
        })
    }

    /// Hands `chunk` over and makes it empty. What the thread has no room for is dropped.
    pub(crate) fn write(&self, chunk: &mut Chunk) {
        let full = Chunk {
            bytes: std::mem::replace(
                &mut chunk.bytes,
                self.empties.try_recv().unwrap_or_default(),
            ),
            packets: std::mem::take(&mut chunk.packets),
        };
        let refused = self.send(Item::Packets(full));
        if let Some(Item::Packets(mut refused)) = refused {
            self.shared
                .dropped
                .fetch_add(refused.packets, Ordering::Relaxed);
            refused.bytes.clear();
            chunk.bytes = refused.bytes;
        }
    }

    /// Hands an interface block over; false where there is no room for it now.
    pub(crate) fn describe(&self, block: Vec<u8>) -> bool {
        self.send(Item::Interface(block)).is_none()
    }

    fn send(&self, item: Item) -> Option<Item> {
        let Some(items) = &self.items else {
            return Some(item);
        };
        match items.try_send(item) {
            Ok(()) => None,
            Err(TrySendError::Full(item) | TrySendError::Disconnected(item)) => Some(item),
        }
    }

    /// Takes no more; what has been handed over is still written.
    pub(crate) fn finish(&mut self) {
        self.items = None;
    }

    /// Packets written so far.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Packets dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Whether the file can be written no more.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
        self.shared.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where blocks go.
enum Output {
    /// A file that is always there.
    File(File),
    /// A FIFO, and its open end where it has a reader.
    Fifo(PathBuf, Option<File>),
}

impl Output {
    fn open(path: &Path) -> io::Result<Self> {
        let is_fifo = |data: fs::Metadata| data.file_type().is_fifo();
        if fs::metadata(path).is_ok_and(is_fifo) {
            return Ok(Output::Fifo(path.to_owned(), None));
        }
        File::create(path).map(Output::File)
    }
}

/// What the thread has.
struct Job {
    output: Output,
    /// The interface blocks so far, for each new reader.
    interfaces: Vec<u8>,
    shared: Arc<Shared>,
    /// When the last wait for a FIFO's reader is over.
    deadline: Option<Instant>,
}

impl Job {
    fn run(mut self, inbox: &Receiver<Item>, returns: &SyncSender<Vec<u8>>) {
        if let Output::File(_) = self.output {
            let mut head = Vec::new();
            pcapng::section(&mut head);
            self.put(&head, 0);
        }
        for item in inbox {
            match item {
                Item::Interface(block) => {
                    // A FIFO's next reader gets it with the section's head.
                    if !matches!(self.output, Output::Fifo(_, None)) {
                        self.put(&block, 0);
                    }
                    self.interfaces.extend(block);
                }
                Item::Packets(chunk) => {
                    self.put(&chunk.bytes, chunk.packets);
                    let mut empty = chunk.bytes;
                    empty.clear();
                    let _ = returns.try_send(empty);
                }
            }
        }
    }

    /// Writes whole blocks that hold `packets`, or counts them as dropped.
    fn put(&mut self, bytes: &[u8], packets: u64) {
        let failed = self.shared.failed.load(Ordering::Relaxed);
        let written = !failed && self.reach() && self.write(bytes);
        let count = match written {
            true => &self.shared.written,
            false => &self.shared.dropped,
        };
        count.fetch_add(packets, Ordering::Relaxed);
    }

    /// Opens a FIFO that has got a reader; false where it has none.
    fn reach(&mut self) -> bool {
        let Output::Fifo(path, end @ None) = &mut self.output else {
            return true;
        };
        let Ok(file) = fifo::open_writer(path) else {
            return false;
        };
        *end = Some(file);
        let mut head = Vec::new();
        pcapng::section(&mut head);
        head.extend_from_slice(&self.interfaces);
        self.write(&head)
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        match &mut self.output {
            Output::File(file) => {
                let written = file.write_all(bytes).is_ok();
                self.shared.failed.store(!written, Ordering::Relaxed);
                written
            }
            Output::Fifo(_, end) => {
                let written = end.as_mut().is_some_and(|file| {
                    write_patiently(file, bytes, &self.shared.ending, &mut self.deadline)
                });
                if !written {
                    // The reader has gone, perhaps in the middle of a block: the next one starts anew.
                    *end = None;
                }
                written
            }
        }
    }
}

/// Writes all of `bytes`, waiting for the reader; false where it goes away, or has not read by
/// `deadline`, which is set where the end has been called.
fn write_patiently(
    file: &mut File,
    mut bytes: &[u8],
    ending: &AtomicBool,
    deadline: &mut Option<Instant>,
) -> bool {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if ending.load(Ordering::Relaxed) {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + LAST_WAIT);
                    if Instant::now() >= deadline {
                        return false;
                    }
                }
                let mut room = [PollFd {
                    fd: file.as_fd().as_raw_fd(),
                    events: epoll::OUT as i16,
                    revents: 0,
                }];
                let _ = epoll::poll(&mut room, Some(RETRY));
            }
            Err(_) => return false,
        }
    }
    true
}
