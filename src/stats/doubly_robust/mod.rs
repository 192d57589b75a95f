//! Doubly robust estimate of an arm's mean reward over all contexts, from a log with known propensities.
//!
//! A policy shows an arm where it looks good, so the mean reward where an arm was shown does not say what the arm would
//! earn if everybody got it. The propensities of the log correct for that.
//!
//! Invariant: sums follow from decisions and rewards in any order of the rewards, and a reward that changes leaves what the
//! final reward would have left.
//!
//! Deliberately not here: which decisions count, and when the rewards of a decision are known.

mod noise;

use serde::{Deserialize, Serialize};

pub use noise::RewardNoise;

use super::math::{self, square};

/// Number of groups of subjects, by which the figures' variance is corrected for subjects who come back.
pub const GROUPS: usize = 64;
/// Number of levels by which a weight can be named per doubling of the average inverse propensity.
const LEVELS_PER_OCTAVE: f64 = 8.0;
/// Number of decisions over which an arm's inverse propensity is averaged.
const WEIGHT_DECISIONS: f64 = 200.0;
/// Number of showings that the predicted variance of a part's figure counts for.
const PREDICTED_SHOWINGS: f64 = 30.0;
/// Smallest propensity that differs from 0.
const PROPENSITY_MIN: f64 = 1e-9;
/// Floors for which an arm's sums say how wide its interval would be.
pub const FLOORS: [f64; 4] = [0.01, 0.02, 0.05, 0.1];
/// Half-width of an interval that holds with 95 %, in standard errors.
const SURE: f64 = 1.96;
/// Number of decisions over which the inverse propensity is averaged for a part of the decisions, which has few draws of an arm that is
/// hardly shown there: its weights fall as soon as the propensity does, so that early draws count.
const PART_WEIGHT_DECISIONS: f64 = 30.0;

/// Arm that a decision could have shown, as it was scored then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredArm {
    /// Expected reward q.
    pub expected: f64,
    /// Standard deviation s of the expected reward.
    pub spread: f64,
    /// Propensity p of the first position.
    pub propensity: f64,
}

impl ScoredArm {
    fn inverse(&self) -> f64 {
        1.0 / self.propensity.max(PROPENSITY_MIN)
    }

    /// Returns the doubly robust score `q + (r − q)/p` of the decision that showed the arm, for the reward `r`, or q while the
    /// reward is not known.
    pub fn score(&self, reward: Option<f64>) -> f64 {
        reward.map_or(self.expected, |reward| self.expected + (reward - self.expected) * self.inverse())
    }
}

/// Weights of a decision in the sums of an arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecisionWeight {
    /// Stabilised weight h, which is smaller while the arm has little overlap.
    pub stabilised: f64,
    /// Weight by which younger decisions count more, above 0.
    pub fading: f64,
}

impl DecisionWeight {
    fn first(self) -> f64 {
        self.stabilised * self.fading
    }

    fn second(self) -> f64 {
        square(self.first())
    }
}

/// Stabilised weight `v^(−3/4)` in one byte: eight times the base-2 logarithm of the average inverse propensity v. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct WeightLevel(pub u8);

impl WeightLevel {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number between 0 and 255")]
    fn of_inverse(inverse: f64) -> Self {
        Self((LEVELS_PER_OCTAVE * math::log2(inverse.max(1.0))).round().min(255.0) as u8)
    }

    /// Stabilised weight of this level.
    pub fn stabilised(self) -> f64 {
        math::exp2(-0.75 * f64::from(self.0) / LEVELS_PER_OCTAVE)
    }
}

