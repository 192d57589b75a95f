//! Standard scores of the knots of a sketch.
//!
//! A number's plain score is `(value − mean) / deviation` of the numbers clipped to the trimmed range. Its normal score is
//! the quantile of the normal distribution at its rank. The score of a knot lies between the two: the better the two
//! kinds agree over the whole sketch, the more it is the plain one. So a model that is linear in a benign number stays so,
//! and skewed numbers become comparable.

use super::sketch::Knot;
use crate::stats::math::ln;

/// Fraction of the weight at either end to which plain scores are clipped.
const TRIMMED: f64 = 0.01;
/// Correlation of plain and normal scores from which on scores are plain. That of a uniform distribution is .98, of a
/// log-normal one .95 at a deviation of the logarithm of .5, and of an exponential one .92.
const PLAIN: f64 = 0.93;
/// Correlation of plain and normal scores up to which scores are normal. That of a log-normal distribution is .85 at a
/// deviation of the logarithm of 1, and .63 at 2.
const SKEWED: f64 = 0.83;
/// Largest size of a score, as one wild number must not outweigh a thousand others.
pub(super) const SCORE_MAX: f64 = 5.0;

/// Sets the scores of the knots.
pub(super) fn set_scores(knots: &mut [Knot]) {
    let total: f64 = knots.iter().map(|knot| knot.weight).sum();
    let mut below = 0.0;
    let normal = knots.iter().map(|knot| {
        below += knot.weight;
        normal_quantile((below - 0.5 * knot.weight) / total)
    });
    let normal = standardise(knots, total, normal.collect());
    let (low, high) = (value_at(knots, total, TRIMMED), value_at(knots, total, 1.0 - TRIMMED));
    // A common factor keeps the squares of huge values finite.
    let size = low.abs().max(high.abs());
    let clipped = knots.iter().map(|knot| if size > 0.0 { knot.value.clamp(low, high) / size } else { 0.0 });
    let plain = standardise(knots, total, clipped.collect());
    let (Some(normal), Some(plain)) = (normal, plain) else {
        return knots.iter_mut().for_each(|knot| knot.score = 0.0);
    };
    let product =
        knots.iter().zip(normal.iter().zip(&plain)).map(|(knot, (normal, plain))| knot.weight * normal * plain);
    let correlation = product.sum::<f64>() / total;
    let part = ((correlation - SKEWED) / (PLAIN - SKEWED)).clamp(0.0, 1.0);
    let mixed = normal.iter().zip(&plain).map(|(normal, plain)| normal + part * (plain - normal));
    let scores = standardise(knots, total, mixed.collect()).unwrap_or(normal);
    for (knot, score) in knots.iter_mut().zip(scores) {
        knot.score = score.clamp(-SCORE_MAX, SCORE_MAX);
    }
}

/// Returns the numbers with mean 0 and variance 1 under the knots' weights, or `None` if all are equal.
fn standardise(knots: &[Knot], total: f64, mut numbers: Vec<f64>) -> Option<Vec<f64>> {
    let weigh = |numbers: &[f64], of: &dyn Fn(f64) -> f64| {
        knots.iter().zip(numbers).map(|(knot, &number)| knot.weight / total * of(number)).sum::<f64>()
    };
    let mean = weigh(&numbers, &|number| number);
    let deviation = weigh(&numbers, &|number| (number - mean) * (number - mean)).sqrt();
    // The rounding errors of a constant look like a small deviation.
    if deviation <= 1e-12 * mean.abs() {
        return None;
    }
    for number in &mut numbers {
        *number = (*number - mean) / deviation;
    }
    Some(numbers)
}

/// Returns the value of the first knot up to which at least this share of the weight lies.
fn value_at(knots: &[Knot], total: f64, share: f64) -> f64 {
    let mut below = 0.0;
    let found = knots.iter().find(|knot| {
        below += knot.weight;
        below >= share * total
    });
    found.or(knots.last()).map_or(0.0, |knot| knot.value)
}

/// Returns the quantile of the standard normal distribution at `p` in (0, 1), accurate to seven digits.
///
/// # Source
///
/// Wichura, "Algorithm AS 241", *Applied Statistics* 37(3), 1988, PPND7.
pub(super) fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * (((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9)
            / (((67.187_563_600 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0);
    }
    let r = (-ln(p.min(1.0 - p).max(f64::MIN_POSITIVE))).sqrt();
    let size = if r <= 5.0 {
        let r = r - 1.6;
        (((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r + 1.423_437_277_7)
            / ((0.120_211_329_75 * r + 0.737_001_642_50) * r + 1.0)
    } else {
        let r = r - 5.0;
        (((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386_0) * r + 6.657_905_115_0)
            / ((0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0)
    };
    if q < 0.0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ContinuousCDF as _, Normal};

    use super::*;

    #[test]
    fn normal_quantiles_agree_with_another_library() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        for p in [1e-14, 1e-9, 1e-4, 0.01, 0.07, 0.08, 0.3, 0.5, 0.6, 0.93, 0.999, 1.0 - 1e-8] {
            let (got, want) = (normal_quantile(p), normal.inverse_cdf(p));
            assert!((got - want).abs() < 1e-6 * want.abs().max(1.0), "{p}: {got} against {want}");
        }
    }
}
