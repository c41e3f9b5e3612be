//! The keys of a session: AES-256-GCM over each frame, the LWL4 header included, or HMAC-SHA-256 (cut to
//! 16 bytes) where payloads stay readable.
//!
//! A frame's number on its link is its nonce, so the caller must never seal two frames with the same
//! number, and must refuse a number that it has seen.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use super::Protection;
use super::noise::Forged;

/// Bytes that protection adds to a frame, after the payload.
pub(crate) const TAG_LEN: usize = 16;

/// The two bytes of padding before the header are not protected.
const PADDING_LEN: usize = 2;
const HEADER_LEN: usize = io_net_wire::lwl4::HEADER_LEN;

/// A key for each direction.
pub(crate) enum SessionKeys {
    Encrypted {
        tx: Box<LessSafeKey>,
        rx: Box<LessSafeKey>,
    },
    Authenticated {
        tx: Box<hmac::Key>,
        rx: Box<hmac::Key>,
    },
}

impl SessionKeys {
    pub(crate) fn new(tx: &[u8; 32], rx: &[u8; 32], protection: Protection) -> Self {
        let cipher = |bytes| {
            let key = UnboundKey::new(&AES_256_GCM, bytes).expect("the key has 32 bytes");
            Box::new(LessSafeKey::new(key))
        };
        match protection {
            Protection::Encrypted => SessionKeys::Encrypted {
                tx: cipher(tx),
                rx: cipher(rx),
            },
            Protection::Authenticated => SessionKeys::Authenticated {
                tx: Box::new(hmac::Key::new(hmac::HMAC_SHA256, tx)),
                rx: Box::new(hmac::Key::new(hmac::HMAC_SHA256, rx)),
            },
        }
    }

    /// Whether payloads are enciphered.
    pub(crate) fn encrypts(&self) -> bool {
        matches!(self, SessionKeys::Encrypted { .. })
    }

    /// Seals a frame in place: padding, header, payload, and room for the tag.
    #[inline]
    pub(crate) fn seal(&self, frame: &mut [u8], link: u16, number: u64) {
        let tag_at = frame.len() - TAG_LEN;
        let (clear, tag_room) = frame[PADDING_LEN..].split_at_mut(tag_at - PADDING_LEN);
        match self {
            SessionKeys::Encrypted { tx, .. } => {
                let (header, payload) = clear.split_at_mut(HEADER_LEN - PADDING_LEN);
                let nonce = Nonce::assume_unique_for_key(nonce(link, number));
                let tag = tx.seal_in_place_separate_tag(nonce, Aad::from(header), payload);
                // It fails beyond 64 GiB only; an all-zero tag would then be refused at the other end.
                match tag {
                    Ok(tag) => tag_room.copy_from_slice(tag.as_ref()),
                    Err(_) => tag_room.fill(0),
                }
            }
            SessionKeys::Authenticated { tx, .. } => {
                let tag = authenticate(tx, clear, link, number);
                tag_room.copy_from_slice(&tag.as_ref()[..TAG_LEN]);
            }
        }
    }

    /// Opens a frame in place: padding, header, payload, tag. Bytes of the payload without the tag.
    #[inline]
    pub(crate) fn open(&self, frame: &mut [u8], link: u16, number: u64) -> Result<usize, Forged> {
        let payload_len = frame.len().checked_sub(HEADER_LEN + TAG_LEN);
        let payload_len = payload_len.ok_or(Forged)?;
        match self {
            SessionKeys::Encrypted { rx, .. } => {
                let (header, sealed) = frame[PADDING_LEN..].split_at_mut(HEADER_LEN - PADDING_LEN);
                let nonce = Nonce::assume_unique_for_key(nonce(link, number));
                rx.open_in_place(nonce, Aad::from(header), sealed)
                    .map_err(|_| Forged)?;
            }
            SessionKeys::Authenticated { rx, .. } => {
                let (clear, theirs) =
                    frame[PADDING_LEN..].split_at(frame.len() - PADDING_LEN - TAG_LEN);
                let tag = authenticate(rx, clear, link, number);
                if differ(&tag.as_ref()[..TAG_LEN], theirs) {
                    return Err(Forged);
                }
            }
        }
        Ok(payload_len)
    }
}

fn authenticate(key: &hmac::Key, clear: &[u8], link: u16, number: u64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(&nonce(link, number));
    context.update(clear);
    context.sign()
}

/// Whether two tags differ, without saying by the time it takes where.
fn differ(ours: &[u8], theirs: &[u8]) -> bool {
    let pairs = ours.iter().zip(theirs);
    ours.len() != theirs.len() || pairs.fold(0, |sum, (a, b)| sum | (a ^ b)) != 0
}

fn nonce(link: u16, number: u64) -> [u8; NONCE_LEN] {
    let mut bytes = [0; NONCE_LEN];
    bytes[2..4].copy_from_slice(&link.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    bytes
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
