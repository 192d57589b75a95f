//! What happens: the events whose fold is the state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ids::DecisionId, patch::Patch};
use crate::{
    bandit::Features,
    slot::{Arm, ArmId, ChangeReason, Consent, Definition, Schedule, SlotId, Unavailable},
};

/// What becomes of an arm's availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// Whether it may be shown; none: as before.
    pub available: Option<bool>,
    /// Why not, where it may not.
    pub because: Option<Unavailable>,
    /// When it may be shown; none: as before.
    pub schedule: Option<Schedule>,
}

impl Availability {
    /// Only whether it may be shown.
    pub fn new(available: bool) -> Self {
        Self { available: Some(available), because: None, schedule: None }
    }

    /// Whether the arm is not so yet.
    pub fn changes(&self, arm: &Arm) -> bool {
        let mut after = (arm.available, arm.because, arm.schedule);
        self.of(&mut after);
        after != (arm.available, arm.because, arm.schedule)
    }

    /// Makes it true of the arm.
    pub fn apply(&self, arm: &mut Arm) {
        let mut after = (arm.available, arm.because, arm.schedule);
        self.of(&mut after);
        (arm.available, arm.because, arm.schedule) = after;
    }

    fn of(&self, (available, because, schedule): &mut (bool, Option<Unavailable>, Schedule)) {
        if let Some(wanted) = self.available {
            *available = wanted;
            *because = self.because.filter(|_| !wanted);
        }
        if let Some(wanted) = self.schedule {
            *schedule = wanted;
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When the service took it, microseconds since 1970; never before the event before it.
    pub at_us: i64,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A slot was made.
    SlotCreated {
        /// The definition; it has passed its check.
        definition: Arc<Definition>,
        /// Who, and why.
        why: ChangeReason,
    },
    /// A definition was replaced, as earlier versions wrote it.
    SlotUpdated {
        /// The new definition; it has passed its check.
        definition: Arc<Definition>,
        /// Who, and why.
        why: ChangeReason,
        /// The revision that was rolled back to.
        rolled_back_to: Option<u64>,
    },
    /// A definition was changed.
    SlotPatched {
        /// What changed; the definition that it makes has passed its check.
        patch: Box<Patch>,
        /// Who, and why.
        why: ChangeReason,
        /// The revision that was rolled back to.
        rolled_back_to: Option<u64>,
    },
    /// A slot was deleted, with all it learned.
    SlotDeleted {
        /// Which.
        slot: SlotId,
        /// Who, and why.
        why: ChangeReason,
    },
    /// Arms were added or replaced.
    ArmsUpserted {
        /// Which slot.
        slot: SlotId,
        /// The arms.
        arms: Vec<Arc<Arm>>,
        /// Who, and why.
        why: ChangeReason,
    },
    /// Arms were removed; what was learned of them stays.
    ArmsRemoved {
        /// Which slot.
        slot: SlotId,
        /// The arms.
        arms: Vec<ArmId>,
        /// Who, and why.
        why: ChangeReason,
    },
    /// The availability of arms was set.
    AvailabilitySet {
        /// Which slot.
        slot: SlotId,
        /// The arms and what becomes of each.
        available: Vec<(ArmId, Availability)>,
        /// Who, and why.
        why: ChangeReason,
    },
    /// What was learned was forgotten.
    SlotReset {
        /// Which slot.
        slot: SlotId,
        /// Who, and why.
        why: ChangeReason,
    },
    /// A decision was made.
    Decided(Arc<Decided>),
    /// A reward event came in.
    Rewarded(Box<Rewarded>),
}

/// The kinds of what shoppers bring about, as against what people change: by far the most, and what retention is for.
pub const TRAFFIC: [&str; 2] = ["decided", "rewarded"];

impl Body {
    /// The slot it belongs to.
    pub fn slot(&self) -> &SlotId {
        match self {
            Self::SlotCreated { definition, .. } | Self::SlotUpdated { definition, .. } => &definition.id,
            Self::SlotPatched { patch, .. } => &patch.settings.id,
            Self::SlotDeleted { slot, .. }
            | Self::ArmsUpserted { slot, .. }
            | Self::ArmsRemoved { slot, .. }
            | Self::AvailabilitySet { slot, .. }
            | Self::SlotReset { slot, .. } => slot,
            Self::Decided(decided) => &decided.slot,
            Self::Rewarded(rewarded) => &rewarded.slot,
        }
    }

    /// The name of its kind, as it stands in the journal's column.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SlotCreated { .. } => "slot_created",
            Self::SlotUpdated { .. } => "slot_updated",
            Self::SlotPatched { .. } => "slot_patched",
            Self::SlotDeleted { .. } => "slot_deleted",
            Self::ArmsUpserted { .. } => "arms_upserted",
            Self::ArmsRemoved { .. } => "arms_removed",
            Self::AvailabilitySet { .. } => "availability_set",
            Self::SlotReset { .. } => "slot_reset",
            Self::Decided(_) => "decided",
            Self::Rewarded(_) => "rewarded",
        }
    }

