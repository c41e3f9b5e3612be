//! Initial sequence numbers (RFC 6528), timestamp offsets, and ephemeral ports (RFC 6056).

use super::flow::Flow;
use super::seq::Seq;
use crate::hash::SecretHash;
use crate::time::Instant;

/// Distinguishes the uses of the one secret.
const USE_ISN: u64 = 1;
const USE_TIMESTAMP: u64 = 2;
const USE_PORT: u64 = 3;

fn keyed(secret: &SecretHash, flow: &Flow, purpose: u64) -> u64 {
    let [a, b, c, d, e] = flow.words();
    secret.of(&[a, b, c, d, e, purpose])
}

/// The ISN of a new connection: a clock of 4 us plus a secret function of the addresses (RFC 6528, 3).
pub(crate) fn initial_seq(secret: &SecretHash, flow: &Flow, now: Instant) -> Seq {
    let clock = (now.as_nanos() / 4000) as u32;
    Seq(clock.wrapping_add(keyed(secret, flow, USE_ISN) as u32))
}

/// What a connection adds to its millisecond clock in timestamps (RFC 7323, 5.4).
pub(crate) fn timestamp_offset(secret: &SecretHash, flow: &Flow) -> u32 {
    keyed(secret, flow, USE_TIMESTAMP) as u32
}

/// Ephemeral ports towards one peer, in the order to try them: RFC 6056, algorithm 3.
pub(crate) fn ephemeral_ports(
    secret: &SecretHash,
    flow: &Flow,
    counter: u32,
    (first, last): (u16, u16),
) -> impl Iterator<Item = u16> + use<> {
    let unbound = Flow {
        local_port: 0,
        ..*flow
    };
    let (first, last) = (first.min(last).max(1), first.max(last).max(1));
    let count = u32::from(last - first) + 1;
    let offset = (keyed(secret, &unbound, USE_PORT) as u32).wrapping_add(counter);
    (0..count).map(move |step| first + (offset.wrapping_add(step) % count) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isns_differ_by_flow_and_grow_with_the_clock() {
        let secret = SecretHash::new(1, 2);
        let other = Flow {
            remote_port: 1,
            ..Flow::NONE
        };
        let start = initial_seq(&secret, &Flow::NONE, Instant::ZERO);
        let later = initial_seq(&secret, &Flow::NONE, Instant::from_millis(1));
        assert_eq!(later, start + 250);
        assert_ne!(start, initial_seq(&secret, &other, Instant::ZERO));
        assert_ne!(
            start,
            initial_seq(&SecretHash::new(1, 3), &Flow::NONE, Instant::ZERO)
        );
    }

    #[test]
    fn ephemeral_ports_cover_the_range_once() {
        let secret = SecretHash::new(1, 2);
        let mut ports: Vec<u16> =
            ephemeral_ports(&secret, &Flow::NONE, u32::MAX - 2, (50_000, 50_009)).collect();
        ports.sort();
        assert_eq!(ports, (50_000..=50_009).collect::<Vec<u16>>());
    }
}
