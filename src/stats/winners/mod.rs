//! Probability that each of several independent scores is the largest.

use super::{
    Marginal,
    lanes::{Nodes, total, wide},
    legendre::{NODES, RULE},
};

/// Maximum number of panels of a grid. Scores whose spreads differ by many powers of ten are then resolved less well;
/// the probabilities that are reported are still the ones that are drawn from.
const PANELS_MAX: usize = 600;

/// Number of panels for which memory is reserved at the start.
const PANELS_USUAL: usize = 16;

/// Probability below which the rest is negligible: the grid ends where the largest remaining score lies below it with
/// less than this probability.
pub(super) const CUT: f64 = 1e-9;

/// Distribution function below which a score does not win with any probability that counts. It keeps rates finite.
const BELOW_MIN: f64 = 1e-30;

/// Densities and distribution functions of all candidates on one grid.
///
/// `P(a is best) = ∫ φ_a(x) Π_{b≠a} Φ_b(x) dx = ∫ φ_a(x)/Φ_a(x) · Π_b Φ_b(x) dx` follows from them for any subset of the
/// candidates: the product is formed once for all of them.
///
/// The grid goes from the top downwards in panels of Gauss–Legendre nodes. Each panel is as long as the narrowest score
/// with mass there allows, and the grid ends where no candidate can win one of the first `places` places any more. Φ is
/// one minus the running integral of φ on the same nodes. With n nodes (some 40 for one place among equals) building
/// costs O(candidates · n) exponentials, and each call of [`probabilities`](Self::probabilities) costs
/// O(candidates · n) multiplications. The absolute error is below 1e-7, most often below 1e-9 (tested against golden
/// vectors, closed forms and brute force).
///
/// A score without spread is a point mass. Ties share their probability equally.
///
/// # Examples
///
/// ```
/// use slotwise::stats::{Beta, BetaScore, Winners};
///
/// // Two conversions in two views against one of two: P(Beta(3, 1) > Beta(2, 2)) = 4/5.
/// let scores = [BetaScore::new(&Beta::new(3.0, 1.0), 1.0), BetaScore::new(&Beta::new(2.0, 2.0), 1.0)];
/// let mut probabilities = [0.0; 2];
/// Winners::new(&scores, 1).probabilities(&[true, true], &mut probabilities);
/// assert!((probabilities[0] - 0.8).abs() < 1e-7);
/// assert!((probabilities[0] + probabilities[1] - 1.0).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Winners {
    candidates: usize,
    /// Candidates that can take one of the places, ascending. All others have probability zero.
    live: Vec<usize>,
    points: Vec<Option<f64>>,
    /// Positions of the nodes, panel after panel.
    nodes: Vec<Nodes>,
    /// Distribution functions, panel after panel, with one entry per live candidate in each panel.
    below: Vec<Nodes>,
    /// Weight times density, divided by the distribution function, in the same order.
    rates: Vec<Nodes>,
    /// Point values, each with the distribution function of every live candidate there.
    at_points: Vec<(f64, Vec<f64>)>,
}

impl Winners {
    /// Builds the grid for `marginals`, for drawing the first `places` ≥ 1 of them one after another.
    pub fn new<M: Marginal>(marginals: &[M], places: usize) -> Self {
        let points: Vec<Option<f64>> = marginals.iter().map(Marginal::point_mass).collect();
        let supports: Vec<(f64, f64)> =
            marginals.iter().zip(&points).map(|(m, p)| p.map_or_else(|| m.support(), |p| (p, p))).collect();
        let low = nth_largest(supports.iter().map(|s| s.0), places);
        let live: Vec<usize> = (0..marginals.len()).filter(|&i| supports[i].1 >= low).collect();
        let mut winners = Self {
            candidates: marginals.len(),
            points,
            nodes: Vec::new(),
            below: Vec::new(),
            rates: Vec::new(),
            at_points: Vec::new(),
            live,
        };
        let mut stretch = 1.0;
        while !wide(
            #[inline(always)]
            || winners.lay(marginals, &supports, low, places, stretch),
        ) {
            stretch *= 2.0;
        }
        winners.fill_points(marginals);
        winners
    }

