//! How quantities are written: a number and its unit.

use crate::dice::Share;
use io_net_ddk::Failure;
use io_net_ddk::errno::EINVAL;

/// A rate in bits a second: `9600`, `10M`.
///
/// # Errors
/// EINVAL where it is none, or is 0.
pub(crate) fn rate(name: &str, value: &str) -> Result<u64, Failure> {
    let units = [
        ("", 1),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    let rate = measure(value, &units).filter(|rate| (1..=1_000_000_000_000).contains(rate));
    rate.ok_or_else(|| malformed(name, value, "bits a second, up to 1000G: 10M"))
}

/// Bytes: `3000`, `64k`.
///
/// # Errors
/// EINVAL where it is no such number.
pub(crate) fn size(name: &str, value: &str) -> Result<u64, Failure> {
    let size = measure(value, &[("", 1), ("k", 1_000), ("M", 1_000_000)]);
    let size = size.filter(|&size| size <= 1_000_000_000);
    size.ok_or_else(|| malformed(name, value, "bytes, up to 1000M: 3000, 64k"))
}

/// A time in nanoseconds: `10ms`, `0`.
///
/// # Errors
/// EINVAL where it is none, or longer than an hour.
pub(crate) fn time(name: &str, value: &str) -> Result<u64, Failure> {
    let units = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
    ];
    let time = match value {
        "0" => Some(0),
        _ => measure(value, &units).filter(|&time| time <= 3_600_000_000_000),
    };
    time.ok_or_else(|| malformed(name, value, "a time up to an hour with its unit: 10ms"))
}

/// A share of the packets: `1%`, `0.05%`.
///
/// # Errors
/// EINVAL where it is none.
pub(crate) fn share(name: &str, value: &str) -> Result<Share, Failure> {
    let percent = value.strip_suffix('%').and_then(decimal);
    let share = percent.filter(|percent| (0.0..=100.0).contains(percent));
    share
        .map(|percent| Share::new(percent / 100.0))
        .ok_or_else(|| malformed(name, value, "a share from 0% to 100%: 1%"))
}

/// A whole or decimal number in one of `units`, the longest that fits.
fn measure(value: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = value.split_at(end.unwrap_or(value.len()));
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    match number.contains('.') {
        false => number.parse::<u64>().ok()?.checked_mul(*factor),
        true => {
            let exact = decimal(number)? * *factor as f64;
            (exact < 1e18).then_some(exact.round() as u64)
        }
    }
}

/// A number of digits with a point perhaps; no sign, exponent or name.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| plain)
}

pub(crate) fn malformed(name: &str, value: &str, wanted: &str) -> Failure {
    Failure::new(EINVAL, format!("option {name}={value}: give {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(rate("rate", "9600").unwrap(), 9600);
        assert_eq!(rate("rate", "2.5G").unwrap(), 2_500_000_000);
        assert_eq!(size("burst", "64k").unwrap(), 64_000);
        assert_eq!(time("delay", "1.5ms").unwrap(), 1_500_000);
        assert_eq!(time("delay", "0").unwrap(), 0);
        assert_eq!(share("loss", "50%").unwrap(), Share::new(0.5));
        assert_eq!(share("loss", "100%").unwrap(), Share::ALL);
    }

    #[test]
    fn what_is_no_quantity_is_refused_by_name() {
        for bad in [
            "",
            "0",
            "10m",
            "-1",
            "1e9",
            "inf",
            "1001G",
            "18446744073709551615k",
            ".",
        ] {
            assert!(
                rate("rate", bad).unwrap_err().text.contains("rate="),
                "{bad}"
            );
        }
        for bad in ["", "10", "ms", "3601s", "1.2.3ms", "99999999999999999999s"] {
            assert!(time("delay", bad).is_err(), "{bad}");
        }
        for bad in ["", "%", "1", "101%", "-1%", "nan%", "1e1%", "\u{fffd}%"] {
            assert!(share("loss", bad).is_err(), "{bad}");
        }
        assert!(size("burst", "1001M").is_err());
    }
}
