//! What replications say of a number, and how strongly they speak for or against a bound on it.

use slotwise::evaluate::tails::{
    binomial_at_least, binomial_at_most, binomial_interval, chi_squared_above, normal_quantile, student_above,
    student_quantile,
};

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// One number per replication; their mean is meant.
    Mean(Vec<f64>),
    /// Two numbers per replication, a and b; Σa/Σb − 1 is meant.
    Lift(Vec<(f64, f64)>),
    /// So many of so many, each by itself.
    Proportion {
        /// How many.
        successes: u64,
        /// Of how many.
        trials: u64,
        /// Replications that they come from.
        replications: u64,
    },
    /// Whether promises were kept: a chi-squared statistic.
    Promises {
        /// The statistic.
        chi_squared: f64,
        /// Its degrees of freedom; 0: nothing was promised.
        degrees: u64,
        /// Promises that contradict themselves.
        mismatches: u64,
    },
    /// Nothing.
    Nothing,
    /// Nothing, and there can be none where it was run.
    NotHere,
}

/// A mean with its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The estimate.
    pub mean: f64,
    /// Its standard error; none with fewer than two replications.
    pub error: Option<f64>,
    /// How many replications.
    pub n: usize,
}

impl Measured {
    /// The interval of this confidence.
    pub fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        let reach = self.error? * student_quantile((1.0 - confidence) / 2.0, self.n as f64 - 1.0);
        // Without any spread the quantile is multiplied with 0.
        let reach = if self.error? > 0.0 { reach } else { 0.0 };
        Some((self.mean - reach, self.mean + reach))
    }
}

/// The mean of numbers and its standard error.
pub fn mean(values: &[f64]) -> Measured {
    let n = values.len();
    if let [first, rest @ ..] = values
        && rest.iter().all(|value| value.total_cmp(first).is_eq())
    {
        // Not even rounding may make a spread of what is always the same.
        return Measured { mean: *first, error: (n > 1).then_some(0.0), n };
    }
    let mean = values.iter().sum::<f64>() / n.max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (n > 1).then(|| (squares / (n as f64 - 1.0) / n as f64).sqrt());
    Measured { mean, error, n }
}

/// Σa/Σb − 1 and its standard error, by linearisation: that of the mean of (a − R·b)/b̄ with R = Σa/Σb.
/// (Cochran, *Sampling Techniques*, 1977, §6.4.)
pub fn lift(pairs: &[(f64, f64)]) -> Measured {
    let n = pairs.len();
    let (a, b) = pairs.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a, y + b));
    let ratio = a / b;
    let scale = b / n.max(1) as f64;
    let residuals: Vec<f64> = pairs.iter().map(|(a, b)| (a - ratio * b) / scale).collect();
    Measured { mean: ratio - 1.0, error: mean(&residuals).error, n }
}

/// Between which bounds something must lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

