//! Belief about the mean of positive values with an unknown distribution.

use super::super::{
    math::{exp, ln, power, square},
    reward_sums::ValueMoments,
    special::ln_gamma,
};

/// Least number of values whose spread is looked at.
pub(super) const COUNT_MIN: f64 = 5.0;

/// 97.5 % quantile of the standard normal distribution.
const NORMAL_QUANTILE: f64 = 1.959_963_985;

/// Variance of logarithms below which all values are equal up to rounding.
const EQUAL: f64 = 1e-10;

/// Log-likelihood that the skewness and kurtosis of the logarithms may cost before a log-normal distribution is doubted.
/// About 14 % of log-normal samples cost more.
const NORMALITY_COST_FREE: f64 = 2.0;

/// Weight of the log-normal distribution below which it no longer decides whether there are enough values.
const WEIGHT_MIN: f64 = 1e-3;

/// Belief about the mean of positive values.
///
/// Two estimates are weighed. The *log-normal* one is `exp(μ + σ²/2)` of the logarithms. The *plain* one is the mean of
/// the values, with the spread and the skewness of a gamma distribution that has the larger of two variances: that of the
/// values, and that of the gamma distribution that fits them best.
pub(super) struct ValueBelief {
    count: f64,
    log_mean: f64,
    /// Sample variance of the logarithms.
    log_variance: f64,
    /// Logarithm of the plain mean.
    ln_mean: f64,
    /// Relative variance of one value.
    relative_variance: f64,
    /// Weight of the log-normal distribution, from 0 to 1.
    weight: f64,
}

/// Limits of the logarithm of a mean.
pub(super) struct LogLimits {
    pub(super) low: f64,
    pub(super) centre: f64,
    pub(super) high: f64,
}

impl ValueBelief {
    /// Creates the belief that at least [`COUNT_MIN`] values give.
    pub(super) fn new(values: &ValueMoments) -> Self {
        let ValueMoments { count, mean, relative_variance, log_mean, log_moments: [second, third, fourth] } = *values;
        let bessel = count / (count - 1.0);
        let ln_mean = ln(mean);
        let mut belief = Self { count, log_mean, log_variance: 0.0, ln_mean, relative_variance: 0.0, weight: 0.0 };
        if second < EQUAL {
            return belief;
        }
        let shape = gamma_shape(ln_mean - log_mean);
        belief.log_variance = second * bessel;
        belief.relative_variance = (relative_variance * bessel).max(count / ((count - 3.0) * shape));
        // Log-likelihoods per value at their maxima, without the terms that both have.
        let log_normal = -0.5 * (ln(std::f64::consts::TAU * second) + 1.0);
        let gamma = shape * (ln(shape) - 1.0 + log_mean - ln_mean) - ln_gamma(shape);
        let odds = exp((count * (log_normal - gamma)).clamp(-700.0, 700.0));
        // Half of the statistic of Jarque and Bera.
        let excess = fourth / square(second) - 3.0;
        let cost = 0.5 * count * (square(third) / (6.0 * power(second, 3)) + square(excess) / 24.0);
        let doubt = exp(-0.5 * (cost - NORMALITY_COST_FREE).clamp(0.0, 1_400.0));
        belief.weight = doubt * odds / (1.0 + odds);
        belief
    }

    /// Variance of the logarithm of the estimated mean.
    pub(super) fn log_variance(&self) -> f64 {
        let variance = if self.weight < WEIGHT_MIN {
            self.relative_variance
        } else {
            self.log_variance + 0.5 * square(self.log_variance)
        };
        variance / self.count
    }

    /// Returns the limits of the logarithm of the mean.
    pub(super) fn log_limits(&self) -> LogLimits {
        let (log_normal, plain) = (self.log_normal_limits(), self.plain_limits());
        let (first, second, rest) =
            if self.weight > 0.5 { (log_normal, plain, 1.0 - self.weight) } else { (plain, log_normal, self.weight) };
        // The likelier limits, moved outwards to those of the other estimate as far as that has weight.
        let part = (10.0 * rest).min(1.0);
        LogLimits {
            low: first.low - part * (first.low - second.low).max(0.0),
            centre: first.centre + rest * (second.centre - first.centre),
            high: first.high + part * (second.high - first.high).max(0.0),
        }
    }

