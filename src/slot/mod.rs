//! Slots: definitions with their arms, goal, controls and rules, as validated values.
//!
//! * [`Definition`]: everything that a marketer or engineer sets for a slot. [`Definition::check`] is the only place that
//!   decides whether it is valid.
//! * [`Goal`]: the rule by which the reward events of a shown arm become one number.
//! * [`Controls`]: exploration and audience of the slot. An unset control has its default, so a better default reaches
//!   old slots.
//! * [`Rule`]: a condition, and an effect on the arms that it matches.
//! * [`Approval`]: changes for which a second person is needed.
//! * [`Revision`]: a definition as it was after a change.
//! * [`limits`]: a limit on every input, with its reason.
//! * [`Named`]: one name for each value of the enumerations, for all layers.
//!
//! Invariants:
//!
//! * A definition inside the engine has passed its check.
//! * Identifiers are well formed by type.
//!
//! Deliberately not here: events over time, and learned state.

mod approval;
mod arm;
mod controls;
mod definition;
#[cfg(test)]
mod examples;
mod feature_limits;
mod floors;
mod goal;
mod id;
pub mod limits;
mod model_limits;
mod names;
mod revision;
mod reward_kind;
mod rule;
mod size;

pub use approval::{
    APPROVAL_CHANGE, AVAILABILITY_CHANGE, Approval, DELETE_CHANGE, EMERGENCY_CHANGES, IMPORT_CHANGE, RENAME_CHANGE,
    RESET_CHANGE, changes_between,
};
pub use arm::{Arm, Payload, Schedule, Unavailable};
pub use controls::{
    Baseline, Controls, ExplorationPreset, HeadStart, Mode, ProbabilityBounds, ProfileFeatures, Stickiness,
    SubjectLimit, WarmUp,
};
pub use definition::{Consent, Definition, SlotKind};
#[cfg(test)]
pub(crate) use examples::{any_id, any_ids, any_text, examples, odd_definition};
pub use feature_limits::{check_features, check_name};
pub use goal::{Aggregation, Contribution, Goal, Learning};
pub use id::{
    ArmId, FieldError, SlotId, check_token, push_escaped, reorders_or_controls, shorten, shorten_key, suggestion,
};
pub use names::Named;
pub use revision::{Actor, ChangeReason, Revision};
pub use reward_kind::{JoinRule, KindRole, RewardKind, SilenceRule};
pub use rule::{
    Comparand, Effect, ItemFilter, OnError, RequestFacts, Rule, RuleBook, RuleTarget, Verdict, Verdicts, check_rules,
};
