//! What a slot is: a definition with its arms, goal and controls, as validated values.
//!
//! * [`Definition`]: all that a marketer or engineer says about a slot; [`Definition::check`] is
//!   the one place that says whether it holds together.
//! * [`Goal`]: how the reward events of a shown arm become one number.
//! * [`Controls`]: how it explores. Unset means the default, so a better default reaches old slots.
//! * [`Rule`]: a condition and what it does to the arms that it matches.
//! * [`Revision`]: a definition as it was after a change.
//! * [`limits`]: a limit on everything, with its reason.
//!
//! Invariants: a definition inside the engine has passed its check; identifiers are well formed by type.
//!
//! Deliberately not here: anything that happens over time, and anything that was learned.

mod controls;
mod definition;
#[cfg(test)]
mod examples;
mod floors;
mod goal;
mod id;
pub mod limits;
mod names;
mod rule;
mod size;

pub use controls::{Baseline, Controls, ExplorationPreset, HeadStart, Mode, ProbabilityBounds, Stickiness, WarmUp};
pub use definition::{
    Actor, Arm, ChangeReason, Consent, Definition, Payload, Revision, Schedule, SlotKind, Unavailable, check_features,
    check_name,
};
#[cfg(test)]
pub(crate) use examples::{any_id, any_ids, any_text, examples, odd_definition};
pub use goal::{Aggregation, Contribution, Goal, Learning, RewardKind};
pub use id::{
    ArmId, FieldError, SlotId, check_token, push_escaped, reorders_or_controls, shorten, shorten_key, suggestion,
};
pub use names::Named;
pub use rule::{Comparand, Effect, Facts, OnError, Rule, RuleBook, Target, Verdict, Verdicts, check_rules, warn_rules};