    /// Returns who made a change, and why; `None` for a decision or a reward event.
    pub fn why(&self) -> Option<&ChangeReason> {
        match self {
            Self::SlotCreated { why, .. }
            | Self::SlotUpdated { why, .. }
            | Self::SlotPatched { why, .. }
            | Self::SlotDeleted { why, .. }
            | Self::ArmsUpserted { why, .. }
            | Self::ArmsRemoved { why, .. }
            | Self::AvailabilitySet { why, .. }
            | Self::SlotReset { why, .. } => Some(why),
            Self::Decided(_) | Self::Rewarded(_) => None,
        }
    }

    /// The decision it is about.
    pub fn decision(&self) -> Option<DecisionId> {
        match self {
            Self::Decided(decided) => Some(decided.id),
            Self::Rewarded(rewarded) => rewarded.decision,
            Self::SlotCreated { .. }
            | Self::SlotUpdated { .. }
            | Self::SlotPatched { .. }
            | Self::SlotDeleted { .. }
            | Self::ArmsUpserted { .. }
            | Self::ArmsRemoved { .. }
            | Self::AvailabilitySet { .. }
            | Self::SlotReset { .. } => None,
        }
    }
}

/// Whom something is for; both empty: anonymous. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// The subject's id, or empty.
    pub id: String,
    /// The session's id, or empty.
    pub session_id: String,
}

impl Subject {
    /// What may be used of it.
    #[must_use]
    pub fn as_far_as(mut self, consent: Consent) -> Self {
        match consent {
            Consent::Full => {}
            Consent::SessionOnly => self.id.clear(),
            Consent::None => self = Self::default(),
        }
        self
    }
}

/// Why the slot's model did not decide. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallback {
    /// Nothing was eligible.
    NoEligibleArm,
    /// The safe choice is on.
    SafeChoice,
    /// The model's numbers could not be used.
    Model,
    /// The caller's deadline had passed.
    Deadline,
}

/// Why an arm took its position. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The highest expected reward of what was left.
    BestGuess,
    /// Its chance to be the best.
    Exploring,
    /// The floor.
    Floor,
    /// The subject is in the holdout.
    Holdout,
    /// No model decided.
    Fallback,
    /// A rule put it there: it had no rival left.
    Rule,
    /// The subject was shown it before.
    Sticky,
    /// The slot only watches: the baseline is shown.
    Watching,
}

/// A chosen arm. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The arm.
    pub arm: ArmId,
    /// The probability it was drawn with, given the positions above.
    pub propensity: f64,
    /// The posterior mean of its reward.
    pub expected_reward: f64,
    /// Its place in the baseline, from 1; 0: none.
    pub baseline_position: u32,
    /// The probability of the other order of this arm and the one above, given the two; 0 where it was not asked for.
    pub overlap: f64,
    /// Why it stands here.
    pub reason: Reason,
}

