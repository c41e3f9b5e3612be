//! The handshake: Noise XX over X25519, ChaCha20-Poly1305 and SHA-256 (noiseprotocol.org, revision 34).
//!
//! Three messages: the initiator's ephemeral key; the responder's ephemeral and static keys; the
//! initiator's static key. The prologue binds what was said in clear.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

use super::rng::Rng;
use super::{Protection, PublicKey, SecretKey, SessionKeys};

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// Longest handshake message with a payload of 32 bytes: two keys, two tags, the payload.
pub(crate) const MESSAGE_MAX: usize = 32 + 48 + 48;

/// The message is not from who it should be, or has been changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Forged;

/// A handshake under way.
pub(crate) struct Noise {
    state: Box<snow::HandshakeState>,
}

impl Noise {
    /// The end that speaks first.
    pub(crate) fn initiator(key: &SecretKey, prologue: &[u8], rng: &mut Rng) -> Self {
        Self::new(key, prologue, rng, |builder| builder.build_initiator())
    }

    /// The other end.
    pub(crate) fn responder(key: &SecretKey, prologue: &[u8], rng: &mut Rng) -> Self {
        Self::new(key, prologue, rng, |builder| builder.build_responder())
    }

    fn new(
        key: &SecretKey,
        prologue: &[u8],
        rng: &mut Rng,
        build: fn(snow::Builder<'_>) -> Result<snow::HandshakeState, snow::Error>,
    ) -> Self {
        let params = PATTERN.parse().expect("the pattern is a valid one");
        let resolver = Box::new(SeededResolver { seed: rng.bytes() });
        let state = snow::Builder::with_resolver(params, resolver)
            .local_private_key(&key.0)
            .and_then(|builder| builder.prologue(prologue))
            .and_then(build)
            .expect("key and prologue are set once each");
        Noise {
            state: Box::new(state),
        }
    }

    /// The next message of ours, with a payload of at most 32 bytes.
    pub(crate) fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>, Forged> {
        let mut message = vec![0; MESSAGE_MAX];
        let len = self.state.write_message(payload, &mut message);
        message.truncate(len.map_err(|_| Forged)?);
        Ok(message)
    }

    /// Takes the next message of theirs; its payload.
    pub(crate) fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, Forged> {
        let mut payload = vec![0; message.len()];
        let len = self.state.read_message(message, &mut payload);
        payload.truncate(len.map_err(|_| Forged)?);
        Ok(payload)
    }

    /// The other end's static key, once it has told it.
    pub(crate) fn remote_key(&self) -> Option<PublicKey> {
        let key = self.state.get_remote_static()?;
        key.try_into().ok().map(PublicKey)
    }

    /// The keys of the session, after the last message.
    pub(crate) fn into_keys(mut self, protection: Protection) -> Result<SessionKeys, Forged> {
        if !self.state.is_handshake_finished() {
            return Err(Forged);
        }
        let initiator = self.state.is_initiator();
        let (from_initiator, from_responder) = self.state.dangerously_get_raw_split();
        Ok(match initiator {
            true => SessionKeys::new(&from_initiator, &from_responder, protection),
            false => SessionKeys::new(&from_responder, &from_initiator, protection),
        })
    }
}

/// The public half of a secret key.
pub(crate) fn public_key(secret: &SecretKey) -> PublicKey {
    let dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519);
    let mut dh = dh.expect("X25519 is built in");
    dh.set(&secret.0);
    let mut key = [0; 32];
    key.copy_from_slice(dh.pubkey());
    PublicKey(key)
}

/// The default ciphers, with random numbers from a seed.
struct SeededResolver {
    seed: [u8; 32],
}

impl CryptoResolver for SeededResolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeededRandom(Rng::new(&self.seed))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct SeededRandom(Rng);

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        for chunk in dest.chunks_mut(32) {
            chunk.copy_from_slice(&self.0.bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(prologues: [&[u8]; 2]) -> (Noise, Noise) {
        let mut rng = Rng::new(&[3; 32]);
        (
            Noise::initiator(&SecretKey([1; 32]), prologues[0], &mut rng),
            Noise::responder(&SecretKey([2; 32]), prologues[1], &mut rng),
        )
    }

    #[test]
    fn both_ends_learn_keys_that_fit() {
        let (mut a, mut b) = pair([b"same", b"same"]);
        let message = a.write(&[]).unwrap();
        b.read(&message).unwrap();
        let message = b.write(&[7; 32]).unwrap();
        assert!(message.len() <= MESSAGE_MAX);
        assert_eq!(a.read(&message).unwrap(), [7; 32]);
        let message = a.write(&[]).unwrap();
        b.read(&message).unwrap();
        assert_eq!(a.remote_key(), Some(public_key(&SecretKey([2; 32]))));
        assert_eq!(b.remote_key(), Some(public_key(&SecretKey([1; 32]))));
        let a = a.into_keys(Protection::Encrypted).unwrap();
        let b = b.into_keys(Protection::Encrypted).unwrap();
        let mut frame = vec![5; 38 + 10 + 16];
        a.seal(&mut frame, 1, 2);
        assert_eq!(b.open(&mut frame, 1, 2), Ok(10));
    }

    #[test]
    fn other_prologues_and_changed_messages_are_forgeries() {
        let (mut a, mut b) = pair([b"this", b"that"]);
        let message = a.write(&[]).unwrap();
        b.read(&message).unwrap();
        let message = b.write(&[]).unwrap();
        assert_eq!(a.read(&message), Err(Forged));

        let (mut a, mut b) = pair([b"", b""]);
        let message = a.write(&[]).unwrap();
        b.read(&message).unwrap();
        let mut message = b.write(&[]).unwrap();
        *message.last_mut().unwrap() ^= 1;
        assert_eq!(a.read(&message), Err(Forged));
        assert!(a.into_keys(Protection::Encrypted).is_err());
        assert_eq!(b.read(&[]), Err(Forged));
    }
}
