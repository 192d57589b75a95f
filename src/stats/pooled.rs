//! Prior of what an arm has for itself, estimated from all arms.

/// Number of arms that the prior guess of the variance between arms counts as.
const GUESS_ARMS: f64 = 1.0;
/// Steps of the iteration. After ten, nineteen of twenty estimates are within a thousandth of the limit.
const STEPS: usize = 10;

/// Observations of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ArmMean {
    /// Weight of the observations.
    pub weight: f64,
    /// Mean of the observations.
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub squares: f64,
}

impl ArmMean {
    /// Variance of one observation about its arm's mean, over all `arms`, where `guess` counts as one degree of freedom.
    ///
    /// # Examples
    ///
    /// ```
    /// use slotwise::stats::ArmMean;
    ///
    /// let arm = ArmMean { weight: 4.0, mean: 50.0, squares: 27.0 };
    /// assert_eq!(ArmMean::variance_within([arm].into_iter(), 1.0), (1.0 + 27.0) / (1.0 + 3.0));
    /// ```
    pub fn variance_within(arms: impl Iterator<Item = Self>, guess: f64) -> f64 {
        let (mut squares, mut degrees) = (guess, 1.0);
        for arm in arms.filter(|arm| arm.weight > 0.0) {
            squares += arm.squares;
            degrees += (arm.weight - 1.0).max(0.0);
        }
        squares / degrees
    }
}

/// Normal prior `N(m, τ²)` of what an arm has for itself, such as its mean or its constant in a model.
///
/// An arm whose n observations say ȳ, with variance v each, has `ȳ ~ N(m, τ² + v/n)`. m is the mean of the arms with weights
/// `c = 1/(τ² + v/n)`, so arms that are shown most do not pull it to themselves. τ² is the most probable one, with a guess g
/// that counts as one arm: `Σ c²(ȳ − m)² + g/τ⁴ = Σ c + 1/τ²`. The iteration multiplies τ² by the ratio of the two sides. It
/// always starts from the guess, so the estimate depends on the observations alone and a refund leaves no trace in it.
///
/// # Source
///
/// Morris, "Parametric Empirical Bayes Inference" (1983), §2; Zhou, Hu, Zhou and Lange, "MM Algorithms for Variance Components
/// Models" (2019), eq. 5, without the square root, which converges faster.
///
/// # Examples
///
/// ```
/// use slotwise::stats::{ArmMean, PooledPrior};
///
/// // Four arms about 5, and one that was shown only once.
/// let seen = [(1_000.0, 4.8), (1_000.0, 5.2), (1_000.0, 5.1), (1_000.0, 4.9), (1.0, 0.0)];
/// let arms = seen.map(|(weight, mean)| ArmMean { weight, mean, squares: 0.0 });
/// let prior = PooledPrior::estimate(arms.into_iter(), 9.0, 0.1);
/// assert!((4.9..5.1).contains(&prior.mean) && prior.between.sqrt() < 0.3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PooledPrior {
    /// Level m of the arms.
    pub mean: f64,
    /// Variance τ² between arms.
    pub between: f64,
}

impl PooledPrior {
    /// Estimates the prior from arms whose observations have the variance `within` > 0, with a guess > 0 of τ².
    ///
    /// Without observations the level is 0 and τ² the guess.
    #[expect(clippy::needless_pass_by_value, reason = "an iterator is passed on as it was made")]
    pub fn estimate(arms: impl Iterator<Item = ArmMean> + Clone, within: f64, guess: f64) -> Self {
        let mut prior = Self { mean: 0.0, between: guess };
        if within > 0.0 && guess > 0.0 {
            for _ in 0..STEPS {
                prior.step(&arms, within, guess);
            }
        }
        prior
    }

    /// Estimates the prior of rates, means of rewards within [0, 1]. Half a reward in one observation counts as one more arm.
    ///
    /// The variance of an observation is m·(1 − m), and the guess of τ is one unit of log odds, m·(1 − m).
    pub fn from_rates(arms: impl Iterator<Item = ArmMean> + Clone) -> Self {
        let arms = arms.chain([ArmMean { weight: 1.0, mean: 0.5, squares: 0.0 }]);
        let (weight, sum) =
            arms.clone().fold((0.0, 0.0), |(weight, sum), arm| (weight + arm.weight, sum + arm.weight * arm.mean));
        let spread = |mean: f64| (mean * (1.0 - mean)).max(1e-9);
        let mut prior = Self { mean: sum / weight, between: square(spread(sum / weight)) };
        for _ in 0..STEPS {
            let spread = spread(prior.mean);
            prior.step(&arms, spread, square(spread));
        }
        prior
    }

    /// Does one step of the iteration.
    fn step(&mut self, arms: &(impl Iterator<Item = ArmMean> + Clone), within: f64, guess: f64) {
        let certainty = |arm: &ArmMean| 1.0 / (self.between + within / arm.weight);
        let observed = || arms.clone().filter(|arm| arm.weight > 0.0);
        let (mut total, mut sum) = (0.0, 0.0);
        for arm in observed() {
            total += certainty(&arm);
            sum += certainty(&arm) * arm.mean;
        }
        let mean = if total > 0.0 { sum / total } else { 0.0 };
        let (mut found, mut expected) = (GUESS_ARMS * guess / square(self.between), GUESS_ARMS / self.between);
        for arm in observed() {
            let certainty = certainty(&arm);
            found += square(certainty * (arm.mean - mean));
            expected += certainty;
        }
        *self = Self { mean, between: self.between * found / expected };
    }
}

