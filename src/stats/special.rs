//! The beta and gamma functions, the normal tail and their relatives, with the same bits on every processor.
//!
//! # Source
//!
//! The continued fraction of the incomplete beta function: Press et al., *Numerical Recipes* (3rd ed.), section 6.4, by
//! the modified method of Lentz. `ln B`: Stirling's series, DLMF 5.11.1.

use super::math::{exp, ln, ln_1p, logistic};

/// Argument from which on the series of ln Γ is accurate to 1e-12.
const STIRLING_MIN: f64 = 10.0;
/// Maximum number of steps of the continued fraction. It needs about √max(a, b) of them near the mean, and a few
/// elsewhere.
const STEPS_MAX: u32 = 10_000;
/// Relative change below which the continued fraction ends.
const STEP_MIN: f64 = 1.2e-16;
/// Value that replaces denominators of the continued fraction that are almost zero.
const TINY: f64 = 1e-290;
/// Largest log odds that the search considers: e^−745 is the least positive number.
const LOG_ODDS_MAX: f64 = 745.0;
/// Maximum number of steps of the search for a quantile; halving alone ends after some 70.
const SEARCH_MAX: u32 = 200;

/// Returns ln Γ(x) for x > 0.
pub(super) fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// Returns the complement of the error function.
pub(super) fn erfc(x: f64) -> f64 {
    libm::erfc(x)
}

/// Returns `ln B(a, b)`, accurate relative to B within 1e-12 and the rounding of `a ln (1 + b/a)`.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    if a.min(b) < STIRLING_MIN {
        return ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    }
    // The large parts of Stirling's series of each Γ (DLMF 5.11.1) cancel before they are formed.
    let (n, rest) = (a + b, |x: f64| {
        let y = 1.0 / (x * x);
        (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1_260.0 - y / 1_680.0))) / x
    });
    0.5 * ln(std::f64::consts::TAU * n / (a * b)) - a * ln(n / a) - b * ln(n / b) + (rest(a) + rest(b) - rest(n))
}

/// Returns the distribution function of Beta(a, b) at `x` in [0, 1].
pub(super) fn beta_cdf(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    incomplete_beta((a, b), (x, 1.0 - x), (ln(x), ln_1p(-x)))
}

/// Returns the distribution function of Beta(a, b) where the log odds are `x`.
pub(super) fn beta_cdf_at_log_odds(a: f64, b: f64, x: f64) -> f64 {
    // Neither ln p nor ln (1 − p) loses digits if p is almost 0 or 1.
    let soft = ln_1p(exp(-x.abs()));
    incomplete_beta((a, b), (logistic(x), logistic(-x)), (x.min(0.0) - soft, -x.max(0.0) - soft))
}

/// Returns the log odds of the quantile of Beta(a, b) at `p` in (0, 1).
pub(super) fn beta_quantile_log_odds(a: f64, b: f64, p: f64) -> f64 {
    let (mut low, mut high) = (-LOG_ODDS_MAX, LOG_ODDS_MAX);
    let norm = ln_beta(a, b);
    let mut x = ln(a / b).clamp(low, high);
    for _ in 0..SEARCH_MAX {
        let excess = beta_cdf_at_log_odds(a, b, x) - p;
        if excess > 0.0 {
            high = x;
        } else {
            low = x;
        }
        // Newton's step is taken if it stays within the bracket, and the middle of the bracket otherwise.
        let soft = ln_1p(exp(-x.abs()));
        let density = exp(a * (x.min(0.0) - soft) + b * (-x.max(0.0) - soft) - norm);
        let newton = x - excess / density;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - x).abs() <= 1e-14 * x.abs().max(1.0) {
            return next;
        }
        x = next;
    }
    x
}

/// Returns the quantile of Student's t with `degrees` at `p` in (0, 1).
pub(super) fn student_quantile(degrees: f64, p: f64) -> f64 {
    let both_tails = 2.0 * p.min(1.0 - p);
    if both_tails >= 1.0 {
        return 0.0;
    }
    // P(|T| > t) is the distribution function of Beta(ν/2, ½) at w = ν/(ν + t²), and t² = ν(1 − w)/w.
    let size = (degrees * exp(-beta_quantile_log_odds(0.5 * degrees, 0.5, both_tails))).sqrt();
    if p < 0.5 { -size } else { size }
}

