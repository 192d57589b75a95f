//! Gaussian posterior over the weights of a linear reward.

mod consistent;
mod constant;
mod draws;
mod faded;
mod solved_row;
mod taken_out;

pub use constant::ConstantPrior;
pub use solved_row::SolvedRow;

use serde::{Deserialize, Serialize};

use super::SymmetricMatrix;
use constant::FREE_PRECISION;
use draws::CovarianceRoot;
use faded::FadedPosterior;

/// Sparse vector: a row of features as the encoder makes it.
///
/// Indices ascend and values are finite. *Persisted* (inside pending decisions).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SparseVector {
    /// Indices and values of the entries that may differ from zero.
    #[serde(with = "super::compact::entries")]
    pub entries: Vec<(u32, f64)>,
    /// Squared length of the features that the encoder has no index for yet, such as words that were never learned.
    /// They cannot move the mean, but they widen the score.
    #[serde(with = "super::compact")]
    pub unseen: f64,
}

impl SparseVector {
    /// One more than the largest index, or 0 for an empty vector.
    pub fn dim(&self) -> usize {
        self.entries.last().map_or(0, |&(index, _)| index as usize + 1)
    }
}

/// Prediction of a posterior for one row of features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Expected reward, `xᵀμ`.
    pub mean: f64,
    /// Leverage `xᵀΛ⁻¹x`. Multiplied by the noise variance it is the variance of `xᵀθ`.
    pub leverage: f64,
}

/// Gaussian posterior over the weights θ of `y = xᵀθ + ε`, `ε ~ N(0, σ²)`.
///
/// The prior is `θ ~ N(0, σ²/λ·I)`. With weights wᵢ (1, reduced by forgetting):
///
/// ```text
/// Λ = λI + Σ wᵢxᵢxᵢᵀ      d × d, feature²
/// μ = Λ⁻¹ Σ wᵢyᵢxᵢ        d, reward / feature
/// ```
///
/// The constant, index 0, may have a [prior of its own](Self::with_free_constant), which is applied when the posterior is
/// read.
///
/// The posterior keeps `Λ⁻¹` and μ. A prediction needs one product with `Λ⁻¹`, and so does an observation, which then
/// changes `Λ⁻¹` by Sherman and Morrison's formula. Λ only grows between two fadings, so rounding errors shrink with
/// every observation as `I − h·Λ⁻¹x·xᵀ` does. The dimension grows as features are met: a dimension that no
/// observation has touched still has its prior and is not stored. `observe`, `revise` and `predict` cost O(d²),
/// `forget` costs O(d³). The posterior takes about d²/2 + 5d doubles, 270 kB at d = 256. *Persisted.*
///
/// # Errors
///
/// No method returns an error. A number that is not finite is a bug in the caller and panics in debug builds.
///
/// # Source
///
/// Bishop, *Pattern Recognition and Machine Learning* (2006), §3.3.1, eqs. 3.50–3.51. Golub & Van Loan, *Matrix
/// Computations* (4th ed.), §2.1.4 (Sherman–Morrison).
///
/// # Examples
///
/// One weight with prior precision 1: after the reward 4 at `x = 1` the mean is 4 / (1 + 1), and a refund of the reward
/// takes it back to 0.
///
/// ```
/// use slotwise::stats::{Gaussian, SparseVector};
///
/// let x = SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 };
/// let mut posterior = Gaussian::new(1.0);
/// let before = posterior.predict(&x, &mut Vec::new());
/// assert_eq!((before.mean, before.leverage), (0.0, 1.0));
///
/// posterior.observe(&x, 1.0, 4.0 - before.mean);
/// let after = posterior.predict(&x, &mut Vec::new());
/// assert!((after.mean - 2.0).abs() < 1e-12);
/// assert!((after.leverage - 0.5).abs() < 1e-12);
///
/// posterior.revise(&x, -4.0);
/// assert!(posterior.mean()[0].abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gaussian {
    prior_precision: f64,
    /// `Λ⁻¹`, d × d, 1 / feature².
    covariance: SymmetricMatrix,
    mean: Vec<f64>,
    /// `true` if the constant's prior is applied when the posterior is read.
    #[serde(default)]
    free_constant: bool,
    #[serde(skip)]
    root: CovarianceRoot,
    #[serde(skip)]
    faded: FadedPosterior,
}

