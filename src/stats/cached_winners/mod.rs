//! Probability that each of several independent scores is the largest, on a fixed grid whose work is kept.
//!
//! Most posteriors do not change from one decision to the next. If panels lie on a fixed grid, the values of a score on
//! them depend on that score and the panels' length only, so a [`WinnerCache`] can keep them.
//!
//! Invariant: the cache never changes a result. Whatever it holds, and if its lock is taken, equal scores give equal
//! bits; only the time differs.
//!
//! Deliberately not here: several places, point masses, and scores whose spreads differ so much that they need a grid of
//! their own. [`Winners`](super::Winners) handles those.

use std::{
    cmp::Reverse,
    fmt,
    sync::{Arc, Mutex},
};

use super::{
    Marginal,
    lanes::{Nodes, total, wide},
    legendre::{NODES, RULE},
    winners::{CUT, cells},
};

/// Maximum number of scores that are kept, as each takes some kilobytes.
const SCORES_MAX: usize = 64;

/// Maximum number of panels. Scores whose spreads need more are faster on a grid of their own.
const PANELS_MAX: i64 = 64;

/// Least value of a distribution function, as the code divides by it. If even ten of them are that small, no score
/// wins there.
const LEAST: f64 = 1e-30;

/// Mask of the sign, the exponent and the first two digits of the mantissa of a panel's length.
const LENGTHS: u64 = 0xfffc_0000_0000_0000;

/// Cached quadrature on a fixed grid, kept from one call to the next. Clones share one cache.
///
/// # Examples
///
/// ```
/// use slotwise::stats::{Beta, BetaScore, WinnerCache};
///
/// let scores = [(30.0, 70.0), (35.0, 65.0)].map(|(a, b)| BetaScore::new(&Beta::new(a, b), 1.0));
/// let cache = WinnerCache::default();
/// let first = cache.probabilities(&scores).unwrap();
/// assert!(first[1] > first[0] && (first[0] + first[1] - 1.0).abs() < 1e-12);
/// // The second call reuses the work of the first and gives the same bits.
/// assert_eq!(cache.probabilities(&scores).unwrap(), first);
/// ```
pub struct WinnerCache<M: Marginal>(Arc<Mutex<PanelCache<M>>>);

impl<M: Marginal> WinnerCache<M> {
    /// Returns the probability that each of `scores` is the largest, with the error of [`Winners`](super::Winners), or
    /// `None` if these scores need a grid of their own.
    pub fn probabilities(&self, scores: &[M]) -> Option<Vec<f64>> {
        let mut own = None;
        let mut kept = self.0.try_lock().ok();
        // An empty cache gives the same result if another thread holds the lock.
        let panels = kept.as_deref_mut().unwrap_or_else(|| own.insert(PanelCache::default()));
        wide(
            #[inline(always)]
            || panels.probabilities(scores),
        )
    }
}

impl<M: Marginal> WinnerCache<M> {
    /// Returns `n` scores that `score` makes from the index and the score that the cache holds at that index.
    pub fn scores(&self, n: usize, score: impl Fn(usize, Option<&M>) -> M) -> Vec<M> {
        let kept = self.0.try_lock().ok();
        let columns = kept.as_ref().map_or(&[][..], |panels| &panels.columns);
        let known = |i: usize| columns.get(i).map(|column| &column.score);
        (0..n).map(|i| score(i, known(i))).collect()
    }
}

impl<M: Marginal> Default for WinnerCache<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Marginal> Clone for WinnerCache<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// All caches are equal, as their contents change no result.
impl<M: Marginal> PartialEq for WinnerCache<M> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<M: Marginal> fmt::Debug for WinnerCache<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WinnerCache")
    }
}

/// Values of a score on one panel.
///
/// `below` is its distribution function. `rate` is weight times density over `below`: multiplied by the distribution
/// function of the largest score it is the probability that the score wins there.
#[derive(Clone, Copy)]
struct PanelCell {
    below: Nodes,
    rate: Nodes,
}