impl Bounds {
    /// Whether a value lies between them.
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
            | Self::Promises { .. }
            | Self::Nothing
            | Self::NotHere => None,
        }
    }

    /// The best guess.
    pub fn estimate(&self) -> Option<f64> {
        match *self {
            Self::Proportion { successes, trials, .. } => (trials > 0).then(|| successes as f64 / trials as f64),
            Self::Promises { chi_squared, degrees, .. } => Some(chi_squared / degrees.max(1) as f64),
            Self::Mean(_) | Self::Lift(_) | Self::Nothing | Self::NotHere => {
                self.measured().map(|measured| measured.mean)
            }
        }
    }

    /// The interval of this confidence.
    pub fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        match *self {
            Self::Proportion { successes, trials, .. } if trials > 0 => {
                Some(binomial_interval(successes, trials, (1.0 - confidence) / 2.0))
            }
            Self::Mean(_) | Self::Lift(_) => self.measured()?.interval(confidence),
            Self::Proportion { .. } | Self::Promises { .. } | Self::Nothing | Self::NotHere => None,
        }
    }

    /// How likely it is to see the estimate at or above what was seen if the truth is `bound`, and at or below it.
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
        // The same in every replication: no chance is involved, and a bound is met by equality.
        (f64::from(u8::from(mean < bound)), f64::from(u8::from(mean > bound)))
    }

    /// The p-value of what speaks against what the estimate says: where it lies within the bounds, that the truth does
    /// not (the larger of both bounds': both must hold); where not, that the truth does (Bonferroni over both).
    pub fn p_value(&self, bounds: Bounds) -> Option<f64> {
        if let Self::Promises { chi_squared, degrees, mismatches } = *self {
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

    /// Replications with which a test at `tail` would tell with probability 0.8, if the truth is what was measured.
    pub fn replications_needed(&self, bounds: Bounds, tail: f64) -> Option<u64> {
        let estimate = self.estimate()?;
        let gaps = [bounds.min, bounds.max].into_iter().flatten().map(|bound| estimate - bound);
        let holds = bounds.hold(estimate);
        // Within, the nearer bound has to be told; without, the one that is violated.
        let gap = if holds {
            gaps.map(f64::abs).reduce(f64::min)?
        } else {
            let below = bounds.min.map_or(0.0, |min| min - estimate);
            let above = bounds.max.map_or(0.0, |max| estimate - max);
            below.max(above)
        };
        // Per replication.
        let deviation = match *self {
            Self::Proportion { successes, trials, replications } => {
                let p = (successes as f64 + 1.0) / (trials as f64 + 2.0);
                (p * (1.0 - p) * replications as f64 / trials.max(1) as f64).sqrt()
            }
            Self::Mean(_) | Self::Lift(_) => {
                let measured = self.measured()?;
                measured.error? * (measured.n as f64).sqrt()
            }
            Self::Promises { .. } | Self::Nothing | Self::NotHere => return None,
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

    /// By hand: 2, 4, 9 have the mean 5 and the variance (9 + 1 + 16)/2 = 13.
    #[test]
    fn means_and_their_errors_are_those_by_hand() {
        let measured = mean(&[2.0, 4.0, 9.0]);
        near(measured.mean, 5.0);
        near(measured.error.unwrap(), (13.0_f64 / 3.0).sqrt());
        assert_eq!(mean(&[7.0]).error, None);
        let (low, high) = measured.interval(0.95).unwrap();
        near(high - 5.0, 5.0 - low);
        // t of 2 degrees: 4.302653.
        assert!((high - 5.0 - 4.302_653 * (13.0_f64 / 3.0).sqrt()).abs() < 1e-5);
    }

    /// By hand: a = 3, 5 over b = 2, 3 is 8/5; residuals (3 − 3.2)/2.5 and (5 − 4.8)/2.5 = ∓0.08, whose mean has the
    /// standard error √(2·0.08²/1/2) = 0.08.
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

    /// t = 5/√(13/3) = 2.4019 with 2 degrees: P(T ≥ t) = ½ − t/(2√(2 + t²)).
    #[test]
    fn a_p_value_is_the_tail_beyond_the_bound() {
        let evidence = Evidence::Mean(vec![2.0, 4.0, 9.0]);
        let above = |t: f64| 0.5 - t / (2.0 * (2.0 + t * t).sqrt());
        let se = (13.0_f64 / 3.0).sqrt();
        near(evidence.p_value(AT_LEAST(0.0)).unwrap(), above(5.0 / se));
        // Not met: how likely so little is if the truth were just the bound.
        near(evidence.p_value(AT_LEAST(6.0)).unwrap(), above(1.0 / se));
        let both = Bounds { min: Some(4.0), max: Some(5.5) };
        near(evidence.p_value(both).unwrap(), above(0.5 / se));
        let missed = Bounds { min: Some(7.0), max: Some(9.0) };
        near(evidence.p_value(missed).unwrap(), 2.0 * above(2.0 / se));
    }

    #[test]
    fn what_is_the_same_in_every_replication_needs_no_chance() {
        let zero = Evidence::Mean(vec![0.0; 5]);
        let at_most = |max| Bounds { min: None, max: Some(max) };
        near(zero.p_value(at_most(0.0)).unwrap(), 0.0);
        near(zero.p_value(AT_LEAST(0.1)).unwrap(), 0.0);
        near(Evidence::Mean(vec![0.1; 7]).p_value(at_most(0.1)).unwrap(), 0.0);
        near(Evidence::Mean(vec![0.0]).p_value(at_most(0.0)).unwrap(), 1.0);
    }

    /// 0 of 20 where at most 0.2 is asked for: 0.8²⁰.
    #[test]
    fn proportions_are_judged_by_the_binomial() {
        let evidence = Evidence::Proportion { successes: 0, trials: 20, replications: 20 };
        near(evidence.p_value(Bounds { min: None, max: Some(0.2) }).unwrap(), 0.8_f64.powi(20));
        assert_eq!(evidence.estimate(), Some(0.0));
    }

    /// By hand: sd 2, gap ½, tail 0.05: ((1.644854 + 0.841621)·2/0.5)² = 98.9.
    #[test]
    fn replications_needed_follow_from_spread_and_gap() {
        let evidence = Evidence::Mean(vec![1.0, 1.0, 5.0, 5.0, 3.0, 3.0]);
        // The sum of squares is 16 over 5: sd = √3.2; scaled to the case above.
        let want = (2.486_475_f64 * 3.2_f64.sqrt() / 0.5).powi(2).ceil();
        let needed = evidence.replications_needed(AT_LEAST(2.5), 0.05).unwrap();
        assert!((needed as f64 - want).abs() < 1.5, "{needed} against {want}");
        assert_eq!(evidence.replications_needed(AT_LEAST(3.0), 0.05), None, "nothing can tell equality");
    }

    #[test]
    fn promises_that_contradict_themselves_are_broken() {
        let of = |mismatches, degrees| Evidence::Promises { chi_squared: 3.0, degrees, mismatches };
        let none = Bounds { min: None, max: None };
        near(of(1, 3).p_value(none).unwrap(), 0.0);
        near(of(0, 0).p_value(none).unwrap(), 1.0);
        near(of(0, 2).p_value(none).unwrap(), (-1.5_f64).exp());
    }
}
