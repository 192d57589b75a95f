//! Events. The state of the service is the fold of its events.

use std::sync::Arc;

use super::{
    decision_record::DecisionRecord, drafts::DraftEvent, horizons::EventClass, ids::DecisionId, imported::ImportedPart,
    items::ItemChanges, learning_file::LearningImport, patch::Patch, shopper_event::ShopperEvent, subject::Subject,
};
use crate::slot::{Arm, ArmId, ChangeReason, Definition, Schedule, SlotId, Unavailable};

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
    /// A slot got another id, and kept everything else.
    SlotRenamed {
        /// Id of the slot before.
        slot: SlotId,
        /// Id of the slot from then on.
        to: SlotId,
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
    /// A slot took over what another slot had learned.
    LearningCopied {
        /// The slot that took it over.
        slot: SlotId,
        /// The slot that had learned it.
        from: SlotId,
        /// Weight of each observation, above 0 and at most 1.
        weight: f64,
        /// Author and reason.
        why: ChangeReason,
    },
    /// A slot forgot what it had learned of one arm.
    ArmReset {
        /// The slot.
        slot: SlotId,
        /// The arm.
        arm: ArmId,
        /// Author and reason.
        why: ChangeReason,
    },
    /// A slot took over what a slot had learned, from a file.
    LearningImported(Box<LearningImport>),
    /// A draft of a change took a step.
    Draft(Box<DraftEvent>),
    /// Decisions of the past were imported.
    Imported(Box<ImportedPart>),
    /// A decision was made, or a deferred one was confirmed.
    Decided(Arc<DecisionRecord>),
    /// A decision was made that counts only once it is confirmed.
    Deferred(Arc<DecisionRecord>),
    /// A reward event arrived.
    Rewarded(Box<RewardEvent>),
    /// A shopper event arrived.
    Shopper(Arc<ShopperEvent>),
    /// A subject was forgotten.
    SubjectForgotten(Box<ForgottenSubject>),
    /// Items of the catalogue changed, which all slots share.
    ItemsChanged(Arc<ItemChanges>),
}

/// Kinds of events that shoppers cause, here or in another system, as opposed to changes by people. They are by far the
/// most frequent, and retention deletes only these.
pub const TRAFFIC: [&str; 5] = ["decided", "rewarded", SHOPPER, DEFERRED, "imported"];

/// Name of the kind of shopper events. They are the only traffic that belongs to no single slot.
pub const SHOPPER: &str = "shopper";

/// Name of the kind of forgotten subjects.
pub const FORGOTTEN: &str = "subject_forgotten";

/// Name of the kind of changes of items, which concern every slot.
pub const ITEMS_CHANGED: &str = "items_changed";

/// Name of the kind of learning that was copied, which two slots take part in.
pub const LEARNING_COPIED: &str = "learning_copied";

/// Name of the kind of renamed slots, which the journal holds under the id that the slot got.
pub const SLOT_RENAMED: &str = "slot_renamed";

/// Name of the kind of deferred decisions.
pub const DEFERRED: &str = "deferred";

/// Kinds of shopper events that hardly a goal counts.
const LOOKS: [&str; 6] = ["view", "hover", "search", "filter", "sort", "shown"];

impl EventClass {
    /// Returns the class of an event by the name of its kind in the journal.
    pub fn from_kind(kind: &str) -> Self {
        match kind {
            "decided" => Self::Decision,
            DEFERRED => Self::Deferred,
            "rewarded" => Self::Reward,
            _ => Self::Other,
        }
    }

    /// Returns the class of an event.
    pub(super) fn of(body: &Body) -> Self {
        // Most events are looks, and looks must not drive out the memory of purchases.
        if let Body::Shopper(event) = body
            && !LOOKS.contains(&event.kind.as_str())
        {
            return Self::Reward;
        }
        Self::from_kind(body.kind())
    }
}

