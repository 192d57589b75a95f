//! State of one slot, in parts.
//!
//! Each part owns its rules and knows nothing of the slot that it belongs to. Module `apply` combines them: it is the
//! only place that changes a slot.

mod calibration;
mod comparison;
mod counters;
mod deferred;
mod delays;
mod design;
mod evaluation;
mod event_memory;
mod everybody;
mod exposure;
mod feature_watch;
mod goal_sums;
mod learned_subjects;
mod learning;
mod logins;
mod pace;
mod pairwise;
mod positions;
mod provisional;
mod requests;
mod revisions;
mod segments;
mod series;
mod shadow;
mod traffic_watch;
mod winsorizing;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use calibration::RewardCalibration;
pub use comparison::HoldoutComparison;
pub(super) use counters::SlotCounters;
pub use counters::{ArmCounters, Counters};
pub use deferred::DeferredCounts;
pub(super) use deferred::{DeferredDecisions, DeferredEntry};
pub(super) use delays::DelayModel;
pub(super) use design::{AVAILABILITY, SlotDesign, upsert_arms};
pub(super) use evaluation::DecisionEvaluation;
pub use evaluation::EvaluationData;
pub(super) use event_memory::{EventMemory, RememberedEvent};
pub use everybody::{EverybodySums, FIGURES_MAX};
pub use exposure::{ArmPropensity, Exposure, ExposureEntry, ExposureScope};
pub use feature_watch::{FeatureWatch, NumberSizes, ValueType, WATCHED_FEATURES_MAX, WatchedFeature};
pub use goal_sums::GoalSums;
pub(super) use goal_sums::{RewardChange, SumsSinceGoal};
pub(super) use learned_subjects::LearnedSubjects;
pub use learning::LearningSeed;
pub use logins::{ForgottenLogins, LoginTable};
use pace::DecisionPace;
pub(super) use positions::PositionModel;
pub(super) use provisional::{ProvisionalValue, ProvisionalValues};
pub(super) use requests::RequestLog;
pub(super) use segments::segment_label;
pub use segments::{SEGMENT_CELLS_MAX, SEGMENT_VALUES_MAX, SegmentArm, SegmentFeature, SegmentTable, SegmentValue};
pub(super) use winsorizing::ValueQuantiles;

pub use series::{
    OTHER_ARMS, SERIES_ARMS_MAX, SERIES_CELLS_MAX, SERIES_CELLS_MIN, SERIES_CELLS_TOTAL, SeriesArm, SeriesCounts,
    SeriesKind, SeriesStep, SeriesTotals, SeriesValue, TimeSeries,
};
pub(super) use series::{SeriesDecision, SeriesReward};
pub use shadow::ShadowCounts;
pub use traffic_watch::{ScaledFloors, TrafficWatch, WATCHED_CLIENTS_MAX, WatchedClient};

use super::{
    decision_record::DecisionRecord, drafts::DraftBook, horizons::MemoryCounts, ids::DecisionId, imported::ImportLog,
    items::ItemTable, pending::DecisionQueues, subject::Subject,
};
use crate::{
    bandit::Learner,
    slot::{Arm, ArmId, Definition, Revision, SlotId},
};

/// State of one slot. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotState {
    pub(super) number: u32,
    /// `true` if the slot only keeps accounts, see [`State::accounting`](super::State::accounting). Never written.
    #[serde(skip)]
    pub(super) accounting: bool,
    pub(super) design: SlotDesign,
    /// Numbers of items that were forgotten early because there were too many.
    pub(super) forgotten: MemoryCounts,
    pub(super) learner: Arc<Learner>,
    /// Pending and finished decisions.
    pub(super) decisions: DecisionQueues,
    pub(super) counters: SlotCounters,
    pub(super) goal_sums: SumsSinceGoal,
    /// Counted events that did not name their decision.
    pub(super) event_memory: EventMemory,
    #[serde(skip)]
    pub(super) requests: RequestLog,
    pub(super) delays: DelayModel,
    pub(super) values: ValueQuantiles,
    /// Values that were learned before their quantile was certain.
    #[serde(default)]
    pub(super) provisional: ProvisionalValues,
    pub(super) positions: PositionModel,
    pub(super) exposure: Exposure,
    /// Subjects of the decisions of the last day that are learned.
    #[serde(default)]
    pub(super) learned_subjects: LearnedSubjects,
    /// Sessions without an id, and the subjects that some of them turned out to be.
    pub(super) logins: LoginTable,
    /// Sums from which the report is computed.
    pub(super) evaluation: Arc<EvaluationData>,
    /// Counts over time.
    pub(super) series: TimeSeries,
    pub(super) pace: DecisionPace,
    /// Decisions that count once they are confirmed.
    #[serde(default)]
    pub(super) deferred: DeferredDecisions,
    /// Changes that wait for a second person.
    #[serde(default, skip_serializing_if = "DraftBook::is_unused")]
    pub(super) drafts: DraftBook,
    /// Imports that the slot learned.
    #[serde(default, skip_serializing_if = "ImportLog::is_empty")]
    pub(super) imports: ImportLog,
}

impl SlotState {
    /// Creates a slot that has learned nothing at `at_us`.
    pub(super) fn new(number: u32, accounting: bool, design: SlotDesign, at_us: i64) -> Self {
        Self {
            number,
            accounting,
            forgotten: MemoryCounts::default(),
            learner: Arc::new(Learner::new(design.definition.model, design.traits())),
            design,
            decisions: DecisionQueues::default(),
            counters: SlotCounters::default(),
            goal_sums: SumsSinceGoal::default(),
            event_memory: EventMemory::default(),
            requests: RequestLog::default(),
            delays: DelayModel::default(),
            values: ValueQuantiles::default(),
            provisional: ProvisionalValues::default(),
            positions: PositionModel::new(at_us),
            exposure: Exposure::default(),
            learned_subjects: LearnedSubjects::default(),
            logins: LoginTable::default(),
            evaluation: Arc::default(),
            series: TimeSeries::default(),
            pace: DecisionPace::default(),
            deferred: DeferredDecisions::default(),
            drafts: DraftBook::default(),
            imports: ImportLog::default(),
        }
    }

