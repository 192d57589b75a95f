//! Click models: how much a position of a slate tells about the arm shown there.
//!
//! Silence at a position that nobody looked at says nothing. [`ClickModel`] turns what was
//! rewarded into one weight per position; [`Positions`] learns how often each position is looked at,
//! from the slot's own randomised order. What a weight w means to a model is said at
//! [`ClickModel::weights`].
//!
//! Invariants: everything here is a pure function or a plain value; what a reward did to
//! [`Positions`], its reversal undoes; nothing is learned from an order that was forced.
//!
//! Deliberately not here: the posteriors that the weights go to, and which events count as a reward.

use serde::{Deserialize, Serialize};

/// A position is never thought to be looked at less often than this, in units of the first:
/// a reward there would otherwise outweigh all others.
const EXPOSURE_MIN: f64 = 1.0 / 64.0;

/// Nor more often than this.
const EXPOSURE_MAX: f64 = 4.0;

/// Rewards that each side of a pair of positions is thought to have had before the first:
/// the prior that both are looked at equally often, worth this many rewards of each.
const PRIOR_REWARDS: f64 = 5.0;

/// How a shopper goes through a slate. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ClickModel {
    /// Every shown arm was seen, and its reward is taken as it is.
    #[default]
    None,
    /// Position k is looked at with a probability θₖ of its own, whatever is shown there; the reward
    /// follows from the arm alone.
    ///
    /// # Source
    ///
    /// Richardson, Dominowska, Ragno (2007), *Predicting Clicks*, §5.1; Lagrée, Vernade, Cappé
    /// (2016), *Multiple-Play Bandits in the Position-Based Model*, §2.
    PositionBased,
    /// From the top downwards, ending with a reward: what is above the last reward and that itself
    /// was seen, what is below it was not; without a reward all were seen.
    ///
    /// # Source
    ///
    /// Craswell, Zoeter, Taylor, Ramsey (2008), *An Experimental Comparison of Click Position-Bias
    /// Models*, §3.3; Kveton, Szepesvári, Wen, Ashkan (2015), *Cascading Bandits*, §2.
    Cascade,
}

/// How many positions of a slate were seen under [`ClickModel::Cascade`], given which are
/// rewarded by now: down to the last reward, or all.
pub fn seen(rewarded: &[bool]) -> usize {
    rewarded.iter().rposition(|&rewarded| rewarded).map_or(rewarded.len(), |last| last + 1)
}

impl ClickModel {
    /// The weight w ≥ 0 with which each position's observation counts, given which are rewarded by now.
    ///
    /// An observation of weight w > 0 and reward y is to be told to a model as one of reward y/w that counts w
    /// times (ŷ is the model's prediction for a position that is seen):
    ///
    /// ```text
    /// Beta       a ← a + y,  b ← b + w − y          keep Σy and Σw: b may fall short of its prior for a while
    /// Gaussian   observe(x, w·h, y − w·ŷ)            h the curvature for a position that is seen
    /// Noise      observe(w, y/w − ŷ, xᵀΛ⁻¹x)
    /// ```
    ///
    /// A reward that changes by Δy later is told to the first two as ever, `revise(x, Δy)`; to the noise as
    /// `revise(w, Δy/w, y/w − xᵀμ, xᵀΛ⁻¹x)`. The weight of a position is settled when it is shown, and
    /// only [`Cascade`](Self::Cascade) changes it afterwards.
    ///
    /// With w = θₖ this solves `Σ x(y − θₖ·ŷ(x)) = 0`, which the truth solves, since E(y) = θₖ·r(x): so the
    /// rates are those of a position that is seen, for rewards of any kind, not for clicks alone. The other
    /// choice, the weights of EM (a click counts 1, silence θₖ(1 − r̂)/(1 − θₖr̂)), has the same fixed point, but
    /// freezes the r̂ of the day into the weight: in one pass over the data its error falls only as
    /// n^−(1−r)/(1−θₖr) where this one's falls as 1/√n, and each click would re-weigh an observation.
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

/// The weight with which a decision tells how often a position and the next are looked at.
///
/// The policy put arm a on one position and b on the next. `kept` is the probability of that
/// given the positions above, p(a)·p(b | a); `swapped` that of the other order, p(b)·p(a | b). The
/// weight is the probability, given the two arms, of the order that was *not* drawn: 0 where the order was forced.
///
/// # Source
///
/// Li, Morgan, Zaslavsky (2018), *Balancing Covariates via Propensity Score Weighting*, table 1: swap_probability weights.
pub fn swap_probability(kept: f64, swapped: f64) -> f64 {
    debug_assert!(kept >= 0.0 && swapped >= 0.0, "probabilities");
    let both = kept + swapped;
    if both > 0.0 { swapped / both } else { 0.0 }
}

/// The rewards of one position, each with its decision's swap_probability weight o as far as that was not forgotten. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct WeightedRewards {
    /// Σ o.
    sum: f64,
    /// Σ o².
    squares: f64,
}