impl PanelCell {
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn new(mass: &Nodes, below: &Nodes) -> Self {
        let mut cell = Self { below: [0.0; NODES], rate: [0.0; NODES] };
        for j in 0..NODES {
            // The rate is computed from the limited value, so the product of the two is as accurate as the mass.
            cell.below[j] = below[j].max(LEAST);
            cell.rate[j] = mass[j] / cell.below[j];
        }
        cell
    }
}

/// Cached state of a score.
struct ScoreColumn<M> {
    score: M,
    /// Panel that the support ends in.
    top: i64,
    /// Lowest panel with computed values; all panels from the top down to it have them. It is `top + 1` before the first.
    computed_down_to: i64,
    /// Probability above that panel's lower end.
    above: f64,
}

impl<M: Marginal> ScoreColumn<M> {
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn new(score: M, length: f64) -> Option<Self> {
        let top = panel_of(score.support().1, length)?;
        Some(Self { score, top, computed_down_to: top + 1, above: 0.0 })
    }
}

/// Values of all scores on one panel.
struct PanelRow<M: Marginal> {
    panel: i64,
    xs: Nodes,
    shared: M::Shared,
    /// One cell per score, valid from the column's top panel down to `computed_down_to`.
    cells: Vec<PanelCell>,
}

/// Cache of the values of scores on panels; panel `k` reaches from `k` times the length to `k + 1` times it.
struct PanelCache<M: Marginal> {
    /// Length of a panel. There are four lengths per octave, so that it rarely changes and the panels' ends are exact.
    length: f64,
    columns: Vec<ScoreColumn<M>>,
    /// Rows at the panel's number modulo the number of rows.
    rows: Vec<Option<PanelRow<M>>>,
    /// All scores, by descending top panel.
    order: Vec<usize>,
    /// Scores that can be the largest, in the same order.
    live: Vec<usize>,
    won: Vec<Nodes>,
    /// Panel on which the last integral ended.
    reached: i64,
}

impl<M: Marginal> Default for PanelCache<M> {
    fn default() -> Self {
        let (columns, rows, order, live, won) = Default::default();
        Self { length: 0.0, columns, rows, order, live, won, reached: 0 }
    }
}

/// Returns the panel that `x` lies in, or `None` if its number is too large.
#[expect(clippy::cast_possible_truncation, reason = "compared before")]
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn panel_of(x: f64, length: f64) -> Option<i64> {
    let panel = (x / length).floor();
    (panel.abs() < 1e15).then_some(panel as i64)
}

