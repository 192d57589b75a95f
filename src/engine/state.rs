//! The state, and the one place where it changes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    change::upsert,
    counters::{Counters, Tally},
    event::{Body, Decided, Event},
    ids::{Key, hash},
    pending::{Pending, PendingDecision, ShownArm, Told},
    reward::{RewardOutcome, Unmatched},
    view::{ArmTable, SlotView},
};
use crate::{
    bandit::{Features, Learner, Parts, Positions, Rows},
    slot::{
        Arm, ArmId, Definition, Revision, SlotId,
        limits::{REQUEST_MEMORY_US, REQUESTS_MAX, REVISIONS_MAX},
    },
    stats::Quantiles,
};

/// One slot. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotState {
    pub(super) number: u32,
    pub(super) revision: u64,
    /// That of the newest revision.
    #[serde(skip, default = "nothing")]
    pub(super) definition: Arc<Definition>,
    #[serde(with = "super::revisions")]
    pub(super) revisions: Arc<Vec<Revision>>,
    /// Rebuilt from the names and the definition.
    #[serde(skip)]
    pub(super) arms: Arc<ArmTable>,
    arm_names: Vec<ArmId>,
    pub(super) learner: Arc<Learner>,
    pub(super) pending: Pending,
    pub(super) counters: Counters,
    /// One per arm that was ever shown.
    pub(super) tallies: Arc<Vec<Tally>>,
    requests: BTreeMap<Key, Arc<Decided>>,
    request_order: VecDeque<(i64, Key)>,
    /// From a decision to the first event that counts for an arm it showed, microseconds.
    pub(super) delays: Quantiles,
    /// The newest decision that was ever rewarded, microseconds since 1970.
    pub(super) watermark_us: i64,
    /// From a decision to the watermark when its first event came, microseconds.
    pub(super) lags: Quantiles,
    /// The values of each kind that is winsorized.
    pub(super) values: BTreeMap<String, Quantiles>,
    /// How often each position of a slate is looked at.
    pub(super) positions: Positions,
    pub(super) positions_faded_us: i64,
    /// The product of all their fading, as a logarithm.
    pub(super) positions_ln_retained: f64,
}

/// Stands in for a definition until it is brought back from the revisions.
fn nothing() -> Arc<Definition> {
    Arc::new(Definition::empty())
}

/// Everything that the journal's events made true. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// The position of the last event applied; 0 before the first.
    position: u64,
    /// Its time, microseconds since 1970.
    at_us: i64,
    /// How many slots were ever made.
    slots_made: u32,
    slots: BTreeMap<SlotId, SlotState>,
    numbers: BTreeMap<u32, SlotId>,
}

/// What applying an event did.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// A slot changed, or nothing did because it is gone.
    Change,
    /// A decision was taken in.
    Decision,
    /// A reward event was dealt with.
    Reward(RewardOutcome),
}

/// The key under which a request id is remembered.
pub(super) fn request_key(request_id: &str) -> Key {
    hash("request", &[request_id.as_bytes()])
}

impl State {
    /// The position of the last event applied; 0 before the first.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The time of the last event applied, microseconds since 1970.
    pub fn at_us(&self) -> i64 {
        self.at_us
    }

    /// A slot.
    pub fn slot(&self, slot: &str) -> Option<&SlotState> {
        self.slots.get(slot)
    }

    /// All slots, by id.
    pub fn slots(&self) -> impl Iterator<Item = (&SlotId, &SlotState)> {
        self.slots.iter()
    }

    /// A state with this one slot of it and nothing that waits for rewards, for trying a change out: cheap,
    /// everything large is shared.
    #[must_use]
    pub fn only(&self, slot: &SlotId) -> Self {
        let slots = self.slots.get(slot).map(|state| (slot.clone(), state.without_memory())).into_iter().collect();
        Self { slots, numbers: BTreeMap::new(), ..*self }
    }

    /// The slot of this number.
    pub fn slot_of_number(&self, number: u32) -> Option<&SlotId> {
        self.numbers.get(&number)
    }