    /// Builds the panels, each `stretch` times as long as it should be. Returns whether they were few enough.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn lay<M: Marginal>(
        &mut self,
        marginals: &[M],
        supports: &[(f64, f64)],
        low: f64,
        places: usize,
        stretch: f64,
    ) -> bool {
        self.nodes.clear();
        self.below.clear();
        self.rates.clear();
        let spread: Vec<usize> = self.live.iter().copied().filter(|&i| self.points[i].is_none()).collect();
        let high = spread.iter().map(|&i| supports[i].1).fold(f64::NEG_INFINITY, f64::max);
        let mut breaks: Vec<f64> = self.points.iter().flatten().copied().filter(|&p| p > low && p < high).collect();
        breaks.sort_by(f64::total_cmp);
        for rows in [&mut self.below, &mut self.rates] {
            rows.reserve(PANELS_USUAL * self.live.len());
        }
        let mut above = vec![0.0; self.live.len()];
        let mut left = Vec::with_capacity(self.live.len());
        let mut top = high;
        for _ in 0..PANELS_MAX {
            if top <= low || self.decided(&above, top, places, &mut left) {
                return true;
            }
            let mut bottom = low;
            for &i in &spread {
                let (lower, upper) = supports[i];
                if lower < top && top <= upper {
                    bottom = bottom.max(top - stretch * marginals[i].panel_length(top));
                } else if upper < top {
                    // A panel may reach a little into a tail that begins there.
                    bottom = bottom.max(upper - stretch * marginals[i].tail_reach());
                }
            }
            while breaks.last().is_some_and(|&point| point >= top) {
                breaks.pop();
            }
            bottom = bottom.max(breaks.last().copied().unwrap_or(low));
            // Panels shorter than the spacing of doubles would not make progress.
            bottom = if bottom < top { bottom } else { top.next_down().min(top - (high - low) * 1e-12) };
            self.add_panel(marginals, supports, bottom, top, &mut above);
            top = bottom;
        }
        false
    }

    /// Returns whether a candidate below `top` can win one of the first `places` with a negligible probability only.
    fn decided(&self, above: &[f64], top: f64, places: usize, below: &mut Vec<f64>) -> bool {
        let each = self.live.iter().zip(above);
        let of = |(&i, above): (&usize, &f64)| self.points[i].map_or(1.0 - above, |point| f64::from(point < top));
        if places == 1 {
            return each.map(of).product::<f64>() < CUT;
        }
        below.clear();
        below.extend(each.map(of));
        // Whichever candidates are drawn first, the remaining ones lie below with at most this probability.
        let taken = (places - 1).min(below.len());
        if taken > 0 && taken < below.len() {
            below.select_nth_unstable_by(taken, f64::total_cmp);
        }
        below[taken..].iter().product::<f64>() < CUT
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn add_panel<M: Marginal>(
        &mut self,
        marginals: &[M],
        supports: &[(f64, f64)],
        bottom: f64,
        top: f64,
        above: &mut [f64],
    ) {
        let half = 0.5 * (top - bottom);
        let xs: Nodes = RULE.nodes.map(|t| bottom + half * (t + 1.0));
        let shared = M::shared(&xs);
        self.nodes.push(xs);
        for (&i, above) in self.live.iter().zip(above) {
            let (lower, upper) = supports[i];
            let (mut mass, mut below) = ([0.0; NODES], [0.0; NODES]);
            if let Some(point) = self.points[i] {
                below = xs.map(|x| if x < point { 0.0 } else { 1.0 });
            } else if bottom >= upper {
                below = [1.0; NODES];
            } else if top > lower {
                (mass, below) = cells(&marginals[i], &xs, &shared, half, above);
            }
            let mut rates = [0.0; NODES];
            for j in 0..NODES {
                rates[j] = mass[j] / below[j].max(BELOW_MIN);
            }
            self.below.push(below);
            self.rates.push(rates);
        }
    }

    fn fill_points<M: Marginal>(&mut self, marginals: &[M]) {
        let mut values: Vec<f64> = self.live.iter().filter_map(|&i| self.points[i]).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        for value in values {
            let below = self
                .live
                .iter()
                .map(|&i| match self.points[i] {
                    Some(point) => f64::from(point <= value),
                    None => marginals[i].cdf(value).clamp(0.0, 1.0),
                })
                .collect();
            self.at_points.push((value, below));
        }
    }

    /// Writes into `out` the probability that each candidate is the largest of the `active` ones. The probabilities add up
    /// to 1, or to 0 if none is active.
    ///
    /// # Panics
    ///
    /// Panics if either slice does not have one entry per candidate.
    pub fn probabilities(&self, active: &[bool], out: &mut [f64]) {
        wide(
            #[inline(always)]
            || self.integrate(active, out),
        );
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn integrate(&self, active: &[bool], out: &mut [f64]) {
        assert!(active.len() == self.candidates && out.len() == self.candidates, "one entry per candidate");
        out.fill(0.0);
        let rows: Vec<usize> = (0..self.live.len()).filter(|&row| active[self.live[row]]).collect();
        if rows.is_empty() {
            // No candidate that can take a place is active, and the grid does not tell the others apart.
            share(active, out);
            return;
        }
        let mut won = vec![[0.0; NODES]; rows.len()];
        for (below, rates) in self.below.chunks_exact(self.live.len()).zip(self.rates.chunks_exact(self.live.len())) {
            let mut all = [1.0; NODES];
            for &row in &rows {
                for j in 0..NODES {
                    all[j] *= below[row][j];
                }
            }
            for (won, &row) in won.iter_mut().zip(&rows) {
                for j in 0..NODES {
                    won[j] += rates[row][j] * all[j];
                }
            }
            // Panels go downwards and nodes upwards. All active candidates lie below the lowest node with this probability,
            // so no lower panel can add more.
            if all[0] < CUT {
                break;
            }
        }
        for (won, &row) in won.iter().zip(&rows) {
            out[self.live[row]] = total(won);
        }
        self.add_points(&rows, out);
        let total: f64 = out.iter().sum();
        if total > 0.0 && total.is_finite() {
            for p in out.iter_mut() {
                *p /= total;
            }
        } else {
            share(active, out);
        }
    }

    /// Mean of the largest score, on the line on which the scores are compared, or 0 if there is none.
    pub fn largest(&self) -> f64 {
        let rows = self.live.len();
        let (mut sum, mut total) = (0.0, 0.0);
        for (panel, xs) in self.nodes.iter().enumerate() {
            let (rates, below) = (&self.rates[panel * rows..][..rows], &self.below[panel * rows..][..rows]);
            for (j, x) in xs.iter().enumerate() {
                // The density of the largest score is the sum of each density times all other distribution functions,
                // formed without a division.
                let (mut won, mut all) = (0.0, 1.0);
                for (rates, below) in rates.iter().zip(below) {
                    won = won * below[j] + rates[j] * below[j] * all;
                    all *= below[j];
                }
                sum += won * x;
                total += won;
            }
        }
        let top = self.live.iter().filter_map(|&i| self.points[i]).fold(f64::NEG_INFINITY, f64::max);
        if let Some((point, below)) = self.at_points.iter().find(|(value, _)| value.total_cmp(&top).is_eq()) {
            let chance: f64 = below.iter().product();
            sum += chance * point;
            total += chance;
        }
        if total > 0.0 { sum / total } else { 0.0 }
    }

    /// Adds the probability that the largest active point mass wins, which happens if all others stay below it.
    fn add_points(&self, rows: &[usize], out: &mut [f64]) {
        let top = rows.iter().filter_map(|&row| self.points[self.live[row]]).fold(f64::NEG_INFINITY, f64::max);
        let Some((_, below)) = self.at_points.iter().find(|(value, _)| value.total_cmp(&top).is_eq()) else {
            return;
        };
        let winners: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|&row| self.points[self.live[row]].is_some_and(|p| p.total_cmp(&top).is_eq()))
            .collect();
        let chance: f64 = rows.iter().map(|&row| below[row]).product();
        for &row in &winners {
            out[self.live[row]] = chance / winners.len() as f64;
        }
    }
}

