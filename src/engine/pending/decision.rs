//! Pending decision: everything that a decision's rewards may still need.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{evaluation_record::EvaluationRecord, first_score::FirstScore, segment_keys::SegmentKeys};
use crate::{
    bandit::{EncodedRows, ObservationReceipt},
    engine::{
        answer::EventStatus,
        deserializer::StateDeserializer,
        ids::{DecisionId, Hash128},
    },
    slot::Contribution,
    stats::compact,
};

/// Event that counts towards a shown arm's reward. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct CountedEvent {
    pub(in crate::engine) event: Hash128,
    pub(in crate::engine) kind: Arc<str>,
    pub(in crate::engine) value: Option<f64>,
    /// Value as it is learned: winsorized when the event arrived, and again while the quantile was uncertain.
    pub(in crate::engine) learned_value: Option<f64>,
    pub(in crate::engine) time_us: i64,
}

impl CountedEvent {
    /// Contribution to the reward that is reported.
    pub(in crate::engine) fn contribution(&self) -> Contribution<'_> {
        Contribution { kind: &self.kind, value: self.value, time_us: self.time_us }
    }

    /// Contribution to the reward that is learned.
    pub(in crate::engine) fn learned_contribution(&self) -> Contribution<'_> {
        Contribution { value: self.learned_value, ..self.contribution() }
    }
}

/// Reward of a shown arm that the learner has observed. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct LearnedReward {
    /// The reward.
    #[serde(with = "compact")]
    pub(in crate::engine) reward: f64,
    /// Receipt with which the observation can be revised.
    pub(in crate::engine) receipt: ObservationReceipt,
}

/// Shown arm of a pending decision. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct ShownArm {
    /// Index of the arm in the learner.
    pub(in crate::engine) arm: u32,
    /// Encoded rows of the arm, or `None` if they equal the decision's.
    pub(in crate::engine) rows: Option<EncodedRows>,
    /// Swap probability: that of the opposite order of this arm and the one above, given the two.
    #[serde(with = "compact")]
    pub(in crate::engine) swap_probability: f64,
    /// `true` once an event that counts arrived for the arm, even if it was reversed: somebody saw the arm.
    pub(in crate::engine) seen: bool,
    /// The position model's cumulative log decay at the moment this arm's reward was counted in it, or `None` if it is
    /// not.
    pub(in crate::engine) counted_at_ln_decay: Option<f64>,
    /// Reward that counts now.
    #[serde(with = "compact")]
    pub(in crate::engine) reward: f64,
    /// Reward that the learner observed, or `None` if it has observed neither a reward nor silence yet.
    pub(in crate::engine) learned: Option<LearnedReward>,
    /// Events that count towards the reward.
    pub(in crate::engine) counted: Vec<CountedEvent>,
}

/// Role of an accepted event. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) enum EventRole {
    /// The event belongs to this arm, which was shown.
    #[serde(rename = "Event")]
    Reward(u32),
    /// Another event reversed the event.
    Reversed,
    /// The event reversed another one.
    Reversal,
}

impl EventRole {
    /// Status of an event in this role.
    pub(in crate::engine) fn status(self) -> EventStatus {
        match self {
            Self::Reward(_) | Self::Reversal => EventStatus::Accepted,
            Self::Reversed => EventStatus::Reversed,
        }
    }
}

/// Event that was accepted for a decision, counted or not. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct EventRecord {
    pub(in crate::engine) event: Hash128,
    pub(in crate::engine) role: EventRole,
    /// Kind and value, unless the shown arm's counted events have them. `None` also for an event from before contents
    /// were kept.
    pub(in crate::engine) content: Option<(Arc<str>, Option<f64>)>,
}

/// Decision that may still be rewarded.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) struct PendingDecision {
    pub(in crate::engine) id: DecisionId,
    pub(in crate::engine) at_us: i64,
    /// Score of the first position, or `None` if the decision says nothing about what arms would earn.
    pub(in crate::engine) first_score: Option<FirstScore>,
    /// Values of the context by which its rewards are summed.
    pub(in crate::engine) segments: SegmentKeys,
    pub(in crate::engine) holdout: bool,
    /// `true` if it is never learned: it was made while learning was frozen, in the analysis slice, or beyond the limit
    /// of its subject.
    pub(in crate::engine) frozen: bool,
    /// Encoded rows of its context, one per model.
    pub(in crate::engine) rows: EncodedRows,
    pub(in crate::engine) shown: Vec<ShownArm>,
    /// Events that were accepted for it, in order of arrival.
    pub(in crate::engine) events: Vec<EventRecord>,
    /// Keys by which its subject finds it.
    pub(in crate::engine) subjects: SmallVec<[Hash128; 2]>,
    /// Evaluation data of the decision.
    pub(in crate::engine) evaluation: LazyEvaluation,
}

impl PendingDecision {
    /// Returns for each shown arm whether somebody is known to have seen it.
    pub(in crate::engine) fn seen(&self) -> Vec<bool> {
        self.shown.iter().map(|shown| shown.seen).collect()
    }

    /// Arms by which the decision is found: those that it showed, if it has a subject.
    pub(super) fn arms_of_subject(&self) -> &[ShownArm] {
        if self.subjects.is_empty() { &[] } else { &self.shown }
    }
}

/// Evaluation data of a decision, left encoded until it is needed. For most decisions it never is.
#[derive(Debug, Clone)]
pub(in crate::engine) enum LazyEvaluation {
    /// Encoded.
    Encoded(Box<[u8]>),
    /// Decoded.
    Decoded(EvaluationRecord),
}

impl LazyEvaluation {
    /// Returns the evaluation data, or `None` if its bytes cannot be read.
    pub(in crate::engine) fn decode(&self) -> Option<Cow<'_, EvaluationRecord>> {
        match self {
            Self::Encoded(bytes) => {
                EvaluationRecord::deserialize(&mut StateDeserializer::new(bytes)).ok().map(Cow::Owned)
            }
            Self::Decoded(record) => Some(Cow::Borrowed(record)),
        }
    }
}

/// Encoded and decoded data are equal if they hold the same. Bytes that cannot be read equal only the same bytes.
impl PartialEq for LazyEvaluation {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Encoded(bytes), Self::Encoded(others)) if bytes == others => true,
            _ => self.decode().is_some_and(|record| other.decode() == Some(record)),
        }
    }
}
