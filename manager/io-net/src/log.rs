//! What io-net and its modules tell the operator: to stderr, and kept for `io-netctl log`.

use io_net_abi::{LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_WARNING};
use std::collections::VecDeque;
use std::fmt;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines kept.
const LINES_MAX: usize = 2000;
/// Bytes kept of one line.
const LINE_MAX: usize = 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// `LOG_*`: the lower, the worse.
    pub level: u32,
    /// Who says what.
    pub text: String,
}

/// The log of one io-net. Any thread writes to it.
pub struct Log {
    /// Lines of a higher level are not shown, unless they are forced.
    level_max: u32,
    quiet: bool,
    lines: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<Line>,
    /// Lines ever written.
    count: u64,
}

impl Log {
    /// A log that shows debugging lines where `verbose` is not 0, and keeps silent on stderr where
    /// `quiet`.
    #[must_use]
    pub fn new(verbose: u8, quiet: bool) -> Log {
        Log {
            level_max: if verbose > 0 { LOG_DEBUG } else { LOG_INFO },
            quiet,
            lines: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says `text` on behalf of `who`. `forced`: whatever the level.
    pub fn say(&self, who: &str, level: u32, text: &str, forced: bool) {
        if level > self.level_max && !forced {
            return;
        }
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LINE_MAX)
            .collect();
        let text = format!("{who}: {text}");
        if !self.quiet {
            // A stderr that is gone must not end io-net.
            let _ = writeln!(std::io::stderr(), "{}{text}", prefix(level));
        }
        let mut kept = self.kept();
        if kept.lines.len() == LINES_MAX {
            kept.lines.pop_front();
        }
        kept.count += 1;
        kept.lines.push_back(Line {
            time_ns: io_net_os::clock::realtime_ns(),
            level,
            text,
        });
    }

    /// io-net's own errors.
    pub fn error(&self, text: impl fmt::Display) {
        self.say("io-net", LOG_ERROR, &text.to_string(), false);
    }

    /// io-net's own warnings.
    pub fn warning(&self, text: impl fmt::Display) {
        self.say("io-net", LOG_WARNING, &text.to_string(), false);
    }

    /// io-net's own news.
    pub fn info(&self, text: impl fmt::Display) {
        self.say("io-net", LOG_INFO, &text.to_string(), false);
    }

    /// io-net's own details.
    pub fn debug(&self, text: impl fmt::Display) {
        self.say("io-net", LOG_DEBUG, &text.to_string(), false);
    }

    /// The lines after the first `seen` ever written, as far as they are kept, and how many have
    /// been written by now.
    #[must_use]
    pub fn since(&self, seen: u64) -> (Vec<Line>, u64) {
        let kept = self.kept();
        let fresh = kept.count.saturating_sub(seen);
        let skip = (kept.lines.len() as u64).saturating_sub(fresh) as usize;
        let lines = kept.lines.iter().skip(skip).cloned().collect();
        (lines, kept.count)
    }
}

/// What a line of this level begins with.
#[must_use]
pub fn prefix(level: u32) -> &'static str {
    match level {
        0..=LOG_ERROR => "error: ",
        LOG_WARNING => "warning: ",
        LOG_DEBUG.. => "debug: ",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines_of_its_level() {
        let log = Log::new(0, true);
        log.debug("not shown");
        for i in 0..LINES_MAX + 5 {
            log.info(format_args!("line {i}"));
        }
        let (all, count) = log.since(0);
        assert_eq!((all.len(), count), (LINES_MAX, LINES_MAX as u64 + 5));
        let (last, _) = log.since(count - 2);
        assert_eq!(last.len(), 2);
        assert_eq!(last[1].text, format!("io-net: line {}", LINES_MAX + 4));
        assert_eq!(last[1].level, LOG_INFO);
        assert!(log.since(count).0.is_empty());
    }

    #[test]
    fn a_line_is_one_line_and_bounded() {
        let log = Log::new(1, true);
        log.say("devn-x", LOG_DEBUG, &"a\nb".repeat(LINE_MAX), false);
        log.say("devn-x", LOG_DEBUG, "forced", true);
        let (lines, _) = log.since(0);
        assert_eq!(lines.len(), 2);
        assert!(!lines[0].text.contains('\n'));
        assert!(lines[0].text.len() <= LINE_MAX + 10);
    }
}