impl Gaussian {
    /// Creates the prior with precision λ > 0, in 1 / feature².
    pub fn new(prior_precision: f64) -> Self {
        debug_assert!(prior_precision > 0.0 && prior_precision.is_finite(), "λ above zero");
        Self {
            prior_precision,
            covariance: SymmetricMatrix::default(),
            mean: Vec::new(),
            free_constant: false,
            root: CovarianceRoot::default(),
            faded: FadedPosterior::default(),
        }
    }

    /// Number of dimensions that observations have touched.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Posterior mean μ over the dimensions that observations have touched. It is zero beyond them.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Returns mean and leverage at `x`. `work` is scratch memory that the caller keeps for speed.
    pub fn predict(&self, x: &SparseVector, work: &mut Vec<f64>) -> Prediction {
        let dim = self.dim();
        let mut mean = 0.0;
        let mut leverage = x.unseen / self.prior_precision;
        work.clear();
        work.resize(self.covariance.padded(), 0.0);
        for &(index, value) in &x.entries {
            let i = index as usize;
            if i < dim {
                work[i] = value;
                mean += value * self.mean[i];
            } else {
                leverage += value * value / self.precision_of(i);
            }
        }
        // A quadratic form of a positive definite matrix is negative by rounding only.
        leverage += self.covariance.quadratic_form(work).max(0.0);
        Prediction { mean, leverage }
    }

    /// Adds an observation with curvature `h` ≥ 0 and residual `g` at `x`.
    ///
    /// The update is `Λ ← Λ + h·x·xᵀ` and then `μ ← μ + g·Λ⁻¹x`. For the identity link `h = 1` and `g = y − xᵀμ`.
    ///
    /// Returns how much of the observation's information went into a [free constant](Self::with_free_constant) alone, in
    /// [0, 1]: an arm's first observation says nothing about the noise then.
    pub fn observe(&mut self, x: &SparseVector, curvature: f64, residual: f64) -> f64 {
        let solved = self.solve(x);
        self.observe_solved(solved, curvature, residual)
    }

    /// Moves the mean for a reward at `x` that changed after it was observed; `weighted_delta` is w·Δy.
    pub fn revise(&mut self, x: &SparseVector, weighted_delta: f64) {
        let solved = self.solve(x);
        self.revise_solved(&solved, weighted_delta);
    }

    /// Lets all observations fade: `Λ ← γΛ + (1−γ)Λ₀` with the prior Λ₀, and the weighted sum of rewards by γ.
    ///
    /// The posterior is anchored in the prior, so directions without traffic fall back to it instead of losing all
    /// precision. Returns the gain of the noise statistic `b`, `½·γ·ηᵀ(μ − μ′)` with `η = Λμ` and μ′ the new mean. With
    /// this gain `b` stays equal to the batch formula for the new weights. As `γη = (γΛ + (1−γ)Λ₀)μ′`, it equals
    /// `½·(1−γ)·μᵀΛ₀μ′`.
    pub fn forget(&mut self, retained: f64) -> f64 {
        debug_assert!(retained > 0.0 && retained <= 1.0, "γ in (0, 1]");
        let part = |k: usize| (1.0 - retained) * self.precision_of(k);
        // Without fading nothing changes. Otherwise the matrix that is factorised is positive definite, and if rounding ever
        // says otherwise, the posterior stays unchanged.
        if retained >= 1.0 {
            return 0.0;
        }
        let Ok((covariance, mean)) = self.covariance.faded(retained, part, &self.mean) else { return 0.0 };
        let gain: f64 = self.mean.iter().zip(&mean).enumerate().map(|(k, (old, new))| part(k) * old * new).sum();
        *self.covariance_mut() = covariance;
        *self.mean_mut() = mean;
        0.5 * gain
    }

