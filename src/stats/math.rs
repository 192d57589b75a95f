//! Elementary functions that give the same bits on every processor.
//!
//! The methods of `f64` call the platform's C library, which picks its code by the processor at hand: with fused
//! multiply-add the last digit of `exp` or `ln` is often another one than without. State and propensities must not
//! depend on that, so everything in `stats`, `bandit`, `slot`, `engine` and `environment` calls these functions. They
//! come from `libm`, a translation of musl's library that uses additions, multiplications, divisions and square roots
//! only, each of which IEEE 754 rounds to one result. Clippy forbids the others (`.clippy.toml`).
//!
//! Deliberately not here: `sqrt`, `abs`, `floor`, `ceil` and the four operations. They are exact everywhere.

/// Returns eˣ.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// Returns 2ˣ.
pub fn exp2(x: f64) -> f64 {
    libm::exp2(x)
}

/// Returns eˣ − 1, also where eˣ is almost 1.
pub fn exp_m1(x: f64) -> f64 {
    libm::expm1(x)
}

/// Returns the natural logarithm.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Returns ln (1 + x), also where x is almost 0.
pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// Returns the logarithm to base 2.
pub fn log2(x: f64) -> f64 {
    libm::log2(x)
}

/// Returns the cosine.
pub fn cos(x: f64) -> f64 {
    libm::cos(x)
}

/// Returns the sine.
pub fn sin(x: f64) -> f64 {
    libm::sin(x)
}

/// Returns √(x² + y²), without overflow on the way.
pub fn hypot(x: f64, y: f64) -> f64 {
    libm::hypot(x, y)
}

/// Returns x².
#[inline]
pub fn square(x: f64) -> f64 {
    x * x
}

/// Returns xⁿ by squaring, always in the same order.
pub fn power(x: f64, mut n: u32) -> f64 {
    let (mut result, mut factor) = (1.0, x);
    while n > 0 {
        if n & 1 == 1 {
            result *= factor;
        }
        factor *= factor;
        n >>= 1;
    }
    result
}

/// Returns the logistic function, 1/(1 + e⁻ˣ).
pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits as they were first. If they change, every journal gives another state.
    #[test]
    fn values_are_the_same_everywhere() {
        let got = [
            exp(1.1),
            exp2(-0.3),
            exp_m1(1e-5),
            ln(3.7),
            ln_1p(1e-5),
            log2(9.9),
            cos(12.3),
            hypot(1.1, 2.3),
            sin(12.3),
        ];
        let want = EXPECTED.map(f64::from_bits);
        assert_eq!(got.map(f64::to_bits), EXPECTED, "{got:?} and not {want:?}");
    }

    const EXPECTED: [u64; 9] = [
        0x4008_0888_3244_d593,
        0x3fe9_fdf8_bcce_533e,
        0x3ee4_f8bc_681c_dfb6,
        0x3ff4_eeee_650a_e550,
        0x3ee4_f8ae_a9ae_7317,
        0x400a_759d_162c_7739,
        0x3fee_df16_f066_a376,
        0x4004_6565_5f12_2ff6,
        0xbfd0_d8ca_27cb_c045,
    ];

    #[test]
    fn powers_are_products() {
        for (base, exponent, product) in [(3.0, 0, 1.0), (3.0, 1, 3.0), (3.0, 5, 243.0), (-2.0, 3, -8.0_f64)] {
            assert_eq!(power(base, exponent).to_bits(), product.to_bits());
        }
        assert!((logistic(0.3) + logistic(-0.3) - 1.0).abs() < 1e-15);
    }
}
