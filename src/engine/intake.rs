//! Decision intake: counting, learning and remembering a new decision.

use std::{collections::HashMap, sync::Arc};

use smallvec::SmallVec;

use super::{
    closed::{Closed, Told},
    counters::Tally,
    event::Decided,
    packed::Judged,
    past::{Memory, Past},
    pending::{PendingDecision, ShownArm, subject_keys},
    state::SlotState,
};
use crate::{
    bandit::{EncodedRows, Features, RowFeatures},
    slot::{
        ArmId,
        limits::{REQUEST_ARMS_MAX, REQUEST_MEMORY_US, REQUESTS_MAX},
    },
};

impl SlotState {
    pub(super) fn decided(&mut self, at_us: i64, decided: &Arc<Decided>, told: Option<&mut Told<'_>>) {
        if decided.id.slot() != self.number {
            // The decision was made before a reset that was applied first. It belongs to what was forgotten.
            if let Some(told) = told {
                told(Closed::uncounted(decided.id));
            }
            return;
        }
        if !self.accounting {
            self.remember_request(at_us, decided);
            let memory = Memory::of(&self.definition);
            if memory.wanted() {
                self.forgotten.exposures += self.past.remember(at_us, decided, memory);
            } else {
                self.past = Past::default();
            }
        }
        if decided.chosen.is_empty() {
            if let Some(told) = told {
                told(Closed::empty(decided.id));
            }
            return;
        }
        self.counters.decisions += 1;
        self.counters.holdout_decisions += u64::from(decided.holdout);
        let frozen = self.accounting || self.definition.controls.freeze_learning() || decided.analysis;
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
        self.sum_decided(decided, shown.iter().map(|shown| shown.arm));
        let trial = self.judge_decided(at_us, decided, &shown);
        self.pending.insert(&PendingDecision {
            id: decided.id,
            at_us,
            holdout: decided.holdout,
            frozen,
            rows,
            shown,
            events: Vec::new(),
            subjects: subject_keys(&decided.subject).collect(),
            judged: Judged::Open(trial),
        });
    }

    /// Encodes the shown arms for the learner. Returns the rows of the first arm, and the arms; an arm whose rows equal
    /// those of the first stores none.
    fn show(&mut self, decided: &Decided, frozen: bool) -> (EncodedRows, Vec<ShownArm>) {
        let definition = Arc::clone(&self.definition);
        let nothing = Features::new();
        // A map, because a search page shows hundreds of arms out of thousands.
        let mut own_of: HashMap<&ArmId, &Features> = HashMap::with_capacity(decided.candidates.len());
        for (id, own) in &decided.candidates {
            own_of.entry(id).or_insert(own);
        }
        let found: SmallVec<[_; 4]> = decided.chosen.iter().map(|chosen| self.arms.find(chosen.arm.as_str())).collect();
        let parts: SmallVec<[RowFeatures<'_>; 4]> = decided
            .chosen
            .iter()
            .zip(&found)
            .map(|(chosen, found)| {
                let own = own_of.get(&chosen.arm).copied();
                let attributes = found.and_then(|(_, position)| position).map(|at| &definition.arms[at].attributes);
                RowFeatures {
                    context: &decided.context,
                    candidate: own.filter(|own| !own.is_empty()),
                    arm: Some(attributes.unwrap_or(&nothing)),
                }
            })
            .collect();
        let mut rows =
            if frozen { vec![EncodedRows::new(); parts.len()] } else { Arc::make_mut(&mut self.learner).meet(&parts) }
                .into_iter();
        let first = rows.next().unwrap_or_default();
        // The first arm's rows are stored with the decision.
        let others = rows.map(|rows| (rows != first).then_some(rows));
        let shown = decided
            .chosen
            .iter()
            .zip(found)
            .zip(std::iter::once(None).chain(others))
            .map(|((chosen, found), rows)| {
                let arm = match found {
                    Some((learned, _)) => learned,
                    None => Arc::make_mut(&mut self.arms).intern(&chosen.arm),
                };
                let reward = definition.goal.default_reward;
                let overlap = chosen.overlap;
                ShownArm { arm, rows, overlap, seen: false, tells: None, reward, told: None, counted: Vec::new() }
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
        while let Some(Some((made_us, oldest))) = self.requests.get(self.requests.first())
            && (*made_us < at_us - REQUEST_MEMORY_US
                || self.requests.len() >= REQUESTS_MAX
                || self.request_arms > REQUEST_ARMS_MAX)
        {
            self.request_arms -= oldest.chosen.len();
            self.forgotten.requests += u64::from(*made_us >= at_us - REQUEST_MEMORY_US);
            self.requests.pop();
        }
        if decided.request_id.is_some() {
            self.restore_request((at_us, Arc::new(decided.answer())));
        }
    }

    pub(super) fn restore_request(&mut self, (made_us, decided): (i64, Arc<Decided>)) {
        self.request_arms += decided.chosen.len();
        self.requests.push(Some((made_us, decided)));
    }
}
