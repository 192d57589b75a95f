//! The distribution of one score, as the quadrature needs it.

use super::{
    Beta,
    lanes::{self, Nodes},
    legendre::NODES,
    math::{exp, exp_m1, ln},
    special::{beta_cdf, beta_cdf_at_log_odds, erfc, ln_beta, ln_gamma},
};

/// What lies outside a score's support on either side is 1e-10: this is its logarithm.
const LN_TAIL: f64 = -23.025_850_929_940_457;
/// The same for a rate, where 1e-11 lies outside.
const LN_RATE_TAIL: f64 = -25.328_436_022_934_504;
/// Where a log-concave density has fallen by this much from its mode, in nats, no more lies beyond.
const TAIL_FALL: f64 = 20.5;
/// [`TAIL_FALL`] over a·b/(a + b) is more than this where there were few observations.
const FEW: f64 = 0.5;
/// The same for a normal, in standard deviations.
const NORMAL_TAIL: f64 = 6.4;
/// Below this many times the magnitude of its mean a spread is rounding error: a point mass.
const POINT: f64 = 1e-13;

/// A continuous distribution over a line on which the scores of all candidates are compared.
///
/// The line need not be the reward's: any monotone map of it keeps who is best.
pub trait Marginal: Copy + PartialEq {
    /// What densities share at the nodes of a panel, computed once for all candidates.
    type Shared: Copy;

    /// The shared part at `xs`.
    fn shared(xs: &Nodes) -> Self::Shared;
    /// The densities at `xs`.
    fn densities(&self, xs: &Nodes, shared: &Self::Shared) -> Nodes;
    /// The distribution function at `x`.
    fn cdf(&self, x: f64) -> f64;
    /// Where the mass lies, but for a negligible rest on either side.
    fn support(&self) -> (f64, f64);
    /// How long a stretch around `x` a polynomial of degree 15 follows well.
    fn panel_length(&self, x: f64) -> f64;
    /// The length of panels that do wherever there is mass.
    fn even_panel_length(&self) -> f64;
    /// How far a panel that begins above the support may reach into it: there, hardly any mass lies.
    fn tail_reach(&self) -> f64 {
        0.45 * self.panel_length(self.support().1)
    }
    /// The value of a score without spread.
    fn point_mass(&self) -> Option<f64>;
}

/// `N(mean, std²)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalScore {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, not below zero.
    pub std: f64,
}

impl Marginal for NormalScore {
    type Shared = ();

    #[inline(always)]
    fn shared(_: &Nodes) {}

    #[inline(always)]
    fn densities(&self, xs: &Nodes, (): &()) -> Nodes {
        const INV_SQRT_TAU: f64 = 0.398_942_280_401_432_7;
        let inverse = 1.0 / self.std;
        let mut power = [0.0; NODES];
        for j in 0..NODES {
            let z = (xs[j] - self.mean) * inverse;
            power[j] = -0.5 * z * z;
        }
        lanes::exps(&power).map(|of| INV_SQRT_TAU * inverse * of)
    }

    fn cdf(&self, x: f64) -> f64 {
        0.5 * erfc((self.mean - x) / (self.std * std::f64::consts::SQRT_2))
    }

    fn support(&self) -> (f64, f64) {
        (self.mean - NORMAL_TAIL * self.std, self.mean + NORMAL_TAIL * self.std)
    }

    fn panel_length(&self, _: f64) -> f64 {
        2.0 * self.std
    }

    fn even_panel_length(&self) -> f64 {
        2.0 * self.std
    }

    fn point_mass(&self) -> Option<f64> {
        (self.std <= POINT * self.mean.abs() || self.std < f64::MIN_POSITIVE).then_some(self.mean)
    }
}

