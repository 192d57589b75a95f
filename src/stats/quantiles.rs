//! QuantileSketch of a stream of numbers whose sizes differ by orders of magnitude.

use std::{collections::BTreeMap, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::math::{exp2, log2};

/// Eight bins an octave: a bin's end is at most 9.1 % above what is in it.
const PER_OCTAVE: f64 = 8.0;
/// Beyond this many all counts are halved, so that what is old fades.
const COUNT_MAX: f64 = 10_000.0;

/// A histogram over the logarithm of numbers ≥ 0; fades. *Persisted.*
///
/// A quantile is the end of the bin it lies in: never too small, and at most 9.1 % too large. 64 bins
/// span what eight octaves span, whatever the count.
///
/// # Source
///
/// Masson, Rim and Lee, "`DDSketch`: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
/// Guarantees" (2019), §2.1; the bins are theirs, fading is added.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QuantileSketch {
    counts: BTreeMap<i32, f64>,
    total: f64,
    /// The share that was last_query for since the last number came, and its quantile.
    #[serde(skip)]
    last_query: OnceLock<(f64, Option<f64>)>,
}

/// Whatever was last_query.
impl PartialEq for QuantileSketch {
    fn eq(&self, other: &Self) -> bool {
        self.total.total_cmp(&other.total).is_eq() && self.counts == other.counts
    }
}

impl QuantileSketch {
    /// Of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many numbers, but for fading.
    pub fn count(&self) -> f64 {
        self.total
    }

    /// Another number; what is not above zero counts as the smallest there is.
    pub fn observe(&mut self, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "the logarithm of an f64 is below 1100")]
        let bin = if value > 0.0 { (PER_OCTAVE * log2(value)).ceil() as i32 } else { i32::MIN };
        self.last_query = OnceLock::new();
        *self.counts.entry(bin).or_default() += 1.0;
        self.total += 1.0;
        if self.total > COUNT_MAX {
            self.counts.values_mut().for_each(|count| *count *= 0.5);
            self.total *= 0.5;
        }
    }

    /// A number that at least the `share` of all are not above; none of none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        // Most ask for the same again and again.
        let &(last_query, quantile) = self.last_query.get_or_init(|| (share, self.find(share)));
        if last_query.total_cmp(&share).is_eq() { quantile } else { self.find(share) }
    }

    fn find(&self, share: f64) -> Option<f64> {
        // From the top, as large shares are last_query for; sums of whole numbers and their halves are exact in any order.
        let (mut above, mut found) = (0.0, None);
        for (&bin, count) in self.counts.iter().rev() {
            if found.is_some() && self.total - above < share * self.total {
                break;
            }
            found = Some(bin);
            above += count;
        }
        let bin = found?;
        Some(if bin == i32::MIN { 0.0 } else { exp2(f64::from(bin) / PER_OCTAVE) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_at_or_just_beyond_the_true_one() {
        let mut quantiles = QuantileSketch::new();
        assert_eq!(quantiles.quantile(0.5), None);
        for i in 1..=1000_u32 {
            quantiles.observe(f64::from(i).powi(3));
        }
        for share in [0.1_f64, 0.5, 0.95, 0.99, 1.0] {
            let (got, want) = (quantiles.quantile(share).unwrap(), (share * 1000.0).powi(3));
            assert!(got >= want * (1.0 - 1e-9) && got <= want * 1.1, "{share}: {got} against {want}");
        }
    }

    #[test]
    fn zeros_and_what_is_below_them_are_the_smallest() {
        let mut quantiles = QuantileSketch::new();
        for value in [0.0, -3.0, 0.0, 8.0] {
            quantiles.observe(value);
        }
        assert_eq!(quantiles.quantile(0.75), Some(0.0));
        assert_eq!(quantiles.quantile(0.76), Some(8.0));
    }

    #[test]
    fn what_was_asked_before_is_not_what_is_answered_once_more_came() {
        let mut quantiles = QuantileSketch::new();
        for i in 1..=200_u32 {
            quantiles.observe(f64::from(i));
            let mut plain = quantiles.clone();
            plain.last_query = OnceLock::new();
            for share in [0.95, 0.5, 0.95] {
                assert_eq!(quantiles.quantile(share), plain.find(share), "{i} {share}");
            }
            assert_eq!(quantiles, plain);
        }
    }

    #[test]
    fn what_is_old_fades() {
        let mut quantiles = QuantileSketch::new();
        (0..5_000).for_each(|_| quantiles.observe(1e9));
        (0..100_000).for_each(|_| quantiles.observe(1.0));
        assert_eq!(quantiles.quantile(0.99), Some(1.0));
    }
}
