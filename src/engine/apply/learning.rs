//! Learning of a slot: observations of rewards and of silence, and revisions of those observations.

use std::sync::Arc;

use crate::{
    bandit::{ClickModel, Observation, seen},
    engine::{
        pending::{CountedEvent, DecisionPlace, LearnedReward, PendingDecision, QueueKind},
        slot_state::{RewardChange, SeriesReward, SlotState},
    },
    slot::{Learning, SilenceRule},
};

impl SlotState {
    /// Updates counters and learner to the reward that a shown arm's events now give.
    pub(super) fn settle(&mut self, at_us: i64, at: DecisionPlace, decision: &mut PendingDecision, place: usize) {
        self.settle_position(at_us, decision, place);
        let shown = &mut decision.shown[place];
        let reward = self.design.definition.goal.reward(shown.counted.iter().map(CountedEvent::contribution));
        let before = shown.reward;
        let more = reward - before;
        shown.reward = reward;
        let arm = shown.arm;
        self.counters.add_reward(decision.holdout, arm, more);
        let change = SeriesReward { arm, more, holdout: decision.holdout, keys: decision.segments };
        self.series.add_reward(decision.at_us, &change);
        if !self.goal_sums.precedes(at, decision.at_us) {
            self.goal_sums.add_change(decision.holdout, RewardChange { arm, more, rewarded: 0 });
            if let Some(record) = decision.evaluation.decode() {
                Arc::make_mut(&mut self.evaluation).revise_decision(decision, &record, place, before);
            }
            if let Some(score) = decision.first_score.as_mut().filter(|_| place == 0) {
                Arc::make_mut(&mut self.evaluation).settle_first((score, decision.segments), before, reward);
                score.settled = true;
            }
        }
        self.learn_settled(at_us, at, decision, place);
    }

    /// Learns a shown arm whose events changed, unless learning waits for the end of the window or is frozen.
    pub(super) fn learn_settled(
        &mut self,
        at_us: i64,
        at: DecisionPlace,
        decision: &mut PendingDecision,
        place: usize,
    ) {
        let goal = &self.design.definition.goal;
        let at_close = goal.learning == Learning::AtClose && at.queue == QueueKind::Pending;
        if self.design.definition.controls.freeze_learning() || at_close {
            return;
        }
        if goal.click_model == ClickModel::Cascade {
            // A shopper who rewarded this arm saw the arms above it.
            for place in 0..=place {
                self.learn_arm(at_us, at, decision, place);
            }
        } else {
            self.learn_arm(at_us, at, decision, place);
        }
    }

    /// Updates the position model after a shown arm became rewarded, or stopped being so. An update that frozen
    /// learning prevented is made up for when the arm is settled next.
    fn settle_position(&mut self, at_us: i64, decision: &mut PendingDecision, place: usize) {
        let controls = &self.design.definition.controls;
        let frozen = decision.frozen || controls.freeze_learning();
        if frozen || decision.shown.iter().all(|shown| shown.swap_probability <= 0.0) {
            return;
        }
        self.positions.fade(at_us, controls.half_life_us());
        let goal = &self.design.definition.goal;
        let reward = goal.reward(decision.shown[place].counted.iter().map(CountedEvent::contribution));
        self.positions.settle(&mut decision.shown, place, reward > goal.default_reward);
    }

    /// Learns the present reward of each arm that a pending decision showed.
    pub(super) fn learn_decision(&mut self, at_us: i64, ordinal: u64) {
        self.settle_silence(ordinal);
        if self.accounting || self.design.definition.controls.freeze_learning() {
            return;
        }
        if self.learn_unrewarded(at_us, ordinal) {
            return;
        }
        let Some(mut decision) = self.decisions.pending.get(ordinal) else { return };
        let mut learned = false;
        for place in 0..decision.shown.len() {
            learned |= self.learn_arm(at_us, DecisionPlace::pending(ordinal), &mut decision, place);
        }
        if learned {
            self.decisions.pending.put(ordinal, &decision);
        }
    }

    /// Compares the reward of a decision's first position, as far as it is known, with what the model expected.
    pub(super) fn calibrate(&mut self, ordinal: u64) {
        let Some((score, _)) = self.decisions.pending.first_score(ordinal) else { return };
        if self.goal_sums.precedes_pending(ordinal) || !self.may_learn_first(ordinal) {
            return;
        }
        let reward = if score.settled && self.decisions.pending.has_events(ordinal) {
            let decision = self.decisions.pending.get(ordinal);
            decision.and_then(|decision| Some(decision.shown.first()?.reward))
        } else {
            Some(self.design.definition.goal.default_reward)
        };
        if let Some(reward) = reward {
            Arc::make_mut(&mut self.evaluation).calibrate(&score, reward);
        }
    }

    /// Returns `true` if the silence of a decision's first position may be learned.
    fn may_learn_first(&self, ordinal: u64) -> bool {
        let is_seen = || {
            let decision = self.decisions.pending.get(ordinal);
            decision.is_some_and(|decision| decision.shown.first().is_some_and(|shown| shown.seen))
        };
        self.design.definition.goal.silence == SilenceRule::Every || is_seen()
    }

