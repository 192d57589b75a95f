//! Exponentials and logarithms of all nodes of a panel at once.
//!
//! The functions are plain arithmetic in loops of a fixed length, without a branch or a call. The compiler turns them
//! into the widest instructions that it may use; inside [`wide`] those are the processor's own, detected at run time.
//!
//! Invariant: every processor gives the same bits. Nothing is fused or reordered, and sums are lanes that are added in a
//! stated order, whatever the width.
//!
//! Deliberately not here: numbers that are not finite and results below the smallest normal number. Densities need
//! neither.

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use fearless_simd::{Level, Simd as _};

use super::legendre::NODES;

/// Numbers of the nodes of a panel, one per node.
pub(super) type Nodes = [f64; NODES];

const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
/// Number that, added to a number below 2⁵¹, leaves the nearest whole number in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;
const BIAS: u64 = 1023;

/// Runs `job` with the widest instructions of the processor. Only code that is inlined into `job` uses them.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub(super) fn wide<R>(job: impl FnOnce() -> R) -> R {
    let level = Level::new();
    let width = width();
    if let (Some(avx512), SimdWidth::Widest) = (level.as_avx512(), width) {
        return avx512.vectorize(job);
    }
    if let (Some(avx2), SimdWidth::Widest | SimdWidth::Avx2) = (level.as_avx2(), width) {
        return avx2.vectorize(job);
    }
    job()
}

/// Runs `job` as it is, as the compiler already uses everything that this processor family has.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub(super) fn wide<R>(job: impl FnOnce() -> R) -> R {
    job()
}

/// Limit on the width of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests set a limit"))]
pub(crate) enum SimdWidth {
    /// Widest instructions of the processor.
    Widest,
    /// Instructions for at most four numbers at once.
    Avx2,
    /// Instructions that every processor of the family has.
    Baseline,
}

#[cfg(not(test))]
fn width() -> SimdWidth {
    SimdWidth::Widest
}

#[cfg(test)]
use limit::width;

/// Limit on the width for one thread, with which tests compare the results of every width.
#[cfg(test)]
pub(crate) mod limit {
    use std::cell::Cell;

    use super::SimdWidth;

    thread_local! {
        static WIDTH: Cell<SimdWidth> = const { Cell::new(SimdWidth::Widest) };
    }

    pub(super) fn width() -> SimdWidth {
        WIDTH.get()
    }

    /// Runs `job` on this thread with instructions of at most this width.
    pub(crate) fn with_width_limit<R>(width: SimdWidth, job: impl FnOnce() -> R) -> R {
        WIDTH.set(width);
        let result = job();
        WIDTH.set(SimdWidth::Widest);
        result
    }
}

/// Returns eˣ within 2 units in the last place for |x| ≤ 708, and e^±708 beyond that.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn exp(x: f64) -> f64 {
    let x = x.clamp(-708.0, 708.0);
    // x = n·ln 2 + r with |r| ≤ ln 2 / 2 and eˣ = 2ⁿ·eʳ (Muller, "Elementary Functions", 3rd ed., section 11.2).
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // The remainder of Taylor's polynomial is below r¹³/13! < 2·10⁻¹⁶. Estrin's order lets no term wait for all others.
    let (r2, c) = (r * r, [0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5_040.0]);
    let d = [1.0 / 40_320.0, 1.0 / 362_880.0, 1.0 / 3_628_800.0, 1.0 / 39_916_800.0, 1.0 / 479_001_600.0];
    let (r4, low) = (r2 * r2, (c[0] + c[1] * r) * r2);
    let middle = (c[2] + c[3] * r) + (c[4] + c[5] * r) * r2;
    let high = (d[0] + d[1] * r) + (d[2] + d[3] * r) * r2 + d[4] * r4;
    let sum = 1.0 + (r + (low + r4 * (middle + r4 * high)));
    let power = f64::from_bits(rounded.to_bits().wrapping_add(BIAS) << 52);
    sum * power
}

