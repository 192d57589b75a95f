//! From a request and a view to a decision.

use std::collections::HashSet;

use rand::{SeedableRng as _, rngs::Xoshiro256PlusPlus};

use super::{
    event::{Chosen, Decided, Fallback, Reason, Subject},
    ids::{DecisionId, hash},
    view::SlotView,
};
use crate::{
    bandit::{Candidates, ClickModel, Exploration, Features, Mixture, ModelSpec, Place, Policy, Ranking, Scoring},
    slot::{ArmId, Consent, FieldError, SlotId, limits::LEARNED_ARMS_MAX, suggestion},
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
}

/// How a decision came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// One sentence.
    pub summary: String,
    /// Every candidate, in baseline order.
    pub candidates: Vec<CandidateExplanation>,
}

/// What was known of one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateExplanation {
    /// The arm.
    pub arm: ArmId,
    /// Why it could not be chosen; none: it could.
    pub ineligible_because: Option<&'static str>,
    /// The posterior mean of its reward.
    pub mean: f64,
    /// The spread of that mean after the width multiplier.
    pub std: f64,
    /// The probability with which it takes the first position.
    pub propensity: f64,
}

/// A candidate with what is known of it.
struct Candidate<'a> {
    arm: &'a ArmId,
    learned: Option<u32>,
    features: Option<&'a Features>,
    attributes: Option<&'a Features>,
    /// From 1.
    baseline_position: u32,
    ineligible_because: Option<&'static str>,
}

/// Decides: eligible arms, holdout, scores, pmf, controls, draw.
///
/// Reads only; the same view, request and draw give the same decision.
///
/// # Errors
///
/// A candidate that the slot does not know, where it has no open catalogue: named by its field.
pub fn decide(view: &SlotView, mut request: Request, draw: Draw<'_>) -> Result<Decision, FieldError> {
    let definition = &*view.definition;
    request.subject = consented(request.subject, request.consent.unwrap_or(definition.default_consent));
    let candidates = candidates(view, &request, draw.taken)?;
    let eligible: Vec<&Candidate<'_>> = candidates.iter().filter(|c| c.ineligible_because.is_none()).collect();
    let count = if request.count == 0 { definition.count() } else { request.count } as usize;

    let holdout = in_holdout(view, &request.subject, draw.id);
    let forced = if eligible.is_empty() {
        Some(Fallback::NoEligibleArm)
    } else if draw.deadline_passed {
        Some(Fallback::Deadline)
    } else if definition.controls.safe_choice() {
        Some(Fallback::SafeChoice)
    } else {
        None
    };
    let mut outcome = if let Some(fallback) = forced {
        baseline(view, &eligible, count, Some(fallback), None)
    } else {
        match (holdout, scores(view, &request.context, &eligible, count, draw.seed)) {
            (true, scores) => baseline(view, &eligible, count, None, scores.as_ref().map(|(mixture, _)| mixture)),
            (false, Some((mixture, by))) => by_model(view, &eligible, &mixture, count, draw.seed, by),
            (false, None) => baseline(view, &eligible, count, Some(Fallback::Model), None),
        }
    };
    outcome.holdout = holdout && outcome.fallback.is_none();
    let explanation = request.explain.then(|| explain(&candidates, &outcome, definition.controls.policy()));
    let decided = Decided {
        slot: definition.id.clone(),
        id: draw.id,
        chosen: outcome.chosen,
        holdout: outcome.holdout,
        fallback: outcome.fallback,
        revision: view.revision,
        model: outcome.model.clone(),
        seed: draw.seed,
        request_id: request.request_id,
        subject: request.subject,
        context: request.context,
        candidates: request.candidates.into_iter().map(|c| (c.arm, c.features)).collect(),
        taken: draw.taken.to_vec(),
        best_expected: 0.0,
        would: Vec::new(),
        analysis: false,
        sticky: None,
        fired: Vec::new(),
        scored: Vec::new(),
        barred: Vec::new(),
    };
    Ok(Decision { decided, explanation })
}

fn consented(mut subject: Subject, consent: Consent) -> Subject {
    match consent {
        Consent::Full => {}
        Consent::SessionOnly => subject.id.clear(),
        Consent::None => subject = Subject::default(),
    }
    subject
}

/// A subject's place is a hash of the slot and its id, so a change of the share moves only those it must.
fn in_holdout(view: &SlotView, subject: &Subject, id: DecisionId) -> bool {
    let share = view.definition.controls.holdout();
    if share <= 0.0 {
        return false;
    }
    let slot = view.definition.id.as_str().as_bytes();
    let who: &[u8] = match (subject.id.as_str(), subject.session_id.as_str()) {
        ("", "") => id.as_bytes(),
        ("", session) => session.as_bytes(),
        (id, _) => id.as_bytes(),
    };
    hash("holdout", &[slot, who]).fraction() < share
}

