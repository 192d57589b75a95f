//! View of a slot, from which decisions are made.

use std::{borrow::Cow, sync::Arc};

use super::{
    arm_table::ArmTable,
    drafts::Draft,
    fading::FadedLearner,
    horizons::MemoryCounts,
    slot_state::{ArmCounters, Counters, DeferredCounts, EvaluationData, GoalSums, SlotDesign, SlotState, TimeSeries},
};
use crate::{
    bandit::{ClickModel, Learner, SlotTraits},
    slot::{Arm, Definition, Revision, RuleBook, SlotId},
};

/// Published view of a slot. It is cheap to make from the state, and never changes.
#[derive(Debug, Clone)]
pub struct SlotView {
    /// Number of the slot.
    pub number: u32,
    /// Number of the current revision.
    pub revision: u64,
    /// Definition of the slot.
    pub definition: Arc<Definition>,
    /// Ids that the slot had before it was renamed, oldest first.
    pub former_ids: Vec<SlotId>,
    /// Arms of the slot by id.
    pub arms: Arc<ArmTable>,
    /// Arms that the slot takes from the catalogue, or its own joined with their items, or `None` if no item changes an arm.
    /// See [`arms_in_effect`](Self::arms_in_effect).
    pub(super) joined_arms: Option<Arc<[Arc<Arm>]>>,
    /// Learner.
    pub learner: Arc<Learner>,
    /// Counters of the slot.
    pub counters: Counters,
    /// Counters per arm, by index in the learner.
    pub arm_counters: Arc<Vec<ArmCounters>>,
    /// Sums since the goal changed, or `None` if it never did.
    pub goal_sums: Option<Arc<GoalSums>>,
    /// Cache of the learner as of the moment of the last reader.
    pub(super) faded: FadedLearner,
    /// Sums from which the report is computed.
    pub evaluation: Arc<EvaluationData>,
    /// Counts over time.
    pub series: TimeSeries,
    /// Time within which most rewards arrive, microseconds.
    pub patience_us: i64,
    /// Probability that each position is looked at, relative to the first; empty without a position-based click model.
    pub position_exposures: Vec<f64>,
    /// Revisions, oldest first.
    pub revisions: Arc<Vec<Revision>>,
    /// Drafts of changes, oldest first.
    pub drafts: Arc<Vec<Draft>>,
    /// Compiled rules.
    pub rules: Arc<RuleBook>,
    /// Number of pending decisions.
    pub pending: usize,
    /// Memory of the pending decisions, bytes.
    pub pending_bytes: u64,
    /// Memory of the finished decisions, bytes.
    pub finished_bytes: u64,
    /// Numbers of the items that the slot remembers.
    pub remembered: MemoryCounts,
    /// Numbers of the items that the slot forgot early because there were too many.
    pub forgotten: MemoryCounts,
    /// Numbers of the slot's deferred decisions.
    pub deferred: DeferredCounts,
}

impl SlotView {
    /// Arms in the slot's order: items that it takes from the catalogue, or its own, joined with their items.
    pub fn arms_in_effect(&self) -> &[Arc<Arm>] {
        self.joined_arms.as_deref().unwrap_or(&self.definition.arms)
    }

    /// Arms as they are listed: items that the slot takes from the catalogue, or its own as somebody wrote them.
    pub fn listed_arms(&self) -> &[Arc<Arm>] {
        if self.definition.takes_items() { self.arms_in_effect() } else { &self.definition.arms }
    }

    /// Traits that the models of the slot depend on.
    pub(super) fn traits(&self) -> SlotTraits {
        self.definition.traits(self.arms_in_effect().len())
    }

    /// Returns an arm of the slot, joined with its item of the catalogue.
    pub fn arm(&self, arm: &str) -> Option<&Arm> {
        self.arms.position(arm).map(|position| self.arms_in_effect()[position].as_ref())
    }

    /// Id that the slot was created with. Its shoppers are in the groups that this id gives, also after it was renamed.
    pub fn first_id(&self) -> &SlotId {
        self.former_ids.first().unwrap_or(&self.definition.id)
    }

    /// Returns the view as of a moment, microseconds since 1970, with observations faded until then. While learning is
    /// frozen, the view stays as it is.
    pub fn at(&self, now_us: i64) -> Cow<'_, Self> {
        let controls = &self.definition.controls;
        if controls.freeze_learning() {
            return Cow::Borrowed(self);
        }
        match self.faded.learner(&self.learner, now_us, controls.half_life_us()) {
            None => Cow::Borrowed(self),
            Some(learner) => Cow::Owned(Self { learner, ..self.clone() }),
        }
    }

    /// Returns two views of one slot as of a moment. If both have the same learner, so do the returned views.
    pub fn both_at<'a>(before: &'a Self, after: &'a Self, now_us: i64) -> (Cow<'a, Self>, Cow<'a, Self>) {
        let controls =
            |view: &Self| (view.definition.controls.half_life_us(), view.definition.controls.freeze_learning());
        let (first, second) = (before.at(now_us), after.at(now_us));
        if Arc::ptr_eq(&before.learner, &after.learner) && controls(before) == controls(after) {
            let learner = Arc::clone(&first.learner);
            return (first, Cow::Owned(Self { learner, ..second.into_owned() }));
        }
        (first, second)
    }
}

impl SlotState {
    /// Returns the view that decisions read.
    pub fn view(&self) -> SlotView {
        let SlotDesign {
            revision,
            arms_bytes: _,
            definition,
            revisions,
            arms,
            rules,
            former_ids,
            filter: _,
            joined_arms,
        } = &self.design;
        SlotView {
            number: self.number,
            revision: *revision,
            definition: Arc::clone(definition),
            former_ids: former_ids.clone(),
            arms: Arc::clone(arms),
            joined_arms: joined_arms.clone(),
            learner: Arc::clone(&self.learner),
            counters: self.counters.slot,
            arm_counters: Arc::clone(&self.counters.arms),
            goal_sums: self.goal_sums.shared(),
            faded: FadedLearner::default(),
            evaluation: Arc::clone(&self.evaluation),
            series: self.series.clone(),
            patience_us: self.delays.patience_us(definition.goal.window_us),
            position_exposures: self.position_exposures(),
            revisions: Arc::clone(revisions),
            drafts: Arc::clone(self.drafts.drafts()),
            rules: Arc::clone(rules),
            pending: self.decisions.pending.len(),
            pending_bytes: self.decisions.pending.bytes(),
            finished_bytes: self.decisions.finished.bytes(),
            remembered: self.remembered(),
            forgotten: self.forgotten,
            deferred: self.deferred.counts(),
        }
    }

    /// Returns `true` if a view has the arms that the slot has now, as items of the catalogue join them.
    pub fn has_arms_of(&self, view: &SlotView) -> bool {
        match (&self.design.joined_arms, &view.joined_arms) {
            (None, None) => true,
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// Returns the view without the posteriors of models that have no part in decisions, or `None` if all models have a part;
    /// see [`Learner::for_decisions`].
    pub fn view_for_decisions(&self) -> Option<SlotView> {
        let learner = self.learner.for_decisions()?;
        Some(SlotView { learner: Arc::new(learner), ..self.view() })
    }

    fn position_exposures(&self) -> Vec<f64> {
        let definition = &self.design.definition;
        let positions =
            if definition.goal.click_model == ClickModel::PositionBased { definition.count() as usize } else { 0 };
        (0..positions).map(|place| self.positions.exposure(place)).collect()
    }
}
