//! Matched rules: the verdict of each rule of the slot on each candidate.
//!
//! Deliberately not here: the effects of the rules. Each step of a decision applies those of its own [`RuleStep`].

use std::collections::BTreeSet;

use super::{candidates::CandidateArm, input::DecisionInput};
use crate::slot::{ArmId, Effect, RequestFacts, Rule, RuleTarget, Verdict, Verdicts};

/// Step of a decision at which a rule has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleStep {
    /// Excludes candidates before they are scored.
    Eligibility,
    /// Excludes candidates that the posterior is not sure enough of.
    Evidence,
    /// Changes the expected rewards that the policy uses.
    Boost,
    /// Constrains probabilities and positions of the slate.
    Slate,
}

impl RuleStep {
    pub(super) fn of_effect(effect: &Effect) -> Self {
        match effect {
            Effect::Exclude | Effect::SubjectCap { .. } | Effect::DayCap { .. } => Self::Eligibility,
            Effect::Evidence { .. } => Self::Evidence,
            Effect::Boost { .. } => Self::Boost,
            Effect::Pin { .. } | Effect::ProbabilityBounds { .. } | Effect::Quota { .. } | Effect::MaxMoves { .. } => {
                Self::Slate
            }
        }
    }
}

/// Verdicts of a slot's rules for one request.
#[derive(Debug)]
pub(super) struct MatchedRules<'a> {
    rules: &'a [Rule],
    /// Verdicts on the candidates and then on `other_arms`, or `None` if the slot has no rules.
    verdicts: Option<Verdicts>,
    candidates: usize,
    /// Arms that were shown earlier and are no candidates now. Caps that several arms share count them.
    other_arms: Vec<ArmId>,
}

impl<'a> MatchedRules<'a> {
    /// Evaluates the rules on all candidates.
    pub(super) fn new(input: &DecisionInput<'a>, candidates: &[CandidateArm<'a>]) -> Self {
        let (view, request) = (input.view, input.request);
        let book = &view.rules;
        if book.is_empty() {
            return Self { rules: &[], verdicts: None, candidates: candidates.len(), other_arms: Vec::new() };
        }
        let other_arms = other_arms(input, candidates);
        let mut targets: Vec<RuleTarget<'_>> = Vec::with_capacity(candidates.len() + other_arms.len());
        targets.extend(candidates.iter().map(|candidate| {
            let CandidateArm { arm, position, features, .. } = *candidate;
            RuleTarget { arm, position, own: features }
        }));
        targets.extend(other_arms.iter().map(|arm| {
            let position = view.arms.position(arm.as_str());
            RuleTarget { arm, position, own: None }
        }));
        let subject = request.rule_subject.as_ref().unwrap_or(&request.subject);
        let facts =
            RequestFacts { context: &request.context, subject_id: &subject.id, session_id: &subject.session_id };
        let verdicts = Some(book.judge(&facts, &targets));
        Self { rules: book.rules(), verdicts, candidates: candidates.len(), other_arms }
    }

    /// Returns the rules that match a candidate or fail for one, or may do so, with their indices. Paused rules are not
    /// among them.
    pub(super) fn concerned(&self) -> impl Iterator<Item = (usize, &'a Rule)> {
        let concerned = |rule: usize| self.verdicts.as_ref().is_some_and(|verdicts| verdicts.concerns(rule));
        self.rules.iter().enumerate().filter(move |(at, rule)| !rule.paused && concerned(*at))
    }

    /// Returns the concerned rules that have their effect at this step.
    pub(super) fn of_step(&self, step: RuleStep) -> impl Iterator<Item = (usize, &'a Rule)> {
        self.concerned().filter(move |(_, rule)| RuleStep::of_effect(&rule.effect) == step)
    }

    /// Returns whether the rule matches the candidate.
    pub(super) fn matches(&self, rule: usize, candidate: usize) -> bool {
        self.verdict(rule, candidate) == Verdict::Yes
    }

    /// Returns whether the rule could not be evaluated for the candidate.
    pub(super) fn fails(&self, rule: usize, candidate: usize) -> bool {
        self.verdict(rule, candidate) == Verdict::Failed
    }

    fn verdict(&self, rule: usize, target: usize) -> Verdict {
        self.verdicts.as_ref().map_or(Verdict::No, |verdicts| verdicts.verdict(rule, target))
    }

    /// Returns the arms that the rule matches and that were shown earlier, but are no candidates now.
    pub(super) fn matching_other_arms(&self, rule: usize) -> impl Iterator<Item = &ArmId> {
        let targets = self.other_arms.iter().zip(self.candidates..);
        targets.filter(move |(_, target)| self.matches(rule, *target)).map(|(arm, _)| arm)
    }
}

/// Returns the arms that were shown earlier and are not among the candidates, as far as a cap that several arms share
/// counts them.
fn other_arms(input: &DecisionInput<'_>, candidates: &[CandidateArm<'_>]) -> Vec<ArmId> {
    let (exposures, now_us) = (input.exposures, input.now_us);
    let mut shown: BTreeSet<&ArmId> = BTreeSet::new();
    for rule in input.view.rules.rules().iter().filter(|rule| !rule.paused) {
        if let Effect::SubjectCap { window_us, together: true, .. } = rule.effect {
            shown.extend(exposures.count_by_arm(&input.request.subject, now_us - window_us).into_keys());
        } else if let Effect::DayCap { together: true, .. } = rule.effect {
            shown.extend(exposures.arms_shown_today(now_us));
        }
    }
    for candidate in candidates {
        shown.remove(candidate.arm);
    }
    shown.into_iter().cloned().collect()
}

/// Converts the index of a rule to the form in which decisions record it.
pub(super) fn rule_index(rule: usize) -> u32 {
    u32::try_from(rule).unwrap_or(u32::MAX)
}
