//! The engine as a learner from a log: it decides at every logged moment, takes what it is to learn from, and is told of
//! a reward when the log was.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use slotwise::{
    engine::{Chosen, Decided, Decision, DecisionId, Reason, RewardOutcome, Rewarded, Subject, hash},
    slot::{ArmId, Definition},
};

use super::{
    EvaluateError,
    setup::{NOTHING, REWARD},
};
use crate::{
    evaluate::logged::{Log, Row},
    run::episode::{EngineService, EngineServiceError},
};

/// A slot that learns from a log.
#[derive(Debug)]
pub(super) struct Learner<'a> {
    log: &'a Log,
    name: &'a str,
    service: EngineService,
    seed: u64,
    /// Per arm of the log, by its id.
    places: HashMap<ArmId, usize>,
    /// Rewards that are still to come: when, and of which row.
    coming: BinaryHeap<Reverse<(i64, usize)>>,
    ids: HashMap<usize, DecisionId>,
    /// Decisions taken in.
    pub(super) learned: u64,
    /// Decisions that its model did not make.
    pub(super) fallbacks: u64,
}

/// What a slot would do at a logged moment.
#[derive(Debug)]
pub(super) struct Answer {
    decided: Decided,
    /// What its own draw shows, by its place in the log's list; none: nothing, or no arm of the log.
    pub(super) drawn: Option<usize>,
}

/// What is known of one arm at a logged moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Known {
    /// The probability with which it would be shown.
    pub(super) propensity: f64,
    /// The reward that is expected of it.
    pub(super) mean: f64,
}

impl<'a> Learner<'a> {
    pub(super) fn new(log: &'a Log, name: &'a str, definition: Definition, seed: u64) -> Result<Self, EvaluateError> {
        let begin_us = log.rows.first().map_or(0, |row| row.at_us);
        let service = EngineService::new(definition, begin_us).map_err(|why| failed(name, 0, why))?;
        let places = log.arms.iter().enumerate().map(|(place, arm)| (arm.id.clone(), place)).collect();
        let (coming, ids) = (BinaryHeap::new(), HashMap::new());
        Ok(Self { log, name, service, seed, places, coming, ids, learned: 0, fallbacks: 0 })
    }

    /// What it would do at row `index`, with all that it heard by then; `known` becomes what it knows of each arm of the log.
    ///
    /// Its draw follows from the seed and the row alone: candidates meet the same luck, and it has nothing to do with
    /// what the log drew.
    pub(super) fn decide(&mut self, index: usize, known: &mut [Known]) -> Result<Answer, EvaluateError> {
        let row = &self.log.rows[index];
        self.hear(row.at_us)?;
        let random = hash("replay draw", &[&self.seed.to_be_bytes(), &(index as u64).to_be_bytes()]);
        let request = self.log.request(row, self.service.slot());
        let decision = self.service.decide(request, row.at_us, [random.other_word(), random.word()]);
        let Decision { decided, explanation, .. } = decision.map_err(|why| failed(self.name, index + 1, why))?;
        self.fallbacks += u64::from(decided.fallback.is_some());
        known.fill(Known::default());
        for candidate in explanation.into_iter().flat_map(|explanation| explanation.candidates) {
            if let (Some(&place), None) = (self.places.get(&candidate.arm), &candidate.ineligible_because) {
                known[place] = Known { propensity: candidate.propensity, mean: candidate.mean };
            }
        }
        let drawn = decided.chosen.first().and_then(|chosen| self.places.get(&chosen.arm)).copied();
        Ok(Answer { decided, drawn })
    }

    /// Takes in what was logged at row `index`: what was shown there, with its logged propensity, and in time its reward.
    pub(super) fn learn(&mut self, index: usize, answer: Answer) {
        let row = &self.log.rows[index];
        let Answer { mut decided, drawn } = answer;
        let expected_reward = decided.chosen.first().map_or(0.0, |chosen| chosen.expected_reward);
        if drawn != Some(row.arm) {
            decided.chosen = vec![Chosen {
                arm: self.log.arms[row.arm].id.clone(),
                propensity: row.propensity,
                expected_reward,
                baseline_position: 0,
                overlap: 0.0,
                reason: Reason::Exploring,
            }];
            decided.fallback = None;
        }
        self.learned += 1;
        if let Some(told_us) = row.told_us {
            self.ids.insert(index, decided.id);
            self.coming.push(Reverse((told_us, index)));
        }
        self.service.take(decided, row.at_us);
    }

    /// Tells it of the rewards that came by then.
    fn hear(&mut self, by_us: i64) -> Result<(), EvaluateError> {
        while let Some(&Reverse((told_us, index))) =
            self.coming.peek().filter(|Reverse((told_us, _))| *told_us <= by_us)
        {
            self.coming.pop();
            let Some(decision) = self.ids.remove(&index) else { continue };
            let outcome = self.service.reward(self.event(index, decision, told_us), told_us);
            if outcome != Some(RewardOutcome::Accepted) {
                return Err(EvaluateError::NotCounted { name: self.name.to_owned(), row: index + 1, outcome });
            }
        }
        Ok(())
    }

    fn event(&self, index: usize, decision: DecisionId, told_us: i64) -> Rewarded {
        let Row { reward, .. } = self.log.rows[index];
        let size = reward - self.log.silent;
        Rewarded {
            slot: self.service.slot().clone(),
            event_id: format!("row-{index}"),
            decision: Some(decision),
            subject: Subject::default(),
            arm: None,
            kind: if size == 0.0 { NOTHING } else { REWARD }.to_owned(),
            value: Some(size),
            time_us: told_us,
            reverses: None,
        }
    }
}

fn failed(name: &str, row: usize, why: EngineServiceError) -> EvaluateError {
    EvaluateError::Service { name: name.to_owned(), row, why }
}
