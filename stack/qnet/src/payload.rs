//! Bytes of a message on their way, with room before them for the header of the message that will
//! carry them, so that they are copied once between a program's memory and the wire.

use std::sync::Arc;

use crate::transport::{Message, Source, Tail};

/// Room kept before the bytes; no header of a message kind that carries bytes is longer.
pub(crate) const HEADROOM: usize = 160;

/// Bytes of its own, and after them, where there is one, a [`Source`]'s, which are read only when frames
/// are made of them. Whoever looks at the bytes sees its own.
#[derive(Clone, Default)]
pub struct Payload {
    bytes: Vec<u8>,
    start: usize,
    tail: Option<Tail>,
}

impl Payload {
    /// `len` zero bytes, to be filled through [`Payload::as_mut_slice`].
    pub fn zeroed(len: usize) -> Self {
        Payload {
            bytes: vec![0; HEADROOM + len],
            start: HEADROOM,
            tail: None,
        }
    }

    /// No bytes, and room for `len`.
    pub fn with_capacity(len: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADROOM + len);
        bytes.resize(HEADROOM, 0);
        Payload {
            bytes,
            start: HEADROOM,
            tail: None,
        }
    }

    /// What `bytes` holds from `start` on; `start` beyond its end gives nothing.
    pub(crate) fn from_tail(bytes: Vec<u8>, start: usize) -> Self {
        let start = start.min(bytes.len());
        Payload {
            bytes,
            start,
            tail: None,
        }
    }

    /// The same bytes, and those of `source` after them; in place of another source's, if it had one.
    #[must_use]
    pub fn followed_by(self, source: Arc<dyn Source>) -> Self {
        Payload {
            tail: Some(Tail::new(source)),
            ..self
        }
    }

    /// Whether bytes of a source follow its own.
    pub(crate) fn has_source(&self) -> bool {
        self.tail.is_some()
    }

    /// Its own bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Its own bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// The number of bytes, the source's included.
    pub fn len(&self) -> usize {
        self.own_len() + self.tail.as_ref().map_or(0, |tail| tail.len)
    }

    fn own_len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        match (
            &mut self.tail,
            len.checked_sub(self.bytes.len() - self.start),
        ) {
            (Some(tail), Some(left)) => tail.len = tail.len.min(left),
            (tail, _) => {
                *tail = None;
                self.bytes.truncate(self.start + len);
            }
        }
    }

    /// All but the first `len` of its own bytes.
    pub(crate) fn without_first(mut self, len: usize) -> Self {
        self.start = (self.start + len).min(self.bytes.len());
        self
    }

    /// What the transport takes.
    pub(crate) fn into_message(self) -> Message {
        Message::from_tail(self.bytes, self.start).with_tail(self.tail)
    }

    /// Adds `more` at the end of its own bytes.
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
    }

    /// One vector of `header` and then the bytes, without moving them where there is room.
    pub(crate) fn with_header(mut self, header: &[u8]) -> Prefixed {
        if header.len() <= self.start {
            self.start -= header.len();
            let end = self.start + header.len();
            self.bytes[self.start..end].copy_from_slice(header);
            return self;
        }
        let mut whole = Payload::with_capacity(header.len() + self.len());
        whole.extend_from_slice(header);
        whole.extend_from_slice(self.as_slice());
        whole.tail = self.tail;
        whole
    }
}

/// A payload whose first bytes are a header.
pub(crate) type Prefixed = Payload;

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        let mut payload = Payload::with_capacity(bytes.len());
        payload.extend_from_slice(bytes);
        payload
    }
}

impl core::fmt::Debug for Payload {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice() && self.len() == other.len()
    }
}

impl Eq for Payload {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_goes_before_the_bytes_wherever_there_is_room() {
        let roomy = Payload::from(&b"bytes"[..]).with_header(b"head ");
        assert_eq!(roomy.as_slice(), b"head bytes");
        let tight = Payload::from_tail(b"xbytes".to_vec(), 1).with_header(b"head ");
        assert_eq!(tight.as_slice(), b"head bytes");
        assert!(Payload::from_tail(vec![1], 9).is_empty());
    }

    #[test]
    fn it_is_cut_and_filled() {
        let mut payload = Payload::zeroed(4);
        payload.as_mut_slice()[3] = 7;
        payload.extend_from_slice(&[8]);
        assert_eq!(payload.as_slice(), [0, 0, 0, 7, 8]);
        payload.truncate(3);
        assert_eq!(payload.len(), 3);
    }

    struct Sevens(usize);

    impl Source for Sevens {
        fn len(&self) -> usize {
            self.0
        }

        fn read(&self, _: usize, out: &mut [u8]) {
            out.fill(7);
        }
    }

    #[test]
    fn a_source_is_cut_before_the_bytes_are() {
        let whole = Payload::from(&[1, 2][..]).followed_by(Arc::new(Sevens(5)));
        for len in 0..9 {
            let mut cut = whole.clone();
            cut.truncate(len);
            assert_eq!(cut.len(), len.min(7));
            assert_eq!(cut.as_slice(), &[1, 2][..len.min(2)]);
            let message = cut.with_header(&[0; HEADROOM + 1]).into_message();
            let mut bytes = vec![0; message.len()];
            message.read(0, &mut bytes);
            assert_eq!(bytes[HEADROOM + 1..], [1, 2, 7, 7, 7, 7, 7][..len.min(7)]);
        }
    }
}
