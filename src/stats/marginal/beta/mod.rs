//! Scores that follow a Beta distribution, compared by their log odds.

use super::{LN_TAIL, Marginal, NORMAL_TAIL};
use crate::stats::{
    Beta,
    lanes::{self, Nodes},
    legendre::NODES,
    math::{exp, exp_m1, ln},
    special::{beta_cdf, beta_cdf_at_log_odds, ln_beta},
};

/// Logarithm of the probability that lies outside the support on the line of rates on either side, 1e-11.
const LN_RATE_TAIL: f64 = -25.328_436_022_934_504;
/// Fall from the mode, in nats, beyond which a log-concave density holds only a negligible rest.
const TAIL_FALL: f64 = 20.5;
/// Value that [`TAIL_FALL`] over a·b/(a + b) exceeds if there were few observations.
const FEW: f64 = 0.5;

/// Score that follows a Beta distribution, on the line of log odds, where its density is smooth for every a and b.
#[derive(Debug, Clone, Copy)]
pub struct BetaScore {
    a: f64,
    b: f64,
    ln_norm: f64,
    /// Mode of the density of the log odds.
    centre: f64,
    /// Scale of the density, from the curvature at the mode.
    scale: f64,
    support: (f64, f64),
    point: Option<f64>,
    mean: f64,
    std: f64,
    /// Parameters a and b of the posterior and the width that the score was made from.
    made_of: [f64; 3],
}

/// Returns the interval on the line of rates that holds the mass of a Beta with a, b ≥ 1, except for a negligible rest.
pub(in crate::stats) fn rate_support(a: f64, b: f64) -> (f64, f64) {
    let ln_norm = ln_beta(a, b);
    let end = |a: f64| exp((LN_RATE_TAIL + ln(a) + ln_norm) / a);
    // The bound is that of the log odds below. It is far too wide for the lower end of a large b, where Chernoff's bound
    // for a sub-Gaussian with variance 1/(4(a + b + 1)) is tight.
    let (mean, reach) = (a / (a + b), NORMAL_TAIL * 1.1 / (2.0 * (a + b + 1.0).sqrt()));
    (end(a).max(mean - reach), (1.0 - end(b)).min(mean + reach))
}

/// Returns the distribution function of a Beta at any real number.
pub(in crate::stats) fn rate_cdf(a: f64, b: f64, rate: f64) -> f64 {
    beta_cdf(a, b, rate)
}

/// Compares the distributions; every other field either follows from a, b and the point mass or records their origin.
impl PartialEq for BetaScore {
    fn eq(&self, other: &Self) -> bool {
        self.same(other.a, other.b) && self.point == other.point
    }
}

impl BetaScore {
    /// Least a + b that widening leaves. A wider score would be a coin between 0 and 1.
    const TOTAL_MIN: f64 = 0.05;

    /// Creates the score of `posterior` with its standard deviation multiplied by `width` ≥ 0 and its mean unchanged.
    ///
    /// The variance of a Beta is at most mean·(1 − mean). A width that asks for more gets almost that.
    pub fn new(posterior: &Beta, width: f64) -> Self {
        let (a, b) = (posterior.a(), posterior.b());
        let std = width * posterior.variance().sqrt();
        let score = Self::about(posterior.mean(), (a + b + 1.0) / (width * width) - 1.0, std);
        Self { made_of: [a, b, width], ..score }
    }

    /// Returns `known` if it was made from this posterior and width, or [`new`](Self::new) otherwise.
    pub fn known_or_new(posterior: &Beta, width: f64, known: Option<&Self>) -> Self {
        let of = [posterior.a(), posterior.b(), width];
        let same = |known: &&Self| known.made_of.iter().zip(of).all(|(known, of)| known.total_cmp(&of).is_eq());
        known.filter(same).copied().unwrap_or_else(|| Self::new(posterior, width))
    }

    /// Expected rate.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Standard deviation as it was asked for.
    pub fn std(&self) -> f64 {
        self.std
    }

    fn same(&self, a: f64, b: f64) -> bool {
        self.a.total_cmp(&a).is_eq() && self.b.total_cmp(&b).is_eq()
    }