/// A decision, with all that it was made from. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The slot.
    pub slot: SlotId,
    /// Its id.
    pub id: DecisionId,
    /// For repetition.
    pub request_id: Option<String>,
    /// Whom it was for, as far as consent goes.
    pub subject: Subject,
    /// The features as used.
    pub context: Features,
    /// The candidates of the request and their features; empty: every arm of the slot.
    pub candidates: Vec<(ArmId, Features)>,
    /// Arms that were not eligible because an earlier request of the batch was given them.
    pub taken: Vec<ArmId>,
    /// What was chosen, best position first.
    pub chosen: Vec<Chosen>,
    /// The subject is in the holdout.
    pub holdout: bool,
    /// Why the model did not decide.
    pub fallback: Option<Fallback>,
    /// The slot's revision.
    pub revision: u64,
    /// The model that decided.
    pub model: String,
    /// The seed of the draw.
    pub seed: u64,
    /// The largest expected reward of what could have stood first, in the goal's units; 0 without scores.
    pub best_expected: f64,
    /// What the policy would have chosen, where the slot only watches.
    pub would: Vec<Chosen>,
    /// The subject is in the analysis slice: nothing is learned of this decision.
    pub analysis: bool,
    /// The decision that this one repeats for its subject.
    pub sticky: Option<DecisionId>,
    /// The names of the rules that had an effect, in the slot's order.
    pub fired: Vec<String>,
    /// What was known of the candidates, at most [`SCORED_MAX`] of them: those with the largest probability first.
    pub scored: Vec<Scored>,
    /// Candidates that rules kept out, at most [`SCORED_MAX`] of them.
    pub barred: Vec<Barred>,
    /// [`Request::fingerprint`](super::Request::fingerprint) of a request with an id; 0 if it has none, or was recorded
    /// before there were fingerprints.
    pub request_fingerprint: u64,
}

/// How many candidates of a decision are recorded with what was known of them: more than a screen shows.
pub const SCORED_MAX: usize = 64;

/// What was known of a candidate when it was decided. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Its place among the request's candidates, or without those among the slot's arms, from 0.
    pub candidate: u32,
    /// The posterior mean of its reward.
    pub mean: f32,
    /// The spread of that mean, after the width multiplier.
    pub std: f32,
    /// The probability of the first position.
    pub propensity: f32,
}

/// A candidate that a rule kept out. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barred {
    /// Its place among the request's candidates, or without those among the slot's arms, from 0.
    pub candidate: u32,
    /// The rule, by its place in [`Decided::fired`].
    pub rule: u32,
}

impl Decided {
    /// A decision of nothing for nobody.
    pub fn empty(slot: SlotId, id: DecisionId) -> Self {
        Self {
            slot,
            id,
            request_id: None,
            subject: Subject::default(),
            context: Features::new(),
            candidates: Vec::new(),
            taken: Vec::new(),
            chosen: Vec::new(),
            holdout: false,
            fallback: None,
            revision: 0,
            model: String::new(),
            seed: 0,
            best_expected: 0.0,
            would: Vec::new(),
            analysis: false,
            sticky: None,
            fired: Vec::new(),
            scored: Vec::new(),
            barred: Vec::new(),
            request_fingerprint: 0,
        }
    }

    /// What a repetition of the request is answered from: all but what it was decided from.
    #[must_use]
    pub fn answer(&self) -> Self {
        Self {
            request_id: self.request_id.clone(),
            chosen: self.chosen.clone(),
            holdout: self.holdout,
            fallback: self.fallback,
            revision: self.revision,
            model: self.model.clone(),
            seed: self.seed,
            would: self.would.clone(),
            analysis: self.analysis,
            sticky: self.sticky,
            request_fingerprint: self.request_fingerprint,
            ..Self::empty(self.slot.clone(), self.id)
        }
    }

    /// At least one position was drawn and is not the best guess.
    pub fn exploring(&self) -> bool {
        self.chosen.iter().any(|chosen| matches!(chosen.reason, Reason::Exploring | Reason::Floor))
    }
}

/// A reward event.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewarded {
    /// The slot.
    pub slot: SlotId,
    /// The event's id.
    pub event_id: String,
    /// The decision; none: the latest one that showed the arm to the subject.
    pub decision: Option<DecisionId>,
    /// The subject.
    pub subject: Subject,
    /// The arm; none: the only one shown.
    pub arm: Option<ArmId>,
    /// The kind.
    pub kind: String,
    /// Its value.
    pub value: Option<f64>,
    /// When it happened, microseconds since 1970.
    pub time_us: i64,
    /// The event it takes back.
    pub reverses: Option<String>,
}