/// A Beta, on the line of log odds: there its density is smooth for every a and b.
#[derive(Debug, Clone, Copy)]
pub struct BetaScore {
    a: f64,
    b: f64,
    ln_norm: f64,
    /// The mode of the log odds' density.
    centre: f64,
    /// By the curvature there.
    scale: f64,
    support: (f64, f64),
    point: Option<f64>,
    mean: f64,
    std: f64,
    /// The posterior's a and b and the width that it was made of.
    made_of: [f64; 3],
}

/// Where the mass of a Beta with a, b ≥ 1 lies on the line of rates, but for a negligible rest.
pub(super) fn rate_support(a: f64, b: f64) -> (f64, f64) {
    let ln_norm = ln_beta(a, b);
    let end = |a: f64| exp((LN_RATE_TAIL + ln(a) + ln_norm) / a);
    // As for the log odds below; that bound is far too wide for the lower end of a large b, and Chernoff's for a
    // sub-Gaussian with variance 1/(4(a + b + 1)) is not.
    let (mean, reach) = (a / (a + b), NORMAL_TAIL * 1.1 / (2.0 * (a + b + 1.0).sqrt()));
    (end(a).max(mean - reach), (1.0 - end(b)).min(mean + reach))
}

/// The distribution function of a Beta, anywhere.
pub(super) fn rate_cdf(a: f64, b: f64, rate: f64) -> f64 {
    beta_cdf(a, b, rate)
}

/// All else follows.
impl PartialEq for BetaScore {
    fn eq(&self, other: &Self) -> bool {
        self.same(other.a, other.b) && self.point == other.point
    }
}

impl BetaScore {
    /// The least a + b that widening leaves: wider than this it would be a coin between 0 and 1.
    const TOTAL_MIN: f64 = 0.05;

    /// `posterior` with its standard deviation times `width` ≥ 0, the mean as it is.
    ///
    /// A Beta's variance is at most mean·(1 − mean); a width that asks for more gets almost that.
    pub fn new(posterior: &Beta, width: f64) -> Self {
        let (a, b) = (posterior.a(), posterior.b());
        let std = width * posterior.variance().sqrt();
        let score = Self::about(posterior.mean(), (a + b + 1.0) / (width * width) - 1.0, std);
        Self { made_of: [a, b, width], ..score }
    }

    /// The same, where `known` may be it already.
    pub fn known_or_new(posterior: &Beta, width: f64, known: Option<&Self>) -> Self {
        let of = [posterior.a(), posterior.b(), width];
        let same = |known: &&Self| known.made_of.iter().zip(of).all(|(known, of)| known.total_cmp(&of).is_eq());
        known.filter(same).copied().unwrap_or_else(|| Self::new(posterior, width))
    }

    /// The rate that is expected.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation of that expectation, as it was asked for.
    pub fn std(&self) -> f64 {
        self.std
    }

    fn same(&self, a: f64, b: f64) -> bool {
        self.a.total_cmp(&a).is_eq() && self.b.total_cmp(&b).is_eq()
    }

    /// The one with this mean, in (0, 1), and a + b about `total`; `std` is what was asked for.
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
        // By the mode of the log odds' density, ln (a/b), its logarithm falls at least as
        // a·b/(a + b)·(e^−|s| − 1 + |s|) ≥ a·b/(a + b)·s²/(2 + |s|) does (self-concordance: Bach, "Self-concordant
        // analysis for logistic regression", 2010, lemma 1), and beyond there it is log-concave.
        let centre = ln_a - ln_b;
        let fall = TAIL_FALL * (a + b) / (a * b);
        let reach = 0.5 * (fall + (fall * (fall + 8.0)).sqrt());
        let (mut lower, mut upper) = (centre - reach, centre + reach);
        if fall > FEW {
            // F(x) ≤ xᵃ/(a·B) for b ≥ 1, and nearly so else; the mirror image on the right. Of many observations that
            // bound is far too wide.
            lower = lower.max(log_odds((LN_TAIL + ln_a + ln_norm) / a));
            upper = upper.min(-log_odds((LN_TAIL + ln_b + ln_norm) / b));
        }
        let scale = ((a + b) / (a * b)).sqrt();
        Self { ln_norm, centre, scale, support: (lower, upper), ..score }
    }

    /// The Beta whose mean is `mean` instead, in (0, 1), and whose standard deviation is `factor` > 0 times this one's.
    ///
    /// One that asks for more than a Beta of that mean can have gets almost that.
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

