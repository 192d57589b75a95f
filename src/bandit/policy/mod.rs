//! Drawing of slates: from scores to a pmf to a draw, position by position.
//!
//! Invariant: [`draw`] is the only function that draws, and every propensity is the entry of the pmf that it drew from.

mod bounds;

use std::fmt;

use rand::{Rng, RngExt as _};
use smallvec::{SmallVec, smallvec};

use super::{
    choice::{Choice, Policy},
    click::swap_probability,
    mixture::{Mixture, MixturePart},
    slate::{Constraints, Narrowed},
};

pub use bounds::apply_floor_and_ceiling;

/// Number of positions that one grid serves. A grid for many positions spans more, and a grid for few is built more
/// often.
const PLACES_PER_GRID: usize = 8;

/// Floor and ceiling of every candidate's probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exploration {
    /// Least probability of each candidate, 0 to 1.
    pub floor: f64,
    /// Greatest probability of each candidate, above 0 and at most 1.
    pub ceiling: f64,
}

/// Position that was drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawnPosition {
    /// Index of the candidate.
    pub candidate: usize,
    /// Probability with which the candidate was drawn, given the positions above.
    pub propensity: f64,
    /// The candidate has the largest mean of those that were left (at a tie, it is the first of them).
    pub best_guess: bool,
    /// The draw fell in the part of the probability that the floor gave.
    pub by_floor: bool,
    /// A rule left no other candidate for the position.
    pub by_rule: bool,
    /// Probability of the opposite order of this position and the one above, given the two candidates, or 0 if it was not
    /// requested or nothing stands above. See [`swap_probability`].
    pub swap_probability: f64,
}

/// Draws an index from `pmf` with the uniform number `u` in [0, 1).
///
/// Returns the index and the distance of the draw from the start of its entry, or `None` if all entries are 0.
pub fn draw(pmf: &[f64], u: f64) -> Option<(usize, f64)> {
    let total: f64 = pmf.iter().sum();
    let mut left = u * total;
    let mut last = None;
    for (i, &p) in pmf.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        if left < p {
            return Some((i, left));
        }
        left -= p;
        last = Some((i, p));
    }
    // Rounding may leave a sliver beyond the last entry, which goes to that entry.
    last
}

/// Rules for drawing a slate; see [`Ranking::draw`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranking<'a> {
    /// Policy that turns scores into a pmf.
    pub policy: Policy,
    /// Floor and ceiling of candidates without their own.
    pub exploration: Exploration,
    /// Computes the probability of the opposite order of neighbours, which costs another pmf per position.
    pub with_swap_probabilities: bool,
    /// Constraints on the slate.
    pub constraints: &'a Constraints,
}

/// Empty constraints.
pub(super) static UNCONSTRAINED: Constraints =
    Constraints { floors: Vec::new(), ceilings: Vec::new(), pins: Vec::new(), windows: Vec::new(), quotas: Vec::new() };

/// Indices of candidates.
type Indices = SmallVec<[usize; 16]>;
/// Flags, one per candidate.
type Flags = SmallVec<[bool; 32]>;
/// Weights, one per model.
type Weights = SmallVec<[f64; 4]>;

/// Common data of the positions of a slate, for the candidates that are `left`.
struct SlateDraw<'a> {
    ranking: Ranking<'a>,
    mixture: &'a Mixture,
    choices: SmallVec<[Choice; 1]>,
    left: &'a [usize],
    places: usize,
}

