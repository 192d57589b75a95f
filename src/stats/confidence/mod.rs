//! Intervals and evidence that hold at all times at once, however often one looks.
//!
//! * [`RewardSample`]: what is kept of a stream of rewards, and the interval of its mean.
//! * [`mean_difference`]: how much the mean of one stream lies above that of another.
//! * [`PairwiseTest`]: how two arms did against each other in draws with known probabilities, and what that
//!   says against "the first is no better".
//!
//! Two constructions. For rewards in [0, 1] the beta-binomial mixture: exact at any number of rewards,
//! as rare as they may be. For all others the asymptotic confidence sequence of Robbins' normal mixture,
//! which holds once the variance is known well; until there were [`REWARDS_MIN`] rewards' worth there is none.
//!
//! # Source
//!
//! Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
//! confidence sequences" (2024), theorem 2.2 and section 3; Howard, Ramdas, `McAuliffe` and Sekhon,
//! "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021), proposition 7;
//! Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, "Anytime-valid off-policy inference for
//! contextual bandits" (2024), section 2.
//!
//! Deliberately not here: whose rewards they are, and when they count.

use serde::{Deserialize, Serialize};

use super::{
    math::{exp, ln, ln_1p},
    special::ln_beta,
};

/// The number of rewards for which the sequences are tightest: 3.0 standard errors wide, with a hundred times as many 3.6, with
/// a tenth of them 3.9.
const TUNED_FOR: f64 = 1_000.0;

/// So many rewards of equal size must be as spread as those that came, for a variance to be known well.
pub const REWARDS_MIN: f64 = 50.0;

/// How many bets a [`PairwiseTest`] is settled by, each `BET_STEP` times the one before.
const BETS: usize = 7;
const BET_MAX: f64 = 0.95;
const BET_STEP: f64 = 0.55;

/// From where to where something lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A stream of rewards: how many, their sum and the sum of their squares. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RewardSample {
    /// How many.
    pub count: u64,
    /// Their sum, reward.
    pub sum: f64,
    /// The sum of their squares, reward².
    pub sum_sq: f64,
}

impl RewardSample {
    /// One more reward.
    pub fn add(&mut self, reward: f64) {
        self.count += 1;
        self.sum += reward;
        self.sum_sq += reward * reward;
    }

    /// A reward became another.
    pub fn revise(&mut self, before: f64, after: f64) {
        self.sum += after - before;
        self.sum_sq += after * after - before * before;
    }

    /// Both streams as one.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum + other.sum, sum_sq: self.sum_sq + other.sum_sq }
    }

    /// Their mean; 0 where there is none.
    pub fn mean(&self) -> f64 {
        if self.count > 0 { self.sum / self.count as f64 } else { 0.0 }
    }

    /// Their variance; 0 where there are fewer than two.
    pub fn variance(&self) -> f64 {
        let n = self.count as f64;
        if self.count < 2 {
            return 0.0;
        }
        ((self.sum_sq - self.sum * self.sum / n) / (n - 1.0)).max(0.0)
    }

    /// How many rewards of equal size would be as spread as those that lie off the silence's `default` reward:
    /// `(Σy)²/Σy²` of them, which is their number where all are of one size, and less the more a few of them make up.
    fn effective(&self, default: f64) -> f64 {
        let n = self.count as f64;
        let sum = self.sum - n * default;
        let sum_sq = self.sum_sq - 2.0 * default * self.sum + n * default * default;
        if sum_sq > 0.0 { sum * sum / sum_sq } else { 0.0 }
    }

    /// Whether it has enough of them for its variance to be known well.
    fn has_known_variance(&self, default: f64) -> bool {
        self.effective(default) >= REWARDS_MIN
    }

    /// The interval that holds the mean of the stream at all times with probability 1 − `alpha`; `unit`: all rewards
    /// lie in [0, 1]. None where it cannot be said yet; `default` is the reward of silence.
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

    /// The logarithm of the beta-binomial mixture against the mean μ in (0, 1): at the true mean its exponential is a
    /// non-negative supermartingale that starts from 1, so it ever exceeds 1/α with probability α at most.
    ///
    /// `∫ Π (q/μ)^y ((1−q)/(1−μ))^(1−y) dBeta(q; rμ, r(1−μ))`. Of rewards between 0 and 1 each factor is convex in
    /// y, so its mean is at most that of a coin with the same mean, which is 1.
    fn against(&self, mu: f64) -> f64 {
        let n = self.count as f64;
        let sum = self.sum.clamp(0.0, n);
        let prior = TUNED_FOR / tuning(0.05);
        let (a, b) = (prior * mu, prior * (1.0 - mu));
        ln_beta(a + sum, b + n - sum) - ln_beta(a, b) - sum * ln(mu) - (n - sum) * ln(1.0 - mu)
    }

    /// The least mean that the mixture says no more than `most` against; 0 where there is none.
    fn lower_end(&self, most: f64) -> f64 {
        let top = self.mean().clamp(0.0, 1.0);
        boundary(MU_MIN.min(top), top, |mu| self.against(mu) <= most).0
    }

    fn upper_end(&self, most: f64) -> f64 {
        let mirrored = Self { count: self.count, sum: self.count as f64 - self.sum, sum_sq: 0.0 };
        1.0 - mirrored.lower_end(most)
    }
}

/// Rates nearer to 0 than this are taken for 0.
const MU_MIN: f64 = 1e-12;