impl<M: Marginal> PanelCache<M> {
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn probabilities(&mut self, scores: &[M]) -> Option<Vec<f64>> {
        let (top, bottom) = self.lay(scores)?;
        let mut pmf = vec![0.0; scores.len()];
        self.integrate(top, bottom, &mut pmf);
        let total: f64 = pmf.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return None;
        }
        for p in &mut pmf {
            *p /= total;
        }
        Some(pmf)
    }

    /// Selects the scores that can win, and returns the top and the bottom panel of the integral.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn lay(&mut self, scores: &[M]) -> Option<(i64, i64)> {
        if scores.len() > SCORES_MAX || scores.iter().any(|score| score.point_mass().is_some()) {
            return None;
        }
        let low = scores.iter().map(|score| score.support().0).fold(f64::NEG_INFINITY, f64::max);
        let can_win = |score: &M| score.support().1 >= low;
        let panels = scores.iter().filter(|score| can_win(score)).map(Marginal::even_panel_length);
        let panel = panels.fold(f64::INFINITY, f64::min);
        if !panel.is_normal() {
            return None;
        }
        let length = f64::from_bits(panel.to_bits() & LENGTHS);
        let bottom = panel_of(low, length)?;
        self.keep(scores, length)?;
        self.live.clear();
        self.live.extend(self.order.iter().copied().filter(|&i| can_win(&scores[i])));
        let top = self.columns[*self.live.first()?].top;
        (top - bottom < PANELS_MAX).then_some((top, bottom))
    }

    /// Replaces the columns of scores that changed and keeps the others.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn keep(&mut self, scores: &[M], length: f64) -> Option<()> {
        if self.length.to_bits() != length.to_bits() || self.columns.len() != scores.len() {
            self.length = length;
            self.columns.clear();
            self.rows.clear();
            self.rows.resize_with(usize::try_from(PANELS_MAX).unwrap_or(0), || None);
            self.order.clear();
            self.order.extend(0..scores.len());
        }
        let mut moved = self.columns.len() != scores.len();
        for (i, &score) in scores.iter().enumerate() {
            if self.columns.get(i).is_some_and(|known| known.score == score) {
                continue;
            }
            let Some(column) = ScoreColumn::new(score, length) else {
                self.columns.clear();
                return None;
            };
            match self.columns.get_mut(i) {
                Some(known) => {
                    moved |= known.top != column.top;
                    *known = column;
                }
                None => self.columns.push(column),
            }
        }
        if moved {
            let columns = &self.columns;
            self.order.sort_unstable_by_key(|&i| (Reverse(columns[i].top), i));
        }
        Some(())
    }

    /// Adds up the winning probability of each score, panel after panel from the top downwards.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn integrate(&mut self, top: i64, bottom: i64, pmf: &mut [f64]) {
        self.make_rows(top, bottom);
        // Values are computed column by column down to the end of the last integral, and panel by panel from there on.
        self.reached = self.reached.clamp(bottom, top);
        self.fill(self.reached);
        self.won.clear();
        self.won.resize(self.live.len(), [0.0; NODES]);
        let mut begun = 0;
        let mut panel = top;
        loop {
            // Scores whose top panel is lower lie below with probability 1.
            while self.live.get(begun).is_some_and(|&i| self.columns[i].top >= panel) {
                begun += 1;
            }
            let live = &self.live[..begun];
            let Some(row) = &self.rows[place(panel)] else { break };
            let cells = row.cells.as_slice();
            let mut all = [1.0; NODES];
            for &i in live {
                let below = &cells[i].below;
                for j in 0..NODES {
                    all[j] *= below[j];
                }
            }
            for (&i, won) in live.iter().zip(self.won.iter_mut()) {
                let rate = &cells[i].rate;
                // A local copy tells the compiler that the arrays do not overlap, so it adds side by side.
                let mut sum = *won;
                for j in 0..NODES {
                    sum[j] += rate[j] * all[j];
                }
                *won = sum;
            }
            // All scores lie below the lowest node with this probability at most.
            if all[0] < CUT || panel == bottom {
                break;
            }
            panel -= 1;
            if panel < self.reached {
                self.fill(panel);
            }
        }
        self.reached = panel;
        for (&i, won) in self.live.iter().zip(&self.won) {
            pmf[i] = total(won);
        }
    }

    /// Makes a row for each of these panels.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn make_rows(&mut self, top: i64, bottom: i64) {
        for panel in bottom..=top {
            let row = &mut self.rows[place(panel)];
            if row.as_ref().is_some_and(|row| row.panel == panel) {
                continue;
            }
            if row.replace(PanelRow::new(panel, self.length, self.columns.len())).is_some() {
                // The row held another panel's values, which have to be computed again.
                for column in &mut self.columns {
                    (column.computed_down_to, column.above) = (column.top + 1, 0.0);
                }
            }
        }
    }

    /// Computes the missing values of the live columns down to `panel`.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn fill(&mut self, panel: i64) {
        for &i in &self.live {
            let column = &mut self.columns[i];
            while column.computed_down_to > panel {
                column.computed_down_to -= 1;
                let Some(row) = &mut self.rows[place(column.computed_down_to)] else { break };
                let (mass, below) = cells(&column.score, &row.xs, &row.shared, 0.5 * self.length, &mut column.above);
                row.cells[i] = PanelCell::new(&mass, &below);
            }
        }
    }
}

/// Returns the index of a panel's row.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn place(panel: i64) -> usize {
    usize::try_from(panel.rem_euclid(PANELS_MAX)).unwrap_or(0)
}

impl<M: Marginal> PanelRow<M> {
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn new(panel: i64, length: f64, scores: usize) -> Self {
        let from = panel as f64 * length;
        let xs: Nodes = RULE.nodes.map(|t| from + 0.5 * length * (t + 1.0));
        let nothing = PanelCell { below: [1.0; NODES], rate: [0.0; NODES] };
        Self { panel, xs, shared: M::shared(&xs), cells: vec![nothing; scores] }
    }
}

#[cfg(test)]
mod tests;