/// Sums over the decisions in which one arm was scored. *Persisted.*
///
/// For each decision with the score ψ, the stabilised weight h and the fading weight w:
///
/// ```text
/// first order, by w     H = Σ h      P = Σ h·ψ      and both in each of 64 groups of subjects
/// second order, by w²   H₂ = Σ h²    P₁ = Σ h²ψ     P₂ = Σ h²ψ²    Q₁ = Σ h²q    Q₂ = Σ h²q²
///                       B = Σ h²|q|/p     C = Σ h²s/p     D = Σ h²s²/p     E = Σ h²/p
/// ```
///
/// h is `v^(−3/4)`, where v is the moving average of `1/p` before the decision. With `v^(−1/2)` an arm that is hardly ever drawn
/// loses what its early draws said; with `v^(−1)` the early draws count so much that an unlucky start stays.
///
/// # Source
///
/// Dudík, Erhan, Langford and Li, "Doubly Robust Policy Evaluation and Optimization" (2014), eq. 3; stabilised weights: Luedtke and
/// van der Laan, "Statistical Inference for the Mean Outcome under a Possibly Non-unique Optimal Treatment Strategy" (2016), §4.
///
/// # Examples
///
/// An arm that is shown in every other decision and earns 1 every time, while the model expects 0.5:
///
/// ```
/// use slotwise::stats::{DecisionWeight, DoublyRobustSums, RewardNoise, ScoredArm};
///
/// let (mut sums, mut noise) = (DoublyRobustSums::new(2), RewardNoise::default());
/// let scored = ScoredArm { expected: 0.5, spread: 0.1, propensity: 0.5 };
/// for i in 0..1_000_usize {
///     let weight = sums.add(scored, 1.0, i % 64);
///     if i % 2 == 0 {
///         sums.revise(weight, i % 64, scored.score(None), scored.score(Some(1.0)));
///         noise.add(1.0, i % 64, &scored, 1.0);
///     }
/// }
/// let figure = sums.figure(&noise, 1.0).unwrap();
/// assert!((figure.mean - 1.0).abs() < 1e-9 && (figure.std() - 0.02).abs() < 0.02);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoublyRobustSums {
    /// Moving average v of the inverse propensities.
    inverse_propensity: f64,
    weight: f64,
    scores: f64,
    weight_squares: f64,
    weighted_scores: f64,
    score_squares: f64,
    expected: f64,
    expected_squares: f64,
    size: f64,
    spread: f64,
    spread_squares: f64,
    inverse: f64,
    /// Sums of weight and score, by group.
    groups: Vec<(f64, f64)>,
    belief: BeliefSums,
}

/// Sums of what the model expected, without stabilised weights. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct BeliefSums {
    weight: f64,
    expected: f64,
    expected_squares: f64,
    /// Σ (|q| + s)/p and Σ s²/p with propensities of at least each of the [`FLOORS`].
    at_floors: [(f64, f64); FLOORS.len()],
}

/// Figure of an arm over all contexts, with the variance of its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DoublyRobustFigure {
    /// Estimate of the mean reward.
    pub mean: f64,
    /// Variance of the estimate, reward².
    pub variance: f64,
    /// Number of showings of the arm to everybody that would say as much.
    pub effective_showings: f64,
}

impl DoublyRobustFigure {
    /// Standard error of the estimate.
    pub fn std(&self) -> f64 {
        self.variance.sqrt()
    }

    /// Half-width of the interval that holds the mean with 95 %.
    pub fn half_width(&self) -> f64 {
        SURE * self.std()
    }
}

impl DoublyRobustSums {
    /// Creates the sums of an arm that was one of this number of arms when it was first scored.
    pub fn new(arms: usize) -> Self {
        Self {
            inverse_propensity: arms.max(1) as f64,
            weight: 0.0,
            scores: 0.0,
            weight_squares: 0.0,
            weighted_scores: 0.0,
            score_squares: 0.0,
            expected: 0.0,
            expected_squares: 0.0,
            size: 0.0,
            spread: 0.0,
            spread_squares: 0.0,
            inverse: 0.0,
            groups: vec![(0.0, 0.0); GROUPS],
            belief: BeliefSums::default(),
        }
    }

    /// Creates sums without groups of subjects, for a part of the decisions.
    pub fn without_groups(arms: usize) -> Self {
        Self { groups: Vec::new(), ..Self::new(arms) }
    }

