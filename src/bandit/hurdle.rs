//! Hurdle model: rewards of which most are zero, as the rate of rewards above zero times their size.

use serde::{Deserialize, Serialize};

use super::{
    encoder::Encoder,
    linear::{Linear, LinearDesign, PooledRewards, Scoring},
    model::{RewardRevision, SeenReward},
    score::{LogScore, LogitScore, RewardScale, Scores},
};
use crate::stats::{ArmMean, Inconsistency, NormalScore, PooledPrior, SparseVector, ensure, math};

/// Number of values that the pooled ratio of values to their estimates counts as in the ratio of one arm.
const RATIO_VALUES: f64 = 50.0;
/// Greatest factor by which an arm's values may lie above their estimates from logarithms.
const RATIO_MAX: f64 = 100.0;

/// Guesses of the variances of logarithms: within an arm, whose values differ by a factor of e, and between arms.
const LOG_WITHIN: f64 = 1.0;
const LOG_BETWEEN: f64 = 0.25;
/// Largest size of the logarithm of a value that a model can have. Its exponential is finite.
const LOG_MAX: f64 = 200.0;

/// Values above zero of one arm, by their logarithms. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct ArmValues {
    weight: f64,
    sum: f64,
    log_sum: f64,
    log_squares: f64,
}

impl ArmValues {
    fn add(&mut self, weight: f64, y: f64) {
        let log = math::ln(y);
        self.weight += weight;
        self.sum += weight * y;
        self.log_sum += weight * log;
        self.log_squares += weight * log * log;
    }

    fn forget(&mut self, retained: f64) {
        for number in [&mut self.weight, &mut self.sum, &mut self.log_sum, &mut self.log_squares] {
            *number *= retained;
        }
    }

    fn logs(&self) -> ArmMean {
        if self.weight <= 1e-9 {
            return ArmMean::default();
        }
        let mean = self.log_sum / self.weight;
        ArmMean { weight: self.weight, mean, squares: (self.log_squares - self.log_sum * mean).max(0.0) }
    }
}

/// Posterior of the logarithm of an arm's typical value. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct TypicalValue {
    /// Mean of the logarithm of the expected value.
    log: f64,
    /// Variance of the logarithm.
    variance: f64,
}

impl TypicalValue {
    /// Expected value.
    fn mean(&self) -> f64 {
        math::exp(self.log)
    }
}

/// Values above zero of all arms. *Persisted.*
///
/// The logarithm of an arm's values is normal about a level that is itself normal over the arms. The expected value is the
/// exponential of that level times the ratio of the values' sum to that of their estimates, so that it becomes the arm's
/// own mean whatever the distribution.
///
/// # Source
///
/// Duan, "Smearing Estimate: A Nonparametric Retransformation Method" (1983).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct PurchaseValues {
    arms: Vec<ArmValues>,
    scores: Vec<TypicalValue>,
    /// Score of an arm without values.
    fresh: TypicalValue,
}

impl PurchaseValues {
    fn arm(&mut self, arm: u32) -> &mut ArmValues {
        let arm = arm as usize;
        if self.arms.len() <= arm {
            self.arms.resize(arm + 1, ArmValues::default());
        }
        &mut self.arms[arm]
    }

    fn score(&self, arm: Option<u32>) -> TypicalValue {
        arm.and_then(|arm| self.scores.get(arm as usize)).copied().unwrap_or(self.fresh)
    }

    /// Computes the scores of all arms again.
    fn refresh(&mut self) {
        let logs = || self.arms.iter().map(ArmValues::logs);
        let within = ArmMean::variance_within(logs(), LOG_WITHIN);
        let PooledPrior { mean: level, between } = PooledPrior::estimate(logs(), within, LOG_BETWEEN);
        let posterior = |logs: ArmMean| {
            let precision = 1.0 / between + logs.weight / within;
            ((level / between + logs.weight * logs.mean / within) / precision, 1.0 / precision)
        };
        let typical: Vec<(f64, f64)> = self.arms.iter().map(|arm| posterior(arm.logs())).collect();
        let estimate = |&(mean, variance): &(f64, f64)| math::exp(mean + 0.5 * variance);
        let (mut sum, mut estimated) = (0.0, 0.0);
        for (arm, typical) in self.arms.iter().zip(&typical) {
            sum += arm.sum;
            estimated += arm.weight * estimate(typical);
        }
        let ratio = if estimated > 0.0 { (sum / estimated).clamp(1.0 / RATIO_MAX, RATIO_MAX) } else { 1.0 };
        let of = |weight: f64, own: f64, (mean, variance): (f64, f64)| {
            let ratio = (RATIO_VALUES * ratio + own) / (RATIO_VALUES + weight);
            TypicalValue { log: mean + 0.5 * variance + math::ln(ratio.clamp(1.0 / RATIO_MAX, RATIO_MAX)), variance }
        };
        self.fresh = of(0.0, 0.0, posterior(ArmMean::default()));
        self.scores = self.arms.iter().zip(typical).map(|(arm, t)| of(arm.weight, arm.sum / estimate(&t), t)).collect();
    }
}

