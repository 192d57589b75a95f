//! Confidence intervals of values that are estimated from few rewards.
//!
//! A click comes a few times in a thousand decisions and counts with a weight, so an estimate is a sum of few large terms.
//! The interval "± 1.96 standard errors" then ends too low above, and has no width if no click came. The interval of Fay and
//! Feuer is made for weighted sums of rare events. Its lower end is a quantile of the gamma distribution with the estimate's
//! mean and variance. Its upper end is a quantile of the gamma distribution with one more event of the largest weight. It
//! holds at least its confidence in the authors' trials, ends above 0 without any event, and is the normal interval if
//! there are many events.
//!
//! Rewards without weights that are mostly the largest possible one are the same case seen from above: falling short of the
//! largest reward is the rare event. The interval is then the wider of both, in each direction. Clicks without weights need
//! none of this, since they are counted.
//!
//! # Source
//!
//! Fay and Feuer, "Confidence intervals for directly standardized rates: a method based on the gamma distribution"
//! (Statistics in Medicine 1997), section 2, with the sample variance in place of the Poisson one.

use statrs::distribution::{ContinuousCDF as _, Gamma};

use super::{IntervalEstimate, tails::normal_quantile};

/// Shape above which Wilson and Hilferty's cube stands for the gamma distribution. Its error is below 1e-4 standard deviations.
const SHAPE_MAX: f64 = 1e4;

/// An estimate with the moments that its interval is computed from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimateMoments {
    /// The estimate.
    pub value: f64,
    /// The standard error of the estimate.
    pub standard_error: f64,
    /// The part of the estimate that is a sum of weighted rewards of at least 0, or `None` if rewards can be negative.
    pub events: Option<f64>,
    /// The amount that one more reward of the largest size and weight would add.
    pub largest: f64,
    /// The largest possible mean, or `None` with weights, which have no such bound.
    pub ceiling: Option<f64>,
}

impl EstimateMoments {
    /// Returns the estimate with the interval of Fay and Feuer, or with the normal interval if rewards can be negative.
    pub fn estimate(self, confidence: f64) -> IntervalEstimate {
        let Self { value, standard_error, events, largest, ceiling } = self;
        let tail = 0.5 * (1.0 - confidence);
        let normal = normal_quantile(tail) * standard_error;
        let (below, above) = match events {
            None => (normal, normal),
            Some(events) => {
                let var = standard_error * standard_error;
                let under = |mean: f64| mean - gamma_quantile(tail, mean, var);
                let over = |mean: f64| gamma_quantile(1.0 - tail, mean + largest, var + largest * largest) - mean;
                let (mut below, mut above) = (under(events), over(events));
                if let Some(short) = ceiling.map(|most| most - events).filter(|short| *short < events) {
                    (below, above) = (below.max(over(short)).min(events), above.max(under(short)));
                }
                // A model that predicts rewards has errors, which add spread in both directions.
                if value.to_bits() == events.to_bits() {
                    (below, above)
                } else {
                    (below.max(normal), above.max(normal))
                }
            }
        };
        IntervalEstimate {
            mean: value,
            standard_error: Some(standard_error),
            low: Some(value - below),
            high: Some(value + above),
            confidence,
        }
    }
}

/// Returns the estimate with the normal interval.
pub fn normal(value: f64, standard_error: f64, confidence: f64) -> IntervalEstimate {
    EstimateMoments { value, standard_error, events: None, largest: 0.0, ceiling: None }.estimate(confidence)
}

