//! Normal scores.

use super::{Marginal, NORMAL_TAIL, POINT};
use crate::stats::{
    lanes::{self, Nodes},
    legendre::NODES,
    special::erfc,
};

/// Score that follows a normal distribution, `N(mean, std²)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalScore {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, at least zero.
    pub std: f64,
}

impl Marginal for NormalScore {
    type Shared = ();

    #[inline(always)]
    fn shared(_: &Nodes) {}

    #[inline(always)]
    fn densities(&self, xs: &Nodes, (): &()) -> Nodes {
        const INV_SQRT_TAU: f64 = 0.398_942_280_401_432_7;
        let inverse = 1.0 / self.std;
        let mut power = [0.0; NODES];
        for j in 0..NODES {
            let z = (xs[j] - self.mean) * inverse;
            power[j] = -0.5 * z * z;
        }
        lanes::exps(&power).map(|of| INV_SQRT_TAU * inverse * of)
    }

    fn cdf(&self, x: f64) -> f64 {
        0.5 * erfc((self.mean - x) / (self.std * std::f64::consts::SQRT_2))
    }

    fn support(&self) -> (f64, f64) {
        (self.mean - NORMAL_TAIL * self.std, self.mean + NORMAL_TAIL * self.std)
    }

    fn panel_length(&self, _: f64) -> f64 {
        2.0 * self.std
    }

    fn even_panel_length(&self) -> f64 {
        2.0 * self.std
    }

    fn point_mass(&self) -> Option<f64> {
        (self.std <= POINT * self.mean.abs() || self.std < f64::MIN_POSITIVE).then_some(self.mean)
    }
}
