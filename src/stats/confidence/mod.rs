//! Confidence sequences: intervals that hold at all times at once, however often one looks.
//!
//! * [`RewardSample`]: sums of a stream of rewards, and the interval of its mean.
//! * [`mean_difference`]: interval of the difference between the means of two streams.
//!
//! There are two constructions. Rewards in [0, 1] use the beta-binomial mixture, which is exact at any number of
//! rewards, however rare. All others use the asymptotic confidence sequence of Robbins' normal mixture, which holds once
//! the variance is known well; with fewer than [`REWARDS_MIN`] effective rewards there is no interval.
//!
//! # Source
//!
//! Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
//! confidence sequences" (2024), theorem 2.2 and section 3; Howard, Ramdas, `McAuliffe` and Sekhon,
//! "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021), proposition 7;
//! Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, "Anytime-valid off-policy inference for
//! contextual bandits" (2024), section 2.
//!
//! Deliberately not here: the arms and groups that the rewards belong to, and when a reward counts.

use serde::{Deserialize, Serialize};

use super::{
    math::{exp, ln},
    special::ln_beta,
};

/// Number of rewards for which the sequences are tightest: 3.0 standard errors, against 3.6 with a hundred times as many
/// rewards and 3.9 with a tenth of them.
pub(super) const TUNED_FOR: f64 = 1_000.0;

/// Minimum number of effective rewards (the squared sum of their weights over the sum of the squares) for a variance to
/// be known well.
pub const REWARDS_MIN: f64 = 50.0;

/// Interval of real numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Count, sum and sum of squares of a stream of rewards. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RewardSample {
    /// Number of rewards.
    pub count: u64,
    /// Sum of the rewards, reward.
    pub sum: f64,
    /// Sum of the squares, reward².
    pub sum_sq: f64,
}

impl RewardSample {
    /// Adds a reward.
    pub fn add(&mut self, reward: f64) {
        self.count += 1;
        self.sum += reward;
        self.sum_sq += reward * reward;
    }

    /// Replaces the reward `before` by `after`.
    pub fn revise(&mut self, before: f64, after: f64) {
        self.sum += after - before;
        self.sum_sq += after * after - before * before;
    }

    /// Returns the sums of a stream of the same mean and variance with fewer rewards, by this factor.
    #[must_use]
    pub fn thinned(self, factor: f64) -> Self {
        if self.count == 0 || factor <= 1.0 {
            return self;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 1 to the count")]
        let count = (self.count as f64 / factor).max(1.0) as u64;
        let part = count as f64 / self.count as f64;
        Self { count, sum: part * self.sum, sum_sq: part * self.sum_sq }
    }

    /// Returns the sums of both streams together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum + other.sum, sum_sq: self.sum_sq + other.sum_sq }
    }

    /// Mean of the rewards, or 0 if there are none.
    pub fn mean(&self) -> f64 {
        if self.count > 0 { self.sum / self.count as f64 } else { 0.0 }
    }

    /// Variance of the rewards, or 0 if there are fewer than two.
    pub fn variance(&self) -> f64 {
        let n = self.count as f64;
        if self.count < 2 {
            return 0.0;
        }
        ((self.sum_sq - self.sum * self.sum / n) / (n - 1.0)).max(0.0)
    }

    /// Number of rewards of equal size that would be as spread as the rewards that differ from `default`, the reward of a
    /// decision without events.
    ///
    /// It is `(Σy)²/Σy²` of them: their number if all have one size, and less if a few of them make up most of the sum.
    pub(super) fn effective(&self, default: f64) -> f64 {
        let n = self.count as f64;
        let sum = self.sum - n * default;
        let sum_sq = self.sum_sq - 2.0 * default * self.sum + n * default * default;
        if sum_sq > 0.0 { sum * sum / sum_sq } else { 0.0 }
    }

    /// Returns whether there are enough effective rewards for the variance to be known well.
    fn has_known_variance(&self, default: f64) -> bool {
        self.effective(default) >= REWARDS_MIN
    }

    /// Returns the interval that holds the mean of the stream at all times with probability 1 − `alpha`, or `None` if there
    /// are too few rewards.
    ///
    /// `unit` says that all rewards lie in [0, 1]. `default` is the reward of a decision without events.
    ///
    /// # Examples
    ///
    /// ```
    /// use slotwise::stats::RewardSample;
    ///
    /// let mut sample = RewardSample::default();
    /// for i in 0..1_000 {
    ///     sample.add(if i % 20 == 0 { 1.0 } else { 0.0 });
    /// }
    /// let interval = sample.interval(true, 0.0, 0.05).unwrap();
    /// assert!(interval.low < 0.05 && 0.05 < interval.high);
    /// assert!(interval.low > 0.02 && interval.high < 0.09);
    /// ```
    pub fn interval(&self, unit: bool, default: f64, alpha: f64) -> Option<Interval> {
        if self.count == 0 {
            return None;
        }
        if unit {
            let most = -ln(alpha);
            return Some(Interval { low: self.lower_end(most), high: self.upper_end(most) });
        }
        let radius = (self.variance() / self.count as f64).sqrt() * stretch(self.count as f64, alpha);
        self.has_known_variance(default).then(|| Interval { low: self.mean() - radius, high: self.mean() + radius })
    }

