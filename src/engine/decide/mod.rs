//! From a request and a view to a decision.
//!
//! In order: who may be chosen ([`candidates`], [`steering`]), who gets the baseline, what sticks, then scores,
//! pmf and draw ([`choose`]), and how that came about ([`explain`]).

mod candidates;
mod choose;
mod explain;
mod steering;

use self::{
    candidates::{Candidate, candidates},
    choose::{Outcome, Scored, Width, baseline, by_model, scores, stuck},
    explain::explain,
    steering::Steering,
};
use super::{
    event::{Barred, Decided, Fallback, Reason, SCORED_MAX, Scored as Recorded, Subject},
    ids::{DecisionId, hash},
    past::Past,
    view::SlotView,
};
use crate::{
    bandit::Features,
    slot::{ArmId, Consent, FieldError, Mode, SlotId, Stickiness},
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
    /// Whom it is for.
    pub subject: Subject,
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
            context: Features::new(),
            candidates: Vec::new(),
            count: 0,
            request_id: None,
            consent: None,
            explain: false,
        }
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
    pub decided: Decided,
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
pub fn decide(view: &SlotView, request: Request, draw: Draw<'_>) -> Result<Decision, FieldError> {
    decide_with(view, request, draw, &Past::new())
}

/// Decides: eligible arms, rules, holdout, scores, pmf, controls, draw.
///
/// Reads only; the same view, request, draw and past give the same decision.
///
/// # Errors
///
/// A candidate that the slot does not know, where it has no open catalogue: named by its field.
pub fn decide_with(view: &SlotView, mut request: Request, draw: Draw<'_>, past: &Past) -> Result<Decision, FieldError> {
    let definition = &*view.definition;
    let now_us = draw.id.at_us();
    request.subject = consented(request.subject, request.consent.unwrap_or(definition.default_consent));
    let mut candidates = candidates(view, &request, draw.taken, now_us)?;
    let mut steering = Steering::new(view, &request, &mut candidates, past, now_us);
    let count = if request.count == 0 { definition.count() } else { request.count } as usize;
    let asked = Asked { view, request: &request, draw, count, past };
    let decided = asked.decide(&mut candidates, &mut steering);

    let Placed { outcome, would, holdout, analysis, sticky } = decided;
    let rules = view.rules.rules();
    let names = |which: &[u32]| -> Vec<String> {
        which.iter().filter_map(|&rule| rules.get(rule as usize)).map(|rule| rule.name.clone()).collect()
    };
    let fired = names(&steering.fired);
    let explanation =
        request.explain.then(|| explain(view, &request, &candidates, &outcome, would.as_ref(), fired.clone()));
    let decided = Decided {
        slot: definition.id.clone(),
        id: draw.id,
        holdout,
        fallback: outcome.fallback,
        revision: view.revision,
        model: outcome.model.clone(),
        seed: draw.seed,
        scored: recorded(would.as_ref().unwrap_or(&outcome)),
        barred: barred(&candidates, &steering.fired),
        best_expected: would.as_ref().unwrap_or(&outcome).best_expected,
        chosen: outcome.chosen,
        would: would.map(|would| would.chosen).unwrap_or_default(),
        analysis,
        sticky,
        fired,
        request_id: request.request_id,
        subject: request.subject,
        context: request.context,
        candidates: request.candidates.into_iter().map(|c| (c.arm, c.features)).collect(),
        taken: draw.taken.to_vec(),
    };
    Ok(Decision { decided, explanation, failed_rules: steering.failed })
}

/// What is asked, of whom, and with what randomness.
#[derive(Clone, Copy)]
struct Asked<'a> {
    view: &'a SlotView,
    request: &'a Request,
    draw: Draw<'a>,
    count: usize,
    past: &'a Past,
}

/// What was decided, and for whom.
struct Placed {
    outcome: Outcome,
    /// What the policy would have chosen.
    would: Option<Outcome>,
    holdout: bool,
    analysis: bool,
    sticky: Option<DecisionId>,
}

