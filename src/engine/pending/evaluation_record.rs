//! Evaluation record: the part of a pending decision that the slot's evaluation data need when its rewards come.

use serde::{Deserialize, Serialize};

use super::msgpack::MessagePackWriter;
use crate::stats::compact;

/// Treatment that a decision's subject got. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) enum Treatment {
    /// The policy, which learned of the decision.
    Policy,
    /// The policy, which did not learn of the decision.
    Analysis,
    /// The baseline.
    Holdout,
}

/// Evaluation data of one pending decision. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct EvaluationRecord {
    /// Number of its comparison and its treatment, or `None` if it is not compared.
    pub(in crate::engine) comparison: Option<(u64, Treatment)>,
    /// `true` if the policy chose what was shown, now or in the decision that this one repeats.
    pub(in crate::engine) by_policy: bool,
    /// Value that is subtracted from the first position's reward: the mean of the rewards before it.
    #[serde(with = "compact")]
    pub(in crate::engine) centre: f64,
    /// Arms that the draw of the first position compares, with their probabilities; the shown one first. Empty if the
    /// position was not drawn.
    pub(in crate::engine) compared_arms: Vec<(u32, f32)>,
    /// Number of the client that asked, among those that are watched.
    pub(in crate::engine) client: u32,
}

impl EvaluationRecord {
    /// Writes the bytes that serde would write.
    pub(in crate::engine) fn write(&self, to: &mut MessagePackWriter) {
        let Self { comparison, by_policy, centre, compared_arms, client } = self;
        to.array(5);
        match comparison {
            None => to.nil(),
            Some(comparison) => to.value(comparison),
        }
        to.boolean(*by_policy);
        to.number(*centre);
        to.array(compared_arms.len());
        for &(arm, propensity) in compared_arms {
            to.array(2);
            to.uint(arm);
            to.single(propensity);
        }
        to.uint(*client);
    }

    /// Returns the decision's contribution to the pairwise test of the shown arm against the rival, in this order.
    pub(in crate::engine) fn contribution(&self, rival: f32, reward: f64) -> f64 {
        let own = f64::from(self.compared_arms.first().map_or(1.0, |shown| shown.1));
        let rival = f64::from(rival);
        (reward - self.centre) * (rival / (own + rival))
    }
}
