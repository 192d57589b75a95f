//! Events. The state of the service is the fold of its events.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ids::DecisionId, patch::Patch};
use crate::{
    bandit::Features,
    slot::{Arm, ArmId, ChangeReason, Consent, Definition, Schedule, SlotId, Unavailable},
};

/// Change of an arm's availability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// New value of the arm's `available`, or `None` to leave it as it is.
    pub available: Option<bool>,
    /// Reason why the arm may not be shown, if it may not.
    pub because: Option<Unavailable>,
    /// Times at which the arm may be shown, or `None` to leave them as they are.
    pub schedule: Option<Schedule>,
}

impl Availability {
    /// A change that only sets whether the arm may be shown.
    pub fn new(available: bool) -> Self {
        Self { available: Some(available), because: None, schedule: None }
    }

    /// Returns `true` if applying the change would alter the arm.
    pub fn changes(&self, arm: &Arm) -> bool {
        let mut after = (arm.available, arm.because, arm.schedule);
        self.of(&mut after);
        after != (arm.available, arm.because, arm.schedule)
    }

    /// Applies the change to the arm.
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

/// Event with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Time at which the service accepted the event, microseconds since 1970. It is never before that of the previous
    /// event.
    pub at_us: i64,
    /// Content of the event.
    pub body: Body,
}

/// Content of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A slot was created.
    SlotCreated {
        /// The definition, which has passed its check.
        definition: Arc<Definition>,
        /// Author and reason.
        why: ChangeReason,
    },
    /// A definition was replaced. Earlier versions wrote this event; today's write [`SlotPatched`](Self::SlotPatched).
    SlotUpdated {
        /// The new definition, which has passed its check.
        definition: Arc<Definition>,
        /// Author and reason.
        why: ChangeReason,
        /// Revision that was rolled back to, if the update was a rollback.
        rolled_back_to: Option<u64>,
    },
    /// A definition was changed.
    SlotPatched {
        /// The change. The definition that it makes has passed its check.
        patch: Box<Patch>,
        /// Author and reason.
        why: ChangeReason,
        /// Revision that was rolled back to, if the change was a rollback.
        rolled_back_to: Option<u64>,
    },
    /// A slot was deleted, with everything that it had learned.
    SlotDeleted {
        /// The slot.
        slot: SlotId,
        /// Author and reason.
        why: ChangeReason,
    },
    /// Arms were added or replaced.
    ArmsUpserted {
        /// The slot.
        slot: SlotId,
        /// The arms.
        arms: Vec<Arc<Arm>>,
        /// Author and reason.
        why: ChangeReason,
    },
    /// Arms were removed. The slot keeps what it learned of them.
    ArmsRemoved {
        /// The slot.
        slot: SlotId,
        /// The arms.
        arms: Vec<ArmId>,
        /// Author and reason.
        why: ChangeReason,
    },
    /// The availability of arms was set.
    AvailabilitySet {
        /// The slot.
        slot: SlotId,
        /// The arms, and the change of each.
        available: Vec<(ArmId, Availability)>,
        /// Author and reason.
        why: ChangeReason,
    },
    /// A slot forgot everything that it had learned.
    SlotReset {
        /// The slot.
        slot: SlotId,
        /// Author and reason.
        why: ChangeReason,
    },
    /// A decision was made.
    Decided(Arc<Decided>),
    /// A reward event arrived.
    Rewarded(Box<Rewarded>),
}

/// Kinds of events that shoppers cause, as opposed to changes by people. They are by far the most frequent, and
/// retention deletes only these.
pub const TRAFFIC: [&str; 2] = ["decided", "rewarded"];

impl Body {
    /// Returns the slot that the event belongs to.
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

    /// Returns the name of the event's kind, as stored in the journal's `kind` column.
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

    /// Returns the author and reason of a change, or `None` for a decision or a reward event.
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

    /// Returns the decision that the event is about, if it names one.
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

/// Person that a request is for; anonymous if both ids are empty. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// The subject's id, or an empty string.
    pub id: String,
    /// The session's id, or an empty string.
    pub session_id: String,
}

impl Subject {
    /// Returns the part of the subject that may be used under `consent`.
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

/// Reason why the slot's model did not decide. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallback {
    /// No arm was eligible.
    NoEligibleArm,
    /// Safe choice is on.
    SafeChoice,
    /// The model's scores were unusable.
    Model,
    /// The caller's deadline had passed.
    Deadline,
}

