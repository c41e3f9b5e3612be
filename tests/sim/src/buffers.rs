//! Socket buffers in plain memory, shared between a host's stack and its programs.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use io_net_tcpip::{DatagramBuf, RecvBuf, SendBuf};

struct Ring {
    bytes: Vec<u8>,
    /// Bytes ever taken out and put in; positions are these modulo the capacity.
    head: usize,
    tail: usize,
}

/// A byte FIFO. Clones share it.
#[derive(Clone)]
pub struct Fifo(Rc<RefCell<Ring>>);

impl Fifo {
    /// An empty FIFO that holds `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Fifo(Rc::new(RefCell::new(Ring {
            bytes: vec![0; capacity],
            head: 0,
            tail: 0,
        })))
    }

    /// Puts in as much of `data` as fits, and returns how much.
    pub fn put(&self, data: &[u8]) -> usize {
        let mut ring = self.0.borrow_mut();
        let room = ring.bytes.len() - (ring.tail - ring.head);
        let count = data.len().min(room);
        let at = ring.tail;
        ring.copy_in(at, &data[..count]);
        ring.tail += count;
        count
    }

    /// Takes out up to `count` bytes.
    pub fn take(&self, count: usize) -> Vec<u8> {
        let mut ring = self.0.borrow_mut();
        let count = count.min(ring.tail - ring.head);
        let mut out = vec![0; count];
        ring.copy_out(ring.head, &mut out);
        ring.head += count;
        out
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        let ring = self.0.borrow();
        ring.tail - ring.head
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that fit.
    pub fn room(&self) -> usize {
        let ring = self.0.borrow();
        ring.bytes.len() - (ring.tail - ring.head)
    }
}

impl Ring {
    fn copy_in(&mut self, at: usize, data: &[u8]) {
        let start = at % self.bytes.len();
        let first = data.len().min(self.bytes.len() - start);
        self.bytes[start..start + first].copy_from_slice(&data[..first]);
        self.bytes[..data.len() - first].copy_from_slice(&data[first..]);
    }

    fn copy_out(&self, at: usize, out: &mut [u8]) {
        let start = at % self.bytes.len();
        let first = out.len().min(self.bytes.len() - start);
        out[..first].copy_from_slice(&self.bytes[start..start + first]);
        let rest = out.len() - first;
        out[first..].copy_from_slice(&self.bytes[..rest]);
    }
}

impl SendBuf for Fifo {
    fn readable(&mut self) -> usize {
        self.len()
    }

    fn read_at(&mut self, offset: usize, out: &mut [u8]) -> usize {
        let ring = self.0.borrow();
        let count = (ring.tail - ring.head)
            .saturating_sub(offset)
            .min(out.len());
        ring.copy_out(ring.head + offset, &mut out[..count]);
        count
    }

    fn consume(&mut self, n: usize) {
        let mut ring = self.0.borrow_mut();
        assert!(n <= ring.tail - ring.head, "consumed more than was there");
        ring.head += n;
    }

    fn capacity(&mut self) -> usize {
        self.0.borrow().bytes.len()
    }
}

impl RecvBuf for Fifo {
    fn window(&mut self) -> usize {
        self.room()
    }

    fn capacity(&mut self) -> usize {
        self.0.borrow().bytes.len()
    }

    fn write_at(&mut self, offset: usize, data: &[u8]) -> usize {
        let mut ring = self.0.borrow_mut();
        let room = ring.bytes.len() - (ring.tail - ring.head);
        let count = data.len().min(room.saturating_sub(offset));
        let at = ring.tail + offset;
        ring.copy_in(at, &data[..count]);
        count
    }

    fn commit(&mut self, n: usize) {
        let mut ring = self.0.borrow_mut();
        assert!(
            ring.tail - ring.head + n <= ring.bytes.len(),
            "committed past the end"
        );
        ring.tail += n;
    }
}

/// A datagram as a program gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Sender.
    pub from: SocketAddr,
    /// Local address that it was sent to.
    pub to: SocketAddr,
    /// Payload.
    pub payload: Vec<u8>,
}

/// A queue of datagrams. Clones share it.
#[derive(Clone)]
pub struct Inbox {
    queue: Rc<RefCell<VecDeque<Received>>>,
    limit: usize,
}

impl Inbox {
    /// A queue of at most `limit` datagrams.
    pub fn new(limit: usize) -> Self {
        Inbox {
            queue: Rc::default(),
            limit,
        }
    }

    /// The oldest datagram.
    pub fn pop(&self) -> Option<Received> {
        self.queue.borrow_mut().pop_front()
    }
}

impl DatagramBuf for Inbox {
    fn push(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> bool {
        let mut queue = self.queue.borrow_mut();
        let fits = queue.len() < self.limit;
        if fits {
            queue.push_back(Received {
                from,
                to,
                payload: payload.to_vec(),
            });
        }
        fits
    }
}
