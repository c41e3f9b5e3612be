//! Losses: each packet for itself, and bursts by the model of Gilbert and Elliott.

use crate::dice::{Dice, Share};

/// The parameters of the two-state chain (Elliott: Estimates of error rates for codes on
/// burst-noise channels, 1963).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst {
    /// From good to bad, at each packet.
    pub(crate) worsen: Share,
    /// From bad to good, at each packet.
    pub(crate) recover: Share,
    /// Lost in the bad state.
    pub(crate) lost_bad: Share,
    /// Lost in the good state.
    pub(crate) lost_good: Share,
}

/// The chain's state and its dice.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    dice: Dice,
    bad: bool,
}

impl Chain {
    /// A chain in the good state.
    pub(crate) fn new(dice: Dice) -> Chain {
        Chain { dice, bad: false }
    }

    /// Whether the next packet is lost.
    #[inline]
    pub(crate) fn loses(&mut self, burst: &Burst) -> bool {
        let (change, lost) = match self.bad {
            true => (burst.recover, burst.lost_bad),
            false => (burst.worsen, burst.lost_good),
        };
        let loses = self.dice.falls(lost);
        self.bad ^= self.dice.falls(change);
        loses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_as_frequent_and_as_long_as_the_chain_says() {
        let burst = Burst {
            worsen: Share::new(0.01),
            recover: Share::new(0.25),
            lost_bad: Share::ALL,
            lost_good: Share::default(),
        };
        let mut chain = Chain::new(Dice::new(5, 0));
        let lost: Vec<bool> = (0..200_000).map(|_| chain.loses(&burst)).collect();
        let total = lost.iter().filter(|&&lost| lost).count();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        // The bad state's share is 0.01 / (0.01 + 0.25), a burst's mean length 1 / 0.25.
        assert!(total.abs_diff(7692) < 600, "{total}");
        let mean = total as f64 / bursts as f64;
        assert!((3.6..4.4).contains(&mean), "{mean}");
    }
}
