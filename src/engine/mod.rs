//! The state machine of the service.
//!
//! * [`decide`](decide()) reads a published [`SlotView`] and returns a [`DecisionRecord`]. It changes nothing.
//! * [`preview`](preview()) estimates the effect of a change from past decisions. [`recall`] explains one past
//!   decision.
//! * [`plan`] turns a requested [`Change`] of a slot into an event, or returns the reason why it cannot.
//! * [`plan_draft`] does so with a step of a [`Draft`]: a change that needs a second person.
//! * [`plan_import`] does so with decisions of the past that a slot is to learn.
//! * [`plan_items`] does so with a change of the item catalogue, which all slots share.
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

mod answer;
mod apply;
mod arm_table;
mod change;
mod chunked_queue;
mod compare;
mod decide;
mod decision_record;
mod deserializer;
mod draft_plan;
mod drafts;
mod event;
mod fading;
mod horizons;
mod ids;
mod import_plan;
mod imported;
mod index;
mod item_plan;
mod items;
mod learning_file;
mod ledger;
mod outcome;
mod ownership;
mod patch;
mod pending;
mod preview;
mod profile;
mod report;
mod shard;
mod shopper_effect;
mod shopper_event;
mod shoppers;
mod slot_state;
pub mod snapshot;
mod state;
mod subject;
#[cfg(test)]
mod tests;
mod view;

pub use answer::{EventStatus, FirstEvent, Lateness, Rejection, RewardAnswer, RewardNote, UnmatchedReason};
pub use apply::{EventEffect, SHOWN};
pub use arm_table::ArmTable;
pub use change::{Change, ChangeError, StartFrom, plan, plan_start, plan_unapproved};
pub use compare::{ComparedPolicy, ComparedValue, PolicyComparison, PolicyValue};
pub use decide::{
    CandidateExplanation, DecideOptions, Decision, Explanation, RecalledExplanation, Request, RequestCandidate, decide,
    recall,
};
pub use decision_record::{
    ChosenArm, DecisionRecord, ExcludedCandidate, Fallback, Reason, SCORED_MAX, ScoredCandidate,
};
pub use draft_plan::{DraftRequest, plan_draft};
pub use drafts::{Draft, DraftContent, DraftEvent, DraftRefusal, DraftState, DraftStep, SignedStep};
pub use event::{
    Availability, Body, DEFERRED, Event, FORGOTTEN, ForgottenSubject, ITEMS_CHANGED, LEARNING_COPIED, RewardEvent,
    SHOPPER, SLOT_RENAMED, TRAFFIC,
};
pub use horizons::{EventClass, EventTimes, Horizons, MemoryCounts};
pub use ids::{DecisionId, Hash128, hash};
pub use import_plan::plan_import;
pub use imported::{ImportProgress, ImportedObservation, ImportedPart};
pub use item_plan::{CatalogueLimits, ItemRequest, PlannedItems, plan_items};
pub use items::{ItemChanges, ItemOperation, ItemTable};
pub use learning_file::{LearningFile, LearningFileError, LearningImport, LearningProvenance};
pub use ledger::{ForgottenEntry, Ledger, Step};
pub use outcome::{DecisionOutcome, OutcomeObserver};
pub use ownership::ArmDraft;
pub use patch::{Patch, Piece};
pub use pending::{SEGMENT_FEATURES_MAX, event_key};
pub use preview::{
    BeforeAfter, Estimate, PREVIEW_DECISIONS_MAX, PreviewArm, PreviewRule, PreviewSegment, PreviewTally, Previewer,
    SlotPreview, UnknownReward, preview,
};
pub use profile::{
    CandidateMatch, CandidateMatches, ProfileChange, ProfileCounts, ProfileKey, ProfileStore, ShopperProfile,
    ShopperView, counted_attributes,
};
pub use report::{
    Alert, AlertKind, AmountFormat, ArmPeriod, ArmReport, FeatureSegments, FloorAdvice, GoalChange, IfEverybody,
    KindCount, Lift, PeriodFigures, RatioCheck, SegmentArmReport, SegmentValueReport, ShadowReport, SlotReport,
    SlotStage, Status, WhoWantsWhat, WithheldBecause, WithheldFigure, alerts, period_figures, policy_lift, report,
    rewards_since, segments,
};
pub use shard::SlotShard;
pub use shopper_effect::{JoinedReward, RepeatedEvent, ShopperEffect, SlotJoin};
pub use shopper_event::{ShopperEvent, ShopperItem, whole_event_id};

pub use slot_state::{
    ArmCounters, ArmPropensity, Counters, DeferredCounts, EvaluationData, EverybodySums, Exposure, ExposureEntry,
    ExposureScope, FIGURES_MAX, FeatureWatch, ForgottenLogins, GoalSums, HoldoutComparison, LearningSeed, LoginTable,
    NumberSizes, OTHER_ARMS, RewardCalibration, SEGMENT_CELLS_MAX, SEGMENT_VALUES_MAX, SERIES_ARMS_MAX,
    SERIES_CELLS_MAX, SERIES_CELLS_MIN, SERIES_CELLS_TOTAL, ScaledFloors, SegmentArm, SegmentFeature, SegmentTable,
    SegmentValue, SeriesArm, SeriesCounts, SeriesKind, SeriesStep, SeriesTotals, SeriesValue, ShadowCounts, SlotState,
    TimeSeries, TrafficWatch, ValueType, WATCHED_CLIENTS_MAX, WATCHED_FEATURES_MAX, WatchedClient, WatchedFeature,
};
pub use state::State;
pub use subject::Subject;
pub use view::SlotView;