impl SlateDraw<'_> {
    /// Floor of a candidate, by its index into `left`.
    fn floor(&self, index: usize) -> f64 {
        let Ranking { constraints, exploration, .. } = self.ranking;
        constraints.floors.get(self.left[index]).copied().unwrap_or(exploration.floor)
    }

    /// Ceiling of a candidate, by its index into `left`.
    fn ceiling(&self, index: usize) -> f64 {
        let Ranking { constraints, exploration, .. } = self.ranking;
        constraints.ceilings.get(self.left[index]).copied().unwrap_or(exploration.ceiling)
    }

    /// Writes the model's pmf over the `active` candidates alone into `own`.
    ///
    /// Rules may bring forward candidates that the common grid ignores, so this pmf has a grid of its own.
    fn fill_probabilities(&self, model: usize, active: &[bool], own: &mut [f64]) {
        let who: Vec<usize> = (0..active.len()).filter(|&i| active[i]).collect();
        let part = &self.mixture.parts()[model];
        let candidates: Vec<usize> = who.iter().map(|&i| self.left[i]).collect();
        let mut pmf = vec![1.0; who.len()];
        if who.len() > 1 {
            Choice::new(self.ranking.policy, &part.scores, &candidates, 1)
                .probabilities(&vec![true; who.len()], &mut pmf);
        }
        who.iter().zip(pmf).for_each(|(&i, p)| own[i] = p);
    }
}

/// Position before it is drawn, with the pmfs of all models.
struct PositionDraw<'a> {
    slate: &'a SlateDraw<'a>,
    /// Candidates above.
    drawn: Indices,
    /// Flags of the candidates that are not drawn yet.
    open: Flags,
    /// Flags of the candidates that may take the position, or `None` if all may.
    allowed: Option<Flags>,
    narrowed: Narrowed,
    /// Weights of the models.
    weights: Weights,
    /// Pmf of each model, before floors and ceilings.
    of_each: Vec<Vec<f64>>,
    /// Pmf of the mixture, after floors and ceilings.
    pmf: Vec<f64>,
    /// Scale of the floors, and the probability that they left.
    floors: (f64, f64),
}

impl<'a> PositionDraw<'a> {
    fn new(slate: &'a SlateDraw<'a>, drawn: Indices, open: Flags, weights: Weights) -> Self {
        let Ranking { constraints, exploration, .. } = slate.ranking;
        let mut allowed = (!constraints.is_empty()).then(|| open.clone());
        let narrowed = allowed
            .as_mut()
            .map_or(Narrowed::No, |allowed| constraints.narrow(&drawn, slate.left, slate.places, allowed));
        let active = allowed.as_ref().unwrap_or(&open);
        let mut pmf = vec![0.0; active.len()];
        let mut of_each = Vec::new();
        let all = active.iter().all(|active| *active);
        let says = |model: usize, own: &mut [f64]| {
            let choice = &slate.choices[model];
            if narrowed == Narrowed::No && (all || !choice.needs_all_active()) {
                choice.probabilities(active, own);
            } else {
                slate.fill_probabilities(model, active, own);
            }
        };
        if let [_] = slate.choices.as_slice() {
            says(0, &mut pmf);
        } else {
            of_each = vec![vec![0.0; active.len()]; slate.choices.len()];
            for (model, (weight, own)) in weights.iter().zip(&mut of_each).enumerate() {
                if *weight > 0.0 {
                    says(model, own);
                    pmf.iter_mut().zip(own.iter()).for_each(|(p, own)| *p += weight * own);
                }
            }
        }
        let floors = if constraints.floors.is_empty() && constraints.ceilings.is_empty() {
            apply_floor_and_ceiling(&mut pmf, active, |_| exploration.floor, |_| exploration.ceiling)
        } else {
            apply_floor_and_ceiling(&mut pmf, active, |i| slate.floor(i), |i| slate.ceiling(i))
        };
        Self { slate, drawn, open, allowed, narrowed, weights, of_each, pmf, floors }
    }

    /// Flags of the candidates that may take the position.
    fn active(&self) -> &[bool] {
        self.allowed.as_ref().unwrap_or(&self.open)
    }

    /// Probability that the floor gives to `index`.
    fn floor(&self, index: usize) -> f64 {
        self.floors.0 * self.slate.floor(index)
    }