/// Returns weight times density and the distribution function of a score at the nodes `xs` of a panel of half-length
/// `half`.
///
/// `above` is the probability above the panel's upper end before the call, and above its lower end after it.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
pub(super) fn cells<M: Marginal>(
    score: &M,
    xs: &Nodes,
    shared: &M::Shared,
    half: f64,
    above: &mut f64,
) -> (Nodes, Nodes) {
    let rule = &*RULE;
    let density = score.densities(xs, shared);
    let (mut mass, mut below) = ([0.0; NODES], [0.0; NODES]);
    for j in 0..NODES {
        mass[j] = rule.weights[j] * (half * density[j]);
    }
    *above += total(&mass);
    // The sum goes column by column, so that all nodes are added side by side.
    let (mut upto, mut odd) = ([0.0; NODES], [0.0; NODES]);
    for k in (0..NODES).step_by(2) {
        let (even_density, odd_density) = (half * density[k], half * density[k + 1]);
        for j in 0..NODES {
            upto[j] += even_density * rule.upto[k][j];
            odd[j] += odd_density * rule.upto[k + 1][j];
        }
    }
    let at_bottom = 1.0 - *above;
    for j in 0..NODES {
        below[j] = (at_bottom + (upto[j] + odd[j])).clamp(0.0, 1.0);
    }
    (mass, below)
}

/// Writes equal probabilities for the active candidates.
fn share(active: &[bool], out: &mut [f64]) {
    let count = active.iter().filter(|&&a| a).count();
    for (p, &a) in out.iter_mut().zip(active) {
        *p = if a { 1.0 / count as f64 } else { 0.0 };
    }
}

/// Returns the `n`-th largest value (1 is the largest), or the smallest if there are fewer.
fn nth_largest(values: impl Iterator<Item = f64>, n: usize) -> f64 {
    let mut values: Vec<f64> = values.collect();
    if values.is_empty() {
        return 0.0;
    }
    let index = n.clamp(1, values.len()) - 1;
    *values.select_nth_unstable_by(index, |a, b| b.total_cmp(a)).1
}

#[cfg(test)]
mod tests;
