//! Learning of a slot as a whole: another slot can start from it, and one arm's part can be taken back.

use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{DelayModel, PositionModel, SlotState, ValueQuantiles};
use crate::{
    bandit::Learner,
    engine::arm_table::ArmTable,
    slot::{ArmId, limits::LEARNED_ARMS_MAX},
    stats::{Inconsistency, ensure},
};

/// Latest time of what was learned, microseconds since 1970: the year 9999.
const TIME_US_MAX: i64 = 253_402_300_800_000_000;

/// Learning of a slot, for another slot to start from: posteriors, features, delays, positions and quantiles of
/// values. Counts and figures are not part of it, because they say what happened in the slot.
///
/// *Persisted* (in files of learning).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LearningSeed {
    learner: Arc<Learner>,
    #[serde(with = "crate::engine::arm_table::names")]
    arms: Arc<ArmTable>,
    delays: DelayModel,
    values: ValueQuantiles,
    positions: PositionModel,
}

impl LearningSeed {
    /// Ids of the arms that were learned.
    pub fn arms(&self) -> &[ArmId] {
        self.arms.names()
    }

    /// Models of the slot.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Checks that a slot can have learned this up to the time `until_us`, microseconds since 1970.
    pub(in crate::engine) fn check_consistency(&self, until_us: i64) -> Result<(), Inconsistency> {
        let names = self.arms.names();
        let different: HashSet<&ArmId> = names.iter().collect();
        let is_id = |arm: &ArmId| ArmId::parse("arm_id", arm.as_str()).is_ok();
        ensure(different.len() == names.len() && names.iter().all(is_id), "arms have equal or invalid ids")?;
        ensure(names.len() <= LEARNED_ARMS_MAX, "there are too many arms")?;
        ensure((0..=TIME_US_MAX).contains(&until_us), "the time is none of this age")?;
        self.learner.check_consistency(names.len(), until_us)?;
        ensure(self.delays.is_consistent(until_us), "the delays of rewards are no times")?;
        ensure(self.values.is_consistent(), "the values of events are no distribution")?;
        ensure(self.positions.is_consistent(until_us), "the weights of positions are no weights")
    }

    /// Restores everything that was left out because it follows from the rest.
    pub(in crate::engine) fn rebuild(&mut self) {
        Arc::make_mut(&mut self.learner).rebuild();
    }
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
        self.design.arms = Arc::new(ArmTable::new(seed.arms.names().to_vec(), self.design.arms_in_effect()));
        let mut learner = seed.learner.weighted(weight);
        learner.decide_by(self.design.definition.model, self.design.traits());
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
