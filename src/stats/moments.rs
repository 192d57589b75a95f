//! Running mean and standard deviation.

use serde::{Deserialize, Serialize};

/// Count, mean and sum of squared deviations of a stream of numbers. *Persisted.*
///
/// # Source
///
/// Welford, *Technometrics* 4(3), 1962.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Returns these moments with one more number, which must be finite.
    #[must_use]
    pub fn with(self, value: f64) -> Self {
        let count = self.count + 1.0;
        let delta = value - self.mean;
        let mean = self.mean + delta / count;
        Self { count, mean, squares: self.squares + delta * (value - mean) }
    }

    /// Number of values.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Mean of the values, or 0 if there are none.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Population standard deviation of the values, or 0 if there are none.
    pub fn std(&self) -> f64 {
        if self.count > 0.0 { (self.squares / self.count).max(0.0).sqrt() } else { 0.0 }
    }

    /// Returns the distance of `value` from the mean in standard deviations, clipped to ±`limit`, or 0 while there is no
    /// deviation.
    pub fn standardise(&self, value: f64, limit: f64) -> f64 {
        let std = self.std();
        // The rounding errors of a constant look like a small deviation.
        if std > 1e-12 * self.mean.abs() { ((value - self.mean) / std).clamp(-limit, limit) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_equal_the_two_pass_formula() {
        let values = [3.0, -1.5, 1e3, 7.25, 7.25, -40.0];
        let moments = values.iter().fold(Moments::default(), |m, &v| m.with(v));
        let mean = values.iter().sum::<f64>() / 6.0;
        let var = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 6.0;
        assert!((moments.mean() - mean).abs() < 1e-12 * mean.abs());
        assert!((moments.std() - var.sqrt()).abs() < 1e-12 * var.sqrt());
        assert!((moments.standardise(7.25, 5.0) - (7.25 - mean) / var.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_constant_has_no_deviation_and_standardises_to_zero() {
        let moments = (0..1000).fold(Moments::default(), |m, _| m.with(0.1));
        assert!(moments.standardise(0.1, 5.0).abs() < f64::EPSILON);
    }
}
