//! Application of an import: the slot's models learn decisions of the past.

use std::sync::Arc;

use crate::{
    bandit::{Features, Observation, RowFeatures},
    engine::{imported::ImportedPart, slot_state::SlotState},
    stats::math,
};

/// Weight below which an observation has faded so far that it is not learned.
const WEIGHT_MIN: f64 = 1e-6;

impl SlotState {
    /// Learns a part of an import. An observation has the weight that its age has left of it, by the slot's half-life.
    pub(super) fn apply_import(&mut self, at_us: i64, part: &ImportedPart) {
        let definition = Arc::clone(&self.design.definition);
        if !self.imports.add(part) || self.accounting || definition.controls.freeze_learning() {
            return;
        }
        let half_life_us = definition.controls.half_life_us();
        let nothing = Features::new();
        let joined = self.design.joined_arms.clone();
        let arms = joined.as_deref().unwrap_or(&definition.arms);
        for observation in &part.observations {
            let age_us = at_us.saturating_sub(observation.at_us).max(0);
            let weight = math::exp2(-(age_us as f64 / half_life_us as f64));
            if weight < WEIGHT_MIN {
                continue;
            }
            let found = self.design.arms.find(observation.arm.as_str());
            let attributes = found.and_then(|(_, position)| position).map(|at| &arms[at].attributes);
            let features = RowFeatures {
                context: &observation.context,
                candidate: Some(&observation.features).filter(|own| !own.is_empty()),
                arm: Some(attributes.unwrap_or(&nothing)),
            };
            let arm = match found {
                Some((learned, _)) => learned,
                None => Arc::make_mut(&mut self.design.arms).intern(&observation.arm),
            };
            let learner = Arc::make_mut(&mut self.learner);
            let rows = learner.meet(&[features]).pop().unwrap_or_default();
            let learned = Observation {
                arm,
                reward: observation.reward,
                weight,
                at_us,
                half_life_us,
                decisions_since_shown: 0,
                silent: false,
            };
            drop(learner.observe(learned, &rows));
        }
    }
}