/// The log odds of a probability given by its logarithm.
fn log_odds(ln_p: f64) -> f64 {
    let ln_p = ln_p.min(-1e-12);
    ln_p - ln(-exp_m1(ln_p))
}

impl Marginal for BetaScore {
    /// ln p and ln (1 − p).
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
        // A wide one bends as the logistic does between its mode and even odds, on the scale of one; further out it is
        // an exponential.
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

/// Student's t with location and scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudentScore {
    location: f64,
    scale: f64,
    degrees: f64,
    ln_norm: f64,
    reach: f64,
}

impl StudentScore {
    /// Location, scale ≥ 0 and degrees of freedom > 0.
    pub fn new(location: f64, scale: f64, degrees: f64) -> Self {
        let ln_norm = ln_gamma(0.5 * (degrees + 1.0))
            - ln_gamma(0.5 * degrees)
            - 0.5 * ln(degrees * std::f64::consts::PI)
            - ln(scale);
        // The tail beyond t is at most exp(ln_norm)·ν^((ν−1)/2)·t^−ν in units of the scale: solved for t;
        // near the normal that bound is far too wide, and Chernoff's is not.
        let power = exp((ln_norm + ln(scale) - LN_TAIL) / degrees + 0.5 * ln(degrees) * (degrees - 1.0) / degrees);
        let reach = if degrees > 200.0 { power.min(NORMAL_TAIL * 1.2) } else { power.max(NORMAL_TAIL) };
        Self { location, scale, degrees, ln_norm, reach }
    }

    /// [`new`](Self::new), where `known` may be it already.
    pub fn known_or_new(location: f64, scale: f64, degrees: f64, known: Option<&Self>) -> Self {
        let is = |known: f64, asked: f64| known.total_cmp(&asked).is_eq();
        let same = |k: &&Self| is(k.location, location) && is(k.scale, scale) && is(k.degrees, degrees);
        known.filter(same).copied().unwrap_or_else(|| Self::new(location, scale, degrees))
    }

    /// The reward that is expected.
    pub fn mean(&self) -> f64 {
        self.location
    }

    /// The scale, reward.
    pub fn std(&self) -> f64 {
        self.scale
    }

    /// The same elsewhere, with its scale times `factor` > 0.
    #[must_use]
    pub fn moved_to(self, location: f64, factor: f64) -> Self {
        Self::new(location, factor * self.scale, self.degrees)
    }

    /// The same with `by` added to it.
    #[must_use]
    pub fn moved(self, by: f64) -> Self {
        Self { location: self.location + by, ..self }
    }

    fn z(&self, x: f64) -> f64 {
        (x - self.location) / self.scale
    }
}

impl Marginal for StudentScore {
    type Shared = ();

    #[inline(always)]
    fn shared(_: &Nodes) {}

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn densities(&self, xs: &Nodes, (): &()) -> Nodes {
        let (inverse, per_degree) = (1.0 / self.scale, 1.0 / self.degrees);
        let mut square = [0.0; NODES];
        for j in 0..NODES {
            let z = (xs[j] - self.location) * inverse;
            square[j] = z * z * per_degree;
        }
        let mut power = lanes::ln_1ps(&square);
        for j in 0..NODES {
            power[j] = self.ln_norm - 0.5 * (self.degrees + 1.0) * power[j];
        }
        lanes::exps(&power)
    }

    fn cdf(&self, x: f64) -> f64 {
        let z = self.z(x);
        let tail = 0.5 * beta_cdf(0.5 * self.degrees, 0.5, self.degrees / (self.degrees + z * z));
        if z > 0.0 { 1.0 - tail } else { tail }
    }