impl WeightedRewards {
    fn add(&mut self, sign: f64, weight: f64) {
        // Exactly, neither falls below zero; rounding may.
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

    /// The variance of the logarithm of the sum: that of a weighted Poisson count.
    fn ln_variance(&self) -> f64 {
        (self.squares + PRIOR_REWARDS) / (self.with_prior() * self.with_prior())
    }
}

/// What two neighbouring positions were rewarded with. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct PositionBoundary {
    /// The position above.
    upper: WeightedRewards,
    /// The position below.
    lower: WeightedRewards,
}

impl PositionBoundary {
    /// The ratio of the lower position's exposure to the upper one's.
    fn ratio(&self) -> f64 {
        self.lower.with_prior() / self.upper.with_prior()
    }

    /// The variance of its logarithm.
    fn ln_variance(&self) -> f64 {
        self.upper.ln_variance() + self.lower.ln_variance()
    }
}

/// How often each position of a slot's slates is looked at, in units of the first. *Persisted.*
///
/// Learned from the order of neighbours alone. Given the two arms that stand at positions k and k + 1, and
/// what is above, the policy drew their order with known probabilities q and 1 − q. Weighted by the probability
/// of the other order, both arms stand equally often, q(1 − q), on both positions: so
///
/// ```text
/// E Σ o·yₖ₊₁ / E Σ o·yₖ = θₖ₊₁ / θₖ        y = 1 where the arm was rewarded, else 0
/// ```
///
/// whatever the policy puts on top, in whatever context, and whether or not any model is right: nothing
/// that is learned enters here. (Ratios of clicks to a model's predictions, θₖ = Σy/Σr̂, are consistent only
/// where r̂ is; and r̂ is learned with θ, from the same sorted slates, along the very direction in which the two
/// are hard to tell apart.) θₖ is the product of the ratios above it, each shrunk to 1 by a prior worth five
/// rewards of each position, so that a slot whose order is forced has no position effect.
///
/// Assumes the position-based model: the chance to be looked at depends on the position only, and the reward of
/// an arm that is seen not on its neighbours. And that `swapped` was computed by the policy that drew.
///
/// Four numbers per position; a reward costs O(1). A policy that has made up its mind seldom swaps: what it then
/// still learns comes from the floor.
///
/// # Source
///
/// Agarwal, Zaitsev, Wang, Li, Najork, Joachims (2019), *Estimating Position Bias without Intrusive Interventions*, §4
/// (intervention harvesting) and §5.1 (the chain of adjacent positions), here with propensities that are known
/// per decision instead of several logged rankers; the weights of [`swap_probability`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Positions {
    /// Entry k stands between positions k and k + 1, counted from 0.
    boundaries: Vec<PositionBoundary>,
}

impl Positions {
    /// All positions are looked at equally often, as far as is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The arm at `place` (0 is the first) became rewarded, or no longer is.
    ///
    /// `swap_probabilities` are those of its decision, one per pair of neighbours: entry k is the
    /// [`swap_probability`] of positions k and k + 1. `retained` in (0, 1] is the weight that forgetting has left of the decision.
    /// A change and its reversal leave what was, up to rounding.
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

    /// All rewards fade to `retained` in (0, 1] of their weight.
    pub fn forget(&mut self, retained: f64) {
        debug_assert!(retained > 0.0 && retained <= 1.0, "γ in (0, 1]");
        for boundary in &mut self.boundaries {
            boundary.upper.forget(retained);
            boundary.lower.forget(retained);
        }
    }

    /// θ of `place`: how often it is looked at, in units of the first (place 0), within [1/64, 4].
    ///
    /// Where nothing is known, as often as the place above it. O(place).
    pub fn exposure(&self, place: usize) -> f64 {
        let known = self.boundaries.iter().take(place);
        known.map(PositionBoundary::ratio).product::<f64>().clamp(EXPOSURE_MIN, EXPOSURE_MAX)
    }

    /// The standard error of the logarithm of [`exposure`](Self::exposure): 0.1 is about ten per cent. O(place).
    ///
    /// Somewhat too large where rewards at neighbouring positions go together.
    /// Before the first reward it is the prior's, √0.4 per pair of positions.
    pub fn ln_std_error(&self, place: usize) -> f64 {
        let prior = PositionBoundary::default();
        (0..place).map(|k| self.boundaries.get(k).unwrap_or(&prior).ln_variance()).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests;