/// Where, between `out` and `inside`, what lies inside begins: within a billionth part. Returns 0 for `out` itself.
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

/// ρ²·t for the mixture that is tightest at t: Waudby-Smith et al. (2024), appendix on the choice of ρ.
fn tuning(alpha: f64) -> f64 {
    let twice = -2.0 * ln(alpha);
    twice + ln(twice + 1.0)
}

/// How many standard errors after `n` rewards: theorem 2.2's
/// `√(2(nρ² + 1)/(nρ²)·ln(√(nρ² + 1)/α))`, where a fixed n would take 1.96.
fn stretch(n: f64, alpha: f64) -> f64 {
    let x = n * tuning(alpha) / TUNED_FOR;
    ((1.0 + 1.0 / x) * (ln(1.0 + x) - 2.0 * ln(alpha))).sqrt()
}

/// How much the mean of `a` lies above the mean of `b`, at all times with probability 1 − `alpha`; `unit` and `default`
/// as for [`RewardSample::interval`]. None where it cannot be said yet.
///
/// For rewards in [0, 1], all differences between pairs of means against which the product of the two beta-binomial
/// mixtures, itself a supermartingale whichever stream the next reward belongs to, says no more than 1/α. Else the
/// asymptotic sequence of the difference in a randomised experiment (section 3 there), with each group's mean
/// as the regression: its variance per decision is `σ_a²·n/n_a + σ_b²·n/n_b`.
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

/// The most that the mean of `a` may lie above that of `b` where both mixtures together say no more than `most`: what
/// may be said against one is shared out so that the difference is greatest (it is concave in the share).
fn most_above(a: &RewardSample, b: &RewardSample, most: f64) -> f64 {
    // No mixture ever says less than this, so no more than the rest of it is to be shared out.
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

/// How two arms, the first and the second, did against each other. *Persisted.*
///
/// Each decision that could have shown either, the first with probability p and the second with q, adds
///
/// ```text
/// y = (r − c)·q/(p+q)   where it showed the first, with reward r
/// y = (c − r)·p/(p+q)   where it showed the second
/// ```
///
/// for any c that was known before. Whatever the context and the time of day, and however p and q came about,
/// the mean of y given all before is `pq/(p+q)` times what the first is better by; where it is no better the sum drifts
/// nowhere. These are the overlap weights: of all that compare the two in this way, those with the least
/// variance, and never above 1, where inverse propensities grow without bound.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PairwiseTest {
    /// How many decisions showed one of the two.
    pub count: u64,
    /// The sum of y, reward.
    pub sum: f64,
    /// The sum of their squares, reward².
    pub sum_sq: f64,
    /// The sum of pq/(p+q) over all decisions that could have shown either: times a reward's variance, the variance of
    /// the sum of y. Unlike the sum of squares it misses nothing that was likely and did not happen yet.
    pub weight_sum: f64,
}

impl PairwiseTest {
    /// A decision that could have shown either, with these probabilities.
    pub fn add_weight(&mut self, p: f64, q: f64) {
        self.weight_sum += p * q / (p + q);
    }

    /// It showed one of the two.
    pub fn add(&mut self, y: f64) {
        self.count += 1;
        self.revise(0.0, y);
    }

    /// What a decision added became another.
    pub fn revise(&mut self, before: f64, after: f64) {
        self.sum += after - before;
        self.sum_sq += after * after - before * before;
    }

    /// The same with the arms the other way round.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { sum: -self.sum, ..self }
    }

    /// The logarithm of the evidence against "the first is no better than the second": where that is so, it ever
    /// exceeds ln(1/α) with probability α at most.
    ///
    /// For rewards in [0, 1], the wealth of a gambler who bets the share λ on y, averaged over a grid of λ, and
    /// bounded below by what the two sums tell: `1 + λy ≥ exp(λy − (−ln(1−λ) − λ)y²)` for y ≥ −1 (Fan, Grama and Liu
    /// 2015, lemma 4.1). Else the normal mixture in the clock of `overlap`, asymptotically, with the variance of all
    /// the slot's `rewards`; −∞ until the two must have had [`REWARDS_MIN`] rewards' worth (the rarer one a quarter of
    /// them). `default` is the reward of silence.
    pub fn evidence(&self, unit: bool, rewards: &RewardSample, default: f64) -> f64 {
        if self.count == 0 || self.sum <= 0.0 {
            return f64::NEG_INFINITY;
        }
        if unit {
            let mut bet = BET_MAX / BET_STEP;
            let wealth = [(); BETS].map(|()| {
                bet *= BET_STEP;
                bet * self.sum + (ln_1p(-bet) + bet) * self.sum_sq
            });
            let most = wealth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return most + ln(wealth.iter().map(|w| exp(w - most)).sum::<f64>() / BETS as f64);
        }
        let share = rewards.effective(default) / (rewards.count as f64).max(1.0);
        if 4.0 * self.weight_sum * share < REWARDS_MIN {
            return f64::NEG_INFINITY;
        }
        let variance = (self.weight_sum * rewards.variance()).max(self.sum_sq);
        // Where both are as likely, four times the overlap is the number of decisions.
        let x = 4.0 * self.weight_sum * tuning(0.05) / TUNED_FOR;
        0.5 * (self.sum * self.sum / variance) * x / (1.0 + x) - 0.5 * ln_1p(x)
    }
}

#[cfg(test)]
mod tests;
