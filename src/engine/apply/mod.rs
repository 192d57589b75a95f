//! Application of events to a slot: the only place where a slot changes.

mod decision;
mod deferred;
mod duplicates;
mod forget;
mod import;
mod learning;
mod outcomes;
mod reward;
mod shopper;
mod timeout;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

pub use deferred::SHOWN;

use super::{
    answer::RewardAnswer,
    event::{Availability, Body},
    items::{ChangedItem, ItemTable},
    ledger::Step,
    outcome::OutcomeObserver,
    shopper_effect::ShopperEffect,
    slot_state::{AVAILABILITY, ScaledFloors, SlotDesign, SlotState, upsert_arms},
};
use crate::slot::{Arm, ArmId, ChangeReason, Definition, EMERGENCY_CHANGES, SlotId, changes_between};

/// Effect of an event that was applied.
#[derive(Debug, Clone, PartialEq)]
pub enum EventEffect {
    /// A slot changed, or nothing did because the slot is gone.
    Change,
    /// A decision was added, or is deferred.
    Decision,
    /// A reward event was processed.
    Reward(RewardAnswer),
    /// A shopper event was processed.
    Shopper(Box<ShopperEffect>),
}

impl SlotState {
    /// Creates a slot beside these items. It only keeps accounts if `accounting` is `true`.
    pub(super) fn create(
        number: u32,
        definition: &Arc<Definition>,
        at_us: i64,
        why: &ChangeReason,
        (accounting, items): (bool, &ItemTable),
    ) -> Self {
        let mut state = Self::new(number, accounting, SlotDesign::new(definition, items), at_us);
        state.define(at_us, items, Arc::clone(definition), why, "created".into());
        state
    }

    /// Applies an event, and reports the outcomes of decisions that no longer wait for rewards.
    pub(super) fn apply(
        &mut self,
        step: Step,
        items: &ItemTable,
        body: &Body,
        mut observer: Option<&mut OutcomeObserver<'_>>,
    ) -> EventEffect {
        let at_us = step.at_us;
        self.number = step.number.unwrap_or(self.number);
        self.expire_decisions(at_us, observer.as_deref_mut());
        if let Body::Rewarded(rewarded) = body {
            // The event comes before silence is learned, because it may be what breaks the silence.
            let answer = self.apply_reward(at_us, rewarded);
            self.learn_silence(at_us);
            return EventEffect::Reward(answer);
        }
        self.learn_silence(at_us);
        match body {
            Body::SlotUpdated { definition, why, rolled_back_to } => {
                let change = rolled_back_to.map_or("updated".into(), |n| format!("rolled back to {n}"));
                self.define(at_us, items, Arc::clone(definition), why, change);
            }
            Body::SlotPatched { patch, why, rolled_back_to } => {
                let change = rolled_back_to.map_or("updated".into(), |n| format!("rolled back to {n}"));
                let definition = patch.apply(&self.design.definition);
                self.define(at_us, items, Arc::new(definition), why, change);
            }
            Body::ArmsUpserted { arms, why, .. } => {
                self.change_arms(at_us, items, why, "arms upserted", |have| upsert_arms(have, arms));
            }
            Body::ArmsRemoved { arms, why, .. } => self.change_arms(at_us, items, why, "arms removed", |have| {
                let gone: HashSet<&ArmId> = arms.iter().collect();
                have.retain(|arm| !gone.contains(&arm.id));
            }),
            Body::AvailabilitySet { available, why, .. } => {
                self.change_arms(at_us, items, why, AVAILABILITY, |have| {
                    let wanted: BTreeMap<&ArmId, Availability> = available.iter().map(|(arm, a)| (arm, *a)).collect();
                    for arm in have {
                        if let Some(wanted) = wanted.get(&arm.id)
                            && wanted.changes(arm)
                        {
                            wanted.apply(Arc::make_mut(arm));
                        }
                    }
                });
            }
            Body::SlotReset { why, .. } => {
                self.report_open_decisions(at_us, observer);
                self.reset(at_us, items, why);
            }
            Body::ArmReset { arm, why, .. } => {
                self.reset_arm(arm);
                let definition = Arc::clone(&self.design.definition);
                self.define(at_us, items, definition, why, format!("arm {arm} reset"));
            }
            Body::Imported(part) => self.apply_import(at_us, part),
            Body::LearningImported(import) => self.take_learning(import.file.seed(), import.weight),
            Body::Draft(event) => self.drafts.apply(at_us, event, self.design.revision),
            Body::Decided(decided) => {
                self.apply_decision(step, decided, observer);
                return EventEffect::Decision;
            }
            Body::Deferred(decided) => {
                self.apply_deferred(step, decided);
                return EventEffect::Decision;
            }
            // A reward was applied above, and the collection of slots applies the others.
            Body::Rewarded(_)
            | Body::Shopper(_)
            | Body::SubjectForgotten(_)
            | Body::ItemsChanged(_)
            | Body::LearningCopied { .. }
            | Body::SlotCreated { .. }
            | Body::SlotRenamed { .. }
            | Body::SlotDeleted { .. } => {}
        }
        EventEffect::Change
    }

