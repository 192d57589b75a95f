//! Scores that follow Student's t.

use super::{LN_TAIL, Marginal, NORMAL_TAIL, POINT};
use crate::stats::{
    lanes::{self, Nodes},
    legendre::NODES,
    math::{exp, ln},
    special::{beta_cdf, ln_gamma},
};

/// Score that follows Student's t with location and scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudentScore {
    location: f64,
    scale: f64,
    degrees: f64,
    ln_norm: f64,
    reach: f64,
}

impl StudentScore {
    /// Creates a score with a location, a scale ≥ 0 and degrees of freedom > 0.
    pub fn new(location: f64, scale: f64, degrees: f64) -> Self {
        let ln_norm = ln_gamma(0.5 * (degrees + 1.0))
            - ln_gamma(0.5 * degrees)
            - 0.5 * ln(degrees * std::f64::consts::PI)
            - ln(scale);
        // The tail beyond t is at most exp(ln_norm)·ν^((ν−1)/2)·t^−ν in units of the scale, solved here for t. Near the
        // normal that bound is far too wide, whereas Chernoff's is tight.
        let power = exp((ln_norm + ln(scale) - LN_TAIL) / degrees + 0.5 * ln(degrees) * (degrees - 1.0) / degrees);
        let reach = if degrees > 200.0 { power.min(NORMAL_TAIL * 1.2) } else { power.max(NORMAL_TAIL) };
        Self { location, scale, degrees, ln_norm, reach }
    }

    /// Returns `known` if it has these parameters, or [`new`](Self::new) otherwise.
    pub fn known_or_new(location: f64, scale: f64, degrees: f64, known: Option<&Self>) -> Self {
        let is = |known: f64, asked: f64| known.total_cmp(&asked).is_eq();
        let same = |k: &&Self| is(k.location, location) && is(k.scale, scale) && is(k.degrees, degrees);
        known.filter(same).copied().unwrap_or_else(|| Self::new(location, scale, degrees))
    }

    /// Expected reward.
    pub fn mean(&self) -> f64 {
        self.location
    }

    /// Scale, reward.
    pub fn std(&self) -> f64 {
        self.scale
    }

    /// Returns the score at another location, with its scale multiplied by `factor` > 0.
    #[must_use]
    pub fn moved_to(self, location: f64, factor: f64) -> Self {
        Self::new(location, factor * self.scale, self.degrees)
    }

    /// Returns the score shifted by `by`.
    #[must_use]
    pub fn moved(self, by: f64) -> Self {
        Self { location: self.location + by, ..self }
    }

    fn z(&self, x: f64) -> f64 {
        (x - self.location) / self.scale
    }
}

impl Marginal for StudentScore {
    type Shared = ();

    #[inline(always)]
    fn shared(_: &Nodes) {}

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn densities(&self, xs: &Nodes, (): &()) -> Nodes {
        let (inverse, per_degree) = (1.0 / self.scale, 1.0 / self.degrees);
        let mut square = [0.0; NODES];
        for j in 0..NODES {
            let z = (xs[j] - self.location) * inverse;
            square[j] = z * z * per_degree;
        }
        let mut power = lanes::ln_1ps(&square);
        for j in 0..NODES {
            power[j] = self.ln_norm - 0.5 * (self.degrees + 1.0) * power[j];
        }
        lanes::exps(&power)
    }

    fn cdf(&self, x: f64) -> f64 {
        let z = self.z(x);
        let tail = 0.5 * beta_cdf(0.5 * self.degrees, 0.5, self.degrees / (self.degrees + z * z));
        if z > 0.0 { 1.0 - tail } else { tail }
    }

    fn support(&self) -> (f64, f64) {
        (self.location - self.reach * self.scale, self.location + self.reach * self.scale)
    }

    fn panel_length(&self, x: f64) -> f64 {
        self.scale * (0.5 * self.z(x).abs()).max(2.0)
    }

    fn even_panel_length(&self) -> f64 {
        2.0 * self.scale
    }

    fn point_mass(&self) -> Option<f64> {
        (self.scale <= POINT * self.location.abs() || self.scale < f64::MIN_POSITIVE).then_some(self.location)
    }
}
