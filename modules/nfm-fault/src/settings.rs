//! The options, checked. A control request brings the same ones.

use crate::dice::Share;
use crate::loss::Burst;
use crate::quantity::{malformed, rate, share, size, time};
use io_net_ddk::{Failure, Options};

/// How bad a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// Bits a second.
    pub(crate) rate: Option<u64>,
    /// Bytes that may pass at once under a rate.
    pub(crate) burst: u64,
    pub(crate) delay_ns: u64,
    pub(crate) jitter_ns: u64,
    /// Packets that may wait.
    pub(crate) limit: usize,
    pub(crate) loss: Share,
    pub(crate) burst_loss: Option<Burst>,
    pub(crate) duplicate: Share,
    pub(crate) reorder: Share,
    /// Packets that overtake one that is reordered.
    pub(crate) gap: u32,
    pub(crate) corrupt: Share,
    /// The options, as they were written.
    pub(crate) text: String,
}

/// Options that a control request may give.
const NAMES: &[&str] = &[
    "direction",
    "seed",
    "rate",
    "burst",
    "delay",
    "jitter",
    "limit",
    "loss",
    "burst-loss",
    "duplicate",
    "reorder",
    "gap",
    "corrupt",
];

/// Which lines settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Up,
    Down,
    Both,
}

/// Reads the value of `direction`.
///
/// # Errors
/// EINVAL where it is neither up nor down.
pub(crate) fn direction(value: Option<&str>) -> Result<Direction, Failure> {
    match value {
        None => Ok(Direction::Both),
        Some("up") => Ok(Direction::Up),
        Some("down") => Ok(Direction::Down),
        Some(other) => Err(malformed("direction", other, "up or down")),
    }
}

impl Settings {
    /// Nothing is wrong.
    pub(crate) fn clear() -> Settings {
        Settings {
            seed: 1,
            rate: None,
            burst: 0,
            delay_ns: 0,
            jitter_ns: 0,
            limit: 1000,
            loss: Share::default(),
            burst_loss: None,
            duplicate: Share::default(),
            reorder: Share::default(),
            gap: 3,
            corrupt: Share::default(),
            text: String::new(),
        }
    }

    /// Reads option text.
    ///
    /// # Errors
    /// EINVAL where a value is malformed or out of range.
    pub(crate) fn parse(options: Options) -> Result<Settings, Failure> {
        let shares = |name| options.text(name).map(|value| share(name, value));
        let share_of = |name| shares(name).unwrap_or(Ok(Share::default()));
        let time_of = |name| options.text(name).map_or(Ok(0), |value| time(name, value));
        let clear = Settings::clear();
        Ok(Settings {
            seed: options.number("seed")?.unwrap_or(clear.seed),
            rate: options.text("rate").map(|v| rate("rate", v)).transpose()?,
            burst: options.text("burst").map_or(Ok(0), |v| size("burst", v))?,
            delay_ns: time_of("delay")?,
            jitter_ns: time_of("jitter")?,
            limit: bounded(options, "limit", 1_000_000)?
                .map_or(clear.limit, |limit| limit as usize),
            loss: share_of("loss")?,
            burst_loss: options.text("burst-loss").map(burst_loss).transpose()?,
            duplicate: share_of("duplicate")?,
            reorder: share_of("reorder")?,
            gap: bounded(options, "gap", 1000)?.unwrap_or(clear.gap),
            corrupt: share_of("corrupt")?,
            text: written(options),
        })
    }

    /// As [`Settings::parse`], where nobody has looked at the options' names before.
    ///
    /// # Errors
    /// EINVAL also where there is no option of a name.
    pub(crate) fn parse_all(options: Options) -> Result<Settings, Failure> {
        let unknown = |(name, _): &(&str, Option<&str>)| !NAMES.contains(name);
        if let Some((name, value)) = options.iter().find(unknown) {
            let wanted = format!("one of {}", NAMES.join(" "));
            return Err(malformed(name, value.unwrap_or(""), &wanted));
        }
        Settings::parse(options)
    }

