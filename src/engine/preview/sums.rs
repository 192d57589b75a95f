//! Sums over past decisions with what their standard errors need.

use super::Estimate;
use crate::stats::math;

/// Sum of one number over decisions, with what its standard error needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DecisionSum {
    /// Sum of the expected numbers.
    pub(super) total: f64,
    /// Sum of the squares of the expected numbers, without the variance of drawing.
    pub(super) squares: f64,
    /// Variance that drawing adds to the sum.
    pub(super) draw_variance: f64,
}

impl DecisionSum {
    /// Adds numbers that are known without drawing.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sum = Self::default();
        for value in values {
            sum.add(Self { total: value, squares: value * value, draw_variance: 0.0 });
        }
        sum
    }

    pub(super) fn add(&mut self, other: Self) {
        self.total += other.total;
        self.squares += other.squares;
        self.draw_variance += other.draw_variance;
    }

    /// Returns the mean over `n` decisions.
    pub(super) fn estimate(self, n: f64) -> Estimate {
        if n <= 0.0 {
            return Estimate::default();
        }
        let value = self.total / n;
        let variance = (self.squares / n - value * value).max(0.0) * n / (n - 1.0).max(1.0);
        Estimate { value, standard_error: (variance / n + self.draw_variance / (n * n)).sqrt() }
    }
}

/// Mean of a number over several draws of a slate.
pub(super) struct DrawMean {
    /// Mean.
    pub(super) mean: f64,
    /// Variance of the mean, or 0 for a single draw.
    pub(super) variance: f64,
}

impl DrawMean {
    pub(super) fn new(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let squares: f64 = values.map(|value| math::square(value - mean)).sum();
        Self { mean, variance: if n > 1.0 { squares / (n - 1.0) / n } else { 0.0 } }
    }
}
