//! Scores of candidates: the posteriors of their rewards, from the models or from the mean rewards.

use smallvec::SmallVec;

use super::candidates::CandidateArm;
use crate::{
    bandit::{Candidates, Features, Mixture, Scoring},
    engine::{ids::hash, view::SlotView},
};

/// Features of a candidate without features.
static NO_FEATURES: Features = Features::new();

/// Source of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScoreSource {
    /// The slot's models.
    Models,
    /// The arms' mean rewards, because the models' numbers could not be used.
    MeanRewards,
}

/// Width of the posteriors that scores have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScoreWidth {
    /// Width of the exploration control.
    Controls,
    /// Width of the posterior itself.
    Posterior,
}

/// Candidates to score.
pub(super) struct ScoreTask<'a> {
    /// All candidates of the request.
    pub(super) candidates: &'a [CandidateArm<'a>],
    /// Indices of the candidates to score.
    pub(super) indices: Vec<usize>,
    pub(super) width: ScoreWidth,
    /// Number of positions whose candidates need exact scores.
    pub(super) places: usize,
    /// Factor of each candidate's expected reward, or `None` without boosts.
    pub(super) boosts: Option<&'a [f64]>,
}

/// Scores of some candidates.
#[derive(Debug, Clone)]
pub(super) struct CandidateScores {
    /// Indices of the candidates, in the order of the mixture.
    pub(super) indices: Vec<usize>,
    pub(super) mixture: Mixture,
    pub(super) source: ScoreSource,
}

impl CandidateScores {
    /// Returns the scores at these places only.
    pub(super) fn only(self, places: &[usize]) -> Self {
        let indices = places.iter().map(|&at| self.indices[at]).collect();
        Self { indices, mixture: self.mixture.only(places), source: self.source }
    }
}

/// Returns the features of each candidate, or `None` if no candidate has any.
pub(super) fn feature_rows<'a>(
    features: impl Iterator<Item = Option<&'a Features>> + Clone,
) -> Option<Vec<&'a Features>> {
    let some = features.clone().any(|features| features.is_some_and(|features| !features.is_empty()));
    some.then(|| features.map(|features| features.unwrap_or(&NO_FEATURES)).collect())
}

/// Scores candidates by the models, or by the mean rewards if the models' numbers cannot be used. Returns `None` if
/// neither can be used.
pub(super) fn model_scores(
    view: &SlotView,
    context: &Features,
    seed: u64,
    task: ScoreTask<'_>,
) -> Option<CandidateScores> {
    let ScoreTask { candidates, indices, width, places, boosts } = task;
    let arms: SmallVec<[Option<u32>; 16]> = indices.iter().map(|&i| candidates[i].learned).collect();
    let (own, attributes, seed) = if view.learner.has_features() {
        let own = feature_rows(indices.iter().map(|&i| candidates[i].features));
        let attributes = feature_rows(indices.iter().map(|&i| candidates[i].attributes));
        // The scores have a random stream of their own, so that the draw of the positions does not depend on the number
        // of draws that the scores took.
        (own, attributes, hash("scores", &[&seed.to_be_bytes()]).word())
    } else {
        (None, None, 0)
    };
    let scoring = match width {
        ScoreWidth::Controls => {
            Scoring { boosts, ..Scoring::new(view.definition.controls.exploration(), places, seed) }
        }
        ScoreWidth::Posterior => Scoring { plain: true, ..Scoring::new(1.0, places, seed) },
    };
    let to_score = Candidates { arms: &arms, context, own: own.as_deref(), attributes: attributes.as_deref() };
    if let Some(mixture) = view.learner.scores(to_score, scoring) {
        return Some(CandidateScores { indices, mixture, source: ScoreSource::Models });
    }
    let mixture = view.learner.summary_scores(&arms, scoring)?;
    Some(CandidateScores { indices, mixture, source: ScoreSource::MeanRewards })
}

/// Returns the mean reward of an arm over all contexts, or 0 if it was never shown.
pub(super) fn mean_reward(view: &SlotView, learned: Option<u32>) -> f64 {
    learned.and_then(|arm| view.learner.summary(arm)).map_or(0.0, |summary| summary.value.mean())
}