/// Returns the quantile at `p` of the gamma distribution with this mean and variance.
fn gamma_quantile(p: f64, mean: f64, var: f64) -> f64 {
    if mean <= 0.0 || var <= 0.0 {
        return mean.max(0.0);
    }
    let (shape, scale) = (mean * mean / var, var / mean);
    if shape > SHAPE_MAX {
        let ninth = 1.0 / (9.0 * shape);
        let cube = 1.0 - ninth + normal_quantile(1.0 - p) * ninth.sqrt();
        return mean * cube * cube * cube;
    }
    Gamma::new(shape, 1.0).map_or(mean, |gamma| gamma.inverse_cdf(p) * scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

    #[track_caller]
    fn near(got: f64, want: f64, within: f64) {
        assert!((got - want).abs() < within, "{got} against {want}");
    }

    /// Half a χ² variate of 2k degrees is a gamma variate of shape k. The printed quantiles of χ² with 20 degrees are 9.591
    /// and 34.170. A gamma variate of shape 1 is exponential.
    #[test]
    fn gamma_quantiles_equal_those_of_printed_tables() {
        near(gamma_quantile(0.025, 10.0, 10.0), 0.5 * 9.590_777, 1e-5);
        near(gamma_quantile(0.975, 20.0, 40.0), 34.169_607, 1e-4);
        near(gamma_quantile(0.975, 3.0, 9.0), -3.0 * 0.025_f64.ln(), 1e-8);
        // The two methods agree where they meet.
        let (exact, cube) = (gamma_quantile(0.975, 9_999.0, 9_999.0), gamma_quantile(0.975, 10_001.0, 10_001.0));
        near(cube - exact, 2.0, 0.05);
        assert!(gamma_quantile(0.5, 0.0, 0.0).abs() < 1e-300);
    }

    /// The interval of n weights of 1 and k events is that of a Poisson count, divided by n. The printed table says 4.795 to
    /// 18.390 for k = 10. Without any event the interval ends at −ln 0.025 = 3.689.
    #[test]
    fn equal_weights_give_the_poisson_interval() {
        let n = 1e4;
        let of = |k: f64| {
            let (value, standard_error) = (k / n, k.sqrt() / n);
            let moments =
                EstimateMoments { value, standard_error, events: Some(value), largest: 1.0 / n, ceiling: None };
            let estimate = moments.estimate(0.95);
            [estimate.low.unwrap() * n, estimate.high.unwrap() * n]
        };
        near(of(10.0)[0], 4.795, 1e-3);
        near(of(10.0)[1], 18.390, 1e-3);
        near(of(0.0)[0], 0.0, 1e-12);
        near(of(0.0)[1], 3.689, 1e-3);
        // The interval for many events is the normal one, shifted by its skewness of (z² − 1)/6·1/√k standard errors.
        near(of(1e6)[0], 1e6 - 1.959_964e3, 3.0);
        near(of(1e6)[1], 1e6 + 1.959_964e3, 3.0);
    }

    /// One in fifty of ten thousand decisions can earn, and does so with 4 %, with a weight of 20 or 5: 8 events on average.
    /// Of 2,000 intervals at most 5 % may miss, plus five binomial standard deviations √(.05·.95/2000) = .0049, which is a
    /// false alarm once in 3.5 million fresh seeds. The seeds are fixed. Normal intervals miss more.
    #[test]
    fn intervals_cover_rare_events_with_weights() {
        let truth = 0.02 * 0.04 * (0.5 * 20.0 + 0.5 * 5.0);
        let (mut missed, mut missed_by_normal) = (0, 0);
        for seed in 0..2_000 {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (mut sum, mut sum_sq, n) = (0.0, 0.0, 1e4);
            // Draws are needed only for decisions that can earn. A binomial number of them by its normal limit would do
            // no better.
            for _ in 0..10_000 {
                if random.random::<f64>() < 0.02 * 0.04 {
                    let term: f64 = if random.random::<f64>() < 0.5 { 20.0 } else { 5.0 };
                    sum += term;
                    sum_sq += term * term;
                }
            }
            let value: f64 = sum / n;
            let standard_error = ((sum_sq / n - value * value) / n).sqrt();
            let misses = |e: IntervalEstimate| !(e.low.unwrap()..=e.high.unwrap()).contains(&truth);
            let moments =
                EstimateMoments { value, standard_error, events: Some(value), largest: 20.0 / n, ceiling: None };
            missed += i32::from(misses(moments.estimate(0.95)));
            missed_by_normal += i32::from(misses(normal(value, standard_error, 0.95)));
        }
        let share = |count: i32| f64::from(count) / 2_000.0;
        assert!(share(missed) < 0.05 + 5.0 * 0.0049, "{missed}");
        assert!(missed_by_normal > missed, "{missed_by_normal} against {missed}");
    }
}
