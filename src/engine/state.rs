//! The state, and the one place where it changes.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    change::upsert,
    chunks::Chunks,
    closed::Told,
    counters::{Counters, Tally},
    event::{Availability, Body, Decided, Event},
    fading::Faded,
    goal_sums::GoalSums,
    horizons::Parts,
    insight::Insight,
    ledger::{Ledger, Slots, Step},
    memory::EventMemory,
    past::Past,
    pending::Pending,
    reply::RewardAnswer,
    view::{ArmTable, SlotView},
};
use crate::{
    bandit::{Learner, Positions},
    slot::{ArmId, ChangeReason, Definition, Revision, RuleBook, SlotId},
    stats::QuantileSketch,
};

/// State of one slot. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotState {
    pub(super) number: u32,
    pub(super) revision: u64,
    /// Bytes that the definition's arms take. Not persisted: it follows from the definition.
    #[serde(skip)]
    pub(super) arms_bytes: usize,
    /// Definition of the newest revision.
    #[serde(skip, default = "nothing")]
    pub(super) definition: Arc<Definition>,
    #[serde(with = "super::revisions")]
    pub(super) revisions: Arc<Vec<Revision>>,
    /// Persisted by name only: the rest follows from the definition.
    #[serde(with = "super::view::names")]
    pub(super) arms: Arc<ArmTable>,
    pub(super) learner: Arc<Learner>,
    pub(super) pending: Pending,
    /// Rewarded decisions whose window is over. They are kept because their rewards may still be reversed.
    pub(super) finished: Pending,
    /// Numbers of items that were forgotten early because there were too many.
    pub(super) forgotten: Parts,
    pub(super) counters: Counters,
    /// Tallies per arm that was ever shown.
    pub(super) tallies: Arc<Vec<Tally>>,
    /// Sums since the goal changed, or `None` if it never did.
    pub(super) goal_sums: Option<Arc<GoalSums>>,
    /// Counted events that did not name their decision.
    pub(super) memory: EventMemory,
    /// Decisions with a request id that may still be repeated.
    #[serde(skip)]
    pub(super) requests: Chunks<Repeatable>,
    /// Number of arms that those decisions show.
    #[serde(skip)]
    pub(super) request_arms: usize,
    /// Times from a decision to the first event that counts for an arm that it showed, microseconds.
    pub(super) delays: QuantileSketch,
    /// Time of the newest decision that was ever rewarded, microseconds since 1970.
    pub(super) watermark_us: i64,
    /// Times from a decision to the watermark at the moment its first event arrived, microseconds.
    pub(super) lags: QuantileSketch,
    /// Values of each kind that is winsorized.
    pub(super) values: BTreeMap<String, QuantileSketch>,
    /// Model of how often each position of a slate is looked at.
    pub(super) positions: Positions,
    pub(super) positions_faded_us: i64,
    /// Natural logarithm of the product of all decay that `positions` has had.
    pub(super) positions_ln_retained: f64,
    /// Exposure: what subjects were shown lately, if a control or a rule needs it.
    pub(super) past: Past,
    /// Sums from which the report is computed.
    pub(super) insight: Arc<Insight>,
    /// The definition's rules, compiled.
    #[serde(skip)]
    pub(super) rules: Arc<RuleBook>,
    /// `true` if the slot only keeps accounts, see [`State::accounting`]. Never written.
    #[serde(skip)]
    pub(super) accounting: bool,
}

/// Kind of change that sets the availability of arms.
pub(super) const AVAILABILITY: &str = "availability";

/// Decision that a retry may repeat, with its time in microseconds since 1970. `None` stands for one that was removed.
pub(super) type Repeatable = Option<(i64, Arc<Decided>)>;

/// A placeholder until the definition is restored from the revisions.
fn nothing() -> Arc<Definition> {
    Arc::new(Definition::empty())
}

/// State of the service: the fold of the journal's events. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    pub(super) ledger: Ledger,
    pub(super) slots: Slots,
}

/// Effect of an event that was applied.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// A slot changed, or nothing did because the slot is gone.
    Change,
    /// A decision was added.
    Decision,
    /// A reward event was processed.
    Reward(RewardAnswer),
}

impl State {
    /// Creates an empty state that keeps accounts and learns nothing. It joins rewards to their decisions and counts
    /// them exactly like any other state, in a microsecond or two instead of hundreds. Only limits on bytes differ:
    /// pending decisions take fewer bytes, so fewer are dropped for the sake of
    /// [`PENDING_BYTES_MAX`](crate::slot::limits::PENDING_BYTES_MAX).
    pub fn accounting() -> Self {
        Self { ledger: Ledger::default(), slots: Slots::accounting() }
    }

    /// Position of the last event that was applied, or 0 before the first.
    pub fn position(&self) -> u64 {
        self.ledger.position()
    }

    /// Time of the last event that was applied, microseconds since 1970.
    pub fn at_us(&self) -> i64 {
        self.ledger.at_us()
    }