    /// Adds a decision in which the arm was scored, and takes the expected reward for the reward. Returns the decision's weight.
    ///
    /// `fading` is the weight of the decision by its time, and `group` that of its subject, below [`GROUPS`].
    pub fn add(&mut self, scored: ScoredArm, fading: f64, group: usize) -> DecisionWeight {
        // Single precision, so that a decision can keep the weight in four bytes and give it back as it was.
        #[expect(clippy::cast_possible_truncation, reason = "a number between 0 and 1")]
        let stabilised = {
            let root = self.inverse_propensity.sqrt();
            f64::from((1.0 / (root * root.sqrt())) as f32)
        };
        let weight = DecisionWeight { stabilised, fading };
        self.inverse_propensity += (scored.inverse() - self.inverse_propensity) / WEIGHT_DECISIONS;
        self.add_weighted(scored, weight, group);
        weight
    }

    /// Adds a decision as [`add`](Self::add) does, with a weight that can be kept in one byte.
    pub fn add_at_level(&mut self, scored: ScoredArm, fading: f64) -> WeightLevel {
        let level = WeightLevel::of_inverse(self.inverse_propensity);
        self.inverse_propensity += (scored.inverse() - self.inverse_propensity) / PART_WEIGHT_DECISIONS;
        self.add_weighted(scored, DecisionWeight { stabilised: level.stabilised(), fading }, 0);
        level
    }

    /// Adds a decision with a weight that was known before its arm was drawn.
    fn add_weighted(&mut self, scored: ScoredArm, weight: DecisionWeight, group: usize) {
        let ScoredArm { expected, spread, .. } = scored;
        let (inverse, fading) = (scored.inverse(), weight.fading);
        let (first, second) = (weight.first(), weight.second());
        self.weight += first;
        self.weight_squares += second;
        self.expected += second * expected;
        self.expected_squares += second * square(expected);
        self.size += second * expected.abs() * inverse;
        self.spread += second * spread * inverse;
        self.spread_squares += second * square(spread) * inverse;
        self.inverse += second * inverse;
        if let Some(of_group) = self.groups.get_mut(group) {
            of_group.0 += first;
        }
        self.revise(weight, group, 0.0, expected);
        if self.groups.is_empty() {
            // Sums of a part of the decisions are asked for their figure only.
            return;
        }
        let belief = &mut self.belief;
        belief.weight += fading;
        belief.expected += fading * expected;
        belief.expected_squares += fading * square(expected);
        for ((size, squares), floor) in belief.at_floors.iter_mut().zip(FLOORS) {
            let inverse = inverse.min(1.0 / floor);
            *size += fading * (expected.abs() + spread) * inverse;
            *squares += fading * square(spread) * inverse;
        }
    }

    /// Changes the score of a decision.
    pub fn revise(&mut self, weight: DecisionWeight, group: usize, before: f64, after: f64) {
        let (first, second, more) = (weight.first(), weight.second(), after - before);
        self.scores += first * more;
        self.weighted_scores += second * more;
        self.score_squares += second * (square(after) - square(before));
        if let Some(of_group) = self.groups.get_mut(group) {
            of_group.1 += first * more;
        }
    }

    /// Multiplies the fading weights of all decisions by a factor.
    pub fn scale(&mut self, factor: f64) {
        let Self { weight, scores, groups, belief, .. } = self;
        for number in [weight, scores, &mut belief.weight, &mut belief.expected, &mut belief.expected_squares] {
            *number *= factor;
        }
        for pair in groups.iter_mut().chain(&mut belief.at_floors) {
            *pair = (factor * pair.0, factor * pair.1);
        }
        let second = square(factor);
        for number in [
            &mut self.weight_squares,
            &mut self.weighted_scores,
            &mut self.score_squares,
            &mut self.expected,
            &mut self.expected_squares,
            &mut self.size,
            &mut self.spread,
            &mut self.spread_squares,
            &mut self.inverse,
        ] {
            *number *= second;
        }
    }

