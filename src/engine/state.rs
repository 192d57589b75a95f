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

/// One slot. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotState {
    pub(super) number: u32,
    pub(super) revision: u64,
    /// Bytes that the arms of the definition take; rebuilt from it.
    #[serde(skip)]
    pub(super) arms_bytes: usize,
    /// That of the newest revision.
    #[serde(skip, default = "nothing")]
    pub(super) definition: Arc<Definition>,
    #[serde(with = "super::revisions")]
    pub(super) revisions: Arc<Vec<Revision>>,
    /// By their names; the rest is rebuilt from the definition.
    #[serde(with = "super::view::names")]
    pub(super) arms: Arc<ArmTable>,
    pub(super) learner: Arc<Learner>,
    pub(super) pending: Pending,
    /// Decisions that were rewarded and wait no longer, for what takes their rewards back.
    pub(super) finished: Pending,
    /// What was forgotten before its time because there was too much.
    pub(super) forgotten: Parts,
    pub(super) counters: Counters,
    /// One per arm that was ever shown.
    pub(super) tallies: Arc<Vec<Tally>>,
    /// What was counted since the goal changed; `None` if it never did.
    pub(super) goal_sums: Option<Arc<GoalSums>>,
    /// Events that were counted without naming their decision.
    pub(super) memory: EventMemory,
    /// Decisions with a request id that may still be repeated, and when each was made.
    #[serde(skip)]
    pub(super) requests: Chunks<Repeatable>,
    /// How many arms those decisions show.
    #[serde(skip)]
    pub(super) request_arms: usize,
    /// From a decision to the first event that counts for an arm it showed, microseconds.
    pub(super) delays: QuantileSketch,
    /// The newest decision that was ever rewarded, microseconds since 1970.
    pub(super) watermark_us: i64,
    /// From a decision to the watermark when its first event came, microseconds.
    pub(super) lags: QuantileSketch,
    /// The values of each kind that is winsorized.
    pub(super) values: BTreeMap<String, QuantileSketch>,
    /// How often each position of a slate is looked at.
    pub(super) positions: Positions,
    pub(super) positions_faded_us: i64,
    /// The product of all their fading, as a logarithm.
    pub(super) positions_ln_retained: f64,
    /// What subjects were shown, where anything asks for it.
    pub(super) past: Past,
    /// What it is judged by.
    pub(super) insight: Arc<Insight>,
    /// The definition's rules, compiled.
    #[serde(skip)]
    pub(super) rules: Arc<RuleBook>,
    /// It only counts, see [`State::accounting`]; never written.
    #[serde(skip)]
    pub(super) accounting: bool,
}

/// The kind of change that sets the availability of arms.
pub(super) const AVAILABILITY: &str = "availability";

/// A decision that may be repeated and when it was made, microseconds since 1970; none only where one is no longer.
pub(super) type Repeatable = Option<(i64, Arc<Decided>)>;

/// Stands in for a definition until it is brought back from the revisions.
fn nothing() -> Arc<Definition> {
    Arc::new(Definition::empty())
}

/// Everything that the journal's events made true. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    pub(super) ledger: Ledger,
    pub(super) slots: Slots,
}

/// What applying an event did.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// A slot changed, or nothing did because it is gone.
    Change,
    /// A decision was taken in.
    Decision,
    /// A reward event was dealt with.
    Reward(RewardAnswer),
}

impl State {
    /// An empty state that keeps accounts and learns nothing: rewards join their decisions and are counted exactly as
    /// in any other, in a microsecond or two instead of hundreds. Only what hangs on the size of what was learned
    /// differs: decisions wait in fewer bytes, so fewer are dropped for the sake of
    /// [`PENDING_BYTES_MAX`](crate::slot::limits::PENDING_BYTES_MAX).
    pub fn accounting() -> Self {
        Self { ledger: Ledger::default(), slots: Slots::accounting() }
    }

    /// The position of the last event applied; 0 before the first.
    pub fn position(&self) -> u64 {
        self.ledger.position()
    }

    /// The time of the last event applied, microseconds since 1970.
    pub fn at_us(&self) -> i64 {
        self.ledger.at_us()
    }

    /// Rises whenever slots may have been swept: then those change that had no event, too.
    pub fn sweeps(&self) -> u64 {
        self.ledger.sweeps()
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
        let slots = self.slots.get(slot.as_str()).map(|state| (slot.clone(), state.without_memory()));
        Self { slots: slots.into_iter().collect(), ledger: self.ledger.clone() }
    }

    /// The slot of this number.
    pub fn slot_of_number(&self, number: u32) -> Option<&SlotId> {
        self.ledger.slot_of_number(number)
    }

    /// Makes the event true. Positions are contiguous: each call is the next one.
    ///
    /// Total: an event about a slot that is gone changes nothing but the position.
    pub fn apply(&mut self, event: &Event) -> Applied {
        let step = self.ledger.step(event.at_us, &event.body);
        let applied = self.slots.apply(step, &event.body);
        self.slots.sweep(step, None);
        applied
    }

    /// In two parts, so that the slots' may be folded by several workers: each event goes through the ledger in
    /// journal order, and then, with the step that makes of it, to the slots of its own slot's part.
    pub fn split(self, parts: usize) -> (Ledger, Vec<Slots>) {
        (self.ledger, self.slots.split(parts))
    }

    /// The inverse of [`split`](Self::split).
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

    /// The same without what waits for rewards or retries.
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

    /// The same without its indices: cheap, everything large is shared. Not for applying events to.
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

    /// What it learned.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Decisions with a request id that may still be repeated, oldest first: when each was made, and the decision.
    pub fn requests(&self) -> impl Iterator<Item = (i64, &Arc<Decided>)> {
        self.requests.iter().flatten().map(|(at_us, decided)| (*at_us, decided))
    }

    /// What subjects were shown, where controls or rules ask for it.
    pub fn past(&self) -> &Past {
        &self.past
    }

    /// The revision of this number.
    pub fn revision(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }

    /// The revisions that are kept, the newest last.
    pub fn revisions(&self) -> &[Revision] {
        &self.revisions
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
            // Before silence is learned: this may be what breaks it.
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
            // The first is dealt with, the others are the state's own.
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
