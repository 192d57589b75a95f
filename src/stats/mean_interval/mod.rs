//! Intervals of an arm's mean reward, for one look at a given moment.
//!
//! * [`rate_interval`]: a share of showings, such as a click rate.
//! * [`reward_interval`]: rewards of any size, of which most are 0, such as money: the rate of rewards times the mean of
//!   one.
//!
//! The mean of a few values with a heavy tail says little of the true mean: nineteen of twenty samples miss what the tail
//! holds, and their own spread does not show it. So the interval of a mean value comes from a log-normal distribution
//! where the logarithms look like one, and else from the values as they are. A log-normal mean is known only once the
//! spread of the logarithms is, so the number of rewards from which on an interval is shown follows from that spread.
//!
//! Invariants:
//!
//! * The figures follow the unit of reward: an interval in cents is a hundred times the one in euros.
//! * An interval holds the mean of the same rewards.
//!
//! # Source
//!
//! Brown, Cai and `DasGupta`, "Interval estimation for a binomial proportion" (2001). Zou, Taleban and Huo,
//! "Confidence interval estimation for lognormal data with application to health economics" (2009), for the limits of a
//! log-normal mean and of a product, by the distances of the limits of its parts. Krishnamoorthy and Wang, "Fiducial
//! inference on gamma distributions" (2016), for the cube root.
//!
//! Deliberately not here: intervals that hold at all looks at once (see [`super::mean_difference`]).

mod value;

use self::value::ValueBelief;
use super::{
    Interval,
    math::{exp, ln, logistic, power, square},
    reward_sums::RewardSums,
    special::{beta_quantile_log_odds, student_quantile},
};

/// Probability on each side of an interval.
const TAIL: f64 = 0.025;

/// Part of an observation by which the limits of a rate lie beyond those of its Beta distribution. 0 gives the exact
/// limits of Clopper and Pearson, which hold 97 % on average, and ½ those of Jeffreys, which fall to 88 % for rare
/// rewards. With ¼ they hold at least 93 % for rates from 0.5 to 50 % and 30 to 1,000 showings, and 96 % on average.
const RATE_MARGIN: f64 = 0.25;

/// Least number of rewards for an interval, as the spread of fewer says little.
pub const REWARDED_MIN: f64 = 20.0;

/// Greatest variance of the logarithm of a mean value that is shown: a standard error of 28 %. It is reached with 19
/// log-normal values at log sd 1, with 106 at 1.8, and with 13 divided by the shape for gamma values.
const LOG_VARIANCE_MAX: f64 = 0.08;

/// Part by which the limits are moved outwards where there are just enough rewards. Arms with more rewards than usual, or
/// with values whose spread is too small by chance, are shown first, and their means are wrong in that direction. The part
/// falls with the fifth power of the number of rewards.
const SELECTION: f64 = 0.8;

/// Least number of equal rewards that the rewards are worth, if some are below 0.
const EQUAL_REWARDS_MIN: f64 = 40.0;

/// Interval of a mean reward, or the reason why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RewardInterval {
    /// The interval holds the mean with 95 %.
    Known(Interval),
    /// Too few rewards to tell.
    TooFew {
        /// Number of rewards that it would take, judged by the spread of those so far.
        needed: f64,
    },
}

/// Returns the interval of a rate in which `successes` of `trials` were successes. Either may be a fraction.
pub fn rate_interval(successes: f64, trials: f64) -> Interval {
    let (trials, successes) = (trials.max(0.0), successes.max(0.0));
    let failures = (trials - successes).max(0.0);
    let quantile = |a: f64, b: f64, p: f64| logistic(beta_quantile_log_odds(a, b, p));
    let (inner, outer) = (RATE_MARGIN, 1.0 - RATE_MARGIN);
    Interval {
        low: if successes > 0.0 { quantile(successes + inner, failures + outer, TAIL) } else { 0.0 },
        high: if failures > 0.0 { quantile(successes + outer, failures + inner, 1.0 - TAIL) } else { 1.0 },
    }
}

/// Returns the interval of the mean reward per showing.
pub fn reward_interval(sums: &RewardSums) -> RewardInterval {
    if sums.any_negative() {
        return mixed_interval(sums);
    }
    let Some(values) = sums.values().filter(|values| values.count >= value::COUNT_MIN) else {
        return RewardInterval::TooFew { needed: REWARDED_MIN };
    };
    let belief = ValueBelief::new(&values);
    // Variances fall with the number of values, so this is the number at which the variance is small enough.
    let needed = (belief.log_variance() / LOG_VARIANCE_MAX * values.count).max(REWARDED_MIN);
    if values.count < needed {
        return RewardInterval::TooFew { needed };
    }
    let (value, share, showings) = (belief.log_limits(), sums.rewarded_share(), sums.showings());
    let rate = rate_interval(share.min(1.0) * showings, showings);
    let centre = ln(share) + value.centre;
    let outwards = 1.0 + SELECTION * power(needed / values.count, 5);
    let below = outwards * (square(ln(share.min(1.0) / rate.low)) + square(value.centre - value.low)).sqrt();
    let above = outwards * (square(ln(rate.high / share.min(1.0))) + square(value.high - value.centre)).sqrt();
    // The estimates may differ from the plain mean, which the reader sees beside the interval.
    let mean = sums.mean();
    RewardInterval::Known(Interval { low: exp(centre - below).min(mean), high: exp(centre + above).max(mean) })
}

/// Returns the interval of the mean of rewards of both signs: Student's, with the degrees of freedom of the large ones.
fn mixed_interval(sums: &RewardSums) -> RewardInterval {
    let equal = sums.equal_rewards();
    if equal < EQUAL_REWARDS_MIN {
        let needed = sums.rewards() * EQUAL_REWARDS_MIN / equal.max(1.0);
        return RewardInterval::TooFew { needed: needed.max(EQUAL_REWARDS_MIN) };
    }
    let reach = student_quantile(equal - 1.0, 1.0 - TAIL) * (sums.variance() / sums.showings()).sqrt();
    RewardInterval::Known(Interval { low: sums.mean() - reach, high: sums.mean() + reach })
}

#[cfg(test)]
mod tests;
