//! Random numbers of the worlds.

use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use rand_distr::{Beta, Distribution as _};
use slotwise::bandit::standard_normal;

/// Generator of a world's random numbers.
#[derive(Debug, Clone)]
pub(super) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    /// Creates the generator of a world.
    pub(super) fn new(regime: &str, seed: u64) -> Self {
        let name = regime.bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(131).wrapping_add(u64::from(byte)));
        Self(Xoshiro256PlusPlus::seed_from_u64(name ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Draws from [0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// Draws from a normal distribution.
    pub(super) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        mean + deviation * standard_normal(&mut self.0)
    }

    /// Draws several numbers from a normal distribution.
    pub(super) fn normals(&mut self, count: usize, mean: f64, deviation: f64) -> Vec<f64> {
        (0..count).map(|_| self.normal(mean, deviation)).collect()
    }

    /// Draws from a beta distribution with positive parameters.
    pub(super) fn beta(&mut self, a: f64, b: f64) -> f64 {
        Beta::new(a, b).map_or(f64::NAN, |beta| beta.sample(&mut self.0))
    }

    /// Draws one of the numbers below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// Returns 1 with this probability, otherwise 0.
    pub(super) fn coin(&mut self, probability: f64) -> f64 {
        f64::from(u8::from(self.uniform() < probability))
    }
}

/// Returns the probability of these log odds.
pub(super) fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}