/// Returns the regularised incomplete beta function at `x`, given also 1 − x and the logarithms of both.
fn incomplete_beta((a, b): (f64, f64), (x, rest): (f64, f64), (ln_x, ln_rest): (f64, f64)) -> f64 {
    let front = exp(a * ln_x + b * ln_rest - ln_beta(a, b));
    // The fraction converges quickly below the mean, and its mirror image above it.
    if x < (a + 1.0) / (a + b + 2.0) {
        (front * fraction(a, b, x) / a).min(1.0)
    } else {
        (1.0 - front * fraction(b, a, rest) / b).max(0.0)
    }
}

/// Returns the continued fraction of the incomplete beta function.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let off_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / off_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for m in 1..STEPS_MAX {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / off_zero(1.0 + even * d);
        c = off_zero(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / off_zero(1.0 + odd * d);
        c = off_zero(1.0 + odd / c);
        let step = d * c;
        result *= step;
        if (step - 1.0).abs() <= STEP_MIN {
            break;
        }
    }
    result
}

/// Returns the probability that a standard normal number is at most `x`.
///
/// # Examples
///
/// ```
/// assert!((slotwise::stats::normal_cdf(1.959_964) - 0.975).abs() < 1e-6);
/// ```
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Returns the quantile of the standard normal distribution at `p`, above 0 and below 1.
///
/// # Examples
///
/// ```
/// assert!((slotwise::stats::normal_quantile(0.975) - 1.959964).abs() < 1e-6);
/// ```
pub fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use statrs::{
        distribution::{ContinuousCDF as _, StudentsT},
        function::{beta as published, gamma},
    };

    use super::*;

    const SHAPES: [(f64, f64); 9] = [
        (0.05, 0.05),
        (0.5, 0.5),
        (1.0, 1.0),
        (1.0, 30.0),
        (2.5, 0.7),
        (9.0, 11.0),
        (30.0, 70.0),
        (400.0, 12.0),
        (3_000.0, 90_000.0),
    ];

    #[test]
    fn functions_agree_with_another_library() {
        for (a, b) in SHAPES {
            assert!((ln_beta(a, b) - published::ln_beta(a, b)).abs() < 1e-9 * (a + b).max(1.0), "{a} {b}");
            assert!((ln_gamma(a) - gamma::ln_gamma(a)).abs() < 1e-12 * gamma::ln_gamma(a).abs().max(1.0), "{a}");
            for p in [1e-6, 0.025, 0.3, 0.5, 0.8, 0.975, 0.999] {
                let log_odds = beta_quantile_log_odds(a, b, p);
                assert!((beta_cdf_at_log_odds(a, b, log_odds) - p).abs() < 1e-12, "{a} {b} {p}");
                let x = logistic(log_odds);
                if x > 1e-12 && x < 1.0 - 1e-12 {
                    assert!((beta_cdf(a, b, x) - p).abs() < 1e-9, "{a} {b} {p}");
                    assert!((beta_cdf(a, b, x) - published::beta_reg(a, b, x)).abs() < 1e-9, "{a} {b} {p}");
                }
            }
        }
        for degrees in [1.0, 2.0, 3.7, 30.0, 2_000.0] {
            let t = StudentsT::new(0.0, 1.0, degrees).unwrap();
            for p in [0.001, 0.025, 0.4, 0.5, 0.51, 0.9, 0.975] {
                let got = student_quantile(degrees, p);
                assert!((t.cdf(got) - p).abs() < 1e-9, "{degrees} {p}: {got}");
            }
        }
    }

    #[test]
    fn the_incomplete_beta_function_holds_for_many_observations() {
        // Symmetric: half of the mass lies below the middle, however many observations there are.
        for n in [1e2, 1e4, 1e6, 1e8] {
            assert!((beta_cdf(n, n, 0.5) - 0.5).abs() < 1e-8, "{n}: {}", beta_cdf(n, n, 0.5));
            // Two standard deviations out, where the normal distribution is close.
            let normal = 0.5 * erfc(2.0 / std::f64::consts::SQRT_2);
            let got = beta_cdf(n, n, 0.5 - 2.0 * 0.5 / (2.0 * n + 1.0).sqrt());
            assert!((got - normal).abs() < 1e-2 / n.sqrt(), "{n}: {got} and {normal}");
        }
    }
}