    /// Precision of the prior of a weight, as it is kept.
    fn precision_of(&self, index: usize) -> f64 {
        if index == 0 && self.free_constant { FREE_PRECISION } else { self.prior_precision }
    }

    /// Covariance, to be changed.
    fn covariance_mut(&mut self) -> &mut SymmetricMatrix {
        self.root = CovarianceRoot::default();
        self.faded = FadedPosterior::default();
        &mut self.covariance
    }

    /// Mean, to be changed.
    fn mean_mut(&mut self) -> &mut Vec<f64> {
        self.faded = FadedPosterior::default();
        &mut self.mean
    }

    fn grow(&mut self, dim: usize) {
        if dim <= self.dim() {
            return;
        }
        let (first, others) = (1.0 / self.precision_of(0), 1.0 / self.prior_precision);
        let covariance = self.covariance_mut();
        covariance.grow(1, first);
        covariance.grow(dim, others);
        self.mean_mut().resize(dim, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Noise;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    pub(super) const LAMBDA: f64 = 1.7;

    pub(super) struct RegressionRow {
        pub(super) x: SparseVector,
        pub(super) y: f64,
        weight: f64,
    }

    pub(super) fn row(rng: &mut StdRng, dim: u32, y: f64) -> RegressionRow {
        let mut entries = vec![(0, 1.0)];
        for i in 1..dim {
            if rng.random_bool(0.6) {
                entries.push((i, rng.random_range(-2.0..3.0)));
            }
        }
        RegressionRow { x: SparseVector { entries, unseen: 0.0 }, y, weight: 1.0 }
    }

    /// Returns the batch solution by Gauss–Jordan elimination of the normal equations, and the noise statistic
    /// `½(Σwy² − μᵀΛμ)`, without the code under test.
    fn batch(rows: &[RegressionRow], dim: usize) -> (Vec<f64>, f64, Vec<Vec<f64>>) {
        let mut a = vec![vec![0.0; 2 * dim + 1]; dim];
        for i in 0..dim {
            a[i][i] = LAMBDA;
            a[i][dim + 1 + i] = 1.0;
        }
        for row in rows {
            for &(i, xi) in &row.x.entries {
                for &(j, xj) in &row.x.entries {
                    a[i as usize][j as usize] += row.weight * xi * xj;
                }
                a[i as usize][dim] += row.weight * row.y * xi;
            }
        }
        let eta: Vec<f64> = (0..dim).map(|i| a[i][dim]).collect();
        for k in 0..dim {
            let pivot = a[k][k];
            a[k].iter_mut().for_each(|v| *v /= pivot);
            for i in 0..dim {
                if i != k {
                    let f = a[i][k];
                    for j in 0..=2 * dim {
                        a[i][j] -= f * a[k][j];
                    }
                }
            }
        }
        let mu: Vec<f64> = (0..dim).map(|i| a[i][dim]).collect();
        let yy: f64 = rows.iter().map(|r| r.weight * r.y * r.y).sum();
        let fit: f64 = eta.iter().zip(&mu).map(|(e, m)| e * m).sum();
        let covariance = a.iter().map(|r| r[dim + 1..].to_vec()).collect();
        (mu, 0.5 * (yy - fit), covariance)
    }

    pub(super) fn check(posterior: &Gaussian, noise: &Noise, rows: &[RegressionRow], rng: &mut StdRng) {
        let dim = posterior.dim();
        let (mu, b, covariance) = batch(rows, dim);
        for (got, want) in posterior.mean().iter().zip(&mu) {
            assert!((got - want).abs() < 1e-9, "mean {got} against {want}");
        }
        assert!((noise.scale() - noise.prior_scale() - b).abs() < 1e-8 * (1.0 + b), "b {} {b}", noise.scale());
        let probe = row(rng, u32::try_from(dim).unwrap() + 2, 0.0).x;
        let mut want = 0.0;
        for &(i, xi) in &probe.entries {
            for &(j, xj) in &probe.entries {
                want += match (covariance.get(i as usize), covariance.get(j as usize)) {
                    (Some(r), Some(_)) => xi * xj * r[j as usize],
                    _ if i == j => xi * xj / LAMBDA,
                    _ => 0.0,
                };
            }
        }
        let got = posterior.predict(&probe, &mut Vec::new()).leverage;
        assert!((got - want).abs() < 1e-9 * (1.0 + want), "leverage {got} against {want}");
    }

    /// Rewards are revised at random, in any order, with features that appear late and with forgetting in between. Mean,
    /// noise statistic and leverage equal the batch formula for the final rewards and weights.
    #[test]
    fn observing_revising_and_forgetting_equal_the_batch_solution() {
        let mut rng = StdRng::seed_from_u64(11);
        let mut posterior = Gaussian::new(LAMBDA);
        let mut noise = Noise::new(1.3, 0.4);
        let mut rows: Vec<RegressionRow> = Vec::new();
        for round in 0..300_u32 {
            let fresh = row(&mut rng, 2 + round / 40, 0.8);
            let before = posterior.predict(&fresh.x, &mut Vec::new());
            noise.observe(1.0, fresh.y - before.mean, before.leverage);
            posterior.observe(&fresh.x, 1.0, fresh.y - before.mean);
            rows.push(fresh);
            for _ in 0..2 {
                let chosen = rng.random_range(0..rows.len());
                let (delta, old) = (rng.random_range(-4.0..6.0), &mut rows[chosen]);
                let before = posterior.predict(&old.x, &mut Vec::new());
                noise.revise(old.weight, delta, old.y - before.mean, before.leverage);
                posterior.revise(&old.x, old.weight * delta);
                old.y += delta;
            }
            if round % 37 == 5 {
                let gain = posterior.forget(0.8);
                noise.forget(0.8, gain);
                for row in &mut rows {
                    row.weight *= 0.8;
                }
            }
        }
        check(&posterior, &noise, &rows, &mut rng);
    }

    #[test]
    fn a_refund_takes_back_exactly_what_the_purchase_gave() {
        let mut rng = StdRng::seed_from_u64(12);
        let (mut with, mut without) = (Gaussian::new(LAMBDA), Gaussian::new(LAMBDA));
        let rows: Vec<RegressionRow> = (0..50).map(|_| row(&mut rng, 6, 0.0)).collect();
        for (n, r) in rows.iter().enumerate() {
            for posterior in [&mut with, &mut without] {
                let residual = r.y - posterior.predict(&r.x, &mut Vec::new()).mean;
                posterior.observe(&r.x, 1.0, residual);
            }
            if n == 20 {
                with.revise(&rows[3].x, 49.9);
            }
        }
        with.revise(&rows[3].x, -49.9);
        for (got, want) in with.mean().iter().zip(without.mean()) {
            assert!((got - want).abs() < 1e-9, "{got} against {want}");
        }
    }

    #[test]
    fn a_feature_never_met_widens_the_score_by_its_prior() {
        let mut posterior = Gaussian::new(2.0);
        posterior.observe(&SparseVector { entries: vec![(0, 1.0)], unseen: 0.0 }, 1.0, 0.5);
        let x = SparseVector { entries: vec![(0, 1.0), (7, 3.0)], unseen: 4.0 };
        let got = posterior.predict(&x, &mut Vec::new()).leverage;
        assert!((got - (1.0 / 3.0 + 9.0 / 2.0 + 4.0 / 2.0)).abs() < 1e-12, "{got}");
    }
}
