//! Prior of the arms' constants, which follows the level and the spread of all arms.

use super::{Linear, Link, NOISE_PRIOR, Sharing};
use crate::stats::{ConstantPrior, Gaussian, PooledPrior, math::ln};

/// Bounds of the variance between arms on the line of log odds.
const LOG_ODDS_BETWEEN: (f64, f64) = (0.01, 2.25);
/// Greatest level of rates that becomes the arms' prior. Open data sets with ten classes lose as much above it as below.
const RATE_MAX: f64 = 0.2;
/// Bounds of the precision of a constant's prior, in units of the noise.
const PRECISION: (f64, f64) = (1e-3, 1e4);

/// Rewards of all arms, from which the priors of the arms follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::bandit) enum PooledRewards {
    /// Rewards in [0, 1]: level and spread of the arms' rates.
    Rates(PooledPrior),
    /// Rewards of any size: level and spread of the arms' means, and the variance of a reward about its arm's mean,
    /// reward², or 0 if nothing is known.
    Values(PooledPrior, f64),
}

impl Linear {
    /// Prior of an arm's posterior.
    pub(super) fn prior(&self) -> Gaussian {
        match self.design.sharing {
            Sharing::Disjoint => Gaussian::with_free_constant(self.design.prior_precision),
            Sharing::Opposed | Sharing::Shared => Gaussian::new(self.design.prior_precision),
        }
    }

    /// Gives the constants of all arms the prior that level and spread of all arms make, and the noise of rewards of any size
    /// the variance within an arm.
    ///
    /// Only models with a posterior per arm have such a prior. It depends on the rewards and the noise alone, not on what it
    /// was before, so that a refund leaves no trace.
    ///
    /// A policy that has learned from features shows each arm where it is good. Then the level of the arms' rates says nothing
    /// about an arm in a context where it was never shown. So levels above [`RATE_MAX`], and the identity link
    /// for rewards in [0, 1], keep the prior of every other weight.
    pub(in crate::bandit) fn follow(&mut self, pooled: &PooledRewards) {
        if self.design.sharing != Sharing::Disjoint {
            return;
        }
        self.constant = ConstantPrior { mean: 0.0, precision: self.design.prior_precision };
        self.noise_scale = NOISE_PRIOR.1;
        match (self.design.link, *pooled) {
            (Link::Logit, PooledRewards::Rates(PooledPrior { mean, between })) if mean < RATE_MAX => {
                let m = mean.max(1e-6);
                let variance = between / (m * (1.0 - m) * m * (1.0 - m));
                let (least, most) = LOG_ODDS_BETWEEN;
                self.constant = ConstantPrior { mean: ln(m / (1.0 - m)), precision: 1.0 / variance.clamp(least, most) };
            }
            (Link::Identity, PooledRewards::Values(PooledPrior { mean, between }, within)) if within > 0.0 => {
                self.noise_scale = within;
                let precision = (self.noise_variance() / between).clamp(PRECISION.0, PRECISION.1);
                self.constant = ConstantPrior { mean, precision };
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::{
        super::tests::{LAMBDA, assert_near, design, random_row, row},
        *,
    };
    use crate::stats::{ArmMean, Prediction};

    /// Nineteen arms with a rate about 0.05 and no features: an arm that was never shown stands at their level, with a spread
    /// between theirs and the guess, and an arm shown once is pulled to the level by as much as its curvature says.
    #[test]
    fn a_new_arm_stands_at_the_level_of_all_arms() {
        let mut rng = StdRng::seed_from_u64(79);
        let mut linear = Linear::new(design(Link::Logit, Sharing::Disjoint));
        let mut arms = vec![ArmMean::default(); 19];
        let constant = row(&[1.0]);
        for i in 0..19 * 400 {
            let y = f64::from(u8::from(rng.random_bool(0.05)));
            linear.observe(i % 19, &constant, y, 1.0);
            let arm = &mut arms[i as usize % 19];
            arm.mean += (y - arm.mean) / (arm.weight + 1.0);
            arm.weight += 1.0;
        }
        let rates = PooledPrior::from_rates(arms.iter().copied());
        linear.follow(&PooledRewards::Rates(rates));
        let new = linear.predict(Some(40), &constant, &mut Vec::new());
        // The mean rate of 7,600 rewards has the standard error .0025, which is .05 on the line of log odds.
        assert_near(new.mean, (0.05_f64 / 0.95).ln(), 0.2);
        assert!((0.01..1.0).contains(&new.leverage), "{new:?}");
        assert_eq!(linear.predict(None, &constant, &mut Vec::new()), new);
        // Another level, and back: nothing is left of it.
        let before = linear.predict(Some(3), &constant, &mut Vec::new());
        linear.follow(&PooledRewards::Rates(PooledPrior { mean: 0.01, between: 1e-9 }));
        assert!(linear.predict(Some(3), &constant, &mut Vec::new()).mean < before.mean - 0.5);
        linear.follow(&PooledRewards::Rates(rates));
        assert_eq!(linear.predict(Some(3), &constant, &mut Vec::new()), before);
        // Arms that are good on the whole have the prior of every other weight.
        linear.follow(&PooledRewards::Rates(PooledPrior { mean: 0.6, between: 0.01 }));
        let Prediction { mean, leverage } = linear.predict(None, &constant, &mut Vec::new());
        assert_near(mean, 0.0, 1e-12);
        assert_near(leverage, 1.0 / LAMBDA, 1e-9);
    }

    /// Money in any unit: means scale with it, and leverages do not change.
    #[test]
    fn the_prior_of_values_has_no_unit() {
        let learn = |unit: f64| {
            let mut rng = StdRng::seed_from_u64(80);
            let mut linear = Linear::new(design(Link::Identity, Sharing::Disjoint));
            for i in 0..200 {
                linear.observe(i % 4, &random_row(&mut rng), unit * (50.0 + f64::from(i % 7)), 1.0);
            }
            let pooled = PooledPrior { mean: 53.0 * unit, between: 0.3 * unit * unit };
            linear.follow(&PooledRewards::Values(pooled, 4.0 * unit * unit));
            let x = random_row(&mut rng);
            [Some(1), None].map(|arm| linear.predict(arm, &x, &mut Vec::new()))
        };
        for unit in [1e-4, 1e6] {
            for (got, want) in learn(unit).into_iter().zip(learn(1.0)) {
                assert_near(got.mean / unit, want.mean, 1e-6 * want.mean);
                assert_near(got.leverage, want.leverage, 1e-6 * want.leverage);
            }
        }
    }
}