    /// Makes the event true. Positions are contiguous: each call is the next one.
    ///
    /// Total: an event about a slot that is gone changes nothing but the position.
    pub fn apply(&mut self, event: &Event) -> Applied {
        self.position += 1;
        self.at_us = self.at_us.max(event.at_us);
        let at_us = self.at_us;
        match &event.body {
            Body::SlotCreated { definition, reason } => {
                self.slots_made += 1;
                let number = self.slots_made;
                if let Some(before) =
                    self.slots.insert(definition.id.clone(), SlotState::new(number, definition, at_us, reason))
                {
                    self.numbers.remove(&before.number);
                }
                self.numbers.insert(number, definition.id.clone());
                return Applied::Change;
            }
            Body::SlotDeleted { slot, reason: _ } => {
                if let Some(gone) = self.slots.remove(slot) {
                    self.numbers.remove(&gone.number);
                }
                return Applied::Change;
            }
            Body::SlotReset { slot, .. } => {
                // A new number, so that rewards of the decisions before match nothing.
                if let Some(state) = self.slots.get_mut(slot) {
                    self.slots_made += 1;
                    self.numbers.remove(&state.number);
                    state.number = self.slots_made;
                    self.numbers.insert(state.number, slot.clone());
                }
            }
            Body::SlotUpdated { .. }
            | Body::ArmsUpserted { .. }
            | Body::ArmsRemoved { .. }
            | Body::AvailabilitySet { .. }
            | Body::Decided(_)
            | Body::Rewarded(_) => {}
        }
        let slot = self.slots.get_mut(event.body.slot());
        match (&event.body, slot) {
            (Body::Rewarded(_), None) => Applied::Reward(RewardOutcome::Unmatched(Unmatched::Slot)),
            (Body::Decided(_), None) => Applied::Decision,
            (_, None) => Applied::Change,
            (body, Some(slot)) => slot.apply(at_us, body),
        }
    }
}

impl SlotState {
    fn new(number: u32, definition: &Arc<Definition>, at_us: i64, reason: &str) -> Self {
        let mut state = Self {
            number,
            revision: 0,
            definition: Arc::clone(definition),
            revisions: Arc::default(),
            arms: Arc::default(),
            arm_names: Vec::new(),
            learner: Arc::new(Learner::new(definition.model, definition.setting())),
            delays: Quantiles::new(),
            watermark_us: i64::MIN,
            lags: Quantiles::new(),
            values: BTreeMap::new(),
            positions: Positions::new(),
            positions_faded_us: at_us,
            positions_ln_retained: 0.0,
            pending: Pending::default(),
            counters: Counters::default(),
            tallies: Arc::default(),
            requests: BTreeMap::new(),
            request_order: VecDeque::new(),
        };
        state.define(at_us, Arc::clone(definition), reason, "created".into());
        state
    }

    fn without_memory(&self) -> Self {
        Self {
            number: self.number,
            revision: self.revision,
            definition: Arc::clone(&self.definition),
            revisions: Arc::clone(&self.revisions),
            arms: Arc::clone(&self.arms),
            arm_names: self.arm_names.clone(),
            learner: Arc::clone(&self.learner),
            pending: Pending::default(),
            counters: self.counters,
            tallies: Arc::clone(&self.tallies),
            requests: BTreeMap::new(),
            request_order: VecDeque::new(),
            delays: self.delays.clone(),
            watermark_us: self.watermark_us,
            lags: self.lags.clone(),
            values: self.values.clone(),
            positions: self.positions.clone(),
            positions_faded_us: self.positions_faded_us,
            positions_ln_retained: self.positions_ln_retained,
        }
    }

    /// What decisions read.
    pub fn view(&self) -> SlotView {
        SlotView {
            number: self.number,
            revision: self.revision,
            definition: Arc::clone(&self.definition),
            arms: Arc::clone(&self.arms),
            learner: Arc::clone(&self.learner),
            counters: self.counters,
            tallies: Arc::clone(&self.tallies),
            exposures: self.exposures(),
            revisions: Arc::clone(&self.revisions),
            pending: self.pending.len(),
        }
    }

    /// The definition.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// What it learned.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Decisions with a request id that may still be repeated, oldest first: when each was made, and the decision.
    pub fn requests(&self) -> impl Iterator<Item = (i64, &Arc<Decided>)> {
        self.request_order.iter().filter_map(|(at_us, key)| Some((*at_us, self.requests.get(key)?)))
    }

