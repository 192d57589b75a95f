//! Expected loss of choosing one of several uncertain mean rewards, and the value that the others could still add.
//!
//! Deliberately not here: the choice of posteriors and the arms that they belong to.

use super::{
    Beta, Marginal, NormalInverseGamma, NormalScore, StudentScore, Winners,
    lanes::Nodes,
    marginal::{rate_cdf, rate_support},
    math::{exp, ln, ln_1p},
    special::ln_beta,
};

/// Belief about a mean reward, on the line of rewards itself.
pub trait RewardBelief: Marginal + Sized {
    /// Mean of the belief.
    fn mean(&self) -> f64;
    /// Returns the belief with `by` added to the reward.
    #[must_use]
    fn shifted_by(&self, by: f64) -> Self;
}

/// Beta with a, b ≥ 1 on the line of rates, shifted by a constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateScore {
    a: f64,
    b: f64,
    ln_norm: f64,
    support: (f64, f64),
    by: f64,
}

impl RateScore {
    /// Creates the belief that the posterior holds.
    pub fn new(posterior: &Beta) -> Self {
        let (a, b) = (posterior.a(), posterior.b());
        Self { a, b, ln_norm: ln_beta(a, b), support: rate_support(a, b), by: 0.0 }
    }

    fn std(&self) -> f64 {
        let total = self.a + self.b;
        (self.a * self.b / (total + 1.0)).sqrt() / total
    }
}

impl Marginal for RateScore {
    type Shared = ();

    fn shared(_: &Nodes) {}

    fn densities(&self, xs: &Nodes, (): &()) -> Nodes {
        xs.map(|x| {
            let rate = x - self.by;
            if rate <= 0.0 || rate >= 1.0 {
                return 0.0;
            }
            exp((self.a - 1.0) * ln(rate) + (self.b - 1.0) * ln_1p(-rate) - self.ln_norm)
        })
    }

    fn cdf(&self, x: f64) -> f64 {
        rate_cdf(self.a, self.b, x - self.by)
    }

    fn support(&self) -> (f64, f64) {
        (self.support.0 + self.by, self.support.1 + self.by)
    }

    fn panel_length(&self, _: f64) -> f64 {
        self.std()
    }

    fn even_panel_length(&self) -> f64 {
        self.std()
    }

    fn tail_reach(&self) -> f64 {
        // The density may end in a jump, so no panel may reach into it.
        0.0
    }

    fn point_mass(&self) -> Option<f64> {
        None
    }
}

impl RewardBelief for RateScore {
    fn mean(&self) -> f64 {
        self.a / (self.a + self.b) + self.by
    }

    fn shifted_by(&self, by: f64) -> Self {
        Self { by: self.by + by, ..*self }
    }
}

/// Mean of a [`NormalInverseGamma`], which follows Student's t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueScore {
    mean: f64,
    score: StudentScore,
}

impl ValueScore {
    /// Creates the belief that the posterior holds.
    pub fn new(posterior: &NormalInverseGamma) -> Self {
        let mean = posterior.mean();
        Self { mean, score: StudentScore::new(mean, posterior.spread(), posterior.degrees()) }
    }
}

impl Marginal for ValueScore {
    type Shared = ();

    fn shared(_: &Nodes) {}

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn densities(&self, xs: &Nodes, (): &()) -> Nodes {
        self.score.densities(xs, &())
    }

    fn cdf(&self, x: f64) -> f64 {
        self.score.cdf(x)
    }

    fn support(&self) -> (f64, f64) {
        self.score.support()
    }

    fn panel_length(&self, x: f64) -> f64 {
        self.score.panel_length(x)
    }

    fn even_panel_length(&self) -> f64 {
        self.score.even_panel_length()
    }

    fn point_mass(&self) -> Option<f64> {
        self.score.point_mass()
    }
}

impl RewardBelief for ValueScore {
    fn mean(&self) -> f64 {
        self.mean
    }

    fn shifted_by(&self, by: f64) -> Self {
        Self { mean: self.mean + by, score: self.score.moved(by) }
    }
}

impl RewardBelief for NormalScore {
    fn mean(&self) -> f64 {
        self.mean
    }

    fn shifted_by(&self, by: f64) -> Self {
        Self { mean: self.mean + by, ..*self }
    }
}

/// Returns the expected loss of choosing each of the independent `beliefs` instead of the best: `E[max_b θ_b] − E[θ_a]`,
/// reward.
///
/// The integral is a quadrature in O(n · nodes); see [`Winners`].
pub fn expected_losses<B: RewardBelief>(beliefs: &[B]) -> Vec<f64> {
    if beliefs.len() < 2 {
        return vec![0.0; beliefs.len()];
    }
    let largest = Winners::new(beliefs, 1).largest();
    beliefs.iter().map(|belief| (largest - belief.mean()).max(0.0)).collect()
}

/// Returns the value remaining, in reward: with probability `sure` none of the other `beliefs` exceeds `chosen` by more.
///
/// `P(max_b θ_b − θ_a ≤ v)` is the probability that a with v added to it is the best, which [`Winners`] gives. Halving
/// finds v to a ten-thousandth of the range in which it may lie.
///
/// # Source
///
/// Scott, "Multi-armed bandit experiments in the online service economy" (2015), section 3.2.
pub fn value_remaining<B: RewardBelief>(beliefs: &[B], chosen: usize, sure: f64) -> f64 {
    let Some(own) = beliefs.get(chosen) else { return 0.0 };
    let mut raised: Vec<B> = beliefs.iter().map(|belief| belief.shifted_by(0.0)).collect();
    let mut chance = vec![0.0; beliefs.len()];
    let mut holds = |by: f64| {
        raised[chosen] = own.shifted_by(by);
        Winners::new(&raised, 1).probabilities(&vec![true; beliefs.len()], &mut chance);
        chance[chosen] >= sure
    };
    if beliefs.len() < 2 || holds(0.0) {
        return 0.0;
    }
    let top = beliefs.iter().map(|belief| belief.support().1).fold(f64::NEG_INFINITY, f64::max);
    let (mut low, mut high) = (0.0, top - own.support().0);
    // Heavy tails reach far beyond the answer, so the range first shrinks by orders of magnitude.
    while high > 0.0 && holds(0.1 * high) {
        high *= 0.1;
    }
    for _ in 0..14 {
        let middle = 0.5 * (low + high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests;
