//! Evidence of replications about a number, and its strength for or against a bound.

use slotwise::evaluate::tails::{
    binomial_at_least, binomial_at_most, binomial_interval, chi_squared_above, normal_quantile, student_above,
    student_quantile,
};

/// Measurements of a number over replications.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// One number per replication. Their mean is estimated.
    Mean(Vec<f64>),
    /// Two numbers per replication, a and b. Σa/Σb − 1 is estimated.
    Lift(Vec<(f64, f64)>),
    /// Independent trials of which some succeeded.
    Proportion {
        /// Number of successes.
        successes: u64,
        /// Number of trials.
        trials: u64,
        /// Number of replications that the trials come from.
        replications: u64,
    },
    /// Comparison of logged probabilities with draws: a chi-squared statistic.
    PropensityTest {
        /// The statistic.
        chi_squared: f64,
        /// The statistic's degrees of freedom. 0 means that no probability could be tested.
        degrees: u64,
        /// Logged probabilities that contradict each other.
        mismatches: u64,
    },
    /// Missing measurement, although there could be one.
    Nothing,
    /// Missing measurement, because there can be none in this kind of run.
    NotApplicable,
}

/// A mean with its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The mean.
    pub mean: f64,
    /// The standard error, or `None` for fewer than two replications.
    pub error: Option<f64>,
    /// Number of replications.
    pub n: usize,
}

impl Measured {
    /// Returns the interval of this confidence, or `None` without a standard error.
    pub fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        let reach = self.error? * student_quantile((1.0 - confidence) / 2.0, self.n as f64 - 1.0);
        // The quantile is multiplied by 0 if there is no spread.
        let reach = if self.error? > 0.0 { reach } else { 0.0 };
        Some((self.mean - reach, self.mean + reach))
    }
}

/// Returns the mean of numbers with its standard error.
pub fn mean(values: &[f64]) -> Measured {
    let n = values.len();
    if let [first, rest @ ..] = values
        && rest.iter().all(|value| value.total_cmp(first).is_eq())
    {
        // Rounding must not give a spread to equal numbers.
        return Measured { mean: *first, error: (n > 1).then_some(0.0), n };
    }
    let mean = values.iter().sum::<f64>() / n.max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (n > 1).then(|| (squares / (n as f64 - 1.0) / n as f64).sqrt());
    Measured { mean, error, n }
}

/// Returns Σa/Σb − 1 and its standard error by linearisation, which is that of the mean of (a − R·b)/b̄ with R =
/// Σa/Σb. (Cochran, *Sampling Techniques*, 1977, §6.4.)
pub fn lift(pairs: &[(f64, f64)]) -> Measured {
    let n = pairs.len();
    let (a, b) = pairs.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a, y + b));
    let ratio = a / b;
    let scale = b / n.max(1) as f64;
    let residuals: Vec<f64> = pairs.iter().map(|(a, b)| (a - ratio * b) / scale).collect();
    Measured { mean: ratio - 1.0, error: mean(&residuals).error, n }
}

/// Bounds of a check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The lower bound, or `None`.
    pub min: Option<f64>,
    /// The upper bound, or `None`.
    pub max: Option<f64>,
}

