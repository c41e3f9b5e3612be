//! What is sent, as pcap, and the thread that writes it, which alone waits for the disk.

use crate::pcap;
use io_net_ddk::pktbuf::SharedPacket;
use io_net_ddk::{Failure, errno, vlan};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes that are handed over together.
const CHUNK: usize = 64 << 10;
/// Chunks on their way to the thread, at most.
const DEPTH: usize = 32;

/// Records that are written together.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    frames: u64,
}

/// The thread, from the worker's side. Dropping it waits until what was handed over is written.
pub(crate) struct Recorder {
    chunk: Chunk,
    chunks: Option<SyncSender<Chunk>>,
    empties: Receiver<Vec<u8>>,
    /// Frames that could not be written.
    failed: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Makes the file at `path`, or empties it, and starts the thread.
    ///
    /// # Errors
    /// Where the file cannot be made, or there is no thread to be had.
    pub(crate) fn start(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| {
            let text = format!(
                "cannot write {}: {error}; give another write=",
                path.display()
            );
            Failure::new(error.raw_os_error().unwrap_or(errno::EIO), text)
        })?;
        let (chunks, inbox) = sync_channel(DEPTH);
        let (returns, empties) = sync_channel(DEPTH);
        let failed = Arc::new(AtomicU64::new(0));
        let its_failed = failed.clone();
        let thread = thread::Builder::new()
            .name("record".into())
            .spawn(move || write_all(file, &inbox, &returns, &its_failed))
            .map_err(|error| Failure::io("cannot start the writing thread", &error))?;
        let mut chunk = Chunk::default();
        pcap::write_header(&mut chunk.bytes);
        Ok(Recorder {
            chunk,
            chunks: Some(chunks),
            empties,
            failed,
            thread: Some(thread),
        })
    }

    /// Adds the frame that `packet` is, sent at `time_ns`. Returns how many frames were dropped
    /// because the thread is behind.
    pub(crate) fn record(&mut self, packet: &SharedPacket, time_ns: u64) -> u64 {
        let tag = packet.vlan_tci().map(|tci| vlan::tag(vlan::CUSTOMER, tci));
        let len = packet.total_len() + tag.map_or(0, |tag| tag.len());
        let bytes = &mut self.chunk.bytes;
        bytes.extend(pcap::record_header(time_ns, len));
        let start = bytes.len();
        for fragment in packet.fragments() {
            bytes.extend_from_slice(fragment);
        }
        if let Some(tag) = tag {
            let at = bytes.len().min(start + vlan::TAG_AT);
            bytes.splice(at..at, tag);
        }
        self.chunk.frames += 1;
        match bytes.len() >= CHUNK {
            true => self.hand_over(),
            false => 0,
        }
    }

    /// Whether something waits to be handed over.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.chunk.bytes.is_empty()
    }

    /// Has what there is written. Returns how many frames were dropped, as the thread is behind.
    pub(crate) fn hand_over(&mut self) -> u64 {
        let Some(chunks) = &self.chunks else {
            return std::mem::take(&mut self.chunk.frames);
        };
        let empty = self.empties.try_recv().unwrap_or_default();
        let full = std::mem::replace(&mut self.chunk.bytes, empty);
        let frames = std::mem::take(&mut self.chunk.frames);
        let chunk = Chunk {
            bytes: full,
            frames,
        };
        match chunks.try_send(chunk) {
            Ok(()) => 0,
            Err(_) => frames,
        }
    }

    /// Takes no more; what has been handed over is still written.
    pub(crate) fn finish(&mut self) {
        self.chunks = None;
    }

    /// Frames that could not be written since this was last asked.
    pub(crate) fn take_failed(&self) -> u64 {
        self.failed.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finish();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes chunks until there are no more. After a failure, which may have left half a record, the
/// rest is counted only.
fn write_all(
    mut file: File,
    inbox: &Receiver<Chunk>,
    returns: &SyncSender<Vec<u8>>,
    failed: &AtomicU64,
) {
    let mut has_failed = false;
    for mut chunk in inbox {
        has_failed |= file.write_all(&chunk.bytes).is_err();
        if has_failed {
            failed.fetch_add(chunk.frames, Ordering::Relaxed);
        }
        chunk.bytes.clear();
        let _ = returns.try_send(chunk.bytes);
    }
}
