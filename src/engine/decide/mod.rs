//! From a request and a view to a decision.
//!
//! In order: who may be chosen ([`candidates`], [`steering`]), who gets the baseline and what sticks ([`placing`]), then
//! scores, pmf and draw ([`choose`]), and how that came about ([`explain`]; after the fact: [`recall`]). A preview
//! takes the same way ([`foresee`]), and stops before the draw.

mod candidates;
mod choose;
mod explain;
pub(super) mod foresee;
mod placing;
mod recall;
mod shares;
mod steering;

pub use self::recall::{Recalled, recall};

use self::{
    candidates::{Candidate, candidates},
    choose::Outcome,
    explain::explain,
    placing::{Asked, Placed},
    steering::Steering,
};
use super::{
    decision_record::{DecisionRecord, ExcludedCandidate, SCORED_MAX, ScoredCandidate},
    event::Subject,
    ids::{DecisionId, hash},
    slot_state::Exposure,
    view::SlotView,
};
use crate::{
    bandit::Features,
    slot::{ArmId, Consent, SlotId},
};

/// A candidate of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestCandidate {
    /// The arm.
    pub arm: ArmId,
    /// Its features in this request.
    pub features: Features,
}

/// A request for a decision; its parts have passed their checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The slot.
    pub slot: SlotId,
    /// Whom it is for: what is recorded, and what holdout, stickiness and caps go by.
    pub subject: Subject,
    /// The same subject as the conditions of rules see it, where the shell records another name for it; `None`: as above.
    pub named: Option<Subject>,
    /// Features of the request.
    pub context: Features,
    /// In the caller's order; empty: every available arm.
    pub candidates: Vec<RequestCandidate>,
    /// How many arms; 0: the slot's own number.
    pub count: u32,
    /// For repetition.
    pub request_id: Option<String>,
    /// None: the slot's default.
    pub consent: Option<Consent>,
    /// Whether to explain.
    pub explain: bool,
}

impl Request {
    /// A request for `slot` and nothing more.
    pub fn new(slot: SlotId) -> Self {
        Self {
            slot,
            subject: Subject::default(),
            named: None,
            context: Features::new(),
            candidates: Vec::new(),
            count: 0,
            request_id: None,
            consent: None,
            explain: false,
        }
    }

    /// Takes the candidates out that the slot does not know (any longer), where it has no open catalogue, and returns
    /// them in their order.
    ///
    /// Where it knows none of them they stay, and none is eligible: a request without candidates would allow every arm.
    pub fn leave_out_unknown(&mut self, view: &SlotView) -> Vec<ArmId> {
        let known = |arm: &ArmId| view.definition.open_catalogue || view.arms.position(arm.as_str()).is_some();
        let unknown: Vec<ArmId> = self.candidates.iter().map(|c| &c.arm).filter(|&arm| !known(arm)).cloned().collect();
        if !unknown.is_empty() && unknown.len() < self.candidates.len() {
            self.candidates.retain(|candidate| known(&candidate.arm));
        }
        unknown
    }

    /// Hash of what a repetition of this request has in common with it: slot, subject, candidates in their order, count
    /// and consent. Never 0. `default_consent` is the slot's.
    ///
    /// The features may differ: what was known of a shopper or a price may have changed since. Only 16 bits depend on
    /// the subject: enough to notice another one, and too few to find out from the record who it was.
    pub fn fingerprint(&self, default_consent: Consent) -> u64 {
        const SUBJECT_BITS: u64 = 0xffff;
        let consent = match self.consent {
            None => 0_u8,
            Some(Consent::Full) => 1,
            Some(Consent::SessionOnly) => 2,
            Some(Consent::None) => 3,
        };
        let (consent, count) = ([consent], self.count.to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![self.slot.as_str().as_bytes(), &consent, &count];
        parts.extend(self.candidates.iter().map(|candidate| candidate.arm.as_str().as_bytes()));
        let rest = hash("request fingerprint", &parts).word();
        let subject = self.subject.clone().as_far_as(self.consent.unwrap_or(default_consent));
        let parts = [subject.id.as_bytes(), subject.session_id.as_bytes()];
        let subject = hash("request fingerprint, subject", &parts).word();
        ((rest & !SUBJECT_BITS) | (subject & SUBJECT_BITS)).max(1)
    }
}

/// What a decision needs beside the request: its id, its randomness, and what the shell knows.
#[derive(Debug, Clone, Copy)]
pub struct Draw<'a> {
    /// Its id.
    pub id: DecisionId,
    /// Its own stream of random numbers.
    pub seed: u64,
    /// Arms given to earlier requests of the batch.
    pub taken: &'a [ArmId],
    /// The caller's deadline has passed.
    pub deadline_passed: bool,
}

/// A decision and, if asked for, how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The event.
    pub decided: DecisionRecord,
    /// How it came about.
    pub explanation: Option<Explanation>,
    /// The rules, by their place in the slot, that could not be evaluated for some candidate.
    pub failed_rules: Vec<u32>,
}

/// How a decision came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// One sentence.
    pub summary: String,
    /// Every candidate, in baseline order.
    pub candidates: Vec<CandidateExplanation>,
    /// The names of the rules that had something to say, in the slot's order.
    pub fired: Vec<String>,
}

