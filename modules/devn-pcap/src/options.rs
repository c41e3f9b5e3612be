//! The module's options, checked.

use crate::pace::Speed;
use io_net_ddk::{Failure, Options, errno::EINVAL, random_mac};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

const MTU: RangeInclusive<u32> = 68..=65_535;
const DEFAULT_MTU: u32 = 1500;
const DEFAULT_DELAY_MS: u32 = 100;
const PPS: RangeInclusive<u64> = 1..=1_000_000_000;

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PcapOptions {
    pub(crate) read: Option<PathBuf>,
    pub(crate) write: Option<PathBuf>,
    pub(crate) speed: Speed,
    /// 0: for ever.
    pub(crate) repeat: u64,
    /// Before the first frame, so that those who are to take it are there.
    pub(crate) delay: Duration,
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
}

impl PcapOptions {
    /// Reads option text.
    ///
    /// # Errors
    /// EINVAL where neither file is named, or a value is out of range.
    pub(crate) fn parse(options: Options<'_>) -> Result<Self, Failure> {
        let (read, write) = (path(options, "read")?, path(options, "write")?);
        if read.is_none() && write.is_none() {
            return refuse("read=: give a capture to replay, or write= one to make, or both");
        }
        if read.is_some() && read == write {
            return refuse("write=: that is the capture which is read; give another");
        }
        let mac = options.mac("mac")?.unwrap_or_else(random_mac);
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return refuse("mac=: give a unicast address such as 02:00:00:00:00:01");
        }
        let mtu = options.number("mtu")?.unwrap_or(DEFAULT_MTU);
        if !MTU.contains(&mtu) {
            return refuse(&format!("mtu={mtu}: give a number from 68 to 65535"));
        }
        let delay_ms: u32 = options.number("delay")?.unwrap_or(DEFAULT_DELAY_MS);
        Ok(PcapOptions {
            read,
            write,
            speed: speed(options)?,
            repeat: options.number("repeat")?.unwrap_or(1),
            delay: Duration::from_millis(delay_ms.into()),
            mac,
            mtu,
        })
    }
}

/// io-net's own directory is none that anybody has in mind.
fn path(options: Options<'_>, name: &str) -> Result<Option<PathBuf>, Failure> {
    match options.text(name) {
        None => Ok(None),
        Some(text) if text.starts_with('/') => Ok(Some(PathBuf::from(text))),
        Some(text) => refuse(&format!("{name}={text}: give a path from the root")),
    }
}

fn speed(options: Options<'_>) -> Result<Speed, Failure> {
    match (options.text("speed"), options.number("pps")?) {
        (None, Some(pps)) if PPS.contains(&pps) => Ok(Speed::Rate { pps }),
        (None, Some(pps)) => refuse(&format!("pps={pps}: give a number from 1 to 1000000000")),
        (Some(_), Some(_)) => refuse("pps=: it replaces speed=, so give one of them"),
        (None | Some("recorded"), None) => Ok(Speed::Recorded),
        (Some("full"), None) => Ok(Speed::Full),
        (Some(other), None) => refuse(&format!("speed={other}: give recorded or full")),
    }
}

fn refuse<T>(text: &str) -> Result<T, Failure> {
    Err(Failure::new(EINVAL, format!("option {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PcapOptions, Failure> {
        PcapOptions::parse(Options::new(text))
    }

    #[test]
    fn a_file_is_needed_and_the_rest_has_defaults() {
        let options = parse("read=/a.pcap").unwrap();
        assert_eq!(options.read, Some("/a.pcap".into()));
        assert_eq!((options.speed, options.repeat), (Speed::Recorded, 1));
        let options = parse("write=/b.pcap,read=/a.pcap,pps=7,repeat=0,mtu=9000").unwrap();
        assert_eq!(options.speed, Speed::Rate { pps: 7 });
        assert_eq!((options.repeat, options.mtu), (0, 9000));
        assert_eq!(options.delay, Duration::from_millis(100));
        assert_eq!(parse("read=/a,speed=full").unwrap().speed, Speed::Full);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (bad, named) in [
            ("", "read="),
            ("read=", "read="),
            ("read=a.pcap", "from the root"),
            ("read=/a,write=../b", "from the root"),
            ("read=/a,write=/a", "write="),
            ("read=/a,speed=fast", "speed=fast"),
            ("read=/a,pps=0", "pps=0"),
            ("read=/a,pps=5,speed=full", "pps="),
            ("read=/a,mtu=67", "mtu=67"),
            ("read=/a,mac=ff:ff:ff:ff:ff:ff", "mac="),
        ] {
            let failure = parse(bad).unwrap_err();
            assert_eq!(failure.errno, EINVAL, "{bad}");
            assert!(failure.text.contains(named), "{failure}");
        }
    }
}
