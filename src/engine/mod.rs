//! The state machine: what is decided, what happened, and what is true because of it.
//!
//! * [`decide`](decide()) reads a published [`SlotView`] and makes a [`Decided`]; it changes nothing.
//! * [`preview`](preview()) says what a change would do, by past decisions; [`recall`] how one of them came about.
//! * [`plan`] turns a wished-for [`Change`] of a slot into an event, or says why not.
//! * [`State::apply`] takes an [`Event`] and is the only place where state changes.
//! * [`snapshot`] turns a state into bytes and back; [`report`] says what was learned.
//!
//! Invariants: `apply` is total and deterministic: no clock, no I/O, no randomness;
//! time comes from the event. It never depends on what a decision read, only on what
//! its event says. The same events give the same state, bit for bit.
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