    /// Returns the state for the position below once `index` was drawn: the candidates above it, the flags of those left
    /// and the models' weights.
    fn after(&self, index: usize) -> (Indices, Flags, Weights) {
        let (mut drawn, mut open, mut weights) = (self.drawn.clone(), self.open.clone(), self.weights.clone());
        reweigh(&mut weights, self.of_each.iter().map(|own| self.floor(index) + self.floors.1 * own[index]));
        drawn.push(self.slate.left[index]);
        open[index] = false;
        (drawn, open, weights)
    }

    /// Probability of drawing `first` here and then `second`.
    fn both(&self, first: usize, second: usize) -> f64 {
        if self.pmf[first] <= 0.0 {
            return 0.0;
        }
        let (drawn, open, weights) = self.after(first);
        self.pmf[first] * PositionDraw::new(self.slate, drawn, open, weights).pmf[second]
    }

    /// Returns whether a rule left one candidate only.
    fn by_rule(&self) -> bool {
        match self.narrowed {
            Narrowed::No => false,
            Narrowed::Yes => self.active().iter().filter(|&&a| a).count() == 1,
        }
    }
}

/// One drawn position, as an observer sees it.
#[derive(Debug, Clone, Copy)]
pub struct ObservedDraw<'a> {
    /// Position in the slate, from 0.
    pub position: usize,
    /// Candidates that were left, by their indices.
    pub left: &'a [usize],
    /// Probability of each candidate that was left to take the position, given the positions above.
    pub pmf: &'a [f64],
    /// Index into `left` of the candidate that took the position.
    pub drawn: usize,
}

/// Function that is called with each position after its draw.
pub type PositionObserver<'a> = dyn FnMut(ObservedDraw<'_>) + 'a;

/// Hooks into the drawing of a slate.
pub struct DrawHooks<'a, 'o> {
    /// Called with each position.
    pub observer: &'a mut PositionObserver<'o>,
    /// Called before each position: drawing ends without a slate once it returns `true`.
    pub interrupted: &'a dyn Fn() -> bool,
}

impl fmt::Debug for DrawHooks<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrawHooks").finish_non_exhaustive()
    }
}

/// Slate that was drawn, and the probabilities of its first position.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DrawnSlate {
    /// Drawn positions, best first.
    pub positions: Vec<DrawnPosition>,
    /// Probability of each candidate to take the first position, after floors and ceilings.
    pub first_pmf: Vec<f64>,
}

