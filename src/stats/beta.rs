//! Beta posterior of a success rate.

use serde::{Deserialize, Serialize};

use super::{
    consistency::{is_positive, same},
    math::logistic,
    special::beta_quantile_log_odds,
};

/// Beta posterior of a success rate, `Beta(a, b)` with a, b > 0. *Persisted.*
///
/// A fractional outcome in [0, 1] counts in part as a success and in part as a failure.
///
/// # Examples
///
/// ```
/// use slotwise::stats::Beta;
///
/// let mut rate = Beta::new(1.0, 1.0);
/// rate.observe(1.0);
/// rate.observe(0.0);
/// rate.observe(1.0);
/// assert_eq!((rate.a(), rate.b()), (3.0, 2.0));
/// assert_eq!(rate.mean(), 0.6);
/// assert!((rate.quantile(0.5) - 0.6142).abs() < 1e-4);
/// // A refund turns the last success into a failure.
/// rate.revise(1.0, -1.0);
/// assert_eq!(rate.mean(), 0.4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Beta {
    prior_a: f64,
    prior_b: f64,
    a: f64,
    b: f64,
}

impl Beta {
    /// Creates the prior with a, b > 0.
    pub fn new(a: f64, b: f64) -> Self {
        Self { prior_a: a, prior_b: b, a, b }
    }

    /// Returns whether the posterior may follow from a prior.
    pub fn is_consistent(&self) -> bool {
        is_positive(self.prior_a) && is_positive(self.prior_b) && self.a.is_finite() && self.b.is_finite()
    }

    /// Returns whether two posteriors have the same prior.
    pub fn has_prior_of(&self, other: &Self) -> bool {
        same(self.prior_a, other.prior_a) && same(self.prior_b, other.prior_b)
    }

    /// Parameter a, at least that of the prior.
    pub fn a(&self) -> f64 {
        self.a.max(self.prior_a)
    }

    /// Parameter b, at least that of the prior.
    ///
    /// Successes that count for more than the weight of their observations may leave the sum below it for a while.
    pub fn b(&self) -> f64 {
        self.b.max(self.prior_b)
    }

    /// Weight of all observations that is not forgotten.
    pub fn weight(&self) -> f64 {
        self.a - self.prior_a + self.b - self.prior_b
    }

    /// Sum of the outcomes that is not forgotten.
    pub fn successes(&self) -> f64 {
        self.a - self.prior_a
    }

    /// Adds an outcome in [0, 1].
    pub fn observe(&mut self, outcome: f64) {
        self.observe_part(1.0, outcome);
    }

    /// Adds an outcome in [0, 1] of an arm that was seen with probability `weight`.
    pub fn observe_part(&mut self, weight: f64, outcome: f64) {
        self.a += outcome;
        self.b += weight - outcome;
    }

    /// Changes the outcome of an observation by `delta`, where `retained` of the observation's weight remains.
    pub fn revise(&mut self, retained: f64, delta: f64) {
        self.a += retained * delta;
        self.b -= retained * delta;
    }

    /// Lets all observations fade to `retained` of their weight.
    pub fn forget(&mut self, retained: f64) {
        self.a = self.prior_a + retained * (self.a - self.prior_a);
        self.b = self.prior_b + retained * (self.b - self.prior_b);
    }

    /// Posterior mean.
    pub fn mean(&self) -> f64 {
        self.a() / (self.a() + self.b())
    }

    /// Posterior variance.
    pub fn variance(&self) -> f64 {
        let total = self.a() + self.b();
        self.a() * self.b() / (total * total * (total + 1.0))
    }

    /// Rate below which the true rate lies with probability `p` in (0, 1).
    pub fn quantile(&self, p: f64) -> f64 {
        logistic(beta_quantile_log_odds(self.a(), self.b(), p))
    }
}
