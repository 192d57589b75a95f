//! Randomness without an order: every number is a hash of its purpose.
//!
//! Invariant: a coin depends on (seed, replication, visit or shopper, purpose, item) alone. One more draw in one place
//! therefore changes no draw in another, and all policies see the same shoppers with the same potential outcomes.

use std::f64::consts::TAU;

use super::splitmix::{GOLDEN, mix};
use crate::stats::math;

/// Purpose of a random number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Time to the next session, and whether the session comes at all.
    Arrival = 1,
    /// Identity of a shopper.
    Who,
    /// Differences between shoppers.
    Trait,
    /// Intent of a shopper.
    Intent,
    /// Course of a session.
    Session,
    /// Looks at positions.
    Look,
    /// Funnel steps.
    Step,
    /// Delays of funnel steps.
    Delay,
    /// Values of events.
    Value,
    /// Defects of events on their way.
    Dirt,
    /// Overrides of decisions.
    Override,
    /// Traits of an arm.
    Arm,
    /// Stock of an arm.
    Stock,
    /// The slot's own draw.
    Draw,
    /// Touchpoint of a visit.
    Touchpoint,
    /// Opening of a message: whether, and when.
    Opening,
    /// Device of a session.
    Device,
}

/// Coins of one visit, shopper or arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coins(u64);

/// Continues a hash with another number.
fn hash_with(word: u64, number: u64) -> u64 {
    mix(word.wrapping_add(GOLDEN) ^ mix(number.wrapping_add(GOLDEN)))
}

impl Coins {
    /// Returns the coins of the thing that these numbers name. `purpose` keeps one kind of thing apart from another.
    pub fn new(purpose: &str, numbers: &[u64]) -> Self {
        let mut word = purpose.len() as u64;
        for eight in purpose.as_bytes().chunks(8) {
            word = hash_with(word, eight.iter().fold(0, |all, &byte| all << 8 | u64::from(byte)));
        }
        Self(numbers.iter().fold(word, |word, &number| hash_with(word, number)))
    }

    /// Returns 64 random bits.
    pub fn word(self, purpose: Purpose, item: u64) -> u64 {
        let stream = mix(self.0 ^ (purpose as u64).wrapping_mul(GOLDEN));
        mix(stream.wrapping_add(item.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// Returns a uniform number in (0, 1).
    pub fn fraction(self, purpose: Purpose, item: u64) -> f64 {
        // The number consists of the top 52 bits and a half, so neither end occurs.
        ((self.word(purpose, item) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Returns whether an event of this chance happens.
    pub fn flip(self, purpose: Purpose, item: u64, chance: f64) -> bool {
        self.fraction(purpose, item) < chance
    }

    /// Returns a standard normal number from the items 2i and 2i + 1. (Box & Muller 1958.)
    pub fn normal(self, purpose: Purpose, item: u64) -> f64 {
        let (u, v) = (self.fraction(purpose, 2 * item), self.fraction(purpose, 2 * item + 1));
        (-2.0 * math::ln(u)).sqrt() * math::cos(TAU * v)
    }

    /// Returns an exponential number of mean 1.
    pub fn exponential(self, purpose: Purpose, item: u64) -> f64 {
        -math::ln(self.fraction(purpose, item))
    }

    /// Returns an index with a chance in proportion to its weight, or the last index if all weights are 0.
    pub fn pick(self, purpose: Purpose, item: u64, shares: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.fraction(purpose, item) * shares.clone().sum::<f64>();
        let mut last = 0;
        for (i, share) in shares.enumerate() {
            if left < share {
                return i;
            }
            left -= share;
            last = i;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of n uniform numbers is off by 1/√(12n) and their variance of 1/12 by √(1/180n). For normal numbers it
    /// is 1/√n and √(2/n). Five of those is a false alarm once in 1.7 million fresh seeds.
    #[test]
    fn coins_have_the_mean_and_spread_of_their_kind() {
        const N: u32 = 200_000;
        let n = f64::from(N);
        let check = |name: &str, of: &dyn Fn(u64) -> f64, mean: f64, variance: f64, fourth: f64| {
            let all: Vec<f64> = (0..u64::from(N)).map(of).collect();
            let m = all.iter().sum::<f64>() / n;
            let v = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            assert!((m - mean).abs() < 5.0 * (variance / n).sqrt(), "{name}: mean {m}");
            assert!((v - variance).abs() < 5.0 * ((fourth - variance * variance) / n).sqrt(), "{name}: variance {v}");
        };
        let coins = Coins::new("test", &[7, 3]);
        check("by item", &|i| coins.fraction(Purpose::Step, i), 0.5, 1.0 / 12.0, 1.0 / 80.0);
        check("by thing", &|i| Coins::new("test", &[i]).fraction(Purpose::Step, 0), 0.5, 1.0 / 12.0, 1.0 / 80.0);
        check("normal", &|i| coins.normal(Purpose::Trait, i), 0.0, 1.0, 3.0);
        check("exponential", &|i| coins.exponential(Purpose::Delay, i), 1.0, 1.0, 9.0);
    }

    #[test]
    fn coins_of_different_purposes_items_and_things_differ() {
        let (a, b) = (Coins::new("a", &[1]), Coins::new("a", &[2]));
        assert_ne!(a, Coins::new("b", &[1]));
        let words =
            [a.word(Purpose::Look, 0), a.word(Purpose::Look, 1), a.word(Purpose::Step, 0), b.word(Purpose::Look, 0)];
        assert!((0..4).all(|i| (0..i).all(|j| words[i] != words[j])), "{words:?}");
        assert_eq!(words[0], Coins::new("a", &[1]).word(Purpose::Look, 0));
    }

    /// The weights are 1:0:3. The standard error of the first count in 30,000 picks is √(30,000·¼·¾) = 75.
    #[test]
    fn picks_follow_the_weights() {
        let coins = Coins::new("pick", &[]);
        let mut counts = [0_i64; 3];
        for i in 0..30_000 {
            counts[coins.pick(Purpose::Who, i, [1.0, 0.0, 3.0].into_iter())] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((counts[0] - 7_500).abs() < 5 * 75, "{counts:?}");
    }
}
