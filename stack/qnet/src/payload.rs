//! Bytes of a message on their way, with room before them for the header of the message that will
//! carry them, so that they are copied once between a program's memory and the wire.

/// Room kept before the bytes; no header of a message kind that carries bytes is longer.
pub(crate) const HEADROOM: usize = 160;

/// Owned bytes.
#[derive(Clone, Default)]
pub struct Payload {
    bytes: Vec<u8>,
    start: usize,
}

impl Payload {
    /// `len` zero bytes, to be filled through [`Payload::as_mut_slice`].
    pub fn zeroed(len: usize) -> Self {
        Payload {
            bytes: vec![0; HEADROOM + len],
            start: HEADROOM,
        }
    }

    /// No bytes, and room for `len`.
    pub fn with_capacity(len: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADROOM + len);
        bytes.resize(HEADROOM, 0);
        Payload {
            bytes,
            start: HEADROOM,
        }
    }

    /// What `bytes` holds from `start` on; `start` beyond its end gives nothing.
    pub(crate) fn from_tail(bytes: Vec<u8>, start: usize) -> Self {
        let start = start.min(bytes.len());
        Payload { bytes, start }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.start + len);
    }

    /// All but the first `len` bytes.
    pub(crate) fn without_first(mut self, len: usize) -> Self {
        self.start = (self.start + len).min(self.bytes.len());
        self
    }

    /// The vector and where in it the bytes begin.
    pub(crate) fn into_parts(self) -> (Vec<u8>, usize) {
        (self.bytes, self.start)
    }

    /// Adds `more` at the end.
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
        self.as_slice() == other.as_slice()
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
}
