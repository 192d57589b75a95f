//! Draws from a posterior.

use std::sync::OnceLock;

use super::Gaussian;
use crate::stats::Cholesky;

/// Cholesky factor of a posterior's covariance, made when it is first needed.
///
/// Invariant: it follows from the covariance, so it is left out of comparisons, copies and snapshots.
#[derive(Debug, Default)]
pub(super) struct CovarianceRoot(OnceLock<Option<Cholesky>>);

impl Clone for CovarianceRoot {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for CovarianceRoot {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Gaussian {
    /// Turns standard normal numbers `z` into a draw of θ − μ in units of the noise, in place.
    ///
    /// The draw is `Λ^{-½}z` over the dimensions that observations have touched and `z/√λ` beyond them. `z` has at least
    /// [`dim`](Self::dim) entries. The first call after a change of the posterior costs O(d³), any other O(d²).
    pub fn color(&self, z: &mut [f64]) {
        let (touched, beyond) = z.split_at_mut(self.dim());
        let root = self.root.0.get_or_init(|| self.covariance.factorise().ok());
        match root {
            Some(root) => root.times_lower(touched),
            // Rounding has made the covariance singular, which fading mends: until then weights are drawn one by one.
            None => {
                for (i, value) in touched.iter_mut().enumerate() {
                    *value *= self.covariance.at(i, i).max(0.0).sqrt();
                }
            }
        }
        for value in beyond {
            *value /= self.prior_precision.sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::{
        super::tests::{LAMBDA, row},
        *,
    };

    /// Every unit vector is coloured. The products of the results, added up, are the covariance, which predictions give
    /// as leverages; also after the posterior has learned more, and in a copy.
    #[test]
    fn coloured_unit_vectors_make_the_covariance() {
        let mut rng = StdRng::seed_from_u64(17);
        let mut posterior = Gaussian::new(LAMBDA);
        for rows in [20, 1, 300] {
            for _ in 0..rows {
                posterior.observe(&row(&mut rng, 9, 0.0).x, 0.5, 0.1);
            }
            let copy = posterior.clone();
            for posterior in [&posterior, &copy] {
                let dim = posterior.dim();
                let columns: Vec<Vec<f64>> = (0..dim + 2)
                    .map(|k| {
                        let mut z = vec![0.0; dim + 2];
                        z[k] = 1.0;
                        posterior.color(&mut z);
                        z
                    })
                    .collect();
                let probe = row(&mut rng, 11, 0.0).x;
                let along = |column: &Vec<f64>| probe.entries.iter().map(|&(i, x)| x * column[i as usize]).sum::<f64>();
                let got: f64 = columns.iter().map(along).map(|value| value * value).sum();
                let want = posterior.predict(&probe, &mut Vec::new()).leverage;
                assert!((got - want).abs() < 1e-9 * (1.0 + want), "{got} against {want}");
            }
        }
    }
}