impl Ranking<'_> {
    /// Creates a ranking without constraints and without swap probabilities.
    pub fn new(policy: Policy, exploration: Exploration) -> Self {
        Self { policy, exploration, with_swap_probabilities: false, constraints: &UNCONSTRAINED }
    }

    /// Draws `places` positions, one after another without replacement.
    ///
    /// Each model of the mixture decides with its weight: `p = Σ w_m·p_m`. A drawn position is evidence of the model
    /// that decided, so before the next position the weights become `w_m·p_m(drawn)`, scaled to add up to 1. The result
    /// is one model drawn for the whole slate, and each propensity is exact given the positions above.
    ///
    /// Returns fewer positions if there are fewer candidates, and `None` if a hook interrupted the drawing.
    ///
    /// # Examples
    ///
    /// ```
    /// use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};
    /// use slotwise::{
    ///     bandit::{Exploration, Mixture, Policy, Ranking, Scores},
    ///     stats::NormalScore,
    /// };
    ///
    /// let scores = Scores::Normal(vec![NormalScore { mean: 0.5, std: 0.1 }, NormalScore { mean: 0.1, std: 0.1 }]);
    /// let mixture = Mixture::single(scores, "linear").unwrap();
    /// let ranking = Ranking::new(Policy::ThompsonSampling, Exploration { floor: 0.05, ceiling: 1.0 });
    /// let slate = ranking.draw(&mixture, 2, &mut Xoshiro256PlusPlus::seed_from_u64(1), None).unwrap();
    /// assert_eq!(slate.positions.len(), 2);
    /// // The floor holds, and the reported propensity is the entry of the pmf that was drawn from.
    /// assert!(slate.first_pmf[1] >= 0.05 && slate.first_pmf[0] > 0.9);
    /// let first = slate.positions[0];
    /// assert_eq!(first.propensity, slate.first_pmf[first.candidate]);
    /// ```
    pub fn draw(
        self,
        mixture: &Mixture,
        places: usize,
        rng: &mut dyn Rng,
        mut hooks: Option<DrawHooks<'_, '_>>,
    ) -> Option<DrawnSlate> {
        let Self { policy, with_swap_probabilities, .. } = self;
        let places = places.min(mixture.len());
        let mut weights: Weights = mixture.parts().iter().map(|part| part.weight).collect();
        let mut above = Indices::new();
        let mut drawn: Vec<DrawnPosition> = Vec::with_capacity(places);
        let mut first = Vec::new();
        let mut left: Indices = (0..mixture.len()).collect();
        while drawn.len() < places {
            // Neighbours have to be compared on one grid.
            let batch = if with_swap_probabilities { places } else { PLACES_PER_GRID.min(places - drawn.len()) };
            let choice = |part: &MixturePart| Choice::new(policy, &part.scores, &left, batch);
            let slate = SlateDraw {
                ranking: self,
                mixture,
                choices: mixture.parts().iter().map(choice).collect(),
                left: &left,
                places,
            };
            let mut open: Flags = smallvec![true; left.len()];
            let mut upper: Option<(PositionDraw<'_>, usize)> = None;
            for _ in 0..batch {
                if hooks.as_ref().is_some_and(|hooks| (hooks.interrupted)()) {
                    return None;
                }
                let step = PositionDraw::new(&slate, std::mem::take(&mut above), std::mem::take(&mut open), weights);
                if first.is_empty() && places > 1 {
                    first.clone_from(&step.pmf);
                }
                let Some((index, offset)) = draw(&step.pmf, rng.random()) else {
                    let first_pmf = if first.is_empty() { step.pmf } else { first };
                    return Some(DrawnSlate { positions: drawn, first_pmf });
                };
                if let Some(hooks) = &mut hooks {
                    let (position, left, pmf) = (drawn.len(), left.as_slice(), step.pmf.as_slice());
                    (hooks.observer)(ObservedDraw { position, left, pmf, drawn: index });
                }
                let best = (0..left.len())
                    .zip(step.active())
                    .filter(|(_, active)| **active)
                    .map(|(i, _)| (i, mixture.mean(left[i])))
                    .reduce(|a, b| if b.1 > a.1 { b } else { a });
                let kept = upper.as_ref().map(|(above, upper)| {
                    let kept = above.pmf[*upper] * step.pmf[index];
                    swap_probability(kept, above.both(index, *upper))
                });
                drawn.push(DrawnPosition {
                    candidate: left[index],
                    propensity: step.pmf[index],
                    best_guess: best.is_some_and(|best| best.0 == index),
                    by_floor: offset < step.floor(index),
                    by_rule: step.by_rule(),
                    swap_probability: kept.unwrap_or(0.0),
                });
                if drawn.len() == places {
                    let first_pmf = if first.is_empty() { step.pmf } else { first };
                    return Some(DrawnSlate { positions: drawn, first_pmf });
                }
                (above, open, weights) = step.after(index);
                upper = with_swap_probabilities.then_some((step, index));
            }
            let mut keep = open.iter();
            left = left.iter().copied().filter(|_| keep.next().is_some_and(|&a| a)).collect();
        }
        Some(DrawnSlate { positions: drawn, first_pmf: first })
    }
}

/// Updates the weights by Bayes' rule. They stay unchanged if no model can have drawn the candidate.
fn reweigh(weights: &mut [f64], likelihoods: impl Iterator<Item = f64> + Clone) {
    let total: f64 = weights.iter().zip(likelihoods.clone()).map(|(w, l)| w * l).sum();
    if total > 0.0 {
        weights.iter_mut().zip(likelihoods).for_each(|(w, l)| *w *= l / total);
    }
}

#[cfg(test)]
mod tests;