fn candidates<'a>(view: &'a SlotView, request: &'a Request, taken: &[ArmId]) -> Result<Vec<Candidate<'a>>, FieldError> {
    let definition = &*view.definition;
    let taken: HashSet<&ArmId> = taken.iter().collect();
    let why = |arm: &ArmId, available: bool| {
        if !available {
            Some("it is not available")
        } else if !taken.is_empty() && taken.contains(arm) {
            Some("an earlier request of the batch was given it")
        } else {
            None
        }
    };
    let mut result = Vec::with_capacity(request.candidates.len().max(definition.arms.len()));
    let mut place = 0;
    if request.candidates.is_empty() {
        for arm in &definition.arms {
            // The baseline is the order of those that are available.
            place += u32::from(arm.available);
            result.push(Candidate {
                arm: &arm.id,
                learned: view.arms.learned(arm.id.as_str()),
                features: None,
                attributes: Some(&arm.attributes),
                baseline_position: place,
                ineligible_because: why(&arm.id, arm.available),
            });
        }
        return Ok(result);
    }
    let full = view.arms.names().len() >= LEARNED_ARMS_MAX;
    for (i, candidate) in request.candidates.iter().enumerate() {
        place += 1;
        let (learned, known) = match view.arms.position(candidate.arm.as_str()) {
            Some(position) => (view.arms.learned(candidate.arm.as_str()), Some(&definition.arms[position])),
            None if definition.open_catalogue => (view.arms.learned(candidate.arm.as_str()), None),
            None => {
                let near = suggestion(candidate.arm.as_str(), definition.arms.iter().map(|a| a.id.as_str()));
                let message = format!(
                    "the slot '{}' has no arm '{}'{near}; add it with UpsertArms, or set open_catalogue",
                    definition.id, candidate.arm
                );
                return Err(FieldError::new(format!("candidates[{i}].arm_id"), message));
            }
        };
        let ineligible_because = if full && learned.is_none() {
            Some("the open catalogue is full")
        } else {
            why(&candidate.arm, known.is_none_or(|arm| arm.available))
        };
        result.push(Candidate {
            arm: &candidate.arm,
            learned,
            features: Some(&candidate.features).filter(|features| !features.is_empty()),
            attributes: known.map(|arm| &arm.attributes),
            baseline_position: place,
            ineligible_because,
        });
    }
    Ok(result)
}

/// What was decided, before it becomes an event.
struct Outcome {
    chosen: Vec<Chosen>,
    holdout: bool,
    fallback: Option<Fallback>,
    model: String,
    /// Of the eligible, in order: mean, spread, probability of the first position.
    known: Vec<(f64, f64, f64)>,
}

/// For candidates without features.
static NOTHING: Features = Features::new();

/// The model that decides, or that its numbers could not be used and the mean rewards could.
#[derive(Clone, Copy)]
enum By {
    Model,
    MeanReward,
}

/// What the models say; where that cannot be used, the mean rewards; where those cannot either, none decides.
fn scores<'a>(
    view: &SlotView,
    context: &Features,
    eligible: &[&Candidate<'a>],
    places: usize,
    seed: u64,
) -> Option<(Mixture, By)> {
    let arms: Vec<Option<u32>> = eligible.iter().map(|c| c.learned).collect();
    // None at all where none has any.
    let each = |list: Vec<Option<&'a Features>>| {
        let some = list.iter().any(|f| f.is_some_and(|f| !f.is_empty()));
        some.then(|| list.into_iter().map(|f| f.unwrap_or(&NOTHING)).collect::<Vec<_>>())
    };
    let own = each(eligible.iter().map(|c| c.features).collect());
    let attributes = each(eligible.iter().map(|c| c.attributes).collect());
    // A stream of its own, so that the draw of the positions does not depend on how many draws the scores took.
    let seed = hash("scores", &[&seed.to_be_bytes()]).word();
    let scoring = Scoring { width: view.definition.controls.exploration(), places, seed, compute_budget: None };
    let candidates = Candidates { arms: &arms, context, own: own.as_deref(), attributes: attributes.as_deref() };
    if let Some(mixture) = view.learner.scores(candidates, scoring) {
        return Some((mixture, By::Model));
    }
    Some((view.learner.summary_scores(&arms, scoring)?, By::MeanReward))
}