    /// Forgets everything that the slot learned, but neither its revisions nor the numbers of forgotten items.
    fn reset(&mut self, at_us: i64, items: &ItemTable, why: &ChangeReason) {
        let definition = Arc::clone(&self.design.definition);
        let mut design = self.design.clone();
        design.forget_arms();
        let drafts = std::mem::take(&mut self.drafts);
        *self = Self { forgotten: self.forgotten, drafts, ..Self::new(self.number, self.accounting, design, at_us) };
        self.define(at_us, items, definition, why, "reset".into());
        self.drafts.outdate(self.design.revision);
    }

    /// Gives the slot another id, also in the revisions that are kept. Everything else stays.
    pub(super) fn rename(&mut self, at_us: i64, items: &ItemTable, to: &SlotId, why: &ChangeReason) {
        let from = self.design.rename(to);
        let definition = Arc::clone(&self.design.definition);
        self.define(at_us, items, definition, why, format!("renamed from {from}"));
    }

    /// Gives the slot a new definition.
    fn define(
        &mut self,
        at_us: i64,
        items: &ItemTable,
        definition: Arc<Definition>,
        why: &ChangeReason,
        change: String,
    ) {
        let before = self.design.revise(at_us, definition, why, change);
        self.design.derive_arms(items);
        let definition = &self.design.definition;
        let emergency = |change: &&str| EMERGENCY_CHANGES.contains(change);
        if self.drafts.has_fresh() && !changes_between(&before, definition).iter().all(emergency) {
            self.drafts.outdate(self.design.revision);
        }
        self.adapt_to_arms();
        if !self.design.definition.goal.pays_as(&before.goal) && self.counters.slot.decisions > 0 {
            self.restart_goal_sums(at_us);
        }
        if self.evaluation.traffic.floors != ScaledFloors::default() {
            Arc::make_mut(&mut self.evaluation).traffic.floors = ScaledFloors::default();
        }
        self.decisions.pending.index_subjects(self.design.definition.goal.joins_any());
        self.free_arm_places();
    }

    /// Adapts models and rules to the arms that the slot has now.
    fn adapt_to_arms(&mut self) {
        let decides = (self.design.definition.model, self.design.traits());
        if self.learner.decides() != decides {
            Arc::make_mut(&mut self.learner).decide_by(decides.0, decides.1);
        }
        if !self.accounting {
            self.design.compile_rules();
        }
    }

    /// Gives the places of removed arms in the pairwise tests to newer ones, if all places are taken.
    fn free_arm_places(&mut self) {
        if self.evaluation.arm_pairs.is_full() {
            Arc::make_mut(&mut self.evaluation).free_arm_places(&self.design);
        }
    }

    /// Starts the sums of rewards again, because another goal pays them from now on.
    fn restart_goal_sums(&mut self, at_us: i64) {
        let arms = 0..u32::try_from(self.design.arms.names().len()).unwrap_or(u32::MAX);
        let learned = |arm: u32| self.learner.summary(arm).map_or(0.0, |summary| summary.reward_sum);
        let learned = arms.map(learned).collect();
        self.goal_sums.restart(self.design.revision, at_us, self.decisions.pending.added(), learned);
        Arc::make_mut(&mut self.evaluation).restart_for_goal();
    }

    /// Gives the slot a new definition that differs from the present one in its arms.
    fn change_arms(
        &mut self,
        at_us: i64,
        items: &ItemTable,
        why: &ChangeReason,
        change: &str,
        edit: impl FnOnce(&mut Vec<Arc<Arm>>),
    ) {
        let mut definition = (*self.design.definition).clone();
        edit(&mut definition.arms);
        self.define(at_us, items, Arc::new(definition), why, change.to_owned());
    }

    /// Renews the arms after a change of items. The slot gets no revision, because nobody changed it.
    pub(super) fn apply_items(&mut self, items: &ItemTable, changed: &[ChangedItem]) {
        if self.design.change_items(items, changed) {
            self.adapt_to_arms();
            self.free_arm_places();
        }
    }
}
