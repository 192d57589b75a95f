//! Beta–Bernoulli.

use serde::{Deserialize, Serialize};

use super::{math::logistic, special::beta_quantile_log_odds};

/// What is believed of a success rate: `Beta(a, b)`, both above zero. *Persisted.*
///
/// Fractional outcomes in [0, 1] count in part to both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Beta {
    prior_a: f64,
    prior_b: f64,
    a: f64,
    b: f64,
}

impl Beta {
    /// The prior, a and b above zero.
    pub fn new(a: f64, b: f64) -> Self {
        Self { prior_a: a, prior_b: b, a, b }
    }

    /// a, at least the prior's.
    pub fn a(&self) -> f64 {
        self.a.max(self.prior_a)
    }

    /// b, at least the prior's: successes that count for more than their observations' weights leave it short for a while.
    pub fn b(&self) -> f64 {
        self.b.max(self.prior_b)
    }

    /// The weight of what was observed and not forgotten.
    pub fn weight(&self) -> f64 {
        self.a - self.prior_a + self.b - self.prior_b
    }

    /// An outcome in [0, 1].
    pub fn observe(&mut self, outcome: f64) {
        self.observe_part(1.0, outcome);
    }

    /// An outcome in [0, 1] of an observation that was seen with probability `weight` only.
    pub fn observe_part(&mut self, weight: f64, outcome: f64) {
        self.a += outcome;
        self.b += weight - outcome;
    }

    /// The outcome of an observation, of which `retained` is left, changed by `delta`.
    pub fn revise(&mut self, retained: f64, delta: f64) {
        self.a += retained * delta;
        self.b -= retained * delta;
    }

    /// All observations fade to `retained` of their weight.
    pub fn forget(&mut self, retained: f64) {
        self.a = self.prior_a + retained * (self.a - self.prior_a);
        self.b = self.prior_b + retained * (self.b - self.prior_b);
    }

    /// The posterior mean.
    pub fn mean(&self) -> f64 {
        self.a() / (self.a() + self.b())
    }

    /// The posterior variance.
    pub fn variance(&self) -> f64 {
        let total = self.a() + self.b();
        self.a() * self.b() / (total * total * (total + 1.0))
    }

    /// The rate below which the true one lies with probability `p` in (0, 1).
    pub fn quantile(&self, p: f64) -> f64 {
        logistic(beta_quantile_log_odds(self.a(), self.b(), p))
    }
}
