//! Who gets what: the baseline, what sticks, or what the policy draws.
//!
//! In two steps: first the [`Field`], who may be chosen and what is known of them; then, for one subject, the outcome.
//! A preview goes through the first once and through the second for whoever may come.

use super::{
    Draw, Request,
    candidates::Candidate,
    choose::{self, Drawing, Outcome, Scored, Width, baseline, by_model, stuck},
    steering::Steering,
};
use crate::{
    bandit::PositionObserver,
    engine::{
        decision_record::{Fallback, Reason},
        event::Subject,
        ids::{DecisionId, hash},
        slot_state::Exposure,
        view::SlotView,
    },
    slot::{Mode, Stickiness},
};

/// Scores these candidates for so many places, with these boosts.
pub(super) type Scorer<'a> = dyn Fn(&[Candidate<'_>], Vec<usize>, usize, Option<&[f64]>) -> Option<Scored> + 'a;

/// What is asked, of whom, and with what randomness.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) view: &'a SlotView,
    pub(super) request: &'a Request,
    pub(super) draw: Draw<'a>,
    pub(super) count: usize,
    pub(super) past: &'a Exposure,
    /// Says whether the caller's deadline has passed while this is decided.
    pub(super) interrupted: &'a dyn Fn() -> bool,
    /// Scores instead of the view's learner, and also where the decision itself would need none.
    pub(super) scorer: Option<&'a Scorer<'a>>,
}

/// What was decided, and for whom.
pub(super) struct Placed {
    pub(super) outcome: Outcome,
    /// What the policy would have chosen.
    pub(super) would: Option<Outcome>,
    pub(super) holdout: bool,
    pub(super) analysis: bool,
    pub(super) sticky: Option<DecisionId>,
}

/// What is settled before anybody is looked at: who may be chosen, and what is known of them.
pub(super) struct Field {
    /// By their index among the candidates.
    pub(super) eligible: Vec<usize>,
    /// What their expected rewards count for.
    pub(super) boosts: Option<Vec<f64>>,
    pub(super) scored: Option<Scored>,
    /// Why everybody gets the baseline.
    pub(super) forced: Option<Fallback>,
}