/// What was known of one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateExplanation {
    /// The arm.
    pub arm: ArmId,
    /// Why it could not be chosen; none: it could.
    pub ineligible_because: Option<String>,
    /// The posterior mean of its reward.
    pub mean: f64,
    /// The spread of that mean after the width multiplier.
    pub std: f64,
    /// The probability with which it takes the first position.
    pub propensity: f64,
    /// The features that moved its mean most, by how much, in the goal's units (on the logit link, in log odds).
    pub moved_by: Vec<(String, f64)>,
}

/// [`decide_with`] nothing remembered of what subjects were shown.
pub fn decide(view: &SlotView, request: Request, draw: Draw<'_>) -> Decision {
    decide_with(view, request, draw, &Exposure::new())
}

/// [`decide_until`] the end, however long it takes.
pub fn decide_with(view: &SlotView, request: Request, draw: Draw<'_>, past: &Exposure) -> Decision {
    decide_until(view, request, draw, past, &|| false)
}

/// Decides: eligible arms, rules, holdout, scores, pmf, controls, draw.
///
/// Reads only; the same view, request, draw and past give the same decision.
/// A candidate that the slot does not know is not eligible; [`Request::leave_out_unknown`] takes those out before.
/// Once `interrupted` says so, before any position of the slate, the baseline is the answer, as after a deadline.
pub fn decide_until(
    view: &SlotView,
    mut request: Request,
    draw: Draw<'_>,
    past: &Exposure,
    interrupted: &dyn Fn() -> bool,
) -> Decision {
    let now_us = draw.id.at_us();
    let view = &*view.at(now_us);
    let definition = &*view.definition;
    let consent = request.consent.unwrap_or(definition.default_consent);
    request.subject = request.subject.as_far_as(consent);
    request.named = request.named.map(|named| named.as_far_as(consent));
    let mut candidates = candidates(view, &request, draw.taken, now_us);
    let mut steering = Steering::new(view, &request, &mut candidates, past, now_us);
    let count = if request.count == 0 { definition.count() } else { request.count } as usize;
    let asked = Asked { view, request: &request, draw, count, past, interrupted, scorer: None };
    let decided = asked.decide(&mut candidates, &mut steering);

    let Placed { mut outcome, would, holdout, analysis, sticky } = decided;
    let rules = view.rules.rules();
    let names = |which: &[u32]| -> Vec<String> {
        which.iter().filter_map(|&rule| rules.get(rule as usize)).map(|rule| rule.name.clone()).collect()
    };
    let fired = names(&steering.fired);
    let explanation =
        request.explain.then(|| explain(view, &request, &candidates, &outcome, would.as_ref(), fired.clone()));
    let decided = DecisionRecord {
        slot: definition.id.clone(),
        id: draw.id,
        holdout,
        fallback: outcome.fallback,
        revision: view.revision,
        model: std::mem::take(&mut outcome.model),
        seed: draw.seed,
        scored: recorded(would.as_ref().unwrap_or(&outcome)),
        excluded: barred(&candidates, &steering.fired),
        best_expected: would.as_ref().unwrap_or(&outcome).best_expected,
        chosen: outcome.chosen,
        shadow_slate: would.map(|would| would.chosen).unwrap_or_default(),
        analysis,
        sticky,
        matched_rules: fired,
        request_id: request.request_id,
        subject: request.subject,
        context: request.context,
        candidates: request.candidates.into_iter().map(|c| (c.arm, c.features)).collect(),
        already_shown: draw.taken.to_vec(),
        request_fingerprint: 0,
    };
    Decision { decided, explanation, failed_rules: steering.failed }
}

#[expect(clippy::cast_possible_truncation, reason = "for people and estimators: seven digits")]
fn recorded(outcome: &Outcome) -> Vec<ScoredCandidate> {
    let recorded = |&(i, mean, std, propensity): &(usize, f64, f64, f64)| ScoredCandidate {
        candidate: u32::try_from(i).unwrap_or(u32::MAX),
        mean: mean as f32,
        std: std as f32,
        propensity: propensity as f32,
    };
    if outcome.known.len() <= SCORED_MAX {
        return outcome.known.iter().map(recorded).collect();
    }
    let mut known: Vec<&(usize, f64, f64, f64)> = outcome.known.iter().collect();
    known.sort_by(|a, b| b.3.total_cmp(&a.3).then(a.0.cmp(&b.0)));
    known.into_iter().take(SCORED_MAX).map(recorded).collect()
}

fn barred(candidates: &[Candidate<'_>], fired: &[u32]) -> Vec<ExcludedCandidate> {
    let by_rule = candidates.iter().enumerate().filter_map(|(i, candidate)| {
        let (candidates::Ineligible::Rule(rule) | candidates::Ineligible::FailedRule(rule)) = candidate.ineligible?
        else {
            return None;
        };
        let rule = u32::try_from(fired.binary_search(&rule).ok()?).ok()?;
        Some(ExcludedCandidate { candidate: u32::try_from(i).ok()?, rule })
    });
    by_rule.take(SCORED_MAX).collect()
}
