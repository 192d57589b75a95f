//! The probability of each of several independent scores to be the largest, on a grid that stays where it is.
//!
//! From one decision to the next most posteriors are the same. Where panels lie on a fixed panels, what a score comes
//! to on them depends on that score and the panels' length alone, so that it can be kept: [`WinnerCache`].
//!
//! Invariant: what is kept changes no bit of any answer. An answer follows from the scores; a cache that is empty, full,
//! of other scores or in use by somebody else gives the same one, sooner or later.
//!
//! Deliberately not here: several places, point masses and scores whose spreads differ by so much that they need a grid
//! of their own; see [`Winners`](super::Winners).

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

/// More scores than that are not kept: each takes some kilobytes.
const SCORES_MAX: usize = 64;

/// No more panels: scores whose spreads differ that much are better off on a grid of their own.
const PANELS_MAX: i64 = 64;

/// A distribution function is divided by, so it is taken for no less; where even ten of them are that small nobody wins.
const LEAST: f64 = 1e-30;

/// Sign, exponent and the first two digits of the mantissa.
const LENGTHS: u64 = 0xfffc_0000_0000_0000;

/// What scores come to, kept from one call to the next; a copy shares it.
pub struct WinnerCache<M: Marginal>(Arc<Mutex<PanelCache<M>>>);

impl<M: Marginal> WinnerCache<M> {
    /// For each of `scores` the probability that it is the largest, with the error of [`Winners`](super::Winners); none: these
    /// scores take a grid of their own.
    pub fn probabilities(&self, scores: &[M]) -> Option<Vec<f64>> {
        let mut own = None;
        let mut kept = self.0.try_lock().ok();
        // In use by somebody else: begun anew it says the same.
        let panels = kept.as_deref_mut().unwrap_or_else(|| own.insert(PanelCache::default()));
        wide(
            #[inline(always)]
            || panels.probabilities(scores),
        )
    }
}

impl<M: Marginal> WinnerCache<M> {
    /// `n` scores; `score` makes each of its index and of what stood there the last time, in case that is the same.
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

/// Whatever is kept, they say the same.
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

/// A score on one panel: its distribution function, and weight times density over that, which times the distribution
/// function of the largest of all is what it wins.
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
            // The same in both, so that their product is as good as the mass is.
            cell.below[j] = below[j].max(LEAST);
            cell.rate[j] = mass[j] / cell.below[j];
        }
        cell
    }
}

/// What is known of a score.
struct ScoreColumn<M> {
    score: M,
    /// The panel that its support ends in.
    top: i64,
    /// The lowest panel that it was computed on, of all from its top on; one more than that before the first.
    computed_down_to: i64,
    /// The probability above that panel's lower end.
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

/// All scores on one panel.
struct PanelRow<M: Marginal> {
    panel: i64,
    xs: Nodes,
    shared: M::Shared,
    /// By score; good from its column's top down to where that is computed_down_to.
    cells: Vec<PanelCell>,
}

/// Panels from `k` times their length to `k + 1` times it.
struct PanelCache<M: Marginal> {
    /// Four to an octave, so that it is the same for long, and a panel's ends are exact.
    length: f64,
    columns: Vec<ScoreColumn<M>>,
    /// By the panel's number modulo how many there are.
    rows: Vec<Option<PanelRow<M>>>,
    /// All scores in the order in which they begin.
    order: Vec<usize>,
    /// Those of them that can be the largest, likewise.
    live: Vec<usize>,
    won: Vec<Nodes>,
    /// The panel that the last integral ended on.
    reached: i64,
}

impl<M: Marginal> Default for PanelCache<M> {
    fn default() -> Self {
        let (columns, rows, order, live, won) = Default::default();
        Self { length: 0.0, columns, rows, order, live, won, reached: 0 }
    }
}

/// The panel that `x` lies in; none: there are too many.
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

    /// Says which scores are looked at, and from which panel down to which.
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

    /// Keeps what is still good.
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

    /// Adds up on panel after panel, from the top downwards, what each wins where all others lie below.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn integrate(&mut self, top: i64, bottom: i64, pmf: &mut [f64]) {
        self.make_rows(top, bottom);
        // ScoreColumn by column as far down as the last time, and from there on panel by panel.
        self.reached = self.reached.clamp(bottom, top);
        self.fill(self.reached);
        self.won.clear();
        self.won.resize(self.live.len(), [0.0; NODES]);
        let mut begun = 0;
        let mut panel = top;
        loop {
            // What has not begun lies below.
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
                // Not in place: what might lie on each other is not added side by side.
                let mut sum = *won;
                for j in 0..NODES {
                    sum[j] += rate[j] * all[j];
                }
                *won = sum;
            }
            // Everybody lies below the lowest node with no more than this probability.
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

    /// A row for each of these panels.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn make_rows(&mut self, top: i64, bottom: i64) {
        for panel in bottom..=top {
            let row = &mut self.rows[place(panel)];
            if row.as_ref().is_some_and(|row| row.panel == panel) {
                continue;
            }
            if row.replace(PanelRow::new(panel, self.length, self.columns.len())).is_some() {
                // Its place was another panel's; whatever was computed_down_to on that has to be computed_down_to again.
                for column in &mut self.columns {
                    (column.computed_down_to, column.above) = (column.top + 1, 0.0);
                }
            }
        }
    }

    /// Computes what is still missing of the live columns down to `panel`.
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

/// The place of a panel among the rows.
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
