//! Inputs of a decision, from which every step computes its value.

use super::{
    DecideOptions, Request,
    scores::{CandidateScores, ScoreTask, model_scores},
};
use crate::engine::{Exposure, SlotView};

/// Function that computes scores in place of the view's learner.
pub(super) type Scorer<'a> = dyn Fn(ScoreTask<'_>) -> Option<CandidateScores> + 'a;

/// Everything that a decision is computed from.
#[derive(Clone, Copy)]
pub(super) struct DecisionInput<'a> {
    pub(super) view: &'a SlotView,
    pub(super) request: &'a Request,
    pub(super) options: DecideOptions<'a>,
    /// Time of the decision, microseconds since 1970.
    pub(super) now_us: i64,
    /// Number of arms to show.
    pub(super) count: usize,
    /// Arms that subjects were shown earlier.
    pub(super) exposures: &'a Exposure,
    /// Computes the scores in place of the view's learner, also when the decision itself would need none.
    pub(super) scorer: Option<&'a Scorer<'a>>,
}

impl<'a> DecisionInput<'a> {
    pub(super) fn new(
        view: &'a SlotView,
        request: &'a Request,
        options: DecideOptions<'a>,
        exposures: &'a Exposure,
    ) -> Self {
        let count = if request.count == 0 { view.definition.count() } else { request.count } as usize;
        Self { view, request, options, now_us: options.id.at_us(), count, exposures, scorer: None }
    }

    /// Scores candidates, or returns `None` if neither models nor mean rewards can.
    pub(super) fn score(&self, task: ScoreTask<'_>) -> Option<CandidateScores> {
        match self.scorer {
            Some(scorer) => scorer(task),
            None => model_scores(self.view, &self.request.context, self.options.seed, task),
        }
    }
}