    fn mean(&self) -> f64 {
        self.scores / self.weight
    }

    /// Variance of the estimate as the scores themselves vary.
    fn measured(&self) -> f64 {
        let mean = self.mean();
        let squares = self.score_squares - 2.0 * mean * self.weighted_scores + square(mean) * self.weight_squares;
        squares.max(0.0) / square(self.weight)
    }

    /// Ratio of the variance over groups of subjects to that over decisions, at least 1, or `None` if nothing varies.
    pub fn design_effect(&self) -> Option<f64> {
        if self.weight <= 0.0 || self.groups.is_empty() {
            return None;
        }
        let (mean, measured) = (self.mean(), self.measured());
        let deviation = |&(weight, scores): &(f64, f64)| square(scores - mean * weight);
        let grouped = self.groups.iter().map(deviation).sum::<f64>() / square(self.weight);
        let correction = GROUPS as f64 / (GROUPS - 1) as f64;
        (measured > 0.0).then(|| (correction * grouped / measured).max(1.0))
    }

    /// Returns the estimate, or `None` if the arm was never scored or no reward is known yet.
    ///
    /// The variance is the larger of two: that of the scores, and that which the propensities of all decisions predict. Where an
    /// arm has a small propensity and was not drawn, the scores do not vary, although nothing could be seen. `design` is the arm's [design effect](Self::design_effect), or
    /// that of other arms if it has none.
    pub fn figure(&self, noise: &RewardNoise, design: f64) -> Option<DoublyRobustFigure> {
        let variance = self.measured().max(self.predicted(noise)?) * design;
        Some(DoublyRobustFigure { mean: self.mean(), variance, effective_showings: self.effective_showings() })
    }

    /// Returns the estimate for a part of the decisions, as [`figure`](Self::figure) does. Its variance is that of the scores, to which
    /// the predicted one is added as if it had been measured in 30 showings more.
    pub fn part_figure(&self, noise: &RewardNoise, design: f64) -> Option<DoublyRobustFigure> {
        let effective_showings = self.effective_showings();
        let sum = effective_showings * self.measured() + PREDICTED_SHOWINGS * self.predicted(noise)?;
        let variance = sum / (effective_showings + PREDICTED_SHOWINGS) * design;
        Some(DoublyRobustFigure { mean: self.mean(), variance, effective_showings })
    }

    fn effective_showings(&self) -> f64 {
        square(self.weight) / self.inverse
    }

    /// Variance of the estimate as propensities and expectations predict it, or `None` without a decision or a reward.
    fn predicted(&self, noise: &RewardNoise) -> Option<f64> {
        let per_reward = noise.per_reward().filter(|_| self.weight > 0.0)?;
        let mean = self.mean();
        let of_expected = self.expected_squares - 2.0 * mean * self.expected + square(mean) * self.weight_squares;
        let predicted = per_reward * (self.size + self.spread) + self.spread_squares + of_expected;
        Some(predicted / square(self.weight))
    }

    /// Mean of the expected rewards, which is the model's guess, or `None` if the arm was never scored.
    pub fn guess(&self) -> Option<f64> {
        (self.belief.weight > 0.0).then(|| self.belief.expected / self.belief.weight)
    }

    /// Returns the half-width of the interval after `decisions` more decisions with the floor of this index in [`FLOORS`],
    /// or `None` if the arm was never scored or no reward is known yet.
    pub fn half_width_at(&self, floor: usize, decisions: f64, noise: &RewardNoise) -> Option<f64> {
        let belief = &self.belief;
        let (per_reward, guess) = (noise.per_reward()?, self.guess()?);
        let (size, squares) = belief.at_floors.get(floor)?;
        let of_expected = (belief.expected_squares / belief.weight - square(guess)).max(0.0);
        let each = (per_reward * size + squares) / belief.weight + of_expected;
        Some(SURE * (each / decisions).sqrt())
    }
}

#[cfg(test)]
mod tests;
