//! Cache of one request's scores, for the forecast of the same request under a changed slot.
//!
//! Invariant: cached scores have the same bits as scores computed again.

use std::{cell::RefCell, sync::Arc};

use super::scores::{CandidateScores, ScoreTask};
use crate::{engine::view::SlotView, slot::Arm};

/// Correspondence of the arms of two views of a slot.
#[derive(Debug)]
pub(in crate::engine) struct ArmCorrespondence {
    /// Place among the first view's arms of each of the second's, or `None` for an arm that is new. `None` if the two
    /// views do not give the same scores.
    places: Option<Vec<Option<usize>>>,
}

impl ArmCorrespondence {
    /// Compares the views before and after a change.
    pub(in crate::engine) fn new(before: &SlotView, after: &SlotView) -> Self {
        let place_before = |place: usize, id: &str| {
            let (old, new) = (before.arm(id)?, &after.arms_in_effect()[place]);
            (old.attributes == new.attributes).then_some(before.arms.position(id)).flatten()
        };
        let arms = after.arms_in_effect();
        let places: Vec<Option<usize>> =
            arms.iter().enumerate().map(|(place, arm)| place_before(place, arm.id.as_str())).collect();
        let altered = |(place, arm): (usize, &Arc<Arm>)| {
            places[place].is_none() && before.arms.position(arm.id.as_str()).is_some()
        };
        let same_scores = Arc::ptr_eq(&before.learner, &after.learner) && !arms.iter().enumerate().any(altered);
        Self { places: same_scores.then_some(places) }
    }

    /// Returns the indices of the candidates before the change, or `None` if their scores may differ. If the request
    /// lists its candidates, `listed` is `true` and the indices are the same.
    fn indices_before(&self, indices: &[usize], listed: bool) -> Option<Vec<usize>> {
        let places = self.places.as_ref()?;
        indices.iter().map(|&i| if listed { Some(i) } else { places[i] }).collect()
    }
}

/// Cache of the scores before the change.
#[derive(Debug, Default)]
pub(in crate::engine) struct ScoreCache(RefCell<Option<CachedScores>>);

/// Scores, with all that they depend on beside the candidates.
#[derive(Debug)]
struct CachedScores {
    /// Width multiplier of the exploration control.
    width: f64,
    places: usize,
    boosts: Option<Vec<f64>>,
    scores: CandidateScores,
}

impl ScoreCache {
    /// Computes the scores of a task by `compute`, and keeps them for the same request after the change.
    pub(super) fn fill(
        &self,
        task: ScoreTask<'_>,
        width: f64,
        compute: impl Fn(ScoreTask<'_>) -> Option<CandidateScores>,
    ) -> Option<CandidateScores> {
        let ScoreTask { candidates, indices, width: score_width, places, boosts } = task;
        let score = |indices| compute(ScoreTask { candidates, indices, width: score_width, places, boosts });
        // All candidates are scored if that costs little, because the view after the change may need them.
        let all = boosts.is_none() && candidates.len() <= 2 * indices.len();
        let scores = score(if all { (0..candidates.len()).collect() } else { indices.clone() })?;
        let other_draws = scores.mixture.has_joint_draws() && scores.indices != indices;
        let scores = if other_draws { score(indices.clone())? } else { scores };
        let own = restrict(&scores, &indices);
        *self.0.borrow_mut() = Some(CachedScores { width, places, boosts: boosts.map(<[f64]>::to_vec), scores });
        own
    }

    /// Returns the scores of a task after the change, or `None` if they have to be computed again.
    pub(super) fn get(
        &self,
        task: &ScoreTask<'_>,
        width: f64,
        correspondence: &ArmCorrespondence,
        listed: bool,
    ) -> Option<CandidateScores> {
        let cache = self.0.borrow();
        let cached = cache.as_ref()?;
        let before = correspondence.indices_before(&task.indices, listed)?;
        let same_candidates = cached.scores.indices == before;
        let same_width = same_bits(cached.width, width);
        if cached.scores.mixture.has_joint_draws() {
            let same = same_candidates && cached.places == task.places && same_width;
            if !same || cached.boosts.as_deref() != task.boosts {
                return None;
            }
        }
        // Features in the request make the width of each candidate depend a little on the others that are scored.
        if !same_candidates && task.candidates.iter().any(|candidate| candidate.features.is_some()) {
            return None;
        }
        let scores = restrict(&cached.scores, &before)?;
        let scores = if same_width { scores } else { widen(&scores, width / cached.width)? };
        Some(CandidateScores { indices: task.indices.clone(), ..scores })
    }
}

fn same_bits(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

/// Returns the scores of these candidates only, or `None` if some of them were not scored.
fn restrict(scores: &CandidateScores, indices: &[usize]) -> Option<CandidateScores> {
    if scores.indices == indices {
        return Some(scores.clone());
    }
    let place_of = |i: &usize| scores.indices.iter().position(|have| have == i);
    let kept: Vec<usize> = indices.iter().map(place_of).collect::<Option<_>>()?;
    Some(CandidateScores { indices: indices.to_vec(), mixture: scores.mixture.only(&kept), source: scores.source })
}

/// Returns the scores with their spread multiplied by `factor`, or `None` if they have to be computed again.
fn widen(scores: &CandidateScores, factor: f64) -> Option<CandidateScores> {
    let mixture = factor.is_finite().then(|| scores.mixture.widened(factor)).flatten()?;
    Some(CandidateScores { indices: scores.indices.clone(), mixture, source: scores.source })
}