/// Reason why an arm took its position. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The arm had the highest expected reward of those that remained.
    BestGuess,
    /// The arm was drawn for its chance to be the best.
    Exploring,
    /// The arm was drawn because of its probability floor.
    Floor,
    /// The subject is in the holdout.
    Holdout,
    /// No model decided.
    Fallback,
    /// A rule put it there and left it no rival.
    Rule,
    /// The subject was shown it before.
    Sticky,
    /// The slot is in shadow mode and shows the baseline.
    Watching,
}

/// Arm that a decision chose. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The arm.
    pub arm: ArmId,
    /// Probability with which it was drawn, given the positions above.
    pub propensity: f64,
    /// Posterior mean of its reward.
    pub expected_reward: f64,
    /// Position of the arm in the baseline, from 1, or 0 if the baseline does not have it.
    pub baseline_position: u32,
    /// Swap probability: that of the opposite order of this arm and the one above, given the two; 0 where none was
    /// computed.
    pub overlap: f64,
    /// Reason why the arm stands here.
    pub reason: Reason,
}

/// Decision, with everything that it was made from. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The slot.
    pub slot: SlotId,
    /// The decision's id.
    pub id: DecisionId,
    /// Id of the request, by which a retry gets the same answer.
    pub request_id: Option<String>,
    /// Subject of the request, as far as consent goes.
    pub subject: Subject,
    /// Features of the request, as used.
    pub context: Features,
    /// Candidates of the request with their features; empty if every arm of the slot was a candidate.
    pub candidates: Vec<(ArmId, Features)>,
    /// Arms that were not eligible because an earlier request of the batch already got them.
    pub taken: Vec<ArmId>,
    /// Slate, best position first.
    pub chosen: Vec<Chosen>,
    /// `true` if the subject is in the holdout.
    pub holdout: bool,
    /// Reason why the model did not decide, if it did not.
    pub fallback: Option<Fallback>,
    /// Revision of the slot.
    pub revision: u64,
    /// Model that decided.
    pub model: String,
    /// Seed of the draw.
    pub seed: u64,
    /// Largest expected reward of the arms that could have stood first, in the goal's units, or 0 without scores.
    pub best_expected: f64,
    /// Slate that the policy would have chosen; empty unless the slot is in shadow mode.
    pub would: Vec<Chosen>,
    /// `true` if the subject is in the analysis slice. Nothing is learned of this decision.
    pub analysis: bool,
    /// Earlier decision for the same subject that this one repeats, if it does.
    pub sticky: Option<DecisionId>,
    /// Names of the rules that had an effect, in the slot's order.
    pub fired: Vec<String>,
    /// Scores of the candidates with the largest probabilities, at most [`SCORED_MAX`] of them.
    pub scored: Vec<Scored>,
    /// Candidates that rules excluded, at most [`SCORED_MAX`] of them.
    pub barred: Vec<Barred>,
    /// [`Request::fingerprint`](super::Request::fingerprint) of a request with an id, or 0 if the request has no id or
    /// was recorded before fingerprints were.
    pub request_fingerprint: u64,
}

/// Largest number of candidates whose scores are recorded with a decision. No screen shows more.
pub const SCORED_MAX: usize = 64;

/// Scores of a candidate at the time of a decision. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Index of the candidate in the request's candidates, or in the slot's arms if the request names none, from 0.
    pub candidate: u32,
    /// Posterior mean of its reward.
    pub mean: f32,
    /// Standard deviation of that mean, times the width multiplier.
    pub std: f32,
    /// Probability of the first position.
    pub propensity: f32,
}

/// Candidate that a rule excluded. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barred {
    /// Index of the candidate in the request's candidates, or in the slot's arms if the request names none, from 0.
    pub candidate: u32,
    /// Index of the rule in [`Decided::fired`].
    pub rule: u32,
}

impl Decided {
    /// A decision that shows no arm to an anonymous subject.
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

    /// Returns the part of the decision from which a retry is answered: everything but what it was made from.
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

    /// Returns `true` if at least one position was drawn and does not show the best guess.
    pub fn exploring(&self) -> bool {
        self.chosen.iter().any(|chosen| matches!(chosen.reason, Reason::Exploring | Reason::Floor))
    }
}

/// Reward event: a report of what a shopper did.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewarded {
    /// The slot.
    pub slot: SlotId,
    /// The event's id.
    pub event_id: String,
    /// The decision, or `None` for the latest one that showed the arm to the subject.
    pub decision: Option<DecisionId>,
    /// The subject.
    pub subject: Subject,
    /// The arm, or `None` for the only one that was shown.
    pub arm: Option<ArmId>,
    /// Kind of the event.
    pub kind: String,
    /// Value of the event, if it has one.
    pub value: Option<f64>,
    /// Time at which it happened, microseconds since 1970.
    pub time_us: i64,
    /// Id of the event that this one reverses, if it reverses one.
    pub reverses: Option<String>,
}
