//! The probability of each of several independent scores to be the largest, on a grid that stays where it is.
//!
//! From one decision to the next most posteriors are the same. Where panels lie on a fixed lattice, what a score comes
//! to on them depends on that score and the panels' length alone, so that it can be kept: [`Memo`].
//!
//! Invariant: what is kept changes no bit of any answer. An answer follows from the scores; a memo that is empty, full,
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

/// What scores come to, kept from one call to the next; a copy shares it.
pub struct Memo<M: Marginal>(Arc<Mutex<Lattice<M>>>);

impl<M: Marginal> Memo<M> {
    /// For each of `scores` the probability that it is the largest, with the error of [`Winners`](super::Winners); none: these
    /// scores take a grid of their own.
    pub fn probabilities(&self, scores: &[M]) -> Option<Vec<f64>> {
        let mut own = None;
        let mut kept = self.0.try_lock().ok();
        // In use by somebody else: begun anew it says the same.
        let lattice = kept.as_deref_mut().unwrap_or_else(|| own.insert(Lattice::default()));
        wide(
            #[inline(always)]
            || lattice.probabilities(scores),
        )
    }
}

impl<M: Marginal> Memo<M> {
    /// `n` scores; `score` makes each of its index and of what stood there the last time, in case that is the same.
    pub fn scores(&self, n: usize, score: impl Fn(usize, Option<&M>) -> M) -> Vec<M> {
        let kept = self.0.try_lock().ok();
        let columns = kept.as_ref().map_or(&[][..], |lattice| &lattice.columns);
        let known = |i: usize| columns.get(i).map(|column| &column.score);
        (0..n).map(|i| score(i, known(i))).collect()
    }
}

impl<M: Marginal> Default for Memo<M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<M: Marginal> Clone for Memo<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Whatever is kept, they say the same.
impl<M: Marginal> PartialEq for Memo<M> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<M: Marginal> fmt::Debug for Memo<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

/// A score on one panel: weight times density, and distribution function.
#[derive(Clone, Copy)]
struct Cell {
    mass: Nodes,
    below: Nodes,
}

/// A score on the panels from the one its support ends in downwards.
struct Column<M> {
    score: M,
    top: i64,
    cells: Vec<Cell>,
    /// The probability above the lowest of them.
    above: f64,
}

/// Panels from `k` times their length to `k + 1` times it.
struct Lattice<M: Marginal> {
    /// A power of two.
    length: f64,
    /// Of the newest panels what their densities share, by the panel's number modulo how many there are.
    shared: Vec<Option<(i64, M::Shared)>>,
    columns: Vec<Column<M>>,
    /// The scores that can be the largest, in the order in which they begin.
    live: Vec<usize>,
    before: Vec<Nodes>,
    won: Vec<Nodes>,
}

impl<M: Marginal> Default for Lattice<M> {
    fn default() -> Self {
        let (shared, columns, live, before, won) = Default::default();
        Self { length: 0.0, shared, columns, live, before, won }
    }
}

/// The panel that `x` lies in; none: there are too many.
#[expect(clippy::cast_possible_truncation, reason = "compared before")]
fn panel_of(x: f64, length: f64) -> Option<i64> {
    let panel = (x / length).floor();
    (panel.abs() < 1e15).then_some(panel as i64)
}