fn square(x: f64) -> f64 {
    x * x
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    use rand_distr::{Distribution as _, Normal};

    /// A hundred arms drawn from N(50, 3²), with 1 to 400 observations of standard deviation 5: level and spread are found
    /// within four standard errors of the estimates from the true means, in every unit.
    #[test]
    fn level_and_spread_of_the_arms_are_found_in_every_unit() {
        let mut rng = StdRng::seed_from_u64(7);
        let truth: Vec<f64> = Normal::new(50.0, 3.0).unwrap().sample_iter(&mut rng).take(100).collect();
        let arms: Vec<ArmMean> = truth
            .iter()
            .enumerate()
            .map(|(i, &mean)| {
                let n = 1 + i * 4;
                let drawn: Vec<f64> = Normal::new(mean, 5.0).unwrap().sample_iter(&mut rng).take(n).collect();
                let mean = drawn.iter().sum::<f64>() / n as f64;
                let squares = drawn.iter().map(|y| (y - mean) * (y - mean)).sum();
                ArmMean { weight: n as f64, mean, squares }
            })
            .collect();
        for unit in [1.0, 1e-4, 1e5] {
            let scaled = arms.iter().map(|a| ArmMean { mean: a.mean * unit, squares: a.squares * unit * unit, ..*a });
            let within = ArmMean::variance_within(scaled.clone(), 1e-9 * unit * unit);
            let prior = PooledPrior::estimate(scaled, within, within);
            assert!((prior.mean / unit - 50.0).abs() < 4.0 * 3.2 / 10.0, "{prior:?}");
            assert!((within.sqrt() / unit - 5.0).abs() < 0.2, "{within}");
            assert!((prior.between.sqrt() / unit - 3.0).abs() < 4.0 * 3.0 / 200.0_f64.sqrt(), "{prior:?}");
        }
    }

    /// The arm that is shown most has the best rate, and yet the level is that of all arms.
    #[test]
    fn the_level_is_not_that_of_the_arm_shown_most() {
        let mut rng = StdRng::seed_from_u64(8);
        let mut arms: Vec<ArmMean> = (0..50)
            .map(|_| {
                let clicks = (0..400).filter(|_| rng.random_bool(0.02)).count();
                ArmMean { weight: 400.0, mean: clicks as f64 / 400.0, squares: 0.0 }
            })
            .collect();
        arms.push(ArmMean { weight: 100_000.0, mean: 0.06, squares: 0.0 });
        let prior = PooledPrior::from_rates(arms.iter().copied());
        assert!((0.018..0.025).contains(&prior.mean), "{prior:?}");
        assert!((0.004..0.02).contains(&prior.between.sqrt()), "{prior:?}");
    }

    #[test]
    fn without_observations_the_guess_stands() {
        let none = [ArmMean::default(); 3];
        assert_eq!(PooledPrior::estimate(none.into_iter(), 2.0, 0.5), PooledPrior { mean: 0.0, between: 0.5 });
    }

    /// The variance between arms is where the marginal density of the arms' means, times that of the guess, is greatest: found
    /// here by trying variances, with the level that fits each best.
    #[test]
    fn the_spread_is_the_most_probable_one() {
        let mut rng = StdRng::seed_from_u64(9);
        for arms in [2, 3, 8, 60] {
            for spread in [0.0, 0.3, 4.0] {
                let arms: Vec<ArmMean> = (0..arms)
                    .map(|_| {
                        let weight = f64::from(rng.random_range(1..200_u32));
                        let noise = Normal::new(0.0, (1.0 / weight).sqrt()).unwrap().sample(&mut rng);
                        let mean = 5.0 + spread * rng.random_range(-1.7..1.7) + noise;
                        ArmMean { weight, mean, squares: weight - 1.0 }
                    })
                    .collect();
                let guess = rng.random_range(0.1..10.0);
                let prior = PooledPrior::estimate(arms.iter().copied(), 1.0, guess);
                let ln_density = |between: f64| {
                    let variances: Vec<f64> = arms.iter().map(|arm| between + 1.0 / arm.weight).collect();
                    let total: f64 = variances.iter().map(|v| 1.0 / v).sum();
                    let level = arms.iter().zip(&variances).map(|(arm, v)| arm.mean / v).sum::<f64>() / total;
                    let of = |(arm, v): (&ArmMean, &f64)| v.ln() + (arm.mean - level).powi(2) / v;
                    -0.5 * arms.iter().zip(&variances).map(of).sum::<f64>() - 0.5 * (between.ln() + guess / between)
                };
                let tried = (-600..600).map(|i| (f64::from(i) / 100.0).exp());
                let best = tried.max_by(|a, b| ln_density(*a).total_cmp(&ln_density(*b))).unwrap();
                assert!((prior.between / best).ln().abs() < 0.02, "{prior:?} against {best}");
            }
        }
    }
}