    /// Returns the limits of `μ + σ²/2`, by the distances of the limits of μ and of σ².
    fn log_normal_limits(&self) -> LogLimits {
        let centre = self.log_mean + 0.5 * self.log_variance;
        let of_mean = square(NORMAL_QUANTILE) * self.log_variance / self.count;
        let degrees = self.count - 1.0;
        let reach = |z: f64| {
            let half = 0.5 * self.log_variance * (1.0 / chi_squared_ratio(degrees, z) - 1.0);
            (of_mean + square(half)).sqrt()
        };
        LogLimits { low: centre - reach(NORMAL_QUANTILE), centre, high: centre + reach(-NORMAL_QUANTILE) }
    }

    /// Returns the limits of the plain mean, as if the values' sum had a gamma distribution.
    fn plain_limits(&self) -> LogLimits {
        let (centre, shape) = (self.ln_mean, self.count / self.relative_variance.max(f64::MIN_POSITIVE));
        let limit = |z: f64| {
            let root = 1.0 - 1.0 / (9.0 * shape) + z / (3.0 * shape.sqrt());
            centre - 3.0 * ln(root.max(0.05))
        };
        LogLimits { low: limit(NORMAL_QUANTILE), centre, high: limit(-NORMAL_QUANTILE) }
    }
}

/// Returns the quantile of χ² over its degrees of freedom, at the normal quantile `z`, by the cube root of Wilson and
/// Hilferty.
fn chi_squared_ratio(degrees: f64, z: f64) -> f64 {
    let variance = 2.0 / (9.0 * degrees);
    power((1.0 - variance + z * variance.sqrt()).max(0.05), 3)
}

/// Returns the likeliest shape of a gamma distribution, given the logarithm of the values' mean less the mean of their
/// logarithms.
fn gamma_shape(gap: f64) -> f64 {
    let gap = gap.max(1e-12);
    // The start is within 1.5 % (Minka 2002), and each step of Newton's method squares the error.
    let mut shape = (3.0 - gap + (square(gap - 3.0) + 24.0 * gap).sqrt()) / (12.0 * gap);
    for _ in 0..3 {
        let excess = ln(shape) - digamma(shape) - gap;
        shape -= excess / (1.0 / shape - trigamma(shape));
    }
    shape
}

/// Argument from which on the series of the digamma and trigamma functions are accurate.
const SERIES_MIN: f64 = 8.0;

/// Returns the derivative of ln Γ.
fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < SERIES_MIN {
        below += 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    ln(x) - 0.5 / x - y * (1.0 / 12.0 - y * (1.0 / 120.0 - y / 252.0)) - below
}

/// Returns the second derivative of ln Γ.
fn trigamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < SERIES_MIN {
        below += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    (1.0 + 0.5 / x + y * (1.0 / 6.0 - y * (1.0 / 30.0 - y / 42.0))) / x + below
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::function::gamma::digamma as published;

    #[test]
    fn the_likeliest_shape_solves_its_equation() {
        for shape in [0.02, 0.3, 1.0, 2.5, 40.0, 3e4] {
            let gap = ln(shape) - published(shape);
            assert!((digamma(shape) - published(shape)).abs() < 1e-9 * published(shape).abs().max(1.0), "{shape}");
            let numeric = (published(shape * 1.0001) - published(shape * 0.9999)) / (shape * 0.0002);
            assert!((trigamma(shape) / numeric - 1.0).abs() < 1e-4, "{shape}");
            assert!((gamma_shape(gap) / shape - 1.0).abs() < 1e-6, "{shape}: {}", gamma_shape(gap));
        }
    }
}
