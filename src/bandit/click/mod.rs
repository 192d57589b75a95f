//! Click models: the weight of each position of a slate as an observation of its arm.
//!
//! A position that was not looked at and got no reward is no evidence about its arm. [`ClickModel`] turns the rewarded
//! positions into one weight per position. [`Positions`] learns how often each position is looked at, from the slot's
//! own randomised order. [`ClickModel::weights`] defines what a weight means to a model.
//!
//! Invariants:
//!
//! * Everything here is a pure function or a plain value.
//! * The reversal of a reward undoes what the reward did to [`Positions`].
//! * An order that was forced teaches nothing.
//!
//! Deliberately not here: the posteriors that use the weights, and the events that count as a reward.

use serde::{Deserialize, Serialize};

/// Least exposure of a position, in units of the first. A reward at a position with less would outweigh all others.
const EXPOSURE_MIN: f64 = 1.0 / 64.0;

/// Greatest exposure of a position, in units of the first.
const EXPOSURE_MAX: f64 = 4.0;

/// Prior rewards of each position of a neighbouring pair: the prior says that both are looked at equally often, and is
/// worth this many rewards of each.
const PRIOR_REWARDS: f64 = 5.0;

/// Assumption about how a shopper looks through a slate. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ClickModel {
    /// All shown arms were seen, and rewards count unchanged.
    #[default]
    None,
    /// Each position k is looked at with its own probability θₖ, whatever is shown there, and the reward depends on the
    /// arm alone.
    ///
    /// # Source
    ///
    /// Richardson, Dominowska, Ragno (2007), *Predicting Clicks*, §5.1; Lagrée, Vernade, Cappé
    /// (2016), *Multiple-Play Bandits in the Position-Based Model*, §2.
    PositionBased,
    /// Shoppers look from the top downwards and stop at a reward. The positions down to the last reward were seen and
    /// those below it were not; without a reward all positions were seen.
    ///
    /// # Source
    ///
    /// Craswell, Zoeter, Taylor, Ramsey (2008), *An Experimental Comparison of Click Position-Bias
    /// Models*, §3.3; Kveton, Szepesvári, Wen, Ashkan (2015), *Cascading Bandits*, §2.
    Cascade,
}

/// Number of positions of a slate that were seen under [`ClickModel::Cascade`], given the rewarded ones: those down to
/// the last reward, or all without a reward.
pub fn seen(rewarded: &[bool]) -> usize {
    rewarded.iter().rposition(|&rewarded| rewarded).map_or(rewarded.len(), |last| last + 1)
}

impl ClickModel {
    /// Returns the weight w ≥ 0 of each position's observation, given the rewarded positions.
    ///
    /// A model must learn an observation of weight w > 0 and reward y as one of reward y/w that counts w times (ŷ is the
    /// model's prediction for a position that is seen):
    ///
    /// ```text
    /// Beta       a ← a + y,  b ← b + w − y          keep Σy and Σw: b may fall short of its prior for a while
    /// Gaussian   observe(x, w·h, y − w·ŷ)            h the curvature for a position that is seen
    /// Noise      observe(w, y/w − ŷ, xᵀΛ⁻¹x)
    /// ```
    ///
    /// A later change of the reward by Δy revises the first two by `revise(x, Δy)` and the noise by
    /// `revise(w, Δy/w, y/w − xᵀμ, xᵀΛ⁻¹x)`. The weight of a position is fixed when it is shown, and only
    /// [`Cascade`](Self::Cascade) changes it afterwards.
    ///
    /// With w = θₖ this solves `Σ x(y − θₖ·ŷ(x)) = 0`. The true rates solve it too, since E(y) = θₖ·r(x), so the learned
    /// rates are those of a position that is seen, for rewards of any kind and not for clicks alone. The alternative, the
    /// weights of EM (1 for a click, θₖ(1 − r̂)/(1 − θₖr̂) without one), has the same fixed point but freezes the current r̂
    /// into the weight. In one pass over the data its error falls only as n^−(1−r)/(1−θₖr), whereas this one's falls as
    /// 1/√n, and each click would change the weight of an observation.
    ///
    /// # Source
    ///
    /// Lagrée, Vernade, Cappé (2016), eq. (3): the estimator S/Ñ with Ñ = Σ θₖ.
    pub fn weights(self, rewarded: &[bool], positions: &Positions) -> Vec<f64> {
        match self {
            Self::None => vec![1.0; rewarded.len()],
            Self::PositionBased => (0..rewarded.len()).map(|place| positions.exposure(place)).collect(),
            Self::Cascade => {
                let seen = seen(rewarded);
                (0..rewarded.len()).map(|place| f64::from(u8::from(place < seen))).collect()
            }
        }
    }
}