    /// Returns the score with this mean in (0, 1) and with a + b about `total`. `std` is the standard deviation as it was
    /// asked for.
    fn about(mean: f64, total: f64, std: f64) -> Self {
        let at_least = total.max(Self::TOTAL_MIN);
        let (a, b) = (mean * at_least, (1.0 - mean) * at_least);
        let (none, made_of) = (0.0, [f64::NAN; 3]);
        let score = Self {
            a,
            b,
            ln_norm: none,
            centre: none,
            scale: none,
            support: (none, none),
            point: None,
            mean,
            std,
            made_of,
        };
        if !total.is_finite() || total > 1e15 {
            return Self { point: Some(ln(mean / (1.0 - mean))), ..score };
        }
        let ln_norm = ln_beta(a, b);
        let (ln_a, ln_b) = (ln(a), ln(b));
        // The logarithm of the log odds' density falls from its mode ln (a/b) to distance s by at least a·b/(a +
        // b)·(e^−|s| − 1 + |s|) ≥ a·b/(a + b)·s²/(2 + |s|) (self-concordance: Bach, "Self-concordant analysis for
        // logistic regression", 2010, lemma 1), and beyond there it is log-concave.
        let centre = ln_a - ln_b;
        let fall = TAIL_FALL * (a + b) / (a * b);
        let reach = 0.5 * (fall + (fall * (fall + 8.0)).sqrt());
        let (mut lower, mut upper) = (centre - reach, centre + reach);
        if fall > FEW {
            // F(x) ≤ xᵃ/(a·B) for b ≥ 1, and nearly so otherwise; the mirror image holds on the right. For many
            // observations that bound is far too wide.
            lower = lower.max(log_odds((LN_TAIL + ln_a + ln_norm) / a));
            upper = upper.min(-log_odds((LN_TAIL + ln_b + ln_norm) / b));
        }
        let scale = ((a + b) / (a * b)).sqrt();
        Self { ln_norm, centre, scale, support: (lower, upper), ..score }
    }

    /// Returns the score with the mean `mean` in (0, 1) and with `factor` > 0 times this score's standard deviation.
    ///
    /// If a Beta of that mean cannot have such a deviation, it gets almost the largest one.
    #[must_use]
    pub fn moved_to(&self, mean: f64, factor: f64) -> Self {
        let std = factor * self.std;
        if self.point.is_some() {
            return Self::about(mean, f64::INFINITY, std);
        }
        let total = self.a + self.b;
        let was = self.a / total;
        Self::about(mean, mean * (1.0 - mean) * (total + 1.0) / (factor * factor * was * (1.0 - was)) - 1.0, std)
    }
}

/// Returns the log odds of a probability given by its logarithm.
fn log_odds(ln_p: f64) -> f64 {
    let ln_p = ln_p.min(-1e-12);
    ln_p - ln(-exp_m1(ln_p))
}

impl Marginal for BetaScore {
    /// The values ln p and ln (1 − p) of a rate p.
    type Shared = (Nodes, Nodes);

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn shared(xs: &Nodes) -> (Nodes, Nodes) {
        lanes::ln_rates(xs)
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn densities(&self, _: &Nodes, (ln_p, ln_q): &(Nodes, Nodes)) -> Nodes {
        let mut power = [0.0; NODES];
        for j in 0..NODES {
            power[j] = self.a * ln_p[j] + self.b * ln_q[j] - self.ln_norm;
        }
        lanes::exps(&power)
    }

    fn cdf(&self, x: f64) -> f64 {
        beta_cdf_at_log_odds(self.a, self.b, x)
    }

    fn support(&self) -> (f64, f64) {
        self.support
    }

    fn panel_length(&self, x: f64) -> f64 {
        // A wide density bends as the logistic function does between its mode and even odds, on the scale of one.
        // Further out it is an exponential.
        let beyond = (x - self.centre.max(0.0)).max(self.centre.min(0.0) - x).max(0.0);
        (2.0 * self.scale).min(1.5 + 0.75 * beyond)
    }

    fn even_panel_length(&self) -> f64 {
        (2.0 * self.scale).min(1.5)
    }

    fn point_mass(&self) -> Option<f64> {
        self.point
    }
}

#[cfg(test)]
mod tests;
