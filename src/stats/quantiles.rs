//! Quantiles of a stream of numbers whose sizes differ by orders of magnitude.

use std::{collections::BTreeMap, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::math::{exp2, ln, log2, square};

/// Bins per octave. With eight, the end of a bin is at most 9.1 % above the values in it.
const PER_OCTAVE: f64 = 8.0;
/// Total count beyond which all counts are halved, so that old values fade.
const COUNT_MAX: f64 = 10_000.0;

/// Largest number of a bin: the logarithm of an f64 is below 1,100.
const BIN_MAX: i32 = 8 * 1_100;

/// Number of the largest values that a robust quantile takes for wild.
const WILD: f64 = 3.0;
/// Standard deviation of the log₂ of values before any is known. Values of shops have 1 to 2.6, in units of e .7 to 1.8.
const PRIOR_SPREAD: f64 = 2.4;
/// Number of values that the prior spread counts as.
const PRIOR_VALUES: f64 = 10.0;
/// Number of values from which on their quartiles are known to a wild value or two.
const QUARTILES_FROM: f64 = 8.0;
/// Distance of the quartiles of a normal distribution, in standard deviations.
const QUARTILE_DISTANCE: f64 = 1.349;

/// Fading histogram over the logarithm of numbers ≥ 0. *Persisted.*
///
/// A quantile is the end of the bin that it lies in, so it is never too small and at most 9.1 % too large. 64 bins span
/// eight octaves, whatever the count.
///
/// # Source
///
/// Masson, Rim and Lee, "`DDSketch`: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
/// Guarantees" (2019), §2.1. The bins are theirs; fading is added.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QuantileSketch {
    counts: BTreeMap<i32, f64>,
    total: f64,
    /// Fraction that was asked for since the last number arrived, and its quantile.
    #[serde(skip)]
    last_query: OnceLock<(f64, Option<f64>)>,
}

/// Compares the persisted fields; the last query is a cache that follows from them.
impl PartialEq for QuantileSketch {
    fn eq(&self, other: &Self) -> bool {
        self.total.total_cmp(&other.total).is_eq() && self.counts == other.counts
    }
}

impl QuantileSketch {
    /// Creates an empty sketch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether the sketch may be that of a stream of numbers.
    pub fn is_consistent(&self) -> bool {
        let is_bin = |&bin: &i32| bin == i32::MIN || bin.abs() <= BIN_MAX;
        let is_count = |count: f64| (0.0..=2.0 * COUNT_MAX).contains(&count);
        self.counts.keys().all(is_bin) && self.counts.values().all(|&count| is_count(count)) && is_count(self.total)
    }

    /// Number of values, reduced by fading.
    pub fn count(&self) -> f64 {
        self.total
    }

    /// Adds a number. A number that is not above zero counts as the smallest value there is.
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

    /// Returns a value that at least the fraction `share` of all numbers do not exceed, or `None` if there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        // Most callers ask for the same fraction again and again.
        let &(last_query, quantile) = self.last_query.get_or_init(|| (share, self.find(share)));
        if last_query.total_cmp(&share).is_eq() { quantile } else { self.find(share) }
    }

    /// Returns `true` if there are enough values for [`robust_quantile`](Self::robust_quantile) to be the quantile.
    pub fn is_certain(&self, share: f64) -> bool {
        self.total * (1.0 - share) >= WILD
    }

    /// Returns the quantile, or an estimate of it if fewer than three values lie above it: few values say nothing about
    /// a large quantile, and the largest may be wild.
    ///
    /// The estimate takes the values that are not zero for log-normal. It starts at the quantile above which three
    /// values lie, or at the median, and adds the standard deviations that are missing, which the quartiles tell, with
    /// a prior. So it is the same in every unit, but for the width of a bin.
    pub fn robust_quantile(&self, share: f64) -> Option<f64> {
        if self.is_certain(share) {
            return self.quantile(share);
        }
        let positive = self.total - self.counts.get(&i32::MIN).copied().unwrap_or(0.0);
        let octaves = |p: f64| self.find_bin(p, positive).map(|bin| f64::from(bin) / PER_OCTAVE);
        let known = (1.0 - WILD / positive).max(0.5).min(share);
        let (start, lower, upper) = (octaves(known)?, octaves(0.25)?, octaves(0.75)?);
        let weight = (positive - QUARTILES_FROM).max(0.0);
        let quartiles = square((upper - lower) / QUARTILE_DISTANCE);
        let variance = (PRIOR_VALUES * square(PRIOR_SPREAD) + weight * quartiles) / (PRIOR_VALUES + weight);
        let missing = upper_normal_quantile(share) - upper_normal_quantile(known);
        Some(exp2(start + missing * variance.sqrt()))
    }

    /// Returns the bin of a quantile among the `count` largest values.
    fn find_bin(&self, share: f64, count: f64) -> Option<i32> {
        // Counts from the top, as callers ask for large fractions. Sums of whole numbers and their halves are exact in
        // any order.
        let (mut above, mut found) = (0.0, None);
        for (&bin, of_bin) in self.counts.iter().rev() {
            if above >= count || (found.is_some() && count - above < share * count) {
                break;
            }
            found = Some(bin);
            above += of_bin;
        }
        found
    }

    fn find(&self, share: f64) -> Option<f64> {
        let bin = self.find_bin(share, self.total)?;
        Some(if bin == i32::MIN { 0.0 } else { exp2(f64::from(bin) / PER_OCTAVE) })
    }
}

