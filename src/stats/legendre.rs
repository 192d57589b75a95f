//! Gauss–Legendre nodes on [−1, 1], and the matrix that integrates up to each of them.

use std::sync::LazyLock;

/// Nodes per panel: a polynomial of degree 15 is integrated exactly.
pub(super) const NODES: usize = 8;

/// Quadrature rule on [−1, 1].
pub(super) struct QuadratureRule {
    /// Positions of the nodes.
    pub(super) nodes: [f64; NODES],
    /// Weights of the nodes.
    pub(super) weights: [f64; NODES],
    /// `upto[j][i] = ∫₋₁^{xᵢ} ℓⱼ(t) dt` for the Lagrange basis ℓ on the nodes, so that
    /// `Σⱼ upto[j][i]·f(xⱼ)` is the integral of f from −1 to node i.
    pub(super) upto: [[f64; NODES]; NODES],
}

/// Rule that all integrals use, computed at its first use.
pub(super) static RULE: LazyLock<QuadratureRule> = LazyLock::new(rule);

/// Returns the Legendre polynomial of degree [`NODES`] and its derivative at `x`.
fn legendre(x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for n in 2..=NODES {
        let n = n as f64;
        (before, value) = (value, ((2.0 * n - 1.0) * x * value - (n - 1.0) * before) / n);
    }
    (value, NODES as f64 * (x * value - before) / (x * x - 1.0))
}

fn rule() -> QuadratureRule {
    let mut nodes = [0.0; NODES];
    let mut weights = [0.0; NODES];
    for i in 0..NODES {
        // Newton's method from Tricomi's first guess.
        let mut x = -super::math::cos(std::f64::consts::PI * (i as f64 + 0.75) / (NODES as f64 + 0.5));
        for _ in 0..20 {
            let (value, slope) = legendre(x);
            x -= value / slope;
        }
        let (_, slope) = legendre(x);
        nodes[i] = x;
        weights[i] = 2.0 / ((1.0 - x * x) * slope * slope);
    }
    let basis = |j: usize, t: f64| -> f64 {
        (0..NODES).filter(|&k| k != j).map(|k| (t - nodes[k]) / (nodes[j] - nodes[k])).product()
    };
    let mut upto = [[0.0; NODES]; NODES];
    for i in 0..NODES {
        // The rule moved to [−1, xᵢ] is exact for the basis.
        let half = 0.5 * (nodes[i] + 1.0);
        for j in 0..NODES {
            upto[j][i] = (0..NODES).map(|k| half * weights[k] * basis(j, half * (nodes[k] + 1.0) - 1.0)).sum();
        }
    }
    QuadratureRule { nodes, weights, upto }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly_whole_and_in_part() {
        let f = |x: f64| 3.0 * x.powi(7) - x.powi(4) + 0.25;
        let integral = |x: f64| 0.375 * x.powi(8) - 0.2 * x.powi(5) + 0.25 * x;
        let whole: f64 = (0..NODES).map(|i| RULE.weights[i] * f(RULE.nodes[i])).sum();
        assert!((whole - (integral(1.0) - integral(-1.0))).abs() < 1e-14);
        for i in 0..NODES {
            let part: f64 = (0..NODES).map(|j| RULE.upto[j][i] * f(RULE.nodes[j])).sum();
            assert!((part - (integral(RULE.nodes[i]) - integral(-1.0))).abs() < 1e-13);
        }
    }
}