    /// Number that rises whenever slots may have been swept. A sweep also changes slots that had no event.
    pub fn sweeps(&self) -> u64 {
        self.ledger.sweeps()
    }

    /// Returns the slot, or `None` if there is none of this id.
    pub fn slot(&self, slot: &str) -> Option<&SlotState> {
        self.slots.get(slot)
    }

    /// All slots, by id.
    pub fn slots(&self) -> impl Iterator<Item = (&SlotId, &SlotState)> {
        self.slots.iter()
    }

    /// Returns a state with only this slot, without pending decisions, for trying a change out. It is cheap, because
    /// everything large is shared.
    #[must_use]
    pub fn only(&self, slot: &SlotId) -> Self {
        let slots = self.slots.get(slot.as_str()).map(|state| (slot.clone(), state.without_memory()));
        Self { slots: slots.into_iter().collect(), ledger: self.ledger.clone() }
    }

    /// Returns the slot of this number.
    pub fn slot_of_number(&self, number: u32) -> Option<&SlotId> {
        self.ledger.slot_of_number(number)
    }

    /// Applies the event. Positions are contiguous: each call is the next position.
    ///
    /// Total: an event about a slot that is gone changes nothing but the position.
    pub fn apply(&mut self, event: &Event) -> Applied {
        let step = self.ledger.step(event.at_us, &event.body);
        let applied = self.slots.apply(step, &event.body);
        self.slots.sweep(step, None);
        applied
    }

    /// Splits the state into its ledger and `parts` shards, so that workers can apply events of different slots in
    /// parallel. Pass every event to the ledger in journal order, then pass it, with the returned [`Step`], to the
    /// shard that owns its slot.
    pub fn split(self, parts: usize) -> (Ledger, Vec<Slots>) {
        (self.ledger, self.slots.split(parts))
    }

    /// Inverse of [`split`](Self::split).
    pub fn join(ledger: Ledger, parts: Vec<Slots>) -> Self {
        Self { ledger, slots: Slots::join(parts) }
    }
}

impl SlotState {
    pub(super) fn new(
        number: u32,
        definition: &Arc<Definition>,
        at_us: i64,
        why: &ChangeReason,
        accounting: bool,
    ) -> Self {
        let mut state = Self {
            number,
            revision: 0,
            arms_bytes: definition.arms_bytes(),
            definition: Arc::clone(definition),
            revisions: Arc::default(),
            arms: Arc::default(),
            learner: Arc::new(Learner::new(definition.model, definition.traits())),
            delays: QuantileSketch::new(),
            watermark_us: i64::MIN,
            lags: QuantileSketch::new(),
            values: BTreeMap::new(),
            positions: Positions::new(),
            positions_faded_us: at_us,
            positions_ln_retained: 0.0,
            pending: Pending::default(),
            finished: Pending::default(),
            forgotten: Parts::default(),
            counters: Counters::default(),
            tallies: Arc::default(),
            goal_sums: None,
            memory: EventMemory::default(),
            requests: Chunks::default(),
            request_arms: 0,
            past: Past::default(),
            insight: Arc::default(),
            rules: Arc::default(),
            accounting,
        };
        state.define(at_us, Arc::clone(definition), why, "created".into());
        state
    }

    /// Returns a copy without the decisions that wait for rewards, reversals or retries.
    pub(super) fn without_memory(&self) -> Self {
        Self {
            pending: Pending::default(),
            finished: Pending::default(),
            memory: EventMemory::default(),
            requests: Chunks::default(),
            request_arms: 0,
            past: Past::default(),
            ..self.without_indices()
        }
    }

    /// Returns a copy without indices. It is cheap, because everything large is shared. Events cannot be applied to it.
    pub(super) fn without_indices(&self) -> Self {
        Self {
            number: self.number,
            revision: self.revision,
            arms_bytes: self.arms_bytes,
            definition: Arc::clone(&self.definition),
            revisions: Arc::clone(&self.revisions),
            arms: Arc::clone(&self.arms),
            learner: Arc::clone(&self.learner),
            pending: self.pending.without_indices(),
            finished: self.finished.without_indices(),
            forgotten: self.forgotten,
            counters: self.counters,
            tallies: Arc::clone(&self.tallies),
            goal_sums: self.goal_sums.clone(),
            memory: self.memory.without_index(),
            requests: self.requests.clone(),
            request_arms: self.request_arms,
            delays: self.delays.clone(),
            watermark_us: self.watermark_us,
            lags: self.lags.clone(),
            values: self.values.clone(),
            positions: self.positions.clone(),
            positions_faded_us: self.positions_faded_us,
            positions_ln_retained: self.positions_ln_retained,
            past: self.past.without_index(),
            insight: Arc::clone(&self.insight),
            rules: Arc::clone(&self.rules),
            accounting: self.accounting,
        }
    }