impl Asked<'_> {
    /// The eligible, by their index.
    fn eligible(candidates: &[Candidate<'_>]) -> Vec<usize> {
        (0..candidates.len()).filter(|&i| candidates[i].eligible()).collect()
    }

    fn baseline(
        &self,
        candidates: &[Candidate<'_>],
        why: Result<Reason, Fallback>,
        scored: Option<&Scored>,
        steering: &Steering,
    ) -> Outcome {
        let reason = why.unwrap_or(Reason::Fallback);
        let eligible = Self::eligible(candidates);
        let outcome = baseline(self.view, candidates, &eligible, self.count, reason, scored, self.draw.seed, steering);
        Outcome { fallback: why.err(), ..outcome }
    }

    fn decide(&self, candidates: &mut [Candidate<'_>], steering: &mut Steering) -> Placed {
        let Self { view, request, draw, count, past } = *self;
        let controls = &view.definition.controls;
        // Nothing is ever learned of these subjects, whatever they are shown.
        let analysis = falls_in(view, "analysis", &request.subject, draw.id, controls.analysis());
        let plainly = |outcome| Placed { outcome, would: None, holdout: false, analysis, sticky: None };
        if !candidates.iter().any(Candidate::eligible) {
            return plainly(self.baseline(candidates, Err(Fallback::NoEligibleArm), None, steering));
        }
        // What cannot be scored in time cannot be asked for evidence either: it is not shown.
        let hurried = draw.deadline_passed.then_some(Fallback::Deadline);
        let forced = hurried.or(controls.safe_choice().then_some(Fallback::SafeChoice));
        let asks = steering.wants_evidence(view, candidates);
        if let (Some(fallback), false) = (forced, asks) {
            return plainly(self.baseline(candidates, Err(fallback), None, steering));
        }
        let mut eligible = Self::eligible(candidates);
        let boosts = steering.boosts(view, candidates, &eligible);
        // Rules may bring forward whoever it is, so that all of them count, not only the best.
        let places = if steering.places(view, candidates) { eligible.len().min(4 * count + 64) } else { count };
        let scored = (hurried.is_none())
            .then(|| {
                let of = eligible.clone();
                scores(view, &request.context, candidates, of, Width::Controls, places, draw.seed, boosts.as_deref())
            })
            .flatten();
        let (mut scored, mut boosts) = (scored, boosts);
        if asks {
            steering.ask_for_evidence(view, request, candidates, scored.as_ref(), draw.seed);
            let left = Self::eligible(candidates);
            if left.is_empty() {
                return plainly(self.baseline(candidates, Err(Fallback::NoEligibleArm), None, steering));
            }
            if left.len() < eligible.len() {
                let kept: Vec<usize> = (0..eligible.len()).filter(|&at| candidates[eligible[at]].eligible()).collect();
                scored = scored.map(|scored| scored.only(&kept));
                boosts = boosts.map(|factors| kept.iter().map(|&at| factors[at]).collect());
                eligible = left;
            }
            if let Some(fallback) = forced {
                return plainly(self.baseline(candidates, Err(fallback), scored.as_ref(), steering));
            }
        }
        if falls_in(view, "holdout", &request.subject, draw.id, controls.control_share()) {
            let outcome = self.baseline(candidates, Ok(Reason::Holdout), scored.as_ref(), steering);
            return Placed { holdout: true, analysis: false, ..plainly(outcome) };
        }
        let watching = controls.mode() == Mode::Watch;
        if !watching
            && controls.stickiness() != Stickiness::Never
            && let Some(before) = past.sticky(&request.subject, controls.stickiness(), draw.id.at_us())
            && let Some(outcome) = stuck(view, candidates, &eligible, count, before, scored.as_ref(), steering)
        {
            return Placed { sticky: Some(before.id), ..plainly(outcome) };
        }
        let Some(scored) = scored else {
            return plainly(self.baseline(candidates, Err(Fallback::Model), None, steering));
        };
        let by_policy = by_model(view, candidates, &scored, steering, boosts.as_deref(), count, draw.seed);
        if watching {
            let outcome = self.baseline(candidates, Ok(Reason::Watching), Some(&scored), steering);
            return Placed { would: Some(by_policy), ..plainly(outcome) };
        }
        plainly(by_policy)
    }
}

fn consented(mut subject: Subject, consent: Consent) -> Subject {
    match consent {
        Consent::Full => {}
        Consent::SessionOnly => subject.id.clear(),
        Consent::None => subject = Subject::default(),
    }
    subject
}

/// Whether a subject is among this share of all. Its place is a hash of the slot, its salt and the subject's id, so a
/// change of the share moves only those it must; each purpose has places of its own.
fn falls_in(view: &SlotView, purpose: &str, subject: &Subject, id: DecisionId, share: f64) -> bool {
    if share <= 0.0 {
        return false;
    }
    let slot = view.definition.id.as_str().as_bytes();
    let who: &[u8] = match (subject.id.as_str(), subject.session_id.as_str()) {
        ("", "") => id.as_bytes(),
        ("", session) => session.as_bytes(),
        (id, _) => id.as_bytes(),
    };
    let place = match view.definition.controls.salt.as_deref() {
        None | Some("") => hash(purpose, &[slot, who]),
        Some(salt) => hash(purpose, &[slot, who, salt.as_bytes()]),
    };
    place.fraction() < share
}

#[expect(clippy::cast_possible_truncation, reason = "for people and estimators: seven digits")]
fn recorded(outcome: &Outcome) -> Vec<Recorded> {
    let mut known: Vec<&(usize, f64, f64, f64)> = outcome.known.iter().collect();
    if known.len() > SCORED_MAX {
        known.sort_by(|a, b| b.3.total_cmp(&a.3).then(a.0.cmp(&b.0)));
        known.truncate(SCORED_MAX);
    }
    known
        .into_iter()
        .map(|&(i, mean, std, propensity)| Recorded {
            candidate: u32::try_from(i).unwrap_or(u32::MAX),
            mean: mean as f32,
            std: std as f32,
            propensity: propensity as f32,
        })
        .collect()
}

fn barred(candidates: &[Candidate<'_>], fired: &[u32]) -> Vec<Barred> {
    let by_rule = candidates.iter().enumerate().filter_map(|(i, candidate)| {
        let (candidates::Ineligible::Rule(rule) | candidates::Ineligible::FailedRule(rule)) = candidate.ineligible?
        else {
            return None;
        };
        let rule = u32::try_from(fired.binary_search(&rule).ok()?).ok()?;
        Some(Barred { candidate: u32::try_from(i).ok()?, rule })
    });
    by_rule.take(SCORED_MAX).collect()
}