    /// Counts the silence of a decision's first position in the figures, unless its reward counts in them already.
    pub(super) fn settle_silence(&mut self, ordinal: u64) {
        if !self.may_learn_first(ordinal) {
            return;
        }
        let open = self.decisions.pending.first_score(ordinal).filter(|(score, _)| !score.settled);
        let Some((score, keys)) = open.filter(|_| !self.goal_sums.precedes_pending(ordinal)) else { return };
        let silence = self.design.definition.goal.default_reward;
        Arc::make_mut(&mut self.evaluation).settle_first((&score, keys), silence, silence);
        self.decisions.pending.mark_settled(ordinal);
    }

    /// Learns a decision that showed one arm and has no events, decoding no more of it than needed. Returns `false` if
    /// the decision is not of that kind.
    fn learn_unrewarded(&mut self, at_us: i64, ordinal: u64) -> bool {
        let goal = &self.design.definition.goal;
        if goal.click_model != ClickModel::None || goal.silence != SilenceRule::Every {
            return false;
        }
        let Some((layout, learned)) = self.decisions.pending.unrewarded(ordinal) else { return false };
        let reward = goal.reward(std::iter::empty());
        if layout.frozen || learned.is_some_and(|learned| learned.total_cmp(&reward).is_eq()) {
            return true;
        }
        if learned.is_some() {
            // The goal's reward of silence has changed since.
            return false;
        }
        let silent = true;
        let waited_us = self.decisions.pending.waited_us(ordinal);
        let observation =
            Observation { silent, ..self.observation(at_us, (ordinal, waited_us), layout.arm, reward, 1.0) };
        if self.goal_sums.precedes_pending(ordinal) {
            self.goal_sums.add_learned_before(layout.arm, reward);
        }
        let learner = Arc::make_mut(&mut self.learner);
        let rows =
            if learner.has_features() { self.decisions.pending.rows(ordinal, layout) } else { learner.no_rows() };
        let receipt = learner.observe(observation, &rows);
        self.decisions.pending.set_learned(ordinal, layout, &LearnedReward { reward, receipt });
        true
    }

    /// Returns an observation of a decision with this ordinal, which was applied `waited_us` after it was made.
    fn observation(
        &self,
        at_us: i64,
        (ordinal, waited_us): (u64, i64),
        arm: u32,
        reward: f64,
        weight: f64,
    ) -> Observation {
        let applied_since = self.decisions.pending.added().saturating_sub(ordinal + 1);
        Observation {
            arm,
            reward,
            weight,
            at_us,
            half_life_us: self.design.definition.controls.half_life_us(),
            decisions_since_shown: applied_since.saturating_add(self.pace.made_while(waited_us)),
            silent: false,
        }
    }

    /// Learns the reward that a shown arm's events now give, or revises what was learned before. Returns `false` if
    /// there was nothing to learn.
    fn learn_arm(&mut self, at_us: i64, at: DecisionPlace, decision: &mut PendingDecision, place: usize) -> bool {
        if decision.frozen {
            return false;
        }
        let goal = &self.design.definition.goal;
        let shown = &decision.shown[place];
        let reward = goal.reward(shown.counted.iter().map(CountedEvent::learned_contribution));
        let rows = shown.rows.as_ref().unwrap_or(&decision.rows);
        let arm = shown.arm;
        let learned = match &shown.learned {
            // The decision was not learned before it was finished, so there is nothing to revise.
            None if at.queue == QueueKind::Finished => return false,
            None if !shown.seen && goal.silence == SilenceRule::Shown => return false,
            None => {
                let weight = match goal.click_model {
                    ClickModel::PositionBased => self.positions.exposure(place),
                    // The arm is not known to have been seen, so nothing is learned of it.
                    ClickModel::Cascade if place >= seen(&decision.seen()) => return false,
                    ClickModel::None | ClickModel::Cascade => 1.0,
                };
                let silent = shown.counted.is_empty();
                let since = (at.ordinal, decision.at_us - decision.id.at_us());
                let observation = Observation { silent, ..self.observation(at_us, since, arm, reward, weight) };
                self.note_learned(at, decision.at_us, arm, reward);
                LearnedReward { reward, receipt: Arc::make_mut(&mut self.learner).observe(observation, rows) }
            }
            // A difference of exactly zero changes nothing.
            Some(before) if before.reward.total_cmp(&reward).is_eq() => return false,
            Some(LearnedReward { reward: before, receipt }) => {
                self.note_learned(at, decision.at_us, arm, reward - before);
                Arc::make_mut(&mut self.learner).revise(arm, rows, *before, reward - before, receipt);
                LearnedReward { reward, receipt: receipt.clone() }
            }
        };
        decision.shown[place].learned = Some(learned);
        true
    }

    /// Notes a learned reward of a decision, if that was made under an earlier goal.
    fn note_learned(&mut self, at: DecisionPlace, decided_us: i64, arm: u32, more: f64) {
        if self.goal_sums.precedes(at, decided_us) {
            self.goal_sums.add_learned_before(arm, more);
        }
    }
}