fn by_model(
    view: &SlotView,
    eligible: &[&Candidate<'_>],
    mixture: &Mixture,
    count: usize,
    seed: u64,
    by: By,
) -> Outcome {
    let controls = &view.definition.controls;
    let exploration = Exploration { floor: controls.floor(), ceiling: controls.ceiling() };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let overlaps = view.definition.goal.click_model == ClickModel::PositionBased;
    let (places, first) = Ranking { policy: controls.policy(), exploration, overlaps }.draw(mixture, count, &mut rng);
    let (model, fallback) = match by {
        By::Model => (name(view, mixture), None),
        By::MeanReward => ("mean_reward".to_owned(), Some(Fallback::Model)),
    };
    let chosen = places
        .iter()
        .map(|place| {
            let candidate = eligible[place.candidate];
            Chosen {
                arm: candidate.arm.clone(),
                propensity: place.propensity,
                expected_reward: mixture.mean(place.candidate),
                baseline_position: candidate.baseline_position,
                overlap: place.overlap,
                reason: if fallback.is_some() { Reason::Fallback } else { reason(place) },
            }
        })
        .collect();
    let known = first.iter().enumerate().map(|(i, &p)| (mixture.mean(i), mixture.std(i), p)).collect();
    Outcome { chosen, holdout: false, fallback, model, known }
}

/// The model that decided: a portfolio with its heaviest member.
fn name(view: &SlotView, mixture: &Mixture) -> String {
    let model = view.definition.model;
    match (model, mixture.parts().first()) {
        (ModelSpec::Portfolio(_), Some(part)) => format!("{}/{}", model.name(), part.name),
        _ => model.name().to_owned(),
    }
}

fn reason(place: &Place) -> Reason {
    if place.best_guess {
        Reason::BestGuess
    } else if place.by_floor {
        Reason::Floor
    } else {
        Reason::Exploring
    }
}

/// The caller's order, each arm with certainty; the default arm where nothing is eligible.
fn baseline(
    view: &SlotView,
    eligible: &[&Candidate<'_>],
    count: usize,
    fallback: Option<Fallback>,
    scores: Option<&Mixture>,
) -> Outcome {
    let mean_of =
        |learned: Option<u32>| learned.and_then(|arm| view.learner.summary(arm)).map_or(0.0, |s| s.value.mean());
    let reason = if fallback.is_some() { Reason::Fallback } else { Reason::Holdout };
    let mut chosen: Vec<Chosen> = eligible
        .iter()
        .enumerate()
        .take(count)
        .map(|(i, candidate)| Chosen {
            arm: candidate.arm.clone(),
            propensity: 1.0,
            expected_reward: scores.map_or_else(|| mean_of(candidate.learned), |scores| scores.mean(i)),
            baseline_position: candidate.baseline_position,
            overlap: 0.0,
            reason,
        })
        .collect();
    if let (true, Some(default)) = (eligible.is_empty(), &view.definition.default_arm) {
        chosen.push(Chosen {
            arm: default.clone(),
            propensity: 1.0,
            expected_reward: mean_of(view.arms.learned(default.as_str())),
            baseline_position: 0,
            overlap: 0.0,
            reason,
        });
    }
    let known = (0..eligible.len())
        .map(|i| {
            let (mean, std) = scores.map_or((0.0, 0.0), |scores| (scores.mean(i), scores.std(i)));
            (mean, std, f64::from(u8::from(i == 0)))
        })
        .collect();
    Outcome { chosen, holdout: false, fallback, model: "baseline".to_owned(), known }
}

fn explain(candidates: &[Candidate<'_>], outcome: &Outcome, policy: Policy) -> Explanation {
    let mut known = outcome.known.iter();
    let candidates: Vec<CandidateExplanation> = candidates
        .iter()
        .map(|candidate| {
            let (mean, std, propensity) = match candidate.ineligible_because {
                None => known.next().copied().unwrap_or_default(),
                Some(_) => (0.0, 0.0, 0.0),
            };
            let (arm, ineligible_because) = (candidate.arm.clone(), candidate.ineligible_because);
            CandidateExplanation { arm, ineligible_because, mean, std, propensity }
        })
        .collect();
    let summary = match (outcome.chosen.first(), outcome.fallback) {
        (None, _) => "Nothing was eligible, and the slot has no default arm.".to_owned(),
        (Some(first), Some(fallback)) => {
            let why = match fallback {
                Fallback::NoEligibleArm => "nothing was eligible and it is the slot's default arm",
                Fallback::SafeChoice => "the slot's safe choice is on",
                Fallback::Model => "the model's numbers could not be used",
                Fallback::Deadline => "the caller's deadline had passed",
            };
            format!("'{}' leads because {why}.", first.arm)
        }
        (Some(first), None) => {
            let drawn = format!("was drawn as the policy {} has it", policy.name());
            let how = match first.reason {
                Reason::BestGuess => "has the highest expected reward",
                Reason::Exploring if policy == Policy::ThompsonSampling => "was drawn for its chance to be the best",
                Reason::Exploring => &drawn,
                Reason::Floor => "was drawn from the floor that every arm is guaranteed",
                Reason::Holdout => "leads the baseline, which the holdout gets",
                Reason::Fallback => "is the fallback",
                Reason::Rule => "was put there by a rule",
                Reason::Sticky => "was shown before",
                Reason::Watching => "leads the baseline, which is shown while the slot watches",
            };
            format!(
                "'{}' {how}; its expected reward is {:.4}, and it was to be drawn with probability {:.4} by {}.",
                first.arm, first.expected_reward, first.propensity, outcome.model
            )
        }
    };
    Explanation { summary, candidates }
}