    fn support(&self) -> (f64, f64) {
        (self.location - self.reach * self.scale, self.location + self.reach * self.scale)
    }

    fn panel_length(&self, x: f64) -> f64 {
        self.scale * (0.5 * self.z(x).abs()).max(2.0)
    }

    fn even_panel_length(&self) -> f64 {
        2.0 * self.scale
    }

    fn point_mass(&self) -> Option<f64> {
        (self.scale <= POINT * self.location.abs() || self.scale < f64::MIN_POSITIVE).then_some(self.location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_scales_the_standard_deviation_and_keeps_the_mean() {
        let posterior = Beta::new(30.0, 70.0);
        let wide = BetaScore::new(&posterior, 1.7);
        let widened = Beta::new(wide.a, wide.b);
        assert!((widened.mean() - posterior.mean()).abs() < 1e-12);
        assert!((widened.variance().sqrt() / posterior.variance().sqrt() - 1.7).abs() < 1e-9);
        assert!((wide.mean() - 0.3).abs() < 1e-12 && (wide.std() / widened.variance().sqrt() - 1.0).abs() < 1e-9);
        assert!(BetaScore::new(&posterior, 0.0).point_mass().is_some());
    }

    /// Two of them differ in one thing each, others in none, and some by so wide a spread that they are the same Beta.
    #[test]
    fn a_score_that_is_known_is_taken_only_for_the_posterior_and_width_that_it_was_made_of() {
        let all = |score: &BetaScore| {
            let BetaScore { a, b, ln_norm, centre, scale, support, point, mean, std, made_of } = *score;
            let [from_a, from_b, width] = made_of;
            let of = [a, b, ln_norm, centre, scale, support.0, support.1, mean, std, from_a, from_b, width];
            (of.map(f64::to_bits), point.map(f64::to_bits))
        };
        let made_of = [(30.0, 70.0, 1.0), (30.0, 71.0, 1.0), (31.0, 70.0, 1.0), (30.0, 70.0, 0.5), (30.0, 70.0, 0.0)];
        let wide = [(30.0, 70.0, 80.0), (30.0, 70.0, 90.0), (60.0, 140.0, 90.0)];
        for &(a, b, width) in made_of.iter().chain(&wide) {
            let new = BetaScore::new(&Beta::new(a, b), width);
            for &(a, b, width) in made_of.iter().chain(&wide) {
                let (posterior, moved) = (Beta::new(a, b), new.moved_to(a / (a + b), 1.0));
                for known in [new, moved] {
                    let got = BetaScore::known_or_new(&posterior, width, Some(&known));
                    assert_eq!(all(&got), all(&BetaScore::new(&posterior, width)), "{a} {b} {width} {known:?}");
                }
            }
        }
    }

    #[test]
    fn a_moved_rate_has_the_mean_and_the_spread_that_were_asked_for() {
        let posterior = Beta::new(30.0, 70.0);
        for (mean, factor) in [(0.33, 1.1), (0.15, 0.5), (0.6, 2.0)] {
            let moved = BetaScore::new(&posterior, 1.0).moved_to(mean, factor);
            let beta = Beta::new(moved.a, moved.b);
            assert!((beta.mean() - mean).abs() < 1e-12);
            assert!((beta.variance().sqrt() / posterior.variance().sqrt() - factor).abs() < 1e-9);
            assert!((moved.mean() - mean).abs() < 1e-12);
            assert!((moved.std() / beta.variance().sqrt() - 1.0).abs() < 1e-9);
        }
        // A hundred times the spread is more than a rate can have: nearly a coin.
        let coin = BetaScore::new(&posterior, 1.0).moved_to(0.5, 100.0);
        assert!((coin.a + coin.b - BetaScore::TOTAL_MIN).abs() < 1e-12);
        let point = BetaScore::new(&posterior, 0.0).moved_to(0.6, 2.0);
        assert!((point.point_mass().unwrap() - 1.5_f64.ln()).abs() < 1e-9, "what is certain stays so");
    }
}
