//! Consistency of a posterior that was read from outside.

use super::Gaussian;
use crate::stats::consistency::{is_positive, same};

/// Relative size of the rounding errors of a covariance.
const ROUNDING: f64 = 1e-6;

impl Gaussian {
    /// Returns whether the posterior may follow from this prior and has at most this number of dimensions. No
    /// correlation of a consistent posterior is above one; whether its covariance is positive definite is not examined,
    /// because that takes as long as a fading.
    pub fn is_consistent(&self, prior_precision: f64, dimensions_max: usize) -> bool {
        let dim = self.dim();
        if dim > dimensions_max || self.covariance.dim() != dim || !same(self.prior_precision, prior_precision) {
            return false;
        }
        let variances: Vec<f64> = (0..dim).map(|i| self.covariance.at(i, i)).collect();
        let row = |i: usize| {
            is_positive(variances[i])
                && (0..i).all(|j| {
                    let both = self.covariance.at(i, j);
                    both * both <= (1.0 + ROUNDING) * variances[i] * variances[j]
                })
        };
        (0..dim).all(row) && self.mean.iter().all(|mean| mean.is_finite())
    }
}
