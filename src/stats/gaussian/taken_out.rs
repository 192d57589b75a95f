//! Dimensions that are taken out of a posterior.

use super::{Cholesky, Gaussian};

impl Gaussian {
    /// Takes some dimensions out of all observations, which leaves these dimensions at their prior: the posterior becomes
    /// the one that rows without these entries would have given, and a reward can still be revised at such a row.
    ///
    /// Returns the gain of the noise statistic `b`, as [`forget`](Self::forget) does. Costs O(d³).
    pub fn take_out(&mut self, dimensions: &[u32]) -> f64 {
        let dim = self.dim();
        let mut out = vec![false; dim];
        for &i in dimensions {
            if let Some(out) = out.get_mut(i as usize) {
                *out = true;
            }
        }
        if !out.contains(&true) {
            return 0.0;
        }
        let old: Vec<f64> = self.factor.times(&self.mean);
        let mut lower = self.factor.product();
        let mut start = 0;
        for k in 0..dim {
            for i in k..dim {
                if out[k] || out[i] {
                    lower[start + i - k] = if i == k { self.precision_of(k) } else { 0.0 };
                }
            }
            start += dim - k;
        }
        let Ok(factor) = Cholesky::factorise(dim, lower) else { return 0.0 };
        let eta: Vec<f64> = old.iter().zip(&out).map(|(&value, &out)| if out { 0.0 } else { value }).collect();
        let mut mean = eta.clone();
        factor.forward(0, &mut mean);
        factor.backward(&mut mean);
        let explained = |eta: &[f64], mean: &[f64]| eta.iter().zip(mean).map(|(e, m)| e * m).sum::<f64>();
        let gain = 0.5 * (explained(&old, &self.mean) - explained(&eta, &mean));
        (self.factor, self.mean) = (factor, mean);
        self.solve_column();
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