impl Bounds {
    /// Returns whether a value lies within the bounds.
    pub fn hold(self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

impl Evidence {
    fn measured(&self) -> Option<Measured> {
        match self {
            Self::Mean(values) if !values.is_empty() => Some(mean(values)),
            Self::Lift(pairs) if !pairs.is_empty() => Some(lift(pairs)),
            Self::Mean(_)
            | Self::Lift(_)
            | Self::Proportion { .. }
            | Self::PropensityTest { .. }
            | Self::Nothing
            | Self::NotApplicable => None,
        }
    }

    /// Returns the best guess of the number, or `None` without measurements.
    pub fn estimate(&self) -> Option<f64> {
        match *self {
            Self::Proportion { successes, trials, .. } => (trials > 0).then(|| successes as f64 / trials as f64),
            Self::PropensityTest { chi_squared, degrees, .. } => Some(chi_squared / degrees.max(1) as f64),
            Self::Mean(_) | Self::Lift(_) | Self::Nothing | Self::NotApplicable => {
                self.measured().map(|measured| measured.mean)
            }
        }
    }

    /// Returns the interval of this confidence, or `None` without a spread.
    pub fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        match *self {
            Self::Proportion { successes, trials, .. } if trials > 0 => {
                Some(binomial_interval(successes, trials, (1.0 - confidence) / 2.0))
            }
            Self::Mean(_) | Self::Lift(_) => self.measured()?.interval(confidence),
            Self::Proportion { .. } | Self::PropensityTest { .. } | Self::Nothing | Self::NotApplicable => None,
        }
    }

    /// Returns the probabilities of an estimate at or above the measured one, and at or below it, if the truth is
    /// `bound`.
    fn tails(&self, bound: f64) -> (f64, f64) {
        if let Self::Proportion { successes, trials, .. } = *self {
            return (binomial_at_least(successes, trials, bound), binomial_at_most(successes, trials, bound));
        }
        let Some(Measured { mean, error: Some(error), n }) = self.measured() else { return (1.0, 1.0) };
        if error > 0.0 {
            let t = (mean - bound) / error;
            let above = student_above(t, n as f64 - 1.0);
            return (above, student_above(-t, n as f64 - 1.0));
        }
        // Equal numbers in every replication leave nothing to chance. Equality then meets a bound.
        (f64::from(u8::from(mean < bound)), f64::from(u8::from(mean > bound)))
    }

    /// Returns the p-value against the estimate's own verdict. If the estimate lies within the bounds it is the
    /// probability that the truth does not (the larger of both bounds, since both must hold). Otherwise it is the
    /// probability that the truth does (Bonferroni over both).
    pub fn p_value(&self, bounds: Bounds) -> Option<f64> {
        if let Self::PropensityTest { chi_squared, degrees, mismatches } = *self {
            return Some(match (mismatches, degrees) {
                (1.., _) => 0.0,
                (0, 0) => 1.0,
                (0, _) => chi_squared_above(chi_squared, degrees),
            });
        }
        let estimate = self.estimate()?;
        let of = |bound: Option<f64>, pick: fn((f64, f64)) -> f64| bound.map(|bound| pick(self.tails(bound)));
        let sides = |low: fn((f64, f64)) -> f64, high: fn((f64, f64)) -> f64| {
            [of(bounds.min, low), of(bounds.max, high)].into_iter().flatten()
        };
        if bounds.hold(estimate) {
            return sides(|tails| tails.0, |tails| tails.1).reduce(f64::max);
        }
        let count = f64::from(u8::from(bounds.min.is_some()) + u8::from(bounds.max.is_some()));
        sides(|tails| tails.1, |tails| tails.0).reduce(f64::min).map(|p| (p * count).min(1.0))
    }

    /// Returns the number of replications with which a test at `tail` decides with probability 0.8, if the truth is
    /// the measured value.
    pub fn replications_needed(&self, bounds: Bounds, tail: f64) -> Option<u64> {
        let estimate = self.estimate()?;
        let gaps = [bounds.min, bounds.max].into_iter().flatten().map(|bound| estimate - bound);
        let holds = bounds.hold(estimate);
        // Within the bounds the nearer one must be distinguished, and outside them the violated one.
        let gap = if holds {
            gaps.map(f64::abs).reduce(f64::min)?
        } else {
            let below = bounds.min.map_or(0.0, |min| min - estimate);
            let above = bounds.max.map_or(0.0, |max| estimate - max);
            below.max(above)
        };
        // The standard deviation of one replication.
        let deviation = match *self {
            Self::Proportion { successes, trials, replications } => {
                let p = (successes as f64 + 1.0) / (trials as f64 + 2.0);
                (p * (1.0 - p) * replications as f64 / trials.max(1) as f64).sqrt()
            }
            Self::Mean(_) | Self::Lift(_) => {
                let measured = self.measured()?;
                measured.error? * (measured.n as f64).sqrt()
            }
            Self::PropensityTest { .. } | Self::Nothing | Self::NotApplicable => return None,
        };
        if gap <= 0.0 {
            return None;
        }
        let needed = ((normal_quantile(tail) + normal_quantile(0.2)) * deviation / gap).powi(2).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and below 10^15")]
        let needed = (needed < 1e15).then_some(needed as u64);
        needed.map(|needed| needed.max(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-9, "{got} against {want}");
    }

    /// Computed by hand: 2, 4, 9 have the mean 5 and the variance (9 + 1 + 16)/2 = 13.
    #[test]
    fn means_and_errors_equal_those_computed_by_hand() {
        let measured = mean(&[2.0, 4.0, 9.0]);
        near(measured.mean, 5.0);
        near(measured.error.unwrap(), (13.0_f64 / 3.0).sqrt());
        assert_eq!(mean(&[7.0]).error, None);
        let (low, high) = measured.interval(0.95).unwrap();
        near(high - 5.0, 5.0 - low);
        // The quantile of t with 2 degrees is 4.302653.
        assert!((high - 5.0 - 4.302_653 * (13.0_f64 / 3.0).sqrt()).abs() < 1e-5);
    }

    /// Computed by hand: a = 3, 5 over b = 2, 3 is 8/5. The residuals (3 − 3.2)/2.5 and (5 − 4.8)/2.5 = ∓0.08 have a
    /// mean with the standard error √(2·0.08²/1/2) = 0.08.
    #[test]
    fn a_lift_is_a_ratio_of_sums_with_the_error_of_its_linearisation() {
        let measured = lift(&[(3.0, 2.0), (5.0, 3.0)]);
        near(measured.mean, 0.6);
        near(measured.error.unwrap(), 0.08);
    }

    #[test]
    fn paired_numbers_that_move_together_have_a_sharp_difference() {
        let pairs: Vec<(f64, f64)> = (1..9).map(|i| (1.1 * f64::from(i), f64::from(i))).collect();
        let measured = lift(&pairs);
        near(measured.mean, 0.1);
        assert!(measured.error.unwrap() < 1e-12);
    }

    const AT_LEAST: fn(f64) -> Bounds = |min| Bounds { min: Some(min), max: None };

    /// Computed by hand: t = 5/√(13/3) = 2.4019 with 2 degrees, and P(T ≥ t) = ½ − t/(2√(2 + t²)).
    #[test]
    fn a_p_value_is_the_tail_beyond_the_bound() {
        let evidence = Evidence::Mean(vec![2.0, 4.0, 9.0]);
        let above = |t: f64| 0.5 - t / (2.0 * (2.0 + t * t).sqrt());
        let se = (13.0_f64 / 3.0).sqrt();
        near(evidence.p_value(AT_LEAST(0.0)).unwrap(), above(5.0 / se));
        // The bound is not met, so the p-value is the probability of so little if the truth were just the bound.
        near(evidence.p_value(AT_LEAST(6.0)).unwrap(), above(1.0 / se));
        let both = Bounds { min: Some(4.0), max: Some(5.5) };
        near(evidence.p_value(both).unwrap(), above(0.5 / se));
        let missed = Bounds { min: Some(7.0), max: Some(9.0) };
        near(evidence.p_value(missed).unwrap(), 2.0 * above(2.0 / se));
    }

    #[test]
    fn equal_replications_leave_nothing_to_chance() {
        let zero = Evidence::Mean(vec![0.0; 5]);
        let at_most = |max| Bounds { min: None, max: Some(max) };
        near(zero.p_value(at_most(0.0)).unwrap(), 0.0);
        near(zero.p_value(AT_LEAST(0.1)).unwrap(), 0.0);
        near(Evidence::Mean(vec![0.1; 7]).p_value(at_most(0.1)).unwrap(), 0.0);
        near(Evidence::Mean(vec![0.0]).p_value(at_most(0.0)).unwrap(), 1.0);
    }

    /// Computed by hand: 0 of 20 with a bound of at most 0.2 has the probability 0.8²⁰.
    #[test]
    fn proportions_are_tested_by_the_binomial_distribution() {
        let evidence = Evidence::Proportion { successes: 0, trials: 20, replications: 20 };
        near(evidence.p_value(Bounds { min: None, max: Some(0.2) }).unwrap(), 0.8_f64.powi(20));
        assert_eq!(evidence.estimate(), Some(0.0));
    }

    /// Computed by hand: standard deviation 2, gap ½ and tail 0.05 give ((1.644854 + 0.841621)·2/0.5)² = 98.9.
    #[test]
    fn replications_needed_follow_from_spread_and_gap() {
        let evidence = Evidence::Mean(vec![1.0, 1.0, 5.0, 5.0, 3.0, 3.0]);
        // The sum of squares is 16 over 5, so the standard deviation is √3.2, scaled to the case above.
        let want = (2.486_475_f64 * 3.2_f64.sqrt() / 0.5).powi(2).ceil();
        let needed = evidence.replications_needed(AT_LEAST(2.5), 0.05).unwrap();
        assert!((needed as f64 - want).abs() < 1.5, "{needed} against {want}");
        assert_eq!(evidence.replications_needed(AT_LEAST(3.0), 0.05), None, "nothing can tell equality");
    }

    #[test]
    fn contradicting_propensities_fail() {
        let of = |mismatches, degrees| Evidence::PropensityTest { chi_squared: 3.0, degrees, mismatches };
        let none = Bounds { min: None, max: None };
        near(of(1, 3).p_value(none).unwrap(), 0.0);
        near(of(0, 0).p_value(none).unwrap(), 1.0);
        near(of(0, 2).p_value(none).unwrap(), (-1.5_f64).exp());
    }
}
