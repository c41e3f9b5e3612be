//! The module's options, checked.

use io_net_ddk::{Failure, Options, errno::EINVAL};
use std::path::PathBuf;

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaptureOptions {
    pub(crate) file: PathBuf,
    /// Bytes kept of each packet.
    pub(crate) snap_len: u32,
    /// Packets to capture.
    pub(crate) count: u64,
    pub(crate) up: bool,
    pub(crate) down: bool,
}

/// More than any packet has; what Wireshark takes for "whole packets".
const WHOLE: u32 = 262_144;

impl CaptureOptions {
    /// Reads option text. 0 as a number stands for no limit.
    ///
    /// # Errors
    /// EINVAL where there is no file or a value is malformed.
    pub(crate) fn parse(options: Options<'_>) -> Result<Self, Failure> {
        let file = options.text("file").filter(|file| !file.is_empty());
        let file = file.ok_or_else(|| {
            let text = "option file=: give the file to write, or a FIFO that exists";
            Failure::new(EINVAL, text)
        })?;
        let snap_len = options.number("snaplen")?.filter(|&len| len != 0);
        let count = options.number("count")?.filter(|&count| count != 0);
        let (up, down) = match options.text("direction") {
            None => (true, true),
            Some("up") => (true, false),
            Some("down") => (false, true),
            Some(other) => {
                let text = format!("option direction={other}: give up or down");
                return Err(Failure::new(EINVAL, text));
            }
        };
        Ok(CaptureOptions {
            file: file.into(),
            snap_len: snap_len.unwrap_or(WHOLE).min(WHOLE),
            count: count.unwrap_or(u64::MAX),
            up,
            down,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CaptureOptions, Failure> {
        CaptureOptions::parse(Options::new(text))
    }

    #[test]
    fn limits_are_optional() {
        let all = parse("file=/tmp/x").unwrap();
        assert_eq!((all.snap_len, all.count), (WHOLE, u64::MAX));
        assert!(all.up && all.down);
        let some = parse("file=x,snaplen=96,count=10,direction=down").unwrap();
        assert_eq!((some.snap_len, some.count), (96, 10));
        assert!(!some.up && some.down);
        let none = parse("file=x,snaplen=0,count=0").unwrap();
        assert_eq!((none.snap_len, none.count), (WHOLE, u64::MAX));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for bad in [
            "file=",
            "direction=sideways,file=x",
            "snaplen=4294967296,file=x",
        ] {
            let failure = parse(bad).unwrap_err();
            let name = bad.split('=').next().unwrap();
            assert!(failure.text.contains(name), "{failure}");
        }
        assert!(parse("").unwrap_err().text.contains("file="));
    }
}