impl Body {
    /// Returns the slot that the event belongs to, or `None` for one that may concern every slot: a shopper event, a
    /// change of items, or a subject that was forgotten.
    pub fn slot(&self) -> Option<&SlotId> {
        Some(match self {
            Self::SlotCreated { definition, .. } | Self::SlotUpdated { definition, .. } => &definition.id,
            Self::SlotPatched { patch, .. } => &patch.settings.id,
            Self::SlotRenamed { to, .. } => to,
            Self::SlotDeleted { slot, .. }
            | Self::ArmsUpserted { slot, .. }
            | Self::ArmsRemoved { slot, .. }
            | Self::AvailabilitySet { slot, .. }
            | Self::LearningCopied { slot, .. }
            | Self::ArmReset { slot, .. }
            | Self::SlotReset { slot, .. } => slot,
            Self::Draft(event) => &event.slot,
            Self::Imported(part) => &part.slot,
            Self::LearningImported(import) => &import.slot,
            Self::Decided(decided) | Self::Deferred(decided) => &decided.slot,
            Self::Rewarded(rewarded) => &rewarded.slot,
            Self::Shopper(_) | Self::SubjectForgotten(_) | Self::ItemsChanged(_) => return None,
        })
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
            Self::SlotRenamed { .. } => SLOT_RENAMED,
            Self::LearningCopied { .. } => LEARNING_COPIED,
            Self::ArmReset { .. } => "arm_reset",
            Self::LearningImported(_) => "learning_imported",
            Self::Draft(_) => "draft",
            Self::Imported(_) => "imported",
            Self::Decided(_) => "decided",
            Self::Deferred(_) => DEFERRED,
            Self::Rewarded(_) => "rewarded",
            Self::Shopper(_) => SHOPPER,
            Self::SubjectForgotten(_) => FORGOTTEN,
            Self::ItemsChanged(_) => ITEMS_CHANGED,
        }
    }

    /// Returns the author and reason of a change or an import, or `None` for what shoppers do.
    pub fn why(&self) -> Option<&ChangeReason> {
        match self {
            Self::SlotCreated { why, .. }
            | Self::SlotUpdated { why, .. }
            | Self::SlotPatched { why, .. }
            | Self::SlotDeleted { why, .. }
            | Self::SlotRenamed { why, .. }
            | Self::ArmsUpserted { why, .. }
            | Self::ArmsRemoved { why, .. }
            | Self::AvailabilitySet { why, .. }
            | Self::LearningCopied { why, .. }
            | Self::ArmReset { why, .. }
            | Self::SlotReset { why, .. } => Some(why),
            Self::Draft(event) => Some(&event.why),
            Self::Imported(part) => Some(&part.why),
            Self::LearningImported(import) => Some(&import.why),
            Self::SubjectForgotten(forgotten) => Some(&forgotten.why),
            Self::ItemsChanged(changes) => Some(&changes.why),
            Self::Decided(_) | Self::Deferred(_) | Self::Rewarded(_) | Self::Shopper(_) => None,
        }
    }

    /// Returns the decision that the event is about, if it names one.
    pub fn decision(&self) -> Option<DecisionId> {
        match self {
            Self::Decided(decided) | Self::Deferred(decided) => Some(decided.id),
            Self::Rewarded(rewarded) => rewarded.decision,
            Self::SlotCreated { .. }
            | Self::SlotUpdated { .. }
            | Self::SlotPatched { .. }
            | Self::SlotDeleted { .. }
            | Self::SlotRenamed { .. }
            | Self::ArmsUpserted { .. }
            | Self::ArmsRemoved { .. }
            | Self::AvailabilitySet { .. }
            | Self::SlotReset { .. }
            | Self::LearningCopied { .. }
            | Self::ArmReset { .. }
            | Self::LearningImported(_)
            | Self::SubjectForgotten(_)
            | Self::ItemsChanged(_)
            | Self::Draft(_)
            | Self::Imported(_)
            | Self::Shopper(_) => None,
        }
    }

    /// Returns the subject of a decision, a reward or a shopper event, or `None` for an event of another kind.
    pub fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Decided(decided) | Self::Deferred(decided) => Some(&decided.subject),
            Self::Rewarded(rewarded) => Some(&rewarded.subject),
            Self::Shopper(event) => Some(&event.subject),
            Self::SlotCreated { .. }
            | Self::SlotUpdated { .. }
            | Self::SlotPatched { .. }
            | Self::SlotDeleted { .. }
            | Self::SlotRenamed { .. }
            | Self::ArmsUpserted { .. }
            | Self::ArmsRemoved { .. }
            | Self::AvailabilitySet { .. }
            | Self::SlotReset { .. }
            | Self::LearningCopied { .. }
            | Self::ArmReset { .. }
            | Self::LearningImported(_)
            | Self::SubjectForgotten(_)
            | Self::ItemsChanged(_)
            | Self::Draft(_)
            | Self::Imported(_) => None,
        }
    }
}

/// Subject that was forgotten, and whose data go. It is known by pseudonyms alone.
#[derive(Debug, Clone, PartialEq)]
pub struct ForgottenSubject {
    /// Pseudonyms under which decisions and events knew the subject.
    pub subject: Subject,
    /// First pseudonyms that its ids ever had. A subject that comes back gets another one, which nothing links to these.
    pub origin: Subject,
    /// Author and reason.
    pub why: ChangeReason,
}

/// Reward event: a report of what a shopper did.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardEvent {
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