/// Returns ln (1 + x) for x ≥ 0, within 4 units in the last place.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn ln_1p(x: f64) -> f64 {
    let y = 1.0 + x;
    // The rounding error of the sum; the slope of the logarithm there is 1/y.
    let lost = (x - (y - 1.0)) / y;
    let bits = y.to_bits();
    let mantissa = f64::from_bits((bits & MANTISSA) | (BIAS << 52));
    let exponent = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + BIAS as f64);
    let large = mantissa > std::f64::consts::SQRT_2;
    let mantissa = if large { 0.5 * mantissa } else { mantissa };
    let exponent = if large { exponent + 1.0 } else { exponent };
    // ln m = 2 artanh((m − 1)/(m + 1)), by its series. For |s| ≤ 0.1716 eleven terms leave less than 10⁻¹⁷.
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let square = s * s;
    let (t2, c) = (square * square, [2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0]);
    let (t4, d) = (t2 * t2, [2.0 / 13.0, 2.0 / 15.0, 2.0 / 17.0, 2.0 / 19.0, 2.0 / 21.0]);
    let low = (c[0] + c[1] * square) + (c[2] + c[3] * square) * t2;
    let high = (c[4] + d[0] * square) + (d[1] + d[2] * square) * t2 + (d[3] + d[4] * square) * t4;
    let sum = low + high * t4;
    let rest = s * square * sum + 2.0 * s;
    exponent * LN_2_HIGH + (rest + (exponent * LN_2_LOW + lost))
}

/// Returns the sum over the nodes, pair by pair.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
pub(super) fn total(of: &Nodes) -> f64 {
    let [a, b, c, d, e, f, g, h] = *of;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Returns eˣ at each node, within 2 units in the last place for |x| ≤ 708, and e^±708 beyond that.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
pub(super) fn exps(x: &Nodes) -> Nodes {
    let mut out = [0.0; NODES];
    for j in 0..NODES {
        out[j] = exp(x[j]);
    }
    out
}

/// Returns ln (1 + x) at each node, for x ≥ 0.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
pub(super) fn ln_1ps(x: &Nodes) -> Nodes {
    let mut out = [0.0; NODES];
    for j in 0..NODES {
        out[j] = ln_1p(x[j]);
    }
    out
}

/// Returns ln p and ln (1 − p) at each node, given its log odds.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
pub(super) fn ln_rates(log_odds: &Nodes) -> (Nodes, Nodes) {
    let mut size = [0.0; NODES];
    for j in 0..NODES {
        size[j] = -log_odds[j].abs();
    }
    let soft = ln_1ps(&exps(&size));
    let (mut p, mut q) = ([0.0; NODES], [0.0; NODES]);
    for j in 0..NODES {
        p[j] = log_odds[j].min(0.0) - soft[j];
        q[j] = -log_odds[j].max(0.0) - soft[j];
    }
    (p, q)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// Returns the error in units in the last place of `want`.
    fn off(got: f64, want: f64) -> f64 {
        (got - want).abs() / (want.abs() * f64::EPSILON)
    }

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut worst = 0.0_f64;
        for i in 0..20_000 {
            let reach = [1e-6, 1.0, 40.0, 708.0][i % 4];
            let x: Nodes = std::array::from_fn(|_| rng.random_range(-reach..=reach));
            let got = wide(|| exps(&x));
            for (got, x) in got.iter().zip(x) {
                worst = worst.max(off(*got, x.exp()));
            }
            assert_eq!(got.map(f64::to_bits), exps(&x).map(f64::to_bits), "the same without wide instructions");
        }
        assert!(worst <= 2.0, "{worst}");
        let ends = exps(&[-1e300, -709.0, -708.0, 0.0, 708.0, 709.0, 1e300, -0.0]);
        assert_eq!((ends[0], ends[3], ends[6]), (ends[2], 1.0, ends[4]));
        assert!(ends[0] > 0.0 && ends[0] < 1e-300 && ends[6] > 1e300 && ends[6].is_finite());
    }

    #[test]
    fn logarithms_are_those_of_the_standard_library() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut worst = 0.0_f64;
        for _ in 0..20_000 {
            let x: Nodes = std::array::from_fn(|_| rng.random_range(-40.0_f64..40.0).exp());
            let got = wide(|| ln_1ps(&x));
            for (got, x) in got.iter().zip(x) {
                worst = worst.max(off(*got, x.ln_1p()));
            }
            assert_eq!(got.map(f64::to_bits), ln_1ps(&x).map(f64::to_bits), "the same without wide instructions");
        }
        assert!(worst <= 4.0, "{worst}");
        assert_eq!(ln_1ps(&[0.0; NODES]).map(f64::to_bits), [0; NODES]);
    }

    #[test]
    fn log_odds_give_both_rates_however_small() {
        let x: Nodes = [-700.0, -40.0, -1.0, -1e-9, 1e-9, 1.0, 40.0, 700.0];
        let (p, q) = ln_rates(&x);
        for j in 0..NODES {
            let softplus = |t: f64| if t > 0.0 { t + (-t).exp().ln_1p() } else { t.exp().ln_1p() };
            assert!(off(p[j], -softplus(-x[j])) <= 4.0, "{} at {}", p[j], x[j]);
            assert!(off(q[j], -softplus(x[j])) <= 4.0, "{} at {}", q[j], x[j]);
        }
    }
}
