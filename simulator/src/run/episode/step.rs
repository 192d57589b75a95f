//! One step of an episode: the state that all policies share, and the answers to events.

use std::collections::HashMap;

use slotwise::slot::ArmId;

use super::catalogue::CurrentCatalogue;
use crate::environment::{Environment, Truth, Visit};

/// State of a step that all policies share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepContext<'a, 'w> {
    /// The replication's environment.
    pub environment: &'a Environment<'w>,
    /// The visit.
    pub visit: &'a Visit,
    /// The truth about every arm for this visit.
    pub truth: &'a Truth,
    /// The arms in the slot and in stock.
    pub catalogue: &'a CurrentCatalogue,
    /// Arms by their ids.
    pub by_id: &'a HashMap<ArmId, usize>,
    /// Expected rewards of the best and of the uniform choice, for the number of arms that the policy shows.
    pub best: (f64, f64),
    /// The arm that is shown at the first position regardless of the decision, or `None`.
    pub overridden: Option<usize>,
    /// True if the decision's probabilities are audited.
    pub audited: bool,
    /// Index of the visit's touchpoint, or 0 without touchpoints.
    pub touchpoint: usize,
    /// Time from the decision until its shopper sees it, microseconds, or `None` for a message that is not opened.
    pub seen_after_us: Option<f64>,
}

/// The service's answer to a reward event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventAnswer {
    /// The event was counted.
    Accepted,
    /// The event had been counted before.
    Duplicate,
    /// The event arrived after the window.
    Late,
    /// The event belongs to no known decision.
    Unmatched,
    /// The event cannot be counted.
    Rejected,
}
