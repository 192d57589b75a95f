//! Row that a posterior predicts and then learns, solved for once.

use super::{Gaussian, Prediction, SparseVector};

/// Row x of features with `Λ⁻¹x`, from which prediction, update and revision follow.
///
/// A solved row belongs to the posterior that [solved](Gaussian::solve) for it, until that posterior changes.
#[derive(Debug, Clone, PartialEq)]
pub struct SolvedRow<'a> {
    pub(super) x: &'a SparseVector,
    /// `Λ⁻¹x` over the dimensions that observations have touched, those of x among them, and zeros up to whole tiles.
    pub(super) direction: Vec<f64>,
    /// Leverage over the same dimensions.
    pub(super) leverage: f64,
    prediction: Prediction,
}

impl SolvedRow<'_> {
    /// Mean and leverage at x, under the prior that the posterior keeps.
    pub fn prediction(&self) -> Prediction {
        self.prediction
    }
}

/// Learning from a row that was solved for.
///
/// With `v = Λ⁻¹x`, `Λ′ = Λ + h·x·xᵀ` has `Λ′⁻¹ = Λ⁻¹ − h/(1 + h·xᵀv)·v·vᵀ` and `Λ′⁻¹x = v/(1 + h·xᵀv)`. So prediction
/// and update together cost one product with a vector and one outer product.
///
/// # Source
///
/// Golub & Van Loan, *Matrix Computations* (4th ed.), §2.1.4 (Sherman–Morrison).
///
/// # Examples
///
/// ```
/// use slotwise::stats::{Gaussian, SparseVector};
///
/// let x = SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 };
/// let mut posterior = Gaussian::new(1.0);
/// let solved = posterior.solve(&x);
/// assert_eq!(solved.prediction(), Gaussian::new(1.0).predict(&x, &mut Vec::new()));
/// posterior.observe_solved(solved, 1.0, 4.0);
/// assert!((posterior.mean()[0] - 2.0).abs() < 1e-12);
/// ```
impl Gaussian {
    /// Solves for a row. The posterior gets its dimensions, and says the same as before.
    pub fn solve<'a>(&mut self, x: &'a SparseVector) -> SolvedRow<'a> {
        self.grow(x.dim());
        let mut dense = vec![0.0; self.covariance.padded()];
        let mut mean = 0.0;
        for &(index, value) in &x.entries {
            dense[index as usize] = value;
            mean += value * self.mean[index as usize];
        }
        let direction = self.covariance.times(&dense);
        let leverage: f64 = x.entries.iter().map(|&(index, value)| value * direction[index as usize]).sum();
        // A quadratic form of a positive definite matrix is negative by rounding only.
        let leverage = leverage.max(0.0);
        let prediction = Prediction { mean, leverage: leverage + x.unseen / self.prior_precision };
        SolvedRow { x, direction, leverage, prediction }
    }

    /// Adds an observation at a row that was solved for; see [`observe`](Self::observe).
    pub fn observe_solved(&mut self, solved: SolvedRow<'_>, curvature: f64, residual: f64) -> f64 {
        debug_assert!(curvature >= 0.0 && curvature.is_finite() && residual.is_finite(), "finite numbers");
        let SolvedRow { direction, leverage, .. } = solved;
        let before = self.covariance_at(0, 0);
        let damp = 1.0 / (1.0 + curvature * leverage);
        self.covariance_mut().add_outer(-curvature * damp, &direction);
        for (mean, entry) in self.mean_mut().iter_mut().zip(&direction) {
            *mean += residual * damp * entry;
        }
        self.part_of_constant(before)
    }

    /// Moves the mean for a changed reward at a row that was solved for; see [`revise`](Self::revise).
    pub fn revise_solved(&mut self, solved: &SolvedRow<'_>, weighted_delta: f64) {
        for (mean, entry) in self.mean_mut().iter_mut().zip(&solved.direction) {
            *mean += weighted_delta * entry;
        }
    }
}
