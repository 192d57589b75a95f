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

/// Sign, exponent and the first two digits of the mantissa.
const LENGTHS: u64 = 0xfffc_0000_0000_0000;

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

/// What is known of a score.
struct Column<M> {
    score: M,
    /// The panel that its support ends in.
    top: i64,
    /// The lowest panel that it was computed on, of all from its top on; one more than that before the first.
    done: i64,
    /// The probability above that panel's lower end.
    above: f64,
}

impl<M: Marginal> Column<M> {
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn new(score: M, length: f64) -> Option<Self> {
        let top = panel_of(score.support().1, length)?;
        Some(Self { score, top, done: top + 1, above: 0.0 })
    }
}

/// All scores on one panel.
struct Row<M: Marginal> {
    panel: i64,
    xs: Nodes,
    shared: M::Shared,
    /// By score; good from its column's top down to where that is done.
    cells: Vec<Cell>,
}

/// Panels from `k` times their length to `k + 1` times it.
struct Lattice<M: Marginal> {
    /// Four to an octave, so that it is the same for long, and a panel's ends are exact.
    length: f64,
    columns: Vec<Column<M>>,
    /// By the panel's number modulo how many there are.
    rows: Vec<Option<Row<M>>>,
    /// The scores that can be the largest, in the order in which they begin.
    live: Vec<usize>,
    before: Vec<Nodes>,
    won: Vec<Nodes>,
}

impl<M: Marginal> Default for Lattice<M> {
    fn default() -> Self {
        let (columns, rows, live, before, won) = Default::default();
        Self { length: 0.0, columns, rows, live, before, won }
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
        for p in &mut pmf {
            *p /= total;
        }
        Some(pmf)
    }

    /// Says which scores are looked at, and from which panel down to which.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
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
                panel = panel.min(score.even_panel());
            }
        }
        if !panel.is_normal() {
            return None;
        }
        let length = f64::from_bits(panel.to_bits() & LENGTHS);
        let bottom = panel_of(low, length)?;
        self.keep(scores, length)?;
        let columns = &self.columns;
        let top = self.live.iter().map(|&i| columns[i].top).max()?;
        if top - bottom >= PANELS_MAX {
            return None;
        }
        self.live.sort_unstable_by_key(|&i| (Reverse(columns[i].top), i));
        Some((top, bottom))
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
        }
        for (i, &score) in scores.iter().enumerate() {
            match self.columns.get_mut(i) {
                Some(known) if known.score == score => {}
                Some(known) => *known = Column::new(score, length)?,
                None => self.columns.push(Column::new(score, length)?),
            }
        }
        Some(())
    }

    /// Adds up on panel after panel, from the top downwards, what each wins where all others lie below.
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn integrate(&mut self, top: i64, bottom: i64, pmf: &mut [f64]) {
        let Self { length, columns, rows, live, before, won } = self;
        before.clear();
        before.resize(live.len(), [1.0; NODES]);
        won.clear();
        won.resize(live.len(), [0.0; NODES]);
        let mut begun = 0;
        for panel in (bottom..=top).rev() {
            let row = &mut rows[usize::try_from(panel.rem_euclid(PANELS_MAX)).unwrap_or(0)];
            if row.as_ref().is_some_and(|row| row.panel != panel) {
                // Its place is another panel's; whatever was done on that has to be done again.
                for column in columns.iter_mut() {
                    (column.done, column.above) = (column.top + 1, 0.0);
                }
            }
        }
        for panel in (bottom..=top).rev() {
            let row = &mut rows[usize::try_from(panel.rem_euclid(PANELS_MAX)).unwrap_or(0)];
            let row = match row {
                Some(row) if row.panel == panel => row,
                other => other.insert(Row::new(panel, *length, columns.len())),
            };
            // Columns stand in the order in which they begin; what has not begun lies below.
            while begun < live.len() && columns[live[begun]].top >= panel {
                begun += 1;
            }
            let mut all = [1.0; NODES];
            for (&i, before) in live[..begun].iter().zip(before.iter_mut()) {
                let column = &mut columns[i];
                if column.done > panel {
                    let (mass, below) = cells(&column.score, &row.xs, &row.shared, 0.5 * *length, &mut column.above);
                    row.cells[i] = Cell { mass, below };
                    column.done = panel;
                }
                *before = all;
                let below = &row.cells[i].below;
                for j in 0..NODES {
                    all[j] *= below[j];
                }
            }
            let mut after = [1.0; NODES];
            for ((&i, before), won) in live[..begun].iter().zip(before.iter()).zip(won.iter_mut()).rev() {
                let Cell { mass, below } = &row.cells[i];
                for j in 0..NODES {
                    won[j] += mass[j] * (before[j] * after[j]);
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

impl<M: Marginal> Row<M> {
    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn new(panel: i64, length: f64, scores: usize) -> Self {
        let from = panel as f64 * length;
        let xs: Nodes = RULE.nodes.map(|t| from + 0.5 * length * (t + 1.0));
        let nothing = Cell { mass: [0.0; NODES], below: [0.0; NODES] };
        Self { panel, xs, shared: M::shared(&xs), cells: vec![nothing; scores] }
    }
}

#[cfg(test)]
mod tests;
