//! The engine as a learner from a log. It decides at every logged moment, learns the decisions that it is given, and
//! receives each reward when the log did.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use slotwise::{
    engine::{ChosenArm, Decision, DecisionId, DecisionRecord, EventStatus, Reason, RewardEvent, Subject, hash},
    slot::{ArmId, Definition, SlotId},
};

use super::{
    EvaluateError,
    setup::{NOTHING, REWARD},
};
use crate::{
    evaluate::logged::{Log, LoggedRow},
    run::episode::{EngineService, EngineServiceError},
};

/// A slot that learns from a log.
#[derive(Debug)]
pub(super) struct LogLearner<'a> {
    log: &'a Log,
    name: &'a str,
    service: EngineService,
    slot: SlotId,
    seed: u64,
    /// Place in the log's list of each arm, by its id.
    places: HashMap<ArmId, usize>,
    /// Rewards that have not arrived yet: their time and their row.
    coming: BinaryHeap<Reverse<(i64, usize)>>,
    ids: HashMap<usize, DecisionId>,
    /// Number of decisions learned.
    pub(super) learned: u64,
    /// Number of decisions that were fallbacks.
    pub(super) fallbacks: u64,
}

/// Decision that a slot would make at a logged moment.
#[derive(Debug)]
pub(super) struct LearnerDecision {
    decided: DecisionRecord,
    /// The drawn arm's place in the log's list, or `None` if nothing, or no arm of the log, was drawn.
    pub(super) drawn: Option<usize>,
}

/// A slot's belief about one arm at a logged moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct ArmBelief {
    /// Probability with which the slot would show the arm.
    pub(super) propensity: f64,
    /// Expected reward of the arm.
    pub(super) mean: f64,
}

impl<'a> LogLearner<'a> {
    pub(super) fn new(log: &'a Log, name: &'a str, definition: Definition, seed: u64) -> Result<Self, EvaluateError> {
        let begin_us = log.rows.first().map_or(0, |row| row.at_us);
        let slot = definition.id.clone();
        let service = EngineService::new(definition, begin_us).map_err(|why| failed(name, 0, why))?;
        let places = log.arms.iter().enumerate().map(|(place, arm)| (arm.id.clone(), place)).collect();
        let (coming, ids) = (BinaryHeap::new(), HashMap::new());
        Ok(Self { log, name, service, slot, seed, places, coming, ids, learned: 0, fallbacks: 0 })
    }

    /// Decides at row `index`, with all rewards that had arrived by then, and fills `beliefs` with the belief about each
    /// arm of the log.
    ///
    /// The draw follows from the seed and the row alone. All policies therefore have the same luck, and it is
    /// independent of what the log drew.
    pub(super) fn decide(&mut self, index: usize, beliefs: &mut [ArmBelief]) -> Result<LearnerDecision, EvaluateError> {
        let row = &self.log.rows[index];
        self.deliver_rewards(row.at_us)?;
        let random = hash("replay draw", &[&self.seed.to_be_bytes(), &(index as u64).to_be_bytes()]);
        let request = self.log.request(row, &self.slot);
        let decision = self.service.decide(request, row.at_us, [random.other_word(), random.word()]);
        let Decision { decided, explanation, .. } = decision.map_err(|why| failed(self.name, index + 1, why))?;
        self.fallbacks += u64::from(decided.fallback.is_some());
        beliefs.fill(ArmBelief::default());
        for candidate in explanation.into_iter().flat_map(|explanation| explanation.candidates) {
            if let (Some(&place), None) = (self.places.get(&candidate.arm), &candidate.ineligible_because) {
                beliefs[place] = ArmBelief { propensity: candidate.propensity, mean: candidate.mean };
            }
        }
        let drawn = decided.chosen.first().and_then(|chosen| self.places.get(&chosen.arm)).copied();
        Ok(LearnerDecision { decided, drawn })
    }

    /// Learns the decision logged at row `index`, with its logged propensity, and schedules its reward.
    pub(super) fn learn(&mut self, index: usize, answer: LearnerDecision) {
        let row = &self.log.rows[index];
        let LearnerDecision { mut decided, drawn } = answer;
        let expected_reward = decided.chosen.first().map_or(0.0, |chosen| chosen.expected_reward);
        if drawn != Some(row.arm) {
            decided.chosen = vec![ChosenArm {
                arm: self.log.arms[row.arm].id.clone(),
                propensity: row.propensity,
                expected_reward,
                baseline_position: 0,
                swap_probability: 0.0,
                reason: Reason::Exploring,
            }];
            decided.fallback = None;
        }
        self.learned += 1;
        if let Some(known_us) = row.known_us {
            self.ids.insert(index, decided.id);
            self.coming.push(Reverse((known_us, index)));
        }
        self.service.apply_decision(decided, row.at_us);
    }

    /// Delivers the rewards that had arrived at `by_us`.
    fn deliver_rewards(&mut self, by_us: i64) -> Result<(), EvaluateError> {
        while let Some(&Reverse((known_us, index))) =
            self.coming.peek().filter(|Reverse((known_us, _))| *known_us <= by_us)
        {
            self.coming.pop();
            let Some(decision) = self.ids.remove(&index) else { continue };
            let outcome = self.service.reward(self.event(index, decision, known_us), known_us);
            if outcome != Some(EventStatus::Accepted) {
                return Err(EvaluateError::NotCounted { name: self.name.to_owned(), row: index + 1, outcome });
            }
        }
        Ok(())
    }

    fn event(&self, index: usize, decision: DecisionId, known_us: i64) -> RewardEvent {
        let LoggedRow { reward, .. } = self.log.rows[index];
        let size = reward - self.log.default_reward;
        RewardEvent {
            slot: self.slot.clone(),
            event_id: format!("row-{index}"),
            decision: Some(decision),
            subject: Subject::default(),
            arm: None,
            kind: if size == 0.0 { NOTHING } else { REWARD }.to_owned(),
            value: Some(size),
            time_us: known_us,
            reverses: None,
        }
    }
}

fn failed(name: &str, row: usize, why: EngineServiceError) -> EvaluateError {
    EvaluateError::Service { name: name.to_owned(), row, why }
}
