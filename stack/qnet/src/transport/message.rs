//! The bytes of a message that is being sent.

use std::sync::Arc;

/// Bytes that are read where they lie, when a frame is made of them; more than once if a frame is lost.
pub trait Source: Send + Sync {
    /// How many there are; always the same.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the bytes from `offset` on, all of which exist. What cannot be read any more
    /// becomes zero: the caller of the transport must know by itself that the message is void.
    fn read(&self, offset: usize, out: &mut [u8]);
}

/// The first `len` bytes of a source.
#[derive(Clone)]
pub(crate) struct Tail {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) len: usize,
}

impl Tail {
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        let len = source.len();
        Tail { source, len }
    }
}

/// A message: bytes of its own, and after them, where there is one, a [`Source`]'s.
pub struct Message {
    bytes: Vec<u8>,
    start: usize,
    tail: Option<Tail>,
}

impl Message {
    /// What `bytes` holds from `start` on; a `start` beyond the end gives an empty message.
    pub fn from_tail(bytes: Vec<u8>, start: usize) -> Self {
        let start = start.min(bytes.len());
        Message {
            bytes,
            start,
            tail: None,
        }
    }

    /// `head`, and then what `source` gives.
    pub fn with_source(head: Vec<u8>, source: Arc<dyn Source>) -> Self {
        Message::from(head).with_tail(Some(Tail::new(source)))
    }

    /// The same bytes, and then those of a tail.
    pub(crate) fn with_tail(self, tail: Option<Tail>) -> Self {
        Message { tail, ..self }
    }

    /// Bytes in all.
    #[inline]
    pub fn len(&self) -> usize {
        self.head().len() + self.tail.as_ref().map_or(0, |tail| tail.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes from `offset` on, all of which exist, into `out`.
    #[inline]
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) {
        let head = self.head();
        if offset + out.len() <= head.len() {
            out.copy_from_slice(&head[offset..offset + out.len()]);
        } else {
            self.read_across(offset, out);
        }
    }

    fn read_across(&self, offset: usize, out: &mut [u8]) {
        let head = self.head();
        let own = head.len().saturating_sub(offset);
        let (first, rest) = out.split_at_mut(own);
        first.copy_from_slice(&head[head.len() - own..]);
        if let Some(tail) = &self.tail {
            tail.source.read(offset + own - head.len(), rest);
        }
    }

    fn head(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message::from_tail(bytes, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(usize);

    impl Source for Counting {
        fn len(&self) -> usize {
            self.0
        }

        fn read(&self, offset: usize, out: &mut [u8]) {
            for (at, byte) in out.iter_mut().enumerate() {
                *byte = (100 + offset + at) as u8;
            }
        }
    }

    #[test]
    fn any_piece_is_read_across_the_seam() {
        let message = Message::with_source(vec![1, 2, 3], Arc::new(Counting(4)));
        let whole = [1, 2, 3, 100, 101, 102, 103];
        assert_eq!(message.len(), whole.len());
        for from in 0..whole.len() {
            for to in from..=whole.len() {
                let mut out = vec![0; to - from];
                message.read(from, &mut out);
                assert_eq!(out, whole[from..to]);
            }
        }
    }

    #[test]
    fn a_tail_starts_where_it_says() {
        assert_eq!(Message::from_tail(vec![0; 9], 4).len(), 5);
        assert!(Message::from_tail(vec![0; 9], 10).is_empty());
    }
}
