//! Assignment: whether a subject gets the baseline, an earlier slate or the policy's.

use super::{
    eligible::ScoredSet,
    input::DecisionInput,
    slate::{SlateChoice, baseline_slate, policy_slate, sticky_slate},
};
use crate::{
    bandit::PositionObserver,
    engine::{
        decision_record::Reason,
        ids::{DecisionId, hash},
        subject::Subject,
        view::SlotView,
    },
    slot::{Mode, Stickiness},
};

/// Slate of a decision, and the group that the subject belongs to.
pub(super) struct Assignment {
    pub(super) slate: SlateChoice,
    /// Slate that the policy would have shown, if the slot is in shadow mode.
    pub(super) shadow_slate: Option<SlateChoice>,
    /// The subject belongs to the holdout.
    pub(super) holdout: bool,
    /// The subject belongs to the analysis slice, from which nothing is learned.
    pub(super) analysis: bool,
    /// Earlier decision that this one repeats for its subject.
    pub(super) repeats: Option<DecisionId>,
}

impl Assignment {
    /// Returns the slate that the policy chose, whether or not it is shown. Without one it is the slate shown.
    pub(super) fn policy_choice(&self) -> &SlateChoice {
        self.shadow_slate.as_ref().unwrap_or(&self.slate)
    }
}

/// Assigns the subject of the request to a slate.
pub(super) fn assign(input: &DecisionInput<'_>, scored: &ScoredSet<'_>) -> Assignment {
    let DecisionInput { view, request, options, .. } = *input;
    let controls = &view.definition.controls;
    let in_share = |purpose, share| is_in_share(view, purpose, (&request.subject, options.drawn_by), options.id, share);
    let analysis = in_share("analysis", controls.analysis());
    let shown = |slate| Assignment { slate, shadow_slate: None, holdout: false, analysis, repeats: None };
    let no_observer: &mut PositionObserver<'_> = &mut |_| {};
    if let Some(fallback) = scored.fallback {
        let baseline = baseline_slate(input, scored, Reason::Fallback, no_observer);
        return shown(SlateChoice { fallback: Some(fallback), ..baseline });
    }
    if in_share("holdout", controls.control_share()) {
        let baseline = baseline_slate(input, scored, Reason::Holdout, no_observer);
        return Assignment { holdout: true, analysis: false, ..shown(baseline) };
    }
    let shadow = controls.mode() == Mode::Shadow;
    if !shadow
        && controls.stickiness() != Stickiness::Never
        && let Some(earlier) = input.exposures.find_sticky(&request.subject, controls.stickiness(), options.id.at_us())
        && let Some(slate) = sticky_slate(input, scored, earlier)
    {
        return Assignment { repeats: Some(earlier.id), ..shown(slate) };
    }
    let policy = policy_slate(input, scored, options.seed, no_observer);
    if shadow && scored.scores.is_some() {
        let baseline = baseline_slate(input, scored, Reason::Shadow, no_observer);
        return Assignment { shadow_slate: Some(policy), ..shown(baseline) };
    }
    shown(policy)
}

/// Returns whether a subject falls into a share of all subjects.
///
/// A subject's place is a hash of the slot or its experiment, the salt and the subject's id, so a change of the share
/// moves as few subjects as possible. Each purpose has places of its own. A subject that has logged in in a session has
/// the place of this session, which is `drawn_by`.
fn is_in_share(
    view: &SlotView,
    purpose: &str,
    (subject, drawn_by): (&Subject, Option<&str>),
    id: DecisionId,
    share: f64,
) -> bool {
    if share <= 0.0 {
        return false;
    }
    let controls = &view.definition.controls;
    // The name of an experiment is no id of a slot, so the two never give the same groups.
    let unit = match &controls.experiment {
        None => view.first_id().as_str().to_owned(),
        Some(experiment) => format!("experiment\0{experiment}"),
    };
    let unit = unit.as_bytes();
    let who: &[u8] = match (drawn_by, subject.id.as_str(), subject.session_id.as_str()) {
        (None, "", "") => id.as_bytes(),
        (Some(session), _, _) | (None, "", session) => session.as_bytes(),
        (None, id, _) => id.as_bytes(),
    };
    let place = match controls.salt.as_deref() {
        None | Some("") => hash(purpose, &[unit, who]),
        Some(salt) => hash(purpose, &[unit, who, salt.as_bytes()]),
    };
    place.fraction() < share
}

/// Returns the probability that a subject gets the baseline as part of the holdout.
///
/// It is 0 or 1 for a subject with an id. For a subject without one, each decision draws again, and it is the share of the
/// holdout.
pub(super) fn holdout_probability(view: &SlotView, subject: &Subject) -> f64 {
    let share = view.definition.controls.control_share();
    if subject.id.is_empty() && subject.session_id.is_empty() {
        return share;
    }
    f64::from(u8::from(is_in_share(view, "holdout", (subject, None), DecisionId::new(0, 0, 0), share)))
}