    /// Returns the view that decisions read.
    pub fn view(&self) -> SlotView {
        SlotView {
            number: self.number,
            revision: self.revision,
            definition: Arc::clone(&self.definition),
            arms: Arc::clone(&self.arms),
            learner: Arc::clone(&self.learner),
            counters: self.counters,
            tallies: Arc::clone(&self.tallies),
            goal_sums: self.goal_sums.clone(),
            faded: Faded::default(),
            insight: Arc::clone(&self.insight),
            patience_us: self.patience_us(),
            exposures: self.exposures(),
            revisions: Arc::clone(&self.revisions),
            rules: Arc::clone(&self.rules),
            pending: self.pending.len(),
            pending_bytes: self.pending.bytes(),
            finished_bytes: self.finished.bytes(),
            remembered: self.remembered(),
            forgotten: self.forgotten,
        }
    }

    /// The definition.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// The learner.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Decisions with a request id that may still be repeated, oldest first, each with its time in microseconds since
    /// 1970.
    pub fn requests(&self) -> impl Iterator<Item = (i64, &Arc<Decided>)> {
        self.requests.iter().flatten().map(|(at_us, decided)| (*at_us, decided))
    }

    /// Exposure: what subjects were shown lately, if a control or a rule needs it.
    pub fn past(&self) -> &Past {
        &self.past
    }

    /// Returns the revision of this number, if it is kept.
    pub fn revision(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// Revisions that are kept, oldest first.
    pub fn revisions(&self) -> &[Revision] {
        &self.revisions
    }

    /// Number of the current revision.
    pub fn revision_number(&self) -> u64 {
        self.revision
    }

    /// Restores everything that a snapshot leaves out because it follows from the rest.
    pub(super) fn rebuild(&mut self) {
        if let Some(newest) = self.revisions.last() {
            self.definition = Arc::clone(&newest.definition);
        }
        self.arms_bytes = self.definition.arms_bytes();
        self.arms = Arc::new(ArmTable::new(self.arms.names().to_vec(), &self.definition));
        self.rules = Arc::new(RuleBook::new(&self.definition.rules, &self.definition.arms));
        Arc::make_mut(&mut self.learner).rebuild();
    }

    pub(super) fn apply(&mut self, step: Step, body: &Body, mut told: Option<&mut Told<'_>>) -> Applied {
        let at_us = step.at_us;
        self.number = step.number.unwrap_or(self.number);
        self.close(at_us, told.as_deref_mut());
        if let Body::Rewarded(rewarded) = body {
            // The event comes before silence is learned, because it may be what breaks the silence.
            let outcome = self.reward(at_us, rewarded);
            self.learn_silence(at_us);
            return Applied::Reward(outcome);
        }
        self.learn_silence(at_us);
        match body {
            Body::SlotUpdated { definition, why, rolled_back_to } => {
                let change = rolled_back_to.map_or("updated".into(), |n| format!("rolled back to {n}"));
                self.define(at_us, Arc::clone(definition), why, change);
            }
            Body::SlotPatched { patch, why, rolled_back_to } => {
                let change = rolled_back_to.map_or("updated".into(), |n| format!("rolled back to {n}"));
                let definition = patch.apply(&self.definition);
                self.define(at_us, Arc::new(definition), why, change);
            }
            Body::ArmsUpserted { arms, why, .. } => {
                self.redefine(at_us, why, "arms upserted", |have| upsert(have, arms));
            }
            Body::ArmsRemoved { arms, why, .. } => self.redefine(at_us, why, "arms removed", |have| {
                let gone: HashSet<&ArmId> = arms.iter().collect();
                have.retain(|arm| !gone.contains(&arm.id));
            }),
            Body::AvailabilitySet { available, why, .. } => {
                self.redefine(at_us, why, AVAILABILITY, |have| {
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
                self.tell_open(at_us, told);
                self.reset(at_us, why);
            }
            Body::Decided(decided) => {
                self.decided(at_us, decided, told);
                return Applied::Decision;
            }
            // A reward was applied above, and the collection of slots applies the others.
            Body::Rewarded(_) | Body::SlotCreated { .. } | Body::SlotDeleted { .. } => {}
        }
        Applied::Change
    }

    fn reset(&mut self, at_us: i64, why: &ChangeReason) {
        self.learner = Arc::new(Learner::new(self.definition.model, self.definition.traits()));
        (self.delays, self.lags, self.watermark_us) = (QuantileSketch::new(), QuantileSketch::new(), i64::MIN);
        self.values.clear();
        (self.positions, self.positions_faded_us, self.positions_ln_retained) = (Positions::new(), at_us, 0.0);
        (self.pending, self.finished) = (Pending::default(), Pending::default());
        self.counters = Counters::default();
        (self.tallies, self.goal_sums) = (Arc::default(), None);
        self.memory = EventMemory::default();
        (self.requests, self.request_arms) = (Chunks::default(), 0);
        self.past = Past::default();
        self.insight = Arc::default();
        self.arms = Arc::default();
        self.define(at_us, Arc::clone(&self.definition), why, "reset".into());
    }
}
