//! The keys of a session: AES-256-GCM over each frame. The LWL4 header is authenticated; the payload is
//! enciphered too, or where it is to stay readable authenticated like the header, which makes it a GMAC
//! (NIST SP 800-38D).
//!
//! A frame's number on its link is its nonce, so the caller must never seal two frames with the same
//! number, and must refuse a number that it has seen.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::Protection;
use super::noise::Forged;

/// Bytes that protection adds to a frame, after the payload.
pub(crate) const TAG_LEN: usize = 16;

/// The two bytes of padding before the header are not protected.
const PADDING_LEN: usize = 2;
const HEADER_LEN: usize = io_net_wire::lwl4::HEADER_LEN;

/// A key for each direction.
pub(crate) struct SessionKeys {
    tx: Box<LessSafeKey>,
    rx: Box<LessSafeKey>,
    protection: Protection,
}

impl SessionKeys {
    pub(crate) fn new(tx: &[u8; 32], rx: &[u8; 32], protection: Protection) -> Self {
        let cipher = |bytes| {
            let key = UnboundKey::new(&AES_256_GCM, bytes).expect("the key has 32 bytes");
            Box::new(LessSafeKey::new(key))
        };
        SessionKeys {
            tx: cipher(tx),
            rx: cipher(rx),
            protection,
        }
    }

    /// Whether payloads are enciphered.
    pub(crate) fn encrypts(&self) -> bool {
        self.protection == Protection::Encrypted
    }

    /// Of a frame of `len` bytes, where what is enciphered begins; before it all is authenticated.
    #[inline]
    fn sealed_at(&self, len: usize) -> usize {
        match self.protection {
            Protection::Encrypted => HEADER_LEN,
            Protection::Authenticated => len - TAG_LEN,
        }
    }

    /// Seals a frame in place: padding, header, payload, and room for the tag.
    #[inline]
    pub(crate) fn seal(&self, frame: &mut [u8], link: u16, number: u64) {
        let (sealed_at, tag_at) = (self.sealed_at(frame.len()), frame.len() - TAG_LEN);
        let (clear, rest) = frame.split_at_mut(sealed_at);
        let (sealed, tag_room) = rest.split_at_mut(tag_at - sealed_at);
        let header = Aad::from(&clear[PADDING_LEN..]);
        let tag = (self.tx).seal_in_place_separate_tag(nonce(link, number), header, sealed);
        // It fails beyond 64 GiB only; an all-zero tag would then be refused at the other end.
        match tag {
            Ok(tag) => tag_room.copy_from_slice(tag.as_ref()),
            Err(_) => tag_room.fill(0),
        }
    }

    /// Opens a frame in place: padding, header, payload, tag. Bytes of the payload without the tag.
    #[inline]
    pub(crate) fn open(&self, frame: &mut [u8], link: u16, number: u64) -> Result<usize, Forged> {
        let payload_len = frame.len().checked_sub(HEADER_LEN + TAG_LEN);
        let payload_len = payload_len.ok_or(Forged)?;
        let (clear, sealed) = frame.split_at_mut(self.sealed_at(frame.len()));
        let header = Aad::from(&clear[PADDING_LEN..]);
        let opened = (self.rx).open_in_place(nonce(link, number), header, sealed);
        opened.map(|_| payload_len).map_err(|_| Forged)
    }
}

fn nonce(link: u16, number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[2..4].copy_from_slice(&link.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &[u8] = b"the payload";

    fn ends(protection: Protection) -> (SessionKeys, SessionKeys) {
        (
            SessionKeys::new(&[1; 32], &[2; 32], protection),
            SessionKeys::new(&[2; 32], &[1; 32], protection),
        )
    }

    fn sealed(keys: &SessionKeys) -> Vec<u8> {
        let mut frame = vec![0; HEADER_LEN];
        frame.extend_from_slice(PAYLOAD);
        frame.extend_from_slice(&[0; TAG_LEN]);
        keys.seal(&mut frame, 3, 4);
        frame
    }

    #[test]
    fn only_the_very_frame_opens() {
        for protection in [Protection::Encrypted, Protection::Authenticated] {
            let (a, b) = ends(protection);
            let frame = sealed(&a);
            let shows = frame.windows(PAYLOAD.len()).any(|window| window == PAYLOAD);
            assert_eq!(shows, !a.encrypts());

            let mut good = frame.clone();
            assert_eq!(b.open(&mut good, 3, 4), Ok(PAYLOAD.len()));
            assert_eq!(&good[HEADER_LEN..][..PAYLOAD.len()], PAYLOAD);

            for at in PADDING_LEN..frame.len() {
                let mut bad = frame.clone();
                bad[at] ^= 1;
                assert_eq!(b.open(&mut bad, 3, 4), Err(Forged), "byte {at}");
            }
            assert!(b.open(&mut frame.clone(), 3, 5).is_err());
            assert!(b.open(&mut frame.clone(), 2, 4).is_err());
            assert!(a.open(&mut frame.clone(), 3, 4).is_err());
            for len in 0..frame.len() {
                assert!(b.open(&mut frame[..len].to_vec(), 3, 4).is_err());
            }
        }
    }
}