/// Probability of the opposite order of two neighbours, given the two arms, or 0 if the order was forced.
///
/// The policy put arm a on one position and b on the next. `kept` is the probability of that order given the positions
/// above, p(a)·p(b | a), and `swapped` is that of the opposite order, p(b)·p(a | b). The result is the weight with which
/// a decision is evidence of how often the two positions are looked at.
///
/// # Source
///
/// Li, Morgan, Zaslavsky (2018), *Balancing Covariates via Propensity Score Weighting*, table 1: overlap weights.
pub fn swap_probability(kept: f64, swapped: f64) -> f64 {
    debug_assert!(kept >= 0.0 && swapped >= 0.0, "probabilities");
    let both = kept + swapped;
    if both > 0.0 { swapped / both } else { 0.0 }
}

/// Rewards of one position, each with its decision's swap probability o as its weight, after forgetting. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct WeightedRewards {
    /// Σ o.
    sum: f64,
    /// Σ o².
    squares: f64,
}

impl WeightedRewards {
    fn add(&mut self, sign: f64, weight: f64) {
        // Neither falls below zero in exact arithmetic, but rounding may take it there.
        self.sum = (self.sum + sign * weight).max(0.0);
        self.squares = (self.squares + sign * weight * weight).max(0.0);
    }

    fn forget(&mut self, retained: f64) {
        self.sum *= retained;
        self.squares *= retained * retained;
    }

    fn with_prior(&self) -> f64 {
        self.sum + PRIOR_REWARDS
    }

    /// Variance of the logarithm of the sum, which is that of a weighted Poisson count.
    fn ln_variance(&self) -> f64 {
        (self.squares + PRIOR_REWARDS) / (self.with_prior() * self.with_prior())
    }
}

/// Rewards of two neighbouring positions. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct PositionBoundary {
    /// Rewards of the position above.
    upper: WeightedRewards,
    /// Rewards of the position below.
    lower: WeightedRewards,
}

impl PositionBoundary {
    /// Ratio of the lower position's exposure to the upper one's.
    fn ratio(&self) -> f64 {
        self.lower.with_prior() / self.upper.with_prior()
    }

    /// Variance of the logarithm of the ratio.
    fn ln_variance(&self) -> f64 {
        self.upper.ln_variance() + self.lower.ln_variance()
    }
}

