//! What choosing one of several uncertain mean rewards loses, and what another could still add.
//!
//! Deliberately not here: which posteriors, and of which arms.

use super::{
    Beta, Marginal, NormalInverseGamma, StudentScore, Winners,
    lanes::Nodes,
    marginal::{rate_cdf, rate_support},
    math::{exp, ln, ln_1p},
    special::ln_beta,
};

/// A mean reward that is believed to be about this, on the line of rewards itself.
pub trait RewardBelief: Marginal + Sized {
    /// Its mean.
    fn mean(&self) -> f64;
    /// The same with `by` added to it.
    #[must_use]
    fn shifted_by(&self, by: f64) -> Self;
}

/// A Beta with a, b ≥ 1 on the line of rates, and what was added to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateScore {
    a: f64,
    b: f64,
    ln_norm: f64,
    support: (f64, f64),
    by: f64,
}

impl RateScore {
    /// Of this posterior.
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
        // It may end in a jump.
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

/// The mean of a [`NormalInverseGamma`], which follows Student's t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueScore {
    mean: f64,
    score: StudentScore,
}

impl ValueScore {
    /// Of this posterior.
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

/// For each of `beliefs`, independent of one another, how much choosing it is expected to lose against knowing which
/// is best: `E[max_b θ_b] − E[θ_a]`, reward. By quadrature, O(n · nodes); see [`Winners`].
pub fn expected_losses<B: RewardBelief>(beliefs: &[B]) -> Vec<f64> {
    if beliefs.len() < 2 {
        return vec![0.0; beliefs.len()];
    }
    let largest = Winners::new(beliefs, 1).largest();
    beliefs.iter().map(|belief| (largest - belief.mean()).max(0.0)).collect()
}

/// The value remaining: with probability `sure` no other of `beliefs` is better than `chosen` by more than this; reward.
///
/// `P(max_b θ_b − θ_a ≤ v)` is the probability that a with v added to it is the best, which [`Winners`] gives; v is
/// found by halving, to a ten-thousandth of where it may lie.
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
    // Heavy tails reach far beyond where the answer lies: first by orders of magnitude.
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
