//! Observations as a portfolio learns them, and the receipts that it gives for them.

use serde::{Deserialize, Serialize};

use crate::bandit::{encoder::EncodedRow, score::Forecast};

/// What an observation leaves with whoever may revise it. *Persisted* (inside pending decisions).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObservationReceipt {
    /// The arm's fading so far, as a logarithm.
    #[serde(with = "crate::stats::compact")]
    pub(in crate::bandit) ln_retained: f64,
    /// How much of an observation it was.
    #[serde(with = "crate::stats::compact")]
    pub(in crate::bandit) weight: f64,
    /// How many challengers had taken over before it.
    pub(super) takeovers: u32,
    /// The challenger that learned it; 0: none.
    pub(super) challenger: u32,
    /// What each member expected; none: it was not told.
    pub(super) forecasts: Vec<Option<Forecast>>,
}

impl ObservationReceipt {
    /// With the arm's fading so far, as a logarithm.
    pub(in crate::bandit) fn faded(self, ln_retained: f64) -> Self {
        Self { ln_retained, ..self }
    }
}

/// What an observation is.
#[derive(Clone, Copy)]
pub(in crate::bandit) struct EncodedObservation<'a> {
    pub(in crate::bandit) arm: u32,
    /// How many arms were ever observed, this one among them.
    pub(in crate::bandit) arms: usize,
    /// One per feature_encoder.
    pub(in crate::bandit) rows: &'a [EncodedRow],
    pub(in crate::bandit) y: f64,
    /// How much of an observation it is, (0, 1].
    pub(in crate::bandit) weight: f64,
    pub(in crate::bandit) unit: bool,
    /// Decisions that were made since the arm was shown.
    pub(in crate::bandit) decisions_since_shown: u64,
    /// Whether to watch for changes.
    pub(in crate::bandit) detect: bool,
    /// What time has left of the evidence since the observation before.
    pub(in crate::bandit) retained: f64,
}

/// How an observation's reward changed.
#[derive(Clone, Copy)]
pub(in crate::bandit) struct ObservationRevision<'a> {
    /// How many arms were ever observed.
    pub(in crate::bandit) arms: usize,
    /// The reward so far.
    pub(in crate::bandit) y: f64,
    pub(in crate::bandit) delta: f64,
    pub(in crate::bandit) receipt: &'a ObservationReceipt,
    /// What fading has left of the observation.
    pub(in crate::bandit) retained: f64,
}
