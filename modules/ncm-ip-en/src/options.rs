//! The module's options.

use io_net_ddk::errno::EINVAL;
use io_net_ddk::{Failure, Options};
use io_net_wire::ethernet::Mac;
use std::net::IpAddr;

/// Bounds and times of the neighbour caches, and the neighbours given by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Entries of an interface's cache, at most.
    pub(crate) cache: usize,
    /// Packets that wait for one neighbour, at most.
    pub(crate) queue: usize,
    /// How long an answer counts, in nanoseconds.
    pub(crate) reachable_ns: u64,
    /// Neighbours that never change, on every interface.
    pub(crate) fixed: Vec<(IpAddr, Mac)>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cache: 1024,
            queue: 16,
            reachable_ns: 60_000_000_000,
            fixed: Vec::new(),
        }
    }
}

impl Limits {
    /// Reads the options.
    ///
    /// # Errors
    /// EINVAL, naming the value that makes no sense.
    pub(crate) fn parse(options: Options) -> Result<Self, Failure> {
        let mut limits = Limits::default();
        if let Some(cache) = options.number::<u32>("cache")? {
            limits.cache = within("cache", cache, 1, 1 << 20)?;
        }
        if let Some(queue) = options.number::<u32>("queue")? {
            limits.queue = within("queue", queue, 1, 1024)?;
        }
        if let Some(seconds) = options.number::<u32>("reachable")? {
            limits.reachable_ns = within("reachable", seconds, 1, 86_400)? as u64 * 1_000_000_000;
        }
        limits.fixed = options
            .all("static")
            .map(parse_neighbour)
            .collect::<Result<_, _>>()?;
        if limits.fixed.len() > limits.cache {
            return Err(Failure::new(
                EINVAL,
                "more static neighbours than cache= allows: raise cache=",
            ));
        }
        Ok(limits)
    }
}

fn within(name: &str, value: u32, low: u32, high: u32) -> Result<usize, Failure> {
    if (low..=high).contains(&value) {
        return Ok(value as usize);
    }
    let text = format!("option {name}={value}: give a number from {low} to {high}");
    Err(Failure::new(EINVAL, text))
}

fn parse_neighbour(value: &str) -> Result<(IpAddr, Mac), Failure> {
    let parsed = value
        .split_once('=')
        .and_then(|(address, mac)| Some((address.parse().ok()?, parse_mac(mac)?)));
    parsed.ok_or_else(|| {
        let text =
            format!("option static={value}: give ADDRESS=MAC, as 10.0.0.5=02:00:00:00:00:05");
        Failure::new(EINVAL, text)
    })
}

/// Reads a unicast link-layer address: six hexadecimal bytes with colons.
pub(crate) fn parse_mac(text: &str) -> Option<Mac> {
    let mut mac = Mac::default();
    let mut parts = text.split(':');
    for byte in &mut mac.0 {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    let unicast = !mac.is_multicast() && mac != Mac::default();
    (parts.next().is_none() && unicast).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let text = "cache=8,queue=2,reachable=5,static=10.0.0.5=02:00:00:00:00:05,\
                    static=fd00::5=02:00:00:00:00:05";
        let limits = Limits::parse(Options::new(text)).unwrap();
        let expected = Limits {
            cache: 8,
            queue: 2,
            reachable_ns: 5_000_000_000,
            fixed: vec![
                ("10.0.0.5".parse().unwrap(), Mac([2, 0, 0, 0, 0, 5])),
                ("fd00::5".parse().unwrap(), Mac([2, 0, 0, 0, 0, 5])),
            ],
        };
        assert_eq!(limits, expected);
        assert_eq!(Limits::parse(Options::new("")), Ok(Limits::default()));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "cache=0",
            "queue=9999",
            "reachable=0",
            "static=10.0.0.5",
            "static=10.0.0=02:00:00:00:00:05",
            "static=10.0.0.5=03:00:00:00:00:05",
            "static=10.0.0.5=02:00:00:00:00",
            "static=10.0.0.5=02:00:00:00:00:05:06",
            "cache=1,static=10.0.0.5=02:00:00:00:00:05,static=10.0.0.6=02:00:00:00:00:05",
        ] {
            let failure = Limits::parse(Options::new(text)).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{text}");
        }
    }
}
