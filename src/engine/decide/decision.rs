//! Decisions and their explanations, as callers see them.

use std::fmt;

use crate::{
    engine::{DecisionId, DecisionRecord, Exposure, ItemTable},
    slot::ArmId,
};

/// Options of a decision beside its request.
#[derive(Clone, Copy)]
pub struct DecideOptions<'a> {
    /// Id of the decision.
    pub id: DecisionId,
    /// Seed of the decision's own stream of random numbers.
    pub seed: u64,
    /// Arms that earlier requests of the batch show. They are not eligible.
    pub already_shown: &'a [ArmId],
    /// The caller's deadline has passed, so the baseline is the answer.
    pub deadline_passed: bool,
    /// Arms that subjects were shown earlier, or `None` if no control or rule needs them.
    pub exposures: Option<&'a Exposure>,
    /// Item catalogue, or `None` if it has no part in the decision. Arms of the slot are joined with their items already.
    pub items: Option<&'a ItemTable>,
    /// Session by which the subject's groups are drawn, or `None` if they are drawn by the subject itself. See
    /// [`LoginTable::session_of`](crate::engine::LoginTable::session_of).
    pub drawn_by: Option<&'a str>,
    /// Called before each position of the policy's slate. The baseline is the answer once it returns `true`.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Chooses the largest expected reward at each position in place of a draw. Nothing may be learned from such a
    /// decision.
    pub best_guess: bool,
}

impl DecideOptions<'_> {
    /// Creates options without earlier showings and without a deadline.
    pub fn new(id: DecisionId, seed: u64) -> Self {
        Self {
            id,
            seed,
            already_shown: &[],
            deadline_passed: false,
            exposures: None,
            items: None,
            drawn_by: None,
            interrupted: &|| false,
            best_guess: false,
        }
    }
}

impl fmt::Debug for DecideOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecideOptions").field("id", &self.id).field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// Decision, with an explanation if the request asks for one.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Event that records the decision.
    pub decided: DecisionRecord,
    /// Explanation, or `None` if the request did not ask for one.
    pub explanation: Option<Explanation>,
    /// Indices of the slot's rules that could not be evaluated for some candidate.
    pub failed_rules: Vec<u32>,
}

/// Explanation of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Summary in a few sentences.
    pub summary: String,
    /// All candidates, in the order of the baseline.
    pub candidates: Vec<CandidateExplanation>,
    /// Names of the rules that had an effect, in the slot's order.
    pub matched_rules: Vec<String>,
}

/// Explanation of one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateExplanation {
    /// Id of the arm.
    pub arm: ArmId,
    /// Reason why the candidate could not be chosen, or `None` if it was eligible.
    pub ineligible_because: Option<String>,
    /// Posterior mean of the reward.
    pub mean: f64,
    /// Spread of that mean, with the width multiplier applied.
    pub std: f64,
    /// Probability of the first position.
    pub propensity: f64,
    /// Features that moved the mean most and by how much, in the goal's units (on the logit link, in log odds).
    pub moved_by: Vec<(String, f64)>,
}