/// Returns the quantile of the standard normal distribution for a fraction of at least one half, within 0.0005.
///
/// # Source
///
/// Abramowitz and Stegun, *Handbook of Mathematical Functions* (1964), 26.2.23.
fn upper_normal_quantile(share: f64) -> f64 {
    let t = (-2.0 * ln(1.0 - share)).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
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
    fn zeros_and_negative_numbers_count_as_the_smallest_value() {
        let mut quantiles = QuantileSketch::new();
        for value in [0.0, -3.0, 0.0, 8.0] {
            quantiles.observe(value);
        }
        assert_eq!(quantiles.quantile(0.75), Some(0.0));
        assert_eq!(quantiles.quantile(0.76), Some(8.0));
    }

    #[test]
    fn a_cached_quantile_is_dropped_when_another_number_arrives() {
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
    fn normal_quantiles_are_those_of_the_tables() {
        for (share, want) in [(0.5, 0.0), (0.75, 0.674_49), (0.9, 1.281_55), (0.99, 2.326_35), (0.999_9, 3.719_02)] {
            let got = upper_normal_quantile(share);
            assert!((got - want).abs() < 5e-4, "{share}: {got} against {want}");
        }
    }

    /// Numbers 2^z with normal z, from evenly spread quantiles. The estimate is near the true quantile, whatever three
    /// wild numbers do, and the same in every unit that is a power of two.
    #[test]
    fn a_robust_quantile_needs_few_numbers() {
        for (count, near) in [(4_u32, 12.0), (20, 4.0), (100, 1.5)] {
            let numbers: Vec<f64> = (0..count)
                .map(|i| (f64::from(i) + 0.5) / f64::from(count))
                .map(|p| exp2(if p < 0.5 { -upper_normal_quantile(1.0 - p) } else { upper_normal_quantile(p) }))
                .collect();
            let estimate = |wild: &[f64], unit: f64| {
                let mut quantiles = QuantileSketch::new();
                wild.iter().chain(&numbers).for_each(|number| quantiles.observe(number * unit));
                assert!(!quantiles.is_certain(0.99));
                quantiles.robust_quantile(0.99).unwrap() / unit
            };
            let (clean, truth) = (estimate(&[], 1.0), exp2(2.326));
            assert!((truth / near..truth * near).contains(&clean), "{count}: {clean}");
            let wild = &[1e6, 1e9, 1e5][..if count > 4 { 3 } else { 1 }];
            assert!(
                (clean / 1.2..clean * near.max(2.0)).contains(&estimate(wild, 1.0)),
                "{count}: {}",
                estimate(wild, 1.0)
            );
            assert!((estimate(wild, 1.0) / estimate(wild, 1024.0) - 1.0).abs() < 1e-12);
            // Zeros say nothing about the size of the others.
            assert!((estimate(&[0.0, 0.0], 1.0) / clean - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_robust_quantile_is_the_quantile_once_three_numbers_lie_above_it() {
        let mut quantiles = QuantileSketch::new();
        assert_eq!(quantiles.robust_quantile(0.99), None);
        for i in 1..=400_u32 {
            quantiles.observe(f64::from(i));
            assert_eq!(quantiles.is_certain(0.99), i >= 300, "{i}");
            assert_eq!(quantiles.is_certain(0.5), i >= 6, "{i}");
        }
        assert_eq!(quantiles.robust_quantile(0.99), quantiles.quantile(0.99));
    }

    #[test]
    fn old_values_fade() {
        let mut quantiles = QuantileSketch::new();
        (0..5_000).for_each(|_| quantiles.observe(1e9));
        (0..100_000).for_each(|_| quantiles.observe(1.0));
        assert_eq!(quantiles.quantile(0.99), Some(1.0));
    }
}
