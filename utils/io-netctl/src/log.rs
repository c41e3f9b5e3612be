//! `io-netctl log`: lines with their times in a form that people read.

/// A line of the log, which begins with its seconds since 1970, with the time in UTC instead.
pub(crate) fn show(line: &str) -> String {
    let split = line.split_once(' ').and_then(|(time, text)| {
        let (seconds, ms) = time.split_once('.')?;
        Some((seconds.parse::<u64>().ok()?, ms, text))
    });
    match split {
        Some((seconds, ms, text)) => format!("{}.{ms} {text}\n", utc(seconds)),
        None => format!("{line}\n"),
    }
}

/// Seconds since 1970 as `2026-11-23 21:42:03`.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of the Gregorian calendar, of a day since 1970-01-01. Years are counted from
/// March, so that a leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097; // 400 years
    const UNIX_EPOCH: u64 = 719_468; // days from 0000-03-01 to 1970-01-01
    let days = days + UNIX_EPOCH;
    let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let january_on = u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + january_on, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(seconds), text);
        }
        let line = show("1735689599.042 error: io-net: no");
        assert_eq!(line, "2024-12-31 23:59:59.042 error: io-net: no\n");
        for odd in ["", "words", "12 words", "x.y words"] {
            assert_eq!(show(odd), format!("{odd}\n"));
        }
    }
}