    /// Returns a copy without the decisions that wait for rewards, reversals or retries.
    pub(super) fn without_memory(&self) -> Self {
        Self {
            decisions: DecisionQueues::default(),
            event_memory: EventMemory::default(),
            requests: RequestLog::default(),
            exposure: Exposure::default(),
            learned_subjects: LearnedSubjects::default(),
            logins: LoginTable::default(),
            deferred: DeferredDecisions::default(),
            ..self.without_indices()
        }
    }

    /// Returns a copy without indices. It is cheap, because everything large is shared. Events cannot be applied to it.
    pub(super) fn without_indices(&self) -> Self {
        Self {
            number: self.number,
            accounting: self.accounting,
            design: self.design.clone(),
            forgotten: self.forgotten,
            learner: Arc::clone(&self.learner),
            decisions: self.decisions.without_indices(),
            counters: self.counters.clone(),
            goal_sums: self.goal_sums.clone(),
            event_memory: self.event_memory.without_index(),
            requests: self.requests.clone(),
            delays: self.delays.clone(),
            values: self.values.clone(),
            provisional: self.provisional.clone(),
            positions: self.positions.clone(),
            exposure: self.exposure.without_index(),
            learned_subjects: self.learned_subjects.without_index(),
            logins: self.logins.without_index(),
            evaluation: Arc::clone(&self.evaluation),
            series: self.series.clone(),
            pace: self.pace,
            deferred: self.deferred.without_indices(),
            drafts: self.drafts.clone(),
            imports: self.imports.clone(),
        }
    }

    /// The definition.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.design.definition
    }

    /// Arms in the slot's order: items that it takes from the catalogue, or its own, joined with their items.
    pub fn arms_in_effect(&self) -> &[Arc<Arm>] {
        self.design.arms_in_effect()
    }

    /// Ids that the slot had before it was renamed, oldest first.
    pub fn former_ids(&self) -> &[SlotId] {
        &self.design.former_ids
    }

    /// Returns the arm of this id, joined with its item, if the slot has it and it has attributes.
    pub fn arm_with_attributes(&self, arm: &ArmId) -> Option<Arc<Arm>> {
        let position = self.design.arms.position(arm.as_str())?;
        self.design.arms_in_effect().get(position).filter(|arm| !arm.attributes.is_empty()).map(Arc::clone)
    }

    /// The learner.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Decisions with a request id that may still be repeated, oldest first, each with its time in microseconds since
    /// 1970.
    pub fn requests(&self) -> impl Iterator<Item = (i64, &Arc<DecisionRecord>)> {
        self.requests.iter()
    }

    /// Exposure: what subjects were shown lately, if a control or a rule needs it.
    pub fn exposure(&self) -> &Exposure {
        &self.exposure
    }

    /// Sessions without an id, and the subjects that some of them turned out to be.
    pub fn logins(&self) -> &LoginTable {
        &self.logins
    }

    /// Returns the revision of this number, if it is kept.
    pub fn revision(&self, number: u64) -> Option<&Revision> {
        self.design.revision(number)
    }

    /// Returns the definition of this revision, if it is kept.
    pub fn definition_at(&self, number: u64) -> Option<Arc<Definition>> {
        if number == self.design.revision {
            return Some(Arc::clone(&self.design.definition));
        }
        self.design.revision(number).map(|revision| Arc::clone(&revision.definition))
    }

    /// Numbers of the slot's deferred decisions.
    pub fn deferred_counts(&self) -> DeferredCounts {
        self.deferred.counts()
    }

    /// Returns the position in the journal of the record of a deferred decision that may be confirmed at `at_us`,
    /// microseconds since 1970.
    pub fn deferred_position(&self, id: DecisionId, at_us: i64) -> Option<u64> {
        self.deferred.position(id, at_us)
    }

    /// Returns the positions in the journal of the records of a subject's newest deferred decisions that may be confirmed
    /// at `at_us`, microseconds since 1970, newest first. Compare each record's subject.
    pub fn deferred_of_subject(&self, subject: &Subject, at_us: i64) -> Vec<u64> {
        self.deferred.positions_of(subject, at_us)
    }

    /// Revisions that are kept, oldest first.
    pub fn revisions(&self) -> &[Revision] {
        &self.design.revisions
    }

    /// Number of the current revision.
    pub fn revision_number(&self) -> u64 {
        self.design.revision
    }

    /// Returns the numbers of the items that the slot remembers.
    pub fn remembered(&self) -> MemoryCounts {
        MemoryCounts {
            pending_decisions: self.decisions.pending.len() as u64,
            finished_decisions: self.decisions.finished.len() as u64,
            event_ids: self.event_memory.queue().len() as u64,
            requests: self.requests.queue().len() as u64,
            exposures: self.exposure.queue().len() as u64,
            learned_subjects: self.learned_subjects.len() as u64,
            sessions: self.logins.sessions() as u64,
            logins: self.logins.links() as u64,
            deferred_decisions: self.deferred.waiting() as u64,
        }
    }

    /// Restores everything that a snapshot leaves out because it follows from the rest.
    pub(super) fn rebuild(&mut self, items: &ItemTable) {
        self.design.rebuild(items);
        Arc::make_mut(&mut self.learner).rebuild();
        self.learned_subjects.rebuild();
        self.decisions.pending.index_subjects(self.design.definition.goal.joins_any());
    }
}
