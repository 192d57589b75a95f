//! Observations as a portfolio learns them, and the receipts that it gives for them.

use serde::{Deserialize, Serialize};

use crate::bandit::{encoder::EncodedRow, score::Forecast};

/// Receipt of an observation: the data needed to revise it later. *Persisted* (inside pending decisions).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservationReceipt {
    /// Logarithm of the arm's cumulative fading at the time of the observation.
    #[serde(with = "crate::stats::compact")]
    pub(in crate::bandit) ln_retained: f64,
    /// Weight of the observation.
    #[serde(with = "crate::stats::compact")]
    pub(in crate::bandit) weight: f64,
    /// Number of takeovers before the observation.
    pub(super) takeovers: u32,
    /// Id of the challenger that learned the observation, or 0 if none did.
    pub(super) challenger: u32,
    /// Forecast of each member, or `None` for a member that did not learn the observation.
    pub(super) forecasts: Vec<Option<Forecast>>,
    /// Members that did not learn the observation because others stood for it; see [`Thinning`](super::thinning::Thinning).
    pub(super) thinned: MemberSet,
    /// Forecast of each of the challenger's models, if the observation counted in its lead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fresh: Vec<Option<Forecast>>,
}

/// Set of the first 64 members. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct MemberSet(u64);

impl MemberSet {
    /// Number of members that a set can have.
    pub(super) const MAX: usize = 64;

    pub(super) fn insert(&mut self, member: usize) {
        self.0 |= 1 << member;
    }

    pub(super) fn contains(self, member: usize) -> bool {
        member < Self::MAX && self.0 >> member & 1 == 1
    }
}

impl ObservationReceipt {
    /// Returns the receipt with the logarithm of the arm's cumulative fading.
    pub(in crate::bandit) fn faded(self, ln_retained: f64) -> Self {
        Self { ln_retained, ..self }
    }
}

/// Observation with its encoded rows, as a portfolio learns it.
#[derive(Clone, Copy)]
pub(in crate::bandit) struct EncodedObservation<'a> {
    pub(in crate::bandit) arm: u32,
    /// Number of arms that were ever observed, including this one.
    pub(in crate::bandit) arms: usize,
    /// Rows of the feature encoders, one each.
    pub(in crate::bandit) rows: &'a [EncodedRow],
    pub(in crate::bandit) y: f64,
    /// Weight of the observation, (0, 1].
    pub(in crate::bandit) weight: f64,
    pub(in crate::bandit) unit: bool,
    /// Number of decisions since the arm was shown.
    pub(in crate::bandit) decisions_since_shown: u64,
    /// Runs the change detector.
    pub(in crate::bandit) detect: bool,
    /// Fraction of the evidence that the time since the previous observation has left.
    pub(in crate::bandit) retained: f64,
    /// Variance of a reward about its arm's mean, reward², or 0 if nothing is known.
    pub(in crate::bandit) within: f64,
    /// Weight of the arm's earlier observations if this one is of silence, or `None` if it is of events.
    pub(in crate::bandit) silence_after: Option<f64>,
}

/// Change of an observation's reward.
#[derive(Clone, Copy)]
pub(in crate::bandit) struct ObservationRevision<'a> {
    /// Number of arms that were ever observed.
    pub(in crate::bandit) arms: usize,
    /// Reward before the change.
    pub(in crate::bandit) y: f64,
    pub(in crate::bandit) delta: f64,
    pub(in crate::bandit) receipt: &'a ObservationReceipt,
    /// Fraction of the observation that fading has left.
    pub(in crate::bandit) retained: f64,
}