    /// The revision of this number.
    pub fn revision(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// The number of the current revision.
    pub fn revision_number(&self) -> u64 {
        self.revision
    }

    /// Brings back what a snapshot does not hold because it follows from the rest.
    pub(super) fn rebuild(&mut self) {
        if let Some(newest) = self.revisions.last() {
            self.definition = Arc::clone(&newest.definition);
        }
        self.arms = Arc::new(ArmTable::new(self.arm_names.clone(), &self.definition));
        Arc::make_mut(&mut self.learner).rebuild();
    }

    fn define(&mut self, at_us: i64, definition: Arc<Definition>, reason: &str, change: String) {
        self.revision += 1;
        self.arms = Arc::new(ArmTable::new(std::mem::take(&mut self.arm_names), &definition));
        self.arm_names = self.arms.names().to_vec();
        if self.learner.decides() != (definition.model, definition.setting()) {
            Arc::make_mut(&mut self.learner).decide_by(definition.model, definition.setting());
        }
        let revisions = Arc::make_mut(&mut self.revisions);
        if revisions.len() >= REVISIONS_MAX {
            revisions.remove(0);
        }
        revisions.push(Revision {
            number: self.revision,
            at_us,
            reason: reason.to_owned(),
            change,
            definition: Arc::clone(&definition),
        });
        self.definition = definition;
    }

    fn redefine(&mut self, at_us: i64, reason: &str, change: &str, edit: impl FnOnce(&mut Vec<Arc<Arm>>)) {
        let mut definition = (*self.definition).clone();
        edit(&mut definition.arms);
        self.define(at_us, Arc::new(definition), reason, change.to_owned());
    }

    fn apply(&mut self, at_us: i64, body: &Body) -> Applied {
        self.close(at_us);
        if let Body::Rewarded(rewarded) = body {
            // Before silence is learned: this may be what breaks it.
            let outcome = self.reward(at_us, rewarded);
            self.learn_silence(at_us);
            return Applied::Reward(outcome);
        }
        self.learn_silence(at_us);
        match body {
            Body::SlotUpdated { definition, reason, rolled_back_to } => {
                let change = rolled_back_to.map_or("updated".into(), |n| format!("rolled back to {n}"));
                self.define(at_us, Arc::clone(definition), reason, change);
            }
            Body::ArmsUpserted { arms, reason, .. } => {
                self.redefine(at_us, reason, "arms upserted", |have| upsert(have, arms));
            }
            Body::ArmsRemoved { arms, reason, .. } => self.redefine(at_us, reason, "arms removed", |have| {
                have.retain(|arm| !arms.contains(&arm.id));
            }),
            Body::AvailabilitySet { available, reason, .. } => {
                self.redefine(at_us, reason, "availability", |have| {
                    let wanted: BTreeMap<&ArmId, bool> = available.iter().map(|(arm, a)| (arm, *a)).collect();
                    for arm in have {
                        if let Some(&available) = wanted.get(&arm.id)
                            && available != arm.available
                        {
                            Arc::make_mut(arm).available = available;
                        }
                    }
                });
            }
            Body::SlotReset { reason, .. } => self.reset(at_us, reason),
            Body::Decided(decided) => {
                self.decided(at_us, decided);
                return Applied::Decision;
            }
            // The first is dealt with, the others are the state's own.
            Body::Rewarded(_) | Body::SlotCreated { .. } | Body::SlotDeleted { .. } => {}
        }
        Applied::Change
    }

    fn reset(&mut self, at_us: i64, reason: &str) {
        self.learner = Arc::new(Learner::new(self.definition.model, self.definition.setting()));
        (self.delays, self.lags, self.watermark_us) = (Quantiles::new(), Quantiles::new(), i64::MIN);
        self.values.clear();
        (self.positions, self.positions_faded_us, self.positions_ln_retained) = (Positions::new(), at_us, 0.0);
        self.pending = Pending::default();
        self.counters = Counters::default();
        self.tallies = Arc::default();
        self.requests.clear();
        self.request_order.clear();
        self.arm_names.clear();
        self.define(at_us, Arc::clone(&self.definition), reason, "reset".into());
    }

    fn decided(&mut self, at_us: i64, decided: &Arc<Decided>) {
        if decided.id.slot() != self.number {
            // Decided before a reset that came first: it belongs to what was forgotten.
            return;
        }
        self.remember_request(at_us, decided);
        if decided.chosen.is_empty() {
            return;
        }
        self.counters.decisions += 1;
        self.counters.holdout_decisions += u64::from(decided.holdout);
        let frozen = self.definition.controls.freeze_learning();
        let (rows, shown) = self.show(decided, frozen);
        for shown in &shown {
            let tally = self.tally(shown.arm);
            tally.shown += 1;
            tally.reward_sum += shown.reward;
        }
        let silence = decided.chosen.len() as f64 * self.definition.goal.default_reward;
        self.counters.shown += decided.chosen.len() as u64;
        self.counters.reward_sum += silence;
        if decided.holdout {
            self.counters.holdout_reward_sum += silence;
        }
        let pending = PendingDecision {
            at_us,
            holdout: decided.holdout,
            ordinal: self.counters.decisions,
            frozen,
            rows,
            shown,
            events: Vec::new(),
            subjects: Vec::new(),
        };
        self.pending.insert(decided.id, pending, &decided.subject);
    }

    /// Meets what was shown. The rows of the first arm stand for all whose features are the same.
    fn show(&mut self, decided: &Decided, frozen: bool) -> (Rows, Vec<ShownArm>) {
        let definition = Arc::clone(&self.definition);
        let nothing = Features::new();
        let parts: Vec<Parts<'_>> = decided
            .chosen
            .iter()
            .map(|chosen| {
                let own = decided.candidates.iter().find(|(id, _)| *id == chosen.arm).map(|(_, own)| own);
                let attributes = self.arms.position(chosen.arm.as_str()).map(|at| &definition.arms[at].attributes);
                Parts {
                    context: &decided.context,
                    candidate: own.filter(|own| !own.is_empty()),
                    arm: Some(attributes.unwrap_or(&nothing)),
                }
            })
            .collect();
        let mut rows =
            if frozen { vec![Rows::new(); parts.len()] } else { Arc::make_mut(&mut self.learner).meet(&parts) };
        let first = rows.first().cloned().unwrap_or_default();
        let shown = decided
            .chosen
            .iter()
            .zip(rows.drain(..))
            .map(|(chosen, rows)| {
                let arm = self.arms.learned(chosen.arm.as_str()).unwrap_or_else(|| {
                    self.arm_names.push(chosen.arm.clone());
                    Arc::make_mut(&mut self.arms).intern(&chosen.arm)
                });
                let rows = (rows != first).then_some(rows);
                let reward = definition.goal.default_reward;
                let overlap = chosen.overlap;
                ShownArm {
                    arm,
                    rows,
                    overlap,
                    seen: false,
                    tells: None,
                    reward,
                    told: Told::NotYet,
                    counted: Vec::new(),
                }
            })
            .collect();
        (first, shown)
    }

    pub(super) fn tally(&mut self, arm: u32) -> &mut Tally {
        let (tallies, arm) = (Arc::make_mut(&mut self.tallies), arm as usize);
        if tallies.len() <= arm {
            tallies.resize(arm + 1, Tally::default());
        }
        &mut tallies[arm]
    }

    fn remember_request(&mut self, at_us: i64, decided: &Arc<Decided>) {
        while let Some(&(made_us, key)) = self.request_order.front()
            && (made_us < at_us - REQUEST_MEMORY_US || self.request_order.len() > REQUESTS_MAX)
        {
            self.request_order.pop_front();
            self.requests.remove(&key);
        }
        if let Some(request_id) = &decided.request_id {
            let key = request_key(request_id);
            if self.requests.insert(key, Arc::new(decided.answer())).is_none() {
                self.request_order.push_back((at_us, key));
            }
        }
    }
}

impl State {
    /// Rebuilds what snapshots leave out.
    pub(super) fn rebuild(&mut self) {
        self.slots.values_mut().for_each(SlotState::rebuild);
    }
}
