//! The payload of a handshake's frames: who speaks to whom, and what it can take.
//!
//! First the names as LWL4 has them: four 16-bit offsets (own name, own domain, the other's name, its
//! domain) from the end of the offsets, then the names, each ended by a zero byte. What follows is ours,
//! where QNX has nothing: version, flags, conns (u16), boot id (u64), limits (u32 each: longest
//! message, held bytes); then, not part of what the handshake binds, the cookie (16
//! bytes) and the message of the Noise handshake (its length as u16, and its bytes).

use super::Node;

const VERSION: u8 = 1;
const OFFSETS_LEN: usize = 8;
const FIXED_LEN: usize = 20;

/// Bytes of a cookie; all zero means none.
pub(crate) const COOKIE_LEN: usize = 16;

/// Longest name, and longest domain.
const NAME_MAX: usize = 255;

/// Flag: the sender wants a Noise handshake.
pub(crate) const FLAG_NOISE: u8 = 1;
/// Flag: the sender wants payloads enciphered.
pub(crate) const FLAG_ENCRYPT: u8 = 2;
/// Flag: the sender wants checksums.
pub(crate) const FLAG_CRC: u8 = 4;
/// Flag: nothing is remembered; come again with this cookie.
pub(crate) const FLAG_COOKIE: u8 = 8;

/// Who speaks to whom, and what it can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) source: Node,
    pub(crate) dest: Node,
    pub(crate) flags: u8,
    pub(crate) conns: u16,
    pub(crate) boot: u64,
    pub(crate) message_bytes: u32,
    pub(crate) held_bytes: u32,
}

/// A handshake frame's payload, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) hello: Hello,
    /// The bytes that the handshake binds.
    pub(crate) bound: &'a [u8],
    pub(crate) cookie: [u8; COOKIE_LEN],
    pub(crate) noise: &'a [u8],
}

impl Hello {
    /// Writes the bytes that the handshake binds.
    pub(crate) fn emit(&self) -> Vec<u8> {
        let names = [
            &self.source.name,
            &self.source.domain,
            &self.dest.name,
            &self.dest.domain,
        ];
        let mut out = vec![0; OFFSETS_LEN];
        for (at, name) in names.into_iter().enumerate() {
            let offset = (out.len() - OFFSETS_LEN) as u16;
            out[2 * at..2 * at + 2].copy_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.push(0);
        }
        out.extend_from_slice(&[VERSION, self.flags]);
        out.extend_from_slice(&self.conns.to_le_bytes());
        out.extend_from_slice(&self.boot.to_le_bytes());
        for number in [self.message_bytes, self.held_bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }
}

/// Adds what the handshake does not bind.
pub(crate) fn finish(mut bound: Vec<u8>, cookie: &[u8; COOKIE_LEN], noise: &[u8]) -> Vec<u8> {
    bound.extend_from_slice(cookie);
    bound.extend_from_slice(&(noise.len() as u16).to_le_bytes());
    bound.extend_from_slice(noise);
    bound
}

/// Takes a payload apart; `None` when it is no such.
pub(crate) fn parse(payload: &[u8]) -> Option<Parsed<'_>> {
    let (offsets, rest) = payload.split_first_chunk::<OFFSETS_LEN>()?;
    let mut names = [const { String::new() }; 4];
    let mut names_end = 0;
    for (name, offset) in names.iter_mut().zip(offsets.as_chunks::<2>().0) {
        let bytes = rest.get(usize::from(u16::from_le_bytes(*offset))..)?;
        let len = bytes.iter().take(NAME_MAX + 1).position(|b| *b == 0)?;
        *name = str::from_utf8(&bytes[..len]).ok()?.to_owned();
        names_end = names_end.max(rest.len() - bytes.len() + len + 1);
    }
    let [source_name, source_domain, dest_name, dest_domain] = names;
    let fixed: &[u8; FIXED_LEN] = rest.get(names_end..)?.first_chunk()?;
    let bound_len = OFFSETS_LEN + names_end + FIXED_LEN;
    let (cookie, rest) = payload[bound_len..].split_first_chunk::<COOKIE_LEN>()?;
    let (noise_len, noise) = rest.split_first_chunk::<2>()?;
    if fixed[0] != VERSION || noise.len() != usize::from(u16::from_le_bytes(*noise_len)) {
        return None;
    }
    let number = |at: usize| fixed[at..].first_chunk().map(|b| u32::from_le_bytes(*b));
    let source = Node {
        name: source_name,
        domain: source_domain,
    };
    Some(Parsed {
        hello: Hello {
            source: source.is_valid().then_some(source)?,
            dest: Node {
                name: dest_name,
                domain: dest_domain,
            },
            flags: fixed[1],
            conns: u16::from_le_bytes([fixed[2], fixed[3]]),
            boot: u64::from_le_bytes(*fixed[4..].first_chunk()?),
            message_bytes: number(12)?,
            held_bytes: number(16)?,
        },
        bound: &payload[..bound_len],
        cookie: *cookie,
        noise,
    })
}

impl Node {
    /// Whether it can be told in a handshake, and in a path.
    pub(crate) fn is_valid(&self) -> bool {
        let fits = |text: &str, forbidden: &[char]| {
            text.len() <= NAME_MAX && !text.contains('\0') && !text.contains(forbidden)
        };
        !self.name.is_empty()
            && fits(&self.name, &['/', '.', '~'])
            && fits(&self.domain, &['/', '~'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            source: Node {
                name: "lab1".into(),
                domain: "example.org".into(),
            },
            dest: Node {
                name: "lab2".into(),
                domain: String::new(),
            },
            flags: FLAG_NOISE,
            conns: 0x1234,
            boot: 0x1122_3344_5566_7788,
            message_bytes: 1 << 20,
            held_bytes: 1 << 24,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bound = hello().emit();
        let payload = finish(bound.clone(), &[9; COOKIE_LEN], b"noise");
        let parsed = parse(&payload).unwrap();
        assert_eq!(parsed.hello, hello());
        assert_eq!(parsed.bound, bound);
        assert_eq!(
            (parsed.cookie, parsed.noise),
            ([9; COOKIE_LEN], &b"noise"[..])
        );
    }

    #[test]
    fn no_bytes_make_it_panic_and_short_ones_are_refused() {
        let payload = finish(hello().emit(), &[0; COOKIE_LEN], b"noise");
        for len in 0..payload.len() {
            assert_eq!(parse(&payload[..len]), None);
        }
        for at in 0..payload.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = payload.clone();
                changed[at] = value;
                let _ = parse(&changed);
            }
        }
    }

    #[test]
    fn names_that_would_break_a_path_are_refused() {
        for name in ["", "a/b", "a.b", "a~b", &"x".repeat(256)] {
            let mut hello = hello();
            hello.source.name = name.to_owned();
            assert_eq!(parse(&finish(hello.emit(), &[0; COOKIE_LEN], &[])), None);
        }
    }
}