/// Position model: the exposure of each position of a slot's slates, in units of the first. *Persisted.*
///
/// Exposure is learned from the order of neighbours alone. Given the two arms at positions k and k + 1 and the arms
/// above, the policy drew their order with known probabilities q and 1 − q. Weighted by the probability of the opposite
/// order, both arms stand equally often, q(1 − q), on both positions. Therefore
///
/// ```text
/// E Σ o·yₖ₊₁ / E Σ o·yₖ = θₖ₊₁ / θₖ        y = 1 if the arm was rewarded, else 0
/// ```
///
/// whatever the policy puts on top, in any context, and whether or not any model is right, as no learned model enters.
/// (Ratios of clicks to a model's predictions, θₖ = Σy/Σr̂, are consistent only if r̂ is. But r̂ is learned together with
/// θ from the same sorted slates, along the very direction in which the two are hard to tell apart.) θₖ is the product
/// of the ratios above it. A prior worth five rewards of each position shrinks each ratio to 1, so a slot whose order is
/// forced has no position effect.
///
/// The estimate assumes the position-based model: exposure depends on the position only, and the reward of an arm that
/// is seen does not depend on its neighbours. It also assumes that the policy that drew computed `swapped`.
///
/// The model takes four numbers per position, and a reward costs O(1). A policy that is sure of its order seldom swaps;
/// it then learns about positions from the floor alone.
///
/// # Source
///
/// Agarwal, Zaitsev, Wang, Li, Najork, Joachims (2019), *Estimating Position Bias without Intrusive Interventions*, §4
/// (intervention harvesting) and §5.1 (the chain of adjacent positions), here with propensities that are known
/// per decision instead of several logged rankers; the weights of [`swap_probability`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Positions {
    /// Boundaries between positions; entry k stands between positions k and k + 1, counted from 0.
    boundaries: Vec<PositionBoundary>,
}

impl Positions {
    /// Creates the prior, under which all positions are looked at equally often.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether the model may be that of slates with at most this number of positions.
    pub fn is_consistent(&self, positions_max: usize) -> bool {
        let is_sum = |of: WeightedRewards| of.sum >= 0.0 && of.squares >= 0.0;
        self.boundaries.len() < positions_max.max(1)
            && self.boundaries.iter().all(|boundary| is_sum(boundary.upper) && is_sum(boundary.lower))
    }

    /// Learns that the arm at `place` (0 is the first) was rewarded, or that it no longer is.
    ///
    /// `swap_probabilities` are those of the decision, one per pair of neighbours: entry k is the [`swap_probability`] of
    /// positions k and k + 1. `retained` in (0, 1] is the weight of the decision after forgetting. A change and its reversal
    /// cancel, up to rounding.
    pub fn revise(&mut self, place: usize, swap_probabilities: &[f64], retained: f64, rewarded: bool) {
        debug_assert!(swap_probabilities.iter().all(|o| (0.0..=1.0).contains(o)), "probabilities");
        if self.boundaries.len() < swap_probabilities.len() {
            self.boundaries.resize(swap_probabilities.len(), PositionBoundary::default());
        }
        let sign = if rewarded { 1.0 } else { -1.0 };
        if let Some(swap_probability) = swap_probabilities.get(place) {
            self.boundaries[place].upper.add(sign, retained * swap_probability);
        }
        if let Some(above) = place.checked_sub(1)
            && let Some(swap_probability) = swap_probabilities.get(above)
        {
            self.boundaries[above].lower.add(sign, retained * swap_probability);
        }
    }

    /// Lets all rewards fade to `retained` in (0, 1] of their weight.
    pub fn forget(&mut self, retained: f64) {
        debug_assert!(retained > 0.0 && retained <= 1.0, "γ in (0, 1]");
        for boundary in &mut self.boundaries {
            boundary.upper.forget(retained);
            boundary.lower.forget(retained);
        }
    }

    /// Exposure θ of `place` in units of the first (place 0), within [1/64, 4].
    ///
    /// A place without rewards has the exposure of the place above it. Costs O(place).
    pub fn exposure(&self, place: usize) -> f64 {
        let known = self.boundaries.iter().take(place);
        known.map(PositionBoundary::ratio).product::<f64>().clamp(EXPOSURE_MIN, EXPOSURE_MAX)
    }

    /// Standard error of the logarithm of [`exposure`](Self::exposure): 0.1 is about ten per cent. Costs O(place).
    ///
    /// It is somewhat too large if rewards at neighbouring positions are correlated. Before the first reward it is the
    /// prior's, √0.4 per pair of positions.
    pub fn ln_std_error(&self, place: usize) -> f64 {
        let prior = PositionBoundary::default();
        (0..place).map(|k| self.boundaries.get(k).unwrap_or(&prior).ln_variance()).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests;