impl Asked<'_> {
    fn score(
        &self,
        candidates: &[Candidate<'_>],
        of: &[usize],
        places: usize,
        boosts: Option<&[f64]>,
    ) -> Option<Scored> {
        let of = of.to_vec();
        match self.scorer {
            Some(scorer) => scorer(candidates, of, places, boosts),
            None => choose::scores(
                self.view,
                &self.request.context,
                candidates,
                of,
                Width::Controls,
                places,
                self.draw.seed,
                boosts,
            ),
        }
    }

    /// Who may be chosen, once rules have had their say, and the scores of those.
    pub(super) fn field(&self, candidates: &mut [Candidate<'_>], steering: &mut Steering) -> Field {
        let Self { view, request, draw, count, .. } = *self;
        let all = |candidates: &[Candidate<'_>]| -> Vec<usize> {
            let mut eligible = Vec::with_capacity(candidates.len());
            eligible.extend((0..candidates.len()).filter(|&i| candidates[i].eligible()));
            eligible
        };
        let mut eligible = all(candidates);
        if eligible.is_empty() {
            return Field { eligible, boosts: None, scored: None, forced: Some(Fallback::NoEligibleArm) };
        }
        // What cannot be scored in time cannot be asked for evidence either: it is not shown.
        let hurried = draw.deadline_passed.then_some(Fallback::Deadline);
        let forced = hurried.or(view.definition.controls.safe_choice().then_some(Fallback::SafeChoice));
        let asks = steering.wants_evidence(view, candidates);
        // Rules may bring forward whoever it is, so that more of them count than the best.
        let places = if steering.places(view, candidates) { eligible.len().min(4 * count + 64) } else { count };
        if forced.is_some() && !asks {
            let scored = self.scorer.and_then(|_| self.score(candidates, &eligible, places, None));
            return Field { eligible, boosts: None, scored, forced };
        }
        let mut boosts = steering.boosts(view, candidates, &eligible);
        let mut scored =
            if hurried.is_none() { self.score(candidates, &eligible, places, boosts.as_deref()) } else { None };
        if asks {
            steering.ask_for_evidence(view, request, candidates, scored.as_ref(), draw.seed);
            let left = all(candidates);
            if left.is_empty() {
                let forced = Some(Fallback::NoEligibleArm);
                return Field { eligible: left, boosts: None, scored: None, forced };
            }
            if left.len() < eligible.len() {
                let kept: Vec<usize> = (0..eligible.len()).filter(|&at| candidates[eligible[at]].eligible()).collect();
                scored = scored.map(|scored| scored.only(&kept));
                boosts = boosts.map(|factors| kept.iter().map(|&at| factors[at]).collect());
                eligible = left;
            }
        }
        Field { eligible, boosts, scored, forced }
    }

    /// The baseline, for this reason or as this fallback.
    pub(super) fn baseline(
        &self,
        candidates: &[Candidate<'_>],
        field: &Field,
        why: Result<Reason, Fallback>,
        steering: &Steering,
        observer: &mut PositionObserver<'_>,
    ) -> Outcome {
        let drawing = Drawing { count: self.count, seed: self.draw.seed, observer, interrupted: self.interrupted };
        let reason = why.unwrap_or(Reason::Fallback);
        let outcome =
            baseline(self.view, candidates, &field.eligible, reason, field.scored.as_ref(), drawing, steering);
        Outcome { fallback: why.err(), ..outcome }
    }

    /// What the policy chooses; where it cannot, the baseline. Drawn by `seed`.
    pub(super) fn by_policy(
        &self,
        candidates: &[Candidate<'_>],
        steering: &mut Steering,
        field: &Field,
        seed: u64,
        observer: &mut PositionObserver<'_>,
    ) -> Outcome {
        let Some(scored) = &field.scored else {
            return self.baseline(candidates, field, Err(Fallback::Model), steering, observer);
        };
        let drawing = Drawing { count: self.count, seed, observer: &mut *observer, interrupted: self.interrupted };
        match by_model(self.view, candidates, scored, steering, field.boosts.as_deref(), drawing) {
            Some(outcome) => outcome,
            None => self.baseline(candidates, field, Err(Fallback::Deadline), steering, observer),
        }
    }

    pub(super) fn decide(&self, candidates: &mut [Candidate<'_>], steering: &mut Steering) -> Placed {
        let Self { view, request, draw, count, past, .. } = *self;
        let controls = &view.definition.controls;
        // Nothing is ever learned of these subjects, whatever they are shown.
        let analysis = falls_in(view, "analysis", &request.subject, draw.id, controls.analysis());
        let plainly = |outcome| Placed { outcome, would: None, holdout: false, analysis, sticky: None };
        let nobody: &mut PositionObserver<'_> = &mut |_| {};
        let field = self.field(candidates, steering);
        if let Some(fallback) = field.forced {
            return plainly(self.baseline(candidates, &field, Err(fallback), steering, nobody));
        }
        if falls_in(view, "holdout", &request.subject, draw.id, controls.control_share()) {
            let outcome = self.baseline(candidates, &field, Ok(Reason::Holdout), steering, nobody);
            return Placed { holdout: true, analysis: false, ..plainly(outcome) };
        }
        let watching = controls.mode() == Mode::Shadow;
        if !watching
            && controls.stickiness() != Stickiness::Never
            && let Some(before) = past.find_sticky(&request.subject, controls.stickiness(), draw.id.at_us())
            && let Some(outcome) =
                stuck(view, candidates, &field.eligible, count, before, field.scored.as_ref(), steering)
        {
            return Placed { sticky: Some(before.id), ..plainly(outcome) };
        }
        let by_policy = self.by_policy(candidates, steering, &field, draw.seed, nobody);
        if watching && field.scored.is_some() {
            let outcome = self.baseline(candidates, &field, Ok(Reason::Shadow), steering, nobody);
            return Placed { would: Some(by_policy), ..plainly(outcome) };
        }
        plainly(by_policy)
    }
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

/// The probability that a subject gets the baseline and is measured by: certain for one with an id, the share of all
/// for one without, who is drawn anew with each decision.
pub(super) fn in_control(view: &SlotView, subject: &Subject) -> f64 {
    let share = view.definition.controls.control_share();
    if subject.id.is_empty() && subject.session_id.is_empty() {
        return share;
    }
    f64::from(u8::from(falls_in(view, "holdout", subject, DecisionId::new(0, 0, 0), share)))
}