    /// Whether packets pass as they come.
    pub(crate) fn is_clear(&self) -> bool {
        self.rate.is_none() && self.delay_ns == 0 && self.jitter_ns == 0 && !self.tells_apart()
    }

    /// Whether it matters which packets on the wire a super-packet stands for.
    pub(crate) fn tells_apart(&self) -> bool {
        let shares = [self.loss, self.duplicate, self.reorder, self.corrupt];
        self.rate.is_some() || self.burst_loss.is_some() || !shares.iter().all(|s| s.is_none())
    }
}

/// The options again, without the direction.
fn written(options: Options) -> String {
    let own = options.iter().filter(|(name, _)| *name != "direction");
    let items: Vec<String> = own
        .filter(|(name, _)| NAMES.contains(name))
        .map(|(name, value)| format!("{name}={}", value.unwrap_or("")))
        .collect();
    items.join(",")
}

fn bounded(options: Options, name: &str, most: u32) -> Result<Option<u32>, Failure> {
    let number = options.number::<u32>(name)?;
    match number {
        Some(number) if !(1..=most).contains(&number) => {
            let wanted = format!("a number from 1 to {most}");
            Err(malformed(name, &number.to_string(), &wanted))
        }
        number => Ok(number),
    }
}

fn burst_loss(value: &str) -> Result<Burst, Failure> {
    let mut shares = [
        Share::default(),
        Share::default(),
        Share::ALL,
        Share::default(),
    ];
    let parts: Vec<&str> = value.split(':').collect();
    if !(2..=4).contains(&parts.len()) {
        let wanted = "P:R[:BAD[:GOOD]], shares: 1%:30%";
        return Err(malformed("burst-loss", value, wanted));
    }
    for (place, part) in shares.iter_mut().zip(parts) {
        *place = share("burst-loss", part)?;
    }
    let [worsen, recover, lost_bad, lost_good] = shares;
    Ok(Burst {
        worsen,
        recover,
        lost_bad,
        lost_good,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Failure> {
        Settings::parse_all(Options::new(text))
    }

    #[test]
    fn without_options_nothing_is_wrong_with_the_line() {
        let settings = parse("").unwrap();
        assert!(settings.is_clear() && !settings.tells_apart());
        assert_eq!((settings.seed, settings.limit, settings.gap), (1, 1000, 3));
    }

    #[test]
    fn each_option_makes_it_worse() {
        for some in [
            "rate=1M",
            "loss=1%",
            "burst-loss=1%:9%",
            "duplicate=1%",
            "reorder=1%",
            "corrupt=1%",
        ] {
            let settings = parse(some).unwrap();
            assert!(!settings.is_clear() && settings.tells_apart(), "{some}");
        }
        for some in ["delay=1ms", "jitter=1ms"] {
            let settings = parse(some).unwrap();
            assert!(!settings.is_clear() && !settings.tells_apart(), "{some}");
        }
        let burst = parse("burst-loss=1%:20%:90%:0.1%")
            .unwrap()
            .burst_loss
            .unwrap();
        assert_eq!(burst.lost_bad, Share::new(0.9));
        assert_eq!(burst.lost_good, Share::new(0.001));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for bad in [
            "gap=0",
            "gap=1001",
            "limit=0",
            "limit=1000001",
            "burst-loss=1%",
            "seed=x",
            "burst-loss=1%:1%:1%:1%:1%",
            "lost=1%",
            "rate",
            "loss=2",
        ] {
            // A name alone is the option's default, as for every module.
            let result = parse(bad);
            assert_eq!(result.is_err(), bad != "rate", "{bad}");
            let name = bad.split('=').next().unwrap();
            assert!(
                result.map_or_else(|f| f.text.contains(name), |_| true),
                "{bad}"
            );
        }
        assert!(direction(Some("sideways")).is_err());
    }
}