/// Model of the rates, a linear one of log odds, with the values. *Persisted.*
///
/// A reward that is not above zero counts as none.
///
/// # Source
///
/// Cragg, "Some Statistical Models for Limited Dependent Variables" (1971), §2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hurdle {
    rate: Linear,
    values: PurchaseValues,
    /// Observations of each arm: their weight, and that of those above zero.
    counts: Vec<(f64, f64)>,
}

impl Hurdle {
    /// Creates the model with a model of the rates.
    pub(super) fn new(rate: Linear) -> Self {
        Self { rate, values: PurchaseValues::default(), counts: Vec::new() }
    }

    /// Checks that the model may have learned rows of the encoder, for at most this number of arms.
    pub(super) fn check_consistency(
        &self,
        design: &LinearDesign,
        encoder: &Encoder,
        arms: usize,
    ) -> Result<(), Inconsistency> {
        self.rate.check_consistency(design, encoder, arms)?;
        let lists = [self.counts.len(), self.values.arms.len(), self.values.scores.len()];
        ensure(lists.iter().all(|length| *length <= arms), "a model knows the values of arms that have no name")?;
        let mut scores = self.values.scores.iter().chain([&self.values.fresh]);
        let is_value = |of: &TypicalValue| of.log.abs() <= LOG_MAX && of.variance >= 0.0 && of.variance.is_finite();
        ensure(scores.all(is_value), "the typical value of an arm is no distribution")
    }

    /// Model of the rates.
    pub(super) fn rate(&self) -> &Linear {
        &self.rate
    }

    /// Model of the rates.
    pub(super) fn rate_mut(&mut self) -> &mut Linear {
        &mut self.rate
    }

    /// Gives the rates of the arms the prior that level and spread of all rates make.
    pub(super) fn follow(&mut self) {
        let rate = |&(weight, above): &(f64, f64)| ArmMean {
            weight,
            mean: if weight > 1e-9 { (above / weight).clamp(0.0, 1.0) } else { 0.0 },
            squares: 0.0,
        };
        let rates = PooledPrior::from_rates(self.counts.iter().map(rate));
        self.rate.follow(&PooledRewards::Rates(rates));
    }

    /// Expected reward of an arm, and its standard deviation.
    pub(super) fn expect(&self, arm: u32, x: &SparseVector) -> (f64, f64) {
        let Scores::Log(scores) =
            self.scores(&[Some(arm)], std::slice::from_ref(x), Scoring { plain: true, ..Scoring::new(1.0, 1, 0) })
        else {
            return (0.0, 0.0);
        };
        (scores[0].mean, scores[0].mean * scores[0].log.std)
    }

    pub(super) fn observe(&mut self, arm: u32, x: &SparseVector, y: f64, weight: f64) {
        let above = f64::from(u8::from(y > 0.0));
        self.rate.learn(arm, x, SeenReward { y: above.min(weight), weight, count: 1.0, scale: RewardScale::Unit });
        let at = arm as usize;
        if self.counts.len() <= at {
            self.counts.resize(at + 1, (0.0, 0.0));
        }
        self.counts[at].0 += weight;
        self.counts[at].1 += above.min(weight);
        if y > 0.0 {
            self.values.arm(arm).add(1.0, y);
            self.values.refresh();
        }
    }

    pub(super) fn revise(&mut self, arm: u32, x: &SparseVector, revision: RewardRevision) {
        let RewardRevision { y, delta, weight, retained } = revision;
        let (before, after) = (y, y + delta);
        let above = |y: f64| f64::from(u8::from(y > 0.0)).min(weight);
        let change = above(after) - above(before);
        if change.abs() > 0.0 {
            self.rate.revise(arm, x, RewardRevision { y: above(before), delta: change, weight, retained });
            if let Some(count) = self.counts.get_mut(arm as usize) {
                count.1 += retained * change;
            }
        }
        let values = self.values.arm(arm);
        if before > 0.0 {
            values.add(-retained, before);
        }
        if after > 0.0 {
            values.add(retained, after);
        }
        if before > 0.0 || after > 0.0 {
            self.values.refresh();
        }
    }

