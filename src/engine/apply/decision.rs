//! Application of a decision: the slot counts it, learns that its arms were shown, and waits for its rewards.

use std::{collections::HashMap, sync::Arc};

use smallvec::SmallVec;

use crate::{
    bandit::{EncodedRows, Features, RowFeatures},
    engine::{
        decision_record::DecisionRecord,
        ledger::Step,
        outcome::{DecisionOutcome, OutcomeObserver},
        pending::{LazyEvaluation, PendingDecision, ShownArm, subject_keys},
        slot_state::{DecisionEvaluation, Exposure, ExposureScope, LoginTable, SeriesDecision, SlotState},
    },
    slot::ArmId,
};

impl SlotState {
    /// Adds a decision. Its outcome is reported at once if it waits for no rewards.
    pub(super) fn apply_decision(
        &mut self,
        step: Step,
        decided: &Arc<DecisionRecord>,
        observer: Option<&mut OutcomeObserver<'_>>,
    ) {
        let at_us = step.at_us;
        if decided.id.slot() != self.number {
            // The decision was made before a reset that was applied first. It belongs to what was forgotten.
            if let Some(observer) = observer {
                observer(DecisionOutcome::uncounted(decided.id));
            }
            return;
        }
        // A deferred decision was kept for retries of its request when it was made.
        let is_confirmed = decided.expire_us.is_some();
        if is_confirmed {
            self.deferred.confirm(decided.id);
        }
        if !self.accounting {
            if !is_confirmed {
                self.forgotten.requests += self.requests.add(at_us, decided);
            }
            let scope = ExposureScope::from_definition(&self.design.definition);
            if scope.is_needed() {
                self.forgotten.exposures += self.exposure.add(at_us, decided, scope);
            } else {
                self.exposure = Exposure::default();
            }
            if !is_confirmed && LoginTable::is_needed(&self.design.definition.controls) {
                let early = self.logins.add(at_us, &decided.subject, LoginTable::most(step.slots));
                self.forgotten.sessions += early.sessions;
                self.forgotten.logins += early.links;
            }
        }
        if decided.chosen.is_empty() {
            if let Some(observer) = observer {
                observer(DecisionOutcome::empty(decided.id));
            }
            return;
        }
        let frozen = !self.may_be_learned(at_us, decided) || self.accounting;
        self.pace.add(at_us);
        let (rows, shown) = self.encode_shown(decided, frozen);
        let default_reward = self.design.definition.goal.default_reward;
        let arms: SmallVec<[u32; 8]> = shown.iter().map(|shown| shown.arm).collect();
        self.counters.add_decision(decided.holdout, arms.iter().copied(), default_reward);
        self.goal_sums.add_decision(decided.holdout, arms.iter().copied(), default_reward);
        let evaluation =
            Arc::make_mut(&mut self.evaluation).add_decision(at_us, decided, &shown, &self.design, self.accounting);
        let DecisionEvaluation { record, first_score, keys, exploration_cost } = evaluation;
        let counted = SeriesDecision { holdout: decided.holdout, arms: &arms, default_reward, keys, exploration_cost };
        if !self.accounting {
            self.series.add_decision(at_us, &counted, step.slots);
        }
        self.decisions.pending.insert(&PendingDecision {
            id: decided.id,
            at_us,
            first_score,
            segments: keys,
            holdout: decided.holdout,
            frozen,
            rows,
            shown,
            events: Vec::new(),
            subjects: subject_keys(&decided.subject).collect(),
            evaluation: LazyEvaluation::Decoded(record),
        });
    }

    /// Returns `true` if a decision that was just made may be learned, and counts it towards its subject's limit.
    fn may_be_learned(&mut self, at_us: i64, decided: &DecisionRecord) -> bool {
        let controls = &self.design.definition.controls;
        if controls.freeze_learning() || decided.analysis {
            return false;
        }
        let forgotten = &mut self.forgotten.learned_subjects;
        let within_limit = self.learned_subjects.admit(at_us, &decided.subject, controls.subject_limit(), forgotten);
        self.counters.slot.decisions_over_subject_limit += u64::from(!within_limit);
        within_limit
    }

    /// Encodes the shown arms for the learner. Returns the rows of the first arm, and the arms; an arm whose rows equal
    /// those of the first stores none.
    fn encode_shown(&mut self, decided: &DecisionRecord, frozen: bool) -> (EncodedRows, Vec<ShownArm>) {
        let definition = Arc::clone(&self.design.definition);
        let nothing = Features::new();
        // A map, because a search page shows hundreds of arms out of thousands.
        let mut own_of: HashMap<&ArmId, &Features> = HashMap::with_capacity(decided.candidates.len());
        for (id, own) in &decided.candidates {
            own_of.entry(id).or_insert(own);
        }
        // A decision is rarely older than the revision that it meets here, which then is still kept.
        let decided_by = decided.matches.as_ref().and_then(|_| self.definition_at(decided.revision));
        let matched: SmallVec<[Option<Features>; 4]> =
            decided.chosen.iter().map(|chosen| decided.matched_features(&chosen.arm, decided_by.as_deref())).collect();
        let joined = self.design.joined_arms.clone();
        let arms = joined.as_deref().unwrap_or(&definition.arms);
        let found: SmallVec<[_; 4]> =
            decided.chosen.iter().map(|chosen| self.design.arms.find(chosen.arm.as_str())).collect();
        let features: SmallVec<[RowFeatures<'_>; 4]> = decided
            .chosen
            .iter()
            .zip(&found)
            .zip(&matched)
            .map(|((chosen, found), matched)| {
                let own = matched.as_ref().or(own_of.get(&chosen.arm).copied());
                let attributes = found.and_then(|(_, position)| position).map(|at| &arms[at].attributes);
                RowFeatures {
                    context: &decided.context,
                    candidate: own.filter(|own| !own.is_empty()),
                    arm: Some(attributes.unwrap_or(&nothing)),
                }
            })
            .collect();
        let mut rows = if frozen {
            vec![EncodedRows::new(); features.len()]
        } else {
            Arc::make_mut(&mut self.learner).meet(&features)
        }
        .into_iter();
        let first = rows.next().unwrap_or_default();
        // The first arm's rows are stored with the decision.
        let others = rows.map(|rows| (rows != first).then_some(rows));
        let shown = decided
            .chosen
            .iter()
            .zip(found)
            .zip(std::iter::once(None).chain(others))
            .map(|((chosen, found), rows)| ShownArm {
                arm: match found {
                    Some((learned, _)) => learned,
                    None => Arc::make_mut(&mut self.design.arms).intern(&chosen.arm),
                },
                rows,
                swap_probability: chosen.swap_probability,
                seen: false,
                counted_at_ln_decay: None,
                reward: definition.goal.default_reward,
                learned: None,
                counted: Vec::new(),
            })
            .collect();
        (first, shown)
    }
}
