//! Departures of a stream from its plain form: changes in its course, and delays of its rewards.
//!
//! Deliberately not here: the order of the rows, which is the same in every variant.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use serde::{Serialize, Serializer};

/// Departures of a stream from its plain form, in which labels stay and a reward comes right after its decision.
///
/// As text: `plain`, `drift`, `delay100` (any number from 1), `drift+delay100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Variant {
    /// True if the right arm is the one after the label's, (label + 1) mod arms, from round ⌊n/2⌋ of n on.
    pub drift: bool,
    /// Number of rounds in a batch, B, or `None` for no delay. The rewards of rounds [jB, (j+1)B) all arrive right
    /// before round (j+1)B. If round (j+1)B is not in the stream they never arrive.
    pub delay: Option<NonZeroUsize>,
}

impl Variant {
    /// The plain form: labels stay, and rewards come at once.
    pub const PLAIN: Self = Self { drift: false, delay: None };

    /// Returns the right arm of round `t`, from 0 and below `rounds`, whose row has this `label`, below `arms`.
    pub fn right_arm(self, label: usize, t: usize, rounds: usize, arms: usize) -> usize {
        if self.drift && t >= rounds / 2 { (label + 1) % arms } else { label }
    }

    /// Returns whether the waiting rewards arrive right before round `t`.
    pub fn batch_arrives_before(self, t: usize) -> bool {
        self.delay.is_some_and(|batch| t > 0 && t.is_multiple_of(batch.get()))
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.drift, self.delay) {
            (false, None) => f.pad("plain"),
            (true, None) => f.pad("drift"),
            (false, Some(batch)) => write!(f, "delay{batch}"),
            (true, Some(batch)) => write!(f, "drift+delay{batch}"),
        }
    }
}

/// Error of a text that names no variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no variant; there are plain, drift, delayB with a number B from 1, and drift+delayB")]
pub struct UnknownVariant(String);

impl FromStr for Variant {
    type Err = UnknownVariant;

    fn from_str(text: &str) -> Result<Self, UnknownVariant> {
        let unknown = || UnknownVariant(text.to_owned());
        let delay = |text: &str| text.strip_prefix("delay").and_then(|batch| batch.parse().ok()).ok_or_else(unknown);
        Ok(match text {
            "plain" => Self::PLAIN,
            "drift" => Self { drift: true, delay: None },
            _ => match text.strip_prefix("drift+") {
                Some(rest) => Self { drift: true, delay: Some(delay(rest)?) },
                None => Self { drift: false, delay: Some(delay(text)?) },
            },
        })
    }
}

impl Serialize for Variant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_reads_as_it_is_written() {
        for text in ["plain", "drift", "delay1", "delay1000", "drift+delay100"] {
            assert_eq!(text.parse::<Variant>().unwrap().to_string(), text);
        }
        for text in ["", "Plain", "delay", "delay0", "delay-1", "delay1.5", "drift+", "drift+plain", "delay9+drift"] {
            assert_eq!(text.parse::<Variant>(), Err(UnknownVariant(text.to_owned())), "{text}");
        }
        assert_eq!(Variant::default(), Variant::PLAIN);
    }

    /// Computed by hand: of 7 rounds the first 3 are before the change, and the first arm follows the last one.
    #[test]
    fn labels_shift_from_the_middle_on() {
        let right = |variant: Variant, label| (0..7).map(|t| variant.right_arm(label, t, 7, 3)).collect::<Vec<_>>();
        let drift = Variant { drift: true, delay: None };
        assert_eq!(right(drift, 0), [0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(right(drift, 2), [2, 2, 2, 0, 0, 0, 0]);
        assert_eq!(right(Variant::PLAIN, 2), [2; 7]);
    }

    #[test]
    fn batches_arrive_before_every_multiple_of_their_size() {
        let before = |variant: Variant| (0..8).filter(|&t| variant.batch_arrives_before(t)).collect::<Vec<_>>();
        assert_eq!(before("delay3".parse().unwrap()), [3, 6]);
        assert_eq!(before("delay1".parse().unwrap()), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(before("delay8".parse().unwrap()), [0; 0]);
        assert_eq!(before(Variant::PLAIN), [0; 0]);
    }
}