impl<M: Marginal> Lattice<M> {
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
        pmf.iter_mut().for_each(|p| *p /= total);
        Some(pmf)
    }

    /// Says which scores are looked at, and from which panel down to which.
    fn lay(&mut self, scores: &[M]) -> Option<(i64, i64)> {
        if scores.len() > SCORES_MAX || scores.iter().any(|score| score.point().is_some()) {
            return None;
        }
        let low = scores.iter().map(|score| score.support().0).fold(f64::NEG_INFINITY, f64::max);
        self.live.clear();
        let mut panel = f64::INFINITY;
        for (i, score) in scores.iter().enumerate() {
            if score.support().1 >= low {
                self.live.push(i);
                panel = panel.min(score.even_panel()?);
            }
        }
        if !panel.is_normal() {
            return None;
        }
        // The largest power of two that is not larger.
        let length = f64::from_bits(panel.to_bits() & f64::INFINITY.to_bits());
        let bottom = panel_of(low, length)?;
        let mut top = bottom;
        for &i in &self.live {
            top = top.max(panel_of(scores[i].support().1, length)?);
        }
        if top - bottom >= PANELS_MAX {
            return None;
        }
        if self.length.to_bits() != length.to_bits() {
            self.length = length;
            self.columns.clear();
            self.shared.clear();
        }
        self.shared.resize(usize::try_from(PANELS_MAX).unwrap_or(0), None);
        for (i, &score) in scores.iter().enumerate() {
            let top = panel_of(score.support().1, length)?;
            match self.columns.get_mut(i) {
                Some(column) if column.score == score => {}
                Some(column) => {
                    column.cells.clear();
                    (column.score, column.top, column.above) = (score, top, 0.0);
                }
                None => self.columns.push(Column::new(score, top)),
            }
        }
        let columns = &self.columns;
        self.live.sort_unstable_by_key(|&i| (Reverse(columns[i].top), i));
        Some((top, bottom))
    }

    /// Adds up on panel after panel, from the top downwards, what each wins where all others lie below.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn integrate(&mut self, top: i64, bottom: i64, pmf: &mut [f64]) {
        let Self { length, shared, columns, live, before, won } = self;
        before.clear();
        before.resize(live.len(), [1.0; NODES]);
        won.clear();
        won.resize(live.len(), [0.0; NODES]);
        let mut begun = 0;
        for panel in (bottom..=top).rev() {
            // Columns stand in the order in which they begin; what has not begun lies below.
            while begun < live.len() && columns[live[begun]].top >= panel {
                begun += 1;
            }
            let mut all = [1.0; NODES];
            for at in 0..begun {
                before[at] = all;
                let Cell { below, .. } = columns[live[at]].cell(panel, *length, shared);
                for j in 0..NODES {
                    all[j] *= below[j];
                }
            }
            let mut after = [1.0; NODES];
            for at in (0..begun).rev() {
                let Cell { mass, below } = columns[live[at]].cell(panel, *length, shared);
                for j in 0..NODES {
                    won[at][j] += mass[j] * (before[at][j] * after[j]);
                    after[j] *= below[j];
                }
            }
            // Everybody lies below the lowest node with this probability.
            if begun == live.len() && after[0] < CUT {
                break;
            }
        }
        for (&i, won) in live.iter().zip(won.iter()) {
            pmf[i] = total(won);
        }
    }
}

impl<M: Marginal> Column<M> {
    fn new(score: M, top: i64) -> Self {
        Self { score, top, cells: Vec::new(), above: 0.0 }
    }

    /// The score on a panel that is not above its top, after it was asked about all between.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn cell(&mut self, panel: i64, length: f64, shared: &mut [Option<(i64, M::Shared)>]) -> Cell {
        let at = usize::try_from(self.top - panel).unwrap_or(0);
        if let Some(cell) = self.cells.get(at) {
            return *cell;
        }
        let (from, half) = (panel as f64 * length, 0.5 * length);
        let xs: Nodes = RULE.nodes.map(|t| from + half * (t + 1.0));
        let kept = &mut shared[usize::try_from(panel.rem_euclid(PANELS_MAX)).unwrap_or(0)];
        let shared = match kept {
            Some((known, shared)) if *known == panel => *shared,
            _ => kept.insert((panel, M::shared(&xs))).1,
        };
        let (mass, below) = cells(&self.score, &xs, &shared, half, &mut self.above);
        let cell = Cell { mass, below };
        self.cells.push(cell);
        cell
    }
}

#[cfg(test)]
mod tests;
