//! Tail probabilities and quantiles of Student's t, the binomial, the normal and the chi-squared distribution.

use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF as _, DiscreteCDF as _, Normal, StudentsT};
use statrs::function::beta::inv_beta_reg;

/// Returns P(T ≥ t) for Student's T with at least 1 degree of freedom.
pub fn student_above(t: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or(1.0, |student| student.sf(t))
}

/// Returns the t that Student's T exceeds with probability `tail`, which is below ½.
pub fn student_quantile(tail: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or(f64::INFINITY, |student| student.inverse_cdf(1.0 - tail))
}

/// Returns the z that a standard normal number exceeds with probability `tail`.
pub fn normal_quantile(tail: f64) -> f64 {
    Normal::new(0.0, 1.0).map_or(f64::INFINITY, |normal| normal.inverse_cdf(1.0 - tail))
}

/// Returns P(X ≥ x) for a chi-squared variate with this many degrees of freedom.
pub fn chi_squared_above(x: f64, degrees: u64) -> f64 {
    ChiSquared::new(degrees as f64).map_or(1.0, |of| of.sf(x))
}

/// Returns P(X ≥ successes) for the number X of successes in `trials`, each of probability `p`.
pub fn binomial_at_least(successes: u64, trials: u64, p: f64) -> f64 {
    let Some(below) = successes.checked_sub(1) else { return 1.0 };
    Binomial::new(p.clamp(0.0, 1.0), trials).map_or(1.0, |of| of.sf(below))
}

/// Returns P(X ≤ successes) for the number X of successes in `trials`, each of probability `p`.
pub fn binomial_at_most(successes: u64, trials: u64, p: f64) -> f64 {
    Binomial::new(p.clamp(0.0, 1.0), trials).map_or(1.0, |of| of.cdf(successes))
}

/// Returns the interval of Clopper and Pearson (1934). The truth lies beyond each end with probability `tail` at most.
pub fn binomial_interval(successes: u64, trials: u64, tail: f64) -> (f64, f64) {
    let (s, n) = (successes as f64, trials as f64);
    let low = if successes == 0 { 0.0 } else { inv_beta_reg(s, n - s + 1.0, tail) };
    let high = if successes == trials { 1.0 } else { inv_beta_reg(s + 1.0, n - s, 1.0 - tail) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(got: f64, want: f64, within: f64) {
        assert!((got - want).abs() < within, "{got} against {want}");
    }

    /// The printed tables say: t of 9 degrees exceeds 1.833 with 0.05 and 2.262 with 0.025; χ² of 10 exceeds 18.307 with 0.05.
    #[test]
    fn tails_equal_those_of_printed_tables() {
        near(student_above(1.833_113, 9.0), 0.05, 1e-6);
        near(student_quantile(0.025, 9.0), 2.262_157, 1e-5);
        near(normal_quantile(0.2), 0.841_621, 1e-5);
        near(chi_squared_above(18.307_04, 10), 0.05, 1e-6);
    }

    /// Counted by hand: of 3 trials with p = ½, at least 2 succeed in 4 of 8 cases, at most 0 in 1 of 8. For 0 of 10 the upper
    /// end solves (1 − p)¹⁰ = tail.
    #[test]
    fn binomial_tails_equal_those_counted_by_hand() {
        near(binomial_at_least(2, 3, 0.5), 0.5, 1e-12);
        near(binomial_at_least(0, 3, 0.5), 1.0, 1e-12);
        near(binomial_at_most(0, 3, 0.5), 0.125, 1e-12);
        let (low, high) = binomial_interval(0, 10, 0.025);
        near(low, 0.0, 1e-15);
        near(high, 1.0 - 0.025_f64.powf(0.1), 1e-8);
        let (low, high) = binomial_interval(10, 10, 0.025);
        near(low, 0.025_f64.powf(0.1), 1e-8);
        near(high, 1.0, 1e-15);
        // Each end is the probability whose tail is the requested one.
        let (low, high) = binomial_interval(7, 20, 0.05);
        near(binomial_at_least(7, 20, low), 0.05, 1e-7);
        near(binomial_at_most(7, 20, high), 0.05, 1e-7);
    }
}