    pub(super) fn forget(&mut self, arm: u32, retained: f64, portion: f64) {
        self.rate.forget(arm, retained, portion);
        if let Some((weight, above)) = self.counts.get_mut(arm as usize) {
            (*weight, *above) = (*weight * retained, *above * retained);
        }
        if let Some(values) = self.values.arms.get_mut(arm as usize) {
            values.forget(retained);
        }
    }

    /// Returns one score per arm: the logarithm of rate × value as a normal distribution.
    pub(super) fn scores(&self, arms: &[Option<u32>], rows: &[SparseVector], scoring: Scoring<'_>) -> Scores {
        let width = scoring.width;
        let Scores::Logit(rates) = self.rate.scores(arms, rows, scoring) else { return Scores::Log(Vec::new()) };
        let log_rate = |score: &LogitScore| {
            let point = math::logistic(score.log_odds.mean);
            let log = NormalScore { mean: math::ln(point), std: score.log_odds.std * (1.0 - point) };
            LogScore { log, mean: score.rate }
        };
        let score = |(&arm, rate): (&Option<u32>, LogScore)| {
            let value = self.values.score(arm);
            let std = math::hypot(rate.log.std, width * value.variance.sqrt());
            LogScore { log: NormalScore { mean: rate.log.mean + value.log, std }, mean: rate.mean * value.mean() }
        };
        Scores::Log(arms.iter().zip(rates.iter().map(log_rate)).map(score).collect())
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    use rand_distr::{Distribution as _, LogNormal};

    use super::*;
    use crate::bandit::{Expansion, LinearDesign, Link, Sharing};

    fn hurdle() -> Hurdle {
        Hurdle::new(Linear::new(LinearDesign {
            link: Link::Logit,
            expansion: Expansion::None,
            sharing: Sharing::Disjoint,
            prior_precision: 1.0,
            dimension_budget: 16,
        }))
    }

    fn constant() -> SparseVector {
        SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 }
    }

    /// Two of a hundred shoppers buy for log-normal values of log standard deviation 1. After 40,000 showings of each of two
    /// arms, of which the second's purchases are twice as large, the expected rewards are within four standard errors of the
    /// truth, in any unit: a reward's standard deviation is √(p·e² − p²e)·m.
    #[test]
    fn expected_rewards_are_the_rate_times_the_mean_value_in_any_unit() {
        for unit in [1.0, 1e-3, 1e5] {
            let (mut rng, mut model) = (StdRng::seed_from_u64(31), hurdle());
            let values = LogNormal::new(3.0, 1.0).unwrap();
            for i in 0..80_000 {
                let arm = i % 2;
                let value = f64::from(1 + arm) * unit * values.sample(&mut rng);
                let y = if rng.random_bool(0.02) { value } else { 0.0 };
                model.observe(arm, &constant(), y, 1.0);
            }
            model.follow();
            for arm in 0..2 {
                let median = f64::from(1 + arm) * unit * 3.0_f64.exp();
                let (got, want) = (model.expect(arm, &constant()).0, 0.02 * median * 0.5_f64.exp());
                let error = median * (0.02 * 2.0_f64.exp() - 0.02 * 0.02 * 1.0_f64.exp()).sqrt() / 200.0;
                assert!((got - want).abs() < 4.0 * error, "{unit} {arm}: {got} against {want} ± {error}");
            }
        }
    }

    /// A purchase and its refund leave nothing, and neither does a loss.
    #[test]
    fn a_refund_makes_a_purchase_a_showing_without_one() {
        let (mut bought, mut plain) = (hurdle(), hurdle());
        for (i, y) in [0.0, 12.0, 0.0, 7.0, 0.0, -3.0].into_iter().enumerate() {
            for model in [&mut bought, &mut plain] {
                model.observe(u32::try_from(i % 2).unwrap(), &constant(), y, 1.0);
            }
        }
        for (y, delta) in [(0.0, 20.0), (20.0, -20.0), (0.0, -5.0), (-5.0, 5.0)] {
            bought.revise(0, &constant(), RewardRevision { y, delta, weight: 1.0, retained: 1.0 });
        }
        bought.follow();
        plain.follow();
        for arm in 0..3 {
            let (got, want) = (bought.expect(arm, &constant()), plain.expect(arm, &constant()));
            assert!((got.0 - want.0).abs() < 1e-9 && (got.1 - want.1).abs() < 1e-9, "{arm}: {got:?} {want:?}");
        }
    }
}
