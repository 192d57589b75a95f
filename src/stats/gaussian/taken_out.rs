//! Dimensions that are taken out of a posterior.

use super::Gaussian;

impl Gaussian {
    /// Takes some dimensions out of all observations, which leaves these dimensions at their prior: the posterior becomes
    /// the one that rows without these entries would have given, and a reward can still be revised at such a row.
    ///
    /// Rows without an entry say as much of the other weights as rows with it do if its weight is known to be zero. So the
    /// posterior is conditioned on θᵢ = 0, one dimension after the other, each at O(d²).
    ///
    /// Returns the gain of the noise statistic `b`, as [`forget`](Self::forget) does: `½·μᵢ²/Λ⁻¹ᵢᵢ` of each.
    pub fn take_out(&mut self, dimensions: &[u32]) -> f64 {
        let mut gain = 0.0;
        let mut column = vec![0.0; self.covariance.padded()];
        for &dimension in dimensions {
            let i = dimension as usize;
            if i >= self.dim() {
                continue;
            }
            let prior = 1.0 / self.precision_of(i);
            self.covariance.copy_row(i, &mut column);
            let (variance, mean) = (column[i], self.mean[i]);
            // The weight varies, as long as rounding is small against it.
            if variance > 0.0 {
                gain += 0.5 * mean * mean / variance;
                for (value, covariance) in self.mean_mut().iter_mut().zip(&column) {
                    *value -= covariance * mean / variance;
                }
                self.covariance_mut().add_outer(-1.0 / variance, &column);
            }
            self.mean_mut()[i] = 0.0;
            self.covariance_mut().isolate(i, prior);
        }
        gain
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::{
        super::tests::{LAMBDA, RegressionRow, check, row},
        *,
    };
    use crate::stats::Noise;

    /// A posterior from which dimensions were taken out equals the batch solution of the rows without these entries, also
    /// after later observations and revisions of earlier ones.
    #[test]
    fn dimensions_that_are_taken_out_leave_the_batch_solution_of_the_others() {
        let mut rng = StdRng::seed_from_u64(13);
        let mut posterior = Gaussian::new(LAMBDA);
        let mut noise = Noise::new(1.3, 0.4);
        let mut rows: Vec<RegressionRow> = Vec::new();
        let observe = |posterior: &mut Gaussian, noise: &mut Noise, rows: &mut Vec<RegressionRow>, rng: &mut StdRng| {
            let y = rng.random_range(-1.0..2.0);
            let fresh = row(rng, 8, y);
            let before = posterior.predict(&fresh.x, &mut Vec::new());
            noise.observe(1.0, fresh.y - before.mean, before.leverage);
            posterior.observe(&fresh.x, 1.0, fresh.y - before.mean);
            rows.push(fresh);
        };
        (0..60).for_each(|_| observe(&mut posterior, &mut noise, &mut rows, &mut rng));
        let gain = posterior.take_out(&[2, 7, 30]);
        noise.forget(1.0, gain);
        for row in &mut rows {
            row.x.entries.retain(|&(index, _)| index != 2 && index != 7);
        }
        check(&posterior, &noise, &rows, &mut rng);
        (0..20).for_each(|_| observe(&mut posterior, &mut noise, &mut rows, &mut rng));
        let before = posterior.predict(&rows[5].x, &mut Vec::new());
        noise.revise(1.0, 3.0, rows[5].y - before.mean, before.leverage);
        posterior.revise(&rows[5].x, 3.0);
        rows[5].y += 3.0;
        check(&posterior, &noise, &rows, &mut rng);
    }
}
