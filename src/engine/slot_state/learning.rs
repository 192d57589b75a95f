//! Learning of a slot as a whole: another slot can start from it, and one arm's part can be taken back.

use std::sync::Arc;

use super::{DelayModel, PositionModel, SlotState, ValueQuantiles};
use crate::{bandit::Learner, engine::arm_table::ArmTable, slot::ArmId};

/// Learning of a slot, for another slot to start from: posteriors, features, delays, positions and quantiles of
/// values. Counts and figures are not part of it, because they say what happened in the slot.
#[derive(Debug, Clone)]
pub struct LearningSeed {
    learner: Arc<Learner>,
    arms: Arc<ArmTable>,
    delays: DelayModel,
    values: ValueQuantiles,
    positions: PositionModel,
}

impl SlotState {
    /// Returns what the slot has learned.
    pub(in crate::engine) fn learning(&self) -> LearningSeed {
        LearningSeed {
            learner: Arc::clone(&self.learner),
            arms: Arc::clone(&self.design.arms),
            delays: self.delays.clone(),
            values: self.values.clone(),
            positions: self.positions.clone(),
        }
    }

    /// Starts from what another slot has learned, with each of its observations counting `weight` times. Arms are the
    /// same if their ids are. A slot that made decisions itself keeps what it has, because those know its own arms by
    /// their indices.
    pub(in crate::engine) fn take_learning(&mut self, seed: &LearningSeed, weight: f64) {
        if self.accounting || self.decisions.pending.added() > 0 {
            return;
        }
        let definition = &self.design.definition;
        self.design.arms = Arc::new(ArmTable::new(seed.arms.names().to_vec(), definition));
        let mut learner = seed.learner.weighted(weight);
        learner.decide_by(definition.model, definition.traits());
        self.learner = Arc::new(learner);
        self.delays = seed.delays.clone();
        self.values = seed.values.clone();
        self.positions = seed.positions.clone();
    }

    /// Forgets what was learned of one arm. What models learned of all arms together fades by the arm's part of it.
    pub(in crate::engine) fn reset_arm(&mut self, arm: &ArmId) {
        if let Some(arm) = self.design.arms.learned(arm.as_str()).filter(|_| !self.accounting) {
            Arc::make_mut(&mut self.learner).forget_arm(arm);
        }
    }
}
