//! The state machine of the service.
//!
//! * [`decide`](decide()) reads a published [`SlotView`] and returns a [`Decided`]. It changes nothing.
//! * [`preview`](preview()) estimates the effect of a change from past decisions. [`recall`] explains one past
//!   decision.
//! * [`plan`] turns a requested [`Change`] of a slot into an event, or returns the reason why it cannot.
//! * [`State::apply`] takes an [`Event`]. It is the only place where state changes.
//! * [`snapshot`] converts a state to bytes and back. [`report`] says what was learned.
//!
//! Invariants:
//!
//! * `apply` is total and deterministic: no clock, no I/O, no randomness. Time comes from the event.
//! * `apply` depends only on its event and the state, never on what a decision read. Equal events give equal states,
//!   bit for bit.
//!
//! Deliberately not here: files, sockets, threads, the clock, generated types.

mod change;
mod chunks;
mod closed;
mod counters;
mod decide;
mod define;
mod duels;
mod duplicates;
mod event;
mod fading;
mod finished;
mod goal_sums;
mod horizons;
mod ids;
mod index;
mod insight;
mod intake;
mod ledger;
mod memory;
mod ownership;
mod packed;
mod past;
mod patch;
mod pending;
mod preview;
mod reply;
mod report;
mod revisions;
mod reward;
mod silence;
pub mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod view;

pub use change::{Change, ChangeError, plan};
pub use closed::{Closed, Fate, Told};
pub use counters::{Counters, Tally};
pub use decide::{
    CandidateExplanation, Decision, Draw, Explanation, Recalled, Request, RequestCandidate, decide, decide_until,
    decide_with, recall,
};
pub use event::{
    Availability, Barred, Body, Chosen, Decided, Event, Fallback, Reason, Rewarded, SCORED_MAX, Scored, Subject,
    TRAFFIC,
};
pub use goal_sums::GoalSums;
pub use horizons::{Horizons, Parts, Times, Traffic};
pub use ids::{DecisionId, Key, hash};
pub use insight::{Comparison, Insight};
pub use ledger::{Ledger, Slots, Step};
pub use ownership::ArmDraft;
pub use past::{Memory, Past, PastDecision, ShownTo};
pub use patch::{Patch, Piece};
pub use pending::{Pending, event_key};
pub use preview::{
    BeforeAfter, Estimate, PREVIEW_DECISIONS_MAX, Preview, PreviewArm, PreviewRule, PreviewTally, Previewer, preview,
};
pub use reply::{FirstEvent, Lateness, RewardAnswer, RewardNote};
pub use report::{ArmReport, GoalChange, Lift, SlotReport, Stage, Status, report};
pub use reward::{Rejection, RewardOutcome, Unmatched};
pub use state::{Applied, SlotState, State};
pub use view::{ArmTable, SlotView};