    /// Returns the logarithm of the beta-binomial mixture against the mean μ in (0, 1).
    ///
    /// At the true mean its exponential is a non-negative supermartingale that starts from 1, so it ever exceeds 1/α with
    /// probability α at most.
    ///
    /// The mixture is `∫ Π (q/μ)^y ((1−q)/(1−μ))^(1−y) dBeta(q; rμ, r(1−μ))`. For rewards between 0 and 1 each factor is
    /// convex in y, so its mean is at most that of a coin with the same mean, which is 1.
    pub(super) fn against(&self, mu: f64) -> f64 {
        let n = self.count as f64;
        let sum = self.sum.clamp(0.0, n);
        let prior = TUNED_FOR / tuning(0.05);
        let (a, b) = (prior * mu, prior * (1.0 - mu));
        ln_beta(a + sum, b + n - sum) - ln_beta(a, b) - sum * ln(mu) - (n - sum) * ln(1.0 - mu)
    }

    /// Returns the least mean against which the mixture is at most `most`, or 0 if there is none.
    fn lower_end(&self, most: f64) -> f64 {
        let top = self.mean().clamp(0.0, 1.0);
        boundary(MU_MIN.min(top), top, |mu| self.against(mu) <= most).0
    }

    fn upper_end(&self, most: f64) -> f64 {
        let mirrored = Self { count: self.count, sum: self.count as f64 - self.sum, sum_sq: 0.0 };
        1.0 - mirrored.lower_end(most)
    }
}

/// Rate below which a rate counts as 0.
const MU_MIN: f64 = 1e-12;

/// Returns the boundary between `out` and `inside`, within a billionth part, or 0 if `out` itself lies inside.
fn boundary(out: f64, inside: f64, is_inside: impl Fn(f64) -> bool) -> (f64, f64) {
    if inside <= MU_MIN || is_inside(out) {
        return (0.0, 0.0);
    }
    let (mut out, mut inside) = (ln(out), ln(inside));
    for _ in 0..42 {
        let middle = 0.5 * (out + inside);
        if is_inside(exp(middle)) {
            inside = middle;
        } else {
            out = middle;
        }
    }
    (exp(out), exp(inside))
}

/// Returns ρ²·t for the mixture that is tightest at t: Waudby-Smith et al. (2024), appendix on the choice of ρ.
pub(super) fn tuning(alpha: f64) -> f64 {
    let twice = -2.0 * ln(alpha);
    twice + ln(twice + 1.0)
}

/// Returns the half-width in standard errors after `n` rewards: theorem 2.2's
/// `√(2(nρ² + 1)/(nρ²)·ln(√(nρ² + 1)/α))`, against 1.96 for a fixed n.
fn stretch(n: f64, alpha: f64) -> f64 {
    let x = n * tuning(alpha) / TUNED_FOR;
    ((1.0 + 1.0 / x) * (ln(1.0 + x) - 2.0 * ln(alpha))).sqrt()
}

/// Returns the interval that holds the mean of `a` minus the mean of `b` at all times with probability 1 − `alpha`, or
/// `None` if there are too few rewards.
///
/// `unit` and `default` are as for [`RewardSample::interval`].
///
/// For rewards in [0, 1] the interval covers all pairs of means against which the product of the two beta-binomial
/// mixtures is at most 1/α; the product is a supermartingale whichever stream the next reward belongs to. Other rewards
/// use the asymptotic sequence of the difference in a randomised experiment (section 3 there), with each group's mean as
/// the regression: its variance per decision is `σ_a²·n/n_a + σ_b²·n/n_b`.
pub fn mean_difference(a: &RewardSample, b: &RewardSample, unit: bool, default: f64, alpha: f64) -> Option<Interval> {
    if a.count == 0 || b.count == 0 {
        return None;
    }
    if unit {
        return Some(Interval { low: -most_above(b, a, -ln(alpha)), high: most_above(a, b, -ln(alpha)) });
    }
    let error = (a.variance() / a.count as f64 + b.variance() / b.count as f64).sqrt();
    let radius = error * stretch((a.count + b.count) as f64, alpha);
    let middle = a.mean() - b.mean();
    (a.has_known_variance(default) && b.has_known_variance(default))
        .then_some(Interval { low: middle - radius, high: middle + radius })
}

/// Returns the greatest difference of the means of `a` and `b` for which both mixtures together are at most `most`.
///
/// A golden-section search divides `most` between the two so that the difference is greatest; it is concave in the part.
fn most_above(a: &RewardSample, b: &RewardSample, most: f64) -> f64 {
    // No mixture is ever below this value, so only the rest of `most` can be divided.
    let least = |s: &RewardSample| s.against(s.mean().clamp(MU_MIN, 1.0 - f64::EPSILON));
    let (from, to) = (least(a), most - least(b));
    let above = |share: f64| a.upper_end(share) - b.lower_end(most - share);
    let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
    let (mut left, mut right) = (from, to);
    let (mut at_left, mut at_right) = (above(right - golden * (right - left)), above(left + golden * (right - left)));
    for _ in 0..30 {
        if at_left > at_right {
            right = left + golden * (right - left);
            at_right = at_left;
            at_left = above(right - golden * (right - left));
        } else {
            left = right - golden * (right - left);
            at_left = at_right;
            at_right = above(left + golden * (right - left));
        }
    }
    // Rounding leaves a sliver on the inner side.
    above(0.5 * (left + right)).max(at_left).max(at_right)
}

#[cfg(test)]
mod tests;
